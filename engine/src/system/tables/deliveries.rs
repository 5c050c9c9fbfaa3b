//! `system.deliveries`: every known delivery of each month, the published one and those before it.

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt, stream};

use super::rows::{Cell, batch, schema};
use super::{COUNT, FLAG, INSTANT, TEXT, visible_rows};
use crate::catalog::KnownDelivery;
use crate::error::Result;
use crate::history::made_at;
use crate::id::{BillingPeriod, ExportId};
use crate::system::{SystemTable, SystemView};

/// Documents read at the same time.
const READS: usize = 16;

/// The deliveries. Rows are counted as in `system.snapshots`: of visible accounts alone, for those who do not see all.
pub(super) struct Deliveries;

#[async_trait]
impl SystemTable for Deliveries {
    fn name(&self) -> &str {
        "deliveries"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("billing_period", TEXT),
            ("snapshot_id", TEXT),
            ("execution_id", TEXT),
            ("delivered_at", INSTANT),
            ("imported_at", INSTANT),
            ("rows", COUNT),
            ("readable", FLAG),
            ("current", FLAG),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let mut known = Vec::new();
        for export in view.lease.document.exports.keys() {
            for period in view.lease.delivered_periods(export) {
                let of_period = view.lease.deliveries(export, period).into_iter();
                known.extend(of_period.map(|delivery| (export.clone(), period, delivery)));
            }
        }
        let rows: Vec<Vec<Cell>> = stream::iter(known)
            .map(|(export, period, delivery)| async move { row(view, &export, period, delivery).await })
            .buffered(READS)
            .try_collect()
            .await?;
        batch(self.schema(), rows.into_iter())
    }
}

async fn row(
    view: &SystemView,
    export: &ExportId,
    period: BillingPeriod,
    delivery: KnownDelivery,
) -> Result<Vec<Cell>> {
    let snapshot = match delivery.current {
        true => view
            .lease
            .snapshots
            .get(export)
            .and_then(|periods| periods.get(&period))
            .cloned(),
        false => Some(view.archive.snapshot(export, period, &delivery.snapshot).await?),
    };
    Ok(vec![
        Cell::text(export.as_str()),
        Cell::text(&period.to_string()),
        Cell::text(delivery.snapshot.as_str()),
        Cell::maybe_text(delivery.execution_id),
        Cell::instant(delivery.delivered_at),
        Cell::Instant(made_at(delivery.snapshot.as_str())),
        Cell::Count(snapshot.map(|snapshot| visible_rows(&snapshot, view))),
        Cell::Flag(Some(delivery.readable)),
        Cell::Flag(Some(delivery.current)),
    ])
}
