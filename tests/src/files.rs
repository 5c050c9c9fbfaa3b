//! Parquet files in memory, for tests that change what AWS delivered.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A file's schema and all its rows.
pub fn read(bytes: &Bytes) -> (SchemaRef, Vec<RecordBatch>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let schema = builder.schema().clone();
    let batches = builder.build().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    (schema, batches)
}

/// A file of these rows.
pub fn write(schema: &SchemaRef, batches: &[RecordBatch]) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.into_inner().unwrap().into()
}

/// The file with each of its batches changed, and the schema with them.
pub fn rewrite(bytes: &Bytes, change: impl Fn(&RecordBatch) -> RecordBatch) -> Bytes {
    let (_, batches) = read(bytes);
    let changed: Vec<RecordBatch> = batches.iter().map(change).collect();
    write(&changed[0].schema(), &changed)
}
