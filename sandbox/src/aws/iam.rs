//! IAM (model version 2010-05-08): policies, users and access keys as an administrator sets them up, and the policy simulator.
//!
//! What is made here works: a key of `CreateAccessKey` signs in, with the policies that are attached at the moment of each
//! request.

mod simulate;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use quick_xml::escape::escape;

use super::Sandbox;
use super::cloud::Target;
use super::control::{ApiError, Call, ControlApi, Protocol};
use super::identity::PrincipalKind;
use super::identity::managed::{IamFailure, KeyFacts, ManagedPolicy, UserFacts};
use super::policy::{Context, PolicyDocument, PolicyKind};

/// Characters of a managed policy, white space not counted (IAM user guide, "IAM and AWS STS quotas").
const POLICY_SIZE: usize = 6144;

pub(crate) struct Iam;

#[async_trait]
impl ControlApi for Iam {
    fn signing_name(&self) -> &'static str {
        "iam"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query("https://iam.amazonaws.com/doc/2010-05-08/")
    }

    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError> {
        match call.operation {
            "CreatePolicy" => create_policy(call),
            "GetPolicy" => get_policy(call),
            "GetPolicyVersion" => get_policy_version(call),
            "CreateUser" => create_user(call),
            "GetUser" => get_user(call),
            "AttachUserPolicy" => attach_user_policy(call),
            "ListAttachedUserPolicies" => list_attached_user_policies(call),
            "CreateAccessKey" => create_access_key(call),
            "ListAccessKeys" => list_access_keys(call),
            "SimulatePrincipalPolicy" => simulate::simulate(call),
            other => Err(ApiError::invalid(
                "InvalidAction",
                format!("Could not find operation {other} for version 2010-05-08"),
            )),
        }
    }
}

impl Sandbox {
    /// Lets access keys that IAM's `CreateAccessKey` hands out become known to the services only after `delay`, as AWS's
    /// eventual consistency does. Keys made before stay as they are. The delay runs on [`Sandbox::clock`].
    pub fn delay_new_access_keys(&self, delay: Duration) {
        self.cloud.identities.set_key_delay(delay);
    }
}

fn create_policy(call: &Call<'_>) -> Result<String, ApiError> {
    let name = required(call, "PolicyName")?;
    let text = required(call, "PolicyDocument")?;
    check_name("policyName", name, 128)?;
    let path = path(call)?;
    let account = &call.caller.account;
    allow(
        call,
        "iam:CreatePolicy",
        &format!("arn:aws:iam::{account}:policy{path}{name}"),
        Context::default(),
    )?;
    let document = PolicyDocument::parse(text, PolicyKind::Identity)
        .map_err(|error| ApiError::invalid("MalformedPolicyDocument", error.to_string()))?;
    // IAM answers a document that is too long with the quota's error, not with MalformedPolicyDocument.
    if text.chars().filter(|c| !c.is_whitespace()).count() > POLICY_SIZE {
        return Err(IamFailure::Quota("PolicySize", POLICY_SIZE).into());
    }
    let policy = call
        .cloud
        .identities
        .create_managed_policy(account, path, name, text, document)?;
    Ok(policy_xml(&policy, 0))
}

fn get_policy(call: &Call<'_>) -> Result<String, ApiError> {
    let arn = required(call, "PolicyArn")?;
    allow(call, "iam:GetPolicy", arn, Context::default())?;
    let (policy, attached) = call.cloud.identities.managed_policy(&call.caller.account, arn)?;
    Ok(policy_xml(&policy, attached))
}

/// Policies have the one version that `CreatePolicy` made.
fn get_policy_version(call: &Call<'_>) -> Result<String, ApiError> {
    let (arn, version) = (required(call, "PolicyArn")?, required(call, "VersionId")?);
    allow(call, "iam:GetPolicyVersion", arn, Context::default())?;
    let (policy, _) = call.cloud.identities.managed_policy(&call.caller.account, arn)?;
    if version != "v1" {
        return Err(IamFailure::NoVersion(arn.to_owned(), version.to_owned()).into());
    }
    // AWS encodes the document as RFC 3986 does.
    let document: String = policy
        .text
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    Ok(format!(
        "<PolicyVersion><Document>{document}</Document><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion>\
         <CreateDate>{}</CreateDate></PolicyVersion>",
        time(policy.created)
    ))
}

