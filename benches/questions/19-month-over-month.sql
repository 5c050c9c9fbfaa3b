-- title: What each service costs more or less than in the month before
-- engine: farthing
WITH monthly AS (
  SELECT x_service_code AS service, x_billing_period AS month, sum(billed_cost) AS cost FROM costs GROUP BY 1, 2
)
SELECT service, month, cost, cost - lag(cost) OVER (PARTITION BY service ORDER BY month) AS change
FROM monthly ORDER BY service, month
-- engine: duckdb
WITH monthly AS (
  SELECT line_item_product_code AS service, billing_period AS month, sum(line_item_unblended_cost) AS cost FROM cur GROUP BY 1, 2
)
SELECT service, month, cost, cost - lag(cost) OVER (PARTITION BY service ORDER BY month) AS change
FROM monthly ORDER BY service, month
