-- title: Amortised cost by account, service and month, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT billing_period, line_item_usage_account_id, line_item_product_code, sum({amortized}) AS cost
FROM {export} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
-- engine: duckdb
SELECT billing_period, line_item_usage_account_id, line_item_product_code, sum({amortized}) AS cost
FROM cur GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
