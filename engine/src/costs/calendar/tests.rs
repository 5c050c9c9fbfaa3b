#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, usage};

/// A charge of an account in an hour of 2026, with its net cost.
fn charge(account: &'static str, at: &str, cost: f64, more: &[(&'static str, Cell)]) -> Row {
    let start: chrono::DateTime<chrono::Utc> = format!("2026-{at}:00:00Z").parse().unwrap();
    let mut row = usage(account, cost);
    row.extend([
        ("line_item_usage_start_date", Cell::Millis(start.timestamp_millis())),
        (
            "line_item_usage_end_date",
            Cell::Millis(start.timestamp_millis() + 3_600_000),
        ),
        ("line_item_product_code", Cell::Text("AmazonEC2")),
        ("line_item_usage_amount", Cell::Double(1.0)),
        ("pricing_unit", Cell::Text("Hrs")),
    ]);
    row.extend(more.iter().cloned());
    row
}

async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let june = vec![
        charge(ANN, "06-30T23", 0.1, &[]),
        charge(HIDDEN, "06-30T23", 1000.0, &[]),
    ];
    let july = vec![
        charge(ANN, "07-01T00", 0.2, &[]),
        charge(ANN, "07-01T23", 0.4, &[]),
        charge(ANN, "07-02T00", 0.8, &[]),
        charge(BOB, "07-02T01", 1.6, &[]),
        charge(ANN, "07-02T02", 3.2, &[("pricing_unit", Cell::Text("GB"))]),
        // A charge of the month before that is billed in July.
        charge(ANN, "06-30T23", 6.4, &[]),
    ];
    world.deliver("main", "2026-06", &[june]).await;
    world.deliver("main", "2026-07", &[july]).await;
    world
}

