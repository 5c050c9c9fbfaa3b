//! `reconcile`: of each export and account what was delivered in a month, and what `costs` gives of it now.
//!
//! What was delivered are the control totals of the import. What is visible is computed by reading `costs` in the
//! statement's scope. The difference between the two, after what is ignored and what counts through another export, is
//! computed and must be nothing. Accounts outside the scope have lines, and a part in totals, only for those who see the
//! whole state.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result as DataFusionResult;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::{count, max, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, col, lit, when};

use super::owners::AccountNames;
use super::{Excluded, text, zero};
use crate::catalog::Lease;
use crate::error::Result;
use crate::execute::datafusion_error;
use crate::id::{AccountId, BillingPeriod};
use crate::money::Amount;
use crate::money::function::MONEY;
use crate::scope::AccountScope;
use crate::snapshot::services::ServiceTotals;
use crate::snapshot::{RowOwner, Snapshot};
use crate::system::tables::rows::{Cell, batch, schema};
use crate::system::tables::{COUNT, MONEY as CONTROL_MONEY, TEXT};
use crate::table::Files;

/// The name of the table function.
pub const RECONCILE: &str = "reconcile";

/// The word for a line of one account.
const ACCOUNT: &str = "account";
/// The word for the sum of the lines of an export and currency.
const TOTAL: &str = "total";

/// What is counted.
const COUNTS: [&str; 5] = [
    "rows_delivered",
    "rows_loaded",
    "rows_ignored",
    "rows_elsewhere",
    "rows_visible",
];
/// What is summed.
const SUMS: [&str; 4] = ["cost_delivered", "cost_ignored", "cost_elsewhere", "cost_visible"];

/// Whose lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Of every account in the data.
    All,
    /// Of the accounts in the scope.
    Visible,
}

/// A snapshot, with its totals by service where it has them.
pub(crate) type Delivered = (Arc<Snapshot>, Option<Arc<ServiceTotals>>);

/// The plan of the table for a month.
pub(crate) fn plan(
    lease: &Lease,
    period: BillingPeriod,
    delivered: &[Delivered],
    lines: Lines,
    scope: &AccountScope,
    files: &Files,
) -> Result<LogicalPlan> {
    let excluded = super::excluded(lease);
    let mut control = Control::default();
    for (snapshot, totals) in delivered {
        control.add(snapshot, totals.as_deref(), (&excluded, scope, lines));
    }
    let (columns, control) = control.batch()?;
    let costs = super::plan(lease, scope, files, &AccountNames::default())?;
    compared(costs, period, columns, control).map_err(datafusion_error)
}

/// Sums of one line.
#[derive(Default)]
struct Line {
    name: Option<String>,
    rows: u64,
    cost: Amount,
    visible: bool,
    counted: bool,
    ignored: (u64, Amount),
    elsewhere: (u64, Amount),
}

/// Export, account, currency.
type LineKey = (String, Option<AccountId>, Option<String>);

/// The control totals by line.
#[derive(Default)]
struct Control {
    lines: BTreeMap<LineKey, Line>,
    /// Rows that the files have by their footers and no owner has, by export: none, or the import was wrong.
    unowned: BTreeMap<String, u64>,
}

impl Control {
    fn add(
        &mut self,
        snapshot: &Snapshot,
        totals: Option<&ServiceTotals>,
        (excluded, scope, shown): (&Excluded, &AccountScope, Lines),
    ) {
        let export = snapshot.export.to_string();
        let theirs = excluded
            .get(&snapshot.export)
            .and_then(|periods| periods.get(&snapshot.period));
        let owners = snapshot.owner_totals();
        let names: BTreeMap<RowOwner, Option<String>> = owners
            .iter()
            .map(|totals| (totals.owner, totals.account_name.clone()))
            .collect();
        let counted: u64 = owners.iter().map(|totals| totals.rows).sum();
        if shown == Lines::All {
            let unowned = self.unowned.entry(export.clone()).or_default();
            *unowned += snapshot.rows().saturating_sub(counted);
        }
        for (owner, currency, rows, cost) in sums_of(snapshot, totals) {
            let visible = scope.sees(owner);
            if !visible && shown == Lines::Visible {
                continue;
            }
            let account = owner.usage_account.or(owner.payer);
            let line = self.lines.entry((export.clone(), account, currency)).or_default();
            if owner.usage_account.is_some() || line.name.is_none() {
                line.name = names.get(&owner).cloned().flatten().or_else(|| line.name.take());
            }
            let here = theirs.is_none_or(|theirs| !theirs.contains(&owner.payer));
            line.rows += rows;
            line.cost += cost;
            line.visible |= visible;
            line.counted |= here;
            let part = match (visible, here) {
                (false, _) => &mut line.ignored,
                (true, false) => &mut line.elsewhere,
                (true, true) => continue,
            };
            part.0 += rows;
            part.1 += cost;
        }
    }

