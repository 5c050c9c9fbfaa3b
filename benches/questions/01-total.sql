-- title: Total cost
-- engine: farthing
SELECT sum(billed_cost) AS cost, count(*) AS line_items FROM costs
-- engine: duckdb
SELECT sum(line_item_unblended_cost) AS cost, count(*) AS line_items FROM cur
