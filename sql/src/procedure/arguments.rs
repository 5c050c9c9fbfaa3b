//! From a CALL's tree and the bound parameters to typed arguments.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use farthing_engine::account::GivenCredential;
use farthing_engine::id::AccountId;
use farthing_engine::port::{AccessKey, Ambient};
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};

use super::{ArgumentKind, Parameter, Procedure, nearest};

/// The given value of an argument. Text is kept as a secret until its parameter says that it is none.
enum Given {
    Text(SecretString),
    Boolean(bool),
}

/// The arguments of one call, checked against the procedure's parameters.
pub(crate) struct Arguments {
    values: BTreeMap<&'static str, Given>,
}

/// An argument in the tree: which parameter it is for, and its expression.
type Matched<'a> = Vec<(&'static Parameter, &'a Expr)>;

/// Which parameter each argument of the call is for.
fn matched<'a>(procedure: &'static Procedure, call: &'a ast::Function) -> Result<Matched<'a>> {
    let list = match &call.args {
        FunctionArguments::None => return Ok(Vec::new()),
        FunctionArguments::List(list) => list,
        FunctionArguments::Subquery(_) => return Err(not_constant(procedure)),
    };
    let mut found: Matched<'a> = Vec::new();
    let mut named = false;
    for (position, argument) in list.args.iter().enumerate() {
        let (name, value) = split(argument).ok_or_else(|| not_constant(procedure))?;
        named |= name.is_some();
        let parameter = match name {
            Some(name) => procedure
                .parameters
                .iter()
                .find(|p| p.name.eq_ignore_ascii_case(&name))
                .ok_or_else(|| unknown_argument(procedure, &name))?,
            None => {
                if named {
                    return Err(
                        Error::new(ErrorKind::Syntax, "an argument without a name follows one with a name")
                            .with_hint(format!("Call {}.", procedure.signature())),
                    );
                }
                procedure
                    .parameters
                    .get(position)
                    .filter(|p| p.required)
                    .ok_or_else(|| {
                        Error::new(
                            ErrorKind::UnknownFunction,
                            format!("{} takes its arguments by name", procedure.name),
                        )
                        .with_hint(format!("Call {}.", procedure.signature()))
                    })?
            }
        };
        if found.iter().any(|(known, _)| known.name == parameter.name) {
            return Err(Error::new(
                ErrorKind::Syntax,
                format!("the argument {} is given twice", parameter.name),
            ));
        }
        found.push((parameter, value));
    }
    Ok(found)
}

/// The name, if any, and the value of an argument; `None` if it is not of that form. `a := 1` arrives as an unnamed
/// assignment.
pub(crate) fn split(argument: &FunctionArg) -> Option<(Option<String>, &Expr)> {
    let named = |name: &Expr| match name {
        Expr::Identifier(name) => Some(name.value.clone()),
        _ => None,
    };
    let (name, value) = match argument {
        FunctionArg::Named { name, arg, .. } => (Some(name.value.clone()), arg),
        FunctionArg::ExprNamed { name, arg, .. } => (Some(named(name)?), arg),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
            left,
            op: BinaryOperator::Assignment,
            right,
        })) => {
            return Some((Some(named(left)?), right));
        }
        FunctionArg::Unnamed(arg) => (None, arg),
    };
    match value {
        FunctionArgExpr::Expr(expr) => Some((name, expr)),
        _ => None,
    }
}

fn unknown_argument(procedure: &Procedure, name: &str) -> Error {
    let hint = match nearest(name, procedure.parameters.iter().map(|p| p.name)) {
        Some(near) => format!("Perhaps you mean {near}. Call {}.", procedure.signature()),
        None => format!("Call {}.", procedure.signature()),
    };
    Error::new(
        ErrorKind::UnknownFunction,
        format!("{} has no argument {name}", procedure.name),
    )
    .with_hint(hint)
}

fn not_constant(procedure: &Procedure) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("an argument of {} is not a constant", procedure.name),
    )
    .with_hint("Give literals, NULL, casts of them, or parameters ($1).")
}

