//! IAM policy documents: reading them, with the checks that AWS makes when a policy is stored.
//!
//! Grammar and element rules: IAM user guide, "IAM JSON policy elements reference" and "Grammar of the IAM JSON policy
//! language". What is accepted here is what AWS accepts for the elements that Farthing's guides use; an element, operator
//! or principal type that is not understood is refused rather than ignored, so that no policy is quietly weaker here.

mod condition;
mod evaluate;
mod pattern;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use condition::Condition;
pub(crate) use condition::Context;
pub(crate) use evaluate::{Authorization, Decision, Denial, DeniedBy, TrustDecision};
pub(crate) use pattern::{matches, matches_ignoring_case};

/// Where a policy is attached, which decides the elements that it must and must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    /// On a user or role: no principal.
    Identity,
    /// On a bucket: principal and resource.
    Resource,
    /// A role's trust policy: principal, no resource.
    Trust,
}

/// Why a policy text is not a policy. The text names the element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

impl PolicyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A parsed policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyDocument {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    allow: bool,
    principals: Option<Principals>,
    actions: Clause,
    resources: Option<Clause>,
    conditions: Vec<Condition>,
}

/// A list of patterns, or everything but it (`NotAction`, `NotResource`).
#[derive(Clone, Debug)]
struct Clause {
    negated: bool,
    patterns: Vec<String>,
}

#[derive(Clone, Debug)]
struct Principals {
    negated: bool,
    /// `"Principal": "*"` or `{"AWS": "*"}`: everyone, even unsigned requests.
    anyone: bool,
    aws: Vec<String>,
    services: Vec<String>,
}

impl PolicyDocument {
    /// Reads a policy.
    pub(crate) fn parse(text: &str, kind: PolicyKind) -> Result<Self, PolicyError> {
        let root: Value = serde_json::from_str(text)
            .map_err(|error| PolicyError::new(format!("This policy contains invalid Json: {error}")))?;
        let Value::Object(root) = root else {
            return Err(PolicyError::new(
                "Syntax errors in policy: the document is not a JSON object.",
            ));
        };
        only_known(&root, &["Version", "Id", "Statement"])?;
        if let Some(version) = root.get("Version")
            && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
        {
            return Err(PolicyError::new("The policy must contain a valid version string"));
        }
        let statements = match root.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(single @ Value::Object(_)) => vec![single],
            _ => return Err(PolicyError::new("Missing required field Statement")),
        };
        let statements = statements
            .into_iter()
            .map(|value| Statement::parse(value, kind))
            .collect::<Result<_, _>>()?;
        Ok(Self { statements })
    }

    /// Checks a policy that is to be stored on `bucket`: AWS refuses statements about other buckets or services.
    pub(crate) fn check_for_bucket(&self, bucket: &str) -> Result<(), PolicyError> {
        let bucket_arn = format!("arn:aws:s3:::{bucket}");
        for statement in &self.statements {
            let actions = &statement.actions.patterns;
            if actions
                .iter()
                .any(|action| action != "*" && !action.to_ascii_lowercase().starts_with("s3:"))
            {
                return Err(PolicyError::new("Policy has invalid action"));
            }
            let resources = statement.resources.iter().flat_map(|clause| &clause.patterns);
            for resource in resources {
                let own = resource == &bucket_arn
                    || resource
                        .strip_prefix(&bucket_arn)
                        .is_some_and(|rest| rest.starts_with(['/', '*']));
                if !own {
                    return Err(PolicyError::new("Policy has invalid resource"));
                }
            }
        }
        Ok(())
    }

    /// Whether anyone at all gets something from this policy without a condition (S3 calls such a policy public).
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            statement.allow
                && statement.conditions.is_empty()
                && statement
                    .principals
                    .as_ref()
                    .is_some_and(|principals| principals.anyone && !principals.negated)
        })
    }

    /// The AWS principals named anywhere in the policy, as written.
    pub(crate) fn aws_principals(&self) -> impl Iterator<Item = &str> {
        let principals = self
            .statements
            .iter()
            .filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(|principals| principals.aws.iter().map(String::as_str))
    }
}

