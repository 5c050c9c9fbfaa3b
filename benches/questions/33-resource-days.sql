-- title: One resource by day over all months
-- set: look-up
-- engine: farthing
SELECT date_trunc('day', charge_period_start) AS day, sum(billed_cost) AS cost, sum(consumed_quantity) AS quantity
FROM costs WHERE resource_id = '{resource}' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT CAST(line_item_usage_start_date AS DATE) AS day, sum(line_item_unblended_cost) AS cost,
  sum(CASE WHEN {used} THEN line_item_usage_amount END) AS quantity
FROM cur WHERE line_item_resource_id = '{resource}' GROUP BY 1 ORDER BY 1
