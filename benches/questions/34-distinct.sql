-- title: Number of accounts, services, Regions, usage types and resources by month
-- engine: farthing
SELECT x_billing_period, count(DISTINCT sub_account_id) AS accounts, count(DISTINCT x_service_code) AS services,
  count(DISTINCT region_id) AS regions, count(DISTINCT x_usage_type) AS usage_types, count(DISTINCT resource_id) AS resources
FROM costs GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period, count(DISTINCT line_item_usage_account_id), count(DISTINCT line_item_product_code),
  count(DISTINCT nullif(product_region_code, '')), count(DISTINCT nullif(line_item_usage_type, '')),
  count(DISTINCT nullif(line_item_resource_id, ''))
FROM cur GROUP BY 1 ORDER BY 1
