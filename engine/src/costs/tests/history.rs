//! Former deliveries in SQL: `costs_as_of`, `cost_changes`, `reconcile`, `system.shared_commitments`.

use chrono::DateTime;

use crate::catalog::{Change, Export, ExportKind, PastDelivery};
use crate::error::ErrorKind;
use crate::money::Amount;
use crate::principal::{Grant, Principal, Role};
use crate::snapshot::Snapshot;
use crate::snapshot::services::{FORMAT_VERSION, ServiceKey, ServiceLine, ServiceSum, ServiceTotals};
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, parquet, reader, usage};

/// 2026-06-01 00:00:00 UTC.
const START: i64 = 1_780_272_000;

/// The delivery of a month so many hours after the start, into a folder of its own or over the former one.
async fn delivery(world: &World, export: &str, period: &str, hour: i64, apart: bool, rows: Vec<Row>) -> Snapshot {
    let folder = if apart { format!("run-{hour}/") } else { String::new() };
    let mut snapshot = world
        .snapshot_of(export, period, &folder, vec![(parquet(&rows), rows)])
        .await;
    snapshot.delivered_at = DateTime::from_timestamp(START + hour * 3_600, 0).unwrap();
    snapshot.execution_id = Some(format!("run-{hour}"));
    snapshot
}

/// Publishes it as the importer does: the former one becomes a past delivery.
async fn publish(world: &World, snapshot: Snapshot) {
    let lease = world.catalog.lease();
    let former = lease
        .snapshots
        .get(&snapshot.export)
        .and_then(|periods| periods.get(&snapshot.period));
    if let Some(former) = former {
        world
            .publish(Change::PutPast {
                export: snapshot.export.clone(),
                period: snapshot.period,
                delivery: PastDelivery::replaced(former, &snapshot),
                limit: 10,
            })
            .await;
    }
    world.put(snapshot).await;
}

/// Two months: May is delivered at hour 1 and, apart, at hour 3; June at hour 2, and over that at hour 4.
async fn world() -> World {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    for (period, hour, apart, costs) in [
        ("2026-05", 1, true, [1.0, 2.0, 100.0]),
        ("2026-06", 2, false, [5.0, 6.0, 500.0]),
        ("2026-05", 3, true, [1.5, 2.0, 150.0]),
        ("2026-06", 4, false, [7.0, 8.0, 700.0]),
    ] {
        let rows = vec![usage(ANN, costs[0]), usage(BOB, costs[1]), usage(HIDDEN, costs[2])];
        let snapshot = delivery(&world, "main", period, hour, apart, rows).await;
        publish(&world, snapshot).await;
    }
    world
}

async fn check(world: &World, principal: &Principal, sql: &str, expected: &str) {
    match world.rows(principal, sql).await {
        Ok(rows) => assert_eq!(rows, expected, "{sql}"),
        Err(error) => panic!("{sql}: {error}"),
    }
}

async fn refused(world: &World, sql: &str, kind: ErrorKind, words: &[&str]) {
    let error = world.rows(&reader(&[]), sql).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{sql}: {error}");
    for word in words {
        assert!(error.message().contains(word), "{sql}: no {word} in {error}");
    }
}

