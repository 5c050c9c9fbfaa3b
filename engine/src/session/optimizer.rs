//! The logical rules of a session, as an explicit list.
//!
//! It is DataFusion's list with six differences. Projections are pruned first: `costs` has dozens of columns, most
//! statements use a handful, and every later rule would work on all of them. The two rules that move struct accesses
//! toward the scan are left out: they gain nothing for maps, and in DataFusion 55.2 they fail on a projection that common
//! subexpressions were taken out of ("duplicate unqualified field name __common_expr_1"). And conditions on days and months
//! ([`crate::costs::calendar`]) are turned into ones on instants as soon as they have moved down: before common
//! subexpressions are taken out of them, which would hide what they are; and what is summed twice is
//! summed once ([`super::sum_of_sums`]). Look-ups in maps become columns where files have them ([`super::shredded`]), before
//! conditions on them move down. Before all of them, while `costs` is still as it was written, aggregates are answered from
//! rollups ([`super::rollup`]).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};

use super::Switch;
use super::rollup::RollupRule;
use super::shredded::ShreddedKeys;
use super::sum_of_sums::{FilterBelowGroups, SumOfSums};
use crate::costs::calendar::span;

/// The rules that are left out, by their names.
const LEFT_OUT: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The logical rules, in order. `rollup` says whether rollups may answer.
pub(super) fn rules(rollup: Switch) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(FilterBelowGroups),
        Arc::new(SumOfSums),
        Arc::new(RollupRule(rollup)),
        Arc::new(OptimizeProjections::new()),
        Arc::new(ShreddedKeys),
    ];
    for rule in Optimizer::new().rules {
        let moves_filters = rule.name() == MOVES_FILTERS;
        if !LEFT_OUT.contains(&rule.name()) {
            rules.push(rule);
        }
        if moves_filters {
            rules.push(Arc::new(SpanConditions));
            rules.push(Arc::new(SumOfSums));
        }
    }
    rules
}

/// The rule after which conditions stand where they stay.
const MOVES_FILTERS: &str = "push_down_filter";

/// Simplifies the conditions on days and months.
#[derive(Debug)]
struct SpanConditions;

impl OptimizerRule for SpanConditions {
    fn name(&self) -> &str {
        "span_conditions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
        let concerned = match &plan {
            LogicalPlan::Filter(filter) => filter.predicate.exists(|expr| {
                Ok(matches!(expr, Expr::ScalarFunction(call) if span::FUNCTIONS.contains(&call.name())))
            })?,
            _ => false,
        };
        match concerned {
            true => SimplifyExpressions::default().rewrite(plan, config),
            false => Ok(Transformed::no(plan)),
        }
    }
}
