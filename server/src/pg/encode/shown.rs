//! Batches as text for people: what `psql` shows, so that the command line prints the same values as the protocol sends.

use bytes::{Buf, BytesMut};
use datafusion::arrow::array::RecordBatch;
use farthing_engine::{Error, ErrorKind, Result};

use super::{BatchRows, json};
use crate::pg::error::PgError;

/// The values of each row in PostgreSQL's text form; `None` is NULL.
///
/// # Errors
///
/// `OutOfRange` for a value that has no PostgreSQL form.
pub(crate) fn text_cells(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = BatchRows::open(batch, |_| false).map_err(unshown)?;
    let mut cells = Vec::with_capacity(batch.num_rows());
    let mut out = BytesMut::new();
    while !rows.is_done() {
        out.clear();
        rows.write_next(&mut out).map_err(unshown)?;
        let mut row = Vec::with_capacity(batch.num_columns());
        while out.remaining() >= 4 {
            // A length of -1 stands for NULL; every other one is that of the text after it.
            let length = usize::try_from(out.get_i32()).ok();
            let text = length.map(|length| out.split_to(length.min(out.len())));
            row.push(text.map(|text| String::from_utf8_lossy(&text).into_owned()));
        }
        cells.push(row);
    }
    Ok(cells)
}

/// Each row as one JSON object, by the rules of PostgreSQL's `to_json`.
///
/// # Errors
///
/// `OutOfRange` for a value that has no JSON form.
pub(crate) fn json_objects(batch: &RecordBatch) -> Result<Vec<String>> {
    let schema = batch.schema();
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| serde_json::Value::from(field.name().as_str()).to_string())
        .collect();
    let mut out = BytesMut::new();
    (0..batch.num_rows())
        .map(|row| {
            out.clear();
            for (index, (name, column)) in names.iter().zip(batch.columns()).enumerate() {
                out.extend_from_slice(if index == 0 { b"{" } else { b"," });
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b":");
                json::write(column, row, &mut out).map_err(unshown)?;
            }
            out.extend_from_slice(if names.is_empty() { b"{}" } else { b"}" });
            Ok(String::from_utf8_lossy(&out).into_owned())
        })
        .collect()
}

fn unshown(error: PgError) -> Error {
    let fields = error.into_fields();
    let shown = Error::new(ErrorKind::OutOfRange, fields.message);
    match fields.detail {
        Some(detail) => shown.with_detail(detail),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Decimal128Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch() -> RecordBatch {
        let money = Decimal128Array::from(vec![Some(1_500), None])
            .with_precision_and_scale(38, 3)
            .unwrap();
        let at = TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("+00:00");
        RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec!["a \"b\"", ""])) as ArrayRef),
            ("money", Arc::new(money) as ArrayRef),
            ("at", Arc::new(at) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn cells_are_what_psql_shows() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            text_cells(&batch()).unwrap(),
            [
                vec![some("a \"b\""), some("1.500"), some("1970-01-01 00:00:00+00")],
                vec![some(""), None, some("1970-01-01 00:00:01.5+00")],
            ]
        );
    }

    #[test]
    fn objects_are_json() {
        let objects = json_objects(&batch()).unwrap();
        assert_eq!(
            objects[0],
            r#"{"name":"a \"b\"","money":1.500,"at":"1970-01-01T00:00:00+00:00"}"#
        );
        assert_eq!(
            objects[1],
            r#"{"name":"","money":null,"at":"1970-01-01T00:00:01.5+00:00"}"#
        );
    }
}
