//! The table of settings.

use std::path::Path;

use farthing_engine::Result;
use tracing::Level;

use super::given::{Given, show_bytes, show_duration};
use super::{Config, LogFormat};

/// One setting.
pub struct Key {
    /// Its name in the file; in the environment it is `FARTHING_` and the name in upper case.
    pub name: &'static str,
    /// Its type and unit, for people.
    pub kind: &'static str,
    /// What no value means, for keys that have none by default.
    pub unset: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Reads a given value into the configuration.
    pub set: fn(&mut Config, &Given<'_>) -> Result<()>,
    /// The present value as TOML, or none.
    pub show: fn(&Config) -> Option<String>,
}

const ADDRESS: &str = "IP address and port";
const PATH: &str = "path; a relative one counts from the file's folder";
const DURATION: &str = "length of time with a unit: ms, s, m, h, d";
const SIZE: &str = "size: bytes, or with a unit such as MiB or GiB";
const COUNT: &str = "whole number";

/// The levels of log lines.
const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// The words for settings that are on or off.
const SWITCHES: [(&str, bool); 2] = [("on", true), ("off", false)];

/// The forms of log lines.
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Every setting, in the order in which references show them.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        kind: PATH,
        unset: "",
        description: "Folder of the state, the master key and the certificate. Only its owner may enter it.",
        set: |c, v| v.path().map(|path| c.data_dir = path),
        show: |c| Some(show_path(&c.data_dir)),
    },
    Key {
        name: "listen_pg",
        kind: ADDRESS,
        unset: "",
        description: "Where PostgreSQL clients connect. Other than loopback addresses speak TLS only.",
        set: |c, v| v.address().map(|address| c.listen_pg = address),
        show: |c| Some(quoted(c.listen_pg)),
    },
    Key {
        name: "listen_flight",
        kind: ADDRESS,
        unset: "",
        description: "Where Flight SQL clients connect. Other than loopback addresses speak TLS only.",
        set: |c, v| v.address().map(|address| c.listen_flight = address),
        show: |c| Some(quoted(c.listen_flight)),
    },
    Key {
        name: "tls_certificate",
        kind: PATH,
        unset: "the self-signed one of `farthing init` where TLS is needed",
        description: "PEM file of the server's certificate chain. Needs tls_key.",
        set: |c, v| v.path().map(|path| c.tls_certificate = Some(path)),
        show: |c| c.tls_certificate.as_ref().map(show_path),
    },
    Key {
        name: "tls_key",
        kind: PATH,
        unset: "the one of `farthing init` where TLS is needed",
        description: "PEM file of the certificate's private key. Needs tls_certificate.",
        set: |c, v| v.path().map(|path| c.tls_key = Some(path)),
        show: |c| c.tls_key.as_ref().map(show_path),
    },
    Key {
        name: "master_key_file",
        kind: PATH,
        unset: "master.key in the data directory",
        description: "File of the key under which stored AWS keys are encrypted. Without it they cannot be read again.",
        set: |c, v| v.path().map(|path| c.master_key_file = Some(path)),
        show: |c| c.master_key_file.as_ref().map(show_path),
    },
    Key {
        name: "aws_endpoint_url",
        kind: "URL of scheme, host and port; https, or http on this machine",
        unset: "AWS itself",
        description: "Where S3 and STS answer instead of AWS: a private endpoint, or the sandbox of `farthing demo`.",
        set: |c, v| v.endpoint().map(|url| c.aws_endpoint_url = Some(url)),
        show: |c| {
            c.aws_endpoint_url
                .as_ref()
                .map(|url| quoted(url.as_str().trim_end_matches('/')))
        },
    },
    Key {
        name: "aws_region",
        kind: "name of an AWS Region",
        unset: "",
        description: "Region of STS, and of buckets until their own is known.",
        set: |c, v| {
            let region = v.text()?;
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if region.is_empty() || !region.bytes().all(plain) {
                return Err(v.bad("an AWS Region", "Give a Region such as 'us-east-1'."));
            }
            c.aws_region = region;
            Ok(())
        },
        show: |c| Some(quoted(&c.aws_region)),
    },
    Key {
        name: "refresh_interval",
        kind: DURATION,
        unset: "",
        description: "How often exports are asked for new deliveries.",
        set: |c, v| v.duration().map(|duration| c.refresh_interval = duration),
        show: |c| Some(show_duration(c.refresh_interval)),
    },
    Key {
        name: "derive",
        kind: "'on' or 'off'",
        unset: "",
        description: "Whether rollups are made of imported months, in the background. They make statements faster and change no answer.",
        set: |c, v| v.choice(&SWITCHES).map(|on| c.derive = on),
        show: |c| Some(quoted(if c.derive { "on" } else { "off" })),
    },
    Key {
        name: "shutdown_grace",
        kind: DURATION,
        unset: "",
        description: "How long running statements may go on after a stop is asked for; then they are cancelled.",
        set: |c, v| v.duration().map(|duration| c.shutdown_grace = duration),
        show: |c| Some(show_duration(c.shutdown_grace)),
    },
    Key {
        name: "threads",
        kind: COUNT,
        unset: "",
        description: "Threads that run queries; the default is one for each processor.",
        set: |c, v| v.count(1_024).map(|count| c.threads = count),
        show: |c| Some(c.threads.to_string()),
    },
    Key {
        name: "log_level",
        kind: "'error', 'warn', 'info', 'debug' or 'trace'",
        unset: "",
        description: "Lowest level of Farthing's log lines. Libraries log warnings only, since their details hold signed requests.",
        set: |c, v| v.choice(&LEVELS).map(|level| c.log_level = level),
        show: |c| Some(quoted(c.log_level.as_str().to_ascii_lowercase())),
    },
    Key {
        name: "log_format",
        kind: "'text' or 'json'",
        unset: "",
        description: "How log lines look. They go to standard error.",
        set: |c, v| v.choice(&FORMATS).map(|format| c.log_format = format),
        show: |c| {
            let named = FORMATS.iter().find(|(_, format)| *format == c.log_format);
            named.map(|(name, _)| quoted(name))
        },
    },
    Key {
        name: "statement_timeout",
        kind: DURATION,
        unset: "",
        description: "Longest that a statement may run, to its last row.",
        set: |c, v| v.duration().map(|duration| c.limits.statement_timeout = duration),
        show: |c| Some(show_duration(c.limits.statement_timeout)),
    },
    Key {
        name: "admission_wait",
        kind: DURATION,
        unset: "",
        description: "Longest that a statement waits for a slot before it is refused.",
        set: |c, v| v.duration().map(|duration| c.limits.admission_wait = duration),
        show: |c| Some(show_duration(c.limits.admission_wait)),
    },
    Key {
        name: "query_slots",
        kind: COUNT,
        unset: "",
        description: "Statements that run at the same time; the default is one for each processor.",
        set: |c, v| v.count(10_000).map(|count| c.limits.query_slots = count),
        show: |c| Some(c.limits.query_slots.to_string()),
    },
    Key {
        name: "query_memory",
        kind: SIZE,
        unset: "",
        description: "Memory for all statements together; the default is 60 % of the machine's or the control group's.",
        set: |c, v| v.memory().map(|bytes| c.limits.query_memory = bytes),
        show: |c| Some(show_bytes(c.limits.query_memory as u64)),
    },
    Key {
        name: "spill_bytes",
        kind: SIZE,
        unset: "",
        description: "Disk space for intermediate results that do not fit into memory.",
        set: |c, v| v.bytes().map(|bytes| c.limits.spill_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.spill_bytes)),
    },
    Key {
        name: "snapshot_files",
        kind: COUNT,
        unset: "",
        description: "Most files that one delivery of one month may have.",
        set: |c, v| v.count(10_000_000).map(|count| c.limits.snapshot_files = count),
        show: |c| Some(c.limits.snapshot_files.to_string()),
    },
    Key {
        name: "manifest_bytes",
        kind: SIZE,
        unset: "",
        description: "Largest manifest that is read.",
        set: |c, v| v.bytes().map(|bytes| c.limits.manifest_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.manifest_bytes)),
    },
    Key {
        name: "columns",
        kind: COUNT,
        unset: "",
        description: "Most columns that a table may have.",
        set: |c, v| v.count(100_000).map(|count| c.limits.columns = count),
        show: |c| Some(c.limits.columns.to_string()),
    },
    Key {
        name: "import_parallelism",
        kind: COUNT,
        unset: "",
        description: "Months that are imported at the same time.",
        set: |c, v| v.count(1_024).map(|count| c.limits.import_parallelism = count),
        show: |c| Some(c.limits.import_parallelism.to_string()),
    },
    Key {
        name: "footer_cache_bytes",
        kind: SIZE,
        unset: "",
        description: "Memory for the footers of Parquet files.",
        set: |c, v| v.bytes().map(|bytes| c.limits.footer_cache_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.footer_cache_bytes)),
    },
    Key {
        name: "disk_cache_bytes",
        kind: SIZE,
        unset: "",
        description: "Disk space for what was read of buckets, in the folder cache of the data directory. 0 keeps nothing.",
        set: |c, v| v.bytes_or_none().map(|bytes| c.limits.disk_cache_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.disk_cache_bytes)),
    },
    Key {
        name: "result_cache_bytes",
        kind: SIZE,
        unset: "",
        description: "Memory for results of statements, so that asking again is instant; the default is 5 % of the machine's, at most 256 MiB. 0 keeps none.",
        set: |c, v| v.bytes_or_none().map(|bytes| c.limits.result_cache_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.result_cache_bytes)),
    },
    Key {
        name: "rollup_cache_bytes",
        kind: SIZE,
        unset: "",
        description: "Memory for columns of rollups; the default is 10 % of the machine's, at most 1 GiB. 0 keeps none.",
        set: |c, v| v.bytes_or_none().map(|bytes| c.limits.rollup_cache_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.rollup_cache_bytes)),
    },
    Key {
        name: "plan_cache_entries",
        kind: COUNT,
        unset: "",
        description: "Plans of statements kept in memory. 0 keeps none.",
        set: |c, v| {
            v.count_or_none(1_000_000)
                .map(|count| c.limits.plan_cache_entries = count)
        },
        show: |c| Some(c.limits.plan_cache_entries.to_string()),
    },
    Key {
        name: "portals",
        kind: COUNT,
        unset: "",
        description: "Most open portals (cursors) of one session.",
        set: |c, v| v.count(1_000_000).map(|count| c.limits.portals = count),
        show: |c| Some(c.limits.portals.to_string()),
    },
    Key {
        name: "prepared_statements",
        kind: COUNT,
        unset: "",
        description: "Most prepared statements of one session.",
        set: |c, v| v.count(1_000_000).map(|count| c.limits.prepared_statements = count),
        show: |c| Some(c.limits.prepared_statements.to_string()),
    },
    Key {
        name: "statement_bytes",
        kind: SIZE,
        unset: "",
        description: "Longest text of one statement.",
        set: |c, v| v.memory().map(|bytes| c.limits.statement_bytes = bytes),
        show: |c| Some(show_bytes(c.limits.statement_bytes as u64)),
    },
    Key {
        name: "aws_call_timeout",
        kind: DURATION,
        unset: "",
        description: "Longest that one AWS call may take, tries included.",
        set: |c, v| v.duration().map(|duration| c.limits.aws_call_timeout = duration),
        show: |c| Some(show_duration(c.limits.aws_call_timeout)),
    },
    Key {
        name: "history_entries",
        kind: COUNT,
        unset: "",
        description: "Entries kept of each history: imports, procedure runs.",
        set: |c, v| v.count(10_000_000).map(|count| c.limits.history_entries = count),
        show: |c| Some(c.limits.history_entries.to_string()),
    },
    Key {
        name: "past_deliveries",
        kind: COUNT,
        unset: "",
        description: "Past deliveries kept of each month of an export.",
        set: |c, v| v.count(10_000).map(|count| c.limits.past_deliveries = count),
        show: |c| Some(c.limits.past_deliveries.to_string()),
    },
    Key {
        name: "rollup_rows",
        kind: COUNT,
        unset: "",
        description: "Rows of one rollup of one month; a finer one is not made.",
        set: |c, v| v.count(100_000_000).map(|count| c.limits.rollup_rows = count),
        show: |c| Some(c.limits.rollup_rows.to_string()),
    },
];

fn quoted(text: impl std::fmt::Display) -> String {
    format!("{:?}", text.to_string())
}

fn show_path(path: impl AsRef<Path>) -> String {
    quoted(path.as_ref().display())
}
