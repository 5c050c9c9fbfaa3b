//! The physical rule that keeps what a predicate may fail on to the rows that its other conditions leave.
//!
//! Row groups are skipped by statistics, which hidden rows are part of. With `100 / x > 1 AND sub_account_id = '...'` in one
//! filter it would depend on the hidden rows of a row group whether the division meets the visible ones, and an error would
//! tell of them. Conditions that cannot fail, which are all that statistics are asked about, are therefore a filter of their
//! own below: whatever is skipped by them, the division would not have seen.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, conjunction, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};

use crate::money::function::EXACT_AMOUNT;

/// Splits filters into one of what cannot fail and, above it, one of the rest.
#[derive(Debug)]
pub(super) struct SafeFirst;

impl PhysicalOptimizerRule for SafeFirst {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let split = plan.transform_up(|plan| {
            let Some(filter) = plan.downcast_ref::<FilterExec>() else {
                return Ok(Transformed::no(plan));
            };
            let conditions = split_conjunction(filter.predicate()).into_iter().cloned();
            let (safe, rest): (Vec<_>, Vec<_>) = conditions.partition(cannot_fail);
            let (amounts, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(fails_on_no_amount);
            let mut steps: Vec<_> = [safe, amounts, rest]
                .into_iter()
                .filter(|step| !step.is_empty())
                .collect();
            let Some(last) = steps.pop().filter(|_| !steps.is_empty()) else {
                return Ok(Transformed::no(plan));
            };
            let mut input = Arc::clone(filter.input());
            for step in steps {
                input = Arc::new(FilterExec::try_new(conjunction(step), input)?);
            }
            let upper = FilterExecBuilder::from(filter)
                .with_predicate(conjunction(last))
                .with_input(input)
                .build()?;
            Ok(Transformed::yes(Arc::new(upper) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(split.data)
    }

    fn name(&self) -> &str {
        "safe_first"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether the expression is made of comparisons alone. `table::prune` skips by no other ones.
fn cannot_fail(expr: &Arc<dyn PhysicalExpr>) -> bool {
    compares(expr) && expr.children().into_iter().all(cannot_fail)
}

/// Whether it fails at most on what is no amount. Amounts are stored columns in one form of a month and computed of doubles in
/// another: whichever it is, what else may fail meets the rows that comparisons of amounts leave.
fn fails_on_no_amount(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let of_amounts = expr.is::<CaseExpr>()
        || expr
            .downcast_ref::<ScalarFunctionExpr>()
            .is_some_and(|function| function.name() == EXACT_AMOUNT);
    (of_amounts || compares(expr)) && expr.children().into_iter().all(fails_on_no_amount)
}

/// Whether the expression itself, whatever it is made of, is a comparison or the like.
fn compares(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        matches!(
            binary.op(),
            Operator::And
                | Operator::Or
                | Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        )
    } else if let Some(function) = expr.downcast_ref::<ScalarFunctionExpr>() {
        ["nullif", "coalesce"].contains(&function.name())
    } else {
        expr.is::<Column>()
            || expr.is::<Literal>()
            || expr.is::<InListExpr>()
            || expr.is::<IsNullExpr>()
            || expr.is::<IsNotNullExpr>()
            || expr.is::<LikeExpr>()
            || expr.is::<NotExpr>()
    }
}
