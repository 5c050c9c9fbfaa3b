//! Expressions whose sum over rows is their value over the rows' sums.

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};

use super::dimension::{self, Found, Nulls};
use crate::money::function::{EXACT_AMOUNT, MONEY, exact_amount};
use crate::money::{PRECISION, SCALE};

/// What a rollup knows of columns.
pub(super) struct Known<'a> {
    /// What a column is.
    pub find: &'a dyn Fn(&Column) -> Found,
    /// What the exact amounts of a column of doubles are.
    pub find_exact: &'a dyn Fn(&Column) -> Found,
    /// The column that counts rows.
    pub rows: &'a Expr,
    /// The columns that expressions are over.
    pub schema: &'a DFSchema,
}

/// The expression over a rollup whose sum is that of `expr` over the rows, and on which of them it is NULL; `None`
/// if there is none.
pub(super) fn over(expr: &Expr, known: &Known<'_>) -> DataFusionResult<Option<(Expr, Nulls)>> {
    Ok(match expr {
        Expr::Alias(alias) => over(&alias.expr, known)?,
        Expr::Column(column) => summed((known.find)(column)),
        Expr::Literal(value, _) => literal(value, known),
        Expr::Negative(inner) => over(inner, known)?.map(|(expr, nulls)| (Expr::Negative(Box::new(expr)), nulls)),
        Expr::BinaryExpr(binary) => binary_over(binary, known)?,
        Expr::Cast(cast) => cast_over(cast, known)?,
        Expr::Case(case) => case_over(case, known)?,
        Expr::ScalarFunction(call) => call_over(call, known)?,
        _ => None,
    })
}

fn summed(found: Found) -> Option<(Expr, Nulls)> {
    match found {
        Found::Sum(expr, nulls) => Some((expr, nulls)),
        _ => None,
    }
}

/// Nothing is nothing however often it is summed; another integer is summed once for each row.
fn literal(value: &ScalarValue, known: &Known<'_>) -> Option<(Expr, Nulls)> {
    let same = || Expr::Literal(value.clone(), None);
    if value.is_null() {
        return Some((same(), Nulls::Some));
    }
    match value {
        ScalarValue::Decimal128(Some(0), ..) => Some((same(), Nulls::Never)),
        ScalarValue::Int64(Some(0)) => Some((same(), Nulls::Never)),
        ScalarValue::Int64(Some(1)) => Some((known.rows.clone(), Nulls::Never)),
        ScalarValue::Int64(Some(times)) => Some((lit(*times) * known.rows.clone(), Nulls::Never)),
        _ => None,
    }
}

fn binary_over(binary: &BinaryExpr, known: &Known<'_>) -> DataFusionResult<Option<(Expr, Nulls)>> {
    let BinaryExpr { left, op, right } = binary;
    let make = |left: Expr, right: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(left), *op, Box::new(right)));
    match op {
        Operator::Plus | Operator::Minus => {
            // A row with NULL on one side is left out of the sum with both of its sides: they have to have it together.
            match (over(left, known)?, over(right, known)?) {
                (Some((left, nulls)), Some((right, others))) if nulls.are(&others) => {
                    Ok(Some((make(left, right), nulls)))
                }
                _ => Ok(None),
            }
        }
        Operator::Multiply => {
            let (factor, of, first) = match (left.as_ref(), right.as_ref()) {
                (Expr::Literal(..), of) => (left, of, true),
                (of, Expr::Literal(..)) => (right, of, false),
                _ => return Ok(None),
            };
            let exact = match (factor.get_type(known.schema)?, of.get_type(known.schema)?) {
                (DataType::Decimal128(_, one), DataType::Decimal128(_, other)) => {
                    let whole = Expr::BinaryExpr(binary.clone()).get_type(known.schema)?;
                    matches!(whole, DataType::Decimal128(_, scale) if scale == one + other)
                }
                _ => false,
            };
            let Some((of, nulls)) = over(of, known)?.filter(|_| exact) else {
                return Ok(None);
            };
            let factor = factor.as_ref().clone();
            let made = if first { make(factor, of) } else { make(of, factor) };
            Ok(Some((made, nulls)))
        }
        _ => Ok(None),
    }
}

