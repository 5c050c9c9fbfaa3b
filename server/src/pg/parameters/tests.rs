#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::pg::types::announced;

fn text(value: &str, kind: &Type, target: &DataType) -> Result<ScalarValue, PgError> {
    decode(1, Some(value.as_bytes()), false, kind, target)
}

fn natural(value: &str, kind: &Type) -> String {
    let target = announced(kind.oid()).unwrap();
    text(value, kind, &target).map_or_else(|error| error.code().to_owned(), |value| value.to_string())
}

#[test]
fn reads_text() {
    let check = |value, kind: Type, expected: &str| assert_eq!(natural(value, &kind), expected, "{kind} {value}");
    check("t", Type::BOOL, "true");
    check(" off ", Type::BOOL, "false");
    check("maybe", Type::BOOL, "22P02");
    check("-7", Type::INT2, "-7");
    check("70000", Type::INT2, "22P02");
    check(" 42 ", Type::INT8, "42");
    check("4294967295", Type::OID, "4294967295");
    check("NaN", Type::FLOAT8, "NaN");
    check("-Infinity", Type::FLOAT8, "-inf");
    check("a b", Type::VARCHAR, "a b");
    check("\\xDEad", Type::BYTEA, "DEAD");
    check("a\\\\\\001", Type::BYTEA, "615C01");
    check("\\xabc", Type::BYTEA, "22P02");
    check("2026-07-01", Type::DATE, "2026-07-01");
    check("2026-07-01 10:00:00", Type::DATE, "2026-07-01");
    check("2026-13-01", Type::DATE, "22P02");
    check("2026-07-01 00:00:00.5", Type::TIMESTAMP, "1782864000500000");
    check("2026-07-01 02:00:00+02", Type::TIMESTAMPTZ, "1782864000000000");
    check("2026-07-01", Type::TIMESTAMPTZ, "1782864000000000");
    check(
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        Type::UUID,
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    );
    check("{1,NULL,3}", Type::INT8_ARRAY, "[1, , 3]");
    check("{}", Type::INT4_ARRAY, "[]");
    check("{{1},{2}}", Type::INT4_ARRAY, "0A000");
    check("{1,,2}", Type::INT4_ARRAY, "22P02");
    check("1,2", Type::INT4_ARRAY, "22P02");
}

#[test]
fn intervals_and_times() {
    let interval = |text| from_text(text, &Type::INTERVAL).unwrap();
    let expected =
        |months, days, ns| ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, ns)));
    assert_eq!(
        interval(b"1 year 2 mons 3 days 04:05:06"),
        expected(14, 3, 14_706_000_000_000)
    );
    for (text, months, days, ns) in [
        ("1 day", 0, 1, 0),
        ("1 year -2 mons +3 days", 10, 3, 0),
        ("-1 days +01:00:00", 0, -1, 3_600_000_000_000),
        ("1 day -01:00:00.5", 0, 1, -3_600_500_000_000),
        ("04:05", 0, 0, 14_700_000_000_000),
        ("90", 0, 0, 90_000_000_000),
        ("P1Y2M3DT4H5M6.5S", 14, 3, 14_706_500_000_000),
        ("PT-1H", 0, 0, -3_600_000_000_000),
        ("P2W", 0, 14, 0),
    ] {
        assert_eq!(interval(text.as_bytes()), expected(months, days, ns), "{text}");
    }
    for text in [
        "",
        "P",
        "PT",
        "P1",
        "P1H",
        "1:2:3:4",
        "a:b",
        "one day",
        "1 day 1 day",
        "PXY",
    ] {
        assert_eq!(from_text(text.as_bytes(), &Type::INTERVAL), Err(Flaw::Form), "{text}");
    }
    assert_eq!(
        from_text(b"10:00:00.25", &Type::TIME).unwrap(),
        ScalarValue::Time64Microsecond(Some(36_000_250_000))
    );
}

#[test]
fn quoted_items_of_arrays() {
    let got = text(
        r#"{a,"b c","NULL",null,"d\"e",""}"#,
        &Type::TEXT_ARRAY,
        &announced(1009).unwrap(),
    )
    .unwrap();
    let ScalarValue::List(list) = got else { unreachable!() };
    let items = list.value(0);
    let items = datafusion::arrow::array::AsArray::as_string::<i32>(&items);
    let items: Vec<_> = items.iter().collect();
    assert_eq!(
        items,
        [Some("a"), Some("b c"), Some("NULL"), None, Some("d\"e"), Some("")]
    );
}

