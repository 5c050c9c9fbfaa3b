-- title: Cost by three tags in the last month
-- engine: farthing
SELECT tags['user_team'] AS team, tags['user_env'] AS env, tags['user_app'] AS app, sum(effective_cost) AS cost
FROM costs WHERE x_billing_period = '{last_month}' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
-- engine: duckdb
SELECT resource_tags['user_team'] AS team, resource_tags['user_env'] AS env, resource_tags['user_app'] AS app,
  sum({net_amortized}) AS cost
FROM cur WHERE billing_period = '{last_month}' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
