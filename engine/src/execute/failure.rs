//! What went wrong inside DataFusion, in Farthing's words.
//!
//! Errors of the engine cross DataFusion as `External` and are recovered by downcast, however deep they lie. DataFusion's own
//! errors are told apart by type; only those of planning have no type, and are told apart by how they begin.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, ErrorKind};

/// The engine's error for one of DataFusion's. No backtrace, no Rust text, nothing about the memory of others.
pub fn datafusion_error(error: DataFusionError) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(known) = known(current) {
            return known;
        }
        cause = next(current);
    }
    by_text(&error)
}

/// The cause of an error, through wrappers that keep it to themselves.
fn next<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Some(inner.as_ref()),
            DataFusionError::Collection(errors) => errors.first().map(|error| error as _),
            DataFusionError::Shared(inner) => Some(inner.as_ref()),
            DataFusionError::External(inner) => Some(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => Some(inner.as_ref()),
            DataFusionError::ParquetError(inner) => Some(inner.as_ref()),
            DataFusionError::ObjectStore(inner) => Some(inner.as_ref()),
            other => other.source(),
        };
    }
    if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref::<ArrowError>() {
        return Some(inner.as_ref());
    }
    error.source()
}

/// The error, if its type says what it is.
fn known(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return Some(error.duplicate());
    }
    if let Some(error) = error.downcast_ref::<object_store::Error>() {
        return Some(of_store(error));
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return of_arrow(error);
    }
    let error = error.downcast_ref::<DataFusionError>()?;
    match error {
        DataFusionError::SchemaError(error, _) => Some(of_schema(error)),
        DataFusionError::SQL(error, _) => Some(of_parser(error)),
        DataFusionError::ResourcesExhausted(text) if text.contains("max_temp_directory_size") => Some(
            Error::new(ErrorKind::Disk, "the statement needs more spill space than there is")
                .with_hint("Narrow it by x_billing_period, or raise spill_bytes."),
        ),
        DataFusionError::ResourcesExhausted(_) => Some(
            Error::new(ErrorKind::Memory, "the statement needs more memory than it may have")
                .with_hint("Narrow it by x_billing_period, group by fewer columns, or raise query_memory."),
        ),
        DataFusionError::NotImplemented(text) => Some(Error::new(ErrorKind::Unsupported, sentence(text))),
        _ => None,
    }
}

fn of_store(error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    match error {
        Store::Precondition { .. } | Store::NotFound { .. } => Error::new(
            ErrorKind::SnapshotReplaced,
            "AWS replaced a delivered file while the statement ran",
        )
        .with_hint("Run the statement again; the new delivery is imported meanwhile."),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            Error::new(ErrorKind::AwsRefused, "AWS refused to read a delivered file")
                .with_hint("The key needs s3:GetObject on the export's prefix; check it with check_aws_access.")
        }
        _ => Error::new(ErrorKind::AwsUnreachable, "a delivered file cannot be read")
            .with_hint("Try again; if it persists, check the bucket with check_aws_access."),
    }
}

fn of_arrow(error: &ArrowError) -> Option<Error> {
    match error {
        ArrowError::DivideByZero => Some(Error::new(ErrorKind::DivisionByZero, "division by zero")),
        ArrowError::ArithmeticOverflow(_) => Some(Error::new(ErrorKind::OutOfRange, "a number is out of range")),
        // A number that does not fit the type it is cast to; text that is no number says "cast string".
        ArrowError::CastError(text) if text.starts_with("Can't cast value") => {
            Some(Error::new(ErrorKind::OutOfRange, sentence(text)))
        }
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            Some(Error::new(ErrorKind::BadValue, sentence(text)))
        }
        ArrowError::InvalidArgumentError(text) | ArrowError::ComputeError(text) => {
            let kind = if text.contains("overflow") || text.contains("too large") || text.contains("too small") {
                ErrorKind::OutOfRange
            } else {
                ErrorKind::BadValue
            };
            Some(Error::new(kind, sentence(text)))
        }
        ArrowError::NotYetImplemented(text) => Some(Error::new(ErrorKind::Unsupported, sentence(text))),
        _ => None,
    }
}