#[tokio::test]
async fn costs_as_of_an_instant_are_those_of_the_newest_delivery_then() {
    let world = world().await;
    let (all, ann) = (reader(&[]), reader(&[ANN]));
    let sums = |at: &str, more: &str| {
        format!(
            "SELECT x_billing_period, count(*), sum(billed_cost) FROM costs_as_of('{at}') {more} GROUP BY 1 ORDER BY 1"
        )
    };
    // Before the first delivery there is nothing; at its very second there is.
    check(&world, &all, &sums("2026-06-01 00:59:59", ""), "").await;
    let first = "2026-05|2|3.000000000000";
    check(&world, &all, &sums("2026-06-01 01:00:00", ""), first).await;
    check(&world, &all, &sums("2026-06-01T03:30:00+02:00", ""), first).await;
    let now = "2026-05|2|3.500000000000 2026-06|2|15.000000000000";
    check(&world, &all, &sums("2026-06-01 04:00:00", ""), now).await;
    check(&world, &all, &sums("2030-01-01", ""), now).await;
    let mine = "2026-05|1|1.500000000000 2026-06|1|7.000000000000";
    check(&world, &ann, &sums("2030-01-01", ""), mine).await;
    check(
        &world,
        &all,
        "SELECT count(*) FROM costs_as_of(timestamp '2026-06-01 01:00:00')",
        "2",
    )
    .await;
    // Joins, subqueries and CTEs.
    let joined = "WITH then AS (SELECT * FROM costs_as_of('2026-06-01 01:30:00')) \
                  SELECT n.sub_account_id, n.billed_cost - t.billed_cost FROM costs n JOIN then t USING (sub_account_id, \
                  x_billing_period) WHERE n.sub_account_id IN (SELECT sub_account_id FROM costs_as_of('2030-01-01')) ORDER BY 1";
    let expected = format!("{ANN}|0.500000000000 {BOB}|0.000000000000");
    check(&world, &all, joined, &expected).await;
    // As `costs`, column by column.
    let (one, other) = (
        "SELECT * FROM costs ORDER BY 1",
        "SELECT * FROM costs_as_of('2030-01-01')",
    );
    let ordered = "ORDER BY x_billing_period, sub_account_id";
    let one = world.rows(&all, &one.replace("ORDER BY 1", ordered)).await.unwrap();
    let other = world.rows(&all, &format!("{other} {ordered}")).await.unwrap();
    assert!(one.contains(ANN) && one == other, "{one}\n{other}");
}

#[tokio::test]
async fn a_month_whose_delivery_of_then_is_overwritten_fails_unless_it_is_left_out() {
    let world = world().await;
    let lost = "SELECT sum(billed_cost) FROM costs_as_of('2026-06-01 03:00:00')";
    let words = ["2026-06-01 02:00:00", "2026-06", "main", "run-2"];
    refused(&world, lost, ErrorKind::NotDelivered, &words).await;
    refused(
        &world,
        &format!("{lost} WHERE x_billing_period >= '2026-05'"),
        ErrorKind::NotDelivered,
        &words,
    )
    .await;
    for condition in [
        "= '2026-05'",
        "< '2026-06'",
        "<> '2026-06'",
        "IN ('2026-04', '2026-05')",
    ] {
        let sql = format!("{lost} WHERE x_billing_period {condition}");
        check(&world, &reader(&[]), &sql, "3.500000000000").await;
    }
    // Whose rows were in no such delivery misses nothing.
    let error = world.rows(&reader(&[ANN]), lost).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDelivered);
    check(&world, &reader(&[PAYER]), lost, "").await;
    // Planning alone reads nothing.
    assert!(world.plan(&reader(&[]), lost).await.is_ok());
    let gone = "p/main/data/BILLING_PERIOD=2026-05/run-1/main-00000.snappy.parquet";
    object_store::ObjectStoreExt::delete(world.store.as_ref(), &gone.into())
        .await
        .unwrap();
    let first = "SELECT sum(billed_cost) FROM costs_as_of('2026-06-01 01:00:00')";
    refused(
        &world,
        first,
        ErrorKind::NotDelivered,
        &["2026-06-01 01:00:00", "2026-05", "main"],
    )
    .await;
}

#[tokio::test]
async fn the_account_filter_is_on_every_leaf() {
    let world = world().await;
    let query = world
        .plan(
            &reader(&[ANN]),
            "SELECT count(*) FROM costs_as_of('2026-06-01 01:00:00')",
        )
        .await
        .unwrap();
    let plan = query.explain().await.unwrap();
    assert!(plan.contains("account_filter["), "{plan}");
    assert!(plan.contains("ScopeExec: accounts=1"), "{plan}");
    assert!(!plan.contains(BOB) && !plan.contains(HIDDEN), "{plan}");
}

