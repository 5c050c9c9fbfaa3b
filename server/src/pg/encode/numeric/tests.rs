#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn text(value: i128, scale: i8) -> String {
    let mut out = BytesMut::new();
    text_i128(value, scale, &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn binary(value: i128, scale: i8) -> Vec<u8> {
    let mut out = BytesMut::new();
    binary_i128(value, scale, &mut out);
    out.to_vec()
}

fn words(value: i128, scale: i8) -> Vec<i16> {
    binary(value, scale)
        .chunks(2)
        .map(|word| i16::from_be_bytes(word.try_into().unwrap()))
        .collect()
}

#[test]
fn writes_text() {
    let check = |value, scale, expected: &str| assert_eq!(text(value, scale), expected);
    check(0, 0, "0");
    check(0, 2, "0.00");
    check(0, -2, "0");
    check(5, 2, "0.05");
    check(-5, 2, "-0.05");
    check(12345, 2, "123.45");
    check(-12345, 4, "-1.2345");
    check(12345, 5, "0.12345");
    check(12345, 6, "0.012345");
    check(12, -3, "12000");
    check(10_000_000_000_000_000_000, 0, "10000000000000000000");
    check(i128::MAX, 10, "17014118346046923173168730371.5884105727");
    check(i128::MIN, 0, "-170141183460469231731687303715884105728");
}

#[test]
fn writes_what_numeric_send_writes() {
    // Number of digits, weight, sign, display scale, digits.
    let check = |value, scale, expected: &[i16]| assert_eq!(words(value, scale), expected, "{value} {scale}");
    check(0, 2, &[0, 0, 0, 2]);
    check(1, 0, &[1, 0, 0, 0, 1]);
    check(10_000, 0, &[1, 1, 0, 0, 1]);
    check(123_456_789, 4, &[3, 1, 0, 4, 1, 2345, 6789]);
    check(-5, 1, &[1, -1, 0x4000, 1, 5000]);
    check(1, 5, &[1, -2, 0, 5, 1000]);
    check(1_000_000, 6, &[1, 0, 0, 6, 1]);
    check(7, -2, &[1, 0, 0, 0, 700]);
    check(7, -6, &[1, 1, 0, 0, 700]);
}

#[test]
fn wide_values_keep_every_digit() {
    let digits = "1234567890123456789012345678901234567890123456789012345678901234567890123456";
    let value = i256::from_string(digits).unwrap();
    let mut out = BytesMut::new();
    text_i256(-value, 10, &mut out);
    assert_eq!(
        out,
        "-123456789012345678901234567890123456789012345678901234567890123456.7890123456"
    );
    let mut out = BytesMut::new();
    binary_i256(value, 0, &mut out);
    assert_eq!(read_binary(&out).unwrap(), digits);
    let mut out = BytesMut::new();
    text_i256(i256::MIN, 0, &mut out);
    assert_eq!(out, i256::MIN.to_string());
    let mut out = BytesMut::new();
    text_i256(i256::from_i128(-42), 1, &mut out);
    assert_eq!(out, "-4.2");
}

#[test]
fn refuses_binary_that_is_not_numeric() {
    for bytes in [
        &[][..],
        &[0, 1],
        &[0, 1, 0, 0, 0, 0, 0, 0],
        &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
        &[0, 0, 0x7f, 0xff, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0x12, 0x34, 0, 0],
        &[0, 1, 0, 0, 0, 0, 0, 0, 1],
    ] {
        assert_eq!(read_binary(bytes), None, "{bytes:?}");
    }
    assert_eq!(read_binary(&[0, 0, 0, 0, 0xc0, 0, 0, 0]).unwrap(), "NaN");
}

/// The value as a plain decimal text without needless zeros, to compare the two forms.
fn plain(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

proptest! {
    #[test]
    fn both_forms_say_the_same(value in any::<i128>(), shift in 0u32..120, scale in -10i8..=38) {
        let value = value >> shift;
        prop_assert_eq!(plain(&read_binary(&binary(value, scale)).unwrap()), plain(&text(value, scale)));
        if scale == 0 {
            prop_assert_eq!(text(value, 0), value.to_string());
        }
        let wide = i256::from_i128(value);
        let mut out = BytesMut::new();
        binary_i256(wide, scale, &mut out);
        prop_assert_eq!(out.to_vec(), binary(value, scale));
    }

    #[test]
    fn arbitrary_binary_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = read_binary(&bytes);
    }
}
