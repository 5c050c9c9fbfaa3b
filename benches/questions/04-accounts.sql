-- title: Cost by account
-- engine: farthing
SELECT sub_account_id, sub_account_name, sum(billed_cost) AS cost, sum(list_cost) AS list_cost
FROM costs GROUP BY 1, 2 ORDER BY 3 DESC
-- engine: duckdb
SELECT line_item_usage_account_id, line_item_usage_account_name, sum(line_item_unblended_cost) AS cost,
  sum({list_cost}) AS list_cost
FROM cur GROUP BY 1, 2 ORDER BY 3 DESC
