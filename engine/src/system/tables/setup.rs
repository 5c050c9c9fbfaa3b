//! What set-up found in AWS: `system.export_candidates` and `system.permission_checks`. For operators of all accounts alone:
//! they name buckets, users and rights.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch};
use super::{FLAG, INSTANT, TEXT, schema, sees_all};
use crate::account::detect::{Candidate, Detection};
use crate::account::{PermissionCheck, PermissionChecks};
use crate::error::Result;
use crate::history::History;
use crate::id::AccountId;
use crate::system::{SystemTable, SystemView};

/// The newest entry of each account.
fn newest<T>(entries: Vec<(String, Arc<T>)>, account: impl Fn(&T) -> AccountId) -> BTreeMap<AccountId, Arc<T>> {
    // Later entries replace earlier ones.
    entries.into_iter().map(|(_, entry)| (account(&entry), entry)).collect()
}

/// `system.export_candidates`: the exports that each account had in AWS when it was last looked at, with the verdict.
pub(super) struct ExportCandidates(pub(super) Arc<History<Detection>>);

#[async_trait]
impl SystemTable for ExportCandidates {
    fn name(&self) -> &str {
        "export_candidates"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("account_id", TEXT),
            ("export_name", TEXT),
            ("verdict", TEXT),
            ("reason", TEXT),
            ("location", TEXT),
            ("service", TEXT),
            ("table_name", TEXT),
            ("format", TEXT),
            ("overwrite", TEXT),
            ("granularity", TEXT),
            ("includes_resource_ids", FLAG),
            ("status", TEXT),
            ("status_reason", TEXT),
            ("last_delivery_at", INSTANT),
            ("connected", FLAG),
            ("export_arn", TEXT),
            ("detected_at", INSTANT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let detections = match sees_all(view) {
            true => newest(self.0.entries(), |detection| detection.account),
            false => BTreeMap::new(),
        };
        let connected: Vec<String> = view.lease.document.exports.values().map(|e| e.location.uri()).collect();
        let rows = detections.values().flat_map(|detection| {
            let connected = &connected;
            detection
                .candidates
                .iter()
                .map(move |candidate| candidate_row(detection, candidate, connected))
        });
        batch(self.schema(), rows)
    }
}

fn candidate_row(detection: &Detection, candidate: &Candidate, connected: &[String]) -> Vec<Cell> {
    let (definition, health) = (&candidate.export.definition, &candidate.export.health);
    let location = candidate.location();
    let setting = |key: &str| candidate.setting(key).map(str::to_owned);
    vec![
        Cell::text(detection.account.as_str()),
        Cell::text(&definition.name),
        Cell::text(candidate.verdict.as_str()),
        Cell::text(&candidate.reason),
        Cell::text(&location),
        Cell::text(definition.service.as_str()),
        Cell::maybe_text(candidate.table().map(str::to_owned)),
        Cell::text(&definition.destination.format),
        Cell::text(&definition.destination.overwrite),
        Cell::maybe_text(setting("TIME_GRANULARITY")),
        Cell::Flag(setting("INCLUDE_RESOURCES").map(|value| value == "TRUE")),
        Cell::maybe_text(health.status.clone()),
        Cell::maybe_text(health.reason.clone()),
        Cell::Instant(health.last_delivery),
        Cell::Flag(Some(connected.contains(&location))),
        Cell::text(&candidate.export.arn),
        Cell::instant(detection.detected_at),
    ]
}

/// `system.permission_checks`: what `check_aws_access` found at its last run for each account.
pub(super) struct PermissionChecksTable(pub(super) Arc<History<PermissionChecks>>);

#[async_trait]
impl SystemTable for PermissionChecksTable {
    fn name(&self) -> &str {
        "permission_checks"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("account_id", TEXT),
            ("needed_for", TEXT),
            ("action", TEXT),
            ("resource", TEXT),
            ("outcome", TEXT),
            ("simulated", FLAG),
            ("message", TEXT),
            ("remedy", TEXT),
            ("checked_at", INSTANT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let found = match sees_all(view) {
            true => newest(self.0.entries(), |checks| checks.account),
            false => BTreeMap::new(),
        };
        let rows = found
            .values()
            .flat_map(|found| found.checks.iter().map(move |check| check_row(found, check)));
        batch(self.schema(), rows)
    }
}

fn check_row(found: &PermissionChecks, check: &PermissionCheck) -> Vec<Cell> {
    vec![
        Cell::text(found.account.as_str()),
        Cell::text(&check.needed_for),
        Cell::text(&check.action),
        Cell::text(&check.resource),
        Cell::text(check.outcome.as_str()),
        Cell::Flag(Some(check.simulated)),
        Cell::maybe_text(check.message.clone()),
        Cell::maybe_text(check.remedy.clone()),
        Cell::instant(found.checked_at),
    ]
}
