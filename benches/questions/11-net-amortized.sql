-- title: Net amortised cost by account
-- engine: farthing
SELECT sub_account_id, sum(x_net_amortized_cost) AS cost FROM costs GROUP BY 1 ORDER BY 2 DESC
-- engine: duckdb
SELECT line_item_usage_account_id, sum({net_amortized}) AS cost
FROM cur GROUP BY 1 ORDER BY 2 DESC
