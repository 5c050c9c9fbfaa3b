-- title: Share of the cost that has no team, by account
-- engine: farthing
SELECT sub_account_id,
  sum(CASE WHEN tags['user_team'] IS NULL THEN billed_cost ELSE 0 END) AS untagged,
  CAST(sum(CASE WHEN tags['user_team'] IS NULL THEN billed_cost ELSE 0 END) AS DOUBLE)
    / CAST(sum(billed_cost) AS DOUBLE) AS share
FROM costs WHERE charge_category = 'Usage' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT line_item_usage_account_id,
  sum(CASE WHEN resource_tags['user_team'] IS NULL THEN line_item_unblended_cost ELSE 0 END) AS untagged,
  sum(CASE WHEN resource_tags['user_team'] IS NULL THEN line_item_unblended_cost ELSE 0 END)
    / sum(line_item_unblended_cost) AS share
FROM cur
WHERE line_item_line_item_type NOT IN ('Tax', 'Credit', 'Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee',
  'FlatRateSubscription') AND NOT (line_item_line_item_type = 'Refund' AND coalesce(line_item_tax_type, '') <> '')
GROUP BY 1 ORDER BY 1
