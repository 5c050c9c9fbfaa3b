//! The policy documents that set-up takes, as pure functions: no call to AWS, no clock, the same text for the same names.
//!
//! IAM policies come in modes, each with the least rights for one purpose; bucket policies hold what delivery needs, and are
//! merged into what a bucket has. Every name that is known is filled in, and every resource is as narrow as AWS lets it be.
//! Sources: the Service Authorization Reference (actions and resource types), the Data Exports user guide pages
//! `bcm-data-exports-access` and `dataexports-s3-bucket`, the CUR user guide page `cur-s3`, and the IAM user guide (grammar,
//! quotas).

mod bucket;
mod deny;
mod function;
mod guide;
mod iam;
mod merge;
mod pattern;

use std::collections::BTreeSet;
use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
pub use bucket::{bucket_policy, guide_bucket};
pub(crate) use function::region_partition;
pub use function::{FUNCTIONS, PolicyFunction, scalar_functions};
pub use guide::{guide_linked, guide_option1, guide_option2};
pub use iam::iam_policy;
pub use merge::{Merged, merge_bucket_policy};

/// IAM's limit for a managed policy, in characters without white space (IAM user guide, "IAM and AWS STS quotas").
pub const IAM_POLICY_CHARACTERS: usize = 6_144;

/// S3's limit for a bucket policy, in bytes (S3 user guide, "Bucket policies": 20 KB).
pub const BUCKET_POLICY_BYTES: usize = 20_480;

/// The version of the policy language: the newest, and the only one with policy variables.
const VERSION: &str = "2012-10-17";

/// A part of AWS with accounts and names of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Partition {
    /// `aws`: the commercial Regions.
    #[default]
    Aws,
    /// `aws-cn`: China.
    China,
    /// `aws-us-gov`: GovCloud.
    GovCloud,
}

impl Partition {
    /// All, by their names in ARNs.
    pub const ALL: [(&'static str, Self); 3] = [
        ("aws", Self::Aws),
        ("aws-cn", Self::China),
        ("aws-us-gov", Self::GovCloud),
    ];

    /// The second part of ARNs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::GovCloud => "aws-us-gov",
        }
    }

    /// The partition that a Region such as `eu-west-1` belongs to, by the beginning of its name.
    pub fn of_region(region: &str) -> Self {
        match region {
            region if region.starts_with("cn-") => Self::China,
            region if region.starts_with("us-gov-") => Self::GovCloud,
            _ => Self::Aws,
        }
    }

    /// The Region in the ARNs of exports and reports, whatever Region the bucket is in. AWS documents no billing export of
    /// GovCloud accounts; the Region given for them is the partition's first.
    pub fn billing_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-northwest-1",
            Self::GovCloud => "us-gov-west-1",
        }
    }

    /// Where the AWS console of the partition is.
    pub fn console(self) -> &'static str {
        match self {
            Self::Aws => "https://console.aws.amazon.com",
            Self::China => "https://console.amazonaws.cn",
            Self::GovCloud => "https://console.amazonaws-us-gov.com",
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which kind of export rights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// CUR 2.0, by Data Exports.
    Cur2,
    /// FOCUS 1.2, by Data Exports.
    Focus,
    /// The legacy Cost and Usage Report.
    Cur,
}

impl Kind {
    /// All, by the names that they have in SQL.
    pub const ALL: [(&'static str, Self); 3] = [("cur2", Self::Cur2), ("focus", Self::Focus), ("cur", Self::Cur)];

    /// The table that Data Exports delivers it from; `None` for the legacy report, which has none.
    pub fn table(self) -> Option<&'static str> {
        match self {
            Self::Cur2 => Some("COST_AND_USAGE_REPORT"),
            Self::Focus => Some("FOCUS_1_2_AWS"),
            Self::Cur => None,
        }
    }
}

/// What is looked up in an account besides its bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// Instances, volumes, snapshots, addresses.
    Ec2,
    /// Buckets and their settings.
    S3,
    /// Users and when their keys were used last.
    Iam,
    /// Load balancers and their targets.
    Elb,
    /// Metrics.
    Cloudwatch,
}

impl Feature {
    /// All, by the names that they have in SQL.
    pub const ALL: [(&'static str, Self); 5] = [
        ("ec2", Self::Ec2),
        ("s3", Self::S3),
        ("iam", Self::Iam),
        ("elb", Self::Elb),
        ("cloudwatch", Self::Cloudwatch),
    ];
}

/// What an IAM policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Read a delivered export, and nothing else.
    Read,
    /// Also find exports, their tables and how their last deliveries went.
    Detect,
    /// Also create an export and prepare its bucket.
    Create,
    /// Look up resources of an account; nothing of its bill.
    Linked,
    /// Read which accounts the organization has.
    Organization,
    /// What an administrator needs to make the reader's policies, user and key.
    SetupUser,
    /// Assume the roles of one name, in every account or in one.
    Assume,
    /// The onboarding guide's policy of option 1, as printed there.
    GuideOption1,
    /// The onboarding guide's policy of option 2, as printed there.
    GuideOption2,
    /// The onboarding guide's resource discovery policy: the last statement of option 1.
    GuideLinked,
}

