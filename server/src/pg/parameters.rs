//! Bound values, text and binary, as scalars of the types that the statement announced.

mod interval;
mod list;

use std::sync::Arc;

use bytes::Buf;
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit, i256};
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;
use postgres_types::Kind;
use uuid::Uuid;

use super::encode::{numeric, text};
use super::error::PgError;
use super::types::{PgType, is_text};

const DAY_US: i64 = 86_400_000_000;

/// Reads one bound value. `kind` is the type that the client was told or announced itself; `target` is what the
/// statement takes. Errors name the parameter by its number, and never hold its value: it may be a secret.
pub(super) fn decode(
    number: usize,
    value: Option<&[u8]>,
    binary: bool,
    kind: &Type,
    target: &DataType,
) -> Result<ScalarValue, PgError> {
    let typed = match value {
        None => {
            return ScalarValue::try_from(target).map_err(|_| {
                PgError::new(
                    "42804",
                    format!("parameter ${number} has a type that cannot be NULL: {target}"),
                )
            });
        }
        // Text announced as text and wanted as something else reads as that: `'{1,2}'` for an array, `t` for a boolean.
        Some(bytes) if !binary && is_text(kind) => from_text(bytes, &PgType::of(target).kind),
        Some(bytes) if !binary => from_text(bytes, kind),
        Some(bytes) => from_binary(bytes, kind),
    };
    let typed = typed.map_err(|flaw| flaw.explain(number, kind, binary))?;
    if typed.data_type() == *target {
        return Ok(typed);
    }
    typed.cast_to(target).map_err(|_| {
        PgError::new(
            "22003",
            format!("the value of parameter ${number} does not fit {target}, which the statement takes there"),
        )
        .with_hint("bind a value in range, or cast the parameter in the statement: $1::numeric(38,9)")
    })
}

/// Why a value cannot be read.
#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    /// It is not of the form that its type has.
    Form,
    /// It is of the right form and too large for any Arrow type.
    Range,
    /// Its type is not one that can be bound.
    Type,
}

impl Flaw {
    fn explain(self, number: usize, kind: &Type, binary: bool) -> PgError {
        let form = if binary { "binary" } else { "text" };
        match self {
            // 22P03 and 22P02 are PostgreSQL's states for the two forms.
            Self::Form => PgError::new(
                if binary { "22P03" } else { "22P02" },
                format!("the {form} value of parameter ${number} is not a {}", kind.name()),
            ),
            Self::Range => PgError::new(
                "22003",
                format!(
                    "the value of parameter ${number} is out of the range of {}",
                    kind.name()
                ),
            ),
            Self::Type => PgError::new(
                "0A000",
                format!(
                    "parameter ${number} of type {} cannot be bound in {form} form",
                    kind.name()
                ),
            )
            .with_hint("bind it as text and cast it in the statement"),
        }
    }
}

type Read<T> = Result<T, Flaw>;