    fn batch(self) -> Result<(SchemaRef, RecordBatch)> {
        let mut columns: Vec<(&str, DataType)> = ["export", "account", "name", "currency"]
            .map(|name| (name, TEXT))
            .to_vec();
        columns.extend(["visible", "counted"].map(|name| (name, COUNT)));
        columns.extend(COUNTS.map(|name| (name, COUNT)));
        columns.extend(SUMS.map(|name| (name, CONTROL_MONEY)));
        let columns = schema(&columns);
        let lines = self.lines.into_iter().map(|((export, account, currency), line)| {
            vec![
                Cell::text(&export),
                Cell::maybe_text(account.map(|account| account.to_string())),
                Cell::maybe_text(line.name),
                Cell::maybe_text(currency),
                Cell::count(line.visible.into()),
                Cell::count(line.counted.into()),
                Cell::count(line.rows),
                Cell::count(line.rows),
                Cell::count(line.ignored.0),
                Cell::count(line.elsewhere.0),
                Cell::count(0),
                Cell::Money(Some(line.cost)),
                Cell::Money(Some(line.ignored.1)),
                Cell::Money(Some(line.elsewhere.1)),
                Cell::Money(Some(Amount::ZERO)),
            ]
        });
        let unowned = self.unowned.into_iter().filter(|(_, rows)| *rows > 0);
        let unowned = unowned.map(|(export, rows)| {
            let mut cells = vec![
                Cell::text(&export),
                Cell::Text(None),
                Cell::Text(None),
                Cell::Text(None),
            ];
            cells.extend([Cell::count(0), Cell::count(0), Cell::count(rows)]);
            cells.extend(std::iter::repeat_with(|| Cell::count(0)).take(4));
            cells.extend(std::iter::repeat_with(|| Cell::Money(Some(Amount::ZERO))).take(4));
            cells
        });
        let batch = batch(Arc::clone(&columns), lines.chain(unowned))?;
        Ok((columns, batch))
    }
}

/// Rows and cost by owner and currency. Where there are no totals by service, rows of an owner with several currencies count
/// with the first one.
fn sums_of(snapshot: &Snapshot, totals: Option<&ServiceTotals>) -> Vec<(RowOwner, Option<String>, u64, Amount)> {
    if let Some(totals) = totals {
        let lines = totals.lines.iter();
        let sums = lines.map(|line| (line.key.owner, line.key.currency.clone(), line.sum.rows, line.sum.cost));
        return sums.collect();
    }
    let mut sums = Vec::new();
    for owner in snapshot.owner_totals() {
        let mut rows = owner.rows;
        let costs = owner.unblended.into_iter();
        sums.extend(costs.map(|(currency, cost)| {
            let currency = Some(currency).filter(|code| !code.is_empty());
            (owner.owner, currency, std::mem::take(&mut rows), cost)
        }));
        if rows > 0 {
            sums.push((owner.owner, None, rows, Amount::ZERO));
        }
    }
    sums
}

