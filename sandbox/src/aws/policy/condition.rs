//! Condition blocks (IAM user guide, "IAM JSON policy elements: Condition operators").

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{PolicyError, matches};

/// The values that conditions are compared with: key in lower case (keys ignore case) to values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Sets a single-valued key, for example `aws:SourceAccount`.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.insert(key.to_ascii_lowercase(), vec![value.into()]);
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, value);
        self
    }

    fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }

    /// Replaces policy variables such as `${aws:username}`. `None` when one has no value: the statement then never
    /// matches. The same holds for a value that contains a wildcard, so that no caller widens a pattern by its own name.
    pub(crate) fn substitute(&self, pattern: &str) -> Option<String> {
        if !pattern.contains("${") {
            return Some(pattern.to_owned());
        }
        let mut out = String::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let end = rest[start..].find('}')? + start;
            let name = &rest[start + 2..end];
            match name {
                "*" | "?" | "$" => out.push_str(name),
                key => match self.get(&key.to_ascii_lowercase())? {
                    [single] if !single.contains(['*', '?']) => out.push_str(single),
                    _ => return None,
                },
            }
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Some(out)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    operator: Operator,
    negated: bool,
    if_exists: bool,
    quantifier: Option<Quantifier>,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Arn,
    Bool,
    IpAddress,
    Null,
    Numeric(Order),
    Date(Order),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

impl Condition {
    pub(super) fn parse_block(value: &Value) -> Result<Vec<Self>, PolicyError> {
        let Value::Object(block) = value else {
            return Err(PolicyError::new(
                "Syntax errors in policy: Condition is not a JSON object.",
            ));
        };
        let mut conditions = Vec::new();
        for (operator, keys) in block {
            let Value::Object(keys) = keys else {
                return Err(PolicyError::new(format!(
                    "Syntax errors in policy: {operator} is not a JSON object."
                )));
            };
            let parsed = ParsedOperator::parse(operator)?;
            for (key, values) in keys {
                conditions.push(Self {
                    operator: parsed.operator,
                    negated: parsed.negated,
                    if_exists: parsed.if_exists,
                    quantifier: parsed.quantifier,
                    key: key.to_ascii_lowercase(),
                    values: condition_values(values, key)?,
                });
            }
        }
        Ok(conditions)
    }

    pub(super) fn holds(&self, context: &Context) -> bool {
        let actual = context.get(&self.key);
        if self.operator == Operator::Null {
            let wanted_absent = self.values.iter().any(|value| value.eq_ignore_ascii_case("true"));
            return actual.is_none() == wanted_absent;
        }
        let Some(actual) = actual else {
            // An absent key fails a plain operator, satisfies a negated one, `IfExists` and `ForAllValues`.
            return self.if_exists || self.negated || self.quantifier == Some(Quantifier::All);
        };
        let one = |value: &String| self.any_matches(value, context) != self.negated;
        match self.quantifier {
            Some(Quantifier::All) => actual.iter().all(one),
            Some(Quantifier::Any) | None => actual.iter().any(one),
        }
    }

    fn any_matches(&self, actual: &str, context: &Context) -> bool {
        let substituted = self.values.iter().filter_map(|value| context.substitute(value));
        substituted
            .into_iter()
            .any(|wanted| self.operator.compare(&wanted, actual))
    }
}

struct ParsedOperator {
    operator: Operator,
    negated: bool,
    if_exists: bool,
    quantifier: Option<Quantifier>,
}

impl ParsedOperator {
    fn parse(text: &str) -> Result<Self, PolicyError> {
        let (quantifier, name) = match text.split_once(':') {
            Some(("ForAnyValue", name)) => (Some(Quantifier::Any), name),
            Some(("ForAllValues", name)) => (Some(Quantifier::All), name),
            Some(_) => return Err(PolicyError::new(format!("Invalid Condition type : {text}"))),
            None => (None, text),
        };
        let (if_exists, name) = match name.strip_suffix("IfExists") {
            Some(name) => (true, name),
            None => (false, name),
        };
        let (operator, negated) = match name {
            "StringEquals" => (Operator::StringEquals, false),
            "StringNotEquals" => (Operator::StringEquals, true),
            "StringEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Operator::StringEqualsIgnoreCase, true),
            "StringLike" => (Operator::StringLike, false),
            "StringNotLike" => (Operator::StringLike, true),
            "ArnEquals" | "ArnLike" => (Operator::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Operator::Arn, true),
            "Bool" => (Operator::Bool, false),
            "IpAddress" => (Operator::IpAddress, false),
            "NotIpAddress" => (Operator::IpAddress, true),
            "Null" => (Operator::Null, false),
            "NumericEquals" => (Operator::Numeric(Order::Equals), false),
            "NumericNotEquals" => (Operator::Numeric(Order::Equals), true),
            "NumericLessThan" => (Operator::Numeric(Order::LessThan), false),
            "NumericLessThanEquals" => (Operator::Numeric(Order::LessThanEquals), false),
            "NumericGreaterThan" => (Operator::Numeric(Order::GreaterThan), false),
            "NumericGreaterThanEquals" => (Operator::Numeric(Order::GreaterThanEquals), false),
            "DateEquals" => (Operator::Date(Order::Equals), false),
            "DateNotEquals" => (Operator::Date(Order::Equals), true),
            "DateLessThan" => (Operator::Date(Order::LessThan), false),
            "DateLessThanEquals" => (Operator::Date(Order::LessThanEquals), false),
            "DateGreaterThan" => (Operator::Date(Order::GreaterThan), false),
            "DateGreaterThanEquals" => (Operator::Date(Order::GreaterThanEquals), false),
            _ => return Err(PolicyError::new(format!("Invalid Condition type : {text}"))),
        };
        Ok(Self {
            operator,
            negated,
            if_exists,
            quantifier,
        })
    }
}

impl Operator {
    fn compare(self, wanted: &str, actual: &str) -> bool {
        match self {
            Self::StringEquals => wanted == actual,
            Self::StringEqualsIgnoreCase => wanted.eq_ignore_ascii_case(actual),
            Self::StringLike => matches(wanted, actual),
            Self::Arn => arn_matches(wanted, actual),
            Self::Bool => wanted.eq_ignore_ascii_case(actual),
            Self::IpAddress => ip_matches(wanted, actual),
            // Decided before any comparison.
            Self::Null => false,
            Self::Numeric(order) => match (wanted.parse::<f64>(), actual.parse::<f64>()) {
                (Ok(wanted), Ok(actual)) => order.holds(actual.partial_cmp(&wanted)),
                _ => false,
            },
            Self::Date(order) => match (date(wanted), date(actual)) {
                (Some(wanted), Some(actual)) => order.holds(actual.partial_cmp(&wanted)),
                _ => false,
            },
        }
    }
}

impl Order {
    fn holds(self, actual_to_wanted: Option<std::cmp::Ordering>) -> bool {
        actual_to_wanted.is_some_and(|ordering| match self {
            Self::Equals => ordering.is_eq(),
            Self::LessThan => ordering.is_lt(),
            Self::LessThanEquals => ordering.is_le(),
            Self::GreaterThan => ordering.is_gt(),
            Self::GreaterThanEquals => ordering.is_ge(),
        })
    }
}

/// ARN operators compare the six colon-separated parts one by one, so a `*` does not cross into the next part.
fn arn_matches(pattern: &str, arn: &str) -> bool {
    let pattern: Vec<&str> = pattern.splitn(6, ':').collect();
    let arn: Vec<&str> = arn.splitn(6, ':').collect();
    pattern.len() == arn.len() && pattern.iter().zip(&arn).all(|(pattern, part)| matches(pattern, part))
}

fn ip_matches(range: &str, address: &str) -> bool {
    let (network, bits) = match range.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (range, None),
    };
    match (network.parse::<IpAddr>(), address.parse::<IpAddr>()) {
        (Ok(IpAddr::V4(network)), Ok(IpAddr::V4(address))) => {
            let bits = bits.unwrap_or(32).min(32);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (Ok(IpAddr::V6(network)), Ok(IpAddr::V6(address))) => {
            let bits = bits.unwrap_or(128).min(128);
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = text.parse::<i64>() {
        return DateTime::from_timestamp(seconds, 0);
    }
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|date| date.with_timezone(&Utc))
}

/// Condition values may be strings, booleans or numbers; all are compared as text by their operator.
fn condition_values(value: &Value, key: &str) -> Result<Vec<String>, PolicyError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(PolicyError::new(format!(
            "Syntax errors in policy: the value of {key} is not a string."
        ))),
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        single => Ok(vec![one(single)?]),
    }
}
