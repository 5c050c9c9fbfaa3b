//! What all front doors of the sandbox share, and the one place where a call is allowed or refused.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::SandboxError;
use super::bucket::{Bucket, Buckets, WriteCondition, WriteError};
use super::clock::Clock;
use super::cur::Reports;
use super::data_exports::Exports;
use super::fault::{FaultKind, Faults};
use super::identity::{Identities, Principal, PrincipalKind};
use super::log::{Exchange, RequestLog, RequestRecord};
use super::object::StoredHeaders;
use super::policy::{Authorization, Context, Decision, Denial, DeniedBy, PolicyDocument};
use super::s3::WrongRegion;

/// The state behind the endpoint.
pub(crate) struct Cloud {
    pub(crate) clock: Clock,
    pub(crate) identities: Identities,
    pub(crate) buckets: Buckets,
    pub(crate) exports: Exports,
    pub(crate) reports: Reports,
    pub(crate) faults: Faults,
    pub(crate) log: RequestLog,
    /// The organisation's home Region.
    pub(crate) region: String,
    pub(crate) wrong_region: Mutex<WrongRegion>,
}

/// What an action is asked on.
pub(crate) struct Target<'a> {
    pub(crate) arn: &'a str,
    /// `None` when the action concerns the caller's own account.
    pub(crate) account: Option<&'a str>,
    pub(crate) policy: Option<&'a PolicyDocument>,
}

impl Target<'_> {
    /// An action without a resource.
    pub(crate) const ANY: Self = Self {
        arn: "*",
        account: None,
        policy: None,
    };
}

/// A call that the policies refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Some policy denies it, rather than none allowing it.
    pub(crate) explicit: bool,
    /// AWS's sentence for it.
    pub(crate) message: String,
}

