#![allow(clippy::unwrap_used)]

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{Field, Int32Type};
use arrow_flight::decode::FlightRecordBatchStream;

use super::*;

fn numbers(rows: i64) -> RecordBatch {
    let values: ArrayRef = Arc::new((0..rows).collect::<Int64Array>());
    RecordBatch::try_from_iter([("n", values)]).unwrap()
}

async fn round_trip(schema: SchemaRef, batches: Vec<RecordBatch>, target: usize) -> (SchemaRef, Vec<RecordBatch>) {
    let input = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
    let messages = encode(schema, input, target, None).unwrap();
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    let mut out = Vec::new();
    while let Some(batch) = stream.try_next().await.unwrap() {
        out.push(batch);
    }
    (stream.schema().unwrap().clone(), out)
}

#[tokio::test]
async fn sends_the_announced_schema_without_and_with_batches() {
    let announced = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let (schema, batches) = round_trip(announced.clone(), vec![], 1000).await;
    assert_eq!(schema, announced);
    assert!(batches.is_empty());
    let exact = RecordBatch::try_new(
        Arc::new(Schema::new(vec![Field::new("other", DataType::Int64, false)])),
        numbers(3).columns().to_vec(),
    )
    .unwrap();
    let (schema, batches) = round_trip(announced.clone(), vec![exact], 1000).await;
    assert_eq!(schema, announced);
    assert_eq!(batches[0].num_rows(), 3);
}

#[tokio::test]
async fn a_null_where_none_was_announced_is_an_error() {
    let announced = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
    let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let batch = RecordBatch::try_from_iter([("n", values)]).unwrap();
    let input = futures::stream::iter([Ok(batch)]).boxed();
    let messages = encode(announced, input, 1000, None).unwrap().collect::<Vec<_>>().await;
    assert_eq!(
        messages.last().unwrap().as_ref().unwrap_err().code(),
        tonic::Code::Internal
    );
}

#[tokio::test]
async fn a_small_slice_of_a_large_batch_stays_whole() {
    let slice = numbers(1_000_000).slice(500, 100);
    let (_, batches) = round_trip(slice.schema(), vec![slice.clone()], 100_000).await;
    assert_eq!(batches, vec![slice]);
}

#[tokio::test]
async fn splits_by_size_also_where_rows_differ() {
    let values = (0..1000).map(|n| if n < 10 { "x".repeat(10_000) } else { n.to_string() });
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    let batch = RecordBatch::try_from_iter([("s", values)]).unwrap();
    let (_, batches) = round_trip(batch.schema(), vec![batch.clone()], 20_000).await;
    assert!(batches.len() > 5);
    assert!(batches.iter().all(|batch| batch_bytes(batch) <= 20_100));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1000);
}

#[test]
fn measures_the_elements_of_a_sliced_list() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>((0..1000).map(|_| Some(vec![Some(1); 100])));
    let list: ArrayRef = Arc::new(list);
    let one = bytes_of(&list.slice(10, 1));
    assert!((400..500).contains(&one), "{one}");
}
