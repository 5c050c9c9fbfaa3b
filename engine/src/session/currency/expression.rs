//! The currency of an expression's value, and the check of what is put together in one row.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::expr::{Case, Exists, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, Subquery};

use super::function::one_currency;
use super::{Carried, Carrier, Currency};

/// NULL of text: no currency.
pub(super) fn no_currency() -> Expr {
    Expr::Literal(ScalarValue::Utf8View(None), None)
}

/// `currency` where `value` is not NULL: absent values are in no currency.
pub(super) fn where_present(value: &Expr, currency: Expr) -> Expr {
    Expr::Case(Case::new(
        None,
        vec![(Box::new(value.clone().is_not_null()), Box::new(currency))],
        Some(Box::new(no_currency())),
    ))
}

/// The expressions of currency, each once; `None` if one is lost.
pub(super) fn distinct(currencies: &[Currency]) -> Option<Vec<Expr>> {
    let mut found: Vec<Expr> = Vec::new();
    for currency in currencies {
        match currency {
            Currency::None => {}
            Currency::Lost => return None,
            Currency::Of(expr) if found.contains(expr) => {}
            Currency::Of(expr) => found.push(expr.clone()),
        }
    }
    Some(found)
}

impl Carrier<'_> {
    /// The expression over a plan with currencies, and the currency of its value.
    pub(super) fn value(&self, expr: Expr, input: &Carried) -> DataFusionResult<(Expr, Currency)> {
        match expr {
            Expr::Column(column) => {
                let place = input.place_of(&column);
                let currency = place.map_or(Currency::None, |place| input.currency(place));
                Ok((Expr::Column(column), currency))
            }
            Expr::Case(case) => self.case(case, input),
            Expr::ScalarFunction(call) => self.call(call, input),
            Expr::ScalarSubquery(query) => self.scalar_query(query),
            Expr::Exists(Exists { subquery, negated }) => {
                let subquery = self.query(subquery)?;
                Ok((Expr::Exists(Exists { subquery, negated }), Currency::None))
            }
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                let expr = Box::new(self.value(*expr, input)?.0);
                let subquery = self.query(subquery)?;
                Ok((
                    Expr::InSubquery(InSubquery::new(expr, subquery, negated)),
                    Currency::None,
                ))
            }
            Expr::SetComparison(comparison) => {
                let expr = Box::new(self.value(*comparison.expr, input)?.0);
                let subquery = self.query(comparison.subquery)?;
                let comparison = SetComparison::new(expr, subquery, comparison.op, comparison.quantifier);
                Ok((Expr::SetComparison(comparison), Currency::None))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left, one) = self.value(*left, input)?;
                let (right, other) = self.value(*right, input)?;
                let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)));
                Ok(operation(expr, op, one, other))
            }
            other => {
                let mut currencies = Vec::new();
                let truth = is_truth(&other);
                let expr = other.map_children(|child| {
                    let (child, currency) = self.value(child, input)?;
                    currencies.push(currency);
                    Ok(Transformed::yes(child))
                })?;
                if truth {
                    return Ok((expr.data, Currency::None));
                }
                // Whatever has no value of its own (an alias, a cast, a sign) is in the currency of what it is made of.
                Ok(together(expr.data, &currencies))
            }
        }
    }

    fn case(&self, case: Case, input: &Carried) -> DataFusionResult<(Expr, Currency)> {
        let inner = |expr: Box<Expr>| self.value(*expr, input);
        let operand = case
            .expr
            .map(|expr| inner(expr).map(|(expr, _)| Box::new(expr)))
            .transpose()?;
        let (mut branches, mut codes, mut currencies) = (Vec::new(), Vec::new(), Vec::new());
        let code = |currency: &Currency| match currency {
            Currency::Of(expr) => Box::new(expr.clone()),
            Currency::None | Currency::Lost => Box::new(no_currency()),
        };
        for (when, then) in case.when_then_expr {
            let when = Box::new(inner(when)?.0);
            let (then, currency) = inner(then)?;
            codes.push((when.clone(), code(&currency)));
            branches.push((when, Box::new(then)));
            currencies.push(currency);
        }
        let otherwise = case.else_expr.map(inner).transpose()?;
        let otherwise = otherwise.map(|(expr, currency)| {
            let code = code(&currency);
            currencies.push(currency);
            (Box::new(expr), code)
        });
        let (otherwise, code) = otherwise.unzip();
        let currency = match distinct(&currencies) {
            None => Currency::Lost,
            Some(found) if found.is_empty() => Currency::None,
            // Of each branch its own; a branch that is no amount has none.
            Some(_) => Currency::Of(Expr::Case(Case::new(
                operand.clone(),
                codes,
                Some(code.unwrap_or_else(|| Box::new(no_currency()))),
            ))),
        };
        Ok((Expr::Case(Case::new(operand, branches, otherwise)), currency))
    }

    fn call(&self, call: ScalarFunction, input: &Carried) -> DataFusionResult<(Expr, Currency)> {
        let (mut arguments, mut currencies) = (Vec::new(), Vec::new());
        for argument in call.args {
            let (argument, currency) = self.value(argument, input)?;
            arguments.push(argument);
            currencies.push(currency);
        }
        let name = call.func.name().to_owned();
        let expr = Expr::ScalarFunction(ScalarFunction::new_udf(call.func, arguments.clone()));
        Ok(match name.as_str() {
            // Its value is that of the first argument or NULL.
            "nullif" => (expr, currencies.swap_remove(0)),
            // Its value is that of one argument.
            "coalesce" => match distinct(&currencies) {
                None => (expr, Currency::Lost),
                Some(found) if found.is_empty() => (expr, Currency::None),
                Some(_) => {
                    let codes = arguments.iter().zip(&currencies).map(|(argument, currency)| {
                        let code = match currency {
                            Currency::Of(code) => code.clone(),
                            Currency::None | Currency::Lost => no_currency(),
                        };
                        (Box::new(argument.clone().is_not_null()), Box::new(code))
                    });
                    let code = Case::new(None, codes.collect(), Some(Box::new(no_currency())));
                    (expr, Currency::Of(Expr::Case(code)))
                }
            },
            _ => together(expr, &currencies),
        })
    }

    /// A subquery as an amount: what its currency is, the same query says with its currency for its value.
    fn scalar_query(&self, query: Subquery) -> DataFusionResult<(Expr, Currency)> {
        let schema = Arc::clone(query.subquery.schema());
        let carried = self.carry(Arc::unwrap_or_clone(Arc::clone(&query.subquery)))?;
        let currency = match carried.currency(0) {
            Currency::Of(code) => {
                let plan = LogicalPlanBuilder::new(carried.plan.clone())
                    .project(vec![code])?
                    .build()?;
                Currency::Of(Expr::ScalarSubquery(query.with_plan(Arc::new(plan))))
            }
            other => other,
        };
        let plan = carried.settle(&schema)?.plan;
        Ok((Expr::ScalarSubquery(query.with_plan(Arc::new(plan))), currency))
    }

    /// A subquery whose value is no amount.
    fn query(&self, query: Subquery) -> DataFusionResult<Subquery> {
        let schema = Arc::clone(query.subquery.schema());
        let plan: LogicalPlan = Arc::unwrap_or_clone(Arc::clone(&query.subquery));
        let plan = self.carry(plan)?.settle(&schema)?.plan;
        Ok(query.with_plan(Arc::new(plan)))
    }
}