impl Cloud {
    /// How S3 answers a request that was signed for another Region than the bucket's.
    pub(crate) fn wrong_region(&self) -> WrongRegion {
        *self.wrong_region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_wrong_region(&self, answer: WrongRegion) {
        *self.wrong_region.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Asks the policies.
    pub(crate) fn authorize(
        &self,
        principal: &Principal,
        action: &str,
        target: &Target<'_>,
        exchange: &Exchange,
        context: Context,
    ) -> Result<(), Refusal> {
        if self.faults.denies(&exchange.record(), action) {
            let reason = "with an explicit deny in a service control policy";
            return Err(Refusal {
                explicit: true,
                message: denial_message(principal, action, target.arn, reason),
            });
        }
        let context = self.global_context(context, principal, target, exchange);
        let question = Authorization {
            principal,
            action,
            resource: target.arn,
            resource_account: target.account,
            resource_policy: target.policy,
            context: &context,
        };
        match question.decide() {
            Decision::Allowed => Ok(()),
            Decision::Denied(denial) => Err(Refusal {
                explicit: denial.explicit,
                message: denial_message(principal, action, target.arn, &reason(denial, action)),
            }),
        }
    }

    /// Whether a service, acting for `account` through `source_arn`, may do `action` on an object or bucket. This is what
    /// decides over the delivery of an export.
    pub(crate) fn authorize_service(
        &self,
        service: &str,
        action: &str,
        resource: &str,
        bucket: &Bucket,
        account: &str,
        source_arn: &str,
    ) -> bool {
        let principal = Principal::service(service);
        let policy = bucket.policy();
        let context = Context::default()
            .with("aws:SourceAccount", account)
            .with("aws:SourceArn", source_arn)
            .with("aws:PrincipalIsAWSService", "true")
            .with("aws:SecureTransport", "true");
        let question = Authorization {
            principal: &principal,
            action,
            resource,
            resource_account: Some(&bucket.owner),
            resource_policy: policy.as_ref().map(|policy| policy.document.as_ref()),
            context: &context,
        };
        question.decide() == Decision::Allowed
    }

    fn global_context(
        &self,
        mut context: Context,
        principal: &Principal,
        target: &Target<'_>,
        exchange: &Exchange,
    ) -> Context {
        let now = self.clock.now();
        context.set(
            "aws:CurrentTime",
            now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        );
        context.set("aws:EpochTime", now.timestamp().to_string());
        context.set("aws:SourceIp", exchange.peer.to_string());
        // The loopback leg stands in for AWS's own TLS endpoints, so that "deny without TLS" policies mean what they
        // mean there.
        context.set("aws:SecureTransport", "true");
        context.set("aws:PrincipalIsAWSService", "false");
        context.set("aws:PrincipalType", principal.type_name());
        context.set(
            "aws:RequestedRegion",
            exchange.scope_region.clone().unwrap_or_else(|| self.region.clone()),
        );
        if principal.kind != PrincipalKind::Anonymous {
            context.set(
                "aws:PrincipalArn",
                principal.role_arn.clone().unwrap_or_else(|| principal.arn.clone()),
            );
            context.set("aws:PrincipalAccount", principal.account.clone());
            if let Some(organization) = &principal.organization {
                context.set("aws:PrincipalOrgID", organization.clone());
            }
            context.set("aws:userid", principal.user_id.clone());
        }
        if let Some(user) = &principal.user_name {
            context.set("aws:username", user.clone());
        }
        if let Some(account) = target.account {
            context.set("aws:ResourceAccount", account);
            context.set("s3:ResourceAccount", account);
        }
        context
    }

    /// Stores an object directly, past the policies.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, body: Bytes) -> Result<String, SandboxError> {
        let bucket = self
            .buckets
            .get(bucket)
            .ok_or_else(|| SandboxError::NotFound(format!("bucket {bucket}")))?;
        let failed = |source| SandboxError::Storage {
            path: format!("{}/{key}", bucket.name),
            source,
        };
        let mut writer = bucket.writer(key).await.map_err(failed)?;
        writer.write(&body).await.map_err(failed)?;
        let written = writer.finish().await.map_err(failed)?;
        let etag = hex::encode(written.md5);
        let now = self.clock.now();
        match bucket.commit(
            key,
            written,
            etag.clone(),
            StoredHeaders::default(),
            now,
            &WriteCondition::None,
        ) {
            Ok(_) => Ok(etag),
            Err(WriteError::Io(source)) => Err(failed(source)),
            // No condition was set.
            Err(other) => Err(failed(std::io::Error::other(other))),
        }
    }

    /// Applies the faults that strike before a request is served, and remembers those for its answer. Returns the one
    /// that answers instead.
    pub(crate) async fn suffer(&self, exchange: &Exchange) -> Option<FaultKind> {
        let record = exchange.record();
        let mut answer = None;
        for fault in self.faults.strike(&record) {
            match fault {
                FaultKind::Slow(delay) => tokio::time::sleep(delay).await,
                FaultKind::Before(act) => act(&record),
                FaultKind::TakeBucket { account, region } => self.take_for_fault(&record, &account, &region),
                FaultKind::ReplaceObject(body) => self.replace_for_fault(&record, body).await,
                FaultKind::SlowDown | FaultKind::InternalError | FaultKind::ExpiredToken => answer = Some(fault),
                FaultKind::ResetMidBody { .. } | FaultKind::Truncate { .. } | FaultKind::FlipByte { .. } => {
                    exchange.suffer(fault);
                }
                // Asked for by `authorize`.
                FaultKind::Deny(_) => {}
            }
        }
        answer
    }

    fn take_for_fault(&self, record: &RequestRecord, account: &str, region: &str) {
        let Some(bucket) = &record.bucket else {
            tracing::warn!(operation = %record.operation, "a request without a bucket cannot have its name taken");
            return;
        };
        if let Err(error) = self.buckets.create(bucket, account, region, self.clock.now()) {
            tracing::warn!(%error, "the bucket could not be taken as the injected fault asks");
        }
    }

    async fn replace_for_fault(&self, record: &RequestRecord, body: Bytes) {
        let (Some(bucket), Some(key)) = (&record.bucket, &record.key) else {
            tracing::warn!(operation = %record.operation, "a request without an object cannot have it replaced");
            return;
        };
        if let Err(error) = self.put_object(bucket, key, body).await {
            tracing::warn!(%error, "the object could not be replaced as the injected fault asks");
        }
    }
}

/// AWS's sentence (IAM user guide, "Troubleshoot access denied error messages").
fn denial_message(principal: &Principal, action: &str, resource: &str, reason: &str) -> String {
    let who = match principal.kind {
        PrincipalKind::Anonymous => return "Access Denied".to_owned(),
        _ => &principal.arn,
    };
    if resource == "*" {
        return format!("User: {who} is not authorized to perform: {action} {reason}");
    }
    // S3 alone puts the ARN in quotes.
    let quote = if action.starts_with("s3:") { "\"" } else { "" };
    format!("User: {who} is not authorized to perform: {action} on resource: {quote}{resource}{quote} {reason}")
}

fn reason(denial: Denial, action: &str) -> String {
    let (article, kind) = match denial.by {
        DeniedBy::Identity => ("an", "identity-based policy"),
        DeniedBy::Resource => ("a", "resource-based policy"),
        DeniedBy::Session => ("a", "session policy"),
        DeniedBy::ServiceControl => ("a", "service control policy"),
    };
    if denial.explicit {
        format!("with an explicit deny in {article} {kind}")
    } else {
        format!("because no {kind} allows the {action} action")
    }
}
