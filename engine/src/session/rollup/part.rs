//! One table below an aggregate as inputs of the aggregate: rollups for the months that have them, rows for the others.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as DataFusionResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, lit, when};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

use super::chain::{Part, table_of};
use super::dimension::{self, Found, Nulls};
use super::linear::{self, Known};
use super::{Measured, Need, Switch, where_passes};
use crate::costs::mapping::{self, COLUMNS};
use crate::costs::owners::AccountNames;
use crate::error::Error;
use crate::rollup::columns::{QUANTITIES, is_summed};
use crate::scope::rule::with_filter;
use crate::snapshot::Snapshot;
use crate::snapshot::derived::{COSTS_PREFIX, EXACT_PREFIX, Level, ROWS, Role, Rollup};
use crate::table::{BILLING_PERIOD, SnapshotTable, Stored};

/// The inputs that a part comes to.
pub(super) struct Plans {
    pub inputs: Vec<LogicalPlan>,
    /// Whether a rollup is among them.
    pub rolled: bool,
}

/// The inputs of the aggregate for one part: columns for the groups, then one for each measure. `None` if the part cannot
/// give what the measures need.
pub(super) fn plans(
    part: &Part,
    switch: Switch,
    groups: usize,
    measures: &[Measured],
) -> DataFusionResult<Option<Plans>> {
    let (group_exprs, mut rest) = part.wanted.split_at(groups);
    let mut asked = Vec::with_capacity(measures.len());
    for measured in measures {
        let Some((argument, after)) = rest.split_first() else {
            return Err(Error::defect("a rollup was asked for less than it needs").into());
        };
        let (filter, after) = match (&measured.filter, after.split_first()) {
            (Some(_), Some((filter, after))) => (Some(filter.clone()), after),
            _ => (None, after),
        };
        rest = after;
        let argument = match measured.need {
            Need::Sum { doubles: true } => match linear::exact(argument, &|column| is_exact(part, column)) {
                Some(exact) => exact,
                None => return Ok(None),
            },
            _ => argument.clone(),
        };
        asked.push(Asked {
            need: &measured.need,
            argument,
            filter,
        });
    }
    let asked = AllAsked {
        groups: group_exprs,
        measures: &asked,
    };
    let rows = |plan: LogicalPlan| -> DataFusionResult<LogicalPlan> {
        let plan = filtered(LogicalPlanBuilder::new(plan), part.filters.clone())?;
        plan.project(named(asked.of_rows()?))?.build()
    };
    if switch.is_on()
        && let Some((rolled, covered)) = rolled_up(part, &asked)?
    {
        let kept = |snapshot: &Snapshot| !covered.contains(&snapshot.period);
        let rest = table_of(&part.scan, |table| table.with_snapshots(kept))?;
        let mut inputs = vec![rolled];
        if !rest.snapshots().is_empty() {
            inputs.push(rows(over_table(&part.plan, rest)?)?);
        }
        return Ok(Some(Plans { inputs, rolled: true }));
    }
    Ok(Some(Plans {
        inputs: vec![rows(part.plan.clone())?],
        rolled: false,
    }))
}

/// What one aggregate function asks of a part.
struct Asked<'a> {
    need: &'a Need,
    argument: Expr,
    filter: Option<Expr>,
}

struct AllAsked<'a> {
    groups: &'a [Expr],
    measures: &'a [Asked<'a>],
}

impl AllAsked<'_> {
    /// Over rows, each of which counts once.
    fn of_rows(&self) -> DataFusionResult<Vec<Expr>> {
        let mut exprs = self.groups.to_vec();
        for asked in self.measures {
            let value = match asked.need {
                Need::Sum { .. } | Need::Values(_) | Need::EveryRow(_) => asked.argument.clone(),
                Need::Rows => lit(1_i64),
                Need::Count => when(asked.argument.clone().is_not_null(), lit(1_i64)).end()?,
            };
            exprs.push(where_passes(asked.filter.clone(), value)?);
        }
        Ok(exprs)
    }

    /// Over a rollup; `None` if it lacks something.
    fn of_rollup(&self, known: &Known<'_>) -> DataFusionResult<Option<Vec<Expr>>> {
        let dimension = |expr: &Expr| dimension::over(expr, known.find);
        let mut exprs = Vec::new();
        for group in self.groups {
            match dimension(group)? {
                Some(group) => exprs.push(group),
                None => return Ok(None),
            }
        }
        for asked in self.measures {
            let value = match asked.need {
                Need::Sum { .. } => linear::over(&asked.argument, known)?.map(|(sum, _)| sum),
                Need::Rows => Some(known.rows.clone()),
                Need::Count => match dimension(&asked.argument)? {
                    Some(counted) => Some(when(counted.is_not_null(), known.rows.clone()).end()?),
                    None => None,
                },
                Need::Values(_) => dimension(&asked.argument)?,
                Need::EveryRow(_) => None,
            };
            let filter = match &asked.filter {
                None => None,
                Some(filter) => match dimension(filter)? {
                    Some(filter) => Some(filter),
                    None => return Ok(None),
                },
            };
            match value {
                Some(value) => exprs.push(where_passes(filter, value)?),
                None => return Ok(None),
            }
        }
        Ok(Some(exprs))
    }
}

