#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Cursor, Write};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Decimal128Type, TimestampMillisecondType};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::source::Packing;
use super::{Shape, Transcoded, Unpacked, transcode};
use crate::error::{Error, ErrorKind};
use crate::snapshot::{ColumnType, SnapshotColumn};

const FILE: &str = "costs-00001.csv.gz";

/// Types by the first letter of the name.
fn shape(names: &[String]) -> crate::error::Result<Shape> {
    let r#type = |name: &str| match name.as_bytes()[0] {
        b'd' => ColumnType::Decimal,
        b't' => ColumnType::Timestamp,
        b'm' => ColumnType::TextMap,
        b'x' => ColumnType::DoubleMap,
        b'i' => ColumnType::Integer,
        b'b' => ColumnType::Boolean,
        _ => ColumnType::Text,
    };
    let column = |name: &String| SnapshotColumn {
        name: name.clone(),
        r#type: r#type(name),
    };
    Ok(Shape {
        columns: names.iter().map(column).collect(),
        sources: (0..names.len()).map(|at| vec![at]).collect(),
        null_word: None,
    })
}

fn through(packed: Vec<u8>) -> Result<(Transcoded, RecordBatch), Error> {
    let mut unpacked = Unpacked::open(FILE, Cursor::new(packed))?;
    let mut written = Vec::new();
    let done = transcode(unpacked.text(FILE)?, FILE, shape, &mut written)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(written)).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    Ok((done, concat_batches(&schema, &batches).unwrap()))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn refused(text: &str) -> String {
    let error = through(text.as_bytes().to_vec()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenDelivery, "{error}");
    error.message().to_owned()
}

const TEXT: &str = "name,d_cost,t_start,m_tags,x_discount,i_n,b_flag\n\
    \"a, \"\"b\"\"\nc\",0.123456789012345678,2026-01-31T23:00:00Z,\"{\"\"z\"\":\"\"1\"\",\"\"a\"\":2}\",\"{\"\"edp\"\":-0.5}\",7,true\n\
    ,,,,,,\n\
    é,-1E-7,2026-01-31 23:00:00.250,{},{},-1,FALSE\n";

#[test]
fn every_type_is_read_and_blank_is_no_value() {
    let (done, rows) = through(TEXT.as_bytes().to_vec()).unwrap();
    assert_eq!((done.rows, rows.num_rows()), (3, 3));
    let text = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(&rows))
        .unwrap()
        .to_string();
    assert!(text.contains("{z: 1, a: 2}") && text.contains("{edp: -0.5}"), "{text}");
    let costs = rows.column(1).as_primitive::<Decimal128Type>();
    assert_eq!(
        (costs.value(0), costs.value(2)),
        (123_456_789_012_345_678, -100_000_000_000)
    );
    let times = rows.column(2).as_primitive::<TimestampMillisecondType>();
    assert_eq!(times.value(2) - times.value(0), 250);
    assert_eq!(times.value(0), 1_769_900_400_000);
    assert!(rows.columns()[1..].iter().all(|column| column.is_null(1)));
    assert_eq!(rows.column(0).as_string_view().value(1), "");
    assert_eq!(rows.column(0).as_string_view().value(0), "a, \"b\"\nc");
}

#[test]
fn packing_and_order_of_columns_change_nothing() {
    let plain = through(TEXT.as_bytes().to_vec()).unwrap();
    // Several gzip members are what parallel writers make.
    let (one, other) = TEXT.split_at(80);
    let packings = [
        gzip(TEXT),
        [gzip(one), gzip(other)].concat(),
        zipped(&[("costs-00001.csv", TEXT)]),
        [b"\xEF\xBB\xBF", TEXT.as_bytes()].concat(),
    ];
    for packed in packings {
        assert_eq!(through(packed).unwrap(), plain);
    }
    let turned = "i_n,name\n7,a\n8,b\n";
    let (_, rows) = through(turned.as_bytes().to_vec()).unwrap();
    let names: Vec<&str> = rows
        .column_by_name("name")
        .unwrap()
        .as_string_view()
        .iter()
        .flatten()
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(Packing::of(&gzip("")), Packing::Gzip);
}

#[test]
fn more_rows_than_a_batch_keep_their_order() {
    let rows: u64 = 20_001;
    let lines: String = (0..rows).map(|row| format!("{row},{row}.5\n")).collect();
    let (done, batch) = through(gzip(&format!("i_n,d_cost\n{lines}"))).unwrap();
    assert_eq!(done.rows, rows);
    let numbers = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
    assert!(numbers.values().iter().copied().eq(0..i64::try_from(rows).unwrap()));
}

#[test]
fn a_header_alone_has_columns_and_no_rows() {
    let (done, rows) = through(b"name,d_cost\n".to_vec()).unwrap();
    assert_eq!((done.columns.len(), done.rows, rows.num_rows()), (2, 0, 0));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, words) in [
        (
            "name,d_cost\na,1\nb,1.2.3\n",
            vec!["line 3", "d_cost", "\"1.2.3\"", "number"],
        ),
        ("t_start\nyesterday\n", vec!["line 2", "t_start", "instant"]),
        ("m_tags\n\"[1]\"\n", vec!["line 2", "m_tags", "JSON"]),
        ("d_cost\n1e30\n", vec!["d_cost", "\"1e30\""]),
        ("name,d_cost\na,1,2\n", vec![FILE, "CSV"]),
        ("name,name\n", vec!["name", "twice"]),
        ("name,,x\n", vec!["column 2"]),
        ("", vec!["empty"]),
    ] {
        let message = refused(text);
        for word in words {
            assert!(message.contains(word), "{word} is not in: {message}");
        }
    }
}

#[test]
fn damaged_files_are_no_rows() {
    let whole = gzip(TEXT);
    for cut in [5, whole.len() / 2, whole.len() - 4] {
        let error = through(whole[..cut].to_vec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenDelivery, "cut at {cut}: {error}");
    }
    let two = through(zipped(&[("a.csv", TEXT), ("b.csv", TEXT)])).unwrap_err();
    assert!(two.message().contains("2 files"), "{two}");
    let mut archive = zipped(&[("a.csv", TEXT)]);
    archive.truncate(archive.len() / 2);
    assert_eq!(through(archive).unwrap_err().kind(), ErrorKind::BrokenDelivery);
}

proptest! {
    /// Whatever AWS prints with up to eighteen digits after the point is kept.
    #[test]
    fn decimals_are_kept_to_the_last_digit(units in -10_i128.pow(30)..10_i128.pow(30)) {
        let magnitude = units.unsigned_abs();
        let unit = 10_u128.pow(18);
        let sign = if units < 0 { "-" } else { "" };
        let text = format!("d_cost\n{sign}{}.{:018}\n", magnitude / unit, magnitude % unit);
        let (_, rows) = through(text.into_bytes()).unwrap();
        prop_assert_eq!(rows.column(0).as_primitive::<Decimal128Type>().value(0), units);
    }
}