fn create_user(call: &Call<'_>) -> Result<String, ApiError> {
    let name = required(call, "UserName")?;
    check_name("userName", name, 64)?;
    let path = path(call)?;
    let account = &call.caller.account;
    allow(
        call,
        "iam:CreateUser",
        &format!("arn:aws:iam::{account}:user{path}{name}"),
        Context::default(),
    )?;
    let user = call.cloud.identities.create_user_at(account, path, name)?;
    Ok(user_xml(&user))
}

fn get_user(call: &Call<'_>) -> Result<String, ApiError> {
    Ok(user_xml(&user_for(call, "iam:GetUser", Context::default())?))
}

fn attach_user_policy(call: &Call<'_>) -> Result<String, ApiError> {
    let arn = required(call, "PolicyArn")?;
    required(call, "UserName")?;
    if !arn.starts_with("arn:aws:iam::") {
        return Err(ApiError::invalid("InvalidInput", format!("ARN {arn} is not valid.")));
    }
    let user = user_for(
        call,
        "iam:AttachUserPolicy",
        Context::default().with("iam:PolicyARN", arn),
    )?;
    call.cloud
        .identities
        .attach_policy(&call.caller.account, &user.name, arn)?;
    Ok(String::new())
}

fn list_attached_user_policies(call: &Call<'_>) -> Result<String, ApiError> {
    required(call, "UserName")?;
    let user = user_for(call, "iam:ListAttachedUserPolicies", Context::default())?;
    let attached = call
        .cloud
        .identities
        .attached_policies(&call.caller.account, &user.name)?;
    let members = attached.iter().map(|policy| {
        format!(
            "<member><PolicyName>{}</PolicyName><PolicyArn>{}</PolicyArn></member>",
            escape(policy.name.as_str()),
            escape(policy.arn.as_str())
        )
    });
    Ok(format!(
        "<IsTruncated>false</IsTruncated><AttachedPolicies>{}</AttachedPolicies>",
        members.collect::<String>()
    ))
}

fn create_access_key(call: &Call<'_>) -> Result<String, ApiError> {
    let user = user_for(call, "iam:CreateAccessKey", Context::default())?;
    let (key, facts) = call.cloud.identities.issue_key(&call.caller.account, &user.name)?;
    Ok(format!(
        "<AccessKey>{}<SecretAccessKey>{}</SecretAccessKey></AccessKey>",
        key_xml(&user.name, &facts),
        escape(key.secret_access_key.as_str())
    ))
}

fn list_access_keys(call: &Call<'_>) -> Result<String, ApiError> {
    let user = user_for(call, "iam:ListAccessKeys", Context::default())?;
    let keys = call.cloud.identities.keys_of(&call.caller.account, &user.name)?;
    let members = keys
        .iter()
        .map(|key| format!("<member>{}</member>", key_xml(&user.name, key)));
    Ok(format!(
        "<IsTruncated>false</IsTruncated><AccessKeyMetadata>{}</AccessKeyMetadata>",
        members.collect::<String>()
    ))
}

/// The user that a call is about, the caller where it names none, once the policies allow `action` on it: only the allowed
/// learn that there is no such user.
fn user_for(call: &Call<'_>, action: &str, context: Context) -> Result<UserFacts, ApiError> {
    let account = &call.caller.account;
    let name = match (call.fields.get("UserName"), call.caller.kind) {
        (Some(name), _) => name.as_str(),
        (None, PrincipalKind::User) => call.caller.user_name.as_deref().unwrap_or_default(),
        (None, _) => {
            let text = "Must specify userName when calling with non-User credentials";
            return Err(ApiError::invalid("ValidationError", text));
        }
    };
    let found = call.cloud.identities.user_facts(account, name);
    let arn = match &found {
        Ok(user) => user.arn.clone(),
        Err(_) => format!("arn:aws:iam::{account}:user/{name}"),
    };
    allow(call, action, &arn, context)?;
    Ok(found?)
}

