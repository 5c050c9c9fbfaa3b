-- title: Days on which a service of an account cost three standard deviations more than usual
-- engine: farthing
WITH daily AS (
  SELECT sub_account_id AS account, x_service_code AS service, date_trunc('day', charge_period_start) AS day,
    CAST(sum(billed_cost) AS DOUBLE) AS cost
  FROM costs WHERE x_line_item_type = 'Usage' GROUP BY 1, 2, 3
), compared AS (
  SELECT account, service, day, cost,
    avg(cost) OVER (PARTITION BY account, service ORDER BY day ROWS BETWEEN 30 PRECEDING AND 1 PRECEDING) AS usual,
    stddev_samp(cost) OVER (PARTITION BY account, service ORDER BY day ROWS BETWEEN 30 PRECEDING AND 1 PRECEDING) AS deviation
  FROM daily
)
SELECT account, service, day, cost, usual FROM compared
WHERE cost - usual > 3 * deviation AND cost > usual + 5 ORDER BY 1, 2, 3
-- engine: duckdb
WITH daily AS (
  SELECT line_item_usage_account_id AS account, line_item_product_code AS service,
    CAST(line_item_usage_start_date AS DATE) AS day, sum(line_item_unblended_cost) AS cost
  FROM cur WHERE line_item_line_item_type = 'Usage' GROUP BY 1, 2, 3
), compared AS (
  SELECT account, service, day, cost,
    avg(cost) OVER (PARTITION BY account, service ORDER BY day ROWS BETWEEN 30 PRECEDING AND 1 PRECEDING) AS usual,
    stddev_samp(cost) OVER (PARTITION BY account, service ORDER BY day ROWS BETWEEN 30 PRECEDING AND 1 PRECEDING) AS deviation
  FROM daily
)
SELECT account, service, day, cost, usual FROM compared
WHERE cost - usual > 3 * deviation AND cost > usual + 5 ORDER BY 1, 2, 3
