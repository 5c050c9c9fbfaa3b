#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn settings_are_in_order_and_their_defaults_are_valid() {
    for pair in SETTINGS.windows(2) {
        assert!(
            pair[0].name.to_lowercase() < pair[1].name.to_lowercase(),
            "{} {}",
            pair[0].name,
            pair[1].name
        );
    }
    for setting in SETTINGS {
        assert_eq!(
            check(setting, setting.default).unwrap(),
            setting.default,
            "{}",
            setting.name
        );
    }
}

#[test]
fn values_are_checked() {
    for (name, value, kept) in [
        ("statement_timeout", "1500", Some("1500")),
        ("statement_timeout", "2min", Some("2min")),
        ("statement_timeout", "soon", None),
        ("TIMEZONE", "utc", Some("UTC")),
        ("timezone", "Europe/Berlin", Some("Europe/Berlin")),
        ("timezone", "Mars/Olympus", None),
        ("client_encoding", "utf-8", Some("UTF8")),
        ("client_encoding", "LATIN1", None),
        ("default_transaction_read_only", "TRUE", Some("on")),
        ("farthing.plan_cache", "0", Some("off")),
        ("farthing.result_cache", "no", Some("off")),
        ("farthing.rollup", "OFF", Some("off")),
        ("farthing.rollup", "true", Some("on")),
        ("farthing.rollup", "sometimes", None),
        ("farthing.threads", "2", Some("2")),
        ("farthing.threads", "-1", None),
        ("server_version", "9.6", None),
    ] {
        assert_eq!(
            check(require(name).unwrap(), value).ok().as_deref(),
            kept,
            "{name} = {value}"
        );
    }
    assert_eq!(
        require("datafusion.execution.batch_size").err().unwrap().kind(),
        ErrorKind::Missing
    );
    assert_eq!(milliseconds("2 h"), Some(7_200_000));
}
