//! A physical rule whose result is taken only if the plan still holds together.
//!
//! Sorting is planned with everything that is known of a plan: a column that a filter holds constant needs no sorting.
//! DataFusion 55.2's `ProjectionPushdown`, which runs later, moves projections into filters, and there a constant that is
//! an expression (`nullif(line_item_usage_account_id, '') = '...'`, as every text column of `costs` is) is forgotten. What
//! was sorted well enough before is then refused by `SanityCheckPlan`, and with it the statement. A projection that stays
//! where it was costs little.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;

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
