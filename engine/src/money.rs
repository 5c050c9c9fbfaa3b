//! Exact amounts: `Decimal128(38, 12)`. Sources that are doubles are rounded half-even, once, when they are read.
//!
//! AWS delivers Parquet amounts as doubles and CSV amounts as decimal text of the same numbers. The double nearest to
//! a decimal of up to fifteen significant digits identifies it, so the decimal that is meant is the shortest one that
//! reads back as the same double. [`exact`] finds it; that is why a sum over Parquet equals the sum over CSV to the
//! last digit, and why sums do not depend on order.

pub mod function;

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

use arrow::buffer::NullBuffer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};
use crate::snapshot::EXACT_SCALE;

/// Decimal digits after the point.
pub const SCALE: i8 = 12;
/// Decimal digits in all: what `Decimal128` holds.
pub const PRECISION: u8 = 38;

const UNIT: i128 = 1_000_000_000_000;

/// An exact amount in units of 10⁻¹² of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of so many 10⁻¹² units.
    pub fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// The amount in 10⁻¹² units.
    pub fn units(self) -> i128 {
        self.0
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    /// Decimal text with twelve digits after the point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let unit = UNIT.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:012}", magnitude / unit, magnitude % unit)
    }
}

impl FromStr for Amount {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_decimal(text)
            .map(Self)
            .ok_or_else(|| Error::new(ErrorKind::BadValue, format!("\"{text}\" is not a decimal amount")))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The 10⁻¹² units of the shortest decimal that reads back as `value`, rounded half-even where that decimal has more
/// than twelve digits after the point. `None` for NaN, infinities and magnitudes of 10²⁴ and more.
pub fn exact(value: f64) -> Option<i128> {
    match short(value) {
        Some(units) => Some(units.into()),
        None => exact_by_digits(value),
    }
}

/// [`exact`] of a decimal of at most fifteen digits, of which at most twelve are after the point and, from a thousand on, at
/// most ten; `None` for every other value.
#[inline]
fn short(value: f64) -> Option<i64> {
    // A decimal k/10ⁿ with |k| < 10¹⁵ is the only one of up to fifteen digits near its double. If dividing k by 10ⁿ,
    // which IEEE 754 rounds correctly, gives the value back, k/10ⁿ is therefore the decimal that was meant.
    let (units, read_back) = near(value, 1e12);
    if read_back {
        return Some(units);
    }
    let (hundreds, read_back) = near(value, 1e10);
    read_back.then(|| hundreds * 100)
}

/// The integer next to `value * scale`, and whether it is short and says `value` exactly.
#[inline]
fn near(value: f64, scale: f64) -> (i64, bool) {
    // Adding 1.5 * 2⁵² leaves no place for a fraction: the sum's last bits are the integer, rounded half-even. It costs an
    // addition, where rounding by name is a call on processors before SSE 4.1, for which everything is compiled.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let shifted = value * scale + SHIFT;
    let rounded = shifted - SHIFT;
    let integer = shifted
        .to_bits()
        .cast_signed()
        .wrapping_sub(SHIFT.to_bits().cast_signed());
    (integer, rounded.abs() < 1e15 && rounded / scale == value)
}

/// [`exact`] of many values at once, where nulls may hold anything. Error: the first value that is no amount.
pub fn exact_all(values: &[f64], nulls: Option<&NullBuffer>) -> Result<Vec<i128>, f64> {
    let mut long = false;
    // Without a branch that leaves the loop, so that a value costs a few cycles.
    let mut units: Vec<i128> = values
        .iter()
        .map(|value| {
            let (units, read_back) = near(*value, 1e12);
            long |= !read_back;
            i128::from(units)
        })
        .collect();
    if long {
        for (row, (units, value)) in units.iter_mut().zip(values).enumerate() {
            if !near(*value, 1e12).1 {
                *units = match exact(*value) {
                    Some(units) => units,
                    None if nulls.is_some_and(|nulls| nulls.is_null(row)) => 0,
                    None => return Err(*value),
                };
            }
        }
    }
    Ok(units)
}

/// The slow way, by the shortest decimal digits.
fn exact_by_digits(value: f64) -> Option<i128> {
    if !value.is_finite() || value.abs() >= 1e24 {
        return None;
    }
    parse_decimal(ryu::Buffer::new().format_finite(value))
}

/// Reads `[+-]digits[.digits][e[+-]digits]` into 10⁻¹² units, rounding half-even.
pub fn parse_decimal(text: &str) -> Option<i128> {
    parse_scaled(text, SCALE, round_half_even)
}

/// The same into units of [`EXACT_SCALE`] digits, from which [`of_exact`] makes what [`parse_decimal`] makes of the text.
/// Rounding twice would not: of 0.0000000000004999999999 the first rounding made 0.0000000000005 and the second half of a unit
/// too much. So digits beyond the scale are cut off, and what was cut off leaves a mark in the last digit where that would
/// say exactly nothing or exactly a half.
pub fn parse_exact(text: &str) -> Option<i128> {
    parse_scaled(text, EXACT_SCALE, cut_off_marked)
}

/// Into units of 10⁻ˢᶜᵃˡᵉ. `None` for what is no decimal or does not fit into [`PRECISION`] digits.
fn parse_scaled(text: &str, scale: i8, divide: fn(i128, i128) -> i128) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut digits: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        digits = digits.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    let magnitude = if shift >= 0 {
        if digits == 0 {
            0
        } else {
            digits.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?
        }
    } else {
        match 10_i128.checked_pow(shift.unsigned_abs()) {
            // Every digit lies far behind the scale.
            None => divide(digits.signum(), i128::MAX),
            Some(divisor) => divide(digits, divisor),
        }
    };
    (magnitude < 10_i128.pow(u32::from(PRECISION))).then_some(if negative { -magnitude } else { magnitude })
}

/// The 10⁻¹² units of so many units of [`EXACT_SCALE`] digits, rounded half-even.
pub fn of_exact(units: i128) -> i128 {
    let magnitude = round_half_even(units.abs(), 10_i128.pow((EXACT_SCALE - SCALE).unsigned_abs().into()));
    if units < 0 { -magnitude } else { magnitude }
}

fn cut_off_marked(digits: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (digits / divisor, digits % divisor);
    quotient + i128::from(remainder != 0 && quotient % 5 == 0)
}

fn round_half_even(digits: i128, divisor: i128) -> i128 {
    let (quotient, remainder) = (digits / divisor, digits % divisor);
    match (remainder * 2).cmp(&divisor) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

#[cfg(test)]
mod tests;
