-- title: Quantity used by service and unit
-- engine: farthing
SELECT x_service_code, consumed_unit, sum(consumed_quantity) AS quantity, sum(billed_cost) AS cost
FROM costs WHERE consumed_unit IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_product_code, pricing_unit, sum(line_item_usage_amount) AS quantity, sum(line_item_unblended_cost) AS cost
FROM cur WHERE {used} AND pricing_unit <> '' GROUP BY 1, 2 ORDER BY 1, 2
