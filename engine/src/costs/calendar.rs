//! `costs_daily` and `costs_monthly`: `costs` summed by day or month and by the columns that most reports group by.
//!
//! Both are plans over `costs` and stored nowhere, so that the account filter, authority and money are those of `costs`. A
//! condition on a grouped column is one on `costs`; one on the day or month becomes one on the instants of the rows
//! ([`span::Span`]), and so reaches the files. A day and a month are UTC's, and a row belongs where it begins.

pub mod span;

use datafusion::error::Result as DataFusionResult;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit};

use super::mapping::{COLUMNS, CostColumn, CostType};
use crate::error::Result;
use crate::execute::datafusion_error;
use span::Span;

/// The name of the table by day in the schema `public`.
pub const COSTS_DAILY: &str = "costs_daily";
/// The name of the table by month in the schema `public`.
pub const COSTS_MONTHLY: &str = "costs_monthly";

/// When the row's day or month begins, and when the next one does.
const START: &str = "charge_period_start";
const END: &str = "charge_period_end";

/// What rows are grouped by besides their day or month.
const GROUPS: [&str; 20] = [
    "billing_account_id",
    "billing_account_name",
    "sub_account_id",
    "sub_account_name",
    "billing_currency",
    "x_billing_period",
    "charge_category",
    "charge_class",
    "service_name",
    "x_service_code",
    "region_id",
    "pricing_category",
    "commitment_discount_id",
    "commitment_discount_type",
    "commitment_discount_status",
    "x_line_item_type",
    "x_usage_type",
    "x_operation",
    "consumed_unit",
    "x_export",
];
const CONSUMED: &str = "consumed_quantity";
const ROWS: &str = "x_rows";

/// The columns that are amounts in the billing currency: prices of one unit cannot be summed, and what is in the pricing
/// currency is grouped by another one.
fn amounts() -> impl Iterator<Item = &'static CostColumn> {
    COLUMNS.iter().filter(|column| {
        column.r#type == CostType::Money
            && !column.name.ends_with("_unit_price")
            && !column.name.starts_with("pricing_currency_")
    })
}

/// What a column of either table holds; `None` if there is no such column.
pub fn description(table: &str, column: &str) -> Option<&'static str> {
    let monthly = table == COSTS_MONTHLY;
    match column {
        START if monthly => Some("The first instant of the month (UTC) in which the charges begin."),
        START => Some("The first instant of the day (UTC) in which the charges begin."),
        END if monthly => Some("The first instant of the next month (UTC)."),
        END => Some("The first instant of the next day (UTC)."),
        CONSUMED => Some("The sum of consumed_quantity, in the unit of consumed_unit."),
        ROWS => Some("How many rows of costs the row sums."),
        _ => COLUMNS
            .iter()
            .find(|described| described.name == column)
            .map(|described| described.description),
    }
}

/// The plan over that of `costs`.
pub(crate) fn plan(costs: LogicalPlan, span: Span) -> Result<LogicalPlan> {
    summed(costs, span).map_err(datafusion_error)
}

fn summed(costs: LogicalPlan, span: Span) -> DataFusionResult<LogicalPlan> {
    let measures = || amounts().map(|column| column.name);
    let mut rows = vec![span.start_of(col(START)).alias(START)];
    rows.extend(GROUPS.into_iter().chain([CONSUMED]).chain(measures()).map(col));
    let mut groups = vec![col(START)];
    groups.extend(GROUPS.map(col));
    let name = |name: &str| format!("{name}_sum");
    let mut sums: Vec<Expr> = [CONSUMED]
        .into_iter()
        .chain(measures())
        .map(|measure| sum(col(measure)).alias(name(measure)))
        .collect();
    sums.push(count(lit(1_i64)).alias(ROWS));
    let mut shown = vec![col(START), span.end_of(col(START)).alias(END)];
    shown.extend(GROUPS.map(col));
    shown.push(col(name(CONSUMED)).alias(CONSUMED));
    for column in amounts() {
        shown.push(cast(col(name(column.name)), column.r#type.arrow()).alias(column.name));
    }
    shown.push(col(ROWS));
    LogicalPlanBuilder::new(costs)
        .project(rows)?
        .aggregate(groups, sums)?
        .project(shown)?
        .build()
}

#[cfg(test)]
mod tests;
