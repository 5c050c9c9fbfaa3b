//! Connecting the sample organisation, by the procedures that a user calls.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use datafusion::scalar::ScalarValue;
use farthing_engine::id::ExportId;
use farthing_engine::{Error, ErrorKind, Result};

use super::record::{BUCKET, DemoAccount, EXPORT, PREFIX, Record};
use crate::cli::client::{Client, text_columns};
use crate::cli::output::Output;
use crate::wiring::Node;

/// Linked accounts that are left for the user to connect.
pub const LEFT_OUT: usize = 3;

/// The longest wait for the first import.
const IMPORT_WAIT: Duration = Duration::from_secs(300);

/// Which accounts of the organisation are connected.
pub struct Connected {
    /// Account ids, the payer first.
    pub connected: Vec<String>,
    /// Account ids.
    pub unconnected: Vec<String>,
}

impl Connected {
    /// As the catalog has it now.
    pub fn read(node: &Node, record: &Record) -> Self {
        let lease = node.catalog().lease();
        let known: BTreeSet<&str> = lease.document.accounts.keys().map(|id| id.as_str()).collect();
        let ids = record.accounts().map(|account| account.id.clone());
        let (connected, unconnected) = ids.partition(|id| known.contains(id.as_str()));
        Self { connected, unconnected }
    }
}

/// Connects the payer with its export, and all but the last linked accounts; returns when the export is imported.
pub async fn all(node: &Node, record: &Record, output: &mut Output) -> Result<()> {
    output.note("connecting the payer and its export");
    let client = Client::local(node.frontend());
    let sql = format!(
        "CALL connect_aws_root(access_key_id => $1, secret_access_key => $2, bucket => '{BUCKET}', prefix => '{PREFIX}', \
         export_name => '{EXPORT}')"
    );
    call(&client, &sql, &record.payer).await?;
    let linked = &record.linked[..record.linked.len().saturating_sub(LEFT_OUT)];
    output.note(format!("connecting {} linked accounts", linked.len()));
    for account in linked {
        let sql = "CALL connect_aws_linked(access_key_id => $1, secret_access_key => $2)";
        call(&client, sql, account).await?;
    }
    imported(node, record).await
}

async fn call(client: &Client, sql: &str, account: &DemoAccount) -> Result<()> {
    let values = [&account.access_key_id, &account.secret_access_key];
    let values = values.map(|text| ScalarValue::Utf8(Some(text.clone())));
    let rows = client
        .call(sql, values.to_vec(), |notice| tracing::debug!(notice.message))
        .await?;
    for [object, status, detail] in text_columns(&rows, ["object", "status", "detail"])? {
        if status == "failed" {
            return Err(Error::new(
                ErrorKind::AwsRefused,
                format!("account {} could not be connected: {object}: {detail}", account.id),
            ));
        }
    }
    Ok(())
}

/// Waits until every month of the sample is visible.
async fn imported(node: &Node, record: &Record) -> Result<()> {
    let export = ExportId::of_export_name(EXPORT)?;
    let began = Instant::now();
    loop {
        let months = node
            .catalog()
            .lease()
            .snapshots
            .get(&export)
            .map_or(0, |periods| periods.len());
        if months >= record.months as usize {
            return Ok(());
        }
        if began.elapsed() > IMPORT_WAIT {
            return Err(Error::new(
                ErrorKind::State,
                format!(
                    "{months} of {} months of the sample were imported in time",
                    record.months
                ),
            )
            .with_hint("Look into system.imports with `farthing query --data-dir ...` for the reason."));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
