//! IAM policies with the least rights for one purpose.
//!
//! `Resource` is `*` only for actions that have no resource type in the Service Authorization Reference.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Feature, Kind, Mode, Names, VERSION, bad_argument, check_size, guide, literal, needed};
use crate::account::location::{check_bucket, check_export_name};
use crate::error::Result;

/// The user that set-up makes if no other name is given.
const USER: &str = "farthing";

/// The IAM policy for one purpose. Errors: `BadValue` naming the argument that is missing or wrong, or if the policy would be
/// longer than IAM allows.
pub fn iam_policy(mode: Mode, names: &Names) -> Result<Value> {
    let names = Checked::of(names)?;
    let statements = match mode {
        Mode::Read => names.read("mode read")?,
        Mode::Detect => {
            let mut statements = names.read("mode detect")?;
            statements.extend(names.detect(&names.kinds_or(&Kind::ALL.map(|(_, kind)| kind))));
            statements
        }
        Mode::Create => {
            let kinds = names.kinds_or(&[Kind::Cur2]);
            let mut statements = names.read("mode create")?;
            statements.extend(names.detect(&kinds));
            statements.extend(names.create(&kinds));
            statements.push(names.prepare_bucket()?);
            statements
        }
        Mode::Linked => names.linked(),
        Mode::Organization => vec![allow(
            "FarthingReadOrganization",
            &["organizations:DescribeOrganization", "organizations:ListAccounts"],
            json!("*"),
        )],
        Mode::SetupUser => names.setup_user(),
        Mode::Assume => vec![allow(
            "FarthingAssumeRoles",
            &["sts:AssumeRole"],
            json!(names.role_arn()?),
        )],
        Mode::GuideOption1 => return Ok(guide::guide_option1(names.0.partition, names.0.bucket.as_deref())),
        Mode::GuideOption2 => return Ok(guide::guide_option2()),
        Mode::GuideLinked => return Ok(guide::guide_linked()),
    };
    let policy = json!({ "Version": VERSION, "Statement": statements });
    check_size(&policy)?;
    Ok(policy)
}

