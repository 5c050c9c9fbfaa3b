//! Cells of one column, from text to an Arrow array.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, MapBuilder, MapFieldNames,
    StringBuilder, StringViewBuilder, TimestampMillisecondBuilder,
};
use chrono::{DateTime, NaiveDateTime};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error::Result;
use crate::money::{PRECISION, parse_exact};
use crate::snapshot::{ColumnType, EXACT_SCALE};

/// The values of one column of the rows that wait to be written.
pub(super) enum Cells {
    Text(StringViewBuilder),
    Decimal(Decimal128Builder),
    Double(Float64Builder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Instant(TimestampMillisecondBuilder),
    TextMap(Box<MapBuilder<StringBuilder, StringBuilder>>),
    DoubleMap(Box<MapBuilder<StringBuilder, Float64Builder>>),
}

impl Cells {
    pub(super) fn of(r#type: ColumnType) -> Self {
        match r#type {
            ColumnType::Text => Self::Text(StringViewBuilder::new().with_deduplicate_strings()),
            ColumnType::Decimal | ColumnType::Money => Self::Decimal(decimals()),
            ColumnType::Double => Self::Double(Float64Builder::new()),
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Timestamp => Self::Instant(TimestampMillisecondBuilder::new()),
            ColumnType::TextMap => Self::TextMap(Box::new(map(StringBuilder::new()))),
            ColumnType::DoubleMap => Self::DoubleMap(Box::new(map(Float64Builder::new()))),
        }
    }

    /// Adds a cell. `None` if its text is no value of the column's type.
    pub(super) fn push(&mut self, cell: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(cell).ok()?;
        let given = Some(text).filter(|text| !text.is_empty());
        match self {
            // As Parquet deliveries have it: blank, and not NULL, which stands for columns that a month lacks.
            Self::Text(values) => values.append_value(text),
            Self::Decimal(values) => values.append_option(parsed(given, parse_exact)?),
            Self::Double(values) => values.append_option(parsed(given, |text| text.parse().ok())?),
            Self::Integer(values) => values.append_option(parsed(given, |text| text.parse().ok())?),
            Self::Boolean(values) => values.append_option(parsed(given, boolean)?),
            Self::Instant(values) => values.append_option(parsed(given, instant)?),
            Self::TextMap(values) => match parsed(given, entries)? {
                None => values.append(false).ok()?,
                Some(entries) => {
                    for (key, value) in entries {
                        values.keys().append_value(key);
                        values.values().append_option(as_text(value));
                    }
                    values.append(true).ok()?;
                }
            },
            Self::DoubleMap(values) => match parsed(given, entries)? {
                None => values.append(false).ok()?,
                Some(entries) => {
                    for (key, value) in entries {
                        values.keys().append_value(key);
                        values.values().append_option(as_double(&value)?);
                    }
                    values.append(true).ok()?;
                }
            },
        }
        Some(())
    }

    /// Adds NULL. `None` if the column cannot hold one.
    pub(super) fn push_null(&mut self) -> Option<()> {
        match self {
            Self::Text(values) => values.append_null(),
            // What is blank is NULL in every other type.
            _ => self.push(b"")?,
        }
        Some(())
    }

    /// The values as an array; the column starts anew.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(values) => Arc::new(values.finish()),
            Self::Decimal(values) => Arc::new(values.finish()),
            Self::Double(values) => Arc::new(values.finish()),
            Self::Integer(values) => Arc::new(values.finish()),
            Self::Boolean(values) => Arc::new(values.finish()),
            Self::Instant(values) => Arc::new(values.finish()),
            Self::TextMap(values) => Arc::new(values.finish()),
            Self::DoubleMap(values) => Arc::new(values.finish()),
        })
    }
}

/// What a cell should have been.
pub(super) fn word(r#type: ColumnType) -> &'static str {
    match r#type {
        ColumnType::Text => "UTF-8 text",
        ColumnType::Decimal | ColumnType::Money | ColumnType::Double => "number",
        ColumnType::Integer => "integer",
        ColumnType::Boolean => "true or false",
        ColumnType::Timestamp => "instant, such as 2026-01-31T23:00:00Z",
        ColumnType::TextMap | ColumnType::DoubleMap => "map in JSON",
    }
}

/// NULL stays NULL; a text that is no value is told from it.
#[expect(clippy::option_option, reason = "no value, NULL, and a value are three things")]
fn parsed<T>(given: Option<&str>, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    given.map_or(Some(None), |text| parse(text).map(Some))
}

fn decimals() -> Decimal128Builder {
    let r#type = arrow::datatypes::DataType::Decimal128(PRECISION, EXACT_SCALE);
    Decimal128Builder::new().with_data_type(r#type)
}

fn map<V: arrow::array::ArrayBuilder>(values: V) -> MapBuilder<StringBuilder, V> {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    MapBuilder::new(Some(names), StringBuilder::new(), values)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// AWS writes `2026-01-31T23:00:00Z`, with or without milliseconds; copies that went through a database have a space instead
/// of the `T` and no zone, which is UTC all the same.
fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let unzoned = text.trim_end_matches('Z').trim_end_matches(" UTC");
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let mut times = formats
        .iter()
        .filter_map(|format| NaiveDateTime::parse_from_str(unzoned, format).ok());
    times.next().map(|time| time.and_utc().timestamp_millis())
}

/// The entries of a JSON object in their order; of equal keys the last one counts.
fn entries(text: &str) -> Option<Vec<(String, Value)>> {
    struct Entries(Vec<(String, Value)>);
    struct InOrder;
    impl<'de> Visitor<'de> for InOrder {
        type Value = Entries;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
            let mut found: Vec<(String, Value)> = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, Value>()? {
                match found.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, present)) => *present = value,
                    None => found.push((key, value)),
                }
            }
            Ok(Entries(found))
        }
    }
    impl<'de> Deserialize<'de> for Entries {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(InOrder)
        }
    }
    serde_json::from_str::<Entries>(text).ok().map(|entries| entries.0)
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

#[expect(clippy::option_option, reason = "no value, NULL, and a value are three things")]
fn as_double(value: &Value) -> Option<Option<f64>> {
    match value {
        Value::Null => Some(None),
        Value::Number(number) => number.as_f64().map(Some),
        Value::String(text) if text.is_empty() => Some(None),
        Value::String(text) => text.parse().ok().map(Some),
        _ => None,
    }
}
