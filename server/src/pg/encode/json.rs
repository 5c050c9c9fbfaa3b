//! Nested values as JSON text, by the rules of PostgreSQL's `to_json`: maps and structs become objects, lists arrays,
//! numbers keep every digit, and what JSON has no form for becomes a string.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};

use super::{numeric, text, unexpected};
use crate::pg::error::PgError;
use crate::pg::types::storage;

/// Writes one value.
pub(super) fn write(array: &dyn Array, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        out.put_slice(b"null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            let entries = map.value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            object(out, 0..entries.len(), |entry, out| {
                key(keys, entry, out)?;
                out.put_u8(b':');
                write(values, entry, out)
            })
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            object(out, 0..columns.len(), |column, out| {
                string(fields[column].name(), out);
                out.put_u8(b':');
                write(&columns[column], row, out)
            })
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row), out),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), out),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), out),
        _ => scalar(array, row, out),
    }
}

fn scalar(array: &dyn Array, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
    let stored = storage(array.data_type());
    if stored != *array.data_type() {
        let one = cast(&array.slice(row, 1), &stored)
            .map_err(|error| unexpected(format!("a nested value cannot be sent as JSON: {error}")))?;
        return write(&one, 0, out);
    }
    match array.data_type() {
        DataType::Utf8 => string(array.as_string::<i32>().value(row), out),
        DataType::LargeUtf8 => string(array.as_string::<i64>().value(row), out),
        DataType::Utf8View => string(array.as_string_view().value(row), out),
        DataType::Boolean => out.put_slice(if array.as_boolean().value(row) {
            b"true"
        } else {
            b"false"
        }),
        // Writing to a growing buffer cannot fail.
        DataType::Int16 => drop(write!(out, "{}", array.as_primitive::<Int16Type>().value(row))),
        DataType::Int32 => drop(write!(out, "{}", array.as_primitive::<Int32Type>().value(row))),
        DataType::Int64 => drop(write!(out, "{}", array.as_primitive::<Int64Type>().value(row))),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            number(value.is_finite(), out, |out| text::real(value, out));
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            number(value.is_finite(), out, |out| text::double(value, out));
        }
        DataType::Decimal128(_, scale) => {
            numeric::text_i128(array.as_primitive::<Decimal128Type>().value(row), *scale, out);
        }
        DataType::Decimal256(_, scale) => {
            numeric::text_i256(array.as_primitive::<Decimal256Type>().value(row), *scale, out);
        }
        DataType::Date32 => quoted(out, |out| {
            text::date(array.as_primitive::<Date32Type>().value(row), out)
        }),
        DataType::Time64(_) => {
            let value = array.as_primitive::<Time64MicrosecondType>().value(row);
            quoted(out, |out| text::time(value, out));
        }
        DataType::Timestamp(_, zone) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            quoted(out, |out| text::timestamp_iso(value, zone.is_some(), out));
        }
        DataType::Interval(_) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            quoted(out, |out| {
                text::interval(value.months, value.days, value.nanoseconds / 1000, out)
            });
        }
        DataType::Duration(_) => {
            let value = array.as_primitive::<DurationMicrosecondType>().value(row);
            quoted(out, |out| text::interval(0, 0, value, out));
        }
        DataType::Binary => bytes(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => bytes(array.as_binary_view().value(row), out),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row), out),
        other => return Err(unexpected(format!("a nested value of type {other} has no JSON form"))),
    }
    Ok(())
}

fn object(
    out: &mut BytesMut,
    members: std::ops::Range<usize>,
    mut member: impl FnMut(usize, &mut BytesMut) -> Result<(), PgError>,
) -> Result<(), PgError> {
    out.put_u8(b'{');
    for index in members.clone() {
        if index > members.start {
            out.put_u8(b',');
        }
        member(index, out)?;
    }
    out.put_u8(b'}');
    Ok(())
}

/// A map's key: always a string in JSON.
fn key(keys: &dyn Array, entry: usize, out: &mut BytesMut) -> Result<(), PgError> {
    let start = out.len();
    write(keys, entry, out)?;
    if out[start] != b'"' {
        let shown = String::from_utf8_lossy(&out.split_off(start)).into_owned();
        string(&shown, out);
    }
    Ok(())
}

fn list(items: &dyn Array, out: &mut BytesMut) -> Result<(), PgError> {
    out.put_u8(b'[');
    for row in 0..items.len() {
        if row > 0 {
            out.put_u8(b',');
        }
        write(items, row, out)?;
    }
    out.put_u8(b']');
    Ok(())
}

fn string(value: &str, out: &mut BytesMut) {
    // Serialising a text into a growing buffer cannot fail.
    let _ = serde_json::to_writer((&mut *out).writer(), value);
}

/// Text that needs no escapes, in quotes.
fn quoted(out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    out.put_u8(b'"');
    value(out);
    out.put_u8(b'"');
}

/// NaN and the infinities are not numbers in JSON.
fn number(finite: bool, out: &mut BytesMut, value: impl FnOnce(&mut BytesMut)) {
    if finite { value(out) } else { quoted(out, value) }
}

fn bytes(value: &[u8], out: &mut BytesMut) {
    let mut shown = BytesMut::new();
    text::bytea(value, &mut shown);
    string(&String::from_utf8_lossy(&shown), out);
}
