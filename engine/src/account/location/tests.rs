#![allow(clippy::unwrap_used)]

use super::*;

fn parts(location: Option<&str>, name: Option<&str>, bucket: Option<&str>, prefix: Option<&str>) -> LocationParts {
    let own = |text: Option<&str>| text.map(str::to_owned);
    LocationParts {
        location: own(location),
        export_name: own(name),
        bucket: own(bucket),
        prefix: own(prefix),
        region: None,
    }
}

#[test]
fn every_way_to_name_an_export_gives_its_uri() {
    for (given, expected) in [
        (
            parts(Some("s3://bills/a/b/cur2"), None, None, None),
            "s3://bills/a/b/cur2",
        ),
        (parts(Some("s3://bills/cur2/"), None, None, None), "s3://bills/cur2"),
        (
            parts(
                Some("s3://bills/a/b/cur2/metadata/BILLING_PERIOD=2026-01"),
                None,
                None,
                None,
            ),
            "s3://bills/a/b/cur2",
        ),
        (
            parts(Some("s3://bills/a/report/20260601-20260701/"), None, None, None),
            "s3://bills/a/report",
        ),
        (
            parts(Some("s3://bills/a/report/report/year=2026/month=6"), None, None, None),
            "s3://bills/a/report",
        ),
        (
            parts(Some("file:///srv/data/exports/cur2"), None, None, None),
            "file:///srv/data/exports/cur2",
        ),
        (
            parts(Some("s3://bills/a"), Some("cur2"), None, None),
            "s3://bills/a/cur2",
        ),
        (
            parts(Some("s3://bills/a/cur2"), Some("cur2"), None, None),
            "s3://bills/a/cur2",
        ),
        (parts(Some("s3://bills"), Some("cur2"), None, None), "s3://bills/cur2"),
        (
            parts(None, Some("cur2"), Some("bills"), Some("/a//b/")),
            "s3://bills/a/b/cur2",
        ),
        (parts(None, Some("cur2"), Some("bills"), None), "s3://bills/cur2"),
        (
            parts(Some("file:///var/exports/cur2"), None, None, None),
            "file:///var/exports/cur2",
        ),
    ] {
        assert_eq!(given.resolve().unwrap().uri(), expected, "{given:?}");
    }
}

#[test]
fn slashes_that_are_left_out_can_be_put_back() {
    for (given, prefix) in [
        (parts(Some("s3://bills/a/b/cur2"), None, None, None), None),
        (parts(Some("s3://bills/cur2/"), None, None, None), None),
        (parts(Some("s3://bills/a/cur2/data/x"), None, None, None), None),
        (parts(Some("s3://bills/cur2/cur2-x/cur2"), None, None, None), None),
        (parts(Some("s3://bills/a//cur2"), None, None, None), Some("a/")),
        (parts(Some("s3://bills/a//b/cur2//"), None, None, None), Some("a//b")),
        (
            parts(Some("s3://bills//a/cur2/metadata/"), None, None, None),
            Some("/a"),
        ),
        (parts(Some("s3://bills/a/"), Some("cur2"), None, None), Some("a/")),
        (parts(None, Some("cur2"), Some("bills"), None), None),
        (parts(None, Some("cur2"), Some("bills"), Some("a/b")), None),
        (parts(None, Some("cur2"), Some("bills"), Some("a/")), Some("a/")),
        (parts(None, Some("cur2"), Some("bills"), Some("a//b")), Some("a//b")),
        (parts(Some("file:///var//exports/cur2"), None, None, None), None),
    ] {
        let resolved = given.resolve().unwrap();
        let other = given.with_all_slashes(&resolved);
        assert_eq!(other.map(|other| other.prefix).as_deref(), prefix, "{given:?}");
    }
}

#[test]
fn what_names_no_export_is_refused() {
    for given in [
        parts(None, None, None, None),
        parts(None, Some("cur2"), None, None),
        parts(None, None, Some("bills"), None),
        parts(Some("s3://bills"), None, None, None),
        parts(Some("bills/cur2"), None, None, None),
        parts(Some("https://bills/cur2"), None, None, None),
        parts(Some("s3://Bills/cur2"), None, None, None),
        parts(Some("s3://bills/cur2"), None, Some("bills"), None),
        parts(Some("file://host/cur2"), None, None, None),
        parts(None, Some("cur 2"), Some("bills"), None),
    ] {
        let error = given.resolve().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{given:?}");
        assert!(error.hint().is_some());
    }
}