/// Lines and totals, with what a look at `costs` gives.
fn compared(
    costs: LogicalPlan,
    period: BillingPeriod,
    columns: SchemaRef,
    control: RecordBatch,
) -> DataFusionResult<LogicalPlan> {
    let control = MemTable::try_new(columns, vec![vec![control]])?;
    let as_text = |name: &str| cast(col(name), DataType::Utf8View).alias(name);
    let mut delivered: Vec<Expr> = ["export", "account", "name", "currency"].map(as_text).to_vec();
    delivered.extend(
        ["visible", "counted"]
            .iter()
            .chain(&COUNTS)
            .chain(&SUMS)
            .map(|name| col(*name)),
    );
    let control = LogicalPlanBuilder::scan("control_totals", provider_as_source(Arc::new(control)), None)?
        .project(delivered)?
        .build()?;
    let rows = LogicalPlanBuilder::new(control).union(live(costs, period)?)?;
    // Each row counts for its account and for the total, so that `costs` is read once.
    let levels = LogicalPlanBuilder::values(vec![vec![text(ACCOUNT)], vec![text(TOTAL)]])?
        .project(vec![col("column1").alias("level")])?
        .build()?;
    let of_account = |name: &str| when(col("level").eq(text(ACCOUNT)), col(name)).end();
    let mut leveled = vec![
        col("export"),
        col("level"),
        of_account("account")?.alias("account"),
        of_account("name")?.alias("name"),
        col("currency"),
    ];
    leveled.extend(
        ["visible", "counted"]
            .iter()
            .chain(&COUNTS)
            .chain(&SUMS)
            .map(|name| col(*name)),
    );
    let greatest = ["name", "visible", "counted"].map(|name| max(col(name)).alias(format!("{name}_seen")));
    let sums = COUNTS
        .iter()
        .chain(&SUMS)
        .map(|name| sum(col(*name)).alias(format!("{name}_sum")));
    rows.cross_join(levels)?
        .project(leveled)?
        .aggregate(
            vec![col("export"), col("level"), col("account"), col("currency")],
            greatest.into_iter().chain(sums).collect::<Vec<_>>(),
        )?
        .project(shown(period)?)?
        .build()
}

/// The columns of the table.
fn shown(period: BillingPeriod) -> DataFusionResult<Vec<Expr>> {
    let count = |name: &str| cast(col(format!("{name}_sum")), DataType::Int64);
    let money = |name: &str| cast(col(format!("{name}_sum")), MONEY);
    let flag = |name: &str| {
        when(
            col("level").eq(text(ACCOUNT)),
            col(format!("{name}_seen")).gt(lit(0_i64)),
        )
        .end()
    };
    let rows_known = count("rows_visible") + count("rows_ignored") + count("rows_elsewhere");
    let cost_known = money("cost_visible") + money("cost_ignored") + money("cost_elsewhere");
    Ok(vec![
        col("export"),
        text(&period.to_string()).alias("billing_period"),
        col("level"),
        col("account").alias("account_id"),
        col("name_seen").alias("account_name"),
        col("currency").alias("billing_currency"),
        flag("visible")?.alias("visible"),
        flag("counted")?.alias("counted"),
        count("rows_delivered").alias("rows_delivered"),
        count("rows_loaded").alias("rows_loaded"),
        count("rows_visible").alias("rows_visible"),
        count("rows_ignored").alias("rows_ignored"),
        count("rows_elsewhere").alias("rows_elsewhere"),
        (count("rows_delivered") - rows_known).alias("rows_difference"),
        money("cost_delivered").alias("cost_delivered"),
        money("cost_visible").alias("cost_visible"),
        money("cost_ignored").alias("cost_ignored"),
        money("cost_elsewhere").alias("cost_elsewhere"),
        cast(money("cost_delivered") - cost_known, MONEY).alias("cost_difference"),
    ])
}

/// What `costs` gives of the month now.
fn live(costs: LogicalPlan, period: BillingPeriod) -> DataFusionResult<LogicalPlan> {
    let no_text = || lit(ScalarValue::Utf8View(None));
    let none = || lit(0_i64);
    let mut columns = vec![
        col("x_export").alias("export"),
        col("account"),
        no_text().alias("name"),
        col("billing_currency").alias("currency"),
        lit(1_i64).alias("visible"),
        lit(1_i64).alias("counted"),
    ];
    columns.extend(COUNTS.map(|name| match name {
        "rows_visible" => col("live_rows").alias(name),
        _ => none().alias(name),
    }));
    columns.extend(SUMS.map(|name| match name {
        "cost_visible" => coalesce(vec![cast(col("live_cost"), MONEY), zero()]).alias(name),
        _ => zero().alias(name),
    }));
    LogicalPlanBuilder::new(costs)
        .filter(col("x_billing_period").eq(text(&period.to_string())))?
        .project(vec![
            col("x_export"),
            coalesce(vec![col("sub_account_id"), col("billing_account_id")]).alias("account"),
            col("billing_currency"),
            col("billed_cost"),
        ])?
        .aggregate(
            vec![col("x_export"), col("account"), col("billing_currency")],
            vec![
                count(lit(1_i64)).alias("live_rows"),
                sum(col("billed_cost")).alias("live_cost"),
            ],
        )?
        .project(columns)?
        .build()
}
