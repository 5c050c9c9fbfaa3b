-- title: What each service would cost at public prices, what it costs, and the rate saved
-- engine: farthing
SELECT x_service_code, sum(list_cost) AS list_cost, sum(effective_cost) AS cost,
  1 - CAST(sum(effective_cost) AS DOUBLE) / nullif(CAST(sum(list_cost) AS DOUBLE), 0) AS saved
FROM costs WHERE charge_category = 'Usage' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT line_item_product_code, sum({list_cost}) AS list_cost, sum({net_amortized}) AS cost,
  1 - sum({net_amortized}) / nullif(sum({list_cost}), 0) AS saved
FROM cur
WHERE line_item_line_item_type NOT IN ('Tax', 'Credit', 'Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee',
  'FlatRateSubscription') AND NOT (line_item_line_item_type = 'Refund' AND coalesce(line_item_tax_type, '') <> '')
GROUP BY 1 ORDER BY 1
