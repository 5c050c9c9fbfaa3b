//! Patterns of policies: `*` for any text, `?` for one character.

use serde_json::{Map, Value};

/// Whether `pattern` matches every text that `inner` matches, where `inner` may itself hold asterisks. Sound, not complete:
/// a `?` never takes in an asterisk.
pub(super) fn covers(pattern: &str, inner: &str) -> bool {
    meet(pattern, inner, |p, i| p == i || (p == '?' && i != '*'), false)
}

/// The same for ARNs under `ArnLike` and `ArnEquals`, which compare the six parts one by one: an asterisk does not reach
/// beyond its part, except in the last one (IAM user guide, "ARN condition operators").
pub(super) fn covers_arn(pattern: &str, inner: &str) -> bool {
    let (pattern, inner): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), inner.splitn(6, ':').collect());
    pattern.len() == 6 && inner.len() == 6 && pattern.iter().zip(&inner).all(|(own, other)| covers(own, other))
}

/// Whether some text is matched by both patterns.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    meet(one, other, |a, b| a == b || a == '?' || b == '?', true)
}

/// Walks both patterns; `both` lets asterisks of the second one stand for any text, too.
fn meet(one: &str, other: &str, same: impl Fn(char, char) -> bool, both: bool) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // reached[j]: the first i characters of `one` and the first j of `other` can stand for the same text.
    let mut reached = vec![false; other.len() + 1];
    reached[0] = true;
    for (at, c) in other.iter().enumerate() {
        reached[at + 1] = reached[at] && both && *c == '*';
    }
    for p in &one {
        let mut next = vec![false; other.len() + 1];
        next[0] = reached[0] && *p == '*';
        for (at, c) in other.iter().enumerate() {
            next[at + 1] = (*p == '*' && (reached[at + 1] || next[at]))
                || (both && *c == '*' && (next[at] || reached[at + 1]))
                || (*p != '*' && !(both && *c == '*') && reached[at] && same(*p, *c));
        }
        reached = next;
    }
    reached[other.len()]
}

/// The texts of an element that is one text or a list of them. `None` if it is missing, or something else.
pub(super) fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// One condition: operator and key in lower case, and the values. IAM compares both without regard to case.
pub(super) struct Condition {
    pub operator: String,
    /// Whether a request without the key meets it.
    pub if_exists: bool,
    pub key: String,
    pub values: Vec<String>,
}

/// All conditions of a statement, each of which must be met. `None` if one cannot be read.
pub(super) fn conditions(statement: &Map<String, Value>) -> Option<Vec<Condition>> {
    let Some(blocks) = statement.get("Condition") else {
        return Some(Vec::new());
    };
    let mut found = Vec::new();
    for (operator, keys) in blocks.as_object()? {
        let operator = operator.to_ascii_lowercase();
        let (operator, if_exists) = match operator.strip_suffix("ifexists") {
            Some(plain) => (plain.to_owned(), true),
            None => (operator, false),
        };
        for (key, value) in keys.as_object()? {
            let scalar = |value: &Value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                _ => None,
            };
            let values = match value {
                Value::Array(list) => list.iter().map(scalar).collect::<Option<Vec<_>>>()?,
                one => vec![scalar(one)?],
            };
            found.push(Condition {
                operator: operator.clone(),
                if_exists,
                key: key.to_ascii_lowercase(),
                values,
            });
        }
    }
    Some(found)
}
