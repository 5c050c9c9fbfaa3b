//! A sample delivered as CSV instead of Parquet: the same rows, as AWS prints them.
//!
//! Amounts are printed as plain decimals with every digit, instants with a `Z`, maps as JSON text, and what is missing as
//! nothing (reference, section 2.8). A legacy report has its own names in the header and folders by run.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use bytes::Bytes;
use chrono::DateTime;
use farthing_engine::money::exact;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cloud::{EXPORT, PREFIX, Sample};

/// How the files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `.csv.gz`
    Gzip,
    /// `.csv.zip`
    Zip,
}

/// The run that legacy folders are named by.
const RUN: &str = "20260704T040211Z";

/// The sample as CSV. The order of the columns is turned around in every second file: it is promised nowhere.
pub fn as_csv(sample: &Sample, packing: Packing) -> Sample {
    let mut objects = BTreeMap::new();
    for (number, (key, bytes)) in sample.objects.iter().enumerate() {
        if key.ends_with(".parquet") {
            let text = csv(bytes.clone(), &header_names(sample), number % 2 == 1);
            objects.insert(csv_key(key, packing), pack(&text, packing));
        } else if key.ends_with("-Manifest.json") && !key.contains("/year=") {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let mut manifest: Value = serde_json::from_str(&text).unwrap();
            for files in ["dataFiles", "reportKeys"] {
                for file in manifest[files].as_array_mut().into_iter().flatten() {
                    *file = json!(csv_key(file.as_str().unwrap(), packing));
                }
            }
            if manifest["contentType"].is_string() {
                manifest["contentType"] = json!("text/csv");
                manifest["compression"] = json!(if packing == Packing::Gzip { "GZIP" } else { "ZIP" });
            }
            objects.insert(key.clone(), Bytes::from(manifest.to_string()));
        }
    }
    Sample {
        spec: sample.spec.clone(),
        totals: sample.totals.clone(),
        objects,
    }
}

/// A legacy report's own names by those of Athena; none for CUR 2.0.
fn header_names(sample: &Sample) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (key, bytes) in &sample.objects {
        if !key.ends_with("-Manifest.json") {
            continue;
        }
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        for column in manifest["columns"].as_array().unwrap() {
            if let (Some(category), Some(name)) = (column["category"].as_str(), column["name"].as_str()) {
                let written = format!("{category}/{name}");
                names.insert(farthing_engine::ingest::athena_name(&written), written);
            }
        }
    }
    names
}

/// Legacy reports lie in the folder of the month and the run, not in Athena's.
fn csv_key(key: &str, packing: Packing) -> String {
    let end = match packing {
        Packing::Gzip => ".csv.gz",
        Packing::Zip => ".csv.zip",
    };
    let key = key.replace(".snappy.parquet", end);
    let Some(at) = key.find(&format!("{EXPORT}/{EXPORT}/year=")) else {
        return key;
    };
    let parts: Vec<&str> = key[at..].split('/').collect();
    let number = |part: &str| part.split_once('=').unwrap().1.parse::<u32>().unwrap();
    let (year, month) = (number(parts[2]), number(parts[3]));
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let folder = format!("{year}{month:02}01-{next_year}{next:02}01");
    format!("{PREFIX}/{EXPORT}/{folder}/{RUN}/{}", parts[4])
}

fn pack(text: &str, packing: Packing) -> Bytes {
    Bytes::from(match packing {
        Packing::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Packing::Zip => {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            archive.start_file("report.csv", SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
            archive.finish().unwrap().into_inner()
        }
    })
}

fn csv(parquet: Bytes, names: &BTreeMap<String, String>, turned: bool) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    let schema = reader.schema().clone();
    let mut order: Vec<usize> = (0..schema.fields().len()).collect();
    if turned {
        order.reverse();
    }
    let header = order.iter().map(|at| {
        let name = schema.field(*at).name();
        quoted(names.get(name).unwrap_or(name))
    });
    let mut text = header.collect::<Vec<_>>().join(",") + "\n";
    for batch in reader.build().unwrap() {
        let batch: RecordBatch = batch.unwrap();
        let columns: Vec<ArrayRef> = order.iter().map(|at| printable(batch.column(*at))).collect();
        for row in 0..batch.num_rows() {
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&quoted(&cell(column, row)));
            }
            text.push('\n');
        }
    }
    text
}

/// Dictionaries as plain text, instants in milliseconds.
fn printable(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Timestamp(..) => cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None)).unwrap(),
        DataType::Dictionary(..) | DataType::Utf8View | DataType::LargeUtf8 => cast(column, &DataType::Utf8).unwrap(),
        _ => column.clone(),
    }
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => decimal(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => {
            let millis = column
                .as_primitive::<arrow::datatypes::TimestampMillisecondType>()
                .value(row);
            let time = DateTime::from_timestamp_millis(millis).unwrap();
            time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let keys = cast(entries.column(0), &DataType::Utf8).unwrap();
            let mut map = Map::new();
            for at in 0..entries.len() {
                let key = keys.as_string::<i32>().value(at).to_owned();
                let value = match entries.column(1).data_type() {
                    DataType::Float64 => json!(entries.column(1).as_primitive::<Float64Type>().value(at)),
                    _ => {
                        let values = cast(entries.column(1), &DataType::Utf8).unwrap();
                        json!(values.as_string::<i32>().value(at))
                    }
                };
                map.insert(key, value);
            }
            Value::Object(map).to_string()
        }
        other => panic!("no text is known for {other}"),
    }
}

/// The decimal that the double stands for, without zeros at its end.
fn decimal(value: f64) -> String {
    let units = exact(value).unwrap();
    let text = farthing_engine::money::Amount::from_units(units).to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
