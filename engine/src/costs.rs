//! `costs`: all connected billing data in FOCUS vocabulary, each cost once.
//!
//! The table is a logical plan and no operator of its own: a union over the exports of projections over their snapshot
//! tables, so that the account filter, pruning and projection reach the files as if the statement had named them.
//!
//! *Authority.* For each payer and billing period exactly one export counts. Two exports hold the same costs when a payer
//! connects a second export, or when a member account that is connected too exports its own part: its rows carry the same
//! payer. Of the exports whose snapshot of the period has rows of the payer, the payer's own export wins (a member's holds
//! only the member's part), then the one that a cut-over names for the month ([`crate::catalog::authority`]), then the one
//! that was connected first, then the one with the smaller id. Rows without a payer count as the payer's whose account
//! connected the export. A month that the named export has not delivered stays with the others: a cost is never counted
//! twice, and none vanishes.

pub mod as_of;
pub mod calendar;
pub mod changes;
pub mod commitments;
pub mod compare;
pub mod mapping;
pub(crate) mod owners;
pub mod reconcile;
pub mod tag;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, col, lit};

use crate::catalog::{CatalogState, Export, Lease};
use crate::error::Result;
use crate::execute::datafusion_error;
use crate::id::{AccountId, BillingPeriod, ExportId};
use crate::money::{PRECISION, SCALE};
use crate::scope::AccountScope;
use crate::snapshot::{ColumnType, Snapshot, SnapshotColumn};
use crate::table::{Audience, BILLING_PERIOD, Files, SnapshotTable};
use owners::AccountNames;

/// The name of the table in the schema `public`.
pub const COSTS: &str = "costs";

/// Payers of an export's snapshot that another export is authoritative for; `None` stands for rows without a payer.
pub(crate) type Excluded = BTreeMap<ExportId, ExcludedPayers>;

/// Those of one export, by month.
type ExcludedPayers = BTreeMap<BillingPeriod, BTreeSet<Option<AccountId>>>;

/// Months of exports whose snapshot is known and cannot be read any more.
pub(crate) type Lost = BTreeMap<ExportId, BTreeSet<BillingPeriod>>;

/// The plan of `costs` in one catalog version and scope. `names` are those of the scope's accounts, for rows without one.
pub(crate) fn plan(lease: &Lease, scope: &AccountScope, files: &Files, names: &AccountNames) -> Result<LogicalPlan> {
    plan_of(lease, scope, (files, names), &Lost::new())
}

/// The same where some snapshots are lost: reading a row that one of them had is an error.
fn plan_of(
    lease: &Lease,
    scope: &AccountScope,
    (files, names): (&Files, &AccountNames),
    lost: &Lost,
) -> Result<LogicalPlan> {
    let excluded = excluded(lease);
    let mut union: Option<LogicalPlanBuilder> = None;
    for export in lease.document.exports.values().filter(|export| in_costs(export)) {
        let none = BTreeMap::new();
        let excluded = excluded.get(&export.id).unwrap_or(&none);
        let lost = lost.get(&export.id);
        for part in parts(lease, export, (excluded, lost), scope, (files, names))? {
            union = Some(match union {
                None => LogicalPlanBuilder::new(part),
                Some(union) => union.union(part).map_err(datafusion_error)?,
            });
        }
    }
    match union {
        Some(union) => union.build().map_err(datafusion_error),
        None => {
            let schema = DFSchema::try_from(mapping::schema()).map_err(datafusion_error)?;
            Ok(LogicalPlan::EmptyRelation(EmptyRelation {
                produce_one_row: false,
                schema: Arc::new(schema),
            }))
        }
    }
}

/// Snapshots whose rows become rows of `costs` by the same expressions.
#[derive(Default)]
struct Part {
    snapshots: Vec<Arc<Snapshot>>,
    filters: Vec<Expr>,
    missed: BTreeSet<BillingPeriod>,
}

/// What sets snapshots apart, so that what a month's rows are in `costs` depends on no other month: those that store
/// columns of `costs`, those of CSV, whose decimals are read as such only where no month of doubles is in the same table, and
/// which of the maps they have, since columns stand for those that they lack.
type Shape = (bool, bool, [bool; 4]);