#[tokio::test]
async fn authority_is_decided_among_the_deliveries_of_then() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("early", PAYER, 0).await;
    world.export("late", PAYER, 1).await;
    let late = delivery(&world, "late", "2026-05", 1, true, vec![usage(ANN, 10.0)]).await;
    publish(&world, late).await;
    let early = delivery(&world, "early", "2026-05", 2, true, vec![usage(ANN, 20.0)]).await;
    publish(&world, early).await;
    let at = |hour: u32| {
        format!("SELECT x_export, sum(billed_cost) FROM costs_as_of('2026-06-01 0{hour}:30:00') GROUP BY 1")
    };
    // While the export that was connected first had delivered nothing, the other one counted.
    check(&world, &reader(&[]), &at(1), "late|10.000000000000").await;
    check(&world, &reader(&[]), &at(2), "early|20.000000000000").await;
    // A delivery that is lost and counts for nothing is not missed.
    let again = delivery(&world, "late", "2026-05", 1, true, vec![usage(ANN, 11.0)]).await;
    let again = Snapshot {
        delivered_at: DateTime::from_timestamp(START + 3 * 3_600, 0).unwrap(),
        id: uuid::Uuid::new_v4().to_string().parse().unwrap(),
        ..again
    };
    publish(&world, again).await;
    check(&world, &reader(&[]), &at(2), "early|20.000000000000").await;
    refused(&world, &at(1), ErrorKind::NotDelivered, &["late", "2026-05"]).await;
}

#[tokio::test]
async fn arguments_are_constants_of_the_right_kind() {
    let world = world().await;
    for (call, kind) in [
        ("costs_as_of('yesterday')", ErrorKind::BadInstant),
        ("costs_as_of('2026-13-01')", ErrorKind::BadInstant),
        ("costs_as_of('')", ErrorKind::BadInstant),
        ("costs_as_of(NULL)", ErrorKind::NullNotAllowed),
        ("costs_as_of(7)", ErrorKind::WrongType),
        ("costs_as_of()", ErrorKind::UnknownFunction),
        ("costs_as_of('2026-06-01', '2026-06-02')", ErrorKind::UnknownFunction),
        ("costs_as_of($1)", ErrorKind::Unsupported),
        ("cost_changes('May')", ErrorKind::BadValue),
        ("cost_changes('2026-05', 'then')", ErrorKind::BadInstant),
        (
            "cost_changes('2026-05', '2026-06-02', '2026-06-01')",
            ErrorKind::BadValue,
        ),
        ("reconcile('2026')", ErrorKind::BadValue),
        ("reconcile(202605)", ErrorKind::WrongType),
        ("reconcile()", ErrorKind::UnknownFunction),
    ] {
        refused(&world, &format!("SELECT count(*) FROM {call}"), kind, &[]).await;
    }
}

