//! One look at one file: footer, columns, and the few columns that control totals are made of.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;

use super::columns::{check_required, columns_of};
use super::delivery::DeliveredFile;
use super::pinned::{PinnedReader, Stop, read_stop};
use super::services::Services;
use super::totals::{FileTotals, TotalColumns, Totals};
use crate::catalog::ExportKind;
use crate::error::{Error, ErrorKind};
use crate::format::Format;
use crate::snapshot::SnapshotColumn;
use crate::snapshot::clustered::OWN_COLUMN;
use crate::snapshot::services::ServiceLine;

/// Rows decoded at a time: some hundred kilobytes, and under a millisecond of work between two awaits.
const BATCH_ROWS: usize = 16_384;

/// The columns that are read as text.
fn texts(format: &Format) -> impl Iterator<Item = &'static str> {
    let others = [format.currency, format.usage_name, format.payer_name, format.service];
    format.accounts.names().chain(others.into_iter().flatten())
}

/// The other columns that are read.
fn others(format: &Format) -> impl Iterator<Item = &'static str> {
    [format.cost, format.net_cost, format.charge_end].into_iter().flatten()
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Its kind by its columns; `None` for a file without any.
    pub(super) kind: Option<ExportKind>,
    pub(super) columns: Vec<SnapshotColumn>,
    pub(crate) rows: u64,
    pub(crate) totals: FileTotals,
    /// `None` if there would be too many.
    pub(super) services: Option<Vec<ServiceLine>>,
}

/// Reads a file's footer and the columns of totals once, conditionally on its ETag. `name` is the delivered file that
/// errors are about, `assumed` what the export is taken for. Memory: those columns of one row group, and a batch.
pub(crate) async fn survey(
    store: Arc<dyn ObjectStore>,
    file: &DeliveredFile,
    name: &str,
    assumed: ExportKind,
    column_limit: usize,
) -> Result<Survey, Stop> {
    if file.size == 0 {
        // AWS empties files that a refresh no longer needs; whether to zero bytes or zero rows, it does not say.
        return Ok(empty(None, Vec::new()));
    }
    let failed = |error: ParquetError| read_stop(name, &error);
    let mut reader = PinnedReader::new(store, file.path.clone(), file.e_tag.clone(), file.size);
    let footer = reader.get_metadata(None).await.map_err(failed)?;
    // The Parquet schema is the fact; an Arrow schema that a writer left in the file is only its memory.
    let physical = ArrowReaderMetadata::try_new(
        Arc::clone(&footer),
        ArrowReaderOptions::new().with_skip_arrow_metadata(true),
    )
    .map_err(failed)?;
    let schema = physical.schema();
    if schema.fields().len() > column_limit {
        return Err(Stop::Failed(
            Error::new(
                ErrorKind::Limit,
                format!(
                    "{name} has {} columns, and the limit is {column_limit}",
                    schema.fields().len()
                ),
            )
            .with_hint("Raise the setting columns, or select fewer columns in the export's query."),
        ));
    }
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let kind = ExportKind::of_columns(names, assumed);
    let format = kind.format();
    let columns = columns_of(name, &without_own(schema), format)?;
    let rows = footer_rows(name, &footer)?;
    if rows == 0 {
        return Ok(empty(Some(kind), columns));
    }
    check_required(name, &columns, format)?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(read_schema(schema, format)));
    let metadata = ArrowReaderMetadata::try_new(footer, options).map_err(failed)?;
    let wanted = (0..schema.fields().len()).filter(|place| {
        let name = schema.field(*place).name().as_str();
        texts(format).chain(others(format)).any(|wanted| wanted == name)
    });
    let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(failed)?;
    let (mut totals, mut services) = (Totals::of(format), Services::of(format));
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let columns = total_columns(&batch, format)?;
        totals.add(name, &columns)?;
        services.add(name, &columns)?;
    }
    Ok(Survey {
        kind: Some(kind),
        columns,
        rows,
        totals: totals.finish(name, rows)?,
        services: services.finish()?,
    })
}

/// What is delivered: columns of Farthing's own are found where somebody exports files of its store again.
fn without_own(schema: &Schema) -> Schema {
    let delivered = schema
        .fields()
        .iter()
        .filter(|field| !field.name().starts_with(OWN_COLUMN));
    Schema::new(delivered.cloned().collect::<Vec<_>>())
}

/// A file without rows.
fn empty(kind: Option<ExportKind>, columns: Vec<SnapshotColumn>) -> Survey {
    Survey {
        kind,
        columns,
        services: Some(Vec::new()),
        ..Survey::default()
    }
}

fn footer_rows(name: &str, footer: &parquet::file::metadata::ParquetMetaData) -> Result<u64, Error> {
    let said = footer.file_metadata().num_rows();
    let in_groups = footer.row_groups().iter().try_fold(0_i64, |sum, group| {
        sum.checked_add(group.num_rows()).filter(|_| group.num_rows() >= 0)
    });
    match u64::try_from(said) {
        Ok(rows) if in_groups == Some(said) => Ok(rows),
        _ => Err(Error::new(
            ErrorKind::BrokenDelivery,
            format!("the footer of {name} contradicts itself about the number of rows"),
        )),
    }
}

/// The schema to read with: text as dictionaries.
fn read_schema(physical: &Schema, format: &Format) -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields: Vec<Field> = physical
        .fields()
        .iter()
        .map(|field| {
            let field = field.as_ref().clone();
            if texts(format).any(|name| name == field.name()) {
                field.with_data_type(dictionary.clone())
            } else {
                field
            }
        })
        .collect();
    Schema::new_with_metadata(fields, physical.metadata().clone())
}

fn total_columns<'a>(batch: &'a RecordBatch, format: &Format) -> Result<TotalColumns<'a>, Error> {
    let usage = format.accounts.usage;
    let read = |name: Option<&'static str>| name.and_then(|name| batch.column_by_name(name));
    Ok(TotalColumns {
        rows: batch.num_rows(),
        usage_account: batch
            .column_by_name(usage)
            .ok_or_else(|| Error::defect(format!("the column {usage} was asked for and not read")))?,
        payer: read(format.accounts.payer),
        currency: read(format.currency),
        cost: read(format.cost),
        usage_name: read(format.usage_name),
        payer_name: read(format.payer_name),
        net: read(format.net_cost),
        charge_end: read(format.charge_end),
        service: read(format.service),
    })
}
