-- title: Cost by Region
-- engine: farthing
SELECT region_id, sum(billed_cost) AS cost FROM costs GROUP BY 1 ORDER BY 2 DESC
-- engine: duckdb
SELECT nullif(product_region_code, '') AS region_id, sum(line_item_unblended_cost) AS cost FROM cur GROUP BY 1 ORDER BY 2 DESC