/// Writes totals by service: account, service and cost of each line, of one row.
async fn totals(world: &World, snapshot: &Snapshot, lines: &[(&str, &str, &str)]) {
    let line = |(account, service, cost): &(&str, &str, &str)| ServiceLine {
        key: ServiceKey {
            owner: crate::snapshot::RowOwner {
                usage_account: account.parse().ok(),
                payer: PAYER.parse().ok(),
            },
            service: Some((*service).to_owned()),
            currency: Some("USD".to_owned()),
        },
        sum: ServiceSum {
            rows: 1,
            cost: cost.parse::<Amount>().unwrap(),
        },
    };
    world
        .catalog
        .write_totals(&ServiceTotals {
            format_version: FORMAT_VERSION,
            export: snapshot.export.clone(),
            period: snapshot.period,
            snapshot: snapshot.id.clone(),
            account_names: [(ANN.parse().unwrap(), "ann".to_owned())].into(),
            lines: lines.iter().map(line).collect(),
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn changes_between_two_deliveries_are_those_on_paper() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let deliveries: [&[(&str, &str, &str)]; 3] = [
        &[
            (ANN, "EC2", "1.10"),
            (ANN, "S3", "2"),
            (BOB, "EC2", "3"),
            (HIDDEN, "EC2", "50"),
        ],
        &[
            (ANN, "EC2", "1.35"),
            (ANN, "S3", "2"),
            (BOB, "EC2", "3"),
            (HIDDEN, "EC2", "60"),
        ],
        &[
            (ANN, "EC2", "1.35"),
            (ANN, "RDS", "-4"),
            (BOB, "EC2", "3.5"),
            ("", "Support", "9"),
            (HIDDEN, "S3", "70"),
        ],
    ];
    for (hour, lines) in (1..).zip(deliveries) {
        let snapshot = delivery(&world, "main", "2026-05", hour, false, vec![usage(ANN, 1.0)]).await;
        totals(&world, &snapshot, lines).await;
        publish(&world, snapshot).await;
    }
    let columns = "to_char(from_delivered_at, '%H'), to_char(to_delivered_at, '%H'), coalesce(sub_account_id, '-'), \
                   coalesce(sub_account_name, '-'), x_service_code, billing_currency, cost_before, cost_after, delta, \
                   rows_before, rows_after";
    let ask = |arguments: &str| {
        format!("SELECT {columns} FROM cost_changes({arguments}) ORDER BY sub_account_id NULLS LAST, x_service_code")
    };
    // Between the two newest: what is gone has nothing after, what is new nothing before.
    let (zero, none) = ("0.000000000000", "");
    let rds = format!("02|03|{ANN}|ann|RDS|USD|{zero}|-4.000000000000|-4.000000000000|0|1");
    let s3 = format!("02|03|{ANN}|ann|S3|USD|2.000000000000|{zero}|-2.000000000000|1|0");
    let bob = format!("02|03|{BOB}|-|EC2|USD|3.000000000000|3.500000000000|0.500000000000|1|1");
    let support = format!("02|03|-|-|Support|USD|{zero}|9.000000000000|9.000000000000|0|1");
    let newest = format!("{rds} {s3} {bob} {support}");
    check(&world, &reader(&[]), &ask("'2026-05'"), &newest).await;
    check(&world, &reader(&[ANN]), &ask("'2026-05'"), &format!("{rds} {s3}")).await;
    check(&world, &reader(&[BOB]), &ask("'2026-05'"), &bob).await;
    check(&world, &reader(&[]), &ask("'2026-04'"), none).await;
    // Between named instants.
    let ec2 = format!("01|02|{ANN}|ann|EC2|USD|1.100000000000|1.350000000000|0.250000000000|1|1");
    let named = "'2026-05', '2026-06-01 01:00:00', '2026-06-01 02:59:59'";
    check(&world, &reader(&[]), &ask(named), &ec2).await;
    check(&world, &reader(&[]), &ask("'2026-05', '2026-06-01 02:30:00'"), &newest).await;
    check(&world, &reader(&[]), &ask("'2026-05', '2026-06-01 03:30:00'"), none).await;
    let since_nothing = "SELECT count(*), sum(delta), sum(rows_after) FROM cost_changes('2026-05', '2026-05-01', \
                         '2026-06-01 01:30:00') WHERE from_delivered_at IS NULL";
    check(&world, &reader(&[]), since_nothing, "3|6.100000000000|3").await;
    // A delivery without totals is named.
    let snapshot = delivery(&world, "main", "2026-05", 5, false, vec![usage(ANN, 1.0)]).await;
    publish(&world, snapshot).await;
    let sql = ask("'2026-05'");
    refused(&world, &sql, ErrorKind::NotDelivered, &["05:00:00", "2026-05", "main"]).await;
}

fn operator(grant: Grant) -> Principal {
    Principal {
        name: "olga".to_owned(),
        role: Role::Operator,
        grant,
    }
}

#[tokio::test]
async fn reconcile_compares_what_was_delivered_with_what_is_seen() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    world.export("twin", PAYER, 1).await;
    let mut tax = usage("", 0.7);
    tax.insert("line_item_usage_account_id", Cell::Text(""));
    let mut yuan = usage(ANN, 8.0);
    yuan.insert("line_item_currency_code", Cell::Text("CNY"));
    let rows = vec![
        usage(ANN, 1.5),
        usage(ANN, 0.25),
        usage(BOB, 2.0),
        usage(HIDDEN, 40.0),
        tax,
        yuan,
    ];
    world.deliver("main", "2026-05", std::slice::from_ref(&rows)).await;
    world
        .deliver("twin", "2026-05", &[vec![usage(ANN, 1.0), usage(HIDDEN, 3.0)]])
        .await;
    world.deliver("main", "2026-06", &[vec![usage(ANN, 1000.0)]]).await;
    let ask = |what: &str| {
        format!(
            "SELECT export, level, coalesce(account_id, '-'), billing_currency, visible, counted, {what} FROM \
             reconcile('2026-05') ORDER BY export, level, account_id, billing_currency"
        )
    };
    let rows = ask("rows_delivered, rows_visible, rows_ignored, rows_elsewhere, rows_difference");
    let all = operator(Grant::AllConnected);
    let expected = [
        format!("main|account|{PAYER}|USD|true|true|1|1|0|0|0"),
        format!("main|account|{ANN}|CNY|true|true|0|1|0|0|-1"),
        format!("main|account|{ANN}|USD|true|true|3|2|0|0|1"),
        format!("main|account|{BOB}|USD|true|true|1|1|0|0|0"),
        format!("main|account|{HIDDEN}|USD|false|true|1|0|1|0|0"),
    ];
    // Without totals by service it is not known in which currency each row of an account with two of them is; the two
    // lines' differences cancel out.
    let answer = world.rows(&all, &rows).await.unwrap();
    for line in &expected[3..] {
        assert!(answer.contains(line.as_str()), "{line}\n{answer}");
    }
    let costs = ask("cost_delivered, cost_visible, cost_ignored, cost_elsewhere, cost_difference");
    let money = |amounts: [&str; 5]| amounts.map(|amount| format!("{amount}0000000000")).join("|");
    let zero = "0.00";
    let seen = |amount| money([amount, amount, zero, zero, zero]);
    let ignored = |amount| money([amount, zero, amount, zero, zero]);
    let elsewhere = |amount| money([amount, zero, zero, amount, zero]);
    let lines = [
        format!("main|account|{PAYER}|USD|true|true|{}", seen("0.70")),
        format!("main|account|{ANN}|CNY|true|true|{}", seen("8.00")),
        format!("main|account|{ANN}|USD|true|true|{}", seen("1.75")),
        format!("main|account|{BOB}|USD|true|true|{}", seen("2.00")),
        format!("main|account|{HIDDEN}|USD|false|true|{}", ignored("40.00")),
        format!("main|total|-|CNY|||{}", seen("8.00")),
        format!("main|total|-|USD|||{}", money(["44.45", "4.45", "40.00", zero, zero])),
        format!("twin|account|{ANN}|USD|true|false|{}", elsewhere("1.00")),
        format!("twin|account|{HIDDEN}|USD|false|false|{}", ignored("3.00")),
        format!("twin|total|-|USD|||{}", money(["4.00", zero, "3.00", "1.00", zero])),
    ];
    check(&world, &all, &costs, &lines.join(" ")).await;
    // Whoever does not see the whole state sees lines and totals of the own accounts alone.
    let ann: crate::id::AccountId = ANN.parse().unwrap();
    let own = [
        lines[1].clone(),
        lines[2].clone(),
        format!("main|total|-|CNY|||{}", seen("8.00")),
        format!("main|total|-|USD|||{}", seen("1.75")),
        lines[7].clone(),
        format!("twin|total|-|USD|||{}", elsewhere("1.00")),
    ]
    .join(" ");
    check(&world, &reader(&[ANN]), &costs, &own).await;
    check(&world, &operator(Grant::Accounts([ann].into())), &costs, &own).await;
    let everything = world.rows(&reader(&[]), &costs).await.unwrap();
    assert!(
        !everything.contains(HIDDEN),
        "a reader of all connected accounts: {everything}"
    );
    check(&world, &all, "SELECT count(*) FROM reconcile('2026-04')", "0").await;
}

#[tokio::test]
async fn exports_that_are_no_costs_are_not_reconciled() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    world.deliver("main", "2026-05", &[vec![usage(ANN, 1.0)]]).await;
    let lease = world.catalog.lease();
    let main = lease.document.exports.values().next().unwrap();
    world
        .publish(Change::PutExport(Export {
            id: "advice".parse().unwrap(),
            kind: ExportKind::CostOptimization,
            ..main.clone()
        }))
        .await;
    for hour in 1..=2 {
        let rows = vec![usage(ANN, 5.0); hour];
        let advice = delivery(&world, "advice", "2026-05", hour as i64, true, rows).await;
        publish(&world, advice).await;
    }
    let exports = |function: &str| format!("SELECT DISTINCT export FROM {function}('2026-05')");
    check(&world, &reader(&[]), &exports("reconcile"), "main").await;
    check(&world, &reader(&[]), &exports("cost_changes"), "").await;
    let then = "SELECT sum(billed_cost) FROM costs_as_of('2030-01-01')";
    check(&world, &reader(&[]), then, "1.000000000000").await;
}