impl Mode {
    /// All, by the names that they have in SQL.
    pub const ALL: [(&'static str, Self); 10] = [
        ("read", Self::Read),
        ("detect", Self::Detect),
        ("create", Self::Create),
        ("linked", Self::Linked),
        ("organization", Self::Organization),
        ("setup_user", Self::SetupUser),
        ("assume", Self::Assume),
        ("guide_option1", Self::GuideOption1),
        ("guide_option2", Self::GuideOption2),
        ("guide_linked", Self::GuideLinked),
    ];
}

/// The names that are filled into an IAM policy. What is not known stays as wide as it has to be.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The partition of every ARN.
    pub partition: Partition,
    /// The account; `*` stands for it in ARNs if it is not known.
    pub account: Option<AccountId>,
    /// The bucket that exports are delivered to. Needed by the modes that read or create.
    pub bucket: Option<String>,
    /// The prefix of the export; slashes at its ends do not matter.
    pub prefix: Option<String>,
    /// The name of the export; if it is not known, everything below the prefix may be read.
    pub export_name: Option<String>,
    /// The kinds of exports; empty means CUR 2.0 where one is created, and all where exports are looked for.
    pub kinds: BTreeSet<Kind>,
    /// The features of resource discovery; empty means all.
    pub features: BTreeSet<Feature>,
    /// The IAM user that is to be created; `farthing` if not given.
    pub user_name: Option<String>,
    /// The name of the role that is to be assumed, with its path if it has one. Needed by the mode that assumes.
    pub role_name: Option<String>,
    /// The ARN of the KMS key that the bucket is encrypted with, if it is.
    pub kms_key: Option<String>,
}

/// The trust policy of a role that `principal_arn` may assume with `external_id`, which keeps others who know the role's
/// name from having it assumed for them (IAM user guide, "The confused deputy problem").
///
/// The principal is the ARN of an account's root, a user or a role, or the twelve digits of an account. Errors: `BadValue`.
pub fn trust_policy(principal_arn: &str, external_id: &str, partition: Partition) -> Result<Value> {
    let principal = match principal_arn.parse::<AccountId>() {
        Ok(account) => format!("arn:{partition}:iam::{account}:root"),
        Err(_) => checked_principal(principal_arn, partition)?,
    };
    // STS, AssumeRole: 2 to 1,224 characters of these.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if !(2..=1_224).contains(&external_id.len()) || !external_id.chars().all(allowed) {
        return Err(bad_argument("external_id", external_id)
            .with_hint("Give 2 to 1224 characters of A-Z, a-z, 0-9 and _ + = , . @ : / -, such as a random UUID."));
    }
    Ok(json!({
        "Version": VERSION,
        "Statement": [{
            "Sid": "FarthingAssumeRole",
            "Effect": "Allow",
            "Principal": { "AWS": principal },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
        }],
    }))
}

fn checked_principal(arn: &str, partition: Partition) -> Result<String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let known = match parts.as_slice() {
        ["arn", part, "iam", "", account, name] => {
            let named = |kind: &str| name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty());
            let plain = !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '"'));
            *part == partition.as_str()
                && account.parse::<AccountId>().is_ok()
                && plain
                && (*name == "root" || named("user/") || named("role/"))
        }
        _ => false,
    };
    if known {
        return Ok(arn.to_owned());
    }
    Err(bad_argument("principal", arn).with_hint(format!(
        "Give an account id, or arn:{partition}:iam::<account id>:root, :user/<name> or :role/<name>."
    )))
}

/// The characters that IAM counts of a policy. Error: `BadValue` if they are more than a managed policy may have.
pub fn check_size(policy: &Value) -> Result<usize> {
    let text = policy.to_string();
    let characters = text.chars().filter(|c| !c.is_whitespace()).count();
    if characters <= IAM_POLICY_CHARACTERS {
        return Ok(characters);
    }
    Err(Error::new(
        ErrorKind::BadValue,
        format!("the policy has {characters} characters, and IAM allows {IAM_POLICY_CHARACTERS}"),
    )
    .with_hint("Make one policy for each kind or feature, and attach them all to the user."))
}

/// The document as people read it: indented, and the elements of a statement in the order in which AWS writes them.
pub fn pretty(policy: &Value) -> String {
    // A document of texts and lists cannot fail to be written.
    serde_json::to_string_pretty(&Ordered(policy)).unwrap_or_else(|_| policy.to_string())
}

/// Elements of policies in AWS's order.
const ELEMENTS: [&str; 12] = [
    "Version",
    "Id",
    "Statement",
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut entries: Vec<(&String, &Value)> = object.iter().collect();
                entries.sort_by_key(|(name, _)| ELEMENTS.iter().position(|e| e == name).unwrap_or(ELEMENTS.len()));
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (name, value) in entries {
                    map.serialize_entry(name, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(list) => {
                let mut sequence = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    sequence.serialize_element(&Ordered(value))?;
                }
                sequence.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// The error for a value that an argument does not take.
fn bad_argument(argument: &str, value: &str) -> Error {
    let shown: String = value.chars().take(80).collect();
    Error::new(
        ErrorKind::BadValue,
        format!("the argument {argument} does not take \"{shown}\""),
    )
}

/// The error for an argument that is needed here.
fn needed(argument: &str, wanted_by: &str) -> Error {
    Error::new(
        ErrorKind::BadValue,
        format!("the argument {argument} is missing: {wanted_by} needs it"),
    )
}

/// A text inside an ARN of a policy, where `*`, `?` and `$` have a meaning (IAM user guide, "Policy variables").
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '?' | '$' => escaped.extend(['$', '{', c, '}']),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
