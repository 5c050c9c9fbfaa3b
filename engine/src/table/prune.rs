//! Which predicates of a statement a scan may use, and how.
//!
//! Only a column compared with a literal of its own type may sink below the account filter: it cannot fail, so no hidden
//! row can cause an error, and it only decides what is not read. The statement's own filter is evaluated again above.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::{BILLING_PERIOD, HAS_NET_COSTS, SnapshotTable};
use crate::scope::rule::scope_of;

/// What a scan does with a predicate.
pub(super) enum Use {
    /// It is the account filter of this table: every leaf applies it to its last row.
    Scope,
    /// It concerns the billing period alone, and decides exactly which snapshots are read.
    Period,
    /// Files, row groups and pages are skipped by statistics. The expression is what to prune by.
    Statistics(Expr),
    /// None.
    Nothing,
}

pub(super) fn use_of(filter: &Expr, table: &SnapshotTable) -> Use {
    if let Some(scope) = scope_of(filter) {
        return if scope == table.scope() {
            Use::Scope
        } else {
            Use::Nothing
        };
    }
    let Some(simple) = simple(filter, table) else {
        return Use::Nothing;
    };
    let columns = simple.column_refs();
    if columns.is_empty() || columns.iter().any(|column| column.name == HAS_NET_COSTS) {
        Use::Nothing
    } else if columns.iter().all(|column| column.name == BILLING_PERIOD) {
        Use::Period
    } else {
        Use::Statistics(simple)
    }
}

/// Columns of which one value stands in few rows.
const OF_FEW_ROWS: [&str; 2] = ["line_item_resource_id", "ResourceId"];

/// Whether all rows have to have one of some values in a column of which one value stands in few rows.
pub(super) fn few_rows(conditions: &[Expr]) -> bool {
    let is_rare = |expr: &Expr| matches!(expr, Expr::Column(column) if OF_FEW_ROWS.contains(&column.name.as_str()));
    conditions.iter().any(|condition| match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => is_rare(left) || is_rare(right),
        Expr::InList(list) => !list.negated && is_rare(&list.expr),
        _ => false,
    })
}

/// The expression, if it consists of comparisons that cannot fail, with unqualified columns.
///
/// `nullif(column, '')` counts as the column where it is compared with a literal: the mapping of `costs` turns blank text
/// into NULL, and wherever such a comparison is true the plain column's is too. Under `NOT`, `AND` and `OR` that stays so,
/// because a NULL comparison never makes those true by itself.
fn simple(expr: &Expr, table: &SnapshotTable) -> Option<Expr> {
    let and_or = |op: &Operator| matches!(op, Operator::And | Operator::Or);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if and_or(op) => Some(Expr::BinaryExpr(BinaryExpr::new(
            Box::new(simple(left, table)?),
            *op,
            Box::new(simple(right, table)?),
        ))),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if comparison(*op) => {
            let (left, right) = match (compared(left, table), compared(right, table)) {
                (Some(column), None) => (column.clone(), literal_for(right, column, table)?),
                (None, Some(column)) => (literal_for(left, column, table)?, column.clone()),
                _ => return None,
            };
            Some(unqualified(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left),
                *op,
                Box::new(right),
            ))))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let column = compared(expr, table)?;
            let list = list
                .iter()
                .map(|item| literal_for(item, column, table))
                .collect::<Option<_>>()?;
            Some(unqualified(Expr::InList(InList::new(
                Box::new(column.clone()),
                list,
                *negated,
            ))))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let column = compared(expr, table)?;
            let (low, high) = (literal_for(low, column, table)?, literal_for(high, column, table)?);
            let between = Between::new(Box::new(column.clone()), *negated, Box::new(low), Box::new(high));
            Some(unqualified(Expr::Between(between)))
        }
        Expr::Like(Like {
            negated,
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
        }) => {
            let column = compared(expr, table)?;
            let pattern = Box::new(literal_for(pattern, column, table)?);
            let like = Like::new(*negated, Box::new(column.clone()), pattern, None, false);
            Some(unqualified(Expr::Like(like)))
        }
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
            matches!(**inner, Expr::Column(_)).then(|| unqualified(expr.clone()))
        }
        Expr::Not(inner) => Some(Expr::Not(Box::new(simple(inner, table)?))),
        Expr::Column(_) => (type_of(expr, table)? == DataType::Boolean).then(|| unqualified(expr.clone())),
        _ => None,
    }
}

fn comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    )
}

/// What is cast, where a column of text is cast to another kind of text, as the month of `costs` is: that cannot fail and
/// changes no value.
fn text_cast<'a>(expr: &'a Expr, table: &SnapshotTable) -> &'a Expr {
    let is_text = |expr: &Expr| type_of(expr, table).is_some_and(|r#type| r#type.is_string());
    match expr {
        Expr::Cast(cast) if cast.field.data_type().is_string() && is_text(&cast.expr) => &cast.expr,
        _ => expr,
    }
}

/// The column in a comparison: itself, or inside `nullif(column, '')`.
fn compared<'a>(expr: &'a Expr, table: &SnapshotTable) -> Option<&'a Expr> {
    match text_cast(expr, table) {
        column @ Expr::Column(_) => Some(column),
        Expr::ScalarFunction(call) if call.name() == "nullif" => match call.args.as_slice() {
            [column @ Expr::Column(_), Expr::Literal(blank, _)]
                if blank.try_as_str().flatten().is_some_and(str::is_empty) =>
            {
                Some(column)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The literal, if it is one of the column's type and not NULL.
fn literal_for(expr: &Expr, column: &Expr, table: &SnapshotTable) -> Option<Expr> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    let r#type = type_of(column, table)?;
    let fits = r#type == value.data_type() || r#type.is_string() && value.data_type().is_string();
    (fits && !value.is_null()).then(|| match value.try_as_str().flatten() {
        Some(text) if r#type == DataType::Utf8View => Expr::Literal(ScalarValue::Utf8View(Some(text.to_owned())), None),
        _ => Expr::Literal(value.clone(), None),
    })
}

fn type_of(column: &Expr, table: &SnapshotTable) -> Option<DataType> {
    let Expr::Column(column) = column else {
        return None;
    };
    let field = table.columns.visible.field_with_name(&column.name).ok()?;
    Some(field.data_type().clone())
}

fn unqualified(expr: Expr) -> Expr {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(mut column) => {
                column.relation = None;
                Transformed::yes(Expr::Column(column))
            }
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
    .unwrap_or(Expr::Literal(ScalarValue::Boolean(Some(true)), None))
}
