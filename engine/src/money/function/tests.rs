#![allow(clippy::unwrap_used)]

use arrow::array::{Float64Array, StringArray};

use super::*;

#[test]
fn doubles_and_their_text_give_the_same_decimals() {
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(0.1),
        Some(-1e-10),
        None,
        Some(12_345.678_9),
    ]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![
        Some("0.1"),
        Some("-0.0000000001"),
        Some(" "),
        Some("12345.6789"),
    ]));
    assert_eq!(&exact_array(&doubles).unwrap(), &exact_array(&texts).unwrap());
    assert_eq!(
        exact_array(&doubles).unwrap().as_primitive::<Decimal128Type>().value(0),
        100_000_000_000
    );
}

#[test]
fn what_is_no_amount_is_an_error() {
    for source in [
        Arc::new(Float64Array::from(vec![f64::NAN])) as ArrayRef,
        Arc::new(Float64Array::from(vec![1e30])),
        Arc::new(StringArray::from(vec!["free"])),
    ] {
        let error = crate::execute::datafusion_error(exact_array(&source).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::BrokenDelivery, "{error}");
    }
}

#[test]
fn proportions_are_rounded_half_even_once() {
    for (amount, part, whole, expected) in [
        (10, 1, 4, 2),
        (30, 1, 4, 8),
        (-10, 1, 4, -2),
        (-30, 1, 4, -8),
        (10, -1, 4, -2),
        (11, 1, 4, 3),
        (1 << 100, 1 << 60, 1 << 80, 1 << 80),
    ] {
        assert_eq!(
            prorate(amount, part, whole).unwrap(),
            expected,
            "{amount} * {part} / {whole}"
        );
    }
    assert!(prorate(i128::MAX, 4, 1).is_err());
}
