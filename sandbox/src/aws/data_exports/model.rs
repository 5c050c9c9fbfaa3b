//! The shapes of AWS Data Exports (model bcm-data-exports 2023-11-26), and the exports that accounts have.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::table::Properties;
use crate::aws::delivery_runs::{Run, Runs};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Export {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) export_arn: Option<String>,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) data_query: DataQuery,
    pub(crate) destination_configurations: DestinationConfigurations,
    pub(crate) refresh_cadence: RefreshCadence,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DataQuery {
    pub(crate) query_statement: String,
    #[serde(default)]
    pub(crate) table_configurations: BTreeMap<String, Properties>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DestinationConfigurations {
    pub(crate) s3_destination: S3Destination,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct S3Destination {
    pub(crate) s3_bucket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_bucket_owner: Option<String>,
    pub(crate) s3_prefix: String,
    pub(crate) s3_region: String,
    pub(crate) s3_output_configurations: OutputConfigurations,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OutputConfigurations {
    pub(crate) output_type: String,
    pub(crate) format: String,
    pub(crate) compression: String,
    pub(crate) overwrite: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RefreshCadence {
    pub(crate) frequency: String,
}

impl Export {
    pub(crate) fn destination(&self) -> &S3Destination {
        &self.destination_configurations.s3_destination
    }

    /// Where its folders are.
    pub(crate) fn key_prefix(&self) -> String {
        format!("{}/{}", self.destination().s3_prefix, self.name)
    }
}

/// An export that an account has.
#[derive(Clone, Debug)]
pub(crate) struct KeptExport {
    pub(crate) arn: String,
    /// The table that it selects from.
    pub(crate) table: &'static str,
    pub(crate) export: Export,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) runs: Runs,
}

impl KeptExport {
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "StatusCode": "HEALTHY",
            "CreatedAt": stamp(self.created),
            "LastUpdatedAt": stamp(self.updated),
        });
        if let Some(Err(_)) = self.runs.last_outcome() {
            status["StatusCode"] = "UNHEALTHY".into();
            status["StatusReason"] = "INSUFFICIENT_PERMISSION".into();
        }
        if let Some(refreshed) = self.runs.last_success() {
            status["LastRefreshedAt"] = stamp(refreshed).into();
        }
        status
    }
}

/// `ExecutionStatus` of a run.
pub(crate) fn execution_status(run: &Run, now: DateTime<Utc>) -> Value {
    let (code, since) = run.status(now);
    let mut status = json!({
        "StatusCode": code,
        "CreatedAt": stamp(run.started),
        "LastUpdatedAt": stamp(since),
    });
    match run.outcome {
        Some(Ok(())) => status["CompletedAt"] = stamp(since).into(),
        Some(Err(_)) => status["StatusReason"] = "INSUFFICIENT_PERMISSION".into(),
        None => {}
    }
    status
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The exports of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// By account, then by name.
    kept: Mutex<BTreeMap<String, BTreeMap<String, KeptExport>>>,
}

impl Exports {
    /// Runs `act` over the exports of an account, by name.
    pub(crate) fn of<R>(&self, account: &str, act: impl FnOnce(&mut BTreeMap<String, KeptExport>) -> R) -> R {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        act(kept.entry(account.to_owned()).or_default())
    }
}