fn from_text(bytes: &[u8], kind: &Type) -> Read<ScalarValue> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Form)?;
    let trimmed = text.trim();
    fn number<T: std::str::FromStr>(text: &str) -> Read<Option<T>> {
        text.parse().map(Some).map_err(|_| Flaw::Form)
    }
    Ok(match *kind {
        Type::BOOL => ScalarValue::Boolean(Some(boolean(trimmed)?)),
        Type::INT2 => ScalarValue::Int16(number(trimmed)?),
        Type::INT4 => ScalarValue::Int32(number(trimmed)?),
        Type::INT8 | Type::OID => ScalarValue::Int64(number(trimmed)?),
        Type::FLOAT4 => ScalarValue::Float32(number(trimmed)?),
        Type::FLOAT8 => ScalarValue::Float64(number(trimmed)?),
        Type::NUMERIC => decimal(trimmed)?,
        Type::BYTEA => ScalarValue::Binary(Some(bytea(text)?)),
        Type::DATE => parsed(trimmed, DataType::Date32).or_else(|_| {
            parsed(trimmed, TIMESTAMP)?
                .cast_to(&DataType::Date32)
                .map_err(|_| Flaw::Form)
        })?,
        Type::TIME => parsed(trimmed, DataType::Time64(TimeUnit::Microsecond))?,
        Type::TIMESTAMP => parsed(trimmed, TIMESTAMP)?,
        Type::TIMESTAMPTZ => parsed(trimmed, timestamptz())?,
        Type::INTERVAL => ScalarValue::IntervalMonthDayNano(Some(interval::parse(trimmed).ok_or(Flaw::Form)?)),
        Type::UUID => ScalarValue::Utf8(Some(Uuid::parse_str(trimmed).map_err(|_| Flaw::Form)?.to_string())),
        Type::JSON | Type::JSONB | Type::UNKNOWN => ScalarValue::Utf8(Some(text.to_owned())),
        _ if is_text(kind) => ScalarValue::Utf8(Some(text.to_owned())),
        _ => match kind.kind() {
            Kind::Array(item) => list::from_text(trimmed, item)?,
            _ => return Err(Flaw::Type),
        },
    })
}

fn from_binary(mut bytes: &[u8], kind: &Type) -> Read<ScalarValue> {
    const SHORT: fn(bytes::TryGetError) -> Flaw = |_| Flaw::Form;
    let bytes = &mut bytes;
    let value = match *kind {
        Type::BOOL => ScalarValue::Boolean(Some(bytes.try_get_u8().map_err(SHORT)? != 0)),
        Type::INT2 => ScalarValue::Int16(Some(bytes.try_get_i16().map_err(SHORT)?)),
        Type::INT4 => ScalarValue::Int32(Some(bytes.try_get_i32().map_err(SHORT)?)),
        Type::INT8 => ScalarValue::Int64(Some(bytes.try_get_i64().map_err(SHORT)?)),
        Type::OID => ScalarValue::Int64(Some(bytes.try_get_u32().map_err(SHORT)?.into())),
        Type::FLOAT4 => ScalarValue::Float32(Some(bytes.try_get_f32().map_err(SHORT)?)),
        Type::FLOAT8 => ScalarValue::Float64(Some(bytes.try_get_f64().map_err(SHORT)?)),
        Type::NUMERIC => decimal(&numeric::read_binary(std::mem::take(bytes)).ok_or(Flaw::Form)?)?,
        Type::BYTEA => ScalarValue::Binary(Some(std::mem::take(bytes).to_vec())),
        Type::DATE => {
            let days = bytes.try_get_i32().map_err(SHORT)?;
            ScalarValue::Date32(Some(days.checked_add(text::EPOCH_DAYS).ok_or(Flaw::Range)?))
        }
        Type::TIME => {
            let us = bytes.try_get_i64().map_err(SHORT)?;
            ScalarValue::Time64Microsecond(
                Some(us)
                    .filter(|us| (0..=DAY_US).contains(us))
                    .ok_or(Flaw::Range)?
                    .into(),
            )
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let us = bytes.try_get_i64().map_err(SHORT)?;
            let us = us
                .checked_add(i64::from(text::EPOCH_DAYS) * DAY_US)
                .ok_or(Flaw::Range)?;
            let zone = (*kind == Type::TIMESTAMPTZ).then(|| Arc::from("UTC"));
            ScalarValue::TimestampMicrosecond(Some(us), zone)
        }
        Type::INTERVAL => {
            let us = bytes.try_get_i64().map_err(SHORT)?;
            let (days, months) = (bytes.try_get_i32().map_err(SHORT)?, bytes.try_get_i32().map_err(SHORT)?);
            let nanoseconds = us.checked_mul(1000).ok_or(Flaw::Range)?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds)))
        }
        Type::UUID => {
            let uuid = Uuid::from_slice(std::mem::take(bytes)).map_err(|_| Flaw::Form)?;
            ScalarValue::Utf8(Some(uuid.to_string()))
        }
        Type::JSONB => match std::mem::take(bytes).split_first() {
            // The only version of the binary form.
            Some((1, json)) => utf8(json)?,
            _ => return Err(Flaw::Form),
        },
        Type::JSON | Type::UNKNOWN => utf8(std::mem::take(bytes))?,
        _ if is_text(kind) => utf8(std::mem::take(bytes))?,
        _ => match kind.kind() {
            Kind::Array(item) => list::from_binary(std::mem::take(bytes), item)?,
            _ => return Err(Flaw::Type),
        },
    };
    if bytes.is_empty() { Ok(value) } else { Err(Flaw::Form) }
}

