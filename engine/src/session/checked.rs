//! Physical rules that are run with care: one whose result is taken only if the plan still holds together, and one that is
//! not run where it would answer wrongly.
//!
//! Sorting is planned with everything that is known of a plan: a column that a filter holds constant needs no sorting.
//! DataFusion 55.2's `ProjectionPushdown`, which runs later, moves projections into filters, and there a constant that is
//! an expression (`nullif(line_item_usage_account_id, '') = '...'`, as every text column of `costs` is) is forgotten. What
//! was sorted well enough before is then refused by `SanityCheckPlan`, and with it the statement. A projection that stays
//! where it was costs little.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Runs a rule, and keeps the plan as it was where the rule made it unsound.
#[derive(Debug)]
pub(super) struct Checked(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for Checked {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let changed = self.0.optimize(Arc::clone(&plan), config)?;
        match SanityCheckPlan::new().optimize(changed, config) {
            Ok(sound) => Ok(sound),
            Err(_) => Ok(plan),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Runs a rule unless the plan counts distinct values.
///
/// DataFusion 55.2's `AggregateStatistics` answers `count(DISTINCT x)` from statistics, and those of a column that is
/// constantly NULL, as `costs` has them for what an export does not deliver, say that it has one distinct value. It has none.
#[derive(Debug)]
pub(super) struct NotDistinct(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for NotDistinct {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let counts_distinct = plan.exists(|node| {
            let aggregate = node.downcast_ref::<AggregateExec>();
            Ok(aggregate.is_some_and(|aggregate| aggregate.aggr_expr().iter().any(|expr| expr.is_distinct())))
        })?;
        match counts_distinct {
            true => Ok(plan),
            false => self.0.optimize(plan, config),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
