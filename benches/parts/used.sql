line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage')
    AND coalesce(split_line_item_parent_resource_id, '') = ''
