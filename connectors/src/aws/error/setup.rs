//! The calls of set-up: what they are in words, and what their refusals mean.
//!
//! Sources: error codes of the models of iam 2010-05-08 and organizations 2016-11-28, and the S3 API reference, "Error
//! responses".

use std::time::Duration;

use farthing_engine::error::{Error, ErrorKind, Retry};

use super::call::partition;
use super::{AwsCall, Failure, named_refusal};

impl AwsCall {
    /// An action on a bucket itself, such as `s3:CreateBucket`.
    pub(crate) fn bucket(action: &'static str, bucket: &str, region: &str) -> Self {
        Self {
            action,
            ..Self::list(bucket, region)
        }
    }

    /// An action of AWS Organizations; they have no resource of the caller's account.
    pub(crate) fn organizations(action: &'static str) -> Self {
        Self::on(action, "*", "the organization")
    }

    /// An action of IAM on a user. The account is left open until AWS names it in a refusal.
    pub(crate) fn user(action: &'static str, name: &str, region: &str) -> Self {
        let arn = format!("arn:{}:iam::*:user/{name}", partition(region));
        Self::on(action, arn, format!("IAM user \"{name}\""))
    }

    /// An action of IAM on a managed policy. The account is left open until AWS names it in a refusal.
    pub(crate) fn policy(action: &'static str, name: &str, region: &str) -> Self {
        let arn = format!("arn:{}:iam::*:policy/{name}", partition(region));
        Self::on(action, arn, format!("IAM policy \"{name}\""))
    }

    /// An action of IAM on the user, role or policy of this ARN.
    pub(crate) fn identity(action: &'static str, arn: &str) -> Self {
        Self::on(action, arn, arn)
    }

    /// The error for a good answer that lacks what AWS always sends.
    pub(crate) fn answered_without(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::AwsUnreachable,
            format!("AWS answered {} without {what}", self.action),
        )
        .with_hint("Check that the endpoint is AWS's; if it is, try again.")
    }

    /// The same call with the account that AWS names in its refusal.
    fn with_named_resource(&self, message: &str) -> Self {
        match named_refusal(message) {
            Some((action, arn)) if action == self.action && self.arn.contains("::*:") && arn.starts_with("arn:") => {
                Self {
                    grant_on: vec![arn.clone()],
                    arn,
                    ..self.clone()
                }
            }
            _ => self.clone(),
        }
    }
}

