//! IAM: the policy simulator, and the user that reads exports.

use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::types::EvaluationResult;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, Simulated};
use farthing_engine::secret::SecretString;
use percent_encoding::percent_decode_str;

use super::MAX_PAGES;
use crate::aws::AwsClients;
use crate::aws::error::{AwsCall, Failure};

pub(super) async fn simulate(
    clients: &AwsClients,
    key: &AccessKey,
    arn: &str,
    actions: &[&str],
    resource: &str,
) -> Result<Vec<Simulated>> {
    if actions.is_empty() {
        return Ok(Vec::new());
    }
    let source = policy_source(arn);
    let call = AwsCall::identity("iam:SimulatePrincipalPolicy", &source);
    let client = clients.iam(key);
    let mut simulated = Vec::with_capacity(actions.len());
    let mut marker: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let request = client
            .simulate_principal_policy()
            .policy_source_arn(&source)
            .set_action_names(Some(actions.iter().map(|action| (*action).to_owned()).collect()))
            .resource_arns(resource)
            .set_marker(marker.take());
        let page = clients
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?
            .map_err(|failure| failure.into_setup_error(&call))?;
        let results = page.evaluation_results.unwrap_or_default();
        simulated.extend(results.into_iter().map(|result| decision(result, resource)));
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(simulated);
        }
    }
    Err(Error::new(
        ErrorKind::Limit,
        format!("the simulation takes more than {MAX_PAGES} pages"),
    )
    .with_hint("Ask for fewer actions at once."))
}

/// The result for the one resource that was asked. AWS may answer with a template in its place, and then has the resource's
/// own decision below.
fn decision(result: EvaluationResult, resource: &str) -> Simulated {
    let specific = result.resource_specific_results.unwrap_or_default();
    let own = specific.into_iter().find(|one| one.eval_resource_name == resource);
    let decision = own.map_or(result.eval_decision, |one| one.eval_resource_decision);
    Simulated {
        action: result.eval_action_name,
        resource: resource.to_owned(),
        decision: decision.as_str().to_owned(),
    }
}

/// Whose policies to simulate: for the session of a role, the role. A role's path is not part of the session's ARN, so a
/// role with a path is not found.
fn policy_source(arn: &str) -> String {
    let session = arn.split_once(":sts::").and_then(|(partition, rest)| {
        let (account, resource) = rest.split_once(":assumed-role/")?;
        let (role, _) = resource.split_once('/')?;
        Some(format!("{partition}:iam::{account}:role/{role}"))
    });
    session.unwrap_or_else(|| arn.to_owned())
}

pub(super) async fn create_policy(clients: &AwsClients, key: &AccessKey, name: &str, document: &str) -> Result<String> {
    let call = AwsCall::policy("iam:CreatePolicy", name, &clients.settings.region);
    let request = clients
        .iam(key)
        .create_policy()
        .policy_name(name)
        .policy_document(document);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    match answer {
        Ok(answer) => answer
            .policy
            .and_then(|policy| policy.arn)
            .ok_or_else(|| call.answered_without("the policy's ARN")),
        Err(failure) if failure.code.as_deref() == Some("EntityAlreadyExists") => {
            present_policy(clients, key, name).await
        }
        Err(failure) => Err(failure.into_setup_error(&call)),
    }
}

/// The ARN of the account's policy of this name, which exists. Looking at it needs a permission of its own, so a refusal
/// means that the name alone decides.
async fn present_policy(clients: &AwsClients, key: &AccessKey, name: &str) -> Result<String> {
    let identify = AwsCall::identify(key);
    let request = clients.sts(key).get_caller_identity();
    let identity = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_error(&identify))?;
    let caller = identity.arn.as_deref().and_then(|arn| arn.split(':').nth(1));
    let (Some(partition), Some(account)) = (caller, identity.account.as_deref()) else {
        return Err(identify.answered_without("an account or an ARN"));
    };
    let arn = format!("arn:{partition}:iam::{account}:policy/{name}");
    let request = clients.iam(key).get_policy().policy_arn(&arn);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    match answer {
        Ok(_) => Ok(arn),
        Err(failure) if failure.code.as_deref() == Some("AccessDenied") => Ok(arn),
        Err(failure) if failure.code.as_deref() == Some("NoSuchEntity") => Err(Error::new(
            ErrorKind::Duplicate,
            format!("the account has an IAM policy \"{name}\" already, under another path than /"),
        )
        .with_hint("Choose another name for the policy.")),
        Err(failure) => Err(failure.into_setup_error(&AwsCall::identity("iam:GetPolicy", &arn))),
    }
}

