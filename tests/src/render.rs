//! One text form for every value, whichever way it came: the one of PostgreSQL's text format (ISO dates, all digits of
//! decimals, JSON without spaces and with sorted keys for maps).

use std::error::Error;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use serde_json::{Map, Value};
use tokio_postgres::types::{FromSql, Kind, Type};

use crate::client::Answer;

/// Arrow batches as an answer.
pub fn answer(schema: &SchemaRef, batches: &[RecordBatch]) -> Answer {
    let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            rows.push(
                batch
                    .columns()
                    .iter()
                    .map(|column| value(column.as_ref(), row))
                    .collect(),
            );
        }
    }
    Answer { columns, rows }
}

/// One value; `None` for NULL.
fn value(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => if array.as_boolean().value(row) { "t" } else { "f" }.to_owned(),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Timestamp(_, zone) => {
            let micros = cast(&array.slice(row, 1), &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
            timestamp(
                micros.as_primitive::<TimestampMicrosecondType>().value(0),
                zone.is_some(),
            )
        }
        DataType::Map(..) | DataType::Struct(_) => json(array, row).to_string(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let texts: Vec<String> = (0..items.len())
                .map(|at| array_item(value(items.as_ref(), at)))
                .collect();
            format!("{{{}}}", texts.join(","))
        }
        DataType::Binary => {
            let hex: String = array
                .as_binary::<i32>()
                .value(row)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("\\x{hex}")
        }
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())
            .unwrap()
            .value(row)
            .to_string(),
    })
}

/// An item of an array literal, quoted where PostgreSQL quotes it.
fn array_item(item: Option<String>) -> String {
    let Some(text) = item else { return "NULL".to_owned() };
    let quoted = text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| c.is_whitespace() || "{},\"\\".contains(c));
    if quoted {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        text
    }
}

fn json(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let object: Map<String, Value> = (0..entries.len())
                .map(|at| (value(entries.column(0), at).unwrap(), json(entries.column(1), at)))
                .collect();
            Value::Object(object)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            Value::Object(
                fields
                    .iter()
                    .zip(columns)
                    .map(|(f, c)| (f.name().clone(), json(c.as_ref(), row)))
                    .collect(),
            )
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|at| json(items.as_ref(), at)).collect())
        }
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        kind if kind.is_numeric() => serde_json::from_str(&value(array, row).unwrap()).unwrap(),
        _ => Value::String(value(array, row).unwrap()),
    }
}

