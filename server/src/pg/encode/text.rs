//! Scalars as PostgreSQL prints them: `DateStyle` ISO, `IntervalStyle` postgres, `bytea_output` hex, time zone UTC.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

/// Microseconds of one day.
pub(super) const DAY_US: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
pub(in crate::pg) const EPOCH_DAYS: i32 = 10_957;

/// Adds formatted text. Writing to a growing buffer cannot fail.
macro_rules! put {
    ($out:expr, $($format:tt)*) => {
        let _ = write!($out, $($format)*);
    };
}

/// A date, from days since 1970-01-01.
pub(super) fn date(days: i32, out: &mut BytesMut) {
    let (year, month, day) = civil(days);
    // There is no year 0: the year before 1 is 1 BC.
    let shown = if year > 0 { year } else { 1 - year };
    put!(out, "{shown:04}-{month:02}-{day:02}");
    if year <= 0 {
        out.put_slice(b" BC");
    }
}

/// A time of day, from microseconds since midnight.
pub(super) fn time(us: i64, out: &mut BytesMut) {
    let seconds = us / 1_000_000;
    put!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    fraction(us % 1_000_000, out);
}

/// A timestamp, from microseconds since 1970-01-01 in UTC.
pub(super) fn timestamp(us: i64, zoned: bool, out: &mut BytesMut) {
    let days = us.div_euclid(DAY_US) as i32;
    let (year, month, day) = civil(days);
    let shown = if year > 0 { year } else { 1 - year };
    put!(out, "{shown:04}-{month:02}-{day:02} ");
    time(us.rem_euclid(DAY_US), out);
    if zoned {
        out.put_slice(b"+00");
    }
    if year <= 0 {
        out.put_slice(b" BC");
    }
}

/// A timestamp as ISO 8601 writes it and PostgreSQL puts it into JSON.
pub(super) fn timestamp_iso(us: i64, zoned: bool, out: &mut BytesMut) {
    let (year, month, day) = civil(us.div_euclid(DAY_US) as i32);
    put!(out, "{year:04}-{month:02}-{day:02}T");
    time(us.rem_euclid(DAY_US), out);
    if zoned {
        out.put_slice(b"+00:00");
    }
}

/// An interval.
pub(super) fn interval(months: i32, days: i32, us: i64, out: &mut BytesMut) {
    let start = out.len();
    let mut negative_before = false;
    let mut part = |value: i32, one: &str, many: &str, out: &mut BytesMut| {
        if value == 0 {
            return;
        }
        if out.len() > start {
            out.put_u8(b' ');
        }
        // After a negative part PostgreSQL marks a positive one.
        let plus = if negative_before && value > 0 { "+" } else { "" };
        put!(out, "{plus}{value} {}", if value == 1 { one } else { many });
        negative_before = value < 0;
    };
    part(months / 12, "year", "years", out);
    part(months % 12, "mon", "mons", out);
    part(days, "day", "days", out);
    if us == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.put_u8(b' ');
    }
    if us < 0 {
        out.put_u8(b'-');
    } else if negative_before {
        out.put_u8(b'+');
    }
    let us = us.unsigned_abs();
    let seconds = us / 1_000_000;
    put!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    fraction((us % 1_000_000) as i64, out);
}

/// `.123456` without zeros at the end; nothing for a whole second.
fn fraction(us: i64, out: &mut BytesMut) {
    if us == 0 {
        return;
    }
    put!(out, ".{us:06}");
    while out.last() == Some(&b'0') {
        out.truncate(out.len() - 1);
    }
}

/// A double-precision number, with the fewest digits that read back as the same number.
pub(super) fn double(value: f64, out: &mut BytesMut) {
    if special(value, out) {
        return;
    }
    shortest(&format!("{value:e}"), 15, out);
}

/// A single-precision number.
pub(super) fn real(value: f32, out: &mut BytesMut) {
    if special(f64::from(value), out) {
        return;
    }
    shortest(&format!("{value:e}"), 6, out);
}

fn special(value: f64, out: &mut BytesMut) -> bool {
    if value.is_nan() {
        out.put_slice(b"NaN");
    } else if value.is_infinite() {
        out.put_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else {
        return false;
    }
    true
}

/// Lays the shortest digits out as PostgreSQL's `float8out` does: plain from 1e-4 up to the precision of the type, in
/// scientific form with at least two digits of exponent otherwise.
fn shortest(scientific: &str, plain_below: i32, out: &mut BytesMut) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..plain_below).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        put!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        return;
    }
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.bytes().filter(|byte| *byte != b'.');
    let count = digits.clone().count() as i32;
    out.put_slice(sign.as_bytes());
    if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', (-exponent - 1) as usize);
        out.extend(digits);
        return;
    }
    for (place, digit) in (0..).zip(digits) {
        if place == exponent + 1 {
            out.put_u8(b'.');
        }
        out.put_u8(digit);
    }
    out.put_bytes(b'0', (exponent + 1 - count).max(0) as usize);
}

/// Bytes, in hex form.
pub(super) fn bytea(bytes: &[u8], out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + bytes.len() * 2);
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
    }
}

/// Year (1 BC is 0), month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Chrono's dates
/// end at the year 262143, before Arrow's do.
fn civil(days: i32) -> (i64, u32, u32) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    // Years are counted from 1 March 0000, so that the leap day is the last of its year.
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = days.rem_euclid(DAYS_OF_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
