#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::*;
use postgres_types::{FromSql, Type};

use super::*;
use crate::pg::types::PgType;

/// The values of a column in one form; `None` for NULL.
fn values(array: ArrayRef, binary: bool) -> Vec<Option<Vec<u8>>> {
    let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
    let mut rows = BatchRows::open(&batch, |_| binary).unwrap();
    let mut got = Vec::new();
    while !rows.is_done() {
        let mut out = BytesMut::new();
        rows.write_next(&mut out).unwrap();
        let length = i32::from_be_bytes(out[..4].try_into().unwrap());
        got.push((length >= 0).then(|| out[4..].to_vec()));
        assert_eq!(out.len(), 4 + usize::try_from(length).unwrap_or(0));
    }
    got
}

fn shown(array: ArrayRef) -> Vec<String> {
    values(array, false)
        .into_iter()
        .map(|value| value.map_or("NULL".to_owned(), |value| String::from_utf8(value).unwrap()))
        .collect()
}

fn check(array: impl Array + 'static, expected: &[&str]) {
    let array: ArrayRef = Arc::new(array);
    assert_eq!(shown(array.clone()), expected, "{}", array.data_type());
}

/// The binary form, as rust-postgres reads it by the announced type.
fn read<'a, T: FromSql<'a> + 'a>(array: &ArrayRef, bytes: &'a [u8]) -> T {
    let kind = PgType::of(array.data_type()).kind;
    assert!(T::accepts(&kind), "{kind}");
    T::from_sql(&kind, bytes).unwrap()
}

