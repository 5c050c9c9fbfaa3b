-- title: Cost of the last month so far, by day
-- engine: farthing
WITH daily AS (
  SELECT date_trunc('day', charge_period_start) AS day, sum(effective_cost) AS cost
  FROM costs WHERE x_billing_period = '{last_month}' GROUP BY 1
)
SELECT day, cost, sum(cost) OVER (ORDER BY day) AS so_far FROM daily ORDER BY day
-- engine: duckdb
WITH daily AS (
  SELECT CAST(line_item_usage_start_date AS DATE) AS day, sum({net_amortized}) AS cost
  FROM cur WHERE billing_period = '{last_month}' GROUP BY 1
)
SELECT day, cost, sum(cost) OVER (ORDER BY day) AS so_far FROM daily ORDER BY day
