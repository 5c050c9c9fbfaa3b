//! The logical rule that sums once what a statement sums twice: `SELECT sum(billed_cost) FROM costs_daily`.
//!
//! `costs_daily` groups by two dozen columns, and most statements want a few. A sum of sums is the sum of all rows, so the groups in
//! between need not be made, and the doubles that they would be rounded to are not summed in whatever order they come. Whatever
//! stands between the two aggregates and decides which groups there are (HAVING, LIMIT, DISTINCT) keeps them apart.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, Filter, LogicalPlan, lit};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Merges sums over sums.
#[derive(Debug)]
pub(super) struct SumOfSums;

impl OptimizerRule for SumOfSums {
    fn name(&self) -> &str {
        "sum_of_sums"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(outer) = &plan else {
            return Ok(Transformed::no(plan));
        };
        match merged(outer)? {
            Some(aggregate) => Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate))),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// Moves conditions on the groups of an aggregate below it, and no further, so that sums of sums meet.
#[derive(Debug)]
pub(super) struct FilterBelowGroups;

impl OptimizerRule for FilterBelowGroups {
    fn name(&self) -> &str {
        "filter_below_groups"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let Some(inner) = below(&filter.input) else {
            return Ok(Transformed::no(plan));
        };
        if inner
            .group_expr
            .iter()
            .any(|group| matches!(group, Expr::GroupingSet(_)))
        {
            return Ok(Transformed::no(plan));
        }
        match grouped(&filter.predicate, &filter.input, inner)? {
            Some(condition) => Ok(Transformed::yes(with_condition(&filter.input, &condition)?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// The plan with a condition on the rows of the aggregate in it.
fn with_condition(plan: &LogicalPlan, condition: &Expr) -> DataFusionResult<LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => {
            let rows = Filter::try_new(condition.clone(), Arc::clone(&aggregate.input))?;
            let input = Arc::new(LogicalPlan::Filter(rows));
            Ok(LogicalPlan::Aggregate(Aggregate::try_new_with_schema(
                input,
                aggregate.group_expr.clone(),
                aggregate.aggr_expr.clone(),
                Arc::clone(&aggregate.schema),
            )?))
        }
        other => {
            let inputs = other.inputs().into_iter().map(|input| with_condition(input, condition));
            let inputs = inputs.collect::<DataFusionResult<Vec<_>>>()?;
            other.with_new_exprs(other.expressions(), inputs)
        }
    }
}

/// The one aggregate that gives what the two give; `None` where none does.
fn merged(outer: &Aggregate) -> DataFusionResult<Option<Aggregate>> {
    let Some(inner) = below(&outer.input) else {
        return Ok(None);
    };
    let sets = |groups: &[Expr]| groups.iter().any(|group| matches!(group, Expr::GroupingSet(_)));
    // Without groups the inner one gives a row of nothing, too.
    if outer.aggr_expr.is_empty() || inner.group_expr.is_empty() || sets(&outer.group_expr) || sets(&inner.group_expr) {
        return Ok(None);
    }
    let names: Vec<Column> = outer.schema.iter().map(Column::from).collect();
    let named = |expr: Expr, at: usize| -> Option<Expr> {
        let name = names.get(at)?;
        Some(expr.alias_qualified(name.relation.clone(), name.name.clone()))
    };
    let mut groups = Vec::with_capacity(outer.group_expr.len());
    for (at, group) in outer.group_expr.iter().enumerate() {
        let Some(group) = grouped(group, &outer.input, inner)?.and_then(|group| named(group, at)) else {
            return Ok(None);
        };
        groups.push(group);
    }
    let mut sums = Vec::with_capacity(outer.aggr_expr.len());
    for (at, aggregate) in (groups.len()..).zip(&outer.aggr_expr) {
        let Some(sum) = summed(aggregate, &outer.input, inner).and_then(|sum| named(sum, at)) else {
            return Ok(None);
        };
        sums.push(sum);
    }
    let aggregate = Aggregate::try_new(Arc::clone(&inner.input), groups, sums)?;
    let types = |aggregate: &Aggregate| -> Vec<DataType> {
        let fields = aggregate.schema.fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    Ok((types(&aggregate) == types(outer)).then_some(aggregate))
}

/// The aggregate below what only renames.
fn below(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => below(&alias.input),
        LogicalPlan::Projection(projection) => below(&projection.input),
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        _ => None,
    }
}

/// Which column of the aggregate below a column is.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<usize> {
    let at = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let below = Column::from(alias.input.schema().qualified_field(at));
            origin(&alias.input, &below)
        }
        LogicalPlan::Projection(projection) => {
            let mut expr = projection.expr.get(at)?;
            loop {
                match expr {
                    Expr::Alias(alias) => expr = &alias.expr,
                    // A cast to the type that it has.
                    Expr::Cast(cast) => match cast.expr.as_ref() {
                        Expr::Column(column) => {
                            let (_, field) = projection.input.schema().qualified_field_from_column(column).ok()?;
                            if field.data_type() != cast.field.data_type() {
                                return None;
                            }
                            expr = &cast.expr;
                        }
                        _ => return None,
                    },
                    Expr::Column(column) => return origin(&projection.input, column),
                    _ => return None,
                }
            }
        }
        LogicalPlan::Aggregate(_) => Some(at),
        _ => None,
    }
}

