-- title: Cost by month
-- engine: farthing
SELECT date_trunc('month', charge_period_start) AS month, sum(billed_cost) AS cost
FROM costs GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT date_trunc('month', CAST(line_item_usage_start_date AS DATE)) AS month, sum(line_item_unblended_cost) AS cost
FROM cur GROUP BY 1 ORDER BY 1
