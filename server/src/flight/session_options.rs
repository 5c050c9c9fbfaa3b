//! The session options of Flight: Set, Get and CloseSession.
//!
//! arrow-flight 59 lacks these messages; their field numbers are those of Arrow's `format/Flight.proto`. `catalog` and
//! `schema` are the names that ADBC and JDBC use. Every other name is a setting of the SQL session, as in `SET`, except
//! [`COMPRESSION`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::PoisonError;

use arrow::array::AsArray;
use arrow::ipc::CompressionType;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::frontend::CATALOG;
use prost::{Enumeration, Message, Oneof};

use super::ticket::Runner;
use super::token::FlightSession;

/// The action that sets options.
pub(super) const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
/// The action that reads options.
pub(super) const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
/// The action that ends the session.
pub(super) const CLOSE_SESSION: &str = "CloseSession";

/// The current catalog. There is one.
pub(super) const CATALOG_OPTION: &str = "catalog";
/// The current schema.
pub(super) const SCHEMA_OPTION: &str = "schema";
/// How results are compressed: `none` (default; Java clients read nothing else), `lz4` or `zstd`.
pub(super) const COMPRESSION: &str = "ipc_compression";

/// A list of strings.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StringList {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

/// The value of an option.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    List(StringList),
}

impl OptionValue {
    /// The value as `SET` takes it.
    pub(super) fn as_setting(&self) -> String {
        match self {
            OptionValue::Text(text) => text.clone(),
            OptionValue::Bool(value) => value.to_string(),
            OptionValue::Integer(value) => value.to_string(),
            OptionValue::Double(value) => value.to_string(),
            OptionValue::List(list) => list.values.join(","),
        }
    }
}

/// A value, or none, which asks to reset the option.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<OptionValue>,
}

/// What SetSessionOptions asks.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, SessionOptionValue>,
}

/// Why an option was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum OptionError {
    /// Not known to the sender.
    Unspecified = 0,
    /// No option of that name.
    InvalidName = 1,
    /// The option does not take that value.
    InvalidValue = 2,
    /// It cannot be set now.
    Error = 3,
}

/// One option's failure.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SetSessionOptionsError {
    #[prost(enumeration = "OptionError", tag = "1")]
    pub(super) value: i32,
}

/// The options that were not set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, SetSessionOptionsError>,
}

/// The options and their values.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) session_options: HashMap<String, SessionOptionValue>,
}

/// How far CloseSession came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum CloseStatus {
    /// Not known to the sender.
    Unspecified = 0,
    /// Done.
    Closed = 1,
    /// Under way.
    Closing = 2,
    /// Not possible.
    NotCloseable = 3,
}

/// What CloseSession did.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub(super) status: i32,
}

/// Sets the options of a session one by one, and gives those that failed.
pub(super) async fn set(
    runner: &Runner,
    session: &FlightSession,
    request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    let mut result = SetSessionOptionsResult::default();
    for (name, value) in request.session_options {
        if let Err(error) = set_one(runner, session, &name, value.value).await {
            let value = error as i32;
            result.errors.insert(name, SetSessionOptionsError { value });
        }
    }
    result
}

async fn set_one(
    runner: &Runner,
    session: &FlightSession,
    name: &str,
    value: Option<OptionValue>,
) -> Result<(), OptionError> {
    match (name, &value) {
        (CATALOG_OPTION, None) => return Ok(()),
        (CATALOG_OPTION, Some(OptionValue::Text(catalog))) if catalog == CATALOG => return Ok(()),
        (CATALOG_OPTION, _) => return Err(OptionError::InvalidValue),
        (COMPRESSION, _) => return set_compression(session, value),
        _ => {}
    }
    let sql = match (name, &value) {
        (SCHEMA_OPTION, None) => "RESET search_path".to_owned(),
        (SCHEMA_OPTION, Some(OptionValue::Text(schema))) if !schema.is_empty() => {
            format!("SET search_path TO \"{}\"", schema.replace('"', "\"\""))
        }
        (SCHEMA_OPTION, _) => return Err(OptionError::InvalidValue),
        _ if !is_setting_name(name) => return Err(OptionError::InvalidName),
        (_, None) => format!("RESET {name}"),
        (_, Some(value)) => format!("SET {name} TO '{}'", value.as_setting().replace('\'', "''")),
    };
    runner.run_text(session, &sql).await.map_err(|error| reason(&error))?;
    if name != SCHEMA_OPTION {
        let mut options = session.options.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => options.insert(name.to_owned(), value),
            None => options.remove(name),
        };
    }
    Ok(())
}

fn set_compression(session: &FlightSession, value: Option<OptionValue>) -> Result<(), OptionError> {
    let mut options = session.options.lock().unwrap_or_else(PoisonError::into_inner);
    match value {
        None => options.remove(COMPRESSION),
        Some(OptionValue::Text(name)) if compression_called(&name).is_some() => {
            options.insert(COMPRESSION.to_owned(), OptionValue::Text(name))
        }
        Some(_) => return Err(OptionError::InvalidValue),
    };
    Ok(())
}

fn compression_called(name: &str) -> Option<Option<CompressionType>> {
    match name {
        "none" => Some(None),
        "lz4" => Some(Some(CompressionType::LZ4_FRAME)),
        "zstd" => Some(Some(CompressionType::ZSTD)),
        _ => None,
    }
}

/// How the session wants its results compressed.
pub(super) fn compression(session: &FlightSession) -> Option<CompressionType> {
    let options = session.options.lock().unwrap_or_else(PoisonError::into_inner);
    match options.get(COMPRESSION) {
        Some(OptionValue::Text(name)) => compression_called(name).flatten(),
        _ => None,
    }
}

/// Names that can stand in `SET` without quotes.
fn is_setting_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|next| next.is_ascii_alphanumeric() || next == '_' || next == '.')
}

fn reason(error: &Error) -> OptionError {
    match error.kind() {
        ErrorKind::Missing | ErrorKind::Syntax | ErrorKind::Unsupported => OptionError::InvalidName,
        ErrorKind::BadValue | ErrorKind::WrongType | ErrorKind::OutOfRange => OptionError::InvalidValue,
        _ => OptionError::Error,
    }
}

/// The options of a session: catalog, schema, and what the client set. The schema is left out where the session cannot
/// say it, as in a failed transaction.
pub(super) async fn get(runner: &Runner, session: &FlightSession) -> GetSessionOptionsResult {
    let schema = match runner.run_text(session, "SHOW search_path").await {
        Ok(batches) => batches
            .iter()
            .find(|batch| batch.num_rows() > 0 && batch.num_columns() > 0)
            .and_then(|batch| batch.column(0).as_string_opt::<i32>())
            .map(|texts| first_schema(texts.value(0))),
        Err(error) => {
            tracing::debug!(%error, "the session's schema is not known");
            None
        }
    };
    let mut result = GetSessionOptionsResult::default();
    let mut put = |name: &str, value: OptionValue| {
        let value = SessionOptionValue { value: Some(value) };
        result.session_options.insert(name.to_owned(), value);
    };
    put(CATALOG_OPTION, OptionValue::Text(CATALOG.to_owned()));
    if let Some(schema) = schema {
        put(SCHEMA_OPTION, OptionValue::Text(schema));
    }
    for (name, value) in session.options.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        put(name, value.clone());
    }
    result
}

/// The schema that a search path names first, `"$user"` left out: no schema is called like a login.
fn first_schema(path: &str) -> String {
    path.split(',')
        .map(|name| name.trim().trim_matches('"').replace("\"\"", "\""))
        .find(|name| !name.is_empty() && name != "$user")
        .unwrap_or_default()
}
