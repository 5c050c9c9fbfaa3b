-- title: Cost of databases whose ARN has a word in it, by month
-- engine: farthing
SELECT x_billing_period, count(DISTINCT resource_id) AS resources, sum(billed_cost) AS cost
FROM costs WHERE resource_id LIKE '%:db:%orders%' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period, count(DISTINCT line_item_resource_id) AS resources, sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_resource_id LIKE '%:db:%orders%' GROUP BY 1 ORDER BY 1
