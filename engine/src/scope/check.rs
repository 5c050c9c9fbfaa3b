//! The last physical rule: no file is read but through a [`ScopeExec`] of the bound scope.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::AccountScope;
use super::exec::ScopeExec;
use crate::error::Error;
use crate::table::columns::RollupExec;

/// Refuses a plan in which a file leaf lacks the account filter of exactly this scope. Changes nothing.
#[derive(Debug)]
pub struct ScopeCheck {
    scope: AccountScope,
}

impl ScopeCheck {
    /// A check for plans of one bound scope.
    pub fn new(scope: AccountScope) -> Self {
        Self { scope }
    }

    /// Whether every leaf of the plan that reads anything but memory lies under a `ScopeExec` of the bound scope. Error:
    /// `Defect`.
    pub fn verify(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<(), Error> {
        self.visit(plan, false)
    }

    fn visit(&self, plan: &Arc<dyn ExecutionPlan>, covered: bool) -> Result<(), Error> {
        let covered = match plan.downcast_ref::<ScopeExec>() {
            Some(filter) if filter.scope() == &self.scope => true,
            Some(_) => {
                return Err(Error::defect(
                    "the plan filters by another account scope than the statement's",
                ));
            }
            None => covered,
        };
        // Whatever is not known to hold rows in memory counts as a file.
        let reads_files = plan
            .downcast_ref::<DataSourceExec>()
            .is_some_and(|leaf| leaf.data_source().downcast_ref::<MemorySourceConfig>().is_none());
        let reads_rollups = plan.downcast_ref::<RollupExec>().is_some();
        if (reads_files || reads_rollups) && !covered {
            return Err(Error::defect("the plan reads billing files without the account filter"));
        }
        plan.children()
            .into_iter()
            .try_for_each(|child| self.visit(child, covered))
    }
}

impl PhysicalOptimizerRule for ScopeCheck {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.verify(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        "scope_check"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
