//! `system.rollups`: what was made of snapshots so that statements read less.

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::rows::{Cell, batch, schema};
use super::{COUNT, SystemTable, SystemView, TEXT, sees_all};
use crate::error::Result;
use crate::snapshot::derived::{Role, Rollup};

/// The rollups of each month.
pub(super) struct Rollups;

#[async_trait]
impl SystemTable for Rollups {
    fn name(&self) -> &str {
        "rollups"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("billing_period", TEXT),
            ("level", TEXT),
            ("rows", COUNT),
            ("bytes", COUNT),
            ("dimensions", COUNT),
            ("sums", COUNT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let full = sees_all(view);
        let made = view.lease.derived.values().flat_map(|periods| periods.values());
        let made = made.flat_map(|derived| derived.rollups.iter().map(move |rollup| (derived, rollup)));
        let rows = made.map(|(derived, rollup)| {
            let sums = columns(rollup, |role| matches!(role, Role::Sum { .. }));
            let dimensions = columns(rollup, |role| !matches!(role, Role::Sum { .. } | Role::Rows));
            let owners = rollup.file.owners.iter().filter(|totals| view.scope.sees(totals.owner));
            vec![
                Cell::text(derived.export.as_str()),
                Cell::text(&derived.period.to_string()),
                Cell::text(rollup.level.as_str()),
                Cell::count(owners.map(|totals| totals.rows).sum()),
                Cell::Count(full.then_some(rollup.file.size)),
                Cell::Count(full.then_some(dimensions)),
                Cell::Count(full.then_some(sums)),
            ]
        });
        batch(self.schema(), rows)
    }
}

fn columns(rollup: &Rollup, is: impl Fn(&Role) -> bool) -> u64 {
    rollup.columns.iter().filter(|column| is(&column.role)).count() as u64
}
