-- title: Cost that has each of three tags, by month
-- engine: farthing
SELECT x_billing_period, sum(billed_cost) AS cost,
  sum(CASE WHEN tags['user_team'] IS NOT NULL THEN billed_cost ELSE 0 END) AS with_team,
  sum(CASE WHEN tags['user_env'] IS NOT NULL THEN billed_cost ELSE 0 END) AS with_env,
  sum(CASE WHEN tags['user_app'] IS NOT NULL THEN billed_cost ELSE 0 END) AS with_app
FROM costs WHERE x_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') GROUP BY 1 ORDER BY 1
-- engine: duckdb
SELECT billing_period, sum(line_item_unblended_cost) AS cost,
  sum(CASE WHEN resource_tags['user_team'] IS NOT NULL THEN line_item_unblended_cost ELSE 0 END) AS with_team,
  sum(CASE WHEN resource_tags['user_env'] IS NOT NULL THEN line_item_unblended_cost ELSE 0 END) AS with_env,
  sum(CASE WHEN resource_tags['user_app'] IS NOT NULL THEN line_item_unblended_cost ELSE 0 END) AS with_app
FROM cur WHERE line_item_line_item_type IN ('Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage') GROUP BY 1 ORDER BY 1
