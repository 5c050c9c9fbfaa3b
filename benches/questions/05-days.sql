-- title: Cost by day in the last month
-- engine: farthing
SELECT date_trunc('day', charge_period_start) AS day, sum(billed_cost) AS cost
FROM costs
WHERE charge_period_start >= TIMESTAMP '{last_month_start}' AND charge_period_start < TIMESTAMP '{next_month_start}'
GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT CAST(line_item_usage_start_date AS DATE) AS day, sum(line_item_unblended_cost) AS cost
FROM cur
WHERE line_item_usage_start_date >= TIMESTAMPTZ '{last_month_start}'
  AND line_item_usage_start_date < TIMESTAMPTZ '{next_month_start}'
GROUP BY 1 ORDER BY 1
