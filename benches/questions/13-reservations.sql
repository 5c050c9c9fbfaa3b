-- title: Reservations: what was used and what was not
-- engine: farthing
SELECT commitment_discount_id,
  sum(CASE WHEN commitment_discount_status = 'Used' THEN consumed_quantity ELSE 0 END) AS used_hours,
  sum(CASE WHEN commitment_discount_status = 'Used' THEN x_amortized_cost ELSE 0 END) AS used_cost,
  sum(CASE WHEN x_line_item_type = 'RIFee' THEN x_amortized_cost ELSE 0 END) AS unused_cost
FROM costs WHERE commitment_discount_type = 'Reserved Instance' GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT reservation_reservation_a_r_n,
  sum(CASE WHEN line_item_line_item_type = 'DiscountedUsage' THEN line_item_usage_amount ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'DiscountedUsage' THEN reservation_effective_cost ELSE 0 END),
  sum(CASE WHEN line_item_line_item_type = 'RIFee'
    THEN reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee ELSE 0 END)
FROM cur WHERE reservation_reservation_a_r_n <> '' AND coalesce(savings_plan_savings_plan_a_r_n, '') = ''
GROUP BY 1 ORDER BY 1