impl Statement {
    fn parse(value: &Value, kind: PolicyKind) -> Result<Self, PolicyError> {
        let Value::Object(object) = value else {
            return Err(PolicyError::new(
                "Syntax errors in policy: a statement is not a JSON object.",
            ));
        };
        only_known(
            object,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        let allow = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            Some(other) => return Err(PolicyError::new(format!("Invalid effect: {other}"))),
            None => return Err(PolicyError::new("Missing required field Effect")),
        };
        let actions = Clause::parse(object, "Action", "NotAction")?
            .ok_or_else(|| PolicyError::new("Missing required field Action"))?;
        for action in &actions.patterns {
            if action != "*"
                && !action
                    .split_once(':')
                    .is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
            {
                return Err(PolicyError::new(format!(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: {action}"
                )));
            }
        }
        let resources = Clause::parse(object, "Resource", "NotResource")?;
        match (&resources, kind) {
            (None, PolicyKind::Identity | PolicyKind::Resource) => {
                return Err(PolicyError::new("Missing required field Resource"));
            }
            (Some(_), PolicyKind::Trust) => return Err(PolicyError::new("Has prohibited field Resource")),
            _ => {}
        }
        for resource in resources.iter().flat_map(|clause| &clause.patterns) {
            if resource != "*" && !resource.starts_with("arn:") {
                return Err(PolicyError::new(format!(
                    "Resource {resource} must be in ARN format or \"*\"."
                )));
            }
        }
        let principals = Principals::parse(object)?;
        match (&principals, kind) {
            (Some(_), PolicyKind::Identity) => {
                return Err(PolicyError::new("Policy document should not specify a principal."));
            }
            (None, PolicyKind::Resource | PolicyKind::Trust) => {
                return Err(PolicyError::new("Missing required field Principal"));
            }
            _ => {}
        }
        let conditions = object
            .get("Condition")
            .map_or_else(|| Ok(Vec::new()), Condition::parse_block)?;
        Ok(Self {
            allow,
            principals,
            actions,
            resources,
            conditions,
        })
    }
}

impl Clause {
    fn parse(object: &Map<String, Value>, name: &str, negated_name: &str) -> Result<Option<Self>, PolicyError> {
        let (negated, value) = match (object.get(name), object.get(negated_name)) {
            (Some(_), Some(_)) => {
                return Err(PolicyError::new(format!(
                    "{name} and {negated_name} must not be used together"
                )));
            }
            (Some(value), None) => (false, value),
            (None, Some(value)) => (true, value),
            (None, None) => return Ok(None),
        };
        let patterns = strings(value, name)?;
        if patterns.is_empty() {
            return Err(PolicyError::new(format!("Missing required field {name}")));
        }
        Ok(Some(Self { negated, patterns }))
    }
}

impl Principals {
    fn parse(object: &Map<String, Value>) -> Result<Option<Self>, PolicyError> {
        let (negated, value) = match (object.get("Principal"), object.get("NotPrincipal")) {
            (Some(_), Some(_)) => {
                return Err(PolicyError::new("Principal and NotPrincipal must not be used together"));
            }
            (Some(value), None) => (false, value),
            (None, Some(value)) => (true, value),
            (None, None) => return Ok(None),
        };
        let mut principals = Self {
            negated,
            anyone: false,
            aws: Vec::new(),
            services: Vec::new(),
        };
        match value {
            Value::String(text) if text == "*" => principals.anyone = true,
            Value::Object(kinds) if !kinds.is_empty() => {
                for (kind, names) in kinds {
                    let names = strings(names, kind)?;
                    match kind.as_str() {
                        "AWS" => principals.aws.extend(names),
                        "Service" => principals.services.extend(names),
                        other => return Err(PolicyError::new(format!("Invalid principal in policy: {other}"))),
                    }
                }
            }
            _ => return Err(PolicyError::new("Invalid principal in policy")),
        }
        principals.anyone |= principals.aws.iter().any(|name| name == "*");
        for name in &principals.aws {
            let account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
            let arn = name.starts_with("arn:aws:iam::") || name.starts_with("arn:aws:sts::");
            if name != "*" && !account && !arn {
                return Err(PolicyError::new(format!(
                    "Invalid principal in policy: \"AWS\":\"{name}\""
                )));
            }
        }
        for name in &principals.services {
            if !name.contains(".amazonaws.com") {
                return Err(PolicyError::new(format!(
                    "Invalid principal in policy: \"SERVICE\":\"{name}\""
                )));
            }
        }
        Ok(Some(principals))
    }
}

fn only_known(object: &Map<String, Value>, known: &[&str]) -> Result<(), PolicyError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(PolicyError::new(format!("Unknown field {key}"))),
        None => Ok(()),
    }
}

/// A string or a list of strings.
fn strings(value: &Value, element: &str) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(PolicyError::new(format!(
            "Syntax errors in policy: {element} holds something that is not a string."
        ))),
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        single => Ok(vec![text(single)?]),
    }
}
