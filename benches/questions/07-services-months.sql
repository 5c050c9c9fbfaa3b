-- title: Cost by service and month
-- engine: farthing
SELECT x_service_code, x_billing_period, sum(billed_cost) AS cost, sum(effective_cost) AS effective_cost
FROM costs GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_product_code, billing_period, sum(line_item_unblended_cost) AS cost, sum({net_amortized}) AS effective_cost
FROM cur GROUP BY 1, 2 ORDER BY 1, 2