#[tokio::test]
async fn days_and_months_are_summed() {
    let world = world().await;
    let daily = "SELECT charge_period_start, charge_period_end, sub_account_id, x_billing_period, consumed_unit, billed_cost, \
                 consumed_quantity, x_rows FROM costs_daily ORDER BY 1, 3, 4, 5";
    let expected = "\
        2026-06-30T00:00:00|2026-07-01T00:00:00|000000000011|2026-06|Hrs|0.100000000000|1.0|1 \
        2026-06-30T00:00:00|2026-07-01T00:00:00|000000000011|2026-07|Hrs|6.400000000000|1.0|1 \
        2026-07-01T00:00:00|2026-07-02T00:00:00|000000000011|2026-07|Hrs|0.600000000000|2.0|2 \
        2026-07-02T00:00:00|2026-07-03T00:00:00|000000000011|2026-07|GB|3.200000000000|1.0|1 \
        2026-07-02T00:00:00|2026-07-03T00:00:00|000000000011|2026-07|Hrs|0.800000000000|1.0|1 \
        2026-07-02T00:00:00|2026-07-03T00:00:00|000000000012|2026-07|Hrs|1.600000000000|1.0|1";
    assert_eq!(world.rows(&reader(&[]), daily).await.unwrap(), expected);
    let monthly = "SELECT charge_period_start, charge_period_end, x_billing_period, sum(billed_cost), sum(x_rows) \
                   FROM costs_monthly GROUP BY 1, 2, 3 ORDER BY 1, 3";
    assert_eq!(
        world.rows(&reader(&[]), monthly).await.unwrap(),
        "2026-06-01T00:00:00|2026-07-01T00:00:00|2026-06|0.100000000000|1 \
         2026-06-01T00:00:00|2026-07-01T00:00:00|2026-07|6.400000000000|1 \
         2026-07-01T00:00:00|2026-08-01T00:00:00|2026-07|6.200000000000|5"
    );
    // Of an account outside the scope nothing is summed.
    let sum = "SELECT sum(billed_cost), sum(x_rows) FROM costs_monthly";
    assert_eq!(world.rows(&reader(&[BOB]), sum).await.unwrap(), "1.600000000000|1");
    let r#type = "SELECT arrow_typeof(billed_cost), arrow_typeof(charge_period_start) FROM costs_daily LIMIT 1";
    assert_eq!(
        world.rows(&reader(&[]), r#type).await.unwrap(),
        "Decimal128(38, 12)|Timestamp(ms)"
    );
}

#[tokio::test]
async fn conditions_reach_the_files() {
    let world = world().await;
    for (table, condition) in [
        (
            "costs_daily",
            "charge_period_start >= '2026-07-02' AND charge_period_start < '2026-07-03'",
        ),
        ("costs_daily", "charge_period_start = timestamp '2026-07-02'"),
        ("costs_daily", "charge_period_end = date '2026-07-03'"),
        ("costs_monthly", "charge_period_start = '2026-07-01'"),
        ("costs_monthly", "charge_period_end > '2026-07-01'"),
    ] {
        let sql = format!("EXPLAIN SELECT sum(billed_cost) FROM {table} WHERE {condition}");
        let plan = world.rows(&reader(&[]), &sql).await.unwrap();
        let pruned = plan.contains("pruning_predicate=line_item_usage_start_date");
        assert!(
            pruned || plan.contains("line_item_usage_start_date_max@"),
            "{condition}: {plan}"
        );
        // What is left of the condition is one on the delivered column.
        assert!(!plan.contains("FilterExec: utc_"), "{condition}: {plan}");
    }
    let sql =
        "EXPLAIN SELECT sum(billed_cost) FROM costs_daily WHERE x_billing_period = '2026-07' AND sub_account_id = 11";
    let plan = world.rows(&reader(&[]), sql).await.unwrap();
    assert!(plan.contains("files_in_scope=1"), "{plan}");
    assert!(
        plan.contains("required_guarantees=[line_item_usage_account_id in (000000000011)]"),
        "{plan}"
    );
    // Between the days the condition holds as it is.
    for (condition, expected) in [
        ("charge_period_start > '2026-07-01 12:00:00'", "3"),
        ("charge_period_start >= '2026-07-01'", "4"),
        ("charge_period_start <> '2026-07-01'", "5"),
        ("charge_period_end <= '2026-07-01'", "2"),
        ("charge_period_start IN ('2026-06-30', '2026-07-02')", "5"),
    ] {
        let sql = format!("SELECT count(*) FROM costs_daily WHERE {condition}");
        assert_eq!(world.rows(&reader(&[]), &sql).await.unwrap(), expected, "{condition}");
    }
}

/// The groups of the table need not be made for a statement that wants fewer.
#[tokio::test]
async fn sums_of_the_tables_are_summed_once() {
    let world = world().await;
    let plan = async |sql: &str| world.rows(&reader(&[]), &format!("EXPLAIN {sql}")).await.unwrap();
    for (sql, expected) in [
        (
            "SELECT sub_account_id, sum(billed_cost), sum(x_rows) FROM costs_daily GROUP BY 1 ORDER BY 1",
            "000000000011|11.100000000000|6 000000000012|1.600000000000|1",
        ),
        (
            "SELECT upper(x_service_code) || '!' AS service, sum(billed_cost) AS cost FROM costs_daily d \
             WHERE charge_period_start >= '2026-07-01' GROUP BY 1",
            "AMAZONEC2!|6.200000000000",
        ),
        (
            "SELECT sum(billed_cost), sum(x_rows) FROM costs_daily WHERE x_service_code = 'none'",
            "|",
        ),
        (
            "SELECT sum(cost) FROM (SELECT sub_account_id, sum(billed_cost) AS cost FROM costs GROUP BY 1) t",
            "12.700000000000",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
        let plan = plan(sql).await;
        let logical = plan.split("physical_plan").next().unwrap();
        assert_eq!(logical.matches("Aggregate:").count(), 1, "{sql}: {logical}");
    }
    // What decides which groups there are is not gone.
    for (sql, expected) in [
        (
            "SELECT sum(cost) FROM (SELECT sub_account_id, sum(billed_cost) AS cost FROM costs GROUP BY 1 HAVING sum(billed_cost) > 2) t",
            "11.100000000000",
        ),
        (
            "SELECT sum(cost) FROM (SELECT sub_account_id, sum(billed_cost) AS cost FROM costs GROUP BY 1 ORDER BY 1 DESC LIMIT 1) t",
            "1.600000000000",
        ),
        (
            "SELECT count(*), max(billed_cost), min(x_rows) FROM costs_daily",
            "6|6.400000000000|1",
        ),
        // The end of a month is no column that is grouped by.
        (
            "SELECT charge_period_end, sum(list_cost) FROM costs_monthly WHERE sub_account_id = 12 GROUP BY 1",
            "2026-08-01T00:00:00|1.600000000000",
        ),
        (
            "SELECT sum(DISTINCT x_rows), sum(billed_cost) FILTER (WHERE x_rows = 2) FROM costs_daily",
            "3|0.600000000000",
        ),
        (
            "SELECT x_rows, sum(billed_cost) FROM costs_daily GROUP BY 1 ORDER BY 1",
            "1|12.100000000000 2|0.600000000000",
        ),
        ("SELECT sum(consumed_quantity) FROM costs_daily", "7.0"),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn every_amount_is_there_and_described() {
    let world = world().await;
    let tables = world.session(&reader(&[])).await.tables();
    for name in [COSTS_DAILY, COSTS_MONTHLY] {
        let table = tables.iter().find(|table| table.name == name).unwrap();
        let columns = table.columns.fields();
        assert_eq!(columns.len(), 2 + GROUPS.len() + 1 + amounts().count() + 1);
        for column in columns {
            let about = super::super::about_column(name, column.name());
            assert!(
                about.is_some_and(|about| about.ends_with('.')),
                "{name}.{}",
                column.name()
            );
        }
    }
    let cut: Vec<&str> = amounts().map(|column| column.name).collect();
    assert!(cut.contains(&"effective_cost") && cut.contains(&"x_split_cost") && !cut.contains(&"list_unit_price"));
    let sums = |table: &str| {
        let sums: Vec<String> = cut.iter().map(|name| format!("sum({name})")).collect();
        format!("SELECT {} FROM {table}", sums.join(", "))
    };
    let expected = world.rows(&reader(&[]), &sums("costs")).await.unwrap();
    for name in [COSTS_DAILY, COSTS_MONTHLY] {
        assert_eq!(world.rows(&reader(&[]), &sums(name)).await.unwrap(), expected);
    }
}
