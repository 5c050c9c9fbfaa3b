-- title: Cost by type and product code, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT line_item_line_item_type, line_item_product_code, sum(line_item_unblended_cost) AS cost, count(*) AS line_items
FROM {export} WHERE billing_period >= '{previous_month}' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_line_item_type, line_item_product_code, sum(line_item_unblended_cost) AS cost, count(*) AS line_items
FROM cur WHERE billing_period >= '{previous_month}' GROUP BY 1, 2 ORDER BY 1, 2
