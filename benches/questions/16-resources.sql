-- title: The twenty resources that cost most in the last month
-- engine: farthing
SELECT resource_id, x_service_code, sum(effective_cost) AS cost
FROM costs WHERE x_billing_period = '{last_month}' AND resource_id IS NOT NULL
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20
-- engine: duckdb
SELECT line_item_resource_id, line_item_product_code, sum({net_amortized}) AS cost
FROM cur WHERE billing_period = '{last_month}' AND line_item_resource_id <> ''
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 20