/// Whether a column has doubles that stand for decimals.
fn is_exact(part: &Part, column: &Column) -> bool {
    let name = column.name.as_str();
    let known = match part.costs {
        Some(_) => QUANTITIES.contains(&name),
        None => is_summed(name),
    };
    let field = part.plan.schema().field_with_unqualified_name(name);
    known && field.is_ok_and(|field| *field.data_type() == DataType::Float64)
}

/// The plan of a part over another table.
fn over_table(plan: &LogicalPlan, table: SnapshotTable) -> DataFusionResult<LogicalPlan> {
    let source = provider_as_source(Arc::new(table));
    let replaced = plan.clone().transform_up(|node| match node {
        LogicalPlan::TableScan(scan) => Ok(Transformed::yes(LogicalPlan::TableScan(TableScan {
            source: Arc::clone(&source),
            ..scan
        }))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(replaced.data)
}

fn filtered(plan: LogicalPlanBuilder, filters: Vec<Expr>) -> DataFusionResult<LogicalPlanBuilder> {
    match conjunction(filters) {
        Some(filter) => plan.filter(filter),
        None => Ok(plan),
    }
}

fn named(exprs: Vec<Expr>) -> Vec<Expr> {
    let named = exprs.into_iter().enumerate();
    named
        .map(|(at, expr)| expr.unalias().alias(format!("farthing_{at}")))
        .collect()
}

type Periods = BTreeSet<crate::id::BillingPeriod>;

/// The part over rollups, and the months that those have; `None` if no level will do.
fn rolled_up(part: &Part, asked: &AllAsked<'_>) -> DataFusionResult<Option<(LogicalPlan, Periods)>> {
    table_of(&part.scan, |table| {
        let mut levels: Vec<(usize, u64, Level, Months<'_>)> = Vec::new();
        let all = table.snapshots().len();
        for level in Level::ALL {
            let months = Months::of(table, level);
            if !months.0.is_empty() {
                levels.push((all - months.0.len(), months.rows(), level, months));
            }
        }
        // Most months first, then fewest rows.
        levels.sort_by_key(|(lacking, rows, level, _)| (*lacking, *rows, *level));
        for (_, _, level, months) in &levels {
            if let Some(plan) = at_level(part, asked, table, (*level, months))? {
                return Ok(Some((
                    plan,
                    months.0.iter().map(|(snapshot, _)| snapshot.period).collect(),
                )));
            }
        }
        Ok(None)
    })?
}

/// The rollups of one level.
struct Months<'a>(Vec<(&'a Snapshot, &'a Rollup)>);

impl<'a> Months<'a> {
    fn of(table: &'a SnapshotTable, level: Level) -> Self {
        let snapshots = table.snapshots().iter();
        let months = snapshots.filter_map(|snapshot| {
            let derived = table.lease().derived_of(snapshot)?;
            let rollup = derived.rollups.iter().find(|rollup| rollup.level == level)?;
            Some((snapshot.as_ref(), rollup))
        });
        Self(months.collect())
    }

    fn rows(&self) -> u64 {
        self.0.iter().map(|(_, rollup)| rollup.file.rows).sum()
    }

    /// What a column is in all of them. `delivered` is the column that it comes from, where that may be absent from a month.
    fn find(&self, name: &str, delivered: Option<&str>, at: &dyn Fn(&str) -> Expr, level: Level) -> Found {
        let mut found: Option<(&str, Role)> = None;
        let mut nulls = Vec::with_capacity(self.0.len());
        for (snapshot, rollup) in &self.0 {
            let Some(column) = rollup.column(name) else {
                let delivers = |name: &str| snapshot.columns.iter().any(|column| column.name == name);
                if delivered.is_none_or(delivers) {
                    return Found::Lost;
                }
                nulls.push(Some(u32::MAX));
                continue;
            };
            if let Role::Sum { nulls: alike } = &column.role {
                nulls.push(*alike);
            }
            found = match (found, &column.role) {
                (None, role) => Some((&column.name, role.clone())),
                (Some((known, _)), _) if known != column.name => return Found::Lost,
                (Some((name, Role::Map { without: mut all, .. })), Role::Map { without, .. }) => {
                    all.extend(without.iter().cloned());
                    Some((
                        name,
                        Role::Map {
                            without: all,
                            keys: None,
                        },
                    ))
                }
                (Some((name, Role::Instant { whole: all })), Role::Instant { whole }) => {
                    Some((name, Role::Instant { whole: all && *whole }))
                }
                (Some((name, Role::Sum { .. })), role @ Role::Sum { .. }) => Some((name, role.clone())),
                (Some((name, known)), role) if known == *role => Some((name, known)),
                _ => return Found::Lost,
            };
        }
        match found {
            None => Found::Lost,
            Some((name, Role::Dimension)) => Found::Same(at(name)),
            Some((name, Role::Map { without, .. })) => Found::Map(at(name), without),
            Some((name, Role::Instant { whole: true })) => Found::Same(at(name)),
            Some((name, Role::Instant { whole: false })) => Found::Cut(at(name), level.grain()),
            Some((name, Role::Sum { .. })) => Found::Sum(at(name), Nulls::of(nulls)),
            Some((_, Role::Rows)) => Found::Lost,
        }
    }
}

/// The columns of `costs` over delivered columns alone.
fn computed(scan: &TableScan, table: &SnapshotTable) -> DataFusionResult<Vec<Expr>> {
    let none = (Stored::default(), AccountNames::default());
    let schema = &scan.projected_schema;
    let exprs = mapping::expressions(schema, table.export(), &none.0, &none.1)?;
    // These have not been through the analyser, which makes types meet.
    let context = SimplifyContext::builder().with_schema(Arc::clone(schema)).build();
    let simplifier = ExprSimplifier::new(context);
    exprs
        .into_iter()
        .map(|expr| simplifier.coerce(expr.unalias(), schema))
        .collect()
}

fn at_level(
    part: &Part,
    asked: &AllAsked<'_>,
    table: &SnapshotTable,
    (level, months): (Level, &Months<'_>),
) -> DataFusionResult<Option<LogicalPlan>> {
    let name = TableReference::partial("rollups", format!("{}_{}", table.export().id, level.as_str()));
    let used: RefCell<BTreeSet<String>> = RefCell::default();
    let at = |column: &str| {
        used.borrow_mut().insert(column.to_owned());
        Expr::Column(Column::new(Some(name.clone()), column))
    };
    let raw = |column: &Column| match column.name.as_str() {
        BILLING_PERIOD => Found::Same(at(BILLING_PERIOD)),
        column => months.find(column, Some(column), &at, level),
    };
    // Files that store columns of `costs` are read by those; a rollup has what they are computed of.
    let computed = match part.costs {
        Some(_) => computed(&part.scan, table)?,
        None => Vec::new(),
    };
    let delivered = |column: &Column| {
        let stored = table.stored().costs_column_of(&column.name);
        let place = stored.and_then(|stored| COLUMNS.iter().position(|known| known.name == stored));
        match place.and_then(|place| computed.get(place)) {
            None => raw(column),
            Some(expr) => match dimension::over(expr, &raw) {
                Ok(Some(expr)) => Found::Same(expr),
                _ => Found::Lost,
            },
        }
    };
    let summed = |column: &Column| {
        let sum = format!("{EXACT_PREFIX}{}", column.name);
        months.find(&sum, Some(&column.name), &at, level)
    };
    let of_costs = |column: &Column| -> Found {
        let own = months.find(&format!("{COSTS_PREFIX}{}", column.name), None, &at, level);
        let (Found::Lost, Some((projection, _))) = (&own, &part.costs) else {
            return own;
        };
        let place = COLUMNS.iter().position(|known| known.name == column.name);
        let Some(expr) = place.and_then(|place| projection.expr.get(place)) else {
            return Found::Lost;
        };
        match expr.clone().unalias() {
            Expr::Column(column) => delivered(&column),
            expr => match dimension::over(&expr, &delivered) {
                Ok(Some(expr)) => Found::Same(expr),
                _ => Found::Lost,
            },
        }
    };
    let rows = at(ROWS);
    let known = match part.costs {
        Some(_) => Known {
            find: &of_costs,
            find_exact: &of_costs,
            rows: &rows,
            schema: part.plan.schema(),
        },
        None => Known {
            find: &delivered,
            find_exact: &summed,
            rows: &rows,
            schema: part.plan.schema(),
        },
    };
    let mut filters = Vec::new();
    for filter in &part.filters {
        match dimension::over(filter, known.find)? {
            Some(filter) => filters.push(filter),
            None => return Ok(None),
        }
    }
    for condition in part.costs.iter().flat_map(|(_, conditions)| conditions) {
        match dimension::over(condition, &delivered)? {
            Some(condition) => filters.push(condition),
            None => return Ok(None),
        }
    }
    let Some(exprs) = asked.of_rollup(&known)? else {
        return Ok(None);
    };
    let used = used.borrow();
    let table = table.rolled_up(&months.0, level, |column| used.contains(column))?;
    let scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(table)), None)?.build()?;
    let plan = LogicalPlanBuilder::new(with_filter(scan)?);
    filtered(plan, filters)?.project(named(exprs))?.build().map(Some)
}
