-- title: Reservations: cost used and cost unused by reservation and month, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT reservation_reservation_a_r_n, billing_period,
  sum(CASE WHEN line_item_line_item_type = 'DiscountedUsage' THEN reservation_effective_cost ELSE 0 END) AS used,
  sum(CASE WHEN line_item_line_item_type = 'RIFee'
    THEN reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee ELSE 0 END) AS unused
FROM {export} WHERE pricing_term = 'Reserved' OR line_item_line_item_type = 'RIFee' GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT reservation_reservation_a_r_n, billing_period,
  sum(CASE WHEN line_item_line_item_type = 'DiscountedUsage' THEN reservation_effective_cost ELSE 0 END) AS used,
  sum(CASE WHEN line_item_line_item_type = 'RIFee'
    THEN reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee ELSE 0 END) AS unused
FROM cur WHERE pricing_term = 'Reserved' OR line_item_line_item_type = 'RIFee' GROUP BY 1, 2 ORDER BY 1, 2
