//! The files of a clustered snapshot, as Parquet.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::Layout;
use super::keys::MapNotes;
use super::run::{Order, RESOURCES, Run};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Scratch;
use crate::money::{PRECISION, SCALE};
use crate::snapshot::clustered::{OWN_COLUMN, costs_column};

/// Digits that fit into 64 bits.
const NARROW: u8 = 18;

/// Share of resource ids that a row group is looked through for in vain.
const FALSE_POSITIVES: f64 = 0.01;

/// Columns of `costs` that the kind of line mostly decides: rows in order of the one are nearly in order of the others.
const OF_KINDS: [&str; 5] = [
    "charge_category",
    "charge_class",
    "commitment_discount_status",
    "commitment_discount_type",
    "pricing_category",
];

/// A file that is whole.
pub(super) struct Finished {
    pub file: File,
    pub rows: u64,
}

/// The file that is being written.
struct Open {
    writer: SerializedFileWriter<BufWriter<File>>,
    groups: ArrowRowGroupWriterFactory,
    file: File,
    schema: SchemaRef,
    /// Columns of money whose values did not fit into 64 bits when it began.
    wide: BTreeSet<usize>,
    rows: u64,
}

/// Writes runs into files.
pub(super) struct Files {
    scratch: Scratch,
    layout: Layout,
    schema: SchemaRef,
    /// Delivered columns of text that may still turn out never to be blank.
    never_blank: BTreeSet<usize>,
    maps: MapNotes,
    chosen: bool,
    open: Option<Open>,
}

impl Files {
    /// No file yet, of rows with this schema.
    pub fn new(scratch: Scratch, layout: Layout, schema: SchemaRef, maps: MapNotes) -> Self {
        let delivered_text = |field: &Field| field.data_type().is_string() && !field.name().starts_with(OWN_COLUMN);
        let fields = schema.fields().iter().enumerate();
        let texts = fields.filter(|(_, field)| delivered_text(field)).map(|(n, _)| n);
        Self {
            scratch,
            layout,
            never_blank: texts.collect(),
            schema,
            maps,
            chosen: false,
            open: None,
        }
    }

    /// Looks at rows that come to a run.
    pub fn note(&mut self, batch: &RecordBatch) -> Result<()> {
        self.never_blank.retain(|column| !has_blank(batch.column(*column)));
        self.maps.note(batch)
    }

    /// Sorts a run and writes it. What comes back are files that ended before it or with it.
    pub fn write(&mut self, run: &Run, order: &Order) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        if run.rows() == 0 {
            return Ok(finished);
        }
        if !self.chosen {
            // By the first run alone, since the columns of all files are the same.
            self.maps.choose();
            self.chosen = true;
        }
        let wide = self.wide(run);
        if self.open.as_ref().is_some_and(|open| !wide.is_subset(&open.wide)) {
            finished.extend(self.finish()?);
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(wide, order)?,
        };
        // A row group holds rows of one run, so that it is in order.
        for places in run.sorted(order)?.chunks(self.layout.group_rows) {
            self.write_group(&mut open, run, places)?;
        }
        open.rows += run.rows() as u64;
        let full = open.rows >= self.layout.file_rows;
        self.open = Some(open);
        if full {
            finished.extend(self.finish()?);
        }
        Ok(finished)
    }

    /// Writes a row group column by column: only one column of it is in memory in order.
    fn write_group(&self, open: &mut Open, run: &Run, places: &[(usize, usize)]) -> Result<()> {
        let encoders = open
            .groups
            .create_column_writers(open.writer.flushed_row_groups().len());
        let mut encoders = encoders.map_err(unwritten)?.into_iter();
        let mut fields = open.schema.fields().iter();
        let mut chunks = Vec::new();
        let mut encode = |field: Option<&Arc<Field>>, values: &ArrayRef| -> Result<()> {
            let field = field.ok_or_else(other_columns)?;
            for leaf in compute_leaves(field, values).map_err(unwritten)? {
                let mut encoder = encoders.next().ok_or_else(other_columns)?;
                encoder.write(&leaf).map_err(unwritten)?;
                chunks.push(encoder.close().map_err(unwritten)?);
            }
            Ok(())
        };
        let mut keys = Vec::new();
        for column in 0..self.schema.fields().len() {
            let field = fields.next();
            let mut values = run.take(column, places)?;
            if field.is_some_and(|field| field.data_type() != values.data_type()) {
                values = narrow(&values)?;
            }
            encode(field, &values)?;
            keys.extend(self.maps.columns(column, &values)?);
        }
        for values in &keys {
            encode(fields.next(), values)?;
        }
        let mut group = open.writer.next_row_group().map_err(unwritten)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group).map_err(unwritten)?;
        }
        group.close().map_err(unwritten)?;
        Ok(())
    }

    /// Ends the file that is being written, if one is.
    pub fn finish(&mut self) -> Result<Option<Finished>> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        let Open {
            mut writer, file, rows, ..
        } = open;
        writer.finish().map_err(unwritten)?;
        Ok(Some(Finished { file, rows }))
    }

    /// The delivered columns of text in which no row had blank text.
    pub fn never_blank(&self) -> BTreeSet<String> {
        let names = self
            .never_blank
            .iter()
            .map(|column| self.schema.field(*column).name().clone());
        names.collect()
    }

    /// What is known of the maps.
    pub fn into_maps(self) -> std::collections::BTreeMap<String, crate::snapshot::clustered::MapKeys> {
        self.maps.into_keys()
    }

    /// The columns of money with values that do not fit into 64 bits.
    fn wide(&self, run: &Run) -> BTreeSet<usize> {
        let fields = self.schema.fields().iter().enumerate();
        let money = fields.filter(|(_, field)| is_money(field));
        let wide = money.filter(|(column, _)| run.column(*column).any(|array| !fits(array)));
        wide.map(|(column, _)| column).collect()
    }

    fn begin(&self, wide: BTreeSet<usize>, order: &Order) -> Result<Open> {
        let stored = |(n, field): (usize, &Arc<Field>)| match is_money(field) && !wide.contains(&n) {
            true => Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(DataType::Decimal128(NARROW, SCALE)),
            ),
            false => Arc::clone(field),
        };
        let fields = self.schema.fields().iter().enumerate().map(stored);
        let keys = self.maps.fields().into_iter().map(Arc::new);
        let schema = Arc::new(Schema::new(fields.chain(keys).collect::<Vec<_>>()));
        let file = self.scratch.file()?;
        let sink = file.try_clone().map_err(|error| unwritten(error.into()))?;
        // The Parquet schema says everything; Arrow's in the footer would only make that longer.
        let options = ArrowWriterOptions::new()
            .with_properties(properties(&schema, order, self.layout))
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(BufWriter::new(sink), Arc::clone(&schema), options);
        let (writer, groups) = writer
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(unwritten)?;
        Ok(Open {
            writer,
            groups,
            file,
            schema,
            wide,
            rows: 0,
        })
    }
}