#[test]
fn decimals_are_exact_or_refused() {
    let check = |value, precision, scale, expected: Result<i128, &str>| {
        let got = text(value, &Type::NUMERIC, &DataType::Decimal128(precision, scale));
        let got = got.as_ref().map_err(PgError::code).map(|value| match value {
            ScalarValue::Decimal128(Some(value), ..) => *value,
            other => unreachable!("{other:?}"),
        });
        assert_eq!(got, expected, "{value}");
    };
    check("1.5", 38, 9, Ok(1_500_000_000));
    check("-0.000000001", 38, 9, Ok(-1));
    check("1e3", 38, 2, Ok(100_000));
    check("1.50e-1", 10, 4, Ok(1500));
    check("0", 1, 0, Ok(0));
    check("00012", 5, 0, Ok(12));
    check("1000000000000000000000000000000000000", 38, 0, Ok(10i128.pow(36)));
    check("12345", 4, 0, Err("22003"));
    check("NaN", 38, 9, Err("22003"));
    check("Infinity", 38, 9, Err("22003"));
    check("1e200", 38, 9, Err("22003"));
    check("1.2.3", 38, 9, Err("22P02"));
    check("", 38, 9, Err("22P02"));
    check("-", 38, 9, Err("22P02"));
}

#[test]
fn text_is_read_as_what_the_statement_takes() {
    assert_eq!(
        text("7", &Type::TEXT, &DataType::Int64).unwrap(),
        ScalarValue::Int64(Some(7))
    );
    assert_eq!(
        text("{7}", &Type::VARCHAR, &announced(1016).unwrap())
            .unwrap()
            .to_string(),
        "[7]"
    );
    assert_eq!(
        text("7", &Type::INT8, &DataType::Utf8).unwrap(),
        ScalarValue::Utf8(Some("7".into()))
    );
    assert!(decode(1, None, false, &Type::INT8, &DataType::Int64).unwrap().is_null());
}

#[test]
fn reads_binary() {
    let check = |bytes: &[u8], kind: Type, expected: &str| {
        let target = announced(kind.oid()).unwrap();
        let got = decode(1, Some(bytes), true, &kind, &target);
        let got = got.map_or_else(|error| error.code().to_owned(), |value| value.to_string());
        assert_eq!(got, expected, "{kind}");
    };
    check(&[1], Type::BOOL, "true");
    check(&[0, 0, 0, 7], Type::INT4, "7");
    check(&[0, 7], Type::INT4, "22P03");
    check(&[0, 0, 0, 7, 0], Type::INT4, "22P03");
    check(&1.5f64.to_be_bytes(), Type::FLOAT8, "1.5");
    check(&0i32.to_be_bytes(), Type::DATE, "2000-01-01");
    check(&i32::MAX.to_be_bytes(), Type::DATE, "22003");
    check(&0i64.to_be_bytes(), Type::TIMESTAMPTZ, "946684800000000");
    check(&i64::MAX.to_be_bytes(), Type::TIMESTAMP, "22003");
    check(&[0xff], Type::TEXT, "22P03");
    check(b"\x01{}", Type::JSONB, "{}");
    check(b"\x02{}", Type::JSONB, "22P03");
    check(&[0xa0; 16], Type::UUID, "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a0a0");
    let array = b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x2a\xff\xff\xff\xff";
    check(array, Type::INT4_ARRAY, "[42, ]");
    check(&array[..30], Type::INT4_ARRAY, "22P03");
    check(b"\0\0\0\0\0\0\0\0\0\0\0\x17", Type::INT4_ARRAY, "[]");
}

#[test]
fn errors_do_not_repeat_the_value() {
    let error = text("not-a-real-secret", &Type::INT4, &DataType::Int32).unwrap_err();
    assert!(!format!("{error:?}").contains("not-a-real-secret"));
    assert!(error.message().contains("$1"));
    let error = text("77777", &Type::INT4, &DataType::Int16).unwrap_err();
    assert!(!format!("{error:?}").contains("77777"));
}

proptest! {
    #[test]
    fn decimals_survive_both_forms(value in any::<i128>(), shift in 0u32..120, scale in 0i8..=30) {
        let value = (value >> shift) % 10i128.pow(37);
        let mut out = bytes::BytesMut::new();
        let target = DataType::Decimal128(38, scale);
        let array = datafusion::arrow::array::Decimal128Array::from(vec![value])
            .with_precision_and_scale(38, scale).unwrap();
        let batch = datafusion::arrow::array::RecordBatch::try_from_iter([("n", Arc::new(array) as _)]).unwrap();
        for binary in [false, true] {
            out.clear();
            crate::pg::encode::BatchRows::open(&batch, |_| binary).unwrap().write_next(&mut out).unwrap();
            let got = decode(1, Some(&out[4..]), binary, &Type::NUMERIC, &target).unwrap();
            prop_assert_eq!(got, ScalarValue::Decimal128(Some(value), 38, scale));
        }
    }

    #[test]
    fn arbitrary_values_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), binary in any::<bool>()) {
        for oid in [16, 17, 20, 25, 700, 1082, 1083, 1114, 1184, 1186, 1700, 2950, 114, 3802, 1016, 1009, 1231, 705, 600] {
            let kind = Type::from_oid(oid).unwrap();
            let _ = decode(1, Some(&bytes), binary, &kind, &DataType::Int64);
        }
    }
}
