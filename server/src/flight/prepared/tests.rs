#![allow(clippy::unwrap_used)]

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use futures::StreamExt;

use super::*;

const BOUNDS: BindingBounds = BindingBounds {
    rows: 3,
    bytes: 100_000,
};

fn batch(numbers: Vec<Option<i64>>) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.iter().map(|n| format!("{n:?}"))));
    let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
    RecordBatch::try_from_iter_with_nullable([("a", numbers, true), ("b", texts, true)]).unwrap()
}

async fn read(batches: Vec<RecordBatch>, parameters: &[DataType]) -> Result<Option<Binding>, Status> {
    let head = futures::stream::iter([Ok(FlightData::default())]);
    let body = FlightDataEncoderBuilder::new()
        .build(futures::stream::iter(batches.into_iter().map(Ok)))
        .map_err(Status::from);
    read_binding(head.chain(body), parameters, BOUNDS).await
}

#[tokio::test]
async fn casts_to_the_announced_types() {
    let binding = read(vec![batch(vec![Some(7), None])], &[DataType::Int32, DataType::Utf8])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(binding[0], [ScalarValue::Int32(Some(7)), ScalarValue::from("Some(7)")]);
    assert_eq!(binding[1][0], ScalarValue::Int32(None));
}

#[tokio::test]
async fn refuses_what_does_not_fit() {
    let overflow = read(vec![batch(vec![Some(1 << 40)])], &[DataType::Int32, DataType::Utf8]).await;
    assert_eq!(overflow.unwrap_err().code(), tonic::Code::InvalidArgument);
    let count = read(vec![batch(vec![Some(1)])], &[DataType::Int64]).await;
    assert_eq!(count.unwrap_err().code(), tonic::Code::InvalidArgument);
    let many = read(vec![batch(vec![None; 4])], &[DataType::Int64, DataType::Utf8]).await;
    assert_eq!(many.unwrap_err().code(), tonic::Code::ResourceExhausted);
}

#[tokio::test]
async fn no_columns_bind_nothing() {
    assert!(read(vec![], &[DataType::Int64]).await.unwrap().is_none());
    let empty = RecordBatch::new_empty(Arc::new(Schema::empty()));
    assert!(read(vec![empty], &[DataType::Int64]).await.unwrap().is_none());
}

#[tokio::test]
async fn no_rows_bind_no_run() {
    let binding = read(vec![batch(vec![])], &[DataType::Int64, DataType::Utf8])
        .await
        .unwrap();
    assert_eq!(binding.unwrap().len(), 0);
}
