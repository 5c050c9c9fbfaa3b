-- title: Savings Plan covered cost against On-Demand cost by month
-- engine: farthing
SELECT x_billing_period,
  sum(CASE WHEN x_line_item_type = 'SavingsPlanCoveredUsage' THEN x_amortized_cost ELSE 0 END) AS covered,
  sum(CASE WHEN x_line_item_type = 'SavingsPlanCoveredUsage' THEN x_public_on_demand_cost ELSE 0 END) AS covered_at_list,
  sum(CASE WHEN x_line_item_type = 'Usage' THEN x_unblended_cost ELSE 0 END) AS on_demand
FROM costs
WHERE x_service_code IN ('AmazonEC2', 'AWSLambda', 'AmazonECS') AND x_line_item_type IN ('Usage', 'SavingsPlanCoveredUsage')
GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period,
  sum(CASE WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN pricing_public_on_demand_cost ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'Usage' THEN line_item_unblended_cost ELSE 0 END)
FROM cur
WHERE line_item_product_code IN ('AmazonEC2', 'AWSLambda', 'AmazonECS')
  AND line_item_line_item_type IN ('Usage', 'SavingsPlanCoveredUsage')
GROUP BY 1 ORDER BY 1
