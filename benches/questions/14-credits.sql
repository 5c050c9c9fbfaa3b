-- title: Credits and refunds by month
-- engine: farthing
SELECT x_billing_period, x_line_item_type, sum(billed_cost) AS cost, count(*) AS line_items
FROM costs WHERE x_line_item_type IN ('Credit', 'Refund') GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT billing_period, line_item_line_item_type, sum(line_item_unblended_cost), count(*)
FROM cur WHERE line_item_line_item_type IN ('Credit', 'Refund') GROUP BY 1, 2 ORDER BY 1, 2