#[tokio::test]
async fn reconcile_finds_what_was_not_loaded() {
    let world = World::with(&[PAYER, ANN]).await;
    world.export("main", PAYER, 0).await;
    let rows = vec![usage(ANN, 1.5), usage(ANN, 0.25)];
    let mut snapshot = world
        .snapshot_of("main", "2026-05", "", vec![(parquet(&rows), rows)])
        .await;
    // The import is said to have counted a row, and a cost, that the file does not have.
    snapshot.files[0].rows += 1;
    let owner = &mut snapshot.files[0].owners[0];
    owner.rows += 1;
    *owner.unblended.get_mut("USD").unwrap() += "2".parse().unwrap();
    world.put(snapshot).await;
    let sql = "SELECT level, rows_difference, cost_difference FROM reconcile('2026-05') ORDER BY 1";
    let off = "1|2.000000000000";
    let expected = format!("account|{off} total|{off}");
    check(&world, &reader(&[]), sql, &expected).await;
}

#[tokio::test]
async fn commitments_of_others_show_what_they_cover() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let covered = |account: &'static str, effective: f64, plan: &'static str| {
        let mut row = usage(account, 9.0);
        row.insert("line_item_line_item_type", Cell::Text("SavingsPlanCoveredUsage"));
        row.insert("savings_plan_savings_plan_a_r_n", Cell::Text(plan));
        row.insert("savings_plan_savings_plan_effective_cost", Cell::Double(effective));
        row
    };
    const THEIRS: &str = "arn:aws:savingsplans::999999999999:savingsplan/theirs";
    const BOBS: &str = "arn:aws:savingsplans::000000000012:savingsplan/bobs";
    let rows = vec![
        covered(ANN, 1.25, THEIRS),
        covered(ANN, 0.5, THEIRS),
        covered(BOB, 2.0, THEIRS),
        covered(HIDDEN, 64.0, THEIRS),
        covered(ANN, 4.0, BOBS),
        usage(ANN, 3.0),
    ];
    world.deliver("main", "2026-05", &[rows]).await;
    let sql = "SELECT billing_period, commitment_discount_id, owner_account_id, commitment_discount_type, accounts, \
               covered_rows, billing_currency, covered_effective_cost FROM system.shared_commitments ORDER BY 2";
    let theirs = format!("2026-05|{THEIRS}|{HIDDEN}|Savings Plan");
    let expected = format!("{theirs}|2|3|USD|3.750000000000");
    check(&world, &reader(&[]), sql, &expected).await;
    // Of what ann sees, bob's plan is somebody else's too: whether he is connected is not hers to know.
    let bobs = format!("2026-05|{BOBS}|{BOB}|Savings Plan|1|1|USD|4.000000000000");
    check(
        &world,
        &reader(&[ANN]),
        sql,
        &format!("{bobs} {theirs}|1|2|USD|1.750000000000"),
    )
    .await;
}
