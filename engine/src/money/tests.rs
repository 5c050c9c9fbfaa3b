#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn doubles_become_the_decimal_that_was_meant() {
    for (value, expected) in [
        (0.1, "0.100000000000"),
        (-0.1, "-0.100000000000"),
        (99999.1234567891, "99999.123456789100"),
        (0.0000000001, "0.000000000100"),
        (1e-12, "0.000000000001"),
        (123_456_789.123_456, "123456789.123456000000"),
        (1e15, "1000000000000000.000000000000"),
        (0.1 + 0.2, "0.300000000000"),
        (0.0, "0.000000000000"),
        (-0.0, "0.000000000000"),
        (2.5e-13, "0.000000000000"),
        (5e-13, "0.000000000000"),
        (1.5e-12, "0.000000000002"),
        (2.5e-12, "0.000000000002"),
    ] {
        assert_eq!(
            Amount::from_units(exact(value).unwrap()).to_string(),
            expected,
            "{value:e}"
        );
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e24] {
        assert_eq!(exact(value), None);
    }
}

#[test]
fn text_is_read_exactly() {
    for (text, expected) in [
        ("0.0000000000", Some("0.000000000000")),
        ("-.5", Some("-0.500000000000")),
        ("+7", Some("7.000000000000")),
        ("1E-7", Some("0.000000100000")),
        ("0.12345678901250", Some("0.123456789012")),
        ("0.1234567890135", Some("0.123456789014")),
        ("1e-200", Some("0.000000000000")),
        ("", None),
        (".", None),
        ("1,5", None),
        ("0x1", None),
        ("1e400", None),
    ] {
        assert_eq!(
            parse_decimal(text)
                .map(|units| Amount::from_units(units).to_string())
                .as_deref(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn the_fast_way_agrees_with_the_digits() {
    // A linear congruential walk over decimals of up to ten digits after the point.
    let mut state: u64 = 42;
    for _ in 0..200_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let value = ((state >> 12) % 1_000_000_000_000_000) as f64 / 1e10;
        assert_eq!(exact(value), exact_by_digits(value), "{value:e}");
    }
}

#[test]
fn amounts_of_texts_are_rounded_once_whatever_they_pass_through() {
    for text in [
        "-0.0071542704734999995",
        "0.0000000000004999999999",
        "0.0000000000005000000001",
        "0.000000000000500000",
        "0.0000000000015",
        "0.00000000000249999999999999999",
        "0.0000000000025000000000000000001",
        "1.00000000000050000000000000000001",
        "7e-40",
        "123456789.123456789012345678901",
        "0",
    ] {
        let through = of_exact(parse_exact(text).unwrap());
        assert_eq!(Some(through), parse_decimal(text), "{text}");
    }
}

#[test]
fn many_doubles_become_what_each_becomes() {
    let mut values = vec![
        0.0,
        -0.0,
        0.1,
        999.999_999_999_999,
        1_000.000_000_000_1,
        -99_999.123_456_789_1,
        1e-12,
        2.5e-13,
        1e15,
        0.1 + 0.2,
    ];
    let mut state: u64 = 1;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        #[expect(clippy::cast_precision_loss, reason = "any double will do")]
        let digits = (state >> 24) as f64;
        values.push(digits / 10_f64.powi(i32::try_from(state >> 40 & 15).unwrap()));
        values.push(f64::from_bits(state & !(1 << 62)));
    }
    values.retain(|value| exact_by_digits(*value).is_some());
    assert!(values.len() > 20_000);
    let each: Vec<i128> = values.iter().map(|value| exact_by_digits(*value).unwrap()).collect();
    assert_eq!(exact_all(&values, None).unwrap(), each);
    for (value, units) in values.iter().zip(&each) {
        assert_eq!(exact(*value), Some(*units), "{value:e}");
    }
    let nulls = NullBuffer::from(vec![true, false]);
    assert_eq!(
        exact_all(&[1.5, f64::NAN], Some(&nulls)).unwrap(),
        [1_500_000_000_000, 0]
    );
    assert!(exact_all(&[1.5, f64::NAN], None).is_err());
}
