-- title: Cost by the tag user_team and month
-- engine: farthing
SELECT tags['user_team'] AS team, x_billing_period, sum(billed_cost) AS cost FROM costs GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT resource_tags['user_team'] AS team, billing_period, sum(line_item_unblended_cost) AS cost
FROM cur GROUP BY 1, 2 ORDER BY 1, 2
