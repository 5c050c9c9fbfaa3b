//! What a plan allows to be kept: of the plan itself, and of its rows.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalTableSource, Volatility, WindowFunctionDefinition};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::cache::result::Read;
use crate::table::SnapshotTable;

/// What was found in a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// A scan of something else than billing files.
    pub other_tables: bool,
    /// A function that may give something else with every call, or something that cannot be judged.
    pub volatile: bool,
    /// A function that gives the same for the whole statement: `now()` and its like.
    pub stable: bool,
    /// The largest expressions of such functions and constants alone.
    moments: Vec<Expr>,
    /// What is read of exports, in the order of the scans.
    pub reads: Vec<Read>,
}

impl Findings {
    /// What a plan with stable functions is at `now`: the same values make the same plan. `None` if one of them fails.
    pub fn moments(&self, state: &SessionState, now: DateTime<Utc>) -> Option<Vec<ScalarValue>> {
        let simplifier = simplifier(state, now);
        let value = |expr: &Expr| match simplifier.simplify(expr.clone()) {
            Ok(Expr::Literal(value, _)) => Some(value),
            _ => None,
        };
        self.moments.iter().map(value).collect()
    }
}

/// Looks through a plan and its subqueries.
pub(super) fn examine(plan: &LogicalPlan) -> DataFusionResult<Findings> {
    let mut found = Findings::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            match provider.downcast_ref::<SnapshotTable>() {
                Some(table) => found.reads.push(table.read()),
                None => found.other_tables = true,
            }
        }
        node.apply_expressions(|expr| {
            let mut stable = false;
            expr.apply(|expr| {
                match volatility(expr) {
                    Volatility::Immutable => {}
                    Volatility::Stable => stable = true,
                    Volatility::Volatile => found.volatile = true,
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
            if stable {
                found.stable = true;
                expr.apply(|part| {
                    if !is_moment(part)? {
                        return Ok(TreeNodeRecursion::Continue);
                    }
                    if !found.moments.contains(part) {
                        found.moments.push(part.clone());
                    }
                    Ok(TreeNodeRecursion::Jump)
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// Of the node alone, not of what it is applied to.
fn volatility(expr: &Expr) -> Volatility {
    match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.signature().volatility,
            WindowFunctionDefinition::WindowUDF(function) => function.signature().volatility,
        },
        Expr::ScalarVariable(..) => Volatility::Volatile,
        _ => Volatility::Immutable,
    }
}

/// The plan with its stable functions, and what is computed of them and constants alone, replaced by their values at `now`.
pub(super) fn settle(plan: LogicalPlan, state: &SessionState, now: DateTime<Utc>) -> DataFusionResult<LogicalPlan> {
    let simplifier = simplifier(state, now);
    plan.transform_down_with_subqueries(|node| {
        let mut stable = false;
        node.apply_expressions(|expr| {
            stable |= expr.exists(|part| Ok(volatility(part) == Volatility::Stable))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !stable {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let settled = expr.transform_down(|part| settle_part(part, &simplifier))?;
            Ok(settled.update_data(|expr| name.restore(expr)))
        })
    })
    .data()
}

fn simplifier(state: &SessionState, now: DateTime<Utc>) -> ExprSimplifier {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(Some(now))
        .build();
    ExprSimplifier::new(context)
}

fn settle_part(expr: Expr, simplifier: &ExprSimplifier) -> DataFusionResult<Transformed<Expr>> {
    if !is_moment(&expr)? {
        return Ok(Transformed::no(expr));
    }
    match simplifier.simplify(expr.clone()) {
        Ok(value @ Expr::Literal(..)) => Ok(Transformed::new(value, true, TreeNodeRecursion::Jump)),
        // Its parts may still be settled; what fails fails when the statement runs.
        _ => Ok(Transformed::no(expr)),
    }
}

/// Whether it is computed of stable functions and constants alone.
fn is_moment(expr: &Expr) -> DataFusionResult<bool> {
    Ok(is_constant(expr)? && expr.exists(|part| Ok(volatility(part) == Volatility::Stable))?)
}

/// Whether it is computed of constants and functions that give the same for the whole statement.
fn is_constant(expr: &Expr) -> DataFusionResult<bool> {
    let varies = expr.exists(|part| {
        let plain = matches!(
            part,
            Expr::Literal(..)
                | Expr::BinaryExpr(_)
                | Expr::Not(_)
                | Expr::Negative(_)
                | Expr::Cast(_)
                | Expr::TryCast(_)
                | Expr::ScalarFunction(_)
        );
        Ok(!plain || volatility(part) == Volatility::Volatile)
    })?;
    Ok(!varies)
}

/// The plan without what stands behind its scans, which comparing plans does not look at: a key that is kept for long holds no
/// catalog version.
pub(super) fn without_sources(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            scan.source = Arc::new(LogicalTableSource::new(scan.source.schema()));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        node => Ok(Transformed::no(node)),
    })
    .data()
}
