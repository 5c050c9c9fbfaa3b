//! A CSV file of a delivery becomes Parquet, once: what is queried is then the same whatever the export's format is.
//!
//! Columns are found by their names in the header, in any order. Their types come from AWS's dictionary, never from values.
//! Amounts and quantities are kept as the decimals that the text says, which doubles could not: a column of the dictionary's
//! type double becomes `Decimal128(38, 18)`. Blank cells are blank text or NULL, and maps are
//! read from JSON text. Rows go through in batches; memory does not grow with the file.
//!
//! Reference, section 2.8: AWS writes one header, commas, quotes where needed, `\n`, and empty text for what has no value.

mod cells;
mod source;

use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Fields, Schema};
use csv::{ByteRecord, Position};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::SnapshotColumn;
use crate::table::arrow_type;
use cells::Cells;
pub(super) use source::Unpacked;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Rows of a row group: enough for dictionaries to pay, few enough to prune by.
const GROUP_ROWS: usize = 131_072;
/// A row group is closed early where its columns take so many bytes.
const GROUP_BYTES: usize = 64 << 20;

/// What a CSV file came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Transcoded {
    /// Its columns, in the header's order.
    pub columns: Vec<SnapshotColumn>,
    /// Its rows, the header not counted.
    pub rows: u64,
}

/// Which columns are made of a file, and where in its lines they stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The columns.
    pub columns: Vec<SnapshotColumn>,
    /// For each column the places in a line that it is taken from: the first one that is not blank.
    pub sources: Vec<Vec<usize>>,
    /// The word that stands for NULL, where the format has one.
    pub null_word: Option<&'static str>,
}

/// Reads the CSV text of `file` and writes Parquet. `shape` says what the names of the header stand for. Errors:
/// `BrokenDelivery` naming file, line and column; `AwsUnreachable` if the text ends in the middle of a read; `Defect` if the
/// sink fails.
pub(super) fn transcode(
    text: impl Read,
    file: &str,
    shape: impl FnOnce(&[String]) -> Result<Shape>,
    sink: impl Write + Send,
) -> Result<Transcoded> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text);
    let header = reader.byte_headers().map_err(|error| unreadable(file, &error))?.clone();
    let names = names_of(file, &header)?;
    let Shape {
        columns,
        sources,
        null_word,
    } = shape(&names)?;
    if columns.len() != sources.len() {
        return Err(Error::defect(
            "the columns of a CSV file do not say where they come from",
        ));
    }
    let fields: Fields = columns
        .iter()
        .map(|column| Field::new(&column.name, arrow_type(column.r#type), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let mut writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties)).map_err(unwritable)?;
    let mut builders: Vec<Cells> = columns.iter().map(|column| Cells::of(column.r#type)).collect();
    let mut record = ByteRecord::new();
    let (mut rows, mut waiting) = (0_u64, 0);
    loop {
        let more = reader
            .read_byte_record(&mut record)
            .map_err(|error| unreadable(file, &error))?;
        if more {
            for ((places, builder), column) in sources.iter().zip(&mut builders).zip(&columns) {
                let mut given = places.iter().filter_map(|place| record.get(*place));
                let cell = given.find(|cell| !cell.is_empty()).unwrap_or_default();
                let is_null = null_word.is_some_and(|word| word.as_bytes() == cell);
                let pushed = if is_null {
                    builder.push_null()
                } else {
                    builder.push(cell)
                };
                pushed.ok_or_else(|| no_value(file, record.position(), column, cell))?;
            }
            rows += 1;
            waiting += 1;
        }
        if waiting == BATCH_ROWS || (!more && waiting > 0) {
            let arrays: Vec<ArrayRef> = builders.iter_mut().map(Cells::finish).collect::<Result<_>>()?;
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|error| unwritable(error.into()))?;
            writer.write(&batch).map_err(unwritable)?;
            if writer.in_progress_size() > GROUP_BYTES {
                writer.flush().map_err(unwritable)?;
            }
            waiting = 0;
        }
        if !more {
            break;
        }
    }
    writer.close().map_err(unwritable)?;
    Ok(Transcoded { columns, rows })
}

/// The first text that is not blank and `fits`, in the first column that `is` what is looked for, with what that is. Errors:
/// as [`transcode`].
pub(super) fn first_value<T>(
    text: impl Read,
    file: &str,
    is: impl Fn(&str) -> Option<T>,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<(T, String)>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text);
    let header = reader.byte_headers().map_err(|error| unreadable(file, &error))?.clone();
    let names = names_of(file, &header)?;
    let mut found = names
        .iter()
        .enumerate()
        .filter_map(|(place, name)| Some((place, is(name)?)));
    let Some((place, what)) = found.next() else {
        return Ok(None);
    };
    let mut record = ByteRecord::new();
    while reader
        .read_byte_record(&mut record)
        .map_err(|error| unreadable(file, &error))?
    {
        let cell = record.get(place).unwrap_or_default();
        let text = String::from_utf8_lossy(cell);
        if !cell.is_empty() && cell != b"NULL" && fits(&text) {
            return Ok(Some((what, text.into_owned())));
        }
    }
    Ok(None)
}

/// The names of the header, each once.
fn names_of(file: &str, header: &ByteRecord) -> Result<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let mut names = Vec::with_capacity(header.len());
    for (at, cell) in header.iter().enumerate() {
        // Spreadsheets put a byte order mark before the first name when they save a copy.
        let cell = if at == 0 {
            cell.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(cell)
        } else {
            cell
        };
        let name = std::str::from_utf8(cell).map_err(|_| broken(format!("{file}: the header is not UTF-8 text")))?;
        if name.is_empty() {
            return Err(broken(format!("{file}: column {} of the header has no name", at + 1)));
        }
        if !seen.insert(name.to_owned()) {
            return Err(broken(format!("{file} has the column {name} twice")));
        }
        names.push(name.to_owned());
    }
    if names.is_empty() {
        return Err(broken(format!(
            "{file} is empty: a delivered file has a header at least"
        )));
    }
    Ok(names)
}

fn no_value(file: &str, position: Option<&Position>, column: &SnapshotColumn, cell: &[u8]) -> Error {
    let line = position.map_or(0, Position::line);
    let shown: String = String::from_utf8_lossy(cell).chars().take(40).collect();
    broken(format!(
        "{file}, line {line}: the column {} holds \"{shown}\", which is no {}",
        column.name,
        cells::word(column.r#type)
    ))
}

fn unreadable(file: &str, error: &csv::Error) -> Error {
    if let csv::ErrorKind::Io(io) = error.kind() {
        return source::failed(file, io);
    }
    broken(format!("{file} is not the CSV that AWS writes: {error}"))
}

fn unwritable(error: parquet::errors::ParquetError) -> Error {
    Error::defect(format!("Parquet could not be written: {error}"))
}

fn broken(message: String) -> Error {
    Error::new(ErrorKind::BrokenDelivery, message).with_hint(
        "Compare the file with the export's columns in AWS; if AWS delivered it like this, report it to Farthing.",
    )
}

#[cfg(test)]
mod tests;
