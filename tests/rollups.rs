//! Rollups change no answer: random aggregates over months with rollups give what they give over the rows, whichever accounts
//! are hidden, and most of them are answered from rollups.

use farthing_engine::principal::Role;
use farthing_tests::bench::{Bench, Site, Start, grant_of, run};
use farthing_tests::client::Client;
use farthing_tests::cloud::{Cloud, PERIODS, Sample, TABLE};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::BoxedStrategy;

use crate::leak::{Kind, both_sides, compare, seed_and_cases, sql};

/// The month that is delivered again.
const RESTATED: &str = "2026-06";

const DIMENSIONS: [&str; 24] = [
    "sub_account_id",
    "sub_account_name",
    "billing_account_name",
    "service_name",
    "x_service_code",
    "charge_category",
    "charge_class",
    "charge_frequency",
    "pricing_category",
    "region_id",
    "region_name",
    "x_billing_period",
    "x_usage_type",
    "x_operation",
    "consumed_unit",
    "commitment_discount_type",
    "commitment_discount_status",
    "commitment_discount_id",
    "publisher_name",
    "date_trunc('month', charge_period_start)",
    "date_trunc('day', charge_period_start)",
    "charge_period_start::date",
    "extract(year FROM charge_period_start)",
    "tag('Team')",
];

/// Dimensions that only the finest rollups have, or none.
const FINE: [&str; 7] = [
    "resource_id",
    "x_resource_type",
    "tags['user_env']",
    "upper(service_name)",
    "charge_description",
    "date_trunc('hour', charge_period_start)",
    "extract(dow FROM charge_period_start)",
];

const MEASURES: [&str; 22] = [
    "sum(billed_cost)",
    "sum(effective_cost)",
    "sum(list_cost)",
    "sum(x_amortized_cost)",
    "sum(x_discount_total)",
    "sum(x_true_up)",
    "sum(x_unblended_cost + x_true_up)",
    "sum(x_unblended_cost - x_discount_total)",
    "sum(coalesce(x_discount_total, 0))",
    "sum(consumed_quantity)",
    "sum(-billed_cost)",
    "sum(1.5 * billed_cost)",
    "sum(CASE WHEN charge_category = 'Usage' THEN effective_cost ELSE 0 END)",
    "sum(CASE WHEN commitment_discount_type = 'Savings Plan' THEN billed_cost END)",
    "sum(CASE WHEN billed_cost > 1 THEN 1 ELSE 0 END)",
    "sum(CASE WHEN service_name LIKE '%Compute%' THEN 1 ELSE 0 END)",
    "sum(billed_cost) FILTER (WHERE charge_category <> 'Tax')",
    "count(*)",
    "count(region_id)",
    "count(DISTINCT service_name)",
    "count(DISTINCT resource_id)",
    "min(x_usage_type)",
];

/// Measures that need the rows.
const OF_ROWS: [&str; 4] = [
    "max(billed_cost)",
    "avg(billed_cost)",
    "count(x_discount_total)",
    "min(charge_period_start)",
];

const CONDITIONS: [&str; 14] = [
    "x_billing_period = '2026-05'",
    "x_billing_period IN ('2026-04', '2026-05')",
    "charge_period_start >= '2026-05-10'",
    "charge_period_start < '2026-05-20'",
    "charge_period_start >= '2026-05-01' AND charge_period_start < '2026-06-01'",
    "charge_period_start > '2026-05-10'",
    "charge_period_start < '2026-05-20 12:00'",
    "date_trunc('month', charge_period_start) = '2026-05-01'",
    "charge_category = 'Usage'",
    "service_name LIKE '%Storage%'",
    "region_id IS NULL",
    "NOT (x_line_item_type IN ('Tax', 'Credit'))",
    "tag('Env') = 'prod'",
    "billed_cost > 0",
];

