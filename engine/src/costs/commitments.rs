//! `system.shared_commitments`: Savings Plans and reservations that others own and visible accounts benefit from.
//!
//! The purchase of a commitment is the owner's cost and ignored with it, while the usage that it covers is there. The table
//! is a plan over `costs`: it tells what visible rows say and nothing else. Whose commitment it is, its ARN says.

use arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::expr_fn::split_part;
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit};

use super::owners::AccountNames;
use super::text;
use crate::catalog::Lease;
use crate::error::Result;
use crate::execute::datafusion_error;
use crate::money::function::MONEY;
use crate::scope::AccountScope;
use crate::table::Files;

/// The name of the table in the schema `system`.
pub const SHARED_COMMITMENTS: &str = "shared_commitments";

/// The plan of the table in one catalog version and scope. An owner outside the scope counts as not connected: whether
/// somebody else may see it is not told.
pub(crate) fn plan(lease: &Lease, scope: &AccountScope, files: &Files) -> Result<LogicalPlan> {
    let costs = super::plan(lease, scope, files, &AccountNames::default())?;
    grouped(costs, scope).map_err(datafusion_error)
}

fn grouped(costs: LogicalPlan, scope: &AccountScope) -> DataFusionResult<LogicalPlan> {
    let commitment = "commitment_discount_id";
    let owner = || cast(col("owner"), DataType::Utf8View);
    let connected: Vec<Expr> = scope.accounts().iter().map(|id| text(id.as_str())).collect();
    let covered = col("commitment_discount_status").eq(text("Used"));
    let groups = vec![
        col("x_billing_period"),
        col(commitment),
        col("owner"),
        col("commitment_discount_type"),
        col("billing_currency"),
    ];
    LogicalPlanBuilder::new(costs)
        .filter(covered.and(col(commitment).is_not_null()))?
        .project(vec![
            col("x_billing_period"),
            col(commitment),
            // arn:partition:service:region:account:resource
            split_part(col(commitment), lit(":"), lit(5_i64)).alias("owner"),
            col("commitment_discount_type"),
            col("billing_currency"),
            col("sub_account_id"),
            col("effective_cost"),
        ])?
        .filter(owner().not_eq(text("")).and(owner().in_list(connected, true)))?
        .aggregate(
            groups,
            vec![
                count_distinct(col("sub_account_id")).alias("accounts"),
                count(lit(1_i64)).alias("covered_rows"),
                sum(col("effective_cost")).alias("covered"),
            ],
        )?
        .project(vec![
            col("x_billing_period").alias("billing_period"),
            col(commitment),
            cast(col("owner"), DataType::Utf8View).alias("owner_account_id"),
            col("commitment_discount_type"),
            col("accounts"),
            col("covered_rows"),
            col("billing_currency"),
            cast(col("covered"), MONEY).alias("covered_effective_cost"),
        ])?
        .build()
}
