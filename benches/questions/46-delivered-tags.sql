-- title: Cost of the last month by a tag, a cost category and purchase option, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT resource_tags['user_team'] AS team, cost_category['business_unit'] AS unit,
  CASE WHEN savings_plan_savings_plan_a_r_n <> '' THEN 'Savings Plan'
    WHEN reservation_reservation_a_r_n <> '' THEN 'Reserved'
    WHEN line_item_usage_type LIKE '%SpotUsage%' THEN 'Spot' ELSE 'On-Demand' END AS purchase,
  sum(line_item_unblended_cost) AS cost, sum({amortized}) AS amortized_cost
FROM {export} WHERE billing_period = '{last_month}' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
-- engine: duckdb
SELECT resource_tags['user_team'] AS team, cost_category['business_unit'] AS unit,
  CASE WHEN savings_plan_savings_plan_a_r_n <> '' THEN 'Savings Plan'
    WHEN reservation_reservation_a_r_n <> '' THEN 'Reserved'
    WHEN line_item_usage_type LIKE '%SpotUsage%' THEN 'Spot' ELSE 'On-Demand' END AS purchase,
  sum(line_item_unblended_cost) AS cost, sum({amortized}) AS amortized_cost
FROM cur WHERE billing_period = '{last_month}' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