fn costs() -> BoxedStrategy<String> {
    let groups = prop_oneof![
        6 => subsequence(&DIMENSIONS[..], 0..4),
        2 => (subsequence(&DIMENSIONS[..], 0..3), subsequence(&FINE[..], 1..2))
            .prop_map(|(one, other)| one.into_iter().chain(other).collect::<Vec<_>>()),
    ];
    let measures = (subsequence(&MEASURES[..], 1..4), weighted(0.1, select(&OF_ROWS[..])))
        .prop_map(|(most, one)| most.into_iter().chain(one).collect::<Vec<_>>());
    let conditions = vec(select(&CONDITIONS[..]), 0..3);
    (groups, measures, conditions, any::<bool>())
        .prop_map(|(groups, measures, conditions, distinct)| {
            statement("costs", &groups, &measures, &conditions, distinct)
        })
        .boxed()
}

fn statement(table: &str, groups: &[&str], measures: &[&str], conditions: &[&str], distinct: bool) -> String {
    let condition = match conditions {
        [] => String::new(),
        all => format!(" WHERE {}", all.join(" AND ")),
    };
    if distinct && !groups.is_empty() && measures.len() == 1 {
        return format!("SELECT DISTINCT {} FROM {table}{condition}", groups.join(", "));
    }
    let columns: Vec<&str> = groups.iter().chain(measures).copied().collect();
    let places: Vec<String> = (1..=groups.len()).map(|place| place.to_string()).collect();
    let group = match places.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", places.join(", ")),
    };
    format!("SELECT {} FROM {table}{condition}{group}", columns.join(", "))
}

/// What published queries ask of a report's own columns.
fn raw() -> BoxedStrategy<String> {
    let groups = subsequence(
        &[
            "line_item_usage_account_id",
            "line_item_product_code",
            "line_item_line_item_type",
            "date_trunc('month', line_item_usage_start_date)",
            "date_trunc('day', line_item_usage_start_date)",
            "billing_period",
            "product_region_code",
            "resource_tags['user_team']",
            "line_item_resource_id",
        ][..],
        0..4,
    );
    let measures = subsequence(
        &[
            "sum(line_item_unblended_cost)",
            "sum(line_item_usage_amount)",
            "sum(CASE WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost \
             WHEN line_item_line_item_type = 'DiscountedUsage' THEN reservation_effective_cost ELSE line_item_unblended_cost END)",
            "sum(savings_plan_total_commitment_to_date - savings_plan_used_commitment)",
            "sum(reservation_effective_cost + line_item_unblended_cost)",
            "sum(coalesce(discount_total_discount, 0))",
            "count(*)",
            "count(DISTINCT line_item_resource_id)",
        ][..],
        1..4,
    );
    let conditions = vec(
        select(
            &[
                "billing_period = '2026-05'",
                "line_item_usage_start_date >= '2026-05-03'",
                "line_item_line_item_type <> 'Tax'",
                "line_item_unblended_cost > 0",
                "bill_billing_entity = 'AWS'",
            ][..],
        ),
        0..3,
    );
    (groups, measures, conditions)
        .prop_map(|(groups, measures, conditions)| {
            statement(&format!("exports.{TABLE}"), &groups, &measures, &conditions, false)
        })
        .boxed()
}

fn calendar() -> BoxedStrategy<String> {
    let groups = subsequence(
        &[
            "charge_period_start",
            "service_name",
            "sub_account_id",
            "x_billing_period",
        ][..],
        0..3,
    );
    let measures = subsequence(
        &[
            "sum(billed_cost)",
            "sum(effective_cost)",
            "sum(x_rows)",
            "sum(consumed_quantity)",
        ][..],
        1..3,
    );
    let conditions = vec(
        select(
            &[
                "charge_period_start >= '2026-05-01'",
                "charge_category = 'Usage'",
                "x_billing_period = '2026-05'",
            ][..],
        ),
        0..2,
    );
    (
        select(&["costs_daily", "costs_monthly"][..]),
        groups,
        measures,
        conditions,
    )
        .prop_map(|(table, groups, measures, conditions)| statement(table, &groups, &measures, &conditions, false))
        .boxed()
}

fn aggregates(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Cur2 => prop_oneof![5 => costs(), 2 => raw(), 1 => calendar()].boxed(),
        _ => prop_oneof![5 => costs(), 1 => calendar()].boxed(),
    }
}

