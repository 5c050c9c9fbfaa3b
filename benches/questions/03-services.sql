-- title: The ten services that cost most
-- engine: farthing
SELECT service_name, sum(billed_cost) AS cost FROM costs GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
-- engine: duckdb
SELECT coalesce(nullif(product['product_name'], ''), line_item_product_code) AS service_name,
  sum(line_item_unblended_cost) AS cost
FROM cur GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
