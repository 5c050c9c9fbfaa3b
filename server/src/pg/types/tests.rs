#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[test]
fn arrow_types_have_these_oids_sizes_and_modifiers() {
    let check = |arrow: DataType, oid: u32, size: i16, modifier: i32| {
        let got = PgType::of(&arrow);
        assert_eq!(
            (got.kind.oid(), got.size, got.modifier),
            (oid, size, modifier),
            "{arrow}"
        );
    };
    check(DataType::Null, 25, -1, -1);
    check(DataType::Boolean, 16, 1, -1);
    check(DataType::Int8, 21, 2, -1);
    check(DataType::UInt8, 21, 2, -1);
    check(DataType::Int16, 21, 2, -1);
    check(DataType::UInt16, 23, 4, -1);
    check(DataType::Int32, 23, 4, -1);
    check(DataType::UInt32, 20, 8, -1);
    check(DataType::Int64, 20, 8, -1);
    check(DataType::UInt64, 1700, -1, (20 << 16) + 4);
    check(DataType::Float16, 700, 4, -1);
    check(DataType::Float32, 700, 4, -1);
    check(DataType::Float64, 701, 8, -1);
    check(DataType::Utf8, 25, -1, -1);
    check(DataType::LargeUtf8, 25, -1, -1);
    check(DataType::Utf8View, 25, -1, -1);
    check(DataType::Binary, 17, -1, -1);
    check(DataType::FixedSizeBinary(16), 17, -1, -1);
    check(DataType::Decimal128(38, 9), 1700, -1, 2_490_381);
    check(DataType::Decimal256(76, 10), 1700, -1, (76 << 16 | 10) + 4);
    check(DataType::Decimal128(5, -2), 1700, -1, (5 << 16 | 2046) + 4);
    check(DataType::Date32, 1082, 4, -1);
    check(DataType::Date64, 1082, 4, -1);
    check(DataType::Time64(TimeUnit::Nanosecond), 1083, 8, -1);
    check(DataType::Timestamp(TimeUnit::Nanosecond, None), 1114, 8, -1);
    check(DataType::Timestamp(TimeUnit::Second, Some("UTC".into())), 1184, 8, -1);
    check(DataType::Interval(IntervalUnit::YearMonth), 1186, 16, -1);
    check(DataType::Duration(TimeUnit::Second), 1186, 16, -1);
    check(
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        25,
        -1,
        -1,
    );
    check(list(DataType::Utf8), 1009, -1, -1);
    check(list(DataType::Int64), 1016, -1, -1);
    check(list(DataType::Decimal128(38, 9)), 1231, -1, 2_490_381);
    check(list(list(DataType::Int64)), 114, -1, -1);
    check(
        DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into()),
        114,
        -1,
        -1,
    );
}

#[test]
fn announced_types_come_back_as_themselves() {
    for oid in [
        16, 21, 23, 20, 700, 701, 25, 17, 1082, 1083, 1114, 1184, 1186, 1009, 1016, 1007, 1115,
    ] {
        assert_eq!(PgType::of(&announced(oid).unwrap()).kind.oid(), oid);
    }
    // Numeric and unknown leave the choice to the statement.
    for oid in [0, 705, 1700, 1231, 600, 999_999] {
        assert_eq!(announced(oid), None, "{oid}");
    }
    for oid in [1043, 1042, 19, 2950, 114, 3802] {
        assert_eq!(announced(oid), Some(DataType::Utf8), "{oid}");
    }
}
