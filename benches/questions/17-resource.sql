-- title: One resource by month
-- set: look-up
-- engine: farthing
SELECT x_billing_period, x_usage_type, sum(billed_cost) AS cost, sum(consumed_quantity) AS quantity
FROM costs WHERE resource_id = '{resource}' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT billing_period, line_item_usage_type, sum(line_item_unblended_cost),
  sum(CASE WHEN {used} THEN line_item_usage_amount END)
FROM cur WHERE line_item_resource_id = '{resource}' GROUP BY 1, 2 ORDER BY 1, 2
