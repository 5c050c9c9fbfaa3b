//! `system.months`: every month of each export from its first to its last, with those that are missing in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch};
use super::{COUNT, INSTANT, TEXT, schema, sees_all, visible_rows};
use crate::account::diagnose::months::{imported, missing_between};
use crate::error::Result;
use crate::history::History;
use crate::id::{BillingPeriod, ExportId};
use crate::ingest::{ImportRun, ImportState};
use crate::system::{SystemTable, SystemView};

/// The months, with what the import runs say of those that are delivered and not imported.
pub(super) struct Months(pub(super) Arc<History<ImportRun>>);

#[async_trait]
impl SystemTable for Months {
    fn name(&self) -> &str {
        "months"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("billing_period", TEXT),
            ("state", TEXT),
            ("rows", COUNT),
            ("delivered_at", INSTANT),
            ("message", TEXT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let runs = match sees_all(view) {
            true => self.newest(),
            false => BTreeMap::new(),
        };
        let mut rows = Vec::new();
        for export in view.lease.document.exports.keys() {
            let snapshots = view.lease.snapshots.get(export);
            let mut present: BTreeSet<BillingPeriod> = imported(&view.lease, export);
            let tried = runs.keys().filter(|(of, _)| of == export).map(|(_, period)| *period);
            present.extend(tried);
            let missing = missing_between(&present);
            for period in present.iter().chain(&missing) {
                let snapshot = snapshots.and_then(|snapshots| snapshots.get(period));
                let run = runs.get(&(export.clone(), *period));
                let state = match (snapshot, run) {
                    (Some(_), _) => "imported",
                    (None, Some(run)) => run.state.as_str(),
                    (None, None) => "missing",
                };
                rows.push(vec![
                    Cell::text(export.as_str()),
                    Cell::text(&period.to_string()),
                    Cell::text(state),
                    Cell::count(snapshot.map_or(0, |snapshot| visible_rows(snapshot, view))),
                    Cell::Instant(snapshot.map(|snapshot| snapshot.delivered_at)),
                    Cell::maybe_text(match (snapshot, run) {
                        (None, Some(run)) => run.message.clone(),
                        (None, None) => Some("AWS delivers it on request only: see diagnose_aws.".to_owned()),
                        (Some(_), _) => None,
                    }),
                ]);
            }
        }
        batch(self.schema(), rows.into_iter())
    }
}

impl Months {
    /// The newest run of each month that is not imported by it.
    fn newest(&self) -> BTreeMap<(ExportId, BillingPeriod), Arc<ImportRun>> {
        let runs = self.0.entries().into_iter();
        // Later runs replace earlier ones.
        let newest: BTreeMap<_, _> = runs
            .filter(|(_, run)| !run.past)
            .filter_map(|(_, run)| Some(((run.export.clone(), run.period?), run)))
            .collect();
        let open = |run: &Arc<ImportRun>| !matches!(run.state, ImportState::Published | ImportState::Unchanged);
        newest.into_iter().filter(|(_, run)| open(run)).collect()
    }
}
