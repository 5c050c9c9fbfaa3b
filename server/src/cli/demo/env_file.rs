//! `demo.env`: what scripts and clients need to reach the demo, for `source` in a shell.

use std::path::PathBuf;

use farthing_engine::Result;

use super::Running;
use super::record::{BUCKET, EXPORT, PREFIX, totals_path};
use crate::config::Config;
use crate::private_file;

/// Where the file lies.
pub fn path(config: &Config) -> PathBuf {
    config.data_dir.join("demo.env")
}

/// Writes the file, whole or not at all, for its owner alone.
pub fn write(running: &Running<'_>) -> Result<()> {
    private_file::replace(&path(running.config), text(&variables(running)).as_bytes())
}

/// Names and values, in order.
fn variables(running: &Running<'_>) -> Vec<(String, String)> {
    let record = running.record;
    let password = record.password();
    let mut variables: Vec<(String, String)> = [
        ("PGHOST", running.pg.ip().to_string()),
        ("PGPORT", running.pg.port().to_string()),
        ("PGUSER", record.user.clone()),
        ("PGPASSWORD", password.open().to_owned()),
        ("PGDATABASE", farthing_sql::frontend::CATALOG.to_owned()),
        ("FLIGHT_URI", format!("grpc://{}", running.flight)),
        ("FLIGHT_USER", record.user.clone()),
        ("FLIGHT_PASSWORD", password.open().to_owned()),
        ("AWS_ENDPOINT_URL", running.endpoint.clone()),
        ("FARTHING_DEMO_BUCKET", BUCKET.to_owned()),
        ("FARTHING_DEMO_PREFIX", PREFIX.to_owned()),
        ("FARTHING_DEMO_EXPORT", EXPORT.to_owned()),
        (
            "FARTHING_DEMO_TOTALS",
            totals_path(running.config).display().to_string(),
        ),
        ("PAYER_ACCOUNT", record.payer.id.clone()),
        ("CONNECTED_ACCOUNTS", running.connected.connected.join(" ")),
        ("UNCONNECTED_ACCOUNTS", running.connected.unconnected.join(" ")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for account in record.accounts() {
        let id = &account.id;
        variables.push((format!("ACCOUNT_{id}_ACCESS_KEY_ID"), account.access_key_id.clone()));
        variables.push((
            format!("ACCOUNT_{id}_SECRET_ACCESS_KEY"),
            account.secret_access_key.clone(),
        ));
    }
    variables
}

fn text(variables: &[(String, String)]) -> String {
    let lines = variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", quoted(value)));
    lines.collect()
}

/// A value as a shell reads it back.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