fn of_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = Error::new(
                ErrorKind::UnknownColumn,
                format!("column \"{}\" does not exist", field.flat_name()),
            );
            match nearest(&field.name, valid_fields.iter().map(|column| column.name.as_str())) {
                Some(name) => error.with_hint(format!("Perhaps \"{name}\" is meant.")),
                None => error.with_hint("The table's columns are in information_schema.columns."),
            }
        }
        SchemaError::AmbiguousReference { field } => Error::new(
            ErrorKind::AmbiguousColumn,
            format!("column reference \"{}\" is ambiguous", field.flat_name()),
        )
        .with_hint("Put the table's name or alias before it."),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(
                ErrorKind::AmbiguousColumn,
                format!("column \"{name}\" is there more than once"),
            )
            .with_hint("Give one of them another name with AS.")
        }
    }
}

/// The name that shares most of its beginning or its words with `wanted`, if any comes close.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let score = |name: &str| {
        let prefix = wanted.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
        let words = wanted
            .split('_')
            .filter(|word| name.split('_').any(|other| other == *word))
            .count();
        prefix + 3 * words
    };
    names
        .map(|name| (score(name), name))
        .filter(|(score, _)| *score >= 4.max(wanted.len() / 3))
        .max_by_key(|(score, name)| (*score, std::cmp::Reverse(name.len())))
        .map(|(_, name)| name)
}

fn of_parser(error: &ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => sentence(text),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
    };
    Error::new(ErrorKind::Syntax, format!("syntax error: {text}"))
}

/// Errors that DataFusion tells apart by their words alone.
fn by_text(error: &DataFusionError) -> Error {
    let root = error.find_root();
    let (DataFusionError::Plan(text) | DataFusionError::Execution(text)) = root else {
        let defect = Error::defect("the query engine failed unexpectedly");
        return defect.with_detail(sentence(&root.strip_backtrace()));
    };
    let text = sentence(text);
    let lower = text.to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| lower.starts_with(beginning));
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    // What SanityCheckPlan says of a plan that the rules broke: no statement is to blame for it.
    if begins(&["plan: ["]) {
        return Error::defect("the statement was planned wrongly").with_detail(text);
    }
    let kind = if begins(&["table '", "table not found", "no table named"]) {
        ErrorKind::UnknownTable
    } else if begins(&["invalid function", "table function"])
        || has(&[
            "no function matches",
            "failed to match any signature",
            "does not support zero arguments",
        ])
    {
        ErrorKind::UnknownFunction
    } else if has(&["divide by zero", "division by zero"]) {
        ErrorKind::DivisionByZero
    } else if has(&["overflow", "out of range"]) {
        ErrorKind::OutOfRange
    } else if has(&[
        "cannot coerce",
        "cannot infer common",
        "type_coercion",
        "incompatible type",
        "can't cast",
        "unsupported cast",
        "cannot cast",
    ]) {
        ErrorKind::WrongType
    } else if begins(&["unsupported", "not supported", "this feature is not implemented"]) {
        ErrorKind::Unsupported
    } else {
        match root {
            DataFusionError::Plan(_) => ErrorKind::Syntax,
            _ => ErrorKind::BadValue,
        }
    };
    match (kind, text.split('\'').nth(1)) {
        // DataFusion lists every signature that it tried.
        (ErrorKind::UnknownFunction, Some(name)) if begins(&["invalid function"]) => {
            Error::new(kind, format!("function {name} does not exist"))
        }
        (ErrorKind::UnknownFunction, Some(name)) if has(&["failed to match any signature"]) => {
            Error::new(kind, format!("function {name} does not take arguments of these types"))
                .with_hint("Cast the arguments to the types that the function takes, for example x::numeric.")
        }
        _ => Error::new(kind, text),
    }
}

/// The first line of a message, without backtrace and trailing blanks.
fn sentence(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
