#![allow(clippy::unwrap_used)]

use chrono::{Datelike, NaiveDate};
use proptest::prelude::*;

use super::*;

fn shown(write: impl FnOnce(&mut BytesMut)) -> String {
    let mut out = BytesMut::new();
    write(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn dates_and_times() {
    assert_eq!(shown(|out| date(0, out)), "1970-01-01");
    assert_eq!(shown(|out| date(EPOCH_DAYS, out)), "2000-01-01");
    assert_eq!(shown(|out| date(-719_528, out)), "0001-01-01 BC");
    assert_eq!(shown(|out| date(-719_162, out)), "0001-01-01");
    assert_eq!(shown(|out| date(2_932_897, out)), "10000-01-01");
    assert_eq!(shown(|out| time(0, out)), "00:00:00");
    assert_eq!(shown(|out| time(86_399_999_999, out)), "23:59:59.999999");
    assert_eq!(shown(|out| time(3_600_500_000, out)), "01:00:00.5");
    assert_eq!(shown(|out| timestamp(0, true, out)), "1970-01-01 00:00:00+00");
    assert_eq!(shown(|out| timestamp(-1, false, out)), "1969-12-31 23:59:59.999999");
    assert_eq!(
        shown(|out| timestamp(1_782_864_000_120_000, false, out)),
        "2026-07-01 00:00:00.12"
    );
    assert_eq!(shown(|out| timestamp_iso(0, true, out)), "1970-01-01T00:00:00+00:00");
    // The ends of the type do not panic.
    shown(|out| timestamp(i64::MIN, true, out));
    shown(|out| timestamp(i64::MAX, true, out));
    shown(|out| date(i32::MIN, out));
    shown(|out| date(i32::MAX, out));
}

#[test]
fn intervals() {
    let check = |months, days, us, expected: &str| assert_eq!(shown(|out| interval(months, days, us, out)), expected);
    check(0, 0, 0, "00:00:00");
    check(14, 3, 4_000_000, "1 year 2 mons 3 days 00:00:04");
    check(1, 1, 0, "1 mon 1 day");
    check(-12, 0, 0, "-1 years");
    check(-1, 1, 0, "-1 mons +1 day");
    check(0, -1, 3_600_000_000, "-1 days +01:00:00");
    check(0, 1, -3_600_000_000, "1 day -01:00:00");
    check(0, 0, 360_000_500_000, "100:00:00.5");
    check(
        i32::MIN,
        i32::MIN,
        i64::MIN,
        "-178956970 years -8 mons -2147483648 days -2562047788:00:54.775808",
    );
}

#[test]
fn floats_as_float8out() {
    let check = |value: f64, expected: &str| assert_eq!(shown(|out| double(value, out)), expected);
    check(0.0, "0");
    check(-0.0, "-0");
    check(1.0, "1");
    check(0.1, "0.1");
    check(-1.5, "-1.5");
    check(123456.789, "123456.789");
    check(100000000000000.0, "100000000000000");
    check(1e15, "1e+15");
    check(1.5e300, "1.5e+300");
    check(0.0001, "0.0001");
    check(0.00001, "1e-05");
    check(1.0 / 3.0, "0.3333333333333333");
    check(f64::MAX, "1.7976931348623157e+308");
    check(f64::NAN, "NaN");
    check(f64::NEG_INFINITY, "-Infinity");
    assert_eq!(shown(|out| real(0.1, out)), "0.1");
    assert_eq!(shown(|out| real(999999.0, out)), "999999");
    assert_eq!(shown(|out| real(1e6, out)), "1e+06");
    assert_eq!(shown(|out| real(f32::INFINITY, out)), "Infinity");
}

#[test]
fn bytes_in_hex() {
    assert_eq!(shown(|out| bytea(&[0, 0xde, 0xad], out)), "\\x00dead");
}

proptest! {
    #[test]
    fn floats_read_back(value in any::<f64>().prop_filter("numbers", |value| value.is_finite())) {
        prop_assert_eq!(shown(|out| double(value, out)).parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn the_calendar_agrees_with_chrono(days in -700_000i32..90_000_000) {
        let expected = NaiveDate::from_epoch_days(days).unwrap();
        prop_assert_eq!(civil(days), (i64::from(expected.year()), expected.month(), expected.day()));
    }
}
