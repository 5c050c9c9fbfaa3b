-- title: Data transfer between Regions, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT product_from_region_code, product_to_region_code, sum(line_item_usage_amount) AS amount,
  sum(line_item_unblended_cost) AS cost
FROM {export} WHERE line_item_usage_type LIKE '%DataTransfer%' AND line_item_line_item_type = 'Usage'
  AND product_from_region_code <> '' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT product_from_region_code, product_to_region_code, sum(line_item_usage_amount) AS amount,
  sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_usage_type LIKE '%DataTransfer%' AND line_item_line_item_type = 'Usage'
  AND product_from_region_code <> '' GROUP BY 1, 2 ORDER BY 1, 2
