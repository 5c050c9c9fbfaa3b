//! The settings of a session: one registry behind SET, SHOW, RESET and the start-up packet.

use farthing_engine::{Error, ErrorKind, Result};

/// A setting.
pub(crate) struct Setting {
    /// The name as PostgreSQL spells it; looked up without regard to letter case.
    pub(crate) name: &'static str,
    /// The value of a fresh session.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Whether PostgreSQL tells clients when it changes.
    pub(crate) reported: bool,
    /// What values it takes.
    pub(crate) values: Values,
}

/// What values a setting takes.
pub(crate) enum Values {
    /// It cannot be set.
    Fixed,
    /// Any text.
    Text,
    /// One of these.
    Among(&'static [&'static str]),
    /// A number in this range.
    Number(u64, u64),
    /// Milliseconds, or a number with a unit: ms, s, min, h, d. 0 is no limit.
    Duration,
    /// A time zone.
    TimeZone,
}

/// The version that every source of it tells: PostgreSQL 16 is what the wire behaviour follows.
pub const SERVER_VERSION: &str = "16.6";
/// The same as a number.
pub const SERVER_VERSION_NUMBER: &str = "160006";

const BOOLEAN: Values = Values::Among(&["on", "off"]);

/// All settings, in order of name.
pub(crate) static SETTINGS: &[Setting] = &[
    Setting {
        name: "application_name",
        default: "",
        about: "The client's name for itself.",
        reported: true,
        values: Values::Text,
    },
    Setting {
        name: "bytea_output",
        default: "hex",
        about: "How binary values print.",
        reported: false,
        values: Values::Among(&["hex"]),
    },
    Setting {
        name: "client_encoding",
        default: "UTF8",
        about: "The encoding of text.",
        reported: true,
        values: Values::Among(&["UTF8", "utf-8", "unicode"]),
    },
    Setting {
        name: "client_min_messages",
        default: "notice",
        about: "The least severe message that is sent.",
        reported: false,
        values: Values::Among(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
        ]),
    },
    Setting {
        name: "DateStyle",
        default: "ISO, MDY",
        about: "How dates print: always ISO.",
        reported: true,
        values: Values::Text,
    },
    Setting {
        name: "default_transaction_isolation",
        default: "repeatable read",
        about: "A transaction sees one catalog version.",
        reported: false,
        values: Values::Text,
    },
    Setting {
        name: "default_transaction_read_only",
        default: "off",
        about: "Whether new transactions refuse CALL.",
        reported: true,
        values: BOOLEAN,
    },
    Setting {
        name: "extra_float_digits",
        default: "1",
        about: "Floats print in their shortest exact form.",
        reported: false,
        values: Values::Text,
    },
    Setting {
        name: "farthing.plan_cache",
        default: "on",
        about: "Whether plans of former statements are used again; rows are the same either way.",
        reported: false,
        values: BOOLEAN,
    },
    Setting {
        name: "farthing.result_cache",
        default: "on",
        about: "Whether results of former statements are given again; rows are the same either way.",
        reported: false,
        values: BOOLEAN,
    },
    Setting {
        name: "farthing.rollup",
        default: "on",
        about: "Whether rollups answer for the rows that they sum up; rows are the same either way.",
        reported: false,
        values: BOOLEAN,
    },
    Setting {
        name: "farthing.threads",
        default: "0",
        about: "Partitions that a statement is run in; 0 is one for each core.",
        reported: false,
        values: Values::Number(0, 1024),
    },
    Setting {
        name: "idle_in_transaction_session_timeout",
        default: "0",
        about: "Accepted, without effect.",
        reported: false,
        values: Values::Duration,
    },
    Setting {
        name: "in_hot_standby",
        default: "off",
        about: "Whether the server is a standby.",
        reported: true,
        values: Values::Fixed,
    },
    Setting {
        name: "integer_datetimes",
        default: "on",
        about: "Whether times are integers on the wire.",
        reported: true,
        values: Values::Fixed,
    },
    Setting {
        name: "IntervalStyle",
        default: "postgres",
        about: "How intervals print.",
        reported: true,
        values: Values::Among(&["postgres"]),
    },
    Setting {
        name: "is_superuser",
        default: "off",
        about: "There is no superuser that skips the scope.",
        reported: true,
        values: Values::Fixed,
    },
    Setting {
        name: "lock_timeout",
        default: "0",
        about: "Accepted, without effect: nothing waits for locks.",
        reported: false,
        values: Values::Duration,
    },
    Setting {
        name: "max_identifier_length",
        default: "63",
        about: "The longest name.",
        reported: false,
        values: Values::Fixed,
    },
    Setting {
        name: "search_path",
        default: "public",
        about: "The schemas of unqualified names, in order.",
        reported: false,
        values: Values::Text,
    },
    Setting {
        name: "server_encoding",
        default: "UTF8",
        about: "The encoding of the server.",
        reported: true,
        values: Values::Fixed,
    },
    Setting {
        name: "server_version",
        default: SERVER_VERSION,
        about: "The PostgreSQL version whose behaviour the wire follows.",
        reported: true,
        values: Values::Fixed,
    },
    Setting {
        name: "server_version_num",
        default: SERVER_VERSION_NUMBER,
        about: "The same as a number.",
        reported: false,
        values: Values::Fixed,
    },
    Setting {
        name: "standard_conforming_strings",
        default: "on",
        about: "Whether a backslash in a literal is one.",
        reported: true,
        values: Values::Among(&["on"]),
    },
    Setting {
        name: "statement_timeout",
        default: "default",
        about: "The longest a statement may run, up to the server's limit.",
        reported: false,
        values: Values::Duration,
    },
    Setting {
        name: "TimeZone",
        default: "UTC",
        about: "The zone in which instants with zone print.",
        reported: true,
        values: Values::TimeZone,
    },
    Setting {
        name: "transaction_isolation",
        default: "repeatable read",
        about: "A transaction sees one catalog version.",
        reported: false,
        values: Values::Text,
    },
    Setting {
        name: "transaction_read_only",
        default: "off",
        about: "Whether this transaction refuses CALL.",
        reported: false,
        values: BOOLEAN,
    },
];

