//! The engine's own state as tables of the schema `system`, always seen through the reader's scope.

pub mod tables;

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::catalog::{Archive, Lease};
use crate::error::{Error, Result};
use crate::principal::{Grant, Principal, Role};
use crate::scope::AccountScope;

/// One table of the schema `system`. Implementations show only what the view's scope and role allow.
#[async_trait]
pub trait SystemTable: Send + Sync {
    /// The table's name.
    fn name(&self) -> &str;

    /// Its columns.
    fn schema(&self) -> SchemaRef;

    /// Its rows at this moment, with exactly the columns of `schema`.
    async fn rows(&self, view: &SystemView) -> Result<RecordBatch>;
}

/// Who looks, at which catalog version.
#[derive(Debug, Clone)]
pub struct SystemView {
    /// The catalog version of the statement.
    pub lease: Lease,
    /// Who asks.
    pub principal: Principal,
    /// The accounts that it may see.
    pub scope: AccountScope,
    /// Documents that the catalog version names and does not hold.
    pub archive: Arc<Archive>,
    /// What `now()` is for the statement.
    pub now: DateTime<Utc>,
}

/// Whether the state is shown in full: to those who may see every connected account as an operator.
pub(crate) fn sees_all(view: &SystemView) -> bool {
    view.principal.role >= Role::Operator && view.principal.grant == Grant::AllConnected
}

/// A system table in one view of it.
pub(crate) struct SystemProvider {
    pub table: Arc<dyn SystemTable>,
    pub view: SystemView,
}

impl fmt::Debug for SystemProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemProvider")
            .field("table", &self.table.name())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let rows = self.table.rows(&self.view).await?;
        if rows.schema() != self.table.schema() {
            return Err(Error::defect(format!("system.{} has other columns than it says", self.table.name())).into());
        }
        let source = MemorySourceConfig::try_new_exec(&[vec![rows]], self.table.schema(), projection.cloned())?;
        Ok(source)
    }
}
