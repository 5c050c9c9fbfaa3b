//! Sessions of the engine's own: plans over all rows of one snapshot, for files and totals that are made of it.
//!
//! No statement comes here. A plan is built in the engine, over a table whose scope is
//! [`AccountScope::of_snapshot`], and runs under the same rules as a statement's: the account filter is written into it and
//! checked. What is made of its rows is cut by owner again before anybody sees it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use object_store::ObjectStore;

use super::{BoundQuery, BoundSession, QuerySettings, SessionBuilder, Switch, query};
use crate::catalog::{Export, Lease};
use crate::error::Result;
use crate::execute::datafusion_error;
use crate::principal::{Grant, Principal, Role};
use crate::scope::AccountScope;
use crate::snapshot::Snapshot;
use crate::system::SystemView;
use crate::table::{Audience, SnapshotTable};

/// Into how many partitions such work is cut: it runs beside statements, and takes one core from them.
const PARTITIONS: usize = 1;

impl SessionBuilder {
    /// A session for the engine itself, seeing `scope`, which is [`AccountScope::of_snapshot`] of what it reads. It stands
    /// for no principal. Amounts of different currencies are not kept apart by a rule: plans group by currency.
    pub(crate) fn internal(&self, lease: Lease, scope: AccountScope) -> Result<BoundSession> {
        let view = SystemView {
            lease,
            principal: Principal {
                name: String::new(),
                role: Role::Reader,
                grant: Grant::Accounts(BTreeSet::new()),
            },
            scope,
            archive: Arc::clone(&self.archive),
            now: DateTime::UNIX_EPOCH,
        };
        let settings = QuerySettings {
            time_zone: "UTC".to_owned(),
            target_partitions: PARTITIONS,
            statement_timeout: Duration::MAX,
            search_path: Vec::new(),
            rollup: Switch::Off,
            result_cache: Switch::Off,
            now: DateTime::UNIX_EPOCH,
        };
        self.session(view, &settings, None)
    }

    /// All rows of one snapshot that belong to anybody, as a table for [`Self::internal`] sessions of the same scope.
    /// Error: `BrokenDelivery`, as for a statement's table.
    pub(crate) fn whole_snapshot(
        &self,
        lease: &Lease,
        export: &Export,
        snapshot: &Arc<Snapshot>,
        audience: Audience,
    ) -> Result<SnapshotTable> {
        SnapshotTable::try_new(
            Arc::clone(lease),
            export.clone(),
            vec![Arc::clone(snapshot)],
            AccountScope::of_snapshot(snapshot),
            self.files.clone(),
            audience,
        )
    }
}

impl SessionBuilder {
    /// Where files lie that Farthing made.
    pub(crate) fn own_store(&self) -> Arc<dyn ObjectStore> {
        self.files.stores.own()
    }
}

impl BoundSession {
    /// A plan that the engine built, analysed: the account filter is in it.
    pub(crate) fn bind_plan(&self, plan: LogicalPlan) -> Result<BoundQuery> {
        query::bind(self.clone(), plan, DateTime::UNIX_EPOCH).map_err(datafusion_error)
    }
}

impl BoundQuery {
    /// Optimises and starts the query on the caller's runtime, without slot and deadline. Polling computes.
    pub(crate) async fn stream(&self) -> Result<SendableRecordBatchStream> {
        let plan = self.physical_plan().await.map_err(datafusion_error)?;
        execute_stream(plan, self.task_context()).map_err(datafusion_error)
    }
}

#[cfg(test)]
mod tests;
