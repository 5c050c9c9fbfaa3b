//! Look-ups in maps, `tags['user_env']` and `tag('Env')`, become reads of the columns that clustered files have for frequent
//! keys; of a key that no row has, NULL.
//!
//! A look-up stands somewhere above the scan whose map it reads. It is carried down to it, through projections, filters and
//! unions, and arrives there as a column; where a branch of a union has no such column, the look-up itself is evaluated there.
//! It cannot fail, so it does not matter on how many rows it is. The account filter lies below all of it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions::expr_fn::{coalesce, nullif};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Projection, SubqueryAlias, TableScan, TableScanBuilder, Union, cast, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::costs::tag;
use crate::snapshot::clustered::OWN_COLUMN;
use crate::table::{KeyPlace, SnapshotTable};

/// The rule.
#[derive(Debug)]
pub(super) struct ShreddedKeys;

impl OptimizerRule for ShreddedKeys {
    fn name(&self) -> &str {
        "shredded_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> DataFusionResult<Transformed<LogicalPlan>> {
        if !reads_stored_keys(&plan)? {
            return Ok(Transformed::no(plan));
        }
        let mut names = 0;
        plan.transform_down_with_subqueries(|node| consume(node, &mut names))
    }
}

/// Whether any scan could give a column for a key at all.
fn reads_stored_keys(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source)?;
            found |= provider
                .downcast_ref::<SnapshotTable>()
                .is_some_and(|table| table.stored().has_keys());
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// Replaces the look-ups of one node.
fn consume(node: LogicalPlan, names: &mut usize) -> DataFusionResult<Transformed<LogicalPlan>> {
    let input = match &node {
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::Filter(filter) => &filter.input,
        LogicalPlan::Aggregate(aggregate) => &aggregate.input,
        _ => return Ok(Transformed::no(node)),
    };
    let mut wanted: Vec<Expr> = Vec::new();
    for expr in node.expressions() {
        expr.apply(|expr| {
            if is_lookup(expr) && !wanted.contains(expr) {
                wanted.push(expr.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let mut below = LogicalPlan::clone(input);
    let mut places: HashMap<Expr, Expr> = HashMap::new();
    for lookup in wanted {
        let carried = carry(&lookup, &below, names)?;
        if carried.found {
            below = carried.plan;
            places.insert(lookup, carried.value);
        }
    }
    if places.is_empty() {
        return Ok(Transformed::no(node));
    }
    let columns: Vec<Expr> = node.schema().columns().into_iter().map(Expr::Column).collect();
    let preserver = NamePreserver::new(&node);
    let expressions = node.expressions().into_iter().map(|expr| {
        let name = preserver.save(&expr);
        let replaced = expr.transform_down(|expr| {
            Ok(match places.get(&expr) {
                Some(place) => Transformed::new(place.clone(), true, TreeNodeRecursion::Jump),
                None => Transformed::no(expr),
            })
        })?;
        Ok(name.restore(replaced.data))
    });
    let expressions = expressions.collect::<DataFusionResult<Vec<_>>>()?;
    let is_filter = matches!(node, LogicalPlan::Filter(_));
    let mut replaced = node.with_new_exprs(expressions, vec![below])?;
    if is_filter {
        // What was carried up to it ends here.
        replaced = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(replaced))?);
    }
    Ok(Transformed::yes(replaced))
}

fn is_lookup(expr: &Expr) -> bool {
    element(expr).is_some() || tag::call_of(expr).is_some_and(|(_, maps, _)| maps.iter().any(is_column))
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_))
}

/// `map['key']`.
fn element(expr: &Expr) -> Option<(&Column, &str)> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    match (call.name(), call.args.as_slice()) {
        ("get_field", [Expr::Column(map), Expr::Literal(key, _)]) => Some((map, key.try_as_str().flatten()?)),
        _ => None,
    }
}

/// A plan with what a look-up needs, and the look-up's value in terms of the plan's columns.
struct Carried {
    plan: LogicalPlan,
    value: Expr,
    /// Whether any scan below has it as a column, or knows that there is none.
    found: bool,
}

