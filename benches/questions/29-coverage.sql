-- title: Instance hours under Savings Plans, under reservations and On-Demand, by month
-- engine: farthing
SELECT x_billing_period,
  sum(CASE WHEN x_line_item_type = 'SavingsPlanCoveredUsage' THEN consumed_quantity ELSE 0 END) AS savings_plan_hours,
  sum(CASE WHEN x_line_item_type = 'DiscountedUsage' THEN consumed_quantity ELSE 0 END) AS reserved_hours,
  sum(CASE WHEN x_line_item_type = 'Usage' THEN consumed_quantity ELSE 0 END) AS on_demand_hours
FROM costs WHERE x_service_code = 'AmazonEC2' AND x_usage_type LIKE '%BoxUsage%' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period,
  sum(CASE WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' AND {used} THEN line_item_usage_amount ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'DiscountedUsage' AND {used} THEN line_item_usage_amount ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'Usage' AND {used} THEN line_item_usage_amount ELSE 0 END)
FROM cur WHERE line_item_product_code = 'AmazonEC2' AND line_item_usage_type LIKE '%BoxUsage%' GROUP BY 1 ORDER BY 1
