-- title: Number of resources by service
-- engine: farthing
SELECT x_service_code, count(DISTINCT resource_id) AS resources, sum(billed_cost) AS cost FROM costs GROUP BY 1 ORDER BY 2 DESC, 1
-- engine: duckdb
SELECT line_item_product_code, count(DISTINCT nullif(line_item_resource_id, '')) AS resources, sum(line_item_unblended_cost)
FROM cur GROUP BY 1 ORDER BY 2 DESC, 1