/// An expression over columns that the inner aggregate groups by, over the input of that.
fn grouped(group: &Expr, input: &LogicalPlan, inner: &Aggregate) -> DataFusionResult<Option<Expr>> {
    if group.is_volatile() {
        return Ok(None);
    }
    let mut known = true;
    let replaced = group.clone().unalias().transform_up(|expr| {
        let Expr::Column(column) = &expr else {
            // A subquery has columns of its own.
            known &= !matches!(
                expr,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
            );
            return Ok(Transformed::no(expr));
        };
        match origin(input, column).and_then(|at| inner.group_expr.get(at)) {
            Some(group) => Ok(Transformed::yes(group.clone().unalias())),
            None => {
                known = false;
                Ok(Transformed::no(expr))
            }
        }
    })?;
    Ok(known.then_some(replaced.data))
}

/// A sum over the inner aggregate's sums of decimals or doubles, or counts of rows, over the input of that.
fn summed(aggregate: &Expr, input: &LogicalPlan, inner: &Aggregate) -> Option<Expr> {
    let column = match plain_sum(aggregate)? {
        Expr::Column(column) => column,
        _ => return None,
    };
    let at = origin(input, column)?;
    let of = inner.aggr_expr.get(at.checked_sub(inner.group_expr.len())?)?;
    if let Some(argument) = plain_sum(of) {
        let sums = matches!(
            inner.schema.field(at).data_type(),
            DataType::Decimal128(..) | DataType::Float64
        );
        return sums.then(|| sum(argument.clone()));
    }
    counts_rows(of).then(|| sum(lit(1_i64)))
}

fn sum(argument: Expr) -> Expr {
    let sum = AggregateFunction::new_udf(sum_udaf(), vec![argument], false, None, Vec::new(), None);
    Expr::AggregateFunction(sum)
}

/// The argument of a sum of all values.
fn plain_sum(expr: &Expr) -> Option<&Expr> {
    let call = plain(expr).filter(|call| call.func.name() == "sum")?;
    call.params.args.first()
}

/// Whether it counts all rows.
fn counts_rows(expr: &Expr) -> bool {
    plain(expr).is_some_and(|call| {
        let literal = matches!(call.params.args.as_slice(), [Expr::Literal(value, _)] if !value.is_null());
        call.func.name() == "count" && literal
    })
}

/// An aggregate of all values, without conditions.
fn plain(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => plain(&alias.expr),
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            (!params.distinct && params.filter.is_none() && params.order_by.is_empty()).then_some(call)
        }
        _ => None,
    }
}
