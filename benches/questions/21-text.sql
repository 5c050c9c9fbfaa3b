-- title: Charges whose description speaks of volumes
-- engine: farthing
SELECT charge_description, sum(billed_cost) AS cost, count(*) AS line_items
FROM costs WHERE lower(charge_description) LIKE '%volumeusage%' GROUP BY 1 ORDER BY 2 DESC, 1
-- engine: duckdb
SELECT line_item_line_item_description, sum(line_item_unblended_cost) AS cost, count(*)
FROM cur WHERE lower(line_item_line_item_description) LIKE '%volumeusage%' GROUP BY 1 ORDER BY 2 DESC, 1
