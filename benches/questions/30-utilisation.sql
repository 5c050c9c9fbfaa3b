-- title: What was used of each Savings Plan, and what was not, by month
-- engine: farthing
SELECT commitment_discount_id, x_billing_period,
  sum(CASE WHEN x_line_item_type = 'SavingsPlanCoveredUsage' THEN x_amortized_cost ELSE 0 END) AS used,
  sum(CASE WHEN x_line_item_type = 'SavingsPlanRecurringFee' THEN x_amortized_cost ELSE 0 END) AS unused
FROM costs WHERE commitment_discount_type = 'Savings Plan' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT savings_plan_savings_plan_a_r_n, billing_period,
  sum(CASE WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'SavingsPlanRecurringFee'
    THEN savings_plan_total_commitment_to_date - savings_plan_used_commitment ELSE 0 END)
FROM cur WHERE savings_plan_savings_plan_a_r_n <> '' GROUP BY 1, 2 ORDER BY 1, 2
