//! Arrow batches as rows of the wire protocol.

mod column;
mod json;
pub(super) mod numeric;
mod shown;
pub(super) mod text;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use farthing_engine::Error;

use self::column::Column;
pub(crate) use self::shown::{json_objects, text_cells};
use super::error::PgError;

/// A batch prepared for being written row by row.
pub(super) struct BatchRows {
    columns: Vec<Column>,
    rows: usize,
    next: usize,
}

impl BatchRows {
    /// Prepares a batch. `binary` says for each column whether the client wants the binary form.
    pub(super) fn open(batch: &RecordBatch, binary: impl Fn(usize) -> bool) -> Result<Self, PgError> {
        let columns = batch
            .columns()
            .iter()
            .enumerate()
            .map(|(index, array)| Column::open(array, binary(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            rows: batch.num_rows(),
            next: 0,
        })
    }

    /// Whether every row is written.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.rows
    }

    /// Writes the next row's values, each with its length before it.
    pub(super) fn write_next(&mut self, out: &mut BytesMut) -> Result<(), PgError> {
        for column in &self.columns {
            column.write_value(self.next, out)?;
        }
        self.next += 1;
        Ok(())
    }
}

/// Writes what `value` writes, with its length before it.
fn with_length(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut) -> Result<(), PgError>) -> Result<(), PgError> {
    let start = out.len();
    out.put_i32(0);
    value(out)?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| PgError::new("54000", "a value is longer than the protocol allows"))?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A value or type that the encoder was not made for: edge schemas do not have it.
fn unexpected(what: impl Into<String>) -> PgError {
    Error::defect(what).into()
}

#[cfg(test)]
mod tests;
