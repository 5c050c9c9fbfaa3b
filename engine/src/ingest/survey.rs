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
use crate::error::{Error, ErrorKind};
use crate::snapshot::SnapshotColumn;
use crate::snapshot::services::ServiceLine;

/// Rows decoded at a time: some hundred kilobytes, and under a millisecond of work between two awaits.
const BATCH_ROWS: usize = 16_384;

const USAGE_ACCOUNT: &str = "line_item_usage_account_id";
const PAYER: &str = "bill_payer_account_id";
const CURRENCY: &str = "line_item_currency_code";
const UNBLENDED: &str = "line_item_unblended_cost";
const USAGE_NAME: &str = "line_item_usage_account_name";
const PAYER_NAME: &str = "bill_payer_account_name";
const NET: &str = "line_item_net_unblended_cost";
const USAGE_END: &str = "line_item_usage_end_date";
const SERVICE: &str = "line_item_product_code";

const TEXTS: [&str; 6] = [USAGE_ACCOUNT, PAYER, CURRENCY, USAGE_NAME, PAYER_NAME, SERVICE];
const OTHERS: [&str; 3] = [UNBLENDED, NET, USAGE_END];

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) columns: Vec<SnapshotColumn>,
    pub(super) rows: u64,
    pub(super) totals: FileTotals,
    /// `None` if there would be too many.
    pub(super) services: Option<Vec<ServiceLine>>,
}

/// Reads a file's footer and the columns named above once, conditionally on its ETag. `name` is the delivered file that
/// errors are about. Memory: those columns of one row
/// group, and a batch.
pub(super) async fn survey(
    store: Arc<dyn ObjectStore>,
    file: &DeliveredFile,
    name: &str,
    column_limit: usize,
) -> Result<Survey, Stop> {
    if file.size == 0 {
        // AWS empties files that a refresh no longer needs; whether to zero bytes or zero rows, it does not say.
        return Ok(empty(Vec::new()));
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
    let columns = columns_of(name, schema)?;
    let rows = footer_rows(name, &footer)?;
    if rows == 0 {
        return Ok(empty(columns));
    }
    check_required(name, &columns)?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(read_schema(schema)));
    let metadata = ArrowReaderMetadata::try_new(footer, options).map_err(failed)?;
    let wanted = (0..schema.fields().len()).filter(|place| {
        let name = schema.field(*place).name().as_str();
        TEXTS.contains(&name) || OTHERS.contains(&name)
    });
    let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
    let mut batches = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(failed)?;
    let (mut totals, mut services) = (Totals::default(), Services::default());
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        let columns = total_columns(&batch)?;
        totals.add(name, &columns)?;
        services.add(name, &columns, batch.column_by_name(SERVICE))?;
    }
    Ok(Survey {
        columns,
        rows,
        totals: totals.finish(name, rows)?,
        services: services.finish()?,
    })
}

/// A file without rows.
fn empty(columns: Vec<SnapshotColumn>) -> Survey {
    Survey {
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
fn read_schema(physical: &Schema) -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields: Vec<Field> = physical
        .fields()
        .iter()
        .map(|field| {
            let field = field.as_ref().clone();
            if TEXTS.contains(&field.name().as_str()) {
                field.with_data_type(dictionary.clone())
            } else {
                field
            }
        })
        .collect();
    Schema::new_with_metadata(fields, physical.metadata().clone())
}

fn total_columns(batch: &RecordBatch) -> Result<TotalColumns<'_>, Error> {
    let needed = |name: &str| {
        batch
            .column_by_name(name)
            .ok_or_else(|| Error::defect(format!("the column {name} was asked for and not read")))
    };
    Ok(TotalColumns {
        rows: batch.num_rows(),
        usage_account: needed(USAGE_ACCOUNT)?,
        payer: needed(PAYER)?,
        currency: needed(CURRENCY)?,
        unblended: needed(UNBLENDED)?,
        usage_name: batch.column_by_name(USAGE_NAME),
        payer_name: batch.column_by_name(PAYER_NAME),
        net: batch.column_by_name(NET),
        usage_end: batch.column_by_name(USAGE_END),
    })
}
