//! Edge types: what leaves the engine, so that every client reads it without surprises.
//!
//! Inside, text is in views and dictionaries and counts are unsigned; drivers read neither reliably. Everything is
//! nullable at the edge, because a plan's nullability differs between its logical and physical form and Flight SQL clients
//! compare schemas to the letter.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use farthing_engine::{Error, ErrorKind, Result};

/// The type in which values of `inner` leave.
pub(crate) fn edge_type(inner: &DataType) -> DataType {
    match inner {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => edge_type(values),
        DataType::UInt64 | DataType::UInt32 => DataType::Int64,
        DataType::UInt16 | DataType::UInt8 => DataType::Int32,
        DataType::Int8 => DataType::Int16,
        DataType::Float16 => DataType::Float32,
        DataType::List(field) | DataType::LargeList(field) | DataType::ListView(field) => {
            DataType::List(Arc::new(edge_field(field, field.name())))
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Arc::new(edge_field(field, field.name())))
                .collect::<Fields>(),
        ),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return inner.clone();
            };
            // A map's key is never null, and Arrow says so in its type.
            let inside = fields
                .iter()
                .enumerate()
                .map(|(at, field)| Arc::new(Field::new(field.name(), edge_type(field.data_type()), at != 0)))
                .collect::<Fields>();
            DataType::Map(
                Arc::new(Field::new(entries.name(), DataType::Struct(inside), false)),
                *sorted,
            )
        }
        other => other.clone(),
    }
}

fn edge_field(field: &Field, name: &str) -> Field {
    Field::new(name, edge_type(field.data_type()), true)
}

/// The schema in which rows of `inner` leave, with these names for its columns (or its own).
pub(crate) fn edge_schema(inner: &Schema, names: Option<&[String]>) -> SchemaRef {
    let fields: Fields = inner
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let name = names
                .and_then(|names| names.get(at))
                .map_or(field.name().as_str(), String::as_str);
            Arc::new(edge_field(field, name))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// A batch in edge types.
pub(crate) fn edge_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast_with_options(column, field.data_type(), &options)
            }
        })
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| {
            Error::new(
                ErrorKind::OutOfRange,
                format!("a value cannot leave the server: {error}"),
            )
        })?;
    let rows = datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
        .map_err(|error| Error::defect(format!("a batch does not fit its announced schema: {error}")))
}
