//! One column of a batch, ready for writing its values in the form that the client asked for.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, DurationMicrosecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, LargeBinaryArray, LargeStringArray, ListArray, StringArray,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use pgwire::api::Type;

use super::{json, numeric, text, unexpected, with_length};
use crate::pg::error::PgError;
use crate::pg::types::{PgType, storage};

/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_US: i64 = text::EPOCH_DAYS as i64 * text::DAY_US;

enum Values {
    Null,
    Boolean(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    BytesView(BinaryViewArray),
    FixedBytes(FixedSizeBinaryArray),
    Decimal128(Decimal128Array, i8),
    Decimal256(Decimal256Array, i8),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Timestamp(TimestampMicrosecondArray),
    Timestamptz(TimestampMicrosecondArray),
    Interval(IntervalMonthDayNanoArray),
    Duration(DurationMicrosecondArray),
    List(ListArray, Box<Column>),
    Json(ArrayRef),
}

/// A column and its form.
pub(super) struct Column {
    array: ArrayRef,
    values: Values,
    kind: Type,
    binary: bool,
}

impl Column {
    /// Prepares an array: casts it to the one representation of its PostgreSQL type, and finds its values.
    pub(super) fn open(array: &ArrayRef, binary: bool) -> Result<Self, PgError> {
        // A value out of range is an error, not a NULL.
        const STRICT: CastOptions<'static> = CastOptions {
            safe: false,
            format_options: datafusion::arrow::util::display::FormatOptions::new(),
        };
        let kind = PgType::of(array.data_type()).kind;
        if kind == Type::JSON {
            return Ok(Self {
                array: array.clone(),
                values: Values::Json(array.clone()),
                kind,
                binary,
            });
        }
        let stored = storage(array.data_type());
        let array = if *array.data_type() == stored {
            array.clone()
        } else {
            cast_with_options(array, &stored, &STRICT).map_err(|error| {
                PgError::new("22003", "a value cannot be sent as its PostgreSQL type").with_detail(error.to_string())
            })?
        };
        let values = Self::values(&array, binary)?;
        Ok(Self {
            array,
            values,
            kind,
            binary,
        })
    }