const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The Arrow type that values of a PostgreSQL type are read into, for lists of them.
fn item_type(kind: &Type) -> Read<DataType> {
    super::types::announced(kind.oid()).ok_or(Flaw::Type)
}

fn utf8(bytes: &[u8]) -> Read<ScalarValue> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::Form)?;
    Ok(ScalarValue::Utf8(Some(text.to_owned())))
}

/// Dates and times are read by Arrow's own parsers.
fn parsed(text: &str, target: DataType) -> Read<ScalarValue> {
    ScalarValue::Utf8(Some(text.to_owned()))
        .cast_to(&target)
        .map_err(|_| Flaw::Form)
}

/// The spellings that PostgreSQL's `boolin` takes, unique prefixes included.
fn boolean(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Ok(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Ok(false),
        _ => Err(Flaw::Form),
    }
}

/// A NUMERIC text as the narrowest decimal that holds it exactly.
fn decimal(text: &str) -> Read<ScalarValue> {
    const MAX_EXPONENT: i32 = 100;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| Flaw::Form)?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: String = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // PostgreSQL knows these; no Arrow decimal does.
        let special = ["nan", "infinity", "inf"].contains(&mantissa.to_ascii_lowercase().as_str());
        return Err(if special { Flaw::Range } else { Flaw::Form });
    }
    if exponent.abs() > MAX_EXPONENT || digits.len() > 1000 {
        return Err(Flaw::Range);
    }
    let mut scale = fraction.len() as i32 - exponent;
    // Zeros at the end carry nothing; without them more values fit.
    while scale > 0 && digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
        scale -= 1;
    }
    while scale < 0 {
        digits.push('0');
        scale += 1;
    }
    let digits = digits.trim_start_matches('0');
    let sign = if negative { "-" } else { "" };
    let shown = format!("{sign}{}", if digits.is_empty() { "0" } else { digits });
    let precision = (digits.len() as i32).max(scale).max(1);
    let (Ok(precision), Ok(scale)) = (u8::try_from(precision), i8::try_from(scale)) else {
        return Err(Flaw::Range);
    };
    match precision {
        ..=38 => {
            let value = shown.parse().map_err(|_| Flaw::Form)?;
            Ok(ScalarValue::Decimal128(Some(value), precision, scale))
        }
        39..=76 => {
            let value = i256::from_string(&shown).ok_or(Flaw::Form)?;
            Ok(ScalarValue::Decimal256(Some(value), precision, scale))
        }
        _ => Err(Flaw::Range),
    }
}

/// Bytes in hex form (`\x00ff`) or in the older escape form (`\000\\`).
fn bytea(text: &str) -> Read<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u8> = hex
            .chars()
            .filter(|char| !char.is_ascii_whitespace())
            .map(|char| char.to_digit(16).map(|digit| digit as u8).ok_or(Flaw::Form))
            .collect::<Read<_>>()?;
        let pairs = digits.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(Flaw::Form);
        }
        return Ok(pairs.map(|pair| pair[0] << 4 | pair[1]).collect());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (b'\\', _) => return Err(Flaw::Form),
            (byte, tail) => {
                out.push(byte);
                tail
            }
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
