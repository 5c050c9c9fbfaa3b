//! The plan whose rows a [`Builder`] sums: dimensions, instant, resource id and exact numbers of every row of a snapshot.

use std::sync::Arc;

use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::build::{Builder, Dimension, Kind};
use super::columns::{Columns, OF_RESOURCES, QUANTITIES, has, summed};
use crate::catalog::Export;
use crate::costs::mapping::{self, CostType};
use crate::costs::owners::AccountNames;
use crate::money::function::exact_amount;
use crate::snapshot::derived::{COSTS_PREFIX, EXACT_PREFIX};
use crate::snapshot::{ColumnType, Snapshot};
use crate::table::SnapshotTable;

/// A sum of a rollup.
#[derive(Debug, Clone)]
pub struct Sum {
    /// The name of its column.
    pub name: String,
    /// Other names of columns that would be the same.
    pub also: Vec<String>,
}

/// What is read of a snapshot, and what it is read into.
pub struct Reading {
    /// The plan.
    pub plan: LogicalPlan,
    /// Takes the plan's batches.
    pub builder: Builder,
    /// The sums, in their order.
    pub sums: Vec<Sum>,
    /// The columns with the start of charges and with resource ids, if there are any.
    pub instants: [Option<&'static str>; 2],
}

/// The reading of a snapshot whose rows `table` has, for rollups of at most `most` rows; `None` for exports that are not
/// costs.
pub fn reading(
    export: &Export,
    snapshot: &Snapshot,
    table: SnapshotTable,
    most: usize,
) -> DataFusionResult<Option<Reading>> {
    let Some(columns) = Columns::of(export.kind) else {
        return Ok(None);
    };
    if !has(snapshot, columns.start, ColumnType::Timestamp) {
        return Ok(None);
    }
    let stored = table.stored().clone();
    let rows = TableReference::bare("rows");
    let scan = LogicalPlanBuilder::scan(rows.clone(), provider_as_source(Arc::new(table)), None)?;
    let delivered = |name: &str| Expr::Column(Column::new(Some(rows.clone()), name));
    let costs = mapping::expressions(scan.schema(), export, &stored, &AccountNames::default())?;
    let costs_of = |name: &str| {
        let place = mapping::COLUMNS.iter().position(|column| column.name == name);
        place.and_then(|place| costs.get(place)).cloned().map(Expr::unalias)
    };
    let (mut dimensions, mut read) = (Vec::new(), Vec::new());
    for (name, overview) in columns.dimensions_of(snapshot) {
        dimensions.push(Dimension::new(name, Kind::Text, overview));
        read.push(delivered(name));
    }
    // What is dear to compute, or no function of the other dimensions.
    let mut own: Vec<(Expr, Dimension)> = Vec::new();
    for name in mapping::derivations(scan.schema(), export)?.stored.into_keys() {
        let text = mapping::type_of(&name).is_some_and(|r#type| r#type.is_string());
        let Some(expr) = costs_of(&name).filter(|_| text && !name.starts_with(OF_RESOURCES)) else {
            continue;
        };
        let name = format!("{COSTS_PREFIX}{name}");
        match own.iter_mut().find(|(known, _)| *known == expr) {
            Some((_, dimension)) => dimension.also.push(name),
            None => own.push((expr, Dimension::new(name, Kind::Text, false))),
        }
    }
    for (expr, mut dimension) in own {
        dimension.overview = expr
            .column_refs()
            .into_iter()
            .all(|column| columns.in_overview(&column.name));
        dimensions.push(dimension);
        read.push(expr);
    }
    for name in columns
        .instants
        .iter()
        .filter(|name| has(snapshot, name, ColumnType::Timestamp))
    {
        dimensions.push(Dimension::new(*name, Kind::Instant, true));
        read.push(delivered(name));
    }
    for name in columns
        .maps
        .iter()
        .filter(|name| has(snapshot, name, ColumnType::TextMap))
    {
        dimensions.push(Dimension::new(*name, Kind::Map, false));
        read.push(delivered(name));
    }
    read.push(delivered(columns.start));
    let resource = has(snapshot, columns.resource, ColumnType::Text).then_some(columns.resource);
    read.extend(resource.map(delivered));
    let mut sums: Vec<(Sum, Expr)> = Vec::new();
    let amounts = mapping::COLUMNS
        .iter()
        .filter(|column| column.r#type == CostType::Money && !column.name.ends_with("_unit_price"));
    let amounts = amounts.filter_map(|column| Some((format!("{COSTS_PREFIX}{}", column.name), costs_of(column.name)?)));
    let quantities = QUANTITIES.iter().filter_map(|name| {
        let quantity = costs_of(name)?;
        Some((format!("{COSTS_PREFIX}{name}"), exact_amount(quantity)))
    });
    let numbers = summed(snapshot).map(|name| (format!("{EXACT_PREFIX}{name}"), exact_amount(delivered(name))));
    for (name, expr) in amounts.chain(quantities).chain(numbers) {
        match sums.iter_mut().find(|(_, known)| *known == expr) {
            Some((sum, _)) => sum.also.push(name),
            None => sums.push((Sum { name, also: Vec::new() }, expr)),
        }
    }
    let (sums, exprs): (Vec<Sum>, Vec<Expr>) = sums.into_iter().unzip();
    read.extend(exprs);
    let builder = Builder::new(dimensions, resource.is_some(), sums.len(), most);
    let read = read
        .into_iter()
        .enumerate()
        .map(|(n, expr)| expr.alias(format!("c{n}")));
    let plan = scan.project(read.collect::<Vec<_>>())?.build()?;
    Ok(Some(Reading {
        plan,
        builder,
        sums,
        instants: [Some(columns.start), resource],
    }))
}
