//! Merging what delivery needs into the policy that a bucket has.
//!
//! `PutBucketPolicy` replaces the whole policy, so everything that is there goes back as it was. A grant that is there in
//! other words is recognised and not repeated: the onboarding guide's statement, the ones that the AWS console writes, or
//! any that is wider. Recognition errs on one side only: what it does not understand counts as not granting.

use serde_json::{Map, Value};

use super::deny::denials;
use super::pattern::{Condition, conditions, covers, covers_arn, texts};
use super::{BUCKET_POLICY_BYTES, pretty};
use crate::error::{Error, ErrorKind, Result};

/// A bucket's policy with the wanted statements in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The policy to put.
    pub policy: Value,
    /// Sids of the statements that were added.
    pub added: Vec<String>,
    /// Sids of the statements that were there under the same Sid and granted less; they are replaced.
    pub replaced: Vec<String>,
    /// Whether the present policy grants everything already, so that nothing has to be put.
    pub unchanged: bool,
    /// Statements that deny what delivery needs, or may deny it, by Sid or place: a Deny wins over every grant, and is left
    /// for a person to change.
    pub denied_by: Vec<String>,
}

impl Merged {
    /// The policy as text for `PutBucketPolicy`. Error: `BadValue` if it is longer than S3 allows.
    pub fn text(&self) -> Result<String> {
        let compact = self.policy.to_string();
        if compact.len() > BUCKET_POLICY_BYTES {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!(
                    "the bucket policy would have {} bytes, and S3 allows {BUCKET_POLICY_BYTES}",
                    compact.len()
                ),
            )
            .with_hint("Remove statements that are not needed any more, or deliver to another bucket."));
        }
        let readable = pretty(&self.policy);
        Ok(if readable.len() > BUCKET_POLICY_BYTES {
            compact
        } else {
            readable
        })
    }
}

/// Merges the statements of `wanted` into `present`, the text that `GetBucketPolicy` gave, if it gave one. A statement of
/// the same Sid is replaced unless everything wanted of it is granted; all others stay as they are.
///
/// Errors: `BadValue` for a present text that is not a policy: nothing is put in its place.
pub fn merge_bucket_policy(present: Option<&str>, wanted: &Value) -> Result<Merged> {
    let wanted_statements = statements_of(wanted)
        .ok_or_else(|| Error::defect("the wanted bucket policy is not an object with statements"))?;
    let (mut policy, mut statements) = match present {
        Some(text) => read(text)?,
        None => (Map::from_iter([version_of(wanted)]), Vec::new()),
    };
    let (mut added, mut replaced) = (Vec::new(), Vec::new());
    for statement in &wanted_statements {
        if grants(&statements, statement) {
            continue;
        }
        let sid = sid_of(statement).ok_or_else(|| Error::defect("a wanted statement has no Sid"))?;
        match statements.iter_mut().find(|present| sid_of(present) == Some(sid)) {
            Some(present) => {
                *present = statement.clone();
                replaced.push(sid.to_owned());
            }
            None => {
                statements.push(statement.clone());
                added.push(sid.to_owned());
            }
        }
    }
    let denied_by = denials(&statements, &wanted_statements);
    let unchanged = added.is_empty() && replaced.is_empty();
    if !unchanged {
        let list = statements.into_iter().map(Value::Object).collect();
        policy.insert("Statement".to_owned(), Value::Array(list));
    }
    Ok(Merged {
        policy: Value::Object(policy),
        added,
        replaced,
        unchanged,
        denied_by,
    })
}

fn version_of(policy: &Value) -> (String, Value) {
    ("Version".to_owned(), policy["Version"].clone())
}

/// A policy without its statements, and its statements.
type Parts = (Map<String, Value>, Vec<Map<String, Value>>);

fn read(text: &str) -> Result<Parts> {
    let refused = |why: String| {
        Error::new(
            ErrorKind::BadValue,
            format!("the bucket's present policy cannot be merged: {why}"),
        )
        .with_hint("Look at it in the S3 console, tab Permissions; it is left as it is.")
    };
    let policy: Value = serde_json::from_str(text).map_err(|error| refused(format!("it is not JSON ({error})")))?;
    let statements =
        statements_of(&policy).ok_or_else(|| refused("it is not an object with a list of statements".to_owned()))?;
    match policy {
        Value::Object(object) => Ok((object, statements)),
        _ => Err(refused("it is not an object".to_owned())),
    }
}

/// The statements of a policy: a list of objects, or a single one.
fn statements_of(policy: &Value) -> Option<Vec<Map<String, Value>>> {
    match policy.as_object()?.get("Statement")? {
        Value::Object(one) => Some(vec![one.clone()]),
        Value::Array(list) => list.iter().map(|statement| statement.as_object().cloned()).collect(),
        _ => None,
    }
}

fn sid_of(statement: &Map<String, Value>) -> Option<&str> {
    statement.get("Sid")?.as_str()
}

/// Whether the present statements together grant every principal, action and resource of the wanted one.
fn grants(present: &[Map<String, Value>], wanted: &Map<String, Value>) -> bool {
    let services = wanted
        .get("Principal")
        .and_then(|principal| texts(principal.get("Service")));
    let parts = (services, texts(wanted.get("Action")), texts(wanted.get("Resource")));
    let ((Some(services), Some(actions), Some(resources)), Some(conditions)) = (parts, conditions(wanted)) else {
        return false;
    };
    services.iter().all(|service| {
        actions.iter().all(|action| {
            resources.iter().all(|resource| {
                present
                    .iter()
                    .any(|statement| allows(statement, service, action, resource, &conditions))
            })
        })
    })
}

/// Whether one statement allows it under no more conditions than the wanted ones.
fn allows(statement: &Map<String, Value>, service: &str, action: &str, resource: &str, wanted: &[Condition]) -> bool {
    let any = |element: &str, fits: &dyn Fn(&str) -> bool| {
        texts(statement.get(element)).is_some_and(|found| found.iter().any(|text| fits(text)))
    };
    let principal = statement
        .get("Principal")
        .and_then(|principal| texts(principal.get("Service")))
        .is_some_and(|services| services.contains(&service));
    let action = action.to_ascii_lowercase();
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && principal
        && any("Action", &|pattern| covers(&pattern.to_ascii_lowercase(), &action))
        && any("Resource", &|pattern| covers(pattern, resource))
        && conditions(statement).is_some_and(|found| found.iter().all(|condition| implied(condition, wanted)))
}

/// Whether a request that meets the wanted conditions meets this one.
fn implied(condition: &Condition, wanted: &[Condition]) -> bool {
    let accepts: fn(&str, &str) -> bool = match condition.operator.as_str() {
        // An asterisk is a plain character here. AWS's own policy for legacy reports has one all the same and delivers, so
        // the same text counts as the same grant.
        "stringequals" => |own, wanted| own == wanted,
        "stringequalsignorecase" => |own, wanted| own.eq_ignore_ascii_case(wanted),
        "stringlike" => covers,
        "arnlike" | "arnequals" => covers_arn,
        _ => return false,
    };
    wanted
        .iter()
        .filter(|wanted| wanted.key == condition.key)
        .any(|wanted| {
            wanted
                .values
                .iter()
                .all(|value| condition.values.iter().any(|own| accepts(own, value)))
        })
}