/// The version that is in force, which AWS answers with its document percent-encoded (IAM API reference, `PolicyVersion`).
pub(super) async fn policy_document(clients: &AwsClients, key: &AccessKey, arn: &str) -> Result<String> {
    let call = AwsCall::identity("iam:GetPolicy", arn);
    let client = clients.iam(key);
    let request = client.get_policy().policy_arn(arn);
    let policy = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_setup_error(&call))?
        .policy;
    let version = policy
        .and_then(|policy| policy.default_version_id)
        .ok_or_else(|| call.answered_without("the policy's version"))?;
    let call = AwsCall::identity("iam:GetPolicyVersion", arn);
    let request = client.get_policy_version().policy_arn(arn).version_id(version);
    let document = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_setup_error(&call))?
        .policy_version
        .and_then(|version| version.document)
        .ok_or_else(|| call.answered_without("the policy's document"))?;
    let document = percent_decode_str(&document).decode_utf8();
    Ok(document
        .map_err(|_| call.answered_without("a document that can be read"))?
        .into_owned())
}

pub(super) async fn create_user(clients: &AwsClients, key: &AccessKey, name: &str) -> Result<()> {
    let call = AwsCall::user("iam:CreateUser", name, &clients.settings.region);
    let request = clients.iam(key).create_user().user_name(name);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if failure.code.as_deref() == Some("EntityAlreadyExists") => Ok(()),
        Err(failure) => Err(failure.into_setup_error(&call)),
    }
}

pub(super) async fn attach_user_policy(
    clients: &AwsClients,
    key: &AccessKey,
    user: &str,
    policy_arn: &str,
) -> Result<()> {
    let call = AwsCall::user("iam:AttachUserPolicy", user, &clients.settings.region);
    let request = clients
        .iam(key)
        .attach_user_policy()
        .user_name(user)
        .policy_arn(policy_arn);
    clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_setup_error(&call))?;
    Ok(())
}

/// The secret half is in memory only, from the answer into the [`SecretString`]; the SDK itself leaves it out of what it
/// logs, since the model marks it as sensitive.
pub(super) async fn create_access_key(clients: &AwsClients, key: &AccessKey, user: &str) -> Result<AccessKey> {
    let call = AwsCall::user("iam:CreateAccessKey", user, &clients.settings.region);
    // Not repeated by the SDK: an answer that is lost would leave a key behind, of the two that AWS allows.
    let once = aws_sdk_iam::Config::builder().retry_config(RetryConfig::disabled());
    let request = clients.iam(key).create_access_key().user_name(user);
    let answer = clients
        .on_io(async move {
            let answer = request.customize().config_override(once).send().await;
            let made = answer.map_err(|error| Failure::of_sdk(&error))?.access_key;
            Ok::<_, Failure>(made.map(|made| AccessKey {
                access_key_id: made.access_key_id,
                secret_access_key: SecretString::new(made.secret_access_key),
                session_token: None,
            }))
        })
        .await?;
    match answer {
        Ok(Some(made)) => Ok(made),
        Ok(None) => Err(call.answered_without("the access key")),
        Err(failure) => {
            let lost = failure.is_silence();
            let error: Error = failure.into_setup_error(&call);
            Err(if lost {
                error.with_hint(format!(
                    "Look in the IAM console whether the user \"{user}\" has a new access key that nobody knows the secret of, \
                     and delete it before trying again."
                ))
            } else {
                error
            })
        }
    }
}
