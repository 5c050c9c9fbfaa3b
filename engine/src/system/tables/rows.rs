//! Rows of cells into a batch: state tables are small, so clarity beats speed here.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::money::{Amount, PRECISION, SCALE};

/// A schema of these columns, all of them nullable.
pub(crate) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .map(|(name, kind)| Field::new(*name, kind.clone(), true))
            .collect::<Vec<_>>(),
    ))
}

/// A value of a state table.
pub(crate) enum Cell {
    Text(Option<String>),
    Count(Option<u64>),
    Flag(Option<bool>),
    Money(Option<Amount>),
    Instant(Option<DateTime<Utc>>),
}

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }

    pub(crate) fn maybe_text(text: Option<String>) -> Self {
        Self::Text(text)
    }

    pub(crate) fn count(count: u64) -> Self {
        Self::Count(Some(count))
    }

    pub(crate) fn instant(instant: DateTime<Utc>) -> Self {
        Self::Instant(Some(instant))
    }
}

/// The rows as one batch; each row has one cell of the right kind for each column.
pub(crate) fn batch(schema: SchemaRef, rows: impl Iterator<Item = Vec<Cell>>) -> Result<RecordBatch> {
    let rows: Vec<Vec<Cell>> = rows.collect();
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| column(field.data_type(), rows.iter().map(|row| row.get(at))))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|error| Error::defect(format!("a state table does not fit its columns: {error}")))
}

fn column<'a>(kind: &DataType, cells: impl Iterator<Item = Option<&'a Cell>>) -> Result<ArrayRef> {
    let wrong = || Error::defect("a state table has a cell of the wrong kind");
    macro_rules! collect {
        ($variant:path, $array:ty, $map:expr) => {{
            let values: Vec<Option<_>> = cells
                .map(|cell| match cell {
                    Some($variant(value)) => Ok(value.clone().map($map)),
                    _ => Err(wrong()),
                })
                .collect::<Result<_>>()?;
            <$array>::from_iter(values)
        }};
    }
    Ok(match kind {
        DataType::Utf8 => Arc::new(collect!(Cell::Text, StringArray, |text: String| text)),
        DataType::Int64 => Arc::new(collect!(Cell::Count, Int64Array, |count: u64| i64::try_from(count)
            .unwrap_or(i64::MAX))),
        DataType::Boolean => Arc::new(collect!(Cell::Flag, BooleanArray, |flag: bool| flag)),
        DataType::Timestamp(_, None) => Arc::new(collect!(Cell::Instant, TimestampMillisecondArray, |at: DateTime<
            Utc,
        >| at
            .timestamp_millis())),
        DataType::Decimal128(..) => Arc::new(
            collect!(Cell::Money, Decimal128Array, |amount: Amount| amount.units())
                .with_precision_and_scale(PRECISION, SCALE)
                .map_err(|error| Error::defect(error.to_string()))?,
        ),
        _ => return Err(wrong()),
    })
}
