//! From an aggregate down to the tables whose rows it sums: what it wants, over the columns of each.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, TableScan};
use datafusion::optimizer::OptimizerConfig;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use crate::costs::mapping::COLUMNS;
use crate::error::Error;
use crate::scope::rule::scope_of;
use crate::table::{SnapshotTable, is_costs_scan};

/// One table below an aggregate.
pub(super) struct Part {
    /// The plan whose columns the expressions are over: that of `costs` over one export, or the export's table.
    pub plan: LogicalPlan,
    /// The scan in it.
    pub scan: TableScan,
    /// The projection that makes `costs`, and the conditions between that and the scan.
    pub costs: Option<(Projection, Vec<Expr>)>,
    /// What is wanted, in the order in which it was asked for.
    pub wanted: Vec<Expr>,
    /// Conditions on the rows.
    pub filters: Vec<Expr>,
}

/// Calls `with` with the table of a part.
pub(super) fn table_of<T>(scan: &TableScan, with: impl FnOnce(&SnapshotTable) -> T) -> DataFusionResult<T> {
    let provider = source_as_provider(&scan.source)?;
    let table = provider
        .downcast_ref::<SnapshotTable>()
        .ok_or_else(|| Error::defect("a part of a rollup is no export's"))?;
    Ok(with(table))
}

/// The tables below `plan`, and `wanted` of each; `None` where something else stands between.
pub(super) fn parts(
    plan: &LogicalPlan,
    wanted: Vec<Expr>,
    config: &dyn OptimizerConfig,
) -> DataFusionResult<Option<Vec<Part>>> {
    if wanted.iter().any(|expr| !is_plain(expr)) {
        return Ok(None);
    }
    let mut parts = Vec::new();
    if !lower(plan, wanted, Vec::new(), &mut parts)? {
        return Ok(None);
    }
    for part in &mut parts {
        simplify(part, config)?;
    }
    Ok(Some(parts))
}

/// Whether an expression is a function of its row alone.
fn is_plain(expr: &Expr) -> bool {
    let other = expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Placeholder(_)
        ))
    });
    !other.unwrap_or(true) && !expr.is_volatile()
}

fn lower(plan: &LogicalPlan, wanted: Vec<Expr>, filters: Vec<Expr>, parts: &mut Vec<Part>) -> DataFusionResult<bool> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let columns: Vec<Expr> = alias.input.schema().columns().into_iter().map(Expr::Column).collect();
            match replaced(plan.schema(), &columns, wanted, filters)? {
                Some((wanted, filters)) => lower(&alias.input, wanted, filters, parts),
                None => Ok(false),
            }
        }
        LogicalPlan::Projection(projection) => {
            if let Some(part) = costs_part(projection, plan)? {
                let (scan, conditions) = part;
                parts.push(Part {
                    plan: plan.clone(),
                    scan,
                    costs: Some((projection.clone(), conditions)),
                    wanted,
                    filters,
                });
                return Ok(true);
            }
            let columns: Vec<Expr> = projection
                .expr
                .iter()
                .map(|expr| expr.clone().unalias_nested().data)
                .collect();
            if columns.iter().any(|expr| !is_plain(expr)) {
                return Ok(false);
            }
            match replaced(plan.schema(), &columns, wanted, filters)? {
                Some((wanted, filters)) => lower(&projection.input, wanted, filters, parts),
                None => Ok(false),
            }
        }
        LogicalPlan::Filter(filter) => {
            if let Some(scan) = scoped_scan(filter) {
                if is_costs_scan(scan) || table_of(scan, SnapshotTable::is_rollup)? {
                    return Ok(false);
                }
                parts.push(Part {
                    plan: plan.clone(),
                    scan: scan.clone(),
                    costs: None,
                    wanted,
                    filters,
                });
                return Ok(true);
            }
            if !is_plain(&filter.predicate) {
                return Ok(false);
            }
            let mut filters = filters;
            filters.extend(split_conjunction_owned(filter.predicate.clone()));
            lower(&filter.input, wanted, filters, parts)
        }
        LogicalPlan::Union(union) => {
            for input in &union.inputs {
                let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
                let Some((wanted, filters)) = replaced(plan.schema(), &columns, wanted.clone(), filters.clone())?
                else {
                    return Ok(false);
                };
                if !lower(input, wanted, filters, parts)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The scan below an account filter.
fn scoped_scan(filter: &Filter) -> Option<&TableScan> {
    match (scope_of(&filter.predicate), filter.input.as_ref()) {
        (Some(_), LogicalPlan::TableScan(scan)) => {
            let provider = source_as_provider(&scan.source).ok()?;
            provider.is::<SnapshotTable>().then_some(scan)
        }
        _ => None,
    }
}

/// The scan below the projection that makes `costs`, and the conditions between the two; `None` for every other projection.
fn costs_part(projection: &Projection, plan: &LogicalPlan) -> DataFusionResult<Option<(TableScan, Vec<Expr>)>> {
    let names = plan.schema().fields().iter().map(|field| field.name().as_str());
    if !names.eq(COLUMNS.iter().map(|column| column.name)) {
        return Ok(None);
    }
    let mut conditions = Vec::new();
    let mut input = projection.input.as_ref();
    while let LogicalPlan::Filter(filter) = input {
        if let Some(scan) = scoped_scan(filter) {
            let costs = is_costs_scan(scan) && !table_of(scan, SnapshotTable::has_lost)?;
            return Ok(costs.then(|| (scan.clone(), conditions)));
        }
        conditions.push(filter.predicate.clone());
        input = &filter.input;
    }
    Ok(None)
}

type Wants = (Vec<Expr>, Vec<Expr>);

/// The expressions with each column of `schema` replaced by the one of `columns` in its place.
fn replaced(
    schema: &DFSchema,
    columns: &[Expr],
    wanted: Vec<Expr>,
    filters: Vec<Expr>,
) -> DataFusionResult<Option<Wants>> {
    let mut known = true;
    let mut all = |exprs: Vec<Expr>| -> DataFusionResult<Vec<Expr>> {
        let exprs = exprs.into_iter().map(|expr| {
            let replaced = expr.transform_up(|expr| match &expr {
                Expr::Column(column) => match place(schema, column).and_then(|at| columns.get(at)) {
                    Some(column) => Ok(Transformed::yes(column.clone())),
                    None => {
                        known = false;
                        Ok(Transformed::no(expr))
                    }
                },
                _ => Ok(Transformed::no(expr)),
            })?;
            Ok(replaced.data)
        });
        exprs.collect()
    };
    let (wanted, filters) = (all(wanted)?, all(filters)?);
    Ok(known.then_some((wanted, filters)))
}

fn place(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

/// Folds what is constant, `now()` too, and takes casts off literals.
fn simplify(part: &mut Part, config: &dyn OptimizerConfig) -> DataFusionResult<()> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(part.plan.schema()))
        .with_config_options(config.options())
        .with_query_execution_start_time(config.query_execution_start_time())
        .build();
    let simplifier = ExprSimplifier::new(context);
    for expr in part.wanted.iter_mut().chain(&mut part.filters) {
        *expr = simplifier.simplify(std::mem::take(expr))?;
    }
    Ok(())
}
