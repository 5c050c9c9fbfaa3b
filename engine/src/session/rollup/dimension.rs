//! Expressions that are the same on all rows that a row of a rollup sums.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::costs::calendar::span::{FUNCTIONS, Span};
use crate::costs::tag;
use crate::snapshot::derived::Grain;

/// What a column of a statement is in a rollup.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// The same on all rows: this expression over the rollup.
    Same(Expr),
    /// A map, the same on all rows but for the entries with these keys.
    Map(Expr, BTreeSet<String>),
    /// An instant that is cut.
    Cut(Expr, Grain),
    /// A sum, and which rows have NULL.
    Sum(Expr, Nulls),
    /// Nothing.
    Lost,
}

/// On which rows a value that is summed is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Nulls {
    /// On none.
    Never,
    /// On the same ones as all that have these numbers, one for each month.
    Like(Vec<Option<u32>>),
    /// On some.
    Some,
}

impl Nulls {
    /// Of the numbers of the months.
    pub fn of(months: Vec<Option<u32>>) -> Self {
        match months.iter().all(Option::is_none) {
            true => Self::Never,
            false => Self::Like(months),
        }
    }

    /// Whether the other has NULL on the same rows.
    pub fn are(&self, other: &Self) -> bool {
        self == other && *self != Self::Some
    }

    /// Of a value that is this one on some rows, and that one on others.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, Self::Never) => Self::Never,
            _ => Self::Some,
        }
    }
}

/// The expression over the rollup; `None` if rows that one row of the rollup sums may differ in it. `find` tells what
/// columns are.
pub(super) fn over(expr: &Expr, find: &dyn Fn(&Column) -> Found) -> DataFusionResult<Option<Expr>> {
    let mut known = true;
    let replaced = expr.clone().transform_down(|expr| {
        if let Some(replaced) = cut(&expr, find).or_else(|| looked_up(&expr, find)) {
            return Ok(Transformed::new(replaced, true, TreeNodeRecursion::Jump));
        }
        if let Expr::Column(column) = &expr {
            return Ok(match find(column) {
                Found::Same(expr) => Transformed::new(expr, true, TreeNodeRecursion::Jump),
                Found::Map(expr, without) if without.is_empty() => {
                    Transformed::new(expr, true, TreeNodeRecursion::Jump)
                }
                _ => {
                    known = false;
                    Transformed::new(expr, false, TreeNodeRecursion::Stop)
                }
            });
        }
        Ok(Transformed::no(expr))
    })?;
    Ok(known.then_some(replaced.data))
}

/// A map's entry by a key that the rollup has.
fn looked_up(expr: &Expr, find: &dyn Fn(&Column) -> Found) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    let (key, maps) = call.args.split_last()?;
    let Expr::Literal(key, _) = key else { return None };
    let key = key.try_as_str().flatten()?;
    let has: fn(&str, &str, &BTreeSet<String>) -> bool = match call.name() {
        "get_field" | "map_extract" | "element_at" => |_, key, without| !without.contains(key),
        "tag" | "cost_category" => |function, key, without| tag::misses(function, key, without),
        _ => return None,
    };
    let mut args = Vec::with_capacity(call.args.len());
    for map in maps {
        args.push(match map {
            Expr::Column(column) => match find(column) {
                Found::Map(expr, without) if has(call.name(), key, &without) => expr,
                _ => return None,
            },
            Expr::Literal(..) => map.clone(),
            _ => return None,
        });
    }
    args.extend(call.args.last().cloned());
    Some(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)))
}

/// What cuts an instant at least as much as the rollup does.
fn cut(expr: &Expr, find: &dyn Fn(&Column) -> Found) -> Option<Expr> {
    match expr {
        Expr::ScalarFunction(call) => {
            let (instant, at) = call
                .args
                .iter()
                .enumerate()
                .find_map(|(at, arg)| Some((instant(arg, find)?, at)))?;
            let (expr, grain) = instant;
            let units = call.args.iter().enumerate().filter(|(other, _)| *other != at);
            let unit = match units.map(|(_, unit)| unit).collect::<Vec<_>>().as_slice() {
                [Expr::Literal(unit, _)] => unit.try_as_str().flatten().map(str::to_ascii_lowercase),
                [] => None,
                _ => return None,
            };
            let [day, next_day, month, next_month] = FUNCTIONS;
            let months = ["year", "years", "quarter", "quarters", "month", "months"];
            let days = [
                "day", "days", "week", "weeks", "dow", "isodow", "doy", "isoyear", "decade", "century",
            ];
            let enough = match (call.name(), unit.as_deref()) {
                ("date_trunc" | "date_part", Some(unit)) => {
                    months.contains(&unit) || grain == Grain::Day && days.contains(&unit)
                }
                (name, None) if name == month || name == next_month => true,
                (name, None) if name == day || name == next_day => grain == Grain::Day,
                ("to_date", None) => grain == Grain::Day,
                _ => false,
            };
            let mut args = call.args.clone();
            args[at] = expr;
            enough.then(|| Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)))
        }
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Date32 => {
            let (expr, grain) = instant(&cast.expr, find)?;
            (grain == Grain::Day).then(|| Expr::Cast(Cast::new(Box::new(expr), DataType::Date32)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (of, op, literal, swapped) = match (instant(left, find), instant(right, find)) {
                (Some(of), None) => (of, *op, right, false),
                (None, Some(of)) => (of, op.swap()?, left, true),
                _ => return None,
            };
            let Expr::Literal(value, _) = literal.as_ref() else {
                return None;
            };
            // At the edge of a day or month, being before or not is the same for all of it.
            let edge = is_edge(value, of.1) && matches!(op, Operator::GtEq | Operator::Lt);
            edge.then(|| {
                let (of, literal) = (Box::new(of.0), literal.clone());
                let (left, right, op) = match swapped {
                    false => (of, literal, Some(op)),
                    true => (literal, of, op.swap()),
                };
                op.map(|op| Expr::BinaryExpr(BinaryExpr::new(left, op, right)))
            })?
        }
        Expr::IsNull(inner) => instant(inner, find).map(|(expr, _)| expr.is_null()),
        Expr::IsNotNull(inner) => instant(inner, find).map(|(expr, _)| expr.is_not_null()),
        _ => None,
    }
}

/// An instant that the rollup has cut, or a cast of one to another unit.
fn instant(expr: &Expr, find: &dyn Fn(&Column) -> Found) -> Option<(Expr, Grain)> {
    match expr {
        Expr::Column(column) => match find(column) {
            Found::Cut(expr, grain) => Some((expr, grain)),
            _ => None,
        },
        Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::Timestamp(_, None)) => {
            let (expr, grain) = instant(&cast.expr, find)?;
            Some((
                Expr::Cast(Cast::new(Box::new(expr), cast.field.data_type().clone())),
                grain,
            ))
        }
        _ => None,
    }
}

/// Whether the literal is the first instant of a day or month.
fn is_edge(value: &ScalarValue, grain: Grain) -> bool {
    let millis = match value {
        ScalarValue::TimestampSecond(Some(at), None) => at.checked_mul(1_000),
        ScalarValue::TimestampMillisecond(Some(at), None) => Some(*at),
        ScalarValue::TimestampMicrosecond(Some(at), None) => (at % 1_000 == 0).then_some(at / 1_000),
        ScalarValue::TimestampNanosecond(Some(at), None) => (at % 1_000_000 == 0).then_some(at / 1_000_000),
        _ => None,
    };
    let span = match grain {
        Grain::Day => Span::Day,
        Grain::Month => Span::Month,
    };
    millis.is_some_and(|millis| span.start(millis) == Some(millis))
}
