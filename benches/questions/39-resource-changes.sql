-- title: The twenty resources whose cost rose most in the last month
-- engine: farthing
SELECT resource_id,
  sum(CASE WHEN x_billing_period = '{last_month}' THEN billed_cost ELSE 0 END) AS cost,
  round(sum(CASE WHEN x_billing_period = '{last_month}' THEN billed_cost ELSE -billed_cost END), 4) AS change
FROM costs WHERE x_billing_period IN ('{previous_month}', '{last_month}') AND resource_id IS NOT NULL
GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 20
-- engine: duckdb
SELECT line_item_resource_id,
  sum(CASE WHEN billing_period = '{last_month}' THEN line_item_unblended_cost ELSE 0 END) AS cost,
  round(sum(CASE WHEN billing_period = '{last_month}' THEN line_item_unblended_cost ELSE -line_item_unblended_cost END), 4)
    AS change
FROM cur WHERE billing_period IN ('{previous_month}', '{last_month}') AND line_item_resource_id <> ''
GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 20
