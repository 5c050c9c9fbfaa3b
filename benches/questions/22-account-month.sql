-- title: One account in the last month, by service and Region
-- engine: farthing
SELECT x_service_code, region_id, sum(billed_cost) AS cost, sum(effective_cost) AS effective_cost
FROM costs WHERE x_billing_period = '{last_month}' AND sub_account_id = '{account}' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_product_code, nullif(product_region_code, '') AS region_id, sum(line_item_unblended_cost) AS cost,
  sum({net_amortized}) AS effective_cost
FROM cur WHERE billing_period = '{last_month}' AND line_item_usage_account_id = '{account}' GROUP BY 1, 2 ORDER BY 1, 2