/// JSON text in the one form.
pub fn canonical_json(text: &str) -> Option<String> {
    serde_json::from_str::<Value>(text).ok().map(|value| value.to_string())
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let plain = value.to_string();
    // PostgreSQL changes to scientific form outside of 1e-4 .. 1e15, as `float8out` does.
    let size = value.abs();
    if size == 0.0 || (1e-4..1e15).contains(&size) {
        return plain;
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn timestamp(micros: i64, zoned: bool) -> String {
    let instant = DateTime::from_timestamp_micros(micros).unwrap().naive_utc();
    let mut text = instant.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    if zoned {
        text.push_str("+00");
    }
    text
}

/// A value of PostgreSQL's binary format as text.
pub struct PgText(pub String);

impl<'a> FromSql<'a> for PgText {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(binary(kind, raw)?))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn binary(kind: &Type, raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    Ok(match *kind {
        Type::BOOL => if raw[0] != 0 { "t" } else { "f" }.to_owned(),
        Type::INT2 => i16::from_be_bytes(raw.try_into()?).to_string(),
        Type::INT4 => i32::from_be_bytes(raw.try_into()?).to_string(),
        Type::INT8 => i64::from_be_bytes(raw.try_into()?).to_string(),
        Type::FLOAT4 => float(f64::from(f32::from_be_bytes(raw.try_into()?))),
        Type::FLOAT8 => float(f64::from_be_bytes(raw.try_into()?)),
        Type::NUMERIC => numeric(raw)?,
        Type::DATE => (epoch + TimeDelta::days(i32::from_be_bytes(raw.try_into()?).into())).to_string(),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let start: NaiveDateTime = epoch.and_hms_opt(0, 0, 0).unwrap();
            let micros = start.and_utc().timestamp_micros() + i64::from_be_bytes(raw.try_into()?);
            timestamp(micros, *kind == Type::TIMESTAMPTZ)
        }
        Type::BYTEA => format!(
            "\\x{}",
            raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        ),
        Type::JSON => {
            let text = std::str::from_utf8(raw)?;
            canonical_json(text).ok_or_else(|| format!("not JSON: {text}"))?
        }
        _ => match kind.kind() {
            Kind::Array(item) => pg_array(item, raw)?,
            _ => std::str::from_utf8(raw)?.to_owned(),
        },
    })
}

/// `numeric_send` of PostgreSQL: base 10,000 digits with weight, sign and display scale.
fn numeric(raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let word = |at: usize| -> Result<i16, Box<dyn Error + Sync + Send>> {
        let bytes = raw.get(at * 2..at * 2 + 2).ok_or("a NUMERIC is cut off")?;
        Ok(i16::from_be_bytes(bytes.try_into()?))
    };
    let (count, weight, sign, scale) = (word(0)?, i32::from(word(1)?), word(2)? as u16, word(3)? as usize);
    let digits = (0..count as usize)
        .map(|at| word(4 + at))
        .collect::<Result<Vec<_>, _>>()?;
    if sign == 0xC000 {
        return Ok("NaN".to_owned());
    }
    let digit = |place: i32| {
        usize::try_from(weight - place)
            .ok()
            .and_then(|at| digits.get(at))
            .copied()
            .unwrap_or(0)
    };
    let whole: String = (0..=weight.max(0))
        .rev()
        .map(|place| format!("{:04}", digit(place)))
        .collect();
    let whole = whole.trim_start_matches('0');
    let mut text = format!(
        "{}{}",
        if sign == 0x4000 { "-" } else { "" },
        if whole.is_empty() { "0" } else { whole }
    );
    if scale > 0 {
        let groups = i32::try_from(scale.div_ceil(4))?;
        let fraction: String = (1..=groups).map(|place| format!("{:04}", digit(-place))).collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Ok(text)
}

fn pg_array(item: &Type, raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let number = |at: usize| -> Result<i32, Box<dyn Error + Sync + Send>> {
        Ok(i32::from_be_bytes(
            raw.get(at..at + 4).ok_or("an array is cut off")?.try_into()?,
        ))
    };
    if number(0)? == 0 {
        return Ok("{}".to_owned());
    }
    let (count, mut at) = (number(12)?, 20);
    let mut items = Vec::new();
    for _ in 0..count {
        let length = number(at)?;
        at += 4;
        if length < 0 {
            items.push(array_item(None));
            continue;
        }
        let bytes = raw.get(at..at + length as usize).ok_or("an array is cut off")?;
        items.push(array_item(Some(binary(item, bytes)?)));
        at += length as usize;
    }
    Ok(format!("{{{}}}", items.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_postgresql_numerics() {
        let check = |words: &[u16], text: &str| {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(numeric(&raw).unwrap(), text);
        };
        check(&[0, 0, 0, 0], "0");
        check(&[0, 0, 0, 12], "0.000000000000");
        check(&[1, 0, 0, 0, 7], "7");
        check(&[2, 1, 0x4000, 2, 1, 2345], "-12345.00");
        check(&[1, 0xFFFF, 0, 4, 25], "0.0025");
        check(&[1, 0xFFFE, 0, 12, 1], "0.000000010000");
        check(&[3, 1, 0, 6, 12, 3456, 7890], "123456.789000");
        check(&[1, 2, 0, 0, 5], "500000000");
    }

    #[test]
    fn prints_floats_as_postgresql_does() {
        for (value, text) in [
            (0.1, "0.1"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
