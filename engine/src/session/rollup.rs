//! The logical rule that answers aggregates from rollups.
//!
//! It takes an aggregate over `costs` or over an export's table apart: what is grouped and filtered by, and what is summed. If
//! a rollup of each month has all of it, the rollup's rows are summed in place of the rows that they stand for. A row of a
//! month without rollups is a rollup row of its own, so that months with and without go together in one answer.
//!
//! It runs first among the optimiser's rules, while `costs` is still the projection that [`crate::costs`] made: a column of
//! `costs` is known by its name there, and by nothing any more once projections are merged.
//!
//! Sums of doubles (quantities, and amounts in the schema `exports`) depend on the order of rows. They are taken over the
//! decimals that the doubles mean, with rollups and without, and shown as doubles again.

mod chain;
mod dimension;
mod linear;
mod part;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result as DataFusionResult};
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, when};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::Switch;
use chain::Part;

/// Answers aggregates from rollups.
#[derive(Debug)]
pub(super) struct RollupRule(pub Switch);

impl OptimizerRule for RollupRule {
    fn name(&self) -> &str {
        "rollup"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
        let rewritten = match &plan {
            LogicalPlan::Aggregate(aggregate) => self.answer(aggregate, config)?,
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let groups = input.schema().columns().into_iter().map(Expr::Column).collect();
                let aggregate = Aggregate::try_new(Arc::clone(input), groups, Vec::new())?;
                self.answer(&aggregate, config)?
            }
            _ => None,
        };
        Ok(match rewritten {
            Some(plan) => Transformed::yes(plan),
            None => Transformed::no(plan),
        })
    }
}

/// What an aggregate function needs of the rows.
enum Need {
    /// The sum of a linear expression.
    Sum {
        /// Whether it is a sum of doubles, taken over decimals.
        doubles: bool,
    },
    /// The number of rows.
    Rows,
    /// The number of rows where an expression over dimensions is not NULL.
    Count,
    /// An expression over dimensions, for a function that does not mind how often it sees a value.
    Values(AggregateFunction),
    /// The expression of every row.
    EveryRow(AggregateFunction),
}

/// An aggregate function of a statement: what it needs, of which expression, on which rows.
struct Measured {
    need: Need,
    argument: Expr,
    filter: Option<Expr>,
}

/// Functions that give the same however often they see a value.
const INDIFFERENT: [&str; 6] = ["min", "max", "bool_and", "bool_or", "approx_distinct", "bit_or"];

/// Functions that need every row and pass over NULL. Sums of doubles beside them are still taken over decimals.
const OF_ROWS: [&str; 6] = ["avg", "stddev", "stddev_pop", "var", "var_pop", "median"];

fn measured(expr: &Expr, input: &LogicalPlan) -> DataFusionResult<Option<Measured>> {
    let expr = match expr {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::AggregateFunction(call) = expr else {
        return Ok(None);
    };
    let params = &call.params;
    if !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Ok(None);
    }
    let [argument] = params.args.as_slice() else {
        return Ok(None);
    };
    let name = call.func.name();
    let need = match name {
        "sum" if !params.distinct => {
            use datafusion::logical_expr::ExprSchemable;
            match argument.get_type(input.schema())? {
                DataType::Float64 => Need::Sum { doubles: true },
                DataType::Decimal128(..) | DataType::Int64 => Need::Sum { doubles: false },
                _ => return Ok(None),
            }
        }
        "count" if !params.distinct => match argument {
            Expr::Literal(value, _) if !value.is_null() => Need::Rows,
            _ => Need::Count,
        },
        "count" => Need::Values(call.clone()),
        name if INDIFFERENT.contains(&name) => Need::Values(call.clone()),
        name if OF_ROWS.contains(&name) => Need::EveryRow(call.clone()),
        _ => return Ok(None),
    };
    Ok(Some(Measured {
        need,
        argument: argument.clone(),
        filter: params.filter.as_deref().cloned(),
    }))
}

