-- title: Usage, purchases, tax and credits by seller
-- engine: farthing
SELECT charge_category, publisher_name, sum(billed_cost) AS cost FROM costs GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT CASE
    WHEN line_item_line_item_type = 'Tax' THEN 'Tax'
    WHEN line_item_line_item_type = 'Credit' THEN 'Credit'
    WHEN line_item_line_item_type IN ('Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee', 'FlatRateSubscription')
      THEN 'Purchase'
    WHEN line_item_line_item_type = 'Refund' AND coalesce(line_item_tax_type, '') <> '' THEN 'Tax'
    ELSE 'Usage' END AS charge_category,
  line_item_legal_entity, sum(line_item_unblended_cost) AS cost
FROM cur GROUP BY 1, 2 ORDER BY 1, 2
