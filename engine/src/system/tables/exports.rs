//! `system.exports`: the connected exports, how far their data reaches, and who is late: AWS or Farthing.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch, schema};
use super::{COUNT, INSTANT, TEXT, operates, sees_all, visible_rows};
use crate::account::detect::Detection;
use crate::catalog::Export;
use crate::error::Result;
use crate::history::History;
use crate::id::ExportId;
use crate::ingest::{ImportRun, ImportState};
use crate::snapshot::Snapshot;
use crate::system::{SystemTable, SystemView};

/// The exports, with what their imports and the last look at AWS say.
pub(super) struct Exports {
    pub(super) imports: Arc<History<ImportRun>>,
    pub(super) detections: Arc<History<Detection>>,
}

#[async_trait]
impl SystemTable for Exports {
    fn name(&self) -> &str {
        "exports"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("export_name", TEXT),
            ("account_id", TEXT),
            ("kind", TEXT),
            ("location", TEXT),
            ("state", TEXT),
            ("waiting_since", INSTANT),
            ("periods", COUNT),
            ("first_period", TEXT),
            ("last_period", TEXT),
            ("rows", COUNT),
            ("last_delivery_at", INSTANT),
            ("data_through", INSTANT),
            ("aws_lag_seconds", COUNT),
            ("own_lag_seconds", COUNT),
            ("last_import_state", TEXT),
            ("aws_status", TEXT),
            ("connected_at", INSTANT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let exports = view.lease.document.exports.values();
        batch(self.schema(), exports.map(|export| self.row(export, view)))
    }
}

impl Exports {
    fn row(&self, export: &Export, view: &SystemView) -> Vec<Cell> {
        let snapshots: Vec<&Arc<Snapshot>> = view
            .lease
            .snapshots
            .get(&export.id)
            .into_iter()
            .flat_map(|periods| periods.values())
            .collect();
        let month = |snapshot: Option<&&Arc<Snapshot>>| Cell::maybe_text(snapshot.map(|s| s.period.to_string()));
        let full = sees_all(view);
        let waiting = snapshots.is_empty();
        // How far the data reaches is said by its newest row, whoever it belongs to.
        let through = snapshots.iter().filter_map(|s| s.data_through).max().filter(|_| full);
        let newest = self.newest_run(&export.id).filter(|_| full);
        vec![
            Cell::text(export.id.as_str()),
            Cell::text(&export.location.export_name),
            Cell::maybe_text(
                Some(export.account)
                    .filter(|account| full || view.scope.accounts().contains(account))
                    .map(|account| account.to_string()),
            ),
            Cell::text(export.kind.as_str()),
            Cell::maybe_text(operates(view).then(|| export.location.uri())),
            Cell::text(if waiting { "waiting_first_delivery" } else { "delivered" }),
            Cell::Instant(waiting.then_some(export.connected_at)),
            Cell::count(snapshots.len() as u64),
            month(snapshots.first()),
            month(snapshots.last()),
            Cell::count(snapshots.iter().map(|s| visible_rows(s, view)).sum()),
            Cell::Instant(snapshots.iter().map(|s| s.delivered_at).max()),
            Cell::Instant(through),
            Cell::Count(through.map(|through| seconds(view.now - through))),
            Cell::Count((full && !waiting).then(|| seconds(self.behind(&export.id, &snapshots, view.now)))),
            Cell::maybe_text(newest.map(|run| run.state.as_str().to_owned())),
            Cell::maybe_text(self.aws_status(export).filter(|_| full)),
            Cell::instant(export.connected_at),
        ]
    }

    fn newest_run(&self, export: &ExportId) -> Option<Arc<ImportRun>> {
        let newest = self.imports.newest(|run| run.export == *export && !run.past);
        newest.map(|(_, run)| run)
    }

    /// For how long the oldest delivery that was seen has not been imported.
    fn behind(&self, export: &ExportId, snapshots: &[&Arc<Snapshot>], now: DateTime<Utc>) -> TimeDelta {
        let published = |run: &ImportRun| {
            let mut of_period = snapshots.iter().filter(|snapshot| Some(snapshot.period) == run.period);
            of_period.any(|snapshot| Some(snapshot.delivered_at) >= run.delivered_at)
        };
        let runs = self.imports.entries().into_iter().map(|(_, run)| run);
        let open = runs.filter(|run| {
            let ended = matches!(run.state, ImportState::Published | ImportState::Unchanged);
            run.export == *export && !run.past && !ended && !published(run)
        });
        let seen = open.filter_map(|run| run.delivered_at).min();
        seen.map_or(TimeDelta::zero(), |seen| now - seen)
    }

    /// What AWS said of its last execution when the account was last looked at.
    fn aws_status(&self, export: &Export) -> Option<String> {
        let (_, detection) = self
            .detections
            .newest(|detection| detection.account == export.account)?;
        let mut candidates = detection.candidates.iter();
        let found = candidates.find(|candidate| candidate.location() == export.location.uri())?;
        let health = &found.export.health;
        let status = health.status.clone()?;
        Some(match &health.reason {
            Some(reason) => format!("{status}: {reason}"),
            None => status,
        })
    }
}

fn seconds(time: TimeDelta) -> u64 {
    u64::try_from(time.num_seconds()).unwrap_or(0)
}
