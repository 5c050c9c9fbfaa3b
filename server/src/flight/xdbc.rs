//! What GetXdbcTypeInfo says: the SQL types that results and parameters can have.

#[cfg(test)]
mod tests;

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use farthing_engine::Result;

use super::error::defect;

/// Digits of the largest decimal (`Decimal256`).
const DECIMAL_DIGITS: i32 = 76;

/// All types.
pub(super) fn xdbc_types() -> Result<XdbcTypeInfoData> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, code, bits) in [
        ("SMALLINT", XdbcDataType::XdbcSmallint, 16),
        ("INTEGER", XdbcDataType::XdbcInteger, 32),
        ("BIGINT", XdbcDataType::XdbcBigint, 64),
        ("REAL", XdbcDataType::XdbcReal, 24),
        ("DOUBLE PRECISION", XdbcDataType::XdbcDouble, 53),
    ] {
        types.append(XdbcTypeInfo {
            column_size: Some(bits),
            num_prec_radix: Some(2),
            ..number(name, code)
        });
    }
    types.append(XdbcTypeInfo {
        column_size: Some(DECIMAL_DIGITS),
        create_params: Some(vec!["precision".to_owned(), "scale".to_owned()]),
        minimum_scale: Some(0),
        maximum_scale: Some(DECIMAL_DIGITS),
        num_prec_radix: Some(10),
        fixed_prec_scale: true,
        ..number("DECIMAL", XdbcDataType::XdbcDecimal)
    });
    types.append(XdbcTypeInfo {
        column_size: Some(1),
        ..of("BOOLEAN", XdbcDataType::XdbcBit)
    });
    types.append(XdbcTypeInfo {
        case_sensitive: true,
        ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX)
    });
    types.append(quoted("BYTEA", XdbcDataType::XdbcVarbinary, i32::MAX));
    types.append(quoted("DATE", XdbcDataType::XdbcDate, 10));
    types.append(quoted("TIME", XdbcDataType::XdbcTime, 18));
    for (name, code, width) in [
        ("TIMESTAMP", XdbcDatetimeSubcode::XdbcSubcodeTimestamp, 29),
        (
            "TIMESTAMP WITH TIME ZONE",
            XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone,
            35,
        ),
    ] {
        types.append(XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            datetime_subcode: Some(code),
            ..quoted(name, XdbcDataType::XdbcTimestamp, width)
        });
    }
    types.append(quoted("INTERVAL", XdbcDataType::XdbcInterval, i32::MAX));
    types
        .build()
        .map_err(|error| defect("the server's XdbcTypeInfo cannot be built", error))
}

fn of(name: &str, code: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type: code,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        local_type_name: Some(name.to_owned()),
        sql_data_type: code,
        ..XdbcTypeInfo::default()
    }
}

fn number(name: &str, code: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        ..of(name, code)
    }
}

fn quoted(name: &str, code: XdbcDataType, width: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        column_size: Some(width),
        literal_prefix: Some("'".to_owned()),
        literal_suffix: Some("'".to_owned()),
        ..of(name, code)
    }
}
