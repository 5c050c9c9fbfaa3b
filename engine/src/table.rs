//! One export as a DataFusion table: the snapshots of its periods, pruned from period to file to row group to page.
//!
//! A scan reads pinned files only, and every leaf it makes lies under a [`crate::scope::exec::ScopeExec`]. Files whose rows are
//! all visible and files that also hold hidden rows go to separate leaves: statistics are exact for the former alone.

mod prune;
mod reader;
mod scan;
mod schema;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::cache::disk::RangeCache;
use crate::cache::result::Read;
use crate::catalog::{Export, Lease};
use crate::error::Result;
use crate::format::AccountColumns;
use crate::id::BillingPeriod;
use crate::scope::AccountScope;
use crate::snapshot::Snapshot;
use crate::store::ExportStores;
pub use reader::FooterCache;
pub(crate) use scan::EXPORT_SCHEME;
pub(crate) use schema::{arrow_type, text_map};

/// The column that every export table has besides the delivered ones: the month as text, `YYYY-MM`.
pub const BILLING_PERIOD: &str = "billing_period";
/// The column that only `costs` sees: whether the snapshot has net costs (reference, section 5.3).
pub(crate) const HAS_NET_COSTS: &str = "farthing_has_net_costs";

/// What tables need to read files: the stores of the exports and the cache of footers.
#[derive(Debug, Clone)]
pub struct Files {
    /// Opens exports.
    pub stores: Arc<ExportStores>,
    /// Footers that were read before.
    pub footers: FooterCache,
    /// Ranges of buckets that were read before, if they are kept.
    pub ranges: Option<RangeCache>,
}

/// Whether the internal columns are part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A statement: `exports.<id>`.
    Statement,
    /// The mapping of `costs`.
    Costs,
}

/// Whether the scan is one of the rows that `costs` is made of, and not one that a statement named.
pub(crate) fn is_costs_scan(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| {
        let table = provider.downcast_ref::<SnapshotTable>();
        table.is_some_and(|table| table.columns.visible.field_with_name(HAS_NET_COSTS).is_ok())
    })
}

/// The snapshots of one export in one catalog version, seen through one account scope.
pub struct SnapshotTable {
    lease: Lease,
    export: Export,
    snapshots: Vec<Arc<Snapshot>>,
    scope: AccountScope,
    files: Files,
    columns: schema::Columns,
    /// Months whose snapshot cannot be read any more.
    lost: BTreeSet<BillingPeriod>,
}

impl SnapshotTable {
    /// The table of an export with the given snapshots of it. Error: `BrokenDelivery` if a column changed its type
    /// between periods in a way that is no widening.
    pub(crate) fn try_new(
        lease: Lease,
        export: Export,
        snapshots: Vec<Arc<Snapshot>>,
        scope: AccountScope,
        files: Files,
        audience: Audience,
    ) -> Result<Self> {
        let columns = schema::Columns::try_new(&export, &snapshots, audience)?;
        Ok(Self {
            lease,
            export,
            snapshots,
            scope,
            files,
            columns,
            lost: BTreeSet::new(),
        })
    }

    /// The columns that say whose its rows are.
    pub(crate) fn accounts(&self) -> AccountColumns {
        self.export.kind.format().accounts
    }

    /// The table where the snapshots of these months are known and cannot be read: a scan that reaches one of them fails.
    pub(crate) fn without(self, lost: BTreeSet<BillingPeriod>) -> Self {
        Self { lost, ..self }
    }

    /// Whether the snapshot is the published one of its month.
    fn is_current(&self, snapshot: &Snapshot) -> bool {
        let periods = self.lease.document.snapshots.get(&snapshot.export);
        periods.and_then(|periods| periods.get(&snapshot.period)) == Some(&snapshot.id)
    }

    /// What is read, for keys of results.
    pub(crate) fn read(&self) -> Read {
        let snapshots = self.snapshots.iter();
        Read {
            export: self.export.clone(),
            opened_by: self.lease.document.accounts.get(&self.export.account).cloned(),
            snapshots: snapshots
                .map(|snapshot| (snapshot.period, snapshot.id.clone()))
                .collect(),
            lost: self.lost.iter().copied().collect(),
        }
    }

    /// The scope that its rows are seen through.
    pub fn scope(&self) -> &AccountScope {
        &self.scope
    }
}

impl fmt::Debug for SnapshotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotTable")
            .field("export", &self.export.id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.visible)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match prune::use_of(filter, self) {
                prune::Use::Scope | prune::Use::Period => TableProviderFilterPushDown::Exact,
                prune::Use::Statistics(_) => TableProviderFilterPushDown::Inexact,
                prune::Use::Nothing => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        scan::plan(self, state, projection, filters, limit).await
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