impl RollupRule {
    fn answer(&self, aggregate: &Aggregate, config: &dyn OptimizerConfig) -> DataFusionResult<Option<LogicalPlan>> {
        if aggregate
            .group_expr
            .iter()
            .any(|group| matches!(group, Expr::GroupingSet(_)))
        {
            return Ok(None);
        }
        let mut measures = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            match measured(expr, &aggregate.input)? {
                Some(measured) => measures.push(measured),
                None => return Ok(None),
            }
        }
        let doubles = measures
            .iter()
            .any(|measured| matches!(measured.need, Need::Sum { doubles: true }));
        if !self.0.is_on() && !doubles {
            return Ok(None);
        }
        let mut wanted: Vec<Expr> = aggregate
            .group_expr
            .iter()
            .map(|group| group.clone().unalias())
            .collect();
        let groups = wanted.len();
        for measured in &measures {
            wanted.push(measured.argument.clone());
            wanted.extend(measured.filter.clone());
        }
        let Some(parts) = chain::parts(&aggregate.input, wanted, config)? else {
            return Ok(None);
        };
        let mut inputs = Vec::new();
        let mut rolled = false;
        for part in &parts {
            let Some(plans) = self.plans(part, groups, &measures)? else {
                return Ok(None);
            };
            rolled |= plans.rolled;
            inputs.extend(plans.inputs);
        }
        if !rolled && !doubles {
            return Ok(None);
        }
        let Some(union) = united(inputs)? else {
            return Ok(None);
        };
        summed(aggregate, groups, &measures, union)
    }

    fn plans(&self, part: &Part, groups: usize, measures: &[Measured]) -> DataFusionResult<Option<part::Plans>> {
        part::plans(part, self.0, groups, measures)
    }
}

/// One input of all, if their columns have the same types.
fn united(inputs: Vec<LogicalPlan>) -> DataFusionResult<Option<LogicalPlan>> {
    let types = |plan: &LogicalPlan| -> Vec<DataType> {
        let fields = plan.schema().fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    let mut inputs = inputs.into_iter();
    let Some(first) = inputs.next() else {
        return Ok(None);
    };
    let first_types = types(&first);
    let mut union = LogicalPlanBuilder::new(first);
    for input in inputs {
        if types(&input) != first_types {
            return Ok(None);
        }
        union = union.union(input)?;
    }
    union.build().map(Some)
}

/// The aggregate over the united inputs, with the columns of the statement's own.
fn summed(
    aggregate: &Aggregate,
    groups: usize,
    measures: &[Measured],
    input: LogicalPlan,
) -> DataFusionResult<Option<LogicalPlan>> {
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    let group_expr = columns[..groups].to_vec();
    let mut aggr_expr = Vec::with_capacity(measures.len());
    for (measured, column) in measures.iter().zip(&columns[groups..]) {
        let function = match &measured.need {
            Need::Values(call) | Need::EveryRow(call) => {
                let mut call = call.clone();
                call.params.args = vec![column.clone()];
                call.params.filter = None;
                call
            }
            _ => AggregateFunction::new_udf(sum_udaf(), vec![column.clone()], false, None, Vec::new(), None),
        };
        aggr_expr.push(Expr::AggregateFunction(function));
    }
    let made = Aggregate::try_new(Arc::new(input), group_expr, aggr_expr)?;
    let made_columns = made.schema.columns();
    let names: Vec<Column> = aggregate.schema.columns();
    let mut shown = Vec::with_capacity(names.len());
    for (at, (column, name)) in made_columns.into_iter().zip(names).enumerate() {
        let expr = Expr::Column(column);
        let need = at
            .checked_sub(groups)
            .and_then(|at| measures.get(at))
            .map(|measured| &measured.need);
        let expr = match need {
            Some(Need::Sum { doubles: true }) => cast(expr, DataType::Float64),
            Some(Need::Rows | Need::Count) => coalesce(vec![expr, lit(0_i64)]),
            _ => expr,
        };
        shown.push(expr.alias_qualified(name.relation, name.name));
    }
    let plan = LogicalPlanBuilder::new(LogicalPlan::Aggregate(made))
        .project(shown)?
        .build()?;
    let types = |schema: &datafusion::common::DFSchema| -> Vec<DataType> {
        schema.fields().iter().map(|field| field.data_type().clone()).collect()
    };
    Ok((types(plan.schema()) == types(&aggregate.schema)).then_some(plan))
}

/// `value` on the rows that pass.
fn where_passes(filter: Option<Expr>, value: Expr) -> DataFusionResult<Expr> {
    match filter {
        Some(filter) => when(filter, value).end(),
        None => Ok(value),
    }
}