fn allow(sid: &str, actions: &[&str], resource: Value) -> Value {
    let action = match actions {
        [one] => json!(one),
        several => json!(several),
    };
    json!({ "Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource })
}

/// Names that fit into ARNs.
struct Checked<'a>(&'a Names);

impl<'a> Checked<'a> {
    fn of(names: &'a Names) -> Result<Self> {
        if let Some(bucket) = &names.bucket {
            check_bucket(bucket).map_err(|error| named(error, "bucket"))?;
        }
        if let Some(name) = &names.export_name {
            check_export_name(name).map_err(|error| named(error, "export_name"))?;
        }
        if let Some(prefix) = &names.prefix {
            // S3Prefix of Data Exports: up to 1,024 characters.
            if prefix.len() > 1_024 || prefix.chars().any(char::is_control) {
                return Err(bad_argument("prefix", prefix).with_hint("Give up to 1024 characters without line breaks."));
            }
        }
        if let Some(user) = &names.user_name {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            // IAM, CreateUser.
            if !(1..=64).contains(&user.len()) || !user.chars().all(allowed) {
                return Err(bad_argument("user_name", user)
                    .with_hint("Give 1 to 64 characters of A-Z, a-z, 0-9 and _ + = , . @ -"));
            }
        }
        if let Some(role) = &names.role_name {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
            // IAM, CreateRole: 64 characters of name and 512 of path.
            if !(1..=576).contains(&role.len()) || role.starts_with('/') || !role.chars().all(allowed) {
                return Err(bad_argument("role_name", role).with_hint(
                    "Give the name alone, with its path if it has one: A-Z, a-z, 0-9 and _ + = , . @ - /, not beginning with a slash.",
                ));
            }
        }
        if let Some(key) = &names.kms_key {
            let begins = format!("arn:{}:kms:", names.partition);
            let plain = !key.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '$'));
            // An alias cannot stand in a policy: the right is the key's.
            if !key.starts_with(&begins) || !key.contains(":key/") || !plain {
                return Err(bad_argument("kms_key", key).with_hint(format!(
                    "Give the key's ARN, {begins}<region>:<account id>:key/<key id>."
                )));
            }
        }
        Ok(Self(names))
    }

    fn kinds_or(&self, default: &[Kind]) -> BTreeSet<Kind> {
        if self.0.kinds.is_empty() {
            default.iter().copied().collect()
        } else {
            self.0.kinds.clone()
        }
    }

    fn account(&self) -> &str {
        self.0.account.as_ref().map_or("*", |account| account.as_str())
    }

    fn bucket_arn(&self, wanted_by: &str) -> Result<String> {
        let bucket = self.0.bucket.as_deref().ok_or_else(|| {
            needed("bucket", wanted_by).with_hint(
                "Give bucket => '<name>': the column \"S3 bucket\" of the Data Exports page, without s3:// or a path.",
            )
        })?;
        Ok(format!("arn:{}:s3:::{bucket}", self.0.partition))
    }

    fn role_arn(&self) -> Result<String> {
        let name = self.0.role_name.as_deref().ok_or_else(|| {
            needed("role_name", "mode assume").with_hint("Give role_name => '<name>', the same in every account.")
        })?;
        Ok(format!("arn:{}:iam::{}:role/{name}", self.0.partition, self.account()))
    }

    fn data_exports_arn(&self, resource: &str) -> String {
        let partition = self.0.partition;
        let (region, account) = (partition.billing_region(), self.account());
        format!("arn:{partition}:bcm-data-exports:{region}:{account}:{resource}")
    }

    fn iam_arn(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.0.partition, self.account())
    }

    /// What reading a delivered export takes. Listing is not narrowed to the prefix: the location is looked at from its
    /// bucket downwards (`HeadBucket` carries no prefix), and names of other objects are all that it adds.
    fn read(&self, wanted_by: &str) -> Result<Vec<Value>> {
        let bucket = self.bucket_arn(wanted_by)?;
        let prefix = self.0.prefix.as_deref().unwrap_or("").trim_matches('/');
        let below = [prefix, self.0.export_name.as_deref().unwrap_or("")]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| format!("{}/", literal(part)))
            .collect::<String>();
        let mut statements = vec![
            allow(
                "FarthingListBucket",
                &["s3:ListBucket", "s3:GetBucketLocation"],
                json!(bucket),
            ),
            allow(
                "FarthingReadExport",
                &["s3:GetObject"],
                json!(format!("{bucket}/{below}*")),
            ),
        ];
        if let Some(key) = &self.0.kms_key {
            statements.push(allow("FarthingDecryptExport", &["kms:Decrypt"], json!(key)));
        }
        Ok(statements)
    }

    /// What finding exports and following their deliveries takes.
    fn detect(&self, kinds: &BTreeSet<Kind>) -> Vec<Value> {
        let mut statements = Vec::new();
        let tables: Vec<String> = kinds
            .iter()
            .filter_map(|kind| kind.table())
            .map(|table| self.data_exports_arn(&format!("table/{table}")))
            .collect();
        if !tables.is_empty() {
            statements.extend([
                allow(
                    "FarthingListExports",
                    &["bcm-data-exports:ListExports", "bcm-data-exports:ListTables"],
                    json!("*"),
                ),
                allow(
                    "FarthingReadExportStatus",
                    &[
                        "bcm-data-exports:GetExport",
                        "bcm-data-exports:ListExecutions",
                        "bcm-data-exports:GetExecution",
                    ],
                    json!(self.data_exports_arn("export/*")),
                ),
                allow("FarthingReadTable", &["bcm-data-exports:GetTable"], one_or_all(tables)),
            ]);
        }
        if kinds.contains(&Kind::Cur) {
            statements.push(allow(
                "FarthingListLegacyReports",
                &["cur:DescribeReportDefinitions"],
                json!("*"),
            ));
        }
        statements
    }

    /// What creating an export takes. AWS wants `cur:PutReportDefinition` for CUR 2.0, too.
    fn create(&self, kinds: &BTreeSet<Kind>) -> Vec<Value> {
        let mut statements = Vec::new();
        let mut resources: Vec<String> = kinds
            .iter()
            .filter_map(|kind| kind.table())
            .map(|table| self.data_exports_arn(&format!("table/{table}")))
            .collect();
        if !resources.is_empty() {
            resources.push(self.data_exports_arn("export/*"));
            statements.push(allow(
                "FarthingCreateExport",
                &["bcm-data-exports:CreateExport"],
                one_or_all(resources),
            ));
        }
        // With CUR 2.0 AWS does not say which definition it checks; a legacy report is checked by its name.
        let definition = match (&self.0.export_name, kinds.contains(&Kind::Cur2)) {
            (Some(name), false) => literal(name),
            _ => "*".to_owned(),
        };
        if kinds.contains(&Kind::Cur2) || kinds.contains(&Kind::Cur) {
            let partition = self.0.partition;
            let (region, account) = (partition.billing_region(), self.account());
            statements.push(allow(
                "FarthingPutReportDefinition",
                &["cur:PutReportDefinition"],
                json!(format!(
                    "arn:{partition}:cur:{region}:{account}:definition/{definition}"
                )),
            ));
        }
        statements
    }

    /// What making the bucket, or opening a present one to the delivery, takes.
    fn prepare_bucket(&self) -> Result<Value> {
        Ok(allow(
            "FarthingPrepareBucket",
            &[
                "s3:CreateBucket",
                "s3:GetBucketPolicy",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutEncryptionConfiguration",
            ],
            json!(self.bucket_arn("mode create")?),
        ))
    }

    /// Resource discovery, one statement for each feature, so that a feature can be refused by leaving it out.
    fn linked(&self) -> Vec<Value> {
        let all: BTreeSet<Feature> = Feature::ALL.into_iter().map(|(_, feature)| feature).collect();
        let chosen = if self.0.features.is_empty() {
            &all
        } else {
            &self.0.features
        };
        chosen.iter().flat_map(|feature| self.feature(*feature)).collect()
    }

    fn feature(&self, feature: Feature) -> Vec<Value> {
        match feature {
            // Named one by one: ec2:Describe* would include DescribeInstanceAttribute, which shows user data.
            Feature::Ec2 => vec![allow(
                "FarthingDiscoverEc2",
                &[
                    "ec2:DescribeRegions",
                    "ec2:DescribeInstances",
                    "ec2:DescribeVolumes",
                    "ec2:DescribeSnapshots",
                    "ec2:DescribeImages",
                    "ec2:DescribeAddresses",
                    "ec2:DescribeNatGateways",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeVpcs",
                ],
                json!("*"),
            )],
            Feature::S3 => vec![
                allow("FarthingListBuckets", &["s3:ListAllMyBuckets"], json!("*")),
                allow(
                    "FarthingDiscoverBuckets",
                    &[
                        "s3:GetBucketLocation",
                        "s3:GetBucketTagging",
                        "s3:GetBucketAcl",
                        "s3:GetBucketPolicyStatus",
                        "s3:GetBucketPublicAccessBlock",
                    ],
                    json!(format!("arn:{}:s3:::*", self.0.partition)),
                ),
            ],
            Feature::Iam => vec![
                allow("FarthingListUsers", &["iam:ListUsers"], json!("*")),
                allow(
                    "FarthingDiscoverUsers",
                    &["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed", "iam:GetLoginProfile"],
                    json!(self.iam_arn("user/*")),
                ),
            ],
            Feature::Elb => vec![allow(
                "FarthingDiscoverLoadBalancers",
                &[
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "elasticloadbalancing:DescribeTargetHealth",
                    "elasticloadbalancing:DescribeInstanceHealth",
                    "elasticloadbalancing:DescribeTags",
                ],
                json!("*"),
            )],
            Feature::Cloudwatch => vec![allow(
                "FarthingReadMetrics",
                &[
                    "cloudwatch:GetMetricStatistics",
                    "cloudwatch:GetMetricData",
                    "cloudwatch:ListMetrics",
                ],
                json!("*"),
            )],
        }
    }

    /// What making the reader takes: policies that begin with the user's name, the one user, and only those policies on it.
    fn setup_user(&self) -> Vec<Value> {
        let user = self.0.user_name.as_deref().unwrap_or(USER);
        let (user_arn, policies) = (
            self.iam_arn(&format!("user/{user}")),
            self.iam_arn(&format!("policy/{user}-*")),
        );
        vec![
            allow(
                "FarthingCreatePolicies",
                &["iam:CreatePolicy", "iam:GetPolicy", "iam:GetPolicyVersion"],
                json!(policies),
            ),
            allow(
                "FarthingCreateUser",
                &[
                    "iam:CreateUser",
                    "iam:GetUser",
                    "iam:CreateAccessKey",
                    "iam:ListAccessKeys",
                    "iam:ListAttachedUserPolicies",
                ],
                json!(user_arn),
            ),
            json!({
                "Sid": "FarthingAttachPolicies",
                "Effect": "Allow",
                "Action": "iam:AttachUserPolicy",
                "Resource": user_arn,
                "Condition": { "ArnLike": { "iam:PolicyARN": policies } },
            }),
        ]
    }
}

fn one_or_all(mut resources: Vec<String>) -> Value {
    match resources.len() {
        1 => json!(resources.remove(0)),
        _ => json!(resources),
    }
}

/// The error with the argument named.
fn named(error: crate::error::Error, argument: &str) -> crate::error::Error {
    let named = crate::error::Error::new(error.kind(), format!("the argument {argument}: {error}"));
    match error.hint() {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}
