-- title: Cost by two cost categories and month
-- engine: farthing
SELECT x_cost_categories['business_unit'] AS unit, x_cost_categories['cost_center'] AS center, x_billing_period,
  sum(effective_cost) AS cost
FROM costs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
-- engine: duckdb
SELECT cost_category['business_unit'] AS unit, cost_category['cost_center'] AS center, billing_period,
  sum({net_amortized}) AS cost
FROM cur GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
