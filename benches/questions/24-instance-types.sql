-- title: EC2 cost by instance type and operating system, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT product_instance_type, product['operating_system'] AS operating_system,
  sum(line_item_unblended_cost) AS cost, sum(line_item_usage_amount) AS hours
FROM {export}
WHERE line_item_product_code = 'AmazonEC2' AND product_instance_type <> ''
  AND line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
-- engine: duckdb
SELECT product_instance_type, product['operating_system'] AS operating_system,
  sum(line_item_unblended_cost) AS cost, sum(line_item_usage_amount) AS hours
FROM cur
WHERE line_item_product_code = 'AmazonEC2' AND product_instance_type <> ''
  AND line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