/// The types of `$1`, `$2` ... in a call.
pub(crate) fn parameter_types(procedure: &'static Procedure, call: &ast::Function) -> Result<Vec<DataType>> {
    let mut types: Vec<DataType> = Vec::new();
    for (parameter, value) in matched(procedure, call)? {
        if let Some(number) = placeholder(value) {
            if types.len() < number {
                types.resize(number, DataType::Utf8);
            }
            if let Some(slot) = types.get_mut(number - 1) {
                *slot = parameter.kind.data_type();
            }
        }
    }
    Ok(types)
}

/// The number of the parameter that an expression is, casts aside.
fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => placeholder(expr),
        Expr::Value(value) => match &value.value {
            // 65,535 is what the wire protocol can bind.
            Value::Placeholder(name) => name
                .strip_prefix('$')?
                .parse()
                .ok()
                .filter(|n| (1..=65_535).contains(n)),
            _ => None,
        },
        _ => None,
    }
}

impl Arguments {
    /// Reads the arguments of a call. No value is ever named in an error.
    pub(crate) fn read(procedure: &'static Procedure, call: &ast::Function, bound: &[ScalarValue]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (parameter, expr) in matched(procedure, call)? {
            let given = match placeholder(expr) {
                Some(number) => {
                    let value = bound
                        .get(number - 1)
                        .ok_or_else(|| Error::new(ErrorKind::BadValue, format!("parameter ${number} has no value")))?;
                    of_scalar(parameter, value)?
                }
                None => of_expr(procedure, parameter, expr)?,
            };
            if let Some(given) = given {
                values.insert(parameter.name, given);
            }
        }
        if let Some(missing) = procedure
            .parameters
            .iter()
            .find(|p| p.required && !values.contains_key(p.name))
        {
            return Err(Error::new(
                ErrorKind::NullNotAllowed,
                format!("{} needs the argument {}", procedure.name, missing.name),
            )
            .with_hint(format!("Call {}.", procedure.signature())));
        }
        Ok(Self { values })
    }

    /// A text argument.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        match self.values.get(name) {
            #[expect(clippy::disallowed_methods, reason = "the parameter is declared to hold no secret")]
            Some(Given::Text(text)) => Ok(Some(text.open().to_owned())),
            _ => Ok(None),
        }
    }

    /// A secret argument.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        match self.values.get(name) {
            Some(Given::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A boolean argument, or its default.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> bool {
        match self.values.get(name) {
            Some(Given::Boolean(value)) => *value,
            _ => default,
        }
    }

    /// An account argument.
    pub(crate) fn account(&self, name: &str) -> Result<Option<AccountId>> {
        self.text(name)?.map(|text| text.parse()).transpose()
    }

    /// An account of AWS, or another one that some delivery or connection has.
    pub(crate) fn known_account(&self, name: &str) -> Result<Option<AccountId>> {
        self.text(name)?.map(|text| AccountId::known(&text)).transpose()
    }

    /// An account by whatever id data may have.
    pub(crate) fn delivered_account(&self, name: &str) -> Result<Option<AccountId>> {
        self.text(name)?.map(|text| AccountId::delivered(&text)).transpose()
    }

    /// The role that `role_arn` names, assumed by what [`Self::credential`] gives; without a role that alone.
    pub(crate) fn credential_or_role(&self) -> Result<GivenCredential> {
        let base = self.credential()?;
        Ok(match self.text("role_arn")? {
            None => base,
            Some(arn) => GivenCredential::Role {
                arn,
                base: Box::new(base),
            },
        })
    }

    /// The credential that `access_key_id`, `secret_access_key`, `session_token`, `credentials_csv` or `credential` give.
    pub(crate) fn credential(&self) -> Result<GivenCredential> {
        if let Some(csv) = self.secret("credentials_csv") {
            let others = ["access_key_id", "secret_access_key", "session_token", "credential"];
            if others.into_iter().any(|name| self.values.contains_key(name)) {
                return Err(Error::new(ErrorKind::BadValue, "the credential is given twice")
                    .with_hint("Give either credentials_csv, or access_key_id and secret_access_key, or credential."));
            }
            return Ok(GivenCredential::Csv(csv));
        }
        let (id, secret) = (self.text("access_key_id")?, self.secret("secret_access_key"));
        let reference = self.text("credential")?;
        match (id, secret, reference) {
            (None, None, None) => Ok(GivenCredential::Absent),
            (Some(access_key_id), Some(secret_access_key), None) => {
                let allowed = |c: char| c.is_ascii_alphanumeric();
                if !(16..=128).contains(&access_key_id.len()) || !access_key_id.chars().all(allowed) {
                    return Err(Error::new(ErrorKind::BadValue, "access_key_id is not an access key id").with_hint(
                        "It has 16 to 128 letters and digits and begins with AKIA or ASIA; did you swap the two values?",
                    ));
                }
                let session_token = self.secret("session_token");
                Ok(GivenCredential::Key(AccessKey {
                    access_key_id,
                    secret_access_key,
                    session_token,
                }))
            }
            (None, None, Some(reference)) => match reference.strip_prefix("secret:") {
                Some(name) if !name.contains(':') => Ok(GivenCredential::Named(name.to_owned())),
                None if Ambient::parse(&reference)?.is_some() => Ok(GivenCredential::Named(reference)),
                _ => Err(Error::new(ErrorKind::BadValue, "credential names no stored secret").with_hint(
                    "Write credential => 'secret:<name>' for a secret stored with put_secret, or 'profile:<name>' or \
                     'chain:<source>' for a credential of the server's machine.",
                )),
            },
            (_, _, Some(_)) => Err(Error::new(ErrorKind::BadValue, "the credential is given twice")
                .with_hint("Give either access_key_id and secret_access_key, or credential.")),
            (Some(_), None, None) => Err(Error::new(ErrorKind::NullNotAllowed, "secret_access_key is missing")
                .with_hint("An access key has two parts: give both, or credential => 'secret:<name>'.")),
            (None, Some(_), None) => Err(Error::new(ErrorKind::NullNotAllowed, "access_key_id is missing")
                .with_hint("An access key has two parts: give both, or credential => 'secret:<name>'.")),
        }
    }
}

