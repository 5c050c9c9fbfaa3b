//! Rows of the catalogs, written by column name and turned into Arrow columns.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use farthing_engine::{Error, Result};

use super::shape::Shape;

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number(i64),
    Flag(bool),
    Texts(Vec<String>),
    Numbers(Vec<i64>),
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Cell::Text(value.clone())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Number(value)
    }
}

/// A number of things as a catalog holds it.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Flag(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// A row: columns that it does not name are NULL.
pub(super) type Row = Vec<(&'static str, Cell)>;

/// A row of `column: value` pairs.
macro_rules! row {
    ($($column:ident: $value:expr),* $(,)?) => {
        vec![$((stringify!($column), $crate::compat::cell::Cell::from($value))),*]
    };
}
pub(super) use row;

fn number(value: i64, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(value).ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value).ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value)),
        DataType::Float32 | DataType::Float64 => ScalarValue::Int64(Some(value)).cast_to(data_type).ok()?,
        _ => return None,
    })
}

fn scalar(cell: &Cell, data_type: &DataType) -> Option<ScalarValue> {
    match (cell, data_type) {
        (Cell::Null, _) => ScalarValue::try_from(data_type).ok(),
        (Cell::Text(text), DataType::Utf8) => Some(ScalarValue::Utf8(Some(text.clone()))),
        (Cell::Flag(flag), DataType::Boolean) => Some(ScalarValue::Boolean(Some(*flag))),
        (Cell::Number(value), _) => number(*value, data_type),
        (Cell::Texts(texts), DataType::List(item)) => {
            let items: Option<Vec<_>> = texts
                .iter()
                .map(|text| scalar(&Cell::Text(text.clone()), item.data_type()))
                .collect();
            Some(ScalarValue::List(ScalarValue::new_list(
                &items?,
                item.data_type(),
                true,
            )))
        }
        (Cell::Numbers(numbers), DataType::List(item)) => {
            let items: Option<Vec<_>> = numbers.iter().map(|value| number(*value, item.data_type())).collect();
            Some(ScalarValue::List(ScalarValue::new_list(
                &items?,
                item.data_type(),
                true,
            )))
        }
        _ => None,
    }
}

/// The rows as one batch of the relation's columns.
pub(super) fn batch(shape: &Shape, rows: &[Row]) -> Result<RecordBatch> {
    let schema = shape.arrow();
    let broken = |column: &str| Error::defect(format!("{}.{column} has a value of another type", shape.name));
    for row in rows {
        if let Some((column, _)) = row.iter().find(|(column, _)| shape.column_type(column).is_none()) {
            return Err(Error::defect(format!("{} has no column {column}", shape.name)));
        }
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let values: Option<Vec<ScalarValue>> = rows
            .iter()
            .map(|row| {
                let cell = row.iter().find(|(column, _)| column == field.name());
                scalar(cell.map_or(&Cell::Null, |(_, cell)| cell), field.data_type())
            })
            .collect();
        let values = values.ok_or_else(|| broken(field.name()))?;
        columns.push(if values.is_empty() {
            datafusion::arrow::array::new_empty_array(field.data_type())
        } else {
            ScalarValue::iter_to_array(values).map_err(|_| broken(field.name()))?
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
        .map_err(|error| Error::defect(format!("{} cannot be shown: {error}", shape.name)))
}
