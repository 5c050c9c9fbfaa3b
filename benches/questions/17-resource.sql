-- title: One resource by month
-- engine: farthing
SELECT x_billing_period, x_usage_type, sum(billed_cost) AS cost, sum(consumed_quantity) AS quantity
FROM costs WHERE resource_id = '{resource}' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT billing_period, line_item_usage_type, sum(line_item_unblended_cost),
  sum(CASE WHEN line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
    AND coalesce(split_line_item_parent_resource_id, '') = '' THEN line_item_usage_amount END)
FROM cur WHERE line_item_resource_id = '{resource}' GROUP BY 1, 2 ORDER BY 1, 2