fn allow(call: &Call<'_>, action: &str, arn: &str, context: Context) -> Result<(), ApiError> {
    let target = Target { arn, ..Target::ANY };
    call.cloud
        .authorize(&call.caller, action, &target, call.exchange, context)
        .map_err(|refusal| ApiError::denied(refusal.message))
}

fn required<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str, ApiError> {
    let given = call
        .fields
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty());
    given.ok_or_else(|| {
        let member = lower_first(name);
        invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// The values of `<name>.member.1`, `<name>.member.2` and so on.
fn list<'a>(call: &'a Call<'_>, name: &str) -> Vec<&'a str> {
    let numbered = (1..).map(|number| call.fields.get(&format!("{name}.member.{number}")));
    numbered.map_while(|value| value.map(String::as_str)).collect()
}

fn path<'a>(call: &'a Call<'_>) -> Result<&'a str, ApiError> {
    let path = call.fields.get("Path").map_or("/", String::as_str);
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    if path.starts_with('/') && path.ends_with('/') && printable && path.len() <= 512 {
        Ok(path)
    } else {
        Err(invalid(format!(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters \
             and/or / characters: {path}"
        )))
    }
}

fn check_name(member: &str, name: &str, longest: usize) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let constraint = if !name.bytes().all(allowed) {
        "Member must satisfy regular expression pattern: [\\w+=,.@-]+".to_owned()
    } else if name.len() > longest {
        format!("Member must have length less than or equal to {longest}")
    } else {
        return Ok(());
    };
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: {constraint}"
    )))
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("ValidationError", message)
}

impl From<IamFailure> for ApiError {
    fn from(failure: IamFailure) -> Self {
        let conflict = |code, message: String| Self::new(StatusCode::CONFLICT, code, message);
        let missing = |message: String| Self::new(StatusCode::NOT_FOUND, "NoSuchEntity", message);
        match failure {
            IamFailure::UserExists(name) => {
                conflict("EntityAlreadyExists", format!("User with name {name} already exists."))
            }
            IamFailure::PolicyExists(name) => conflict(
                "EntityAlreadyExists",
                format!("A policy called {name} already exists. Duplicate names are not allowed."),
            ),
            IamFailure::NoUser(name) => missing(format!("The user with name {name} cannot be found.")),
            IamFailure::NoPolicy(arn) => missing(format!("Policy {arn} does not exist or is not attachable.")),
            IamFailure::NoVersion(arn, version) => missing(format!(
                "Policy {arn} version {version} does not exist or is not attachable."
            )),
            IamFailure::Quota(quota, size) => {
                conflict("LimitExceeded", format!("Cannot exceed quota for {quota}: {size}"))
            }
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn policy_xml(policy: &ManagedPolicy, attached: usize) -> String {
    format!(
        "<Policy><PolicyName>{}</PolicyName><PolicyId>{}</PolicyId><Arn>{}</Arn><Path>{}</Path>\
         <DefaultVersionId>v1</DefaultVersionId><AttachmentCount>{attached}</AttachmentCount>\
         <PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount><IsAttachable>true</IsAttachable>\
         <CreateDate>{created}</CreateDate><UpdateDate>{created}</UpdateDate></Policy>",
        escape(policy.name.as_str()),
        policy.id,
        escape(policy.arn.as_str()),
        escape(policy.path.as_str()),
        created = time(policy.created),
    )
}

fn user_xml(user: &UserFacts) -> String {
    format!(
        "<User><Path>{}</Path><UserName>{}</UserName><UserId>{}</UserId><Arn>{}</Arn><CreateDate>{}</CreateDate></User>",
        escape(user.path.as_str()),
        escape(user.name.as_str()),
        user.id,
        escape(user.arn.as_str()),
        time(user.created),
    )
}

fn key_xml(user: &str, key: &KeyFacts) -> String {
    format!(
        "<UserName>{}</UserName><AccessKeyId>{}</AccessKeyId><Status>{}</Status><CreateDate>{}</CreateDate>",
        escape(user),
        key.access_key_id,
        if key.active { "Active" } else { "Inactive" },
        time(key.created),
    )
}