/// Carries a look-up that is written in terms of a plan's columns to where they come from.
fn carry(lookup: &Expr, plan: &LogicalPlan, names: &mut usize) -> DataFusionResult<Carried> {
    let here = || Carried {
        plan: plan.clone(),
        value: lookup.clone(),
        found: false,
    };
    Ok(match plan {
        LogicalPlan::TableScan(scan) => at_scan(lookup, scan)?.unwrap_or_else(here),
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let [input] = plan.inputs()[..] else {
                return Ok(here());
            };
            let below = carry(lookup, input, names)?;
            match below.found {
                true => Carried {
                    plan: plan.with_new_exprs(plan.expressions(), vec![below.plan])?,
                    ..below
                },
                false => here(),
            }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inside = translated(lookup, plan.schema(), |at| column_at(alias.input.schema(), at))?;
            let Some(inside) = inside else { return Ok(here()) };
            let below = carry(&inside, &alias.input, names)?;
            if !below.found {
                return Ok(here());
            }
            let outside = SubqueryAlias::try_new(Arc::new(below.plan), alias.alias.clone())?;
            let value = translated(&below.value, outside.input.schema(), |at| {
                column_at(&outside.schema, at)
            })?;
            match value {
                Some(value) => Carried {
                    plan: LogicalPlan::SubqueryAlias(outside),
                    value,
                    found: true,
                },
                None => here(),
            }
        }
        LogicalPlan::Projection(projection) => {
            let inside = translated(lookup, plan.schema(), |at| source_of(projection.expr.get(at)?))?;
            let Some(inside) = inside else { return Ok(here()) };
            let below = carry(&inside, &projection.input, names)?;
            if !below.found {
                return Ok(here());
            }
            let name = next(names);
            let mut columns = projection.expr.clone();
            columns.push(below.value.alias(&name));
            Carried {
                plan: LogicalPlan::Projection(Projection::try_new(columns, Arc::new(below.plan))?),
                value: Expr::Column(Column::from_name(name)),
                found: true,
            }
        }
        LogicalPlan::Union(union) => through_union(lookup, union, names)?.unwrap_or_else(here),
        _ => here(),
    })
}