/// How the columns are encoded: docs/decisions/0011-clustered-snapshots.md. What most questions read is packed so that it
/// unpacks fast, and all else so that it is small. Pages have statistics in the columns that rows are in order of: elsewhere
/// those of row groups say as much, and with two hundred columns footers would be larger than what is read.
fn properties(schema: &Schema, order: &Order, layout: Layout) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(layout.group_rows))
        .set_data_page_row_count_limit(layout.page_rows)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let order: Vec<&str> = order.names(schema).collect();
    let paged: BTreeSet<String> = OF_KINDS.into_iter().map(costs_column).collect();
    for name in schema.fields().iter().map(|field| field.name().as_str()) {
        let path = ColumnPath::new(vec![name.to_owned()]);
        let ordered = order.contains(&name);
        if ordered || name.starts_with(OWN_COLUMN) {
            properties = properties.set_column_compression(path.clone(), Compression::LZ4_RAW);
        }
        if ordered || paged.contains(name) {
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if RESOURCES.contains(&name) {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path, FALSE_POSITIVES);
        }
    }
    properties.build()
}

fn is_money(field: &Field) -> bool {
    *field.data_type() == DataType::Decimal128(PRECISION, SCALE)
}

fn fits(array: &ArrayRef) -> bool {
    let limit = 10_i128.pow(NARROW.into());
    let units = array.as_primitive::<Decimal128Type>();
    max(units).is_none_or(|most| most < limit) && min(units).is_none_or(|least| least > -limit)
}

/// The same amounts with fewer digits before the point.
fn narrow(array: &ArrayRef) -> Result<ArrayRef> {
    let units = array.as_primitive_opt::<Decimal128Type>().cloned();
    let narrow = units.and_then(|units| units.with_precision_and_scale(NARROW, SCALE).ok());
    let narrow = narrow.ok_or_else(|| Error::defect("a rewritten column has another type than its file"))?;
    Ok(Arc::new(narrow))
}

fn has_blank(array: &ArrayRef) -> bool {
    let Some(texts) = array.as_string_view_opt() else {
        return true;
    };
    // The length is in the low half of a view.
    let mut views = texts.views().iter().enumerate();
    views.any(|(row, view)| view & u128::from(u32::MAX) == 0 && texts.is_valid(row))
}

fn other_columns() -> Error {
    Error::defect("rewritten rows have other columns than their file")
}

fn unwritten(error: parquet::errors::ParquetError) -> Error {
    Error::new(
        ErrorKind::Disk,
        format!("rewritten rows could not be written to scratch: {error}"),
    )
}
