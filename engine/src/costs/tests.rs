#![allow(clippy::unwrap_used, clippy::panic)]

mod focus;
mod history;
mod legacy;
mod vocabulary;

use crate::port::Clock;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, RealClock, Row, World, parse, reader, usage};

const PLAN: &str = "arn:aws:savingsplans::000000000001:savingsplan/sp-1";
const RESERVED: &str = "arn:aws:ec2:us-east-1:000000000001:reserved-instances/ri-1";

/// A line: its key, line item type, unblended and net unblended cost, and what else it carries.
fn line(key: &'static str, kind: &'static str, unblended: f64, net: f64, more: &[(&'static str, Cell)]) -> Row {
    let mut row = usage(ANN, unblended);
    row.insert("line_item_line_item_description", Cell::Text(key));
    row.insert("line_item_line_item_type", Cell::Text(kind));
    row.insert("line_item_net_unblended_cost", Cell::Double(net));
    row.extend(more.iter().cloned());
    row
}

/// One line of each type of the reference, section 5.2.
fn lines() -> Vec<Row> {
    use Cell::{Double, Text};
    let (plan, reserved) = (
        ("savings_plan_savings_plan_a_r_n", Text(PLAN)),
        ("reservation_reservation_a_r_n", Text(RESERVED)),
    );
    vec![
        line(
            "01",
            "Usage",
            10.0,
            9.0,
            &[
                ("pricing_public_on_demand_cost", Double(12.0)),
                ("pricing_public_on_demand_rate", Text("0.1200000000")),
                ("line_item_usage_amount", Double(100.0)),
                ("line_item_usage_type", Text("SpotUsage:m5.large")),
            ],
        ),
        line(
            "02",
            "DiscountedUsage",
            0.0,
            0.0,
            &[
                reserved.clone(),
                ("reservation_effective_cost", Double(3.5)),
                ("reservation_net_effective_cost", Double(3.25)),
                ("pricing_public_on_demand_cost", Double(5.0)),
                ("pricing_public_on_demand_rate", Text("0.05")),
                ("line_item_usage_amount", Double(24.0)),
            ],
        ),
        line(
            "03",
            "SavingsPlanCoveredUsage",
            8.0,
            8.0,
            &[
                plan.clone(),
                ("savings_plan_savings_plan_effective_cost", Double(6.0)),
                ("savings_plan_net_savings_plan_effective_cost", Double(5.5)),
                ("pricing_public_on_demand_cost", Double(8.0)),
                ("pricing_public_on_demand_rate", Text("0.08")),
            ],
        ),
        line("04", "SavingsPlanNegation", -8.0, -8.0, std::slice::from_ref(&plan)),
        line("05", "SavingsPlanUpfrontFee", 100.0, 90.0, std::slice::from_ref(&plan)),
        line(
            "06",
            "SavingsPlanRecurringFee",
            7.0,
            6.3,
            &[
                plan.clone(),
                ("savings_plan_payment_option", Text("No Upfront")),
                ("savings_plan_total_commitment_to_date", Double(7.0)),
                ("savings_plan_used_commitment", Double(6.0)),
                ("savings_plan_recurring_commitment_for_billing_period", Double(7.0)),
                ("savings_plan_net_recurring_commitment_for_billing_period", Double(6.3)),
            ],
        ),
        line(
            "07",
            "SavingsPlanRecurringFee",
            0.0,
            0.0,
            &[
                plan,
                ("savings_plan_payment_option", Text("All Upfront")),
                ("savings_plan_total_commitment_to_date", Double(4.0)),
                ("savings_plan_used_commitment", Double(1.0)),
                (
                    "savings_plan_amortized_upfront_commitment_for_billing_period",
                    Double(4.0),
                ),
                (
                    "savings_plan_net_amortized_upfront_commitment_for_billing_period",
                    Double(3.0),
                ),
            ],
        ),
        line(
            "08",
            "RIFee",
            20.0,
            18.0,
            &[
                reserved.clone(),
                (
                    "reservation_unused_amortized_upfront_fee_for_billing_period",
                    Double(1.5),
                ),
                ("reservation_unused_recurring_fee", Double(0.5)),
                (
                    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
                    Double(1.25),
                ),
                ("reservation_net_unused_recurring_fee", Double(0.25)),
            ],
        ),
        line("09", "Fee", 500.0, 450.0, &[reserved]),
        line("10", "Fee", 29.0, 29.0, &[("reservation_reservation_a_r_n", Text(""))]),
        line("11", "FlatRateSubscription", 15.0, 15.0, &[]),
        line("12", "Tax", 1.9, 1.9, &[("line_item_tax_type", Text("VAT"))]),
        line("13", "Credit", -5.0, -5.0, &[]),
        line("14", "Refund", -3.0, -3.0, &[("line_item_tax_type", Text("VAT"))]),
        line("15", "BundledDiscount", -1.0, 0.0, &[]),
        line("16", "EdpDiscount", -0.00133, 0.0, &[]),
        line(
            "17",
            "SurpriseFee",
            2.0,
            1.8,
            &[("pricing_public_on_demand_cost", Double(0.0))],
        ),
        line(
            "18",
            "Usage",
            0.0,
            0.0,
            &[
                ("split_line_item_parent_resource_id", Text("i-1")),
                ("split_line_item_split_cost", Double(0.7)),
                ("line_item_usage_amount", Double(4.0)),
            ],
        ),
    ]
}

/// Key, billed, amortised, net amortised, list cost, category, class, frequency, pricing category, commitment status,
/// consumed quantity: by hand from the reference, sections 5.2, 5.3 and 5.10.
const GOLDEN: &str = "\
01|10|10|9|12|Usage||Usage-Based|Dynamic||100
02|0|3.5|3.25|5|Usage||Usage-Based|Committed|Used|24
03|8|6|5.5|8|Usage||Usage-Based|Committed|Used|
04|-8|0|0|0|Usage||Usage-Based|Committed||
05|100|0|0|100|Purchase||One-Time|Committed||
06|7|1|0.9|7|Purchase||Recurring|Committed|Unused|
07|0|3|2.25|0|Purchase||Recurring|Committed|Unused|
08|20|2|1.5|20|Purchase||Recurring|Committed|Unused|
09|500|0|0|500|Purchase||One-Time|Committed||
10|29|29|29|29|Purchase||One-Time|Standard||
11|15|15|15|15|Purchase||Recurring|Standard||
12|1.9|1.9|1.9|1.9|Tax|||||
13|-5|-5|-5|-5|Credit||One-Time|Other||
14|-3|-3|-3|-3|Tax|Correction|One-Time|Standard||
15|-1|-1|0|-1|Usage||Usage-Based|Standard||
16|-0.00133|-0.00133|0|-0.00133|Usage||Usage-Based|Standard||
17|2|2|1.8|2|Usage||Usage-Based|Standard||
18|0|0|0|0|Usage||Usage-Based|Standard||";

/// The amount without trailing zeros.
fn short(amount: &str) -> &str {
    if amount.contains('.') {
        amount.trim_end_matches('0').trim_end_matches('.')
    } else {
        amount
    }
}

const GOLDEN_SQL: &str = "SELECT charge_description, billed_cost, x_amortized_cost, effective_cost, list_cost, charge_category,
    charge_class, charge_frequency, pricing_category, commitment_discount_status, consumed_quantity FROM costs ORDER BY 1";

fn table(rows: &str) -> Vec<String> {
    let row = |row: &str| row.split('|').map(short).collect::<Vec<_>>().join("|");
    rows.split(' ').map(row).collect()
}

async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    world
}

#[tokio::test]
async fn every_line_item_type_costs_what_the_reference_says() {
    let world = world().await;
    world.deliver_net("main", "2026-07", &[lines()], true).await;
    let rows = table(&world.rows(&reader(&[]), GOLDEN_SQL).await.unwrap());
    let golden: Vec<_> = GOLDEN.lines().collect();
    assert_eq!(rows, golden);
}

#[tokio::test]
async fn without_net_costs_net_is_gross() {
    let world = world().await;
    world.deliver("main", "2026-07", &[lines()]).await;
    let rows = table(&world.rows(&reader(&[]), GOLDEN_SQL).await.unwrap());
    let golden: Vec<_> = GOLDEN
        .lines()
        .map(|line| {
            let mut fields: Vec<_> = line.split('|').collect();
            fields[3] = fields[2];
            fields.join("|")
        })
        .collect();
    assert_eq!(rows, golden);
    let same = "SELECT count(*) FROM costs WHERE x_net_unblended_cost <> x_unblended_cost OR effective_cost <> x_amortized_cost";
    assert_eq!(world.rows(&reader(&[]), same).await.unwrap(), "0");
}

#[tokio::test]
async fn the_month_adds_up() {
    let world = world().await;
    world.deliver_net("main", "2026-07", &[lines()], true).await;
    // 10 + 8 - 8 + 100 + 7 + 20 + 500 + 29 + 15 + 1.9 - 5 - 3 - 1 - 0.00133 + 2
    let sums = "SELECT sum(billed_cost), sum(x_unblended_cost), sum(x_split_cost) FROM costs";
    assert_eq!(
        world.rows(&reader(&[]), sums).await.unwrap(),
        "675.898670000000|675.898670000000|0.700000000000"
    );
}

#[tokio::test]
async fn blank_text_is_null_and_maps_are_read() {
    let world = world().await;
    let mut full = usage(ANN, 1.0);
    full.extend([
        ("line_item_resource_id", Cell::Text("")),
        ("line_item_product_code", Cell::Text("AmazonEC2")),
        ("line_item_usage_start_date", Cell::Millis(1_782_864_000_000)),
        (
            "product",
            Cell::Map(vec![
                ("product_name", "Amazon Elastic Compute Cloud"),
                ("region", "us-east-1"),
            ]),
        ),
        ("resource_tags", Cell::Map(vec![("user_team", "checkout")])),
        ("discount", Cell::DoubleMap(vec![("edp_discount", -0.5)])),
    ]);
    let mut bare = usage(BOB, 2.0);
    bare.insert("line_item_product_code", Cell::Text("seller-code"));
    world.deliver("main", "2026-07", &[vec![full], vec![bare]]).await;
    for (sql, expected) in [
        (
            "SELECT service_name FROM costs ORDER BY billed_cost",
            "Amazon Elastic Compute Cloud seller-code",
        ),
        ("SELECT count(*), count(resource_id), count(tags) FROM costs", "2|0|1"),
        (
            "SELECT tags['user_team'], tags['nothing'] FROM costs WHERE tags IS NOT NULL",
            "checkout|",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE tags['user_team'] = 'checkout'",
            "1.000000000000",
        ),
        (
            "SELECT x_discounts['edp_discount'] FROM costs WHERE x_discounts IS NOT NULL",
            "-0.5",
        ),
        (
            "SELECT charge_period_start FROM costs WHERE charge_period_start >= timestamp '2026-07-01'",
            "2026-07-01T00:00:00",
        ),
        (
            "SELECT x_billing_period, provider_name, x_export FROM costs LIMIT 1",
            "2026-07|AWS|main",
        ),
        // What the export lacks is NULL of its type.
        (
            "SELECT arrow_typeof(invoice_id), arrow_typeof(list_cost), arrow_typeof(charge_period_end) FROM costs LIMIT 1",
            "Utf8View|Decimal128(38, 12)|Timestamp(ms)",
        ),
        (
            "SELECT count(invoice_id), count(x_blended_cost), count(charge_period_end) FROM costs",
            "0|0|0",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
}

#[tokio::test]
async fn conditions_on_costs_reach_the_files() {
    let world = world().await;
    for period in ["2026-06", "2026-07"] {
        let rows: Vec<Row> = (0..20)
            .map(|n| usage(if n < 10 { ANN } else { BOB }, f64::from(n)))
            .collect();
        world.deliver("main", period, &[rows]).await;
    }
    let sql = "EXPLAIN SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000012' AND x_billing_period = '2026-07'";
    let explain = world.rows(&reader(&[]), sql).await.unwrap();
    assert!(explain.contains("files_in_scope=1"), "{explain}");
    assert!(
        explain.contains("required_guarantees=[line_item_usage_account_id in (000000000012)]"),
        "{explain}"
    );
}

#[tokio::test]
async fn sums_do_not_depend_on_partitions() {
    let world = world().await;
    let file = |n: i32| {
        (0..40)
            .map(|m| usage(ANN, f64::from(m) * 0.1 + f64::from(n) * 1e-7 + 1e-12))
            .collect::<Vec<_>>()
    };
    world
        .deliver("main", "2026-07", &(0..7).map(file).collect::<Vec<_>>())
        .await;
    // 7 * 0.1 * 780 + 40 * 21e-7 + 280e-12
    for target_partitions in [1, 2, 3, 8] {
        let mut settings = crate::session::QuerySettings::new(&world.limits, RealClock.now());
        settings.target_partitions = target_partitions;
        let session = world
            .builder
            .bind(world.catalog.lease(), &reader(&[]), &settings)
            .await
            .unwrap();
        let query = session
            .plan(parse("SELECT sum(effective_cost) FROM costs"))
            .await
            .unwrap();
        let batches = world.run(query).await.unwrap();
        let sum = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
        assert_eq!(sum, "546.000084000280");
    }
}

/// Columns that a condition holds constant need no sorting, which later rules must not forget.
#[tokio::test]
async fn columns_that_a_condition_fixes_can_be_sorted_by() {
    let world = world().await;
    let file = |account| move |n: i32| vec![usage(account, f64::from(n)), usage(account, f64::from(n) + 0.5)];
    let files: Vec<_> = (0..3).map(file(ANN)).chain((0..3).map(file(BOB))).collect();
    world.deliver("main", "2026-07", &files).await;
    let mut settings = crate::session::QuerySettings::new(&world.limits, RealClock.now());
    settings.target_partitions = 2;
    for (sql, first) in [
        (
            "SELECT billed_cost FROM costs WHERE sub_account_id = '000000000012' AND charge_category = 'Usage' \
             ORDER BY sub_account_id, billed_cost LIMIT 3",
            "0.000000000000",
        ),
        (
            "SELECT billed_cost, sub_account_id, charge_category FROM costs WHERE sub_account_id = '000000000012' \
             AND charge_category = 'Usage' ORDER BY charge_category DESC, sub_account_id, billed_cost DESC",
            "2.500000000000",
        ),
        (
            "SELECT sum(billed_cost), charge_category, sub_account_id FROM costs WHERE charge_category = 'Usage' \
             AND sub_account_id = '000000000012' GROUP BY 2, 3 ORDER BY 2, 3",
            "7.500000000000",
        ),
        (
            "SELECT sum(billed_cost) OVER (PARTITION BY sub_account_id ORDER BY x_billing_period, billed_cost) FROM costs \
             WHERE charge_category = 'Usage' AND sub_account_id = '000000000012' AND x_billing_period = '2026-07' \
             ORDER BY sub_account_id, 1",
            "0.000000000000",
        ),
    ] {
        let bound = world
            .builder
            .bind(world.catalog.lease(), &reader(&[]), &settings)
            .await
            .unwrap();
        let query = bound
            .plan(parse(sql))
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let batches = world
            .run(query)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let cell = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
        assert_eq!(cell, first, "{sql}");
    }
}

#[tokio::test]
async fn what_is_no_amount_stops_the_statement() {
    let world = world().await;
    world
        .deliver("main", "2026-07", &[vec![usage(ANN, f64::NAN), usage(BOB, 1.0)]])
        .await;
    let error = world
        .rows(&reader(&[]), "SELECT sum(billed_cost) FROM costs")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::BrokenDelivery, "{error:?}");
    // The broken row is not Bob's to see.
    assert_eq!(
        world
            .rows(&reader(&[BOB]), "SELECT sum(billed_cost) FROM costs")
            .await
            .unwrap(),
        "1.000000000000"
    );
}

#[tokio::test]
async fn a_cost_is_counted_once() {
    let sum = "SELECT sum(billed_cost), min(x_export), max(x_export) FROM costs";
    let rows = || vec![usage(ANN, 1.0), usage(BOB, 2.0)];

    // Two exports of one payer: the one connected first, wherever both have the period.
    let world = world().await;
    world.export("another", PAYER, 1).await;
    world.deliver("main", "2026-07", &[rows()]).await;
    world.deliver("another", "2026-07", &[rows()]).await;
    assert_eq!(world.rows(&reader(&[]), sum).await.unwrap(), "3.000000000000|main|main");
    world.deliver("another", "2026-06", &[rows()]).await;
    assert_eq!(
        world.rows(&reader(&[]), sum).await.unwrap(),
        "6.000000000000|another|main"
    );

    // A member's own export, connected before the payer's: the payer's holds more.
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("member", ANN, 0).await;
    world.export("payer", PAYER, 1).await;
    world.deliver("member", "2026-07", &[vec![usage(ANN, 1.0)]]).await;
    assert_eq!(
        world.rows(&reader(&[]), sum).await.unwrap(),
        "1.000000000000|member|member"
    );
    world.deliver("payer", "2026-07", &[rows()]).await;
    assert_eq!(
        world.rows(&reader(&[]), sum).await.unwrap(),
        "3.000000000000|payer|payer"
    );

    // A file of two payers, one of which has an export of its own.
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("files", BOB, 0).await;
    world.export("payer", PAYER, 1).await;
    let mut own = usage(BOB, 16.0);
    own.insert("bill_payer_account_id", Cell::Text(BOB));
    let mut nobody = usage(BOB, 32.0);
    nobody.insert("bill_payer_account_id", Cell::Text(""));
    world
        .deliver("files", "2026-07", &[vec![usage(ANN, 4.0), own, nobody]])
        .await;
    world.deliver("payer", "2026-07", &[rows()]).await;
    assert_eq!(
        world.rows(&reader(&[]), sum).await.unwrap(),
        "51.000000000000|files|payer"
    );
    assert_eq!(
        world
            .rows(&reader(&[HIDDEN]), "SELECT count(*) FROM costs")
            .await
            .unwrap(),
        "0"
    );
}

#[tokio::test]
async fn nothing_connected_is_an_empty_table() {
    let world = World::with(&[]).await;
    let sql = "SELECT count(*), sum(effective_cost) FROM costs WHERE sub_account_id = 12";
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), "0|");
    world
        .publish(crate::catalog::Change::PutAccount(crate::table::fixture::account(
            PAYER,
            crate::catalog::AccountKind::Root,
        )))
        .await;
    world.export("main", PAYER, 0).await;
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), "0|");
    assert_eq!(
        world
            .rows(&reader(&[]), "SELECT count(*) FROM exports.main")
            .await
            .unwrap(),
        "0"
    );
}

#[test]
fn names_are_unique_and_described() {
    let names: std::collections::BTreeSet<_> = super::columns().map(|column| column.name).collect();
    assert_eq!(names.len(), super::columns().count());
    for column in super::columns() {
        assert!(column.description.ends_with('.'), "{}", column.name);
    }
}
