//! STS: `GetCallerIdentity` and `AssumeRole` (model version 2011-06-15).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use quick_xml::escape::escape;

use super::cloud::Target;
use super::control::{ApiError, Call, ControlApi, Protocol};
use super::identity::PrincipalKind;
use super::identity::key::SessionCredentials;
use super::policy::{Context, PolicyDocument, PolicyKind, TrustDecision};

pub(crate) struct Sts;

#[async_trait]
impl ControlApi for Sts {
    fn signing_name(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query("https://sts.amazonaws.com/doc/2011-06-15/")
    }

    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError> {
        match call.operation {
            // Needs no permission and works under an explicit deny.
            "GetCallerIdentity" => Ok(format!(
                "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
                escape(call.caller.arn.as_str()),
                escape(call.caller.user_id.as_str()),
                call.caller.account
            )),
            "AssumeRole" => assume_role(call),
            other => Err(ApiError::invalid(
                "InvalidAction",
                format!("Could not find operation {other} for version 2011-06-15"),
            )),
        }
    }
}

/// What `AssumeRole` was asked.
struct AssumeRole<'a> {
    role_arn: &'a str,
    account: &'a str,
    role: &'a str,
    session: &'a str,
    external_id: Option<&'a str>,
    lifetime: Duration,
    policy: Option<Arc<PolicyDocument>>,
}

impl<'a> AssumeRole<'a> {
    fn parse(call: &'a Call<'_>) -> Result<Self, ApiError> {
        let field = |name: &str| call.fields.get(name).map(String::as_str);
        let invalid = |what: String| ApiError::invalid("ValidationError", what);
        let required = |name: &str| field(name).ok_or_else(|| invalid(format!("The parameter {name} is required.")));
        let role_arn = required("RoleArn")?;
        let session = required("RoleSessionName")?;
        let mut parts = role_arn.splitn(6, ':');
        let (account, role) = match (parts.next(), parts.nth(1), parts.nth(1), parts.next()) {
            (Some("arn"), Some("iam"), Some(account), Some(resource)) => match resource.rsplit_once('/') {
                Some((path, role)) if path.starts_with("role") => (account, role),
                _ => return Err(invalid(format!("{role_arn} is invalid"))),
            },
            _ => return Err(invalid(format!("{role_arn} is invalid"))),
        };
        let session_ok = (2..=64).contains(&session.len())
            && session
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
        if !session_ok {
            return Err(invalid(format!(
                "1 validation error detected: Value '{session}' at 'roleSessionName' is invalid"
            )));
        }
        let seconds = field("DurationSeconds").map_or(Ok(3600), str::parse::<u64>);
        let seconds = seconds
            .ok()
            .filter(|seconds| (900..=43_200).contains(seconds))
            .ok_or_else(|| invalid("DurationSeconds must be between 900 and 43200 seconds.".to_owned()))?;
        // Role chaining is limited to one hour (STS API reference, AssumeRole).
        if call.caller.kind == PrincipalKind::AssumedRole && seconds > 3600 {
            return Err(invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
                    .to_owned(),
            ));
        }
        let policy = field("Policy")
            .map(|text| PolicyDocument::parse(text, PolicyKind::Identity))
            .transpose()
            .map_err(|error| ApiError::invalid("MalformedPolicyDocument", error.to_string()))?;
        Ok(Self {
            role_arn,
            account,
            role,
            session,
            external_id: field("ExternalId"),
            lifetime: Duration::from_secs(seconds),
            policy: policy.map(Arc::new),
        })
    }
}

fn assume_role(call: &Call<'_>) -> Result<String, ApiError> {
    let wanted = AssumeRole::parse(call)?;
    let refused = || {
        ApiError::denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            call.caller.arn, wanted.role_arn
        ))
    };
    // A role that does not exist reads like one that does not trust the caller.
    let trust = call
        .cloud
        .identities
        .role_trust(wanted.account, wanted.role)
        .ok_or_else(refused)?;
    let mut context = Context::default().with("sts:RoleSessionName", wanted.session);
    if let Some(external_id) = wanted.external_id {
        context.set("sts:ExternalId", external_id);
    }
    let decision = trust.trusts(&call.caller, "sts:AssumeRole", &context);
    let same_account = call.caller.account == wanted.account;
    let needs_own_policy = match decision {
        TrustDecision::Denied | TrustDecision::ExplicitlyDenied => return Err(refused()),
        TrustDecision::Direct => !same_account,
        TrustDecision::ThroughAccount => true,
    };
    let target = Target {
        arn: wanted.role_arn,
        account: None,
        policy: None,
    };
    let own = call
        .cloud
        .authorize(&call.caller, "sts:AssumeRole", &target, call.exchange, context);
    // An explicit deny of the caller's own policies counts even where their allow is not needed.
    if let Err(refusal) = own
        && (needs_own_policy || refusal.explicit)
    {
        return Err(ApiError::denied(refusal.message));
    }
    let session = call.cloud.identities.open_session(
        wanted.account,
        wanted.role,
        wanted.session,
        wanted.policy.clone(),
        call.cloud.clock.now(),
        wanted.lifetime,
    );
    let session = session.ok_or_else(|| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "The role was deleted meanwhile.",
        )
    })?;
    Ok(session_xml(&session))
}

fn session_xml(session: &SessionCredentials) -> String {
    format!(
        "<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{}\
         </AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration>\
         </Credentials>",
        escape(session.assumed_role_id.as_str()),
        escape(session.arn.as_str()),
        session.access_key_id,
        session.secret_access_key,
        session.session_token,
        session.expiration.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )
}
