-- title: Usage, discounts, credits, tax and fees by month and account, side by side, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT billing_period, line_item_usage_account_id,
  sum(CASE WHEN line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
    THEN line_item_unblended_cost ELSE 0 END) AS usage_cost,
  sum(CASE WHEN line_item_line_item_type IN ('EdpDiscount', 'PrivateRateDiscount', 'BundledDiscount')
    THEN line_item_unblended_cost ELSE 0 END) AS discounts,
  sum(CASE WHEN line_item_line_item_type = 'Credit' THEN line_item_unblended_cost ELSE 0 END) AS credits,
  sum(CASE WHEN line_item_line_item_type = 'Tax' THEN line_item_unblended_cost ELSE 0 END) AS tax,
  sum(CASE WHEN line_item_line_item_type IN ('Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee')
    THEN line_item_unblended_cost ELSE 0 END) AS fees
FROM {export} GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT billing_period, line_item_usage_account_id,
  sum(CASE WHEN line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
    THEN line_item_unblended_cost ELSE 0 END) AS usage_cost,
  sum(CASE WHEN line_item_line_item_type IN ('EdpDiscount', 'PrivateRateDiscount', 'BundledDiscount')
    THEN line_item_unblended_cost ELSE 0 END) AS discounts,
  sum(CASE WHEN line_item_line_item_type = 'Credit' THEN line_item_unblended_cost ELSE 0 END) AS credits,
  sum(CASE WHEN line_item_line_item_type = 'Tax' THEN line_item_unblended_cost ELSE 0 END) AS tax,
  sum(CASE WHEN line_item_line_item_type IN ('Fee', 'RIFee', 'SavingsPlanUpfrontFee', 'SavingsPlanRecurringFee')
    THEN line_item_unblended_cost ELSE 0 END) AS fees
FROM cur GROUP BY 1, 2 ORDER BY 1, 2
