//! The logical rules of a session, as an explicit list.
//!
//! It is DataFusion's list with two differences. Projections are pruned first: `costs` has dozens of columns, most
//! statements use a handful, and every later rule would work on all of them. The two rules that move struct accesses
//! toward the scan are left out: they gain nothing for maps, and in DataFusion 55.2 they fail on a projection that common
//! subexpressions were taken out of ("duplicate unqualified field name __common_expr_1").

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};

/// The rules that are left out, by their names.
const LEFT_OUT: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

/// The logical rules, in order.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
        vec![Arc::new(OptimizeProjections::new()), Arc::new(BlankComparison)];
    rules.extend(Optimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name())));
    rules
}

/// Makes `nullif(column, '') = 'x'` the comparison `column = 'x'`, and the same for `IN`, where a filter asks for it.
///
/// `costs` shows blank text as NULL. A filter keeps the same rows either way, as long as no literal is blank and the
/// comparison is not negated: what was NULL is now false, and a filter drops both. Without the function the comparison
/// prunes row groups and pages.
#[derive(Debug)]
struct BlankComparison;

impl OptimizerRule for BlankComparison {
    fn name(&self) -> &str {
        "blank_comparison"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
        match compared(&filter.predicate) {
            None => Ok(Transformed::no(LogicalPlan::Filter(filter))),
            Some(predicate) => Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?))),
        }
    }
}

/// The predicate rewritten, or `None` where nothing of it is such a comparison. Looks through AND and OR alone.
fn compared(predicate: &Expr) -> Option<Expr> {
    match predicate {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (new_left, new_right) = (compared(left), compared(right));
            if new_left.is_none() && new_right.is_none() {
                return None;
            }
            let side = |new: Option<Expr>, old: &Expr| Box::new(new.unwrap_or_else(|| old.clone()));
            Some(Expr::BinaryExpr(BinaryExpr {
                left: side(new_left, left),
                op: *op,
                right: side(new_right, right),
            }))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, literal) = match (blank_as_null(left), blank_as_null(right)) {
                (Some(column), None) => (column, right),
                (None, Some(column)) => (column, left),
                _ => return None,
            };
            is_text(literal).then(|| column.clone().eq(literal.as_ref().clone()))
        }
        Expr::InList(InList { expr, list, negated: false }) if list.iter().all(is_text) => {
            Some(blank_as_null(expr)?.clone().in_list(list.clone(), false))
        }
        _ => None,
    }
}

/// The column of `nullif(column, '')`.
fn blank_as_null(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    match args.as_slice() {
        [column @ Expr::Column(_), Expr::Literal(blank, _)] if func.name() == "nullif" => {
            (text_of(blank) == Some("")).then_some(column)
        }
        _ => None,
    }
}

/// Whether an expression is a text literal that is not blank.
fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if text_of(value).is_some_and(|text| !text.is_empty()))
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}
