-- title: Volumes and snapshots by kind and account, on the delivered columns
-- set: delivered columns
-- engine: farthing
SELECT line_item_usage_account_id,
  CASE WHEN line_item_usage_type LIKE '%VolumeUsage.gp3' THEN 'gp3'
    WHEN line_item_usage_type LIKE '%VolumeUsage.gp2' THEN 'gp2'
    WHEN line_item_usage_type LIKE '%SnapshotUsage%' THEN 'snapshot'
    ELSE 'other' END AS kind,
  sum(line_item_usage_amount) AS amount, sum(line_item_unblended_cost) AS cost
FROM {export} WHERE line_item_product_code = 'AmazonEC2' AND line_item_usage_type LIKE '%EBS:%' AND line_item_line_item_type = 'Usage'
GROUP BY 1, 2 ORDER BY 1, 2
-- engine: duckdb
SELECT line_item_usage_account_id,
  CASE WHEN line_item_usage_type LIKE '%VolumeUsage.gp3' THEN 'gp3'
    WHEN line_item_usage_type LIKE '%VolumeUsage.gp2' THEN 'gp2'
    WHEN line_item_usage_type LIKE '%SnapshotUsage%' THEN 'snapshot'
    ELSE 'other' END AS kind,
  sum(line_item_usage_amount) AS amount, sum(line_item_unblended_cost) AS cost
FROM cur WHERE line_item_product_code = 'AmazonEC2' AND line_item_usage_type LIKE '%EBS:%' AND line_item_line_item_type = 'Usage'
GROUP BY 1, 2 ORDER BY 1, 2
