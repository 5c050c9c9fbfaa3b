CASE
    WHEN line_item_line_item_type = 'SavingsPlanNegation' THEN 0
    WHEN pricing_public_on_demand_cost IS NULL
      OR (coalesce(pricing_public_on_demand_rate, '') = '' AND pricing_public_on_demand_cost = 0)
      THEN line_item_unblended_cost
    ELSE pricing_public_on_demand_cost END
