//! `SimulatePrincipalPolicy`: what the policies of a user or role would decide, without doing anything.
//!
//! As in AWS, a bucket's own policy counts only when it is sent along, and condition keys have only the values that are
//! sent along.

use quick_xml::escape::escape;

use super::{allow, invalid, list, required};
use crate::aws::control::{ApiError, Call};
use crate::aws::identity::Principal;
use crate::aws::policy::{Authorization, Context, Decision, PolicyDocument, PolicyKind};

/// Results on a page. AWS may send fewer than asked for while there are more, so a small number keeps clients honest.
const PAGE: usize = 5;

/// What the simulator says of one action on one resource.
struct Outcome<'a> {
    resource: &'a str,
    decision: &'static str,
    /// Whether the policies of the organisation allow it.
    by_organization: bool,
}

pub(super) fn simulate(call: &Call<'_>) -> Result<String, ApiError> {
    let source = required(call, "PolicySourceArn")?;
    required(call, "ActionNames.member.1")?;
    allow(call, "iam:SimulatePrincipalPolicy", source, Context::default())?;
    let principal = source_of(call, source)?;
    let actions = list(call, "ActionNames");
    let mut resources = list(call, "ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    if let Some(wrong) = resources.iter().find(|arn| **arn != "*" && !arn.starts_with("arn:")) {
        let text = format!("ResourceNames are not in a valid ARN format: {wrong}.");
        return Err(ApiError::invalid("InvalidInput", text));
    }
    let parse = |text: &str, kind| {
        PolicyDocument::parse(text, kind).map_err(|error| ApiError::invalid("InvalidInput", error.to_string()))
    };
    let resource_policy = call.fields.get("ResourcePolicy");
    let resource_policy = resource_policy
        .map(|text| parse(text, PolicyKind::Resource))
        .transpose()?;
    let (from, size) = page(call)?;
    let until = actions.len().min(from + size);
    let asked = Question {
        call,
        principal: &principal,
        resource_policy: resource_policy.as_ref(),
        context: context(call, &principal),
    };
    let results = actions.get(from..until).unwrap_or_default().iter();
    let results: String = results.map(|action| asked.result(action, &resources)).collect();
    let marker = match until < actions.len() {
        true => format!("<IsTruncated>true</IsTruncated><Marker>{until}</Marker>"),
        false => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    Ok(format!("{marker}<EvaluationResults>{results}</EvaluationResults>"))
}

/// The user or role whose policies are asked.
fn source_of(call: &Call<'_>, arn: &str) -> Result<Principal, ApiError> {
    let entity = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
    let known_kind = |resource: &str| {
        ["user/", "role/", "group/"]
            .iter()
            .any(|kind| resource.starts_with(kind))
    };
    let Some((account, _)) = entity.filter(|(_, resource)| known_kind(resource)) else {
        return Err(ApiError::invalid(
            "InvalidInput",
            format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."),
        ));
    };
    let found = call.cloud.identities.principal_at(arn);
    let own = account == call.caller.account;
    found.filter(|_| own).ok_or_else(|| {
        ApiError::new(
            http::StatusCode::NOT_FOUND,
            "NoSuchEntity",
            format!("Entity {arn} cannot be found."),
        )
    })
}

/// Where the page starts, and how long it is at most.
fn page(call: &Call<'_>) -> Result<(usize, usize), ApiError> {
    let number = |name: &str| call.fields.get(name).map(|text| text.parse::<usize>()).transpose();
    let from = number("Marker").map_err(|_| invalid("Invalid Marker."))?.unwrap_or(0);
    let size = number("MaxItems").ok().map(|size| size.unwrap_or(PAGE));
    match size {
        Some(size @ 1..=1000) => Ok((from, size.min(PAGE))),
        _ => Err(invalid("MaxItems must be between 1 and 1000.")),
    }
}

/// The condition keys that the caller gives, and those that the principal itself decides.
fn context(call: &Call<'_>, principal: &Principal) -> Context {
    let mut context = Context::default()
        .with(
            "aws:PrincipalArn",
            principal.role_arn.as_ref().unwrap_or(&principal.arn),
        )
        .with("aws:PrincipalAccount", principal.account.as_str())
        .with("aws:PrincipalType", principal.type_name());
    if let Some(name) = &principal.user_name {
        context.set("aws:username", name.as_str());
    }
    for number in 1.. {
        let entry = format!("ContextEntries.member.{number}");
        let Some(key) = call.fields.get(&format!("{entry}.ContextKeyName")) else {
            break;
        };
        if let Some(value) = call.fields.get(&format!("{entry}.ContextKeyValues.member.1")) {
            context.set(key, value.as_str());
        }
    }
    context
}

struct Question<'a> {
    call: &'a Call<'a>,
    principal: &'a Principal,
    resource_policy: Option<&'a PolicyDocument>,
    context: Context,
}

impl Question<'_> {
    fn ask<'r>(&self, action: &str, resource: &'r str) -> Outcome<'r> {
        // What tests deny stands for a service control policy, which the simulator takes into account.
        let by_organization = !self.call.cloud.faults.denies(&self.call.exchange.record(), action);
        let question = Authorization {
            principal: self.principal,
            action,
            resource,
            resource_account: None,
            resource_policy: self.resource_policy,
            context: &self.context,
        };
        let decision = match question.decide() {
            Decision::Allowed if by_organization => "allowed",
            Decision::Denied(denial) if denial.explicit => "explicitDeny",
            _ => "implicitDeny",
        };
        Outcome {
            resource,
            decision,
            by_organization,
        }
    }

    /// One result for an action: of several resources the worst decision, with each of them below it.
    fn result(&self, action: &str, resources: &[&str]) -> String {
        let outcomes: Vec<Outcome<'_>> = resources.iter().map(|resource| self.ask(action, resource)).collect();
        let worst = ["explicitDeny", "implicitDeny"];
        let worst = worst
            .into_iter()
            .find(|decision| outcomes.iter().any(|o| o.decision == *decision));
        let by_organization = outcomes.iter().all(|outcome| outcome.by_organization);
        let named = match outcomes.as_slice() {
            [single] => single.resource,
            _ => "*",
        };
        let each = outcomes.iter().filter(|_| outcomes.len() > 1).map(|outcome| {
            format!(
                "<member><EvalResourceName>{}</EvalResourceName><EvalResourceDecision>{}</EvalResourceDecision></member>",
                escape(outcome.resource),
                outcome.decision
            )
        });
        format!(
            "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName><EvalDecision>{}\
             </EvalDecision><MatchedStatements/><MissingContextValues/><OrganizationsDecisionDetail>\
             <AllowedByOrganizations>{by_organization}</AllowedByOrganizations></OrganizationsDecisionDetail>\
             <ResourceSpecificResults>{}</ResourceSpecificResults></member>",
            escape(action),
            escape(named),
            worst.unwrap_or("allowed"),
            each.collect::<String>(),
        )
    }
}
