//! One Snappy Parquet file, written row group by row group.
//!
//! The Arrow writer of the `parquet` crate writes no INT96, so columns are written one by one: those with timestamps in
//! INT96 by the typed column writer, all others by Arrow's. The Arrow schema is left out of the file, as AWS leaves it out.

use std::io::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Repetition, Type as PhysicalType};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::TimestampEncoding;
use super::columns::{COLUMNS, Column, ColumnKind};
use super::rows::{dictionary_type, map_type};
use super::shape::Shape;

/// Rows of a row group.
const ROW_GROUP: usize = 131_072;

/// Values of a column in one batch.
pub enum Values {
    /// Anything but instants.
    Array(ArrayRef),
    /// Instants, milliseconds since 1970.
    Instants(Vec<i64>),
}

/// Arrow schema of the batches of CUR 2.0; text is dictionary-encoded or plain as comes handy.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| schema_of(&COLUMNS));

/// Arrow schema of batches with these columns.
pub fn schema_of(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| {
            let data_type = match column.kind {
                ColumnKind::Text => DataType::Utf8,
                ColumnKind::Double => DataType::Float64,
                ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
                ColumnKind::TextMap => map_type(dictionary_type()),
                ColumnKind::DoubleMap => map_type(DataType::Float64),
            };
            Field::new(column.name, data_type, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// A file on its way.
pub struct ParquetFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    shape: Arc<Shape>,
    int96: bool,
    group: Vec<ArrowColumnWriter>,
    instants: Vec<Vec<Int96>>,
    rows: usize,
    groups: usize,
}

/// Julian day number of 1970-01-01, from which INT96 counts days.
const JULIAN_1970: i64 = 2_440_588;
const DAY_MILLIS: i64 = 86_400_000;

fn int96(millis: i64) -> Int96 {
    let nanos = (millis.rem_euclid(DAY_MILLIS) * 1_000_000) as u64;
    let day = (millis.div_euclid(DAY_MILLIS) + JULIAN_1970) as u32;
    let mut value = Int96::new();
    value.set_data(nanos as u32, (nanos >> 32) as u32, day);
    value
}

fn schema(shape: &Shape, encoding: TimestampEncoding) -> Result<TypePtr> {
    let converted = ArrowSchemaConverter::new().convert(&shape.schema)?;
    if encoding == TimestampEncoding::Int64Millis {
        return Ok(converted.root_schema_ptr());
    }
    let fields = converted.root_schema().get_fields().iter().zip(&shape.columns);
    let fields: Result<Vec<TypePtr>> = fields
        .map(|(field, column)| {
            if column.kind != ColumnKind::Timestamp {
                return Ok(field.clone());
            }
            let built = Type::primitive_type_builder(&column.name, PhysicalType::INT96);
            Ok(Arc::new(built.with_repetition(Repetition::OPTIONAL).build()?))
        })
        .collect();
    Ok(Arc::new(
        Type::group_type_builder(converted.root_schema().name())
            .with_fields(fields?)
            .build()?,
    ))
}

impl<W: Write + Send> ParquetFile<W> {
    /// Starts a file.
    pub fn new(out: W, encoding: TimestampEncoding, shape: Arc<Shape>) -> Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("farthing-sandbox".to_owned())
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // No two ids are alike: a dictionary would only be in the way.
            .set_column_dictionary_enabled(ColumnPath::from("identity_line_item_id"), false);
        for column in shape
            .columns
            .iter()
            .filter(|c| matches!(c.kind, ColumnKind::TextMap | ColumnKind::DoubleMap))
        {
            for part in ["key", "value"] {
                // Least and greatest entries of maps say nothing about a row, and cost a tenth of the time.
                let path = [column.name.as_str(), "key_value", part].map(str::to_owned).to_vec();
                properties = properties.set_column_statistics_enabled(ColumnPath::new(path), EnabledStatistics::None);
            }
        }
        let properties = properties.build();
        let file = SerializedFileWriter::new(out, schema(&shape, encoding)?, Arc::new(properties))?;
        let factory = ArrowRowGroupWriterFactory::new(&file, shape.schema.clone());
        let int96 = encoding == TimestampEncoding::Int96;
        Ok(Self {
            file,
            factory,
            shape,
            int96,
            group: Vec::new(),
            instants: Vec::new(),
            rows: 0,
            groups: 0,
        })
    }

    /// Adds rows: one entry for each column of CUR 2.0, and the net amortised cost.
    pub fn write(&mut self, rows: usize, columns: Vec<Values>) -> Result<()> {
        let columns = self.shape.of(rows, columns)?;
        if self.group.is_empty() {
            self.group = self.factory.create_column_writers(self.groups)?;
            self.instants = vec![Vec::new(); self.shape.columns.len()];
        }
        let mut leaf = 0;
        for (column, values) in columns.into_iter().enumerate() {
            let array = match values {
                Values::Instants(millis) if self.int96 => {
                    self.instants[column].extend(millis.into_iter().map(int96));
                    leaf += 1;
                    continue;
                }
                Values::Instants(millis) => Arc::new(TimestampMillisecondArray::from(millis).with_timezone("UTC")),
                Values::Array(array) => array,
            };
            for levels in compute_leaves(self.shape.schema.field(column), &array)? {
                self.group[leaf].write(&levels)?;
                leaf += 1;
            }
        }
        self.rows += rows;
        if self.rows >= ROW_GROUP {
            self.end_group()
        } else {
            Ok(())
        }
    }

    fn end_group(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut writers = std::mem::take(&mut self.group).into_iter();
        let mut group = self.file.next_row_group()?;
        for (column, instants) in self.shape.columns.iter().zip(std::mem::take(&mut self.instants)) {
            let leaves = if matches!(column.kind, ColumnKind::TextMap | ColumnKind::DoubleMap) {
                2
            } else {
                1
            };
            for writer in writers.by_ref().take(leaves) {
                if column.kind == ColumnKind::Timestamp && self.int96 {
                    let mut target = group
                        .next_column()?
                        .ok_or_else(|| ParquetError::General(format!("no place for column {}", column.name)))?;
                    target
                        .typed::<Int96Type>()
                        .write_batch(&instants, Some(&vec![1; instants.len()]), None)?;
                    target.close()?;
                } else {
                    writer.close()?.append_to_row_group(&mut group)?;
                }
            }
        }
        group.close()?;
        self.rows = 0;
        self.groups += 1;
        Ok(())
    }

    /// Ends the file and returns where it was written to.
    pub fn finish(mut self) -> Result<W> {
        self.end_group()?;
        self.file.into_inner()
    }
}