fn wrong_type(parameter: &Parameter) -> Error {
    Error::new(
        ErrorKind::WrongType,
        format!("the argument {} takes {}", parameter.name, parameter.kind.sql_type()),
    )
}

fn of_text(parameter: &Parameter, text: &str) -> Result<Option<Given>> {
    match parameter.kind {
        ArgumentKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Ok(Some(Given::Boolean(true))),
            "false" | "f" | "no" | "off" | "0" => Ok(Some(Given::Boolean(false))),
            _ => Err(wrong_type(parameter)),
        },
        _ => Ok(Some(Given::Text(SecretString::new(text)))),
    }
}

fn of_scalar(parameter: &Parameter, value: &ScalarValue) -> Result<Option<Given>> {
    match value {
        value if value.is_null() => Ok(None),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            of_text(parameter, text)
        }
        ScalarValue::Boolean(Some(value)) if parameter.kind == ArgumentKind::Boolean => {
            Ok(Some(Given::Boolean(*value)))
        }
        _ => Err(wrong_type(parameter)),
    }
}

fn of_expr(procedure: &Procedure, parameter: &Parameter, expr: &Expr) -> Result<Option<Given>> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => of_expr(procedure, parameter, inner),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr: inner,
        } => of_expr(procedure, parameter, inner),
        Expr::Value(value) => match &value.value {
            Value::Null => Ok(None),
            Value::Boolean(value) if parameter.kind == ArgumentKind::Boolean => Ok(Some(Given::Boolean(*value))),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => of_text(parameter, text),
            Value::DollarQuotedString(text) => of_text(parameter, &text.value),
            Value::Number(..) if parameter.kind == ArgumentKind::AccountId => Err(Error::new(
                ErrorKind::WrongType,
                format!("the argument {} takes text", parameter.name),
            )
            .with_hint("Quote account ids: leading zeros matter.")),
            _ => Err(wrong_type(parameter)),
        },
        _ => Err(not_constant(procedure)),
    }
}

#[cfg(test)]
mod tests;
