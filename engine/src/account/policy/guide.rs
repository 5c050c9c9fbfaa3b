//! The IAM policies that the onboarding guide prints, action for action, so that what a user has can be compared with them.
//!
//! They grant more than is needed, and option 1 less than finding a CUR 2.0 export takes; [`super::iam_policy`] has the
//! least. What stands for a name that is not given is the guide's own placeholder.

use serde_json::{Value, json};

use super::{Partition, VERSION};

/// The policy of option 1, "ReadOnly Policy": reads the bucket, finds legacy reports, and discovers resources.
pub fn guide_option1(partition: Partition, bucket: Option<&str>) -> Value {
    let bucket = format!("arn:{partition}:s3:::{}", bucket.unwrap_or("<bucket_name>"));
    json!({
        "Version": VERSION,
        "Statement": [
            { "Effect": "Allow", "Action": ["cur:DescribeReportDefinitions"], "Resource": "*" },
            { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": format!("{bucket}/*") },
            { "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": bucket },
            discovery(),
        ],
    })
}

/// The policy of option 2, "Enhanced IAM Policy": creates an export.
pub fn guide_option2() -> Value {
    json!({
        "Version": VERSION,
        "Statement": [{
            "Effect": "Allow",
            "Action": [
                "cur:DescribeReportDefinitions", "cur:PutReportDefinition",
                "bcm-data-exports:ListExports", "bcm-data-exports:GetExport", "bcm-data-exports:CreateExport",
                "s3:CreateBucket", "s3:GetObject", "s3:PutBucketPolicy", "s3:ListBucket", "s3:GetBucketLocation",
            ],
            "Resource": "*",
        }],
    })
}

/// The "Resource Discovery Policy" of options 2 and 3, which the guide prints as the last statement of option 1.
pub fn guide_linked() -> Value {
    json!({ "Version": VERSION, "Statement": [discovery()] })
}

fn discovery() -> Value {
    json!({
        "Effect": "Allow",
        "Action": [
            "s3:GetBucket*",
            "iam:GetAccessKeyLastUsed",
            "cloudwatch:GetMetricStatistics",
            "ec2:Describe*",
            "s3:ListAllMyBuckets",
            "iam:ListUsers",
            "s3:GetBucketLocation",
            "iam:GetLoginProfile",
            "cur:DescribeReportDefinitions",
            "iam:ListAccessKeys",
            "elasticloadbalancing:Describe*",
        ],
        "Resource": "*",
    })
}