fn shape_of(snapshot: &Snapshot) -> Shape {
    let exact = |column: &SnapshotColumn| column.r#type == ColumnType::Decimal;
    let has = |name: &str| snapshot.columns.iter().any(|column| column.name == name);
    (
        snapshot.clustered.is_some(),
        snapshot.columns.iter().any(exact),
        ["product", "resource_tags", "cost_category", "discount"].map(has),
    )
}

/// The parts of one export; none if it is authoritative for nothing.
fn parts(
    lease: &Lease,
    export: &Export,
    (excluded, lost): (&ExcludedPayers, Option<&BTreeSet<BillingPeriod>>),
    scope: &AccountScope,
    (files, names): (&Files, &AccountNames),
) -> Result<Vec<LogicalPlan>> {
    let mut parts: BTreeMap<Shape, Part> = BTreeMap::new();
    let is_lost = |snapshot: &Snapshot| lost.is_some_and(|lost| lost.contains(&snapshot.period));
    for snapshot in lease.snapshots.get(&export.id).into_iter().flat_map(BTreeMap::values) {
        let snapshot = &lease.readable(snapshot);
        let theirs = excluded.get(&snapshot.period);
        // Where no row of a lost one would be seen, nothing is missed.
        if is_lost(snapshot) && !would_be_seen(snapshot, theirs, scope) {
            continue;
        }
        let part = parts.entry(shape_of(snapshot)).or_default();
        if is_lost(snapshot) {
            part.missed.insert(snapshot.period);
        }
        match theirs {
            None => part.snapshots.push(Arc::clone(snapshot)),
            Some(payers) if *payers == payers_of(snapshot) => {}
            Some(payers) => {
                part.snapshots.push(Arc::clone(snapshot));
                part.filters.push(without(export, snapshot.period, payers));
            }
        }
    }
    let mut plans = Vec::with_capacity(parts.len());
    for part in parts.into_values().filter(|part| !part.snapshots.is_empty()) {
        let table = SnapshotTable::try_new(
            Arc::clone(lease),
            export.clone(),
            part.snapshots,
            scope.clone(),
            files.clone(),
            Audience::Costs,
        )?;
        let table = table.without(part.missed);
        plans.push(project(export, table, part.filters, names).map_err(datafusion_error)?);
    }
    Ok(plans)
}

fn project(
    export: &Export,
    table: SnapshotTable,
    filters: Vec<Expr>,
    names: &AccountNames,
) -> DataFusionResult<LogicalPlan> {
    let name = TableReference::partial("exports", export.id.as_str());
    let stored = table.stored().clone();
    let mut scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?;
    for filter in filters {
        scan = scan.filter(filter)?;
    }
    let columns = mapping::expressions(scan.schema(), export, &stored, names)?;
    scan.project(columns)?.build()
}

/// Whether the export's rows are costs.
pub(crate) fn in_costs(export: &Export) -> bool {
    export.kind.format().in_costs
}

/// Rows of the period whose payer is another export's matter are left out.
fn without(export: &Export, period: BillingPeriod, payers: &BTreeSet<Option<AccountId>>) -> Expr {
    let payer = || match export.kind.format().accounts.payer {
        Some(payer) => Expr::Column(Column::from_name(payer)),
        None => text(""),
    };
    let mut theirs = lit(false);
    for account in payers {
        theirs = theirs.or(match account {
            Some(account) => payer().eq(text(account.as_str())),
            None => payer().is_null().or(payer().eq(text(""))),
        });
    }
    col(BILLING_PERIOD)
        .not_eq(lit(period.to_string()))
        .or(theirs.is_not_true())
}

/// Whether any row of the snapshot is in the scope and counts.
fn would_be_seen(snapshot: &Snapshot, excluded: Option<&BTreeSet<Option<AccountId>>>, scope: &AccountScope) -> bool {
    let mut owners = snapshot.files.iter().flat_map(|file| &file.owners);
    owners.any(|totals| {
        let counts = excluded.is_none_or(|theirs| !theirs.contains(&totals.owner.payer));
        totals.rows > 0 && counts && scope.sees(totals.owner)
    })
}