/// Whether the expression is true or false, whatever it is made of.
fn is_truth(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::InList(_)
    )
}

fn operation(expr: Expr, op: Operator, one: Currency, other: Currency) -> (Expr, Currency) {
    if op.is_logic_operator() || op.supports_propagation() || is_comparison(op) {
        return (expr, Currency::None);
    }
    // One amount by another of its currency is a number without one.
    if op == Operator::Divide && one != Currency::None && other != Currency::None {
        let (expr, currency) = together(expr, &[one, other]);
        let currency = match currency {
            Currency::Lost => Currency::Lost,
            Currency::Of(_) | Currency::None => Currency::None,
        };
        return (expr, currency);
    }
    together(expr, &[one, other])
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
            | Operator::RegexMatch
            | Operator::RegexIMatch
            | Operator::RegexNotMatch
            | Operator::RegexNotIMatch
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::NotLikeMatch
            | Operator::NotILikeMatch
    )
}

/// A value that is made of all of these: in their currency if they have one, checked if they may have several.
fn together(expr: Expr, currencies: &[Currency]) -> (Expr, Currency) {
    match distinct(currencies) {
        None => (expr, Currency::Lost),
        Some(found) => match found.as_slice() {
            [] => (expr, Currency::None),
            [one] => (expr, Currency::Of(one.clone())),
            _ => (one_currency(expr, found.clone()), Currency::Of(coalesce(found))),
        },
    }
}