#[test]
fn text_of_scalars() {
    check(NullArray::new(1), &["NULL"]);
    check(
        BooleanArray::from(vec![Some(true), None, Some(false)]),
        &["t", "NULL", "f"],
    );
    check(Int8Array::from(vec![-128]), &["-128"]);
    check(UInt8Array::from(vec![255]), &["255"]);
    check(UInt16Array::from(vec![65535]), &["65535"]);
    check(UInt32Array::from(vec![u32::MAX]), &["4294967295"]);
    check(UInt64Array::from(vec![u64::MAX]), &["18446744073709551615"]);
    check(Int64Array::from(vec![i64::MIN]), &["-9223372036854775808"]);
    check(Float32Array::from(vec![0.1]), &["0.1"]);
    check(Float64Array::from(vec![f64::INFINITY, 1e20]), &["Infinity", "1e+20"]);
    check(
        StringArray::from(vec![Some("a\u{20ac}"), Some(""), None]),
        &["a\u{20ac}", "", "NULL"],
    );
    check(LargeStringArray::from(vec!["x"]), &["x"]);
    check(
        StringViewArray::from(vec!["a view of more than twelve bytes"]),
        &["a view of more than twelve bytes"],
    );
    check(BinaryArray::from_vec(vec![&[1, 255]]), &["\\x01ff"]);
    check(
        Decimal128Array::from(vec![Some(-1), None])
            .with_precision_and_scale(38, 9)
            .unwrap(),
        &["-0.000000001", "NULL"],
    );
    check(Date32Array::from(vec![20_635]), &["2026-07-01"]);
    check(Date64Array::from(vec![1_782_864_000_000]), &["2026-07-01"]);
    check(Time32SecondArray::from(vec![3661]), &["01:01:01"]);
    check(Time64NanosecondArray::from(vec![1_500_000_000]), &["00:00:01.5"]);
    check(
        TimestampSecondArray::from(vec![1_782_864_000]),
        &["2026-07-01 00:00:00"],
    );
    check(
        TimestampNanosecondArray::from(vec![1_782_864_000_123_456_789]).with_timezone("UTC"),
        &["2026-07-01 00:00:00.123456+00"],
    );
    check(DurationSecondArray::from(vec![90_061]), &["25:01:01"]);
    check(IntervalYearMonthArray::from(vec![14]), &["1 year 2 mons"]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    check(dictionary, &["a", "NULL", "b", "a"]);
}

#[test]
fn text_of_lists() {
    let ints = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), None, Some(3)]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
    ]);
    check(ints.clone(), &["{1,NULL,3}", "NULL", "{}", "{4}"]);
    check(ints.slice(2, 2), &["{}", "{4}"]);
    let mut texts = ListBuilder::new(StringBuilder::new());
    for item in ["a", "b c", "", "null", "q\"\\", "{", "x,y"] {
        texts.values().append_value(item);
    }
    texts.append(true);
    check(texts.finish(), &[r#"{a,"b c","","null","q\"\\","{","x,y"}"#]);
    let stamps = TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC");
    let field = Arc::new(Field::new("item", stamps.data_type().clone(), true));
    let list = LargeListArray::new(field, OffsetBuffer::from_lengths([1]), Arc::new(stamps), None);
    check(list, &[r#"{"1970-01-01 00:00:00+00"}"#]);
}

#[test]
fn nested_values_are_json() {
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("team");
    map.values().append_value("a\"b\n");
    map.keys().append_value("env");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(true).unwrap();
    map.append(false).unwrap();
    check(map.finish(), &[r#"{"team":"a\"b\n","env":null}"#, "{}", "NULL"]);

    let amounts: ArrayRef = Arc::new(
        Decimal128Array::from(vec![123])
            .with_precision_and_scale(10, 2)
            .unwrap(),
    );
    let stamps: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
    let fields = StructArray::try_from(vec![("amount", amounts), ("at", stamps), ("ratio", floats)]).unwrap();
    check(
        fields.clone(),
        &[r#"{"amount":1.23,"at":"1970-01-01T00:00:00","ratio":"NaN"}"#],
    );

    let field = Arc::new(Field::new("item", fields.data_type().clone(), true));
    let list = ListArray::new(field, OffsetBuffer::from_lengths([1]), Arc::new(fields), None);
    check(
        list.clone(),
        &[r#"[{"amount":1.23,"at":"1970-01-01T00:00:00","ratio":"NaN"}]"#],
    );
    let binary = values(Arc::new(list), true);
    assert!(binary[0].as_ref().unwrap().starts_with(b"[{"));
}

#[test]
fn binary_reads_back() {
    let one = |array: &ArrayRef| values(array.clone(), true)[0].clone().unwrap();
    macro_rules! check {
        ($array:expr, $kind:ty, $expected:expr) => {
            let array: ArrayRef = Arc::new($array);
            let bytes = one(&array);
            assert_eq!(read::<$kind>(&array, &bytes), $expected);
        };
    }
    check!(BooleanArray::from(vec![true]), bool, true);
    check!(Int8Array::from(vec![-5]), i16, -5);
    check!(UInt16Array::from(vec![65535]), i32, 65535);
    check!(UInt32Array::from(vec![u32::MAX]), i64, 4_294_967_295);
    check!(Float32Array::from(vec![1.5]), f32, 1.5);
    check!(Float64Array::from(vec![-0.1]), f64, -0.1);
    check!(StringArray::from(vec!["\u{20ac}"]), String, "\u{20ac}");
    check!(BinaryArray::from_vec(vec![&[1, 2]]), Vec<u8>, [1, 2]);
    check!(
        Date32Array::from(vec![20_635]),
        chrono::NaiveDate,
        chrono::NaiveDate::from_ymd_opt(2026, 7, 1).unwrap()
    );
    check!(
        TimestampSecondArray::from(vec![-1]),
        chrono::NaiveDateTime,
        "1969-12-31T23:59:59".parse().unwrap()
    );
    check!(
        TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"),
        chrono::DateTime<chrono::Utc>,
        "1970-01-01T00:00:00.000001Z"
            .parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
    );
    check!(
        Time64MicrosecondArray::from(vec![500_000]),
        chrono::NaiveTime,
        "00:00:00.5".parse().unwrap()
    );
    check!(
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7), None])]),
        Vec<Option<i64>>,
        [Some(7), None]
    );
    check!(
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(Vec::<Option<i32>>::new())]),
        Vec<i32>,
        Vec::<i32>::new()
    );
    assert_eq!(PgType::of(&DataType::Utf8).kind, Type::TEXT);
}

#[test]
fn instants_out_of_range_are_errors() {
    let array: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    assert_eq!(BatchRows::open(&batch, |_| false).err().unwrap().code(), "22003");
    let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN]));
    let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
    let mut rows = BatchRows::open(&batch, |_| true).unwrap();
    assert_eq!(rows.write_next(&mut BytesMut::new()).unwrap_err().code(), "22008");
}
