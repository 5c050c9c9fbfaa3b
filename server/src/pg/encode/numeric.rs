//! NUMERIC from Arrow decimals of any width, in text and in binary form, with every digit.
//!
//! The binary form is that of PostgreSQL's `numeric_send`: base-10000 digits, their weight, a sign and the number of
//! decimal places to show.

use std::io::Write;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::i256;

/// The most digits a 256-bit integer has.
const MAX_DIGITS: usize = 78;
const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;

/// The digits of an unscaled value.
struct Digits {
    negative: bool,
    text: [u8; MAX_DIGITS],
    start: usize,
}

impl Digits {
    fn of_u128(negative: bool, mut value: u128) -> Self {
        let mut text = [b'0'; MAX_DIGITS];
        let mut start = MAX_DIGITS;
        loop {
            // Divisions of 64 bits are many times cheaper than those of 128.
            const CHUNK: u128 = 10_000_000_000_000_000_000;
            let (rest, mut chunk) = (value / CHUNK, (value % CHUNK) as u64);
            let end = start;
            while chunk > 0 {
                start -= 1;
                text[start] = b'0' + (chunk % 10) as u8;
                chunk /= 10;
            }
            if rest == 0 {
                break;
            }
            // A chunk in the middle keeps its leading zeros.
            start = end - 19;
            value = rest;
        }
        if start == MAX_DIGITS {
            start -= 1;
        }
        Self { negative, text, start }
    }

    fn of_i256(value: i256) -> Self {
        let negative = value.is_negative();
        if let Some(small) = value.to_i128() {
            return Self::of_u128(negative, small.unsigned_abs());
        }
        let mut text = [b'0'; MAX_DIGITS];
        let mut shown = [0; MAX_DIGITS + 1];
        let mut rest = shown.as_mut_slice();
        // 78 digits and a sign always fit.
        let _ = write!(rest, "{value}");
        let unused = rest.len();
        let shown = &shown[usize::from(negative)..MAX_DIGITS + 1 - unused];
        let start = MAX_DIGITS - shown.len();
        text[start..].copy_from_slice(shown);
        Self { negative, text, start }
    }

    fn as_slice(&self) -> &[u8] {
        &self.text[self.start..]
    }

    fn is_zero(&self) -> bool {
        self.as_slice() == b"0"
    }
}

/// Writes a `Decimal128` value as text.
pub(super) fn text_i128(value: i128, scale: i8, out: &mut BytesMut) {
    write_text(&Digits::of_u128(value < 0, value.unsigned_abs()), scale, out);
}

/// Writes a `Decimal256` value as text.
pub(super) fn text_i256(value: i256, scale: i8, out: &mut BytesMut) {
    write_text(&Digits::of_i256(value), scale, out);
}

/// Writes a `Decimal128` value in binary form.
pub(super) fn binary_i128(value: i128, scale: i8, out: &mut BytesMut) {
    write_binary(&Digits::of_u128(value < 0, value.unsigned_abs()), scale, out);
}

/// Writes a `Decimal256` value in binary form.
pub(super) fn binary_i256(value: i256, scale: i8, out: &mut BytesMut) {
    write_binary(&Digits::of_i256(value), scale, out);
}

fn write_text(value: &Digits, scale: i8, out: &mut BytesMut) {
    let digits = value.as_slice();
    if value.negative {
        out.put_u8(b'-');
    }
    let Ok(places) = usize::try_from(scale) else {
        // A negative scale: zeros before the decimal point.
        out.put_slice(digits);
        if !value.is_zero() {
            out.put_bytes(b'0', usize::from(scale.unsigned_abs()));
        }
        return;
    };
    if places == 0 {
        out.put_slice(digits);
        return;
    }
    let whole = digits.len().saturating_sub(places);
    if whole == 0 {
        out.put_u8(b'0');
    } else {
        out.put_slice(&digits[..whole]);
    }
    out.put_u8(b'.');
    out.put_bytes(b'0', places - (digits.len() - whole));
    out.put_slice(&digits[whole..]);
}

fn write_binary(value: &Digits, scale: i8, out: &mut BytesMut) {
    let display_scale = u16::from(scale.max(0).unsigned_abs());
    if value.is_zero() {
        for word in [0, 0, SIGN_POSITIVE, display_scale] {
            out.put_u16(word);
        }
        return;
    }
    let digits = value.as_slice();
    // Positions are counted from the decimal point: the first digit stands at `top`, those after the point below zero.
    let top = digits.len() as i32 - i32::from(scale) - 1;
    let weight = top.div_euclid(4);
    let bottom = -i32::from(scale);
    let groups = weight - bottom.div_euclid(4) + 1;
    let group = |index: i32| {
        (0..4).fold(0u16, |sum, place| {
            let position = (weight - index) * 4 + 3 - place;
            let digit = usize::try_from(top - position).ok().and_then(|index| digits.get(index));
            sum * 10 + u16::from(digit.map_or(0, |digit| digit - b'0'))
        })
    };
    // Zeros at the end are not sent. The first group holds the first digit, so there are none before it.
    let count = (0..groups)
        .rev()
        .find(|index| group(*index) != 0)
        .map_or(0, |last| last + 1);
    out.put_u16(count as u16);
    out.put_i16(weight as i16);
    out.put_u16(if value.negative { SIGN_NEGATIVE } else { SIGN_POSITIVE });
    out.put_u16(display_scale);
    for index in 0..count {
        out.put_u16(group(index));
    }
}

/// Reads the binary form into text: what a client binds. `None` for a malformed value.
pub(in crate::pg) fn read_binary(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks(2).map(|word| word.try_into().ok().map(u16::from_be_bytes));
    let mut word = || words.next().flatten();
    let (count, weight) = (word()?, i32::from(word()?.cast_signed()));
    let (sign, display_scale) = (word()?, word()?);
    match sign {
        SIGN_POSITIVE | SIGN_NEGATIVE => {}
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    // Wider values than any Arrow decimal are refused before text is made of them.
    if bytes.len() != 8 + usize::from(count) * 2 || weight.abs() > 64 || count > 64 || display_scale > 0x3fff {
        return None;
    }
    let mut text = String::from(if sign == SIGN_NEGATIVE { "-" } else { "" });
    let lowest = (weight - i32::from(count) + 1).min(0);
    for position in (lowest..=weight.max(0)).rev() {
        if position == -1 {
            text.push('.');
        }
        let digit = if position <= weight && position > weight - i32::from(count) {
            word().filter(|digit| *digit < 10_000)?
        } else {
            0
        };
        text.push_str(&format!("{digit:04}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests;