/// Makes rollups of everything, and sees that there are some for each month.
async fn derive(site: &Site) {
    assert_eq!(site.node.deriver().derive_all().await, PERIODS.len());
    let months = "SELECT count(DISTINCT billing_period) FROM system.rollups WHERE level = 'month' AND rows > 0";
    let months = site.admin().run(months).await.unwrap();
    assert_eq!(months.single(), Some(PERIODS.len().to_string().as_str()));
}

/// That many aggregates name a rollup in their plan, and none with rollups off.
async fn assert_used(client: &mut dyn Client, statements: &BoxedStrategy<String>) {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    // Always the same statements: what is counted is the rule, not luck.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[1; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut used, mut all) = (0, 0);
    for _ in 0..40 {
        let sql = statements.new_tree(&mut runner).unwrap().current();
        let Ok(plan) = client.run(&format!("EXPLAIN {sql}")).await else {
            continue;
        };
        all += 1;
        used += u32::from(plan.text().contains("rollups."));
        client.run("SET farthing.rollup = off").await.unwrap();
        let plan = client.run(&format!("EXPLAIN {sql}")).await.unwrap();
        assert!(!plan.text().contains("rollups."), "{sql}");
        client.run("SET farthing.rollup = on").await.unwrap();
    }
    println!("{used} of {all} plans name a rollup");
    assert!(used * 3 > all, "{used} of {all}");
}

fn same_answers(kind: Kind) {
    let (seed, cases) = seed_and_cases();
    let visible = |cloud: &Cloud| {
        let linked = cloud.sample.linked();
        vec![cloud.sample.payer(), linked[1].clone(), linked[3].clone()]
    };
    both_sides(kind, visible, async |bench: &Bench, bare: &Site, visible: &[String]| {
        bench.connect(&visible[1..]).await;
        let statements = aggregates(kind);
        // The newest month first: months with rollups and months without in one answer.
        assert!(bench.site.node.deriver().derive_next().await);
        compare(
            &mut bench.site.admin(),
            &mut bare.admin(),
            statements.clone(),
            cases / 2,
            seed,
        )
        .await;
        while bench.site.node.deriver().derive_next().await {}
        let mut scoped = bench.site.admin();
        compare(&mut scoped, &mut bare.admin(), statements.clone(), cases * 2, seed ^ 1).await;
        assert_used(&mut scoped, &statements).await;
        // Of the accounts that are connected, a reader sees one.
        let grant = grant_of(&visible[1..2]);
        bench.site.put_login("reader", Role::Reader, grant).await;
        let words = sql::statement(&sql::Words::of(&bench.cloud, visible));
        compare(&mut scoped, &mut bare.admin(), words, cases / 2, seed ^ 2).await;
        let mut on = bench.site.in_process("reader");
        let mut off = bench.site.in_process("reader");
        off.run("SET farthing.rollup = off").await.unwrap();
        compare(&mut on, &mut off, statements, cases, seed ^ 3).await;
    });
}

#[test]
fn rollups_change_no_answer() {
    same_answers(Kind::Cur2);
}

#[test]
fn rollups_of_a_legacy_report_change_no_answer() {
    same_answers(Kind::Legacy);
}

#[test]
fn rollups_of_a_focus_export_change_no_answer() {
    same_answers(Kind::Focus);
}

#[test]
fn a_new_delivery_is_seen_at_once_and_has_rollups_of_its_own() {
    run(Start::AllConnected, async |bench| {
        derive(&bench.site).await;
        let total = format!("SELECT sum(billed_cost)::text, count(*) FROM costs WHERE x_billing_period = '{RESTATED}'");
        let total = total.as_str();
        let before = bench.ask(total).await.text();
        let newer = Sample::restated(Sample::spec(), RESTATED).await;
        bench.cloud.deliver(&newer, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        let after = bench.ask(total).await.text();
        assert_ne!(before, after);
        let rollups = format!("SELECT count(*) FROM system.rollups WHERE billing_period = '{RESTATED}'");
        assert_eq!(bench.ask(&rollups).await.single(), Some("0"));
        assert_eq!(bench.site.node.deriver().derive_all().await, 1);
        assert_ne!(bench.ask(&rollups).await.single(), Some("0"));
        assert_eq!(bench.ask(total).await.text(), after);
    });
}
