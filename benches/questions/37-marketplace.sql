-- title: What other sellers were paid, by month and account
-- engine: farthing
SELECT publisher_name, sub_account_id, x_billing_period, sum(billed_cost) AS cost
FROM costs WHERE publisher_name <> 'Amazon Web Services, Inc.' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
-- engine: duckdb
SELECT line_item_legal_entity, line_item_usage_account_id, billing_period, sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_legal_entity <> 'Amazon Web Services, Inc.' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