/// The setting of a name.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// The setting of a name, or the error that PostgreSQL gives.
pub(crate) fn require(name: &str) -> Result<&'static Setting> {
    find(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Missing,
            format!("unrecognized configuration parameter \"{name}\""),
        )
        .with_hint("SHOW ALL lists the settings.")
    })
}

/// The value as it is kept, or why it is refused.
pub(crate) fn check(setting: &Setting, value: &str) -> Result<String> {
    let bad = |hint: String| {
        Error::new(
            ErrorKind::BadValue,
            format!("invalid value for parameter \"{}\": \"{value}\"", setting.name),
        )
        .with_hint(hint)
    };
    match &setting.values {
        Values::Fixed if value == setting.default => Ok(value.to_owned()),
        Values::Fixed => Err(Error::new(
            ErrorKind::Unsupported,
            format!("parameter \"{}\" cannot be changed", setting.name),
        )),
        Values::Text => Ok(value.to_owned()),
        Values::Among(allowed) => {
            let spelled = match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" if allowed.contains(&"on") => "on".to_owned(),
                "false" | "no" | "0" if allowed.contains(&"off") => "off".to_owned(),
                other => other.to_owned(),
            };
            match allowed.iter().find(|known| known.eq_ignore_ascii_case(&spelled)) {
                Some(_) if setting.name == "client_encoding" => Ok("UTF8".to_owned()),
                Some(known) => Ok((*known).to_owned()),
                None => Err(bad(format!("Use one of: {}.", allowed.join(", ")))),
            }
        }
        Values::Number(least, most) => match value.parse::<u64>() {
            Ok(number) if (*least..=*most).contains(&number) => Ok(number.to_string()),
            _ => Err(bad(format!("Use a number from {least} to {most}."))),
        },
        Values::Duration => match milliseconds(value) {
            Some(_) => Ok(value.to_owned()),
            None => Err(bad("Use milliseconds, or a number with ms, s, min, h or d.".to_owned())),
        },
        Values::TimeZone => {
            let zone: std::result::Result<datafusion::arrow::array::timezone::Tz, _> = value.parse();
            match (zone, value.to_ascii_uppercase().as_str()) {
                (_, "GMT" | "UTC" | "UCT" | "ZULU" | "DEFAULT" | "LOCAL") => Ok("UTC".to_owned()),
                (Ok(_), _) => Ok(value.to_owned()),
                (Err(_), _) => Err(bad(
                    "Use an IANA name such as Europe/Berlin, or an offset such as +01:00.".to_owned(),
                )),
            }
        }
    }
}

/// A duration in PostgreSQL's spelling, in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "default" {
        return Some(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests;
