//! What was asked of AWS, so that an error can name it.

use farthing_engine::error::{Error, ErrorKind};
use farthing_engine::port::AccessKey;
use serde_json::{Value, json};

use crate::aws::credential::masked;

/// What was asked of AWS, so that an error can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsCall {
    /// The IAM action, such as `s3:GetObject`.
    pub(super) action: &'static str,
    /// The ARN that the action is on.
    pub(super) arn: String,
    /// The ARNs to name in a policy that would allow it.
    pub(super) grant_on: Vec<String>,
    /// The object in words: an `s3://` URI, an export, or an access key id with its middle left out.
    pub(super) object: String,
    /// The bucket, where one was asked.
    pub(super) bucket: Option<String>,
    /// What to do where AWS does not accept the request or does not find its object.
    pub(super) advice: &'static str,
}

impl AwsCall {
    /// An action on `arn`, which is also what a policy has to name; the object in words.
    pub(crate) fn on(action: &'static str, arn: impl Into<String>, object: impl Into<String>) -> Self {
        let arn = arn.into();
        Self {
            action,
            grant_on: vec![arn.clone()],
            arn,
            object: object.into(),
            bucket: None,
            advice: "The detail has AWS's error code and request id.",
        }
    }

    /// With other ARNs for the policy than that of the call: all that the action is needed on.
    pub(crate) fn granted_on(mut self, arns: impl IntoIterator<Item = String>) -> Self {
        self.grant_on = arns.into_iter().collect();
        self
    }

    /// With what to do where AWS does not accept the request or does not find its object.
    pub(crate) fn advising(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    /// `sts:GetCallerIdentity`.
    pub(crate) fn identify(key: &AccessKey) -> Self {
        let object = format!("access key {}", masked(&key.access_key_id));
        Self::on("sts:GetCallerIdentity", "*", object)
    }

    /// `sts:AssumeRole`.
    pub(crate) fn assume(role_arn: &str) -> Self {
        Self::on("sts:AssumeRole", role_arn, format!("role {role_arn}"))
    }

    /// `s3:ListBucket`, which S3 asks for HeadBucket and for listing.
    pub fn list(bucket: &str, region: &str) -> Self {
        let arn = format!("arn:{}:s3:::{bucket}", partition(region));
        Self {
            bucket: Some(bucket.to_owned()),
            ..Self::on("s3:ListBucket", arn, format!("s3://{bucket}"))
        }
    }

    /// `s3:GetObject`, which S3 asks for GET and HEAD of an object. `base_key` is the export's own folder, the least
    /// that a policy has to name.
    pub fn get(bucket: &str, region: &str, key: &str, base_key: &str) -> Self {
        let partition = partition(region);
        let arn = format!("arn:{partition}:s3:::{bucket}/{key}");
        Self {
            bucket: Some(bucket.to_owned()),
            ..Self::on("s3:GetObject", arn, format!("s3://{bucket}/{key}"))
        }
        .granted_on([format!("arn:{partition}:s3:::{bucket}/{base_key}/*")])
    }

    pub(super) fn on_bucket(&self) -> bool {
        self.action == "s3:ListBucket"
    }

    /// The `Resource` of a statement that would allow it.
    pub(super) fn resource(&self) -> Value {
        match self.grant_on.as_slice() {
            [one] => json!(one),
            several => json!(several),
        }
    }

    /// The error for a name that is in use.
    pub(crate) fn taken(&self) -> Error {
        Error::new(ErrorKind::Duplicate, format!("{} exists already", self.object))
            .with_hint("Give another name, or connect the one that exists.")
    }
}

/// The ARN partition of a Region: China and GovCloud are AWS's other two public ones.
pub(super) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
