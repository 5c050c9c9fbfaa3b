//! `costs_as_of`: what `costs` would have said at an instant, from the deliveries that were the newest ones then.
//!
//! The plan is that of `costs` over another set of snapshots, so that account filter, pruning and authority are the same. A
//! month whose delivery of that time is gone is part of the table: a statement that reads it fails, one that leaves it out by
//! a condition on `x_billing_period` does not.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::logical_expr::LogicalPlan;

use super::owners::AccountNames;
use super::{Lost, in_costs, plan_of};
use crate::catalog::{CatalogState, Export, KnownDelivery, Lease};
use crate::error::Result;
use crate::id::{BillingPeriod, ExportId};
use crate::scope::AccountScope;
use crate::snapshot::Snapshot;
use crate::table::Files;

/// The name of the table function.
pub const COSTS_AS_OF: &str = "costs_as_of";

/// The newest delivery of each export and month that AWS had made at an instant.
pub(crate) fn deliveries_at(
    lease: &CatalogState,
    instant: DateTime<Utc>,
) -> Vec<(ExportId, BillingPeriod, KnownDelivery)> {
    let exports = lease.document.exports.values().filter(|export| in_costs(export));
    let months = exports.flat_map(|Export { id: export, .. }| {
        let periods = lease.delivered_periods(export).into_iter();
        periods.map(move |period| (export, period))
    });
    months
        .filter_map(|(export, period)| {
            let mut known = lease.deliveries(export, period).into_iter();
            let newest = known.rfind(|known| is_by(known, instant))?;
            Some((export.clone(), period, newest))
        })
        .collect()
}

/// Whether a delivery was made by then. Tables show milliseconds, and what they show is an instant to ask for.
pub(crate) fn is_by(delivery: &KnownDelivery, instant: DateTime<Utc>) -> bool {
    delivery.delivered_at.timestamp_millis() <= instant.timestamp_millis()
}

/// The plan of `costs` over these snapshots, of which those in `lost` cannot be read.
pub(crate) fn plan(
    lease: &Lease,
    snapshots: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Snapshot>>>,
    lost: &Lost,
    scope: &AccountScope,
    files: (&Files, &AccountNames),
) -> Result<LogicalPlan> {
    let then = Arc::new(CatalogState {
        document: lease.document.clone(),
        snapshots,
        derived: lease.derived.clone(),
    });
    plan_of(&then, scope, files, lost)
}
