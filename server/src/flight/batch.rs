//! From record batches to Flight messages.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, IpcMessage, SchemaAsIpc};
use farthing_engine::{Error, Result};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tonic::Status;

use super::error::{defect, status, stream_status};

/// The messages of a DoGet.
pub(super) type FlightDataStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send + 'static>>;
/// The batches of a result.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// A schema in the form that FlightInfo, SchemaResult and prepared results carry.
pub(super) fn schema_bytes(schema: &Schema) -> Result<bytes::Bytes> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error| defect("a schema cannot be encoded", error))?;
    Ok(bytes)
}

/// Encodes batches as they come: the schema message first, also when no batch follows, then messages of about
/// `message_bytes` of data each. Pulls one batch at a time, so a slow reader slows the statement down.
///
/// Each batch goes out under `schema`, the announced one: the plan's own may differ in nullability and metadata, and
/// clients refuse a stream whose schema is not the one in FlightInfo.
pub(super) fn encode(
    schema: SchemaRef,
    batches: Batches,
    message_bytes: usize,
    compression: Option<CompressionType>,
) -> Result<FlightDataStream> {
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .map_err(|error| defect("the compression of a stream cannot be set", error))?;
    let announced = schema.clone();
    let pieces = batches
        .and_then(move |batch| futures::future::ready(announce(&announced, &batch)))
        .map_ok(move |batch| {
            let mut pieces = Vec::new();
            split(batch, message_bytes, &mut pieces);
            futures::stream::iter(pieces.into_iter().map(Ok))
        })
        .try_flatten()
        .map_err(|error| FlightError::Tonic(Box::new(status(&error))));
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_options(options)
        // The encoder measures whole buffers, so it would cut a slice of a large batch into single rows.
        .with_max_flight_data_size(usize::MAX)
        .build(pieces)
        .map_err(stream_status);
    Ok(messages.boxed())
}

/// The batch under the announced schema.
fn announce(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
        .map_err(|error| defect("a batch does not fit the announced schema", error))
}

/// Cuts a batch into pieces of about `target` bytes; a single row is never cut.
fn split(batch: RecordBatch, target: usize, pieces: &mut Vec<RecordBatch>) {
    let rows = batch.num_rows();
    if rows == 0 {
        return;
    }
    let bytes = batch.columns().iter().map(bytes_of).sum::<usize>();
    if bytes <= target || rows == 1 {
        pieces.push(batch);
        return;
    }
    // Rows differ in size, so each piece is measured again.
    let step = rows.div_ceil(bytes.div_ceil(target)).min(rows - 1);
    let mut from = 0;
    while from < rows {
        let length = step.min(rows - from);
        split(batch.slice(from, length), target, pieces);
        from += length;
    }
}

/// The bytes of the rows that the array shows, not of the buffers that it may be a slice of.
fn bytes_of(array: &Arc<dyn Array>) -> usize {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            elements(list.values(), offsets) + size_of_val(offsets)
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let offsets = map.value_offsets();
            let entries: Arc<dyn Array> = Arc::new(map.entries().clone());
            elements(&entries, offsets) + size_of_val(offsets)
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(bytes_of).sum(),
        _ => array
            .to_data()
            .get_slice_memory_size()
            .unwrap_or_else(|_| array.get_array_memory_size()),
    }
}

fn elements(values: &Arc<dyn Array>, offsets: &[i32]) -> usize {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
        return 0;
    };
    let first = usize::try_from(*first).unwrap_or_default();
    let last = usize::try_from(*last).unwrap_or_default();
    bytes_of(&values.slice(first, last.saturating_sub(first)))
}

/// The bytes of a batch's rows.
pub(super) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(bytes_of).sum()
}

/// One batch as a stream.
pub(super) fn once(batch: RecordBatch) -> Batches {
    futures::stream::once(futures::future::ready(Ok::<_, Error>(batch))).boxed()
}
