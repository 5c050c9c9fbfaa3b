//! The columns of a delivery: what the dictionary says of them, and what the files hold.
//!
//! A file's Parquet schema is the fact; the dictionary of the format says which of it is known and what it means. Nothing
//! is inferred from values. A column that the dictionary does not know is kept if its type is one of the engine's.

pub(crate) mod header;

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema};

use crate::catalog::ExportKind;
use crate::error::{Error, ErrorKind, Result};
use crate::format::Format;
use crate::port::ManifestColumn;
use crate::snapshot::{ColumnType, EXACT_SCALE, SnapshotColumn};

/// The columns of one file with the engine's types. `schema` is the Arrow schema of the Parquet schema itself. Errors:
/// `BrokenDelivery` naming file, column and type.
pub(super) fn columns_of(file: &str, schema: &Schema, format: &Format) -> Result<Vec<SnapshotColumn>> {
    let mut columns: Vec<SnapshotColumn> = Vec::with_capacity(schema.fields().len());
    let mut names = std::collections::HashSet::new();
    for field in schema.fields() {
        let name = field.name();
        if !names.insert(name) {
            return Err(broken(format!("{file} has the column {name} twice")));
        }
        let physical = type_of(field.data_type()).ok_or_else(|| {
            broken(format!(
                "{file}: the column {name} has the type {}, which Farthing does not read",
                field.data_type()
            ))
        })?;
        columns.push(SnapshotColumn {
            name: name.clone(),
            r#type: against_dictionary(file, name, physical, format)?,
        });
    }
    Ok(columns)
}

/// The columns that a manifest names, by the dictionary: for a delivery without any row, whose files may have no schema.
pub(super) fn columns_named(named: &[ManifestColumn], assumed: ExportKind) -> Vec<SnapshotColumn> {
    let names = named.iter().map(|column| column.name.as_str());
    let format = ExportKind::of_columns(names, assumed).format();
    let known = named.iter().filter_map(|column| {
        let r#type = format.column_type(&column.name)?;
        Some(SnapshotColumn {
            name: column.name.clone(),
            r#type,
        })
    });
    known.collect()
}

/// The engine's type for a delivered type. AWS writes times as INT96 (nanoseconds in Arrow) and may write milli- or
/// microseconds.
fn type_of(delivered: &DataType) -> Option<ColumnType> {
    Some(match delivered {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Float32 | DataType::Float64 => ColumnType::Double,
        DataType::Decimal128(_, EXACT_SCALE) => ColumnType::Decimal,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => ColumnType::Integer,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Timestamp(_, _) => ColumnType::Timestamp,
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return None;
            };
            let [key, value] = fields.as_ref() else {
                return None;
            };
            match (type_of(key.data_type())?, type_of(value.data_type())?) {
                (ColumnType::Text, ColumnType::Text) => ColumnType::TextMap,
                (ColumnType::Text, ColumnType::Double) => ColumnType::DoubleMap,
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn against_dictionary(file: &str, name: &str, physical: ColumnType, format: &Format) -> Result<ColumnType> {
    match format.column_type(name) {
        None => Ok(physical),
        // Declared both ways in real table definitions (`discount`), so the file decides.
        Some(ColumnType::DoubleMap) if physical == ColumnType::TextMap => Ok(physical),
        // What Farthing made of text has every digit.
        Some(ColumnType::Double) if physical == ColumnType::Decimal => Ok(physical),
        Some(known) if physical.widen(known) == Some(known) => Ok(known),
        // Numbers that the dictionary calls strings, such as rates and normalised units: other people's exports have them as
        // numbers. Account ids are not among them: without their zeros they are others.
        Some(ColumnType::Text)
            if matches!(physical, ColumnType::Double | ColumnType::Integer)
                && !format.accounts.names().any(|account| account == name) =>
        {
            Ok(physical)
        }
        Some(known) => Err(wrong_type(file, name, physical, known)),
    }
}

fn wrong_type(file: &str, name: &str, physical: ColumnType, known: ColumnType) -> Error {
    broken(format!(
        "{file}: the column {name} holds {}, and AWS's dictionary says {}",
        word(physical),
        word(known)
    ))
}

/// Adds the columns of one more file to those of the files before it. Errors: `BrokenDelivery` naming both.
pub(super) fn unite(
    columns: &mut Vec<SnapshotColumn>,
    more: &[SnapshotColumn],
    here: &str,
    before: &str,
) -> Result<()> {
    let places: HashMap<String, usize> = columns
        .iter()
        .enumerate()
        .map(|(place, column)| (column.name.clone(), place))
        .collect();
    for column in more {
        match places.get(&column.name) {
            None => columns.push(column.clone()),
            Some(place) => {
                let known = &mut columns[*place];
                known.r#type = known
                    .r#type
                    .widen(column.r#type)
                    .ok_or_else(|| changed(column, known, here, before))?;
            }
        }
    }
    Ok(())
}

/// Checks that the types of a period go together with those of another one. Errors: `BrokenDelivery` naming both.
pub(super) fn check_against(
    columns: &[SnapshotColumn],
    others: &[SnapshotColumn],
    here: &str,
    there: &str,
) -> Result<()> {
    let known: HashMap<&str, &SnapshotColumn> = others.iter().map(|column| (column.name.as_str(), column)).collect();
    for column in columns {
        if let Some(other) = known.get(column.name.as_str())
            && other.r#type.widen(column.r#type).is_none()
        {
            return Err(changed(column, other, here, there));
        }
    }
    Ok(())
}

/// Fails if a column is missing without which the rows cannot be read.
pub(super) fn check_required(file: &str, columns: &[SnapshotColumn], format: &Format) -> Result<()> {
    let missing: Vec<&str> = format
        .required
        .iter()
        .filter(|name| !columns.iter().any(|column| column.name == **name))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = if format.in_costs { "costs need" } else { "are needed" };
    Err(Error::new(
        ErrorKind::BrokenDelivery,
        format!("{file} lacks columns that {what}: {}", missing.join(", ")),
    )
    .with_hint(format!(
        "By its columns it is {}. Farthing reads CUR 2.0, legacy Cost and Usage Reports, FOCUS 1.0 and 1.2, recommendations \
         and carbon emissions. The export's query must have these columns, under their own names.",
        format.name
    )))
}

fn changed(column: &SnapshotColumn, other: &SnapshotColumn, here: &str, there: &str) -> Error {
    broken(format!(
        "the column {} holds {} in {here} and {} in {there}",
        column.name,
        word(column.r#type),
        word(other.r#type)
    ))
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::BrokenDelivery, message).with_hint(
        "Compare the export's columns with AWS's data dictionary; if AWS delivered it like this, report it to Farthing.",
    )
}

fn word(r#type: ColumnType) -> &'static str {
    match r#type {
        ColumnType::Text => "text",
        ColumnType::Double => "doubles",
        ColumnType::Decimal | ColumnType::Money => "decimals",
        ColumnType::Integer => "integers",
        ColumnType::Boolean => "booleans",
        ColumnType::Timestamp => "instants",
        ColumnType::TextMap => "maps to text",
        ColumnType::DoubleMap => "maps to doubles",
    }
}