fn through_union(lookup: &Expr, union: &Union, names: &mut usize) -> DataFusionResult<Option<Carried>> {
    let name = next(names);
    let (mut inputs, mut found) = (Vec::with_capacity(union.inputs.len()), false);
    let mut types: Vec<DataType> = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        let Some(inside) = translated(lookup, &union.schema, |at| column_at(input.schema(), at))? else {
            return Ok(None);
        };
        let below = carry(&inside, input, names)?;
        found |= below.found;
        types.push(below.value.get_type(below.plan.schema())?);
        let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(below.value.alias(&name));
        let columns = Projection::try_new(columns, Arc::new(below.plan))?;
        inputs.push(Arc::new(LogicalPlan::Projection(columns)));
    }
    let Some(r#type) = types
        .first()
        .filter(|first| found && types.iter().all(|other| other == *first))
    else {
        return Ok(None);
    };
    let known = union
        .schema
        .iter()
        .map(|(table, field)| (table.cloned(), Arc::clone(field)));
    let more = (None, Arc::new(Field::new(&name, r#type.clone(), true)));
    let fields = known.chain([more]).collect();
    let schema = DFSchema::new_with_metadata(fields, union.schema.metadata().clone())?;
    Ok(Some(Carried {
        plan: LogicalPlan::Union(Union {
            inputs,
            schema: Arc::new(schema),
        }),
        value: Expr::Column(Column::from_name(name)),
        found: true,
    }))
}

fn next(names: &mut usize) -> String {
    *names += 1;
    format!("{OWN_COLUMN}key_{names}")
}

/// The expression with each column replaced by what stands at its place; `None` where nothing does.
fn translated(expr: &Expr, schema: &DFSchema, place: impl Fn(usize) -> Option<Expr>) -> DataFusionResult<Option<Expr>> {
    let mut lost = false;
    let translated = expr.clone().transform_down(|expr| {
        let Expr::Column(column) = &expr else {
            return Ok(Transformed::no(expr));
        };
        match schema.maybe_index_of_column(column).and_then(&place) {
            Some(source) => Ok(Transformed::new(source, true, TreeNodeRecursion::Jump)),
            None => {
                lost = true;
                Ok(Transformed::no(expr))
            }
        }
    })?;
    Ok((!lost).then_some(translated.data))
}

fn column_at(schema: &DFSchema, at: usize) -> Option<Expr> {
    (at < schema.fields().len()).then(|| Expr::Column(Column::from(schema.qualified_field(at))))
}

/// What a column of a projection is, if it is a column below it or NULL.
fn source_of(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Alias(alias) => source_of(&alias.expr),
        Expr::Column(_) => Some(expr.clone()),
        Expr::Literal(value, _) if value.is_null() => Some(expr.clone()),
        _ => None,
    }
}

/// The value of a look-up at the scan whose map it reads.
fn at_scan(lookup: &Expr, scan: &TableScan) -> DataFusionResult<Option<Carried>> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<SnapshotTable>() else {
        return Ok(None);
    };
    let mut columns = Vec::new();
    let mut read = |name: String| {
        let column = Expr::Column(Column::new(Some(scan.table_name.clone()), &name));
        columns.push(name);
        column
    };
    let value = match (element(lookup), tag::call_of(lookup)) {
        (Some((map, key)), _) => match table.stored().key(&map.name, key) {
            Some(KeyPlace::Column(name)) => cast(read(name), DataType::Utf8),
            Some(KeyPlace::Nowhere) => lit(ScalarValue::Utf8(None)),
            None => return Ok(None),
        },
        (None, Some(call)) => {
            let Some(entries) = tag_entries(table, call) else {
                return Ok(None);
            };
            let blank = || lit(ScalarValue::Utf8View(Some(String::new())));
            let mut values: Vec<Expr> = entries.into_iter().map(|name| nullif(read(name), blank())).collect();
            match values.len() {
                0 => lit(ScalarValue::Utf8View(None)),
                1 => values.swap_remove(0),
                _ => coalesce(values),
            }
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Carried {
        plan: with_columns(scan, table, &columns)?,
        value,
        found: true,
    }))
}

/// The columns of the entries that a call of `tag` means, those that fit best first. `None` where an entry is no column, or
/// where it depends on the row which of two comes first.
fn tag_entries(table: &SnapshotTable, (lookup, maps, wanted): tag::Call<'_>) -> Option<Vec<String>> {
    let mut entries = Vec::new();
    for (place, map) in maps.iter().enumerate() {
        let map = match map {
            Expr::Column(map) => &map.name,
            Expr::Literal(value, _) if value.is_null() => continue,
            _ => return None,
        };
        for key in table.stored().keys(map)? {
            if let Some(fit) = tag::fit(lookup, wanted, key) {
                match table.stored().key(map, key)? {
                    KeyPlace::Column(name) => entries.push(((fit, place), name)),
                    KeyPlace::Nowhere => {}
                }
            }
        }
    }
    entries.sort();
    let ambiguous = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
    (!ambiguous).then(|| entries.into_iter().map(|(_, name)| name).collect())
}

/// The scan with more columns of its files.
fn with_columns(scan: &TableScan, table: &SnapshotTable, columns: &[String]) -> DataFusionResult<LogicalPlan> {
    let known = scan.source.schema();
    let new = columns.iter().filter(|name| known.index_of(name).is_err());
    let table = Arc::new(table.with_keys(new.map(String::as_str)));
    let source = provider_as_source(table);
    let schema = source.schema();
    let mut names: Vec<&str> = scan
        .projected_schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    for name in columns {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let places = names
        .into_iter()
        .map(|name| schema.index_of(name))
        .collect::<Result<_, _>>()?;
    let scan = TableScanBuilder::new(scan.table_name.clone(), source)
        .with_projection(Some(places))
        .with_filters(scan.filters.clone())
        .with_fetch(scan.fetch)
        .build()?;
    Ok(LogicalPlan::TableScan(scan))
}