/// A cast that loses no digits.
fn cast_over(cast: &Cast, known: &Known<'_>) -> DataFusionResult<Option<(Expr, Nulls)>> {
    let target = cast.field.data_type();
    let keeps = match (cast.expr.get_type(known.schema)?, target) {
        (DataType::Decimal128(_, from), DataType::Decimal128(_, to)) => from <= *to,
        (DataType::Int64 | DataType::Null, DataType::Decimal128(..) | DataType::Int64) => true,
        _ => false,
    };
    let inner = over(&cast.expr, known)?.filter(|_| keeps);
    Ok(inner.map(|(expr, nulls)| (Expr::Cast(Cast::new(Box::new(expr), target.clone())), nulls)))
}

fn case_over(case: &Case, known: &Known<'_>) -> DataFusionResult<Option<(Expr, Nulls)>> {
    let dimension = |expr: &Expr| dimension::over(expr, known.find);
    let base = match &case.expr {
        None => None,
        Some(expr) => match dimension(expr)? {
            Some(expr) => Some(Box::new(expr)),
            None => return Ok(None),
        },
    };
    let mut nulls = Nulls::Never;
    let mut branches = Vec::with_capacity(case.when_then_expr.len());
    for (when, then) in &case.when_then_expr {
        let (Some(when), Some((then, null))) = (dimension(when)?, over(then, known)?) else {
            return Ok(None);
        };
        nulls = nulls.or(null);
        branches.push((Box::new(when), Box::new(then)));
    }
    let otherwise = match &case.else_expr {
        None => {
            nulls = Nulls::Some;
            None
        }
        Some(expr) => match over(expr, known)? {
            Some((expr, null)) => {
                nulls = nulls.or(null);
                Some(Box::new(expr))
            }
            None => return Ok(None),
        },
    };
    Ok(Some((Expr::Case(Case::new(base, branches, otherwise)), nulls)))
}

fn call_over(call: &ScalarFunction, known: &Known<'_>) -> DataFusionResult<Option<(Expr, Nulls)>> {
    match (call.name(), call.args.as_slice()) {
        (EXACT_AMOUNT, [Expr::Column(column)]) => Ok(summed((known.find_exact)(column))),
        ("coalesce", [first, Expr::Literal(zero, _)]) if is_zero(zero) => {
            // All NULL, and the sum is 0 then as it is for each row.
            let first = over(first, known)?;
            Ok(first.map(|(expr, _)| {
                let args = vec![expr, Expr::Literal(zero.clone(), None)];
                (
                    Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)),
                    Nulls::Never,
                )
            }))
        }
        _ => Ok(None),
    }
}

fn is_zero(value: &ScalarValue) -> bool {
    matches!(
        value,
        ScalarValue::Decimal128(Some(0), ..) | ScalarValue::Int64(Some(0))
    )
}

/// The expression of doubles over the decimals that they mean; `None` if it is made of others than those columns that `is_exact`
/// takes.
pub(super) fn exact(expr: &Expr, is_exact: &dyn Fn(&Column) -> bool) -> Option<Expr> {
    let nothing = |value: &ScalarValue| match value {
        ScalarValue::Float64(Some(0.0)) => Some(lit(ScalarValue::Decimal128(Some(0), PRECISION, SCALE))),
        ScalarValue::Float64(None) => Some(lit(ScalarValue::Decimal128(None, PRECISION, SCALE))),
        _ => None,
    };
    match expr {
        Expr::Alias(alias) => exact(&alias.expr, is_exact),
        Expr::Column(column) => is_exact(column).then(|| exact_amount(expr.clone())),
        Expr::Literal(value, _) => nothing(value),
        Expr::Negative(inner) => Some(Expr::Negative(Box::new(exact(inner, is_exact)?))),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Operator::Plus | Operator::Minus) => {
            let (left, right) = (exact(left, is_exact)?, exact(right, is_exact)?);
            let sum = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), *op, Box::new(right)));
            Some(Expr::Cast(Cast::new(Box::new(sum), MONEY)))
        }
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter();
            let branches = branches.map(|(when, then)| Some((when.clone(), Box::new(exact(then, is_exact)?))));
            let otherwise = match &case.else_expr {
                None => None,
                Some(expr) => Some(Box::new(exact(expr, is_exact)?)),
            };
            let branches = branches.collect::<Option<Vec<_>>>()?;
            Some(Expr::Case(Case::new(case.expr.clone(), branches, otherwise)))
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => {
            let args = call
                .args
                .iter()
                .map(|arg| exact(arg, is_exact))
                .collect::<Option<Vec<_>>>()?;
            Some(Expr::ScalarFunction(ScalarFunction::new_udf(call.func.clone(), args)))
        }
        _ => None,
    }
}
