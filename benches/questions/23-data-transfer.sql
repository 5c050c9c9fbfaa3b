-- title: Data transfer by usage type
-- engine: farthing
SELECT x_usage_type, sum(billed_cost) AS cost, sum(consumed_quantity) AS quantity
FROM costs WHERE x_usage_type LIKE '%DataTransfer%' GROUP BY 1 ORDER BY 2 DESC, 1
-- engine: duckdb
SELECT line_item_usage_type, sum(line_item_unblended_cost) AS cost,
  sum(CASE WHEN {used} THEN line_item_usage_amount END) AS quantity
FROM cur WHERE line_item_usage_type LIKE '%DataTransfer%' GROUP BY 1 ORDER BY 2 DESC, 1
