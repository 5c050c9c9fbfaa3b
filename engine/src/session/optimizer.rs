//! The logical rules of a session, as an explicit list.
//!
//! It is DataFusion's list with two differences. Projections are pruned first: `costs` has dozens of columns, most
//! statements use a handful, and every later rule would work on all of them. The two rules that move struct accesses
//! toward the scan are left out: they gain nothing for maps, and in DataFusion 55.2 they fail on a projection that common
//! subexpressions were taken out of ("duplicate unqualified field name __common_expr_1").

use std::sync::Arc;

use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{Optimizer, OptimizerRule};

/// The rules that are left out, by their names.
const LEFT_OUT: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The logical rules, in order.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(OptimizeProjections::new())];
    rules.extend(
        Optimizer::new()
            .rules
            .into_iter()
            .filter(|rule| !LEFT_OUT.contains(&rule.name())),
    );
    rules
}
