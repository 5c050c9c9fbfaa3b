//! AWS Data Exports and legacy reports, with the AWS SDK.

mod executions;
mod exports;
mod reports;

use super::{BUCKET, Organisation, PAYER, user};
use crate::aws::{AccessKey, Sandbox};

/// What AWS prints for both services, for the tests' bucket and account.
const BUCKET_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":["billingreports.amazonaws.com","bcm-data-exports.amazonaws.com"]},
    "Action":["s3:PutObject","s3:GetBucketPolicy"],
    "Resource":["arn:aws:s3:::billing-exports","arn:aws:s3:::billing-exports/*"],
    "Condition":{"StringLike":{"aws:SourceAccount":"111122223333","aws:SourceArn":[
        "arn:aws:cur:us-east-1:111122223333:definition/*",
        "arn:aws:bcm-data-exports:us-east-1:111122223333:export/*"]}}}]}"#;
/// Lets neither service in.
const CLOSED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:ListBucket",
    "Resource":"arn:aws:s3:::billing-exports"}]}"#;
const EVERYTHING: &str = r#"{"Statement":{"Effect":"Allow","Action":["bcm-data-exports:*","cur:*"],"Resource":"*"}}"#;

/// An organisation whose bucket both services may deliver to, and the key of a user who may do everything with them.
async fn billing() -> (Sandbox, AccessKey) {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_bucket_policy(BUCKET, BUCKET_POLICY).unwrap();
    let key = user(&sandbox, PAYER, "billing", Some(EVERYTHING));
    (sandbox, key)
}

/// [`EVERYTHING`] with one action denied.
fn all_but(action: &str) -> String {
    serde_json::json!({"Statement": [
        {"Effect": "Allow", "Action": ["bcm-data-exports:*", "cur:*"], "Resource": "*"},
        {"Effect": "Deny", "Action": action, "Resource": "*"},
    ]})
    .to_string()
}
