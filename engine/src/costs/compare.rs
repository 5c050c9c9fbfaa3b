//! `system.migration_check`: two exports of one account side by side, month by month and service by service.
//!
//! A plan over the exports' tables, like `costs`, so that the account filter holds over it and everybody compares what they
//! see. It reads both exports anew at each statement; a condition on the month reaches the files of both.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, LogicalPlanBuilder, cast, col, lit, when};

use super::owners::AccountNames;
use super::{mapping, zero};
use crate::catalog::{Export, ExportKind, Lease};
use crate::error::Result;
use crate::execute::datafusion_error;
use crate::money::function::MONEY;
use crate::scope::AccountScope;
use crate::table::{Audience, Files, SnapshotTable};

/// The name of the table in the schema `system`.
pub const MIGRATION_CHECK: &str = "migration_check";

/// The plan of the comparison in one catalog version and scope.
pub(crate) fn plan(lease: &Lease, scope: &AccountScope, files: &Files) -> Result<LogicalPlan> {
    let mut union: Option<LogicalPlanBuilder> = None;
    for (from, to) in pairs(lease) {
        let sides = [
            side(lease, from, Side::From, scope, files)?,
            side(lease, to, Side::To, scope, files)?,
        ];
        for level in [Level::Total, Level::Service] {
            let part = compared(&sides, level, (from, to)).map_err(datafusion_error)?;
            union = Some(match union {
                None => LogicalPlanBuilder::new(part),
                Some(union) => union.union(part).map_err(datafusion_error)?,
            });
        }
    }
    match union {
        Some(union) => union.build().map_err(datafusion_error),
        None => Ok(LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: false,
            schema: Arc::new(DFSchema::try_from(schema()).map_err(datafusion_error)?),
        })),
    }
}

/// The exports of one account in pairs: the legacy report first, else the one that was connected first.
fn pairs(lease: &Lease) -> Vec<(&Export, &Export)> {
    // FOCUS has other rows for the same costs, so that nothing could be found identical.
    let is_report = |export: &&Export| matches!(export.kind, ExportKind::Cur | ExportKind::Cur2);
    let mut exports: Vec<&Export> = lease.document.exports.values().filter(is_report).collect();
    exports.sort_by_key(|export| (export.kind != ExportKind::Cur, export.connected_at, export.id.clone()));
    let mut pairs = Vec::new();
    for (place, from) in exports.iter().enumerate() {
        let others = exports.iter().skip(place + 1);
        pairs.extend(others.filter(|to| to.account == from.account).map(|to| (*from, *to)));
    }
    pairs
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    To,
}

/// What a row compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Total,
    Service,
}

/// The rows of one export, with what they add to either side.
fn side(lease: &Lease, export: &Export, side: Side, scope: &AccountScope, files: &Files) -> Result<LogicalPlan> {
    let snapshots = lease.snapshots.get(&export.id);
    let snapshots = snapshots.into_iter().flat_map(|periods| periods.values().map(|snapshot| lease.readable(snapshot)));
    let table = SnapshotTable::try_new(
        Arc::clone(lease),
        export.clone(),
        snapshots.collect(),
        scope.clone(),
        files.clone(),
        Audience::Costs,
    )?;
    rows_of(export, side, table).map_err(datafusion_error)
}

fn rows_of(export: &Export, side: Side, table: SnapshotTable) -> DataFusionResult<LogicalPlan> {
    let name = TableReference::partial("exports", export.id.as_str());
    let stored = table.stored().clone();
    let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?;
    let columns = mapping::expressions(scan.schema(), export, &stored, &AccountNames::default())?;
    let costs = scan.project(columns)?;
    let (one, none) = (lit(1_i64), lit(0_i64));
    let cost = col("billed_cost");
    let (from, to) = match side {
        Side::From => ((one, cost), (none, zero())),
        Side::To => ((none, zero()), (one, cost)),
    };
    costs
        .project(vec![
            col("x_billing_period").alias("billing_period"),
            col("x_service_code").alias("service_code"),
            col("billing_currency").alias("currency"),
            from.0.alias("from_rows"),
            from.1.alias("from_cost"),
            to.0.alias("to_rows"),
            to.1.alias("to_cost"),
        ])?
        .build()
}

fn compared(sides: &[LogicalPlan; 2], level: Level, (from, to): (&Export, &Export)) -> DataFusionResult<LogicalPlan> {
    let [one, other] = sides;
    let rows = LogicalPlanBuilder::new(one.clone()).union(other.clone())?;
    let mut groups = vec![col("billing_period"), col("currency")];
    if level == Level::Service {
        groups.push(col("service_code"));
    }
    let sums = ["from_rows", "from_cost", "to_rows", "to_cost"].map(|name| sum(col(name)).alias(format!("{name}_sum")));
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let (word, service) = match level {
        Level::Total => ("total", lit(ScalarValue::Utf8View(None))),
        Level::Service => ("service", col("service_code")),
    };
    let count = |name: &str| cast(col(format!("{name}_sum")), DataType::Int64);
    // NULL where no row has a cost.
    let money = |name: &str| coalesce(vec![cast(col(format!("{name}_sum")), MONEY), zero()]);
    let verdict = when(count("to_rows").eq(lit(0_i64)), text("only_in_from"))
        .when(count("from_rows").eq(lit(0_i64)), text("only_in_to"))
        .when(
            count("from_rows")
                .eq(count("to_rows"))
                .and(money("from_cost").eq(money("to_cost"))),
            text("identical"),
        )
        .otherwise(text("differs"))?;
    rows.aggregate(groups, sums)?
        .project(vec![
            text(from.id.as_str()).alias("from_export"),
            text(to.id.as_str()).alias("to_export"),
            col("billing_period").alias("billing_period"),
            text(word).alias("compared"),
            service.alias("service_code"),
            col("currency").alias("currency"),
            count("from_rows").alias("from_rows"),
            count("to_rows").alias("to_rows"),
            money("from_cost").alias("from_cost"),
            money("to_cost").alias("to_cost"),
            cast(money("to_cost") - money("from_cost"), MONEY).alias("cost_difference"),
            verdict.alias("verdict"),
        ])?
        .build()
}

/// The columns, for an empty table.
fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8View, true);
    let count = |name: &str| Field::new(name, DataType::Int64, true);
    let money = |name: &str| Field::new(name, MONEY, true);
    Schema::new(vec![
        text("from_export"),
        text("to_export"),
        text("billing_period"),
        text("compared"),
        text("service_code"),
        text("currency"),
        count("from_rows"),
        count("to_rows"),
        money("from_cost"),
        money("to_cost"),
        money("cost_difference"),
        text("verdict"),
    ])
}
