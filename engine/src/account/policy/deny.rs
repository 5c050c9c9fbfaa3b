//! Statements that deny what delivery needs.
//!
//! What is known of a delivery: it comes over TLS, from an AWS service as principal, with `aws:SourceAccount` and
//! `aws:SourceArn`, and from no user, role or VPC endpoint (IAM user guide, "AWS global condition context keys"). A Deny that
//! these facts rule out is harmless; any other that fits principal, action and resource is reported.

use serde_json::{Map, Value};

use super::pattern::{Condition, conditions, covers, covers_arn, overlap, texts};

/// Keys that requests of AWS services do not carry: they belong to users and roles, or to a network.
const ABSENT: [&str; 9] = [
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:userid",
    "aws:username",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:vpcsourceip",
];

/// The statements of `present` that deny, or may deny, what a statement of `wanted` grants: by Sid, or by place.
pub(super) fn denials(present: &[Map<String, Value>], wanted: &[Map<String, Value>]) -> Vec<String> {
    let blocks = |statement: &Map<String, Value>| wanted.iter().any(|wanted| denies(statement, wanted));
    present
        .iter()
        .enumerate()
        .filter(|(_, statement)| blocks(statement))
        .map(|(at, statement)| match statement.get("Sid").and_then(Value::as_str) {
            Some(sid) if !sid.is_empty() => sid.to_owned(),
            _ => format!("statement {}", at + 1),
        })
        .collect()
}

fn denies(statement: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    if statement.get("Effect").and_then(Value::as_str) != Some("Deny") {
        return false;
    }
    let services = wanted
        .get("Principal")
        .and_then(|principal| texts(principal.get("Service")));
    let services = services.unwrap_or_default();
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), _) => services.iter().any(|service| names(named, service)),
        (None, Some(spared)) => services.iter().any(|service| !names(spared, service)),
        (None, None) => false,
    };
    let lower = |found: Option<Vec<&str>>| -> Option<Vec<String>> {
        found.map(|texts| texts.into_iter().map(str::to_ascii_lowercase).collect())
    };
    let own = |element: &str| texts(statement.get(element)).map(|found| found.into_iter().map(str::to_owned).collect());
    let action = touches(
        lower(texts(statement.get("Action"))),
        lower(texts(statement.get("NotAction"))),
        &lower(texts(wanted.get("Action"))).unwrap_or_default(),
    );
    let resources: Vec<String> = texts(wanted.get("Resource"))
        .unwrap_or_default()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let resource = touches(own("Resource"), own("NotResource"), &resources);
    principal && action && resource && !ruled_out(statement, wanted)
}

/// Whether the patterns, or everything but `spared`, have something in common with what is wanted.
fn touches(named: Option<Vec<String>>, spared: Option<Vec<String>>, wanted: &[String]) -> bool {
    match (named, spared) {
        (Some(named), _) => wanted.iter().any(|wanted| named.iter().any(|own| overlap(own, wanted))),
        (None, Some(spared)) => wanted
            .iter()
            .any(|wanted| !spared.iter().any(|own| covers(own, wanted))),
        (None, None) => false,
    }
}

/// Whether a principal element takes in the service.
fn names(principal: &Value, service: &str) -> bool {
    let all = |value: Option<&Value>| texts(value).is_some_and(|found| found.contains(&"*"));
    match principal {
        Value::String(text) => text == "*",
        named => {
            let services = texts(named.get("Service")).unwrap_or_default();
            all(named.get("AWS")) || services.iter().any(|own| *own == "*" || *own == service)
        }
    }
}

/// Whether a condition of the Deny is never met by a delivery.
fn ruled_out(statement: &Map<String, Value>, wanted: &Map<String, Value>) -> bool {
    let (Some(own), Some(facts)) = (conditions(statement), conditions(wanted)) else {
        return false;
    };
    own.iter().any(|condition| never_met(condition, &facts))
}

fn never_met(condition: &Condition, facts: &[Condition]) -> bool {
    let Condition {
        operator, key, values, ..
    } = condition;
    let only = |text: &str| values.iter().all(|value| value.eq_ignore_ascii_case(text));
    match (operator.as_str(), key.as_str()) {
        ("bool", "aws:securetransport" | "aws:principalisawsservice") => only("false"),
        // AWS services use TLS 1.2 at least.
        ("numericlessthan", "s3:tlsversion") => values.iter().all(|v| v.parse::<f64>().is_ok_and(|v| v <= 1.2)),
        ("null", "aws:sourceaccount" | "aws:sourcearn" | "aws:principalisawsservice") => only("true"),
        ("null", key) if ABSENT.contains(&key) => only("false"),
        (operator, key) if ABSENT.contains(&key) => {
            let positive = [
                "stringequals",
                "stringequalsignorecase",
                "stringlike",
                "arnequals",
                "arnlike",
            ];
            positive.contains(&operator) && !condition.if_exists
        }
        (operator, "aws:sourceaccount" | "aws:sourcearn") => {
            let known: Vec<&String> = facts.iter().filter(|f| f.key == *key).flat_map(|f| &f.values).collect();
            match operator {
                "stringequals" | "stringlike" | "arnequals" | "arnlike" => {
                    !known.iter().any(|fact| values.iter().any(|own| overlap(own, fact)))
                }
                "stringnotequals" | "stringnotlike" => spares(values, &known, covers),
                "arnnotequals" | "arnnotlike" => spares(values, &known, covers_arn),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Whether a condition that wants none of `values` leaves out everything that is known of a delivery.
fn spares(values: &[String], known: &[&String], covers: fn(&str, &str) -> bool) -> bool {
    !known.is_empty() && known.iter().all(|fact| values.iter().any(|own| covers(own, fact)))
}
