-- title: Days on which a service cost half more than in the seven days before
-- engine: farthing
WITH daily AS (
  SELECT x_service_code AS service, date_trunc('day', charge_period_start) AS day, CAST(sum(billed_cost) AS DOUBLE) AS cost
  FROM costs WHERE x_line_item_type = 'Usage' GROUP BY 1, 2
), compared AS (
  SELECT service, day, cost,
    avg(cost) OVER (PARTITION BY service ORDER BY day ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS usual
  FROM daily
)
SELECT service, day, cost, usual FROM compared WHERE cost > 1.5 * usual AND cost > usual + 5 ORDER BY 1, 2
-- engine: duckdb
WITH daily AS (
  SELECT line_item_product_code AS service, CAST(line_item_usage_start_date AS DATE) AS day,
    sum(line_item_unblended_cost) AS cost
  FROM cur WHERE line_item_line_item_type = 'Usage' GROUP BY 1, 2
), compared AS (
  SELECT service, day, cost,
    avg(cost) OVER (PARTITION BY service ORDER BY day ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS usual
  FROM daily
)
SELECT service, day, cost, usual FROM compared WHERE cost > 1.5 * usual AND cost > usual + 5 ORDER BY 1, 2
