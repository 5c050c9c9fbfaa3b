//! The analyzer rule that writes the account filter into the logical plan, and keeps account ids text.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Filter, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TableScan, Volatility,
};
use datafusion::optimizer::analyzer::AnalyzerRule;

use super::AccountScope;
use crate::error::Error;
use crate::format::{AccountColumns, is_account_column};
use crate::table::SnapshotTable;

/// Whether a column holds account ids: those of the exports, whatever their format, and those of `costs`.
fn holds_accounts(name: &str) -> bool {
    is_account_column(name) || matches!(name, "sub_account_id" | "billing_account_id")
}

/// Writes the account filter above every scan of billing files, in subqueries too, and rewrites an integer that is
/// compared with an account id to its twelve digits. Runs before type coercion, which would cast the column instead and
/// so end all pruning.
#[derive(Debug, Default)]
pub struct ScopeRule;

impl AnalyzerRule for ScopeRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DataFusionResult<LogicalPlan> {
        let filtered = plan.transform_down_with_subqueries(write_filter)?.data;
        Ok(filtered.transform_up_with_subqueries(digits_for_integers)?.data)
    }

    fn name(&self) -> &str {
        "scope_rule"
    }
}

/// A scan of billing files with the account filter above it, for rules that make scans after this one has run.
pub(crate) fn with_filter(scan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    Ok(write_filter(scan)?.data)
}

fn write_filter(plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    match &plan {
        LogicalPlan::Filter(filter)
            if scope_of(&filter.predicate).is_some() && matches!(*filter.input, LogicalPlan::TableScan(_)) =>
        {
            // Written already.
            Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump))
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source)?;
            let Some(table) = provider.downcast_ref::<SnapshotTable>() else {
                return Ok(Transformed::no(plan));
            };
            if scan
                .filters
                .iter()
                .any(|filter| scope_of(filter) == Some(table.scope()))
            {
                return Ok(Transformed::no(plan));
            }
            let predicate = predicate(table, scan)?;
            let filter = Filter::try_new(predicate, Arc::new(plan))?;
            Ok(Transformed::new(
                LogicalPlan::Filter(filter),
                true,
                TreeNodeRecursion::Jump,
            ))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

fn predicate(table: &SnapshotTable, scan: &TableScan) -> DataFusionResult<Expr> {
    let column = |name: &str| {
        let column = Column::new(Some(scan.table_name.clone()), name);
        if scan.projected_schema.has_column(&column) {
            Ok(Expr::Column(column))
        } else {
            Err(Error::defect(format!(
                "a scan was narrowed before the account filter: it lacks {name}"
            )))
        }
    };
    let accounts = table.accounts();
    let function = ScalarUDF::from(ScopePredicate::new(table.scope().clone(), accounts));
    let columns: Vec<Expr> = accounts.names().map(column).collect::<Result<_, Error>>()?;
    Ok(function.call(columns))
}

/// The account filter over the columns of an export, as an expression that a reader of files can evaluate.
pub(crate) fn row_predicate(scope: &AccountScope, accounts: AccountColumns) -> Expr {
    let columns = accounts
        .names()
        .map(|name| Expr::Column(Column::from_name(name)))
        .collect();
    ScalarUDF::from(ScopePredicate::new(scope.clone(), accounts)).call(columns)
}

/// The scope of an account filter in a logical plan; `None` for every other expression.
pub fn scope_of(expr: &Expr) -> Option<&AccountScope> {
    match expr {
        Expr::ScalarFunction(call) => call
            .func
            .inner()
            .downcast_ref::<ScopePredicate>()
            .map(|found| &found.scope),
        _ => None,
    }
}

/// The account filter as an expression. One opaque function and not `IN` and `OR`, so that no simplification changes its
/// form: the table recognises it, applies it itself, and nothing is evaluated twice. Its name is the predicate, which is
/// how `EXPLAIN` comes to print it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ScopePredicate {
    scope: AccountScope,
    name: String,
    signature: Signature,
}

impl ScopePredicate {
    fn new(scope: AccountScope, accounts: AccountColumns) -> Self {
        let types = accounts.names().map(|_| DataType::Utf8View).collect();
        Self {
            name: format!("account_filter[{}]", scope.predicate_text(accounts)),
            scope,
            signature: Signature::exact(types, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ScopePredicate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        // A file that lacks a column has one value for all its rows.
        let arrays = args.args.iter().map(|column| column.to_array(args.number_rows));
        let arrays = arrays.collect::<DataFusionResult<Vec<_>>>()?;
        let (usage, payer) = match arrays.as_slice() {
            [usage] => (usage, None),
            [usage, payer] => (usage, Some(payer)),
            _ => return Err(Error::defect("the account filter takes one or two columns").into()),
        };
        Ok(ColumnarValue::Array(Arc::new(self.scope.mask(usage, payer)?)))
    }
}

fn digits_for_integers(plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    if plan.inputs().is_empty() {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    if !schema.fields().iter().any(|field| holds_accounts(field.name())) {
        return Ok(Transformed::no(plan));
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| rewrite(expr, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })
}

fn rewrite(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let is_account = |expr: &Expr| {
        matches!(expr, Expr::Column(column) if holds_accounts(&column.name))
            && expr.get_type(schema).is_ok_and(|r#type| r#type.is_string())
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if op.supports_propagation() => {
            let (left, right) = if is_account(&left) {
                (left, digits(*right).map_data(|expr| Ok(Box::new(expr)))?)
            } else if is_account(&right) {
                let left = digits(*left).map_data(|expr| Ok(Box::new(expr)))?;
                let transformed = left.transformed;
                let expr = Expr::BinaryExpr(BinaryExpr::new(left.data, op, right));
                return Ok(Transformed::new_transformed(expr, transformed));
            } else {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            };
            let transformed = right.transformed;
            let expr = Expr::BinaryExpr(BinaryExpr::new(left, op, right.data));
            Ok(Transformed::new_transformed(expr, transformed))
        }
        Expr::InList(InList { expr, list, negated }) if is_account(&expr) => {
            let list: Vec<_> = list.into_iter().map(digits).collect();
            let transformed = list.iter().any(|item| item.transformed);
            let list = list.into_iter().map(|item| item.data).collect();
            Ok(Transformed::new_transformed(
                Expr::InList(InList::new(expr, list, negated)),
                transformed,
            ))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) if is_account(&expr) => {
            let (low, high) = (digits(*low), digits(*high));
            let transformed = low.transformed || high.transformed;
            let between = Between::new(expr, negated, Box::new(low.data), Box::new(high.data));
            Ok(Transformed::new_transformed(Expr::Between(between), transformed))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// An integer literal as the twelve digits of an account id, leading zeros included.
fn digits(expr: Expr) -> Transformed<Expr> {
    let integer = match &expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::Int64(Some(value)) => Some(i128::from(*value)),
            ScalarValue::UInt64(Some(value)) => Some(i128::from(*value)),
            ScalarValue::Int32(Some(value)) => Some(i128::from(*value)),
            ScalarValue::Decimal128(Some(value), _, 0) => Some(*value),
            _ => None,
        },
        _ => None,
    };
    match integer {
        Some(integer) => Transformed::yes(Expr::Literal(ScalarValue::from(format!("{integer:012}")), None)),
        None => Transformed::no(expr),
    }
}
