//! What a bucket's policy has to grant, so that AWS delivers exports into it.
//!
//! Data Exports needs `s3:PutObject` alone (Data Exports user guide, `dataexports-s3-bucket`). Legacy reports also look at the
//! bucket's ACL and policy first (CUR user guide, `cur-s3`). Each grant holds for exports of one account, whose number is
//! part of the Sid: several payers may deliver to one bucket.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Kind, Partition, VERSION};
use crate::id::AccountId;

/// The service that delivers Data Exports.
const DATA_EXPORTS: &str = "bcm-data-exports.amazonaws.com";
/// The service that delivers legacy reports.
const LEGACY_REPORTS: &str = "billingreports.amazonaws.com";

/// The policy of a bucket into which exports of `kinds` of `account` are delivered; no kind means CUR 2.0.
pub fn bucket_policy(bucket: &str, account: AccountId, kinds: &BTreeSet<Kind>, partition: Partition) -> Value {
    let region = partition.billing_region();
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    let (exports, reports) = (
        format!("arn:{partition}:bcm-data-exports:{region}:{account}:export/*"),
        format!("arn:{partition}:cur:{region}:{account}:definition/*"),
    );
    let grant = |purpose: &str, service: &str, action: Value, resource: String, source: &str| {
        json!({
            "Sid": format!("Farthing{purpose}{account}"),
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": action,
            "Resource": resource,
            "Condition": {
                "StringEquals": { "aws:SourceAccount": account },
                // Not StringEquals, for which the asterisk is a plain character.
                "ArnLike": { "aws:SourceArn": source },
            },
        })
    };
    let mut statements = Vec::new();
    if kinds.is_empty() || kinds.iter().any(|kind| kind.table().is_some()) {
        let (action, objects) = (json!("s3:PutObject"), format!("{bucket}/*"));
        statements.push(grant("DeliverExports", DATA_EXPORTS, action, objects, &exports));
    }
    if kinds.contains(&Kind::Cur) {
        let look = json!(["s3:GetBucketAcl", "s3:GetBucketPolicy"]);
        statements.push(grant(
            "CheckLegacyReports",
            LEGACY_REPORTS,
            look,
            bucket.clone(),
            &reports,
        ));
        let (action, objects) = (json!("s3:PutObject"), format!("{bucket}/*"));
        statements.push(grant("DeliverLegacyReports", LEGACY_REPORTS, action, objects, &reports));
    }
    json!({ "Version": VERSION, "Statement": statements })
}

/// The bucket policy that the onboarding guide prints, with its Sid. It grants more than Data Exports needs, and lacks
/// `s3:GetBucketAcl` for legacy reports. The guide's placeholders stand for what is not given.
pub fn guide_bucket(bucket: Option<&str>, account: Option<AccountId>, partition: Partition) -> Value {
    let region = partition.billing_region();
    let bucket = format!("arn:{partition}:s3:::{}", bucket.unwrap_or("<bucket_name>"));
    let account = account.map_or_else(|| "<AWS_account_ID>".to_owned(), |account| account.to_string());
    json!({
        "Version": VERSION,
        "Statement": [{
            "Sid": "EnableAWSDataExportsToWriteToS3AndCheckPolicy",
            "Effect": "Allow",
            "Principal": { "Service": [LEGACY_REPORTS, DATA_EXPORTS] },
            "Action": ["s3:PutObject", "s3:GetBucketPolicy"],
            "Resource": [format!("{bucket}/*"), bucket],
            "Condition": {
                "StringLike": {
                    "aws:SourceAccount": account,
                    "aws:SourceArn": [
                        format!("arn:{partition}:cur:{region}:{account}:definition/*"),
                        format!("arn:{partition}:bcm-data-exports:{region}:{account}:export/*"),
                    ],
                },
            },
        }],
    })
}
