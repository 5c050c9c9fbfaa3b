-- title: Cost by service and day of the week
-- engine: farthing
SELECT x_service_code, extract(dow FROM charge_period_start) AS weekday, sum(billed_cost) AS cost
FROM costs WHERE x_line_item_type = 'Usage' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_product_code, extract(dow FROM CAST(line_item_usage_start_date AS DATE)) AS weekday,
  sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_line_item_type = 'Usage' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: chdb
SELECT line_item_product_code, toDayOfWeek(line_item_usage_start_date) % 7 AS weekday, sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_line_item_type = 'Usage' GROUP BY 1, 2 ORDER BY 1, 2