/// A literal of the type that text columns have, so that no comparison casts a column.
fn text(text: &str) -> Expr {
    lit(ScalarValue::Utf8View(Some(text.to_owned())))
}

/// No amount of money, of the type that amounts have.
fn zero() -> Expr {
    lit(ScalarValue::Decimal128(Some(0), PRECISION, SCALE))
}

fn payers_of(snapshot: &Snapshot) -> BTreeSet<Option<AccountId>> {
    let owners = snapshot.files.iter().flat_map(|file| &file.owners);
    owners
        .filter(|owner| owner.rows > 0)
        .map(|owner| owner.owner.payer)
        .collect()
}

/// Whether any row of the snapshot counts, given what [`excluded`] says.
pub(crate) fn counts(excluded: &Excluded, snapshot: &Snapshot) -> bool {
    let theirs = excluded
        .get(&snapshot.export)
        .and_then(|periods| periods.get(&snapshot.period));
    theirs.is_none_or(|theirs| *theirs != payers_of(snapshot))
}

/// What each export leaves to others.
pub(crate) fn excluded(lease: &CatalogState) -> Excluded {
    // Who could be authoritative, and as what the payer appears in its rows.
    type Candidates<'a> = Vec<(&'a Export, Option<AccountId>)>;
    let mut candidates: BTreeMap<(AccountId, BillingPeriod), Candidates<'_>> = BTreeMap::new();
    let mut excluded = Excluded::new();
    for (id, periods) in &lease.snapshots {
        let Some(export) = lease.document.exports.get(id) else {
            continue;
        };
        if !in_costs(export) {
            // Nothing of it counts.
            let all = periods.values().map(|snapshot| (snapshot.period, payers_of(snapshot)));
            excluded.insert(id.clone(), all.collect());
            continue;
        }
        for snapshot in periods.values() {
            for payer in payers_of(snapshot) {
                let key = (payer.unwrap_or(export.account), snapshot.period);
                candidates.entry(key).or_default().push((export, payer));
            }
        }
    }
    for ((payer, period), exports) in candidates {
        let named = |export: &Export| {
            let authority = lease.document.authority.get(&export.account);
            authority.and_then(|authority| authority.holder(period)) == Some(&export.id)
        };
        let rank = |export: &Export| {
            (
                export.account != payer,
                !named(export),
                export.connected_at,
                export.id.clone(),
            )
        };
        let Some(winner) = exports
            .iter()
            .map(|(export, _)| *export)
            .min_by_key(|export| rank(export))
        else {
            continue;
        };
        for (export, owner) in exports {
            if export.id != winner.id {
                let periods = excluded.entry(export.id.clone()).or_default();
                periods.entry(period).or_default().insert(owner);
            }
        }
    }
    excluded
}

/// What a relation of the schema `public` is, for catalogs.
pub fn about(table: &str) -> Option<&'static str> {
    match table {
        COSTS => Some("All connected billing data in FOCUS vocabulary, each cost once"),
        calendar::COSTS_DAILY => Some("costs summed by day (UTC), account, service and what reports group by"),
        calendar::COSTS_MONTHLY => Some("costs summed by month (UTC), account, service and what reports group by"),
        _ => None,
    }
}

/// What a column of such a relation holds, for catalogs.
pub fn about_column(table: &str, column: &str) -> Option<&'static str> {
    match table {
        COSTS => columns()
            .find(|known| known.name == column)
            .map(|known| known.description),
        calendar::COSTS_DAILY | calendar::COSTS_MONTHLY => calendar::description(table, column),
        _ => None,
    }
}

/// The columns of `costs` with their descriptions, for catalogs and documentation.
pub fn columns() -> impl Iterator<Item = &'static mapping::CostColumn> {
    mapping::COLUMNS.iter()
}

#[cfg(test)]
mod tests;