    fn values(array: &ArrayRef, binary: bool) -> Result<Values, PgError> {
        Ok(match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
            DataType::Int16 => Values::Int16(array.as_primitive().clone()),
            DataType::Int32 => Values::Int32(array.as_primitive().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive().clone()),
            DataType::Float32 => Values::Float32(array.as_primitive().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive().clone()),
            DataType::Utf8 => Values::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeText(array.as_string().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::Binary => Values::Bytes(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBytes(array.as_binary().clone()),
            DataType::BinaryView => Values::BytesView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Values::FixedBytes(array.as_fixed_size_binary().clone()),
            DataType::Decimal128(_, scale) => Values::Decimal128(array.as_primitive().clone(), *scale),
            DataType::Decimal256(_, scale) => Values::Decimal256(array.as_primitive().clone(), *scale),
            DataType::Date32 => Values::Date(array.as_primitive().clone()),
            DataType::Time64(TimeUnit::Microsecond) => Values::Time(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Values::Timestamp(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Values::Timestamptz(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::Interval(array.as_primitive().clone()),
            DataType::Duration(TimeUnit::Microsecond) => Values::Duration(array.as_primitive().clone()),
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                Values::List(list.clone(), Box::new(Self::open(list.values(), binary)?))
            }
            other => return Err(unexpected(format!("a column of type {other} has no PostgreSQL form"))),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.array.is_null(row)
    }

    /// Writes a value with its length before it; NULL as length -1.
    pub(super) fn write_value(&self, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        with_length(out, |out| {
            if self.binary {
                self.write_binary(row, out)
            } else {
                self.write_text(row, out)
            }
        })
    }

    /// Writes a value that is not NULL as text.
    fn write_text(&self, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
        // Writing to a growing buffer cannot fail, hence the ignored results.
        match &self.values {
            Values::Null => {}
            Values::Boolean(array) => out.put_u8(if array.value(row) { b't' } else { b'f' }),
            Values::Int16(array) => drop(write!(out, "{}", array.value(row))),
            Values::Int32(array) => drop(write!(out, "{}", array.value(row))),
            Values::Int64(array) => drop(write!(out, "{}", array.value(row))),
            Values::Float32(array) => text::real(array.value(row), out),
            Values::Float64(array) => text::double(array.value(row), out),
            Values::Text(array) => out.put_slice(array.value(row).as_bytes()),
            Values::LargeText(array) => out.put_slice(array.value(row).as_bytes()),
            Values::TextView(array) => out.put_slice(array.value(row).as_bytes()),
            Values::Bytes(array) => text::bytea(array.value(row), out),
            Values::LargeBytes(array) => text::bytea(array.value(row), out),
            Values::BytesView(array) => text::bytea(array.value(row), out),
            Values::FixedBytes(array) => text::bytea(array.value(row), out),
            Values::Decimal128(array, scale) => numeric::text_i128(array.value(row), *scale, out),
            Values::Decimal256(array, scale) => numeric::text_i256(array.value(row), *scale, out),
            Values::Date(array) => text::date(array.value(row), out),
            Values::Time(array) => text::time(array.value(row), out),
            Values::Timestamp(array) => text::timestamp(array.value(row), false, out),
            Values::Timestamptz(array) => text::timestamp(array.value(row), true, out),
            Values::Interval(array) => {
                let value = array.value(row);
                text::interval(value.months, value.days, value.nanoseconds / 1000, out);
            }
            Values::Duration(array) => text::interval(0, 0, array.value(row), out),
            Values::List(array, items) => items.write_array_text(range(array, row), out)?,
            Values::Json(array) => json::write(array, row, out)?,
        }
        Ok(())
    }

    /// Writes a value that is not NULL in binary form.
    fn write_binary(&self, row: usize, out: &mut BytesMut) -> Result<(), PgError> {
        match &self.values {
            Values::Boolean(array) => out.put_u8(array.value(row).into()),
            Values::Int16(array) => out.put_i16(array.value(row)),
            Values::Int32(array) => out.put_i32(array.value(row)),
            Values::Int64(array) => out.put_i64(array.value(row)),
            Values::Float32(array) => out.put_f32(array.value(row)),
            Values::Float64(array) => out.put_f64(array.value(row)),
            Values::Bytes(array) => out.put_slice(array.value(row)),
            Values::LargeBytes(array) => out.put_slice(array.value(row)),
            Values::BytesView(array) => out.put_slice(array.value(row)),
            Values::FixedBytes(array) => out.put_slice(array.value(row)),
            Values::Decimal128(array, scale) => numeric::binary_i128(array.value(row), *scale, out),
            Values::Decimal256(array, scale) => numeric::binary_i256(array.value(row), *scale, out),
            Values::Date(array) => out.put_i32(shift(array.value(row), text::EPOCH_DAYS, i32::checked_sub)?),
            Values::Time(array) => out.put_i64(array.value(row)),
            Values::Timestamp(array) | Values::Timestamptz(array) => {
                out.put_i64(shift(array.value(row), EPOCH_US, i64::checked_sub)?);
            }
            Values::Interval(array) => {
                let value = array.value(row);
                put_interval(value.months, value.days, value.nanoseconds / 1000, out);
            }
            Values::Duration(array) => put_interval(0, 0, array.value(row), out),
            Values::List(array, items) => items.write_array_binary(range(array, row), out)?,
            // Text and JSON are the same in both forms.
            Values::Null | Values::Text(_) | Values::LargeText(_) | Values::TextView(_) | Values::Json(_) => {
                self.write_text(row, out)?;
            }
        }
        Ok(())
    }

    /// Writes a range of values as PostgreSQL's array text: `{1,NULL,"a b"}`.
    fn write_array_text(&self, rows: std::ops::Range<usize>, out: &mut BytesMut) -> Result<(), PgError> {
        let mut item = BytesMut::new();
        out.put_u8(b'{');
        for (place, row) in rows.enumerate() {
            if place > 0 {
                out.put_u8(b',');
            }
            if self.is_null(row) {
                out.put_slice(b"NULL");
                continue;
            }
            item.clear();
            self.write_text(row, &mut item)?;
            put_array_item(&item, out);
        }
        out.put_u8(b'}');
        Ok(())
    }

    /// Writes a range of values as PostgreSQL's binary array: dimensions, whether there are NULLs, element type, and for
    /// the one dimension its length and lower bound.
    fn write_array_binary(&self, rows: std::ops::Range<usize>, out: &mut BytesMut) -> Result<(), PgError> {
        let length = i32::try_from(rows.len()).map_err(|_| unexpected("a list is longer than an array may be"))?;
        out.put_i32(i32::from(length > 0));
        out.put_i32(rows.clone().any(|row| self.is_null(row)).into());
        out.put_u32(self.kind.oid());
        if length > 0 {
            out.put_i32(length);
            out.put_i32(1);
        }
        rows.into_iter().try_for_each(|row| self.write_value(row, out))
    }
}

/// The rows of a list's values that belong to one list.
fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn shift<T: std::fmt::Display + Copy>(value: T, by: T, subtract: fn(T, T) -> Option<T>) -> Result<T, PgError> {
    subtract(value, by).ok_or_else(|| PgError::new("22008", format!("the date or time {value} is out of range")))
}

fn put_interval(months: i32, days: i32, us: i64, out: &mut BytesMut) {
    out.put_i64(us);
    out.put_i32(days);
    out.put_i32(months);
}

/// An item, quoted where it could be read as something else.
fn put_array_item(item: &[u8], out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\' | b' ' | 0x09..=0x0d);
    if !item.is_empty() && !item.iter().any(special) && !item.eq_ignore_ascii_case(b"NULL") {
        out.put_slice(item);
        return;
    }
    out.put_u8(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}