impl Failure {
    /// The engine's error for this failure of a call of set-up: what is particular to these calls, and for the rest what
    /// [`Failure::into_error`] says.
    pub(crate) fn into_setup_error(self, call: &AwsCall) -> Error {
        let text = self.shown_message();
        let reason = text.as_deref().unwrap_or("it gives no reason");
        let error = match self.code.as_deref() {
            Some("AccessDenied" | "AccessDeniedException") => self.refusal(call, reason),
            Some("BucketAlreadyExists") => Some(
                Error::new(ErrorKind::Duplicate, format!("{} belongs to another AWS account", call.object)).with_hint(
                    "Bucket names are unique among all accounts: choose another, for example with your account id in it.",
                ),
            ),
            Some("EntityAlreadyExists") => Some(
                Error::new(ErrorKind::Duplicate, format!("{} already exists", call.object)).with_hint("Choose another name, or use what is there."),
            ),
            Some("NoSuchEntity") => Some(
                Error::new(ErrorKind::Missing, format!("AWS knows no such thing for {}: {reason}", asked(call)))
                    .with_hint("Check the name; what has been made just now may take some seconds to be visible."),
            ),
            Some("LimitExceeded" | "LimitExceededException" | "TooManyBuckets") => Some(
                Error::new(ErrorKind::Limit, format!("a quota of AWS does not allow {}: {reason}", asked(call)))
                    .with_hint(quota_hint(reason)),
            ),
            Some("MalformedPolicyDocument" | "MalformedPolicy") => Some(
                Error::new(ErrorKind::BadValue, format!("AWS does not accept the policy for {}: {reason}", call.object))
                    .with_hint("Correct the policy document where AWS's reason points to."),
            ),
            Some("InvalidInput" | "InvalidInputException" | "ValidationError" | "PolicyNotAttachable") => Some(
                Error::new(ErrorKind::BadValue, format!("AWS does not accept {}: {reason}", asked(call)))
                    .with_hint("Correct the value that AWS's reason names."),
            ),
            Some("InvalidLocationConstraint" | "IllegalLocationConstraintException") if call.action == "s3:CreateBucket" => {
                Some(
                    Error::new(ErrorKind::BadValue, format!("{} cannot be made there: {reason}", call.object))
                        .with_hint("Give a Region of AWS that is enabled for the account, such as 'eu-central-1'."),
                )
            }
            Some(
                "ConcurrentModification" | "ConcurrentModificationException" | "EntityTemporarilyUnmodifiable"
                | "OperationAborted",
            ) => Some(
                Error::new(ErrorKind::Locked, format!("someone else changes {} at this moment", call.object))
                    .with_hint("Try again in a few seconds.")
                    .with_retry(Retry::After(Duration::from_secs(5))),
            ),
            // Its HTTP status is that of an outage, which it is not.
            Some("PolicyEvaluation") => Some(
                Error::new(
                    ErrorKind::AwsRefused,
                    format!("AWS's simulator fails on a policy of {}: {reason}", call.object),
                )
                .with_hint("Try the calls themselves instead."),
            ),
            Some("AWSOrganizationsNotInUseException") => Some(
                Error::new(ErrorKind::Missing, "the AWS account of the access key belongs to no organization")
                    .with_hint("A stand-alone account pays for itself: connect it as root."),
            ),
            _ => None,
        };
        match error {
            Some(error) => error.with_detail(self.facts()),
            None => {
                let call = call.with_named_resource(reason);
                self.into_error(&call)
            }
        }
    }

    /// Refusals that no `Allow` statement of the caller cures.
    pub(super) fn refusal(&self, call: &AwsCall, reason: &str) -> Option<Error> {
        let hint = if reason.contains("Block Public Access") {
            "The policy makes the bucket public: name accounts or services as its principals, with conditions."
        } else if reason.contains("in a service control policy") {
            "A service control policy of the organization denies it, so an Allow does not help: ask the organization's \
             administrator, or use another Region or account."
        } else if reason.contains("with an explicit deny") {
            "A Deny statement applies to it, so an Allow does not help: remove that Deny or narrow it."
        } else if call.bucket.is_some() && reason.contains("because no resource-based policy allows") {
            "The bucket is another account's, so an Allow to the user alone does not help: its owner has to allow it in the \
             bucket policy too."
        } else if call.action == "organizations:ListAccounts" && !reason.contains("not authorized to perform") {
            "Only the management account and delegated administrators may list accounts: use a key of the management account."
        } else {
            return None;
        };
        let call = call.with_named_resource(reason);
        // Another action than the one asked, such as kms:Decrypt, is named by AWS.
        let (action, arn) = match named_refusal(reason) {
            Some((action, arn)) if action != call.action => (action, arn),
            _ => (call.action.to_owned(), call.arn),
        };
        let message = format!("AWS refused {action} on {arn}: {reason}");
        Some(Error::new(ErrorKind::AwsRefused, message).with_hint(hint))
    }
}

fn asked(call: &AwsCall) -> String {
    format!("{} on {}", call.action, call.object)
}

fn quota_hint(reason: &str) -> &'static str {
    if reason.contains("AccessKeysPerUser") {
        "Delete an access key of the user that is not in use, in the IAM console."
    } else if reason.contains("PolicySize") {
        "Split the policy into several, or name fewer resources in it."
    } else if reason.contains("PoliciesPerUser") {
        "Detach a policy from the user, or put several into one."
    } else {
        "Remove what is not in use, or ask AWS for a higher quota in the Service Quotas console."
    }
}

#[cfg(test)]
mod tests;
