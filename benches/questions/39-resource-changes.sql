-- title: The twenty resources whose cost rose most in the last month
-- In order of tenths of a cent, and these off the halves: sums of doubles would break ties between equal changes at random.
-- engine: farthing
WITH changes AS (
  SELECT resource_id, sum(CASE WHEN x_billing_period = '{last_month}' THEN billed_cost ELSE 0 END) AS cost,
    sum(CASE WHEN x_billing_period = '{last_month}' THEN billed_cost ELSE -billed_cost END) AS change
  FROM costs WHERE x_billing_period IN ('{previous_month}', '{last_month}') AND resource_id IS NOT NULL
  GROUP BY 1
)
SELECT resource_id, cost, change FROM changes ORDER BY round(change + 0.000012, 3) DESC, resource_id LIMIT 20
-- engine: duckdb
WITH changes AS (
  SELECT line_item_resource_id AS resource_id,
    sum(CASE WHEN billing_period = '{last_month}' THEN line_item_unblended_cost ELSE 0 END) AS cost,
    sum(CASE WHEN billing_period = '{last_month}' THEN line_item_unblended_cost ELSE -line_item_unblended_cost END) AS change
  FROM cur WHERE billing_period IN ('{previous_month}', '{last_month}') AND line_item_resource_id <> ''
  GROUP BY 1
)
SELECT resource_id, cost, change FROM changes ORDER BY round(change + 0.000012, 3) DESC, resource_id LIMIT 20
