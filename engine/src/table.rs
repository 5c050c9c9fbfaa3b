//! One export as a DataFusion table: the snapshots of its periods, pruned from period to file to row group to page.
//!
//! A scan reads pinned files only, and every leaf it makes lies under a [`crate::scope::exec::ScopeExec`]. Files whose rows are
//! all visible and files that also hold hidden rows go to separate leaves: statistics are exact for the former alone.

pub(crate) mod columns;
mod prune;
mod reader;
mod scan;
mod schema;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
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
use crate::costs::mapping;
use crate::error::Result;
use crate::format::AccountColumns;
use crate::id::BillingPeriod;
use crate::scope::AccountScope;
use crate::snapshot::clustered::{Clustered, MapKeys};
use crate::snapshot::derived::{Level, Role, Rollup};
use crate::snapshot::{Form, Snapshot, SnapshotColumn};
use crate::store::ExportStores;
pub use columns::ColumnCache;
pub use reader::FooterCache;
pub(crate) use scan::EXPORT_SCHEME;
pub(crate) use schema::{arrow_type, text_map};
pub(crate) use stored::{KeyPlace, Stored};

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
    /// Columns of rollups that were read before.
    pub columns: ColumnCache,
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
#[derive(Clone)]
pub struct SnapshotTable {
    lease: Lease,
    export: Export,
    snapshots: Vec<Arc<Snapshot>>,
    scope: AccountScope,
    files: Files,
    columns: schema::Columns,
    stored: Stored,
    /// Months whose snapshot cannot be read any more.
    lost: BTreeSet<BillingPeriod>,
    /// Which rollup its rows are of, if they are no delivered ones.
    rollup: Option<Level>,
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
        let stored = Stored::of(&snapshots);
        let columns = schema::Columns::try_new(&export, &snapshots, &stored, audience)?;
        Ok(Self {
            lease,
            export,
            snapshots,
            scope,
            files,
            columns,
            stored,
            lost: BTreeSet::new(),
            rollup: None,
        })
    }

    /// The rollups of one level of some of this table's snapshots, with these of their columns, and the account columns.
    pub(crate) fn rolled_up(
        &self,
        rollups: &[(&Snapshot, &Rollup)],
        level: Level,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let accounts = self.accounts();
        let owner = |name: &str| accounts.names().any(|account| account == name);
        let snapshots = rollups.iter().map(|(base, rollup)| {
            let columns = rollup
                .columns
                .iter()
                .filter(|column| wanted(&column.name) || owner(&column.name));
            Arc::new(Snapshot {
                format_version: base.format_version,
                id: base.id.clone(),
                export: base.export.clone(),
                period: base.period,
                form: Form::Stored,
                manifest_key: base.manifest_key.clone(),
                manifest_e_tag: base.manifest_e_tag.clone(),
                delivered_at: base.delivered_at,
                execution_id: base.execution_id.clone(),
                columns: columns
                    .map(|column| SnapshotColumn {
                        name: column.name.clone(),
                        r#type: column.r#type,
                    })
                    .collect(),
                has_net_costs: base.has_net_costs,
                listed: base.listed,
                data_through: base.data_through,
                files: vec![rollup.file.clone()],
                clustered: Some(keys_of(base, rollup)),
            })
        });
        let table = Self::try_new(
            Arc::clone(&self.lease),
            self.export.clone(),
            snapshots.collect(),
            self.scope.clone(),
            self.files.clone(),
            Audience::Statement,
        )?;
        Ok(Self {
            rollup: Some(level),
            ..table
        })
    }

    /// The same table with those of its snapshots that are `kept`. Its columns stay as they are.
    pub(crate) fn with_snapshots(&self, kept: impl Fn(&Snapshot) -> bool) -> Self {
        let snapshots = self.snapshots.iter().filter(|snapshot| kept(snapshot));
        Self {
            snapshots: snapshots.cloned().collect(),
            ..self.clone()
        }
    }

    /// Its snapshots.
    pub(crate) fn snapshots(&self) -> &[Arc<Snapshot>] {
        &self.snapshots
    }

    /// The catalog version that it is of.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The export.
    pub(crate) fn export(&self) -> &Export {
        &self.export
    }

    /// Whether its rows are those of a rollup.
    pub(crate) fn is_rollup(&self) -> bool {
        self.rollup.is_some()
    }

    /// Whether a snapshot of it cannot be read.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// What its files hold beside the delivered columns.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// The table with the columns of the files that have these keys of maps.
    pub(crate) fn with_keys<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self {
            columns: self.columns.with(keys.into_iter().map(Stored::key_field)),
            ..self.clone()
        }
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

/// Which keys of maps are columns of a rollup's file, said as of the files of a clustered snapshot.
fn keys_of(base: &Snapshot, rollup: &Rollup) -> Clustered {
    let maps = rollup.columns.iter().filter_map(|column| match &column.role {
        Role::Map { keys: Some(keys), .. } => {
            let keys = MapKeys {
                stored: keys.clone(),
                all: Some(keys.clone()),
            };
            Some((column.name.clone(), keys))
        }
        _ => None,
    });
    Clustered {
        base: base.id.clone(),
        delivered: Vec::new(),
        mapping: mapping::VERSION,
        costs: BTreeMap::new(),
        absent: BTreeSet::new(),
        never_blank: BTreeSet::new(),
        maps: maps.collect(),
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
