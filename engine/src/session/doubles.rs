//! Doubles are compared with decimals as doubles, as PostgreSQL does.
//!
//! DataFusion 55.2 compares them as decimals of thirty digits: `stddev(billed_cost) > 0.01` fails on a group whose deviation is
//! NaN, and `consumed_quantity > 0.5` on a quantity of a quintillion. Literals with a point are decimals here, so that amounts
//! times a rate stay exact; beside a double they become doubles. The same holds for what has to choose one type of several:
//! CASE, COALESCE and their like.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DataFusionResult};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::{BinaryExpr, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, Case, Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::optimizer::analyzer::AnalyzerRule;

/// Functions whose arguments have one type.
const OF_ONE_TYPE: [&str; 4] = ["coalesce", "nullif", "greatest", "least"];

/// The rule.
#[derive(Debug)]
pub(super) struct DoublesRule;

impl AnalyzerRule for DoublesRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        let mended = plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            let mended = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let mended = expr.transform_up(|expr| Ok(mended(expr, &schema)))?;
                Ok(mended.update_data(|expr| name.restore(expr)))
            })?;
            match mended.transformed {
                true => mended.map_data(LogicalPlan::recompute_schema),
                false => Ok(mended),
            }
        })?;
        Ok(mended.data)
    }

    fn name(&self) -> &str {
        "doubles_rule"
    }
}

fn mended(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => alike([*left, *right], schema)
            .update_data(|[left, right]| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))),
        Expr::Between(between) => {
            let Between {
                expr,
                negated,
                low,
                high,
            } = between;
            alike([*expr, *low, *high], schema).update_data(|[expr, low, high]| {
                Expr::Between(Between::new(Box::new(expr), negated, Box::new(low), Box::new(high)))
            })
        }
        Expr::InList(mut list) => {
            list.list.insert(0, *list.expr);
            alike(list.list, schema).update_data(|mut all| {
                let expr = Box::new(all.remove(0));
                Expr::InList(InList::new(expr, all, list.negated))
            })
        }
        Expr::ScalarFunction(mut call) if OF_ONE_TYPE.contains(&call.name()) => {
            let args = alike(std::mem::take(&mut call.args), schema);
            args.update_data(|args| {
                call.args = args;
                Expr::ScalarFunction(call)
            })
        }
        Expr::Case(case) => of_case(case, schema),
        other => Transformed::no(other),
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// The values of a CASE.
fn of_case(case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let Case {
        expr,
        when_then_expr,
        else_expr,
    } = case;
    let (whens, mut values): (Vec<_>, Vec<Expr>) = when_then_expr.into_iter().map(|(when, then)| (when, *then)).unzip();
    let has_else = else_expr.is_some();
    values.extend(else_expr.map(|value| *value));
    alike(values, schema).update_data(|mut values| {
        let otherwise = has_else.then(|| values.pop().map(Box::new)).flatten();
        let branches = whens.into_iter().zip(values.into_iter().map(Box::new));
        Expr::Case(Case::new(expr, branches.collect(), otherwise))
    })
}

/// Casts the decimals among the expressions to doubles, if there is a double among them.
fn alike<All: AsMut<[Expr]>>(mut exprs: All, schema: &DFSchema) -> Transformed<All> {
    // What has no type is found wrong by the rules that follow.
    let types: Vec<Option<DataType>> = exprs.as_mut().iter().map(|expr| expr.get_type(schema).ok()).collect();
    let is_decimal = |of: &Option<DataType>| of.as_ref().is_some_and(DataType::is_decimal);
    let is_double = |of: &Option<DataType>| matches!(of, Some(DataType::Float64 | DataType::Float32));
    if !types.iter().any(is_double) || !types.iter().any(is_decimal) {
        return Transformed::no(exprs);
    }
    for (expr, _) in exprs.as_mut().iter_mut().zip(&types).filter(|(_, of)| is_decimal(of)) {
        *expr = cast(std::mem::take(expr), DataType::Float64);
    }
    Transformed::yes(exprs)
}
