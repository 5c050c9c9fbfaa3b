//! No row outside the scope influences any output: random SQL under a scope gives what the same SQL gives over data from
//! which the hidden rows were removed.
//!
//! The two sides share nothing but the rows that are visible: one node reads the delivered export through a scope, the
//! other reads rewritten files, in which no other row is left, with every account connected. Rows are compared, and
//! refusals. The seed is printed; `FARTHING_LEAK_SEED` replays it, and `FARTHING_LEAK_CASES` asks for more or fewer cases.

pub(crate) mod sql;
mod without;

use farthing_engine::principal::Role;
use farthing_tests::bench::{Bench, Site, grant_of, on_runtimes};
use farthing_tests::client::{Client, Way};
use farthing_tests::cloud::{Cloud, PERIODS, Sample};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::Rng;

const SEED: &str = "FARTHING_LEAK_SEED";
const CASES: &str = "FARTHING_LEAK_CASES";

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Runs both sides of a statement and says how they differ.
async fn difference(scoped: &mut dyn Client, bare: &mut dyn Client, sql: &str) -> Option<String> {
    let (one, other) = (scoped.run(sql).await, bare.run(sql).await);
    match (one, other) {
        (Ok(one), Ok(other)) => {
            let (one, other) = (one.sorted(), other.sorted());
            (one != other).then(|| {
                format!(
                    "under the scope:\n{}\nwithout hidden rows:\n{}",
                    one.text(),
                    other.text()
                )
            })
        }
        (Err(one), Err(other)) => {
            (one != other).then(|| format!("under the scope it is refused so: {one}\nwithout hidden rows so: {other}"))
        }
        (Ok(one), Err(other)) => Some(format!(
            "under the scope it gives\n{}\nwithout hidden rows: {other}",
            one.text()
        )),
        (Err(one), Ok(other)) => Some(format!(
            "under the scope: {one}\nwithout hidden rows it gives\n{}",
            other.text()
        )),
    }
}

/// How often statements gave rows, gave none, or were refused; a test of empty answers alone would prove nothing.
#[derive(Default)]
struct Kinds {
    with_rows: u32,
    empty: u32,
    refused: u32,
}

/// Compares random statements. Shrinks the first one that differs.
pub(crate) async fn compare(
    scoped: &mut dyn Client,
    bare: &mut dyn Client,
    statements: impl Strategy<Value = String>,
    cases: u64,
    seed: u64,
) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut kinds = Kinds::default();
    for case in 0..cases {
        let mut tree = statements.new_tree(&mut runner).unwrap();
        let sql = tree.current();
        match scoped.run(&sql).await {
            Ok(answer) if answer.rows.is_empty() => kinds.empty += 1,
            Ok(_) => kinds.with_rows += 1,
            Err(refusal) => {
                assert_ne!(
                    refusal.sqlstate, "XX000",
                    "{SEED}={seed}, case {case}: {sql}\n{refusal}"
                );
                kinds.refused += 1;
            }
        }
        if difference(scoped, bare, &sql).await.is_none() {
            continue;
        }
        let mut smallest = sql;
        let mut moved = tree.simplify();
        for _ in 0..200 {
            if !moved {
                break;
            }
            let sql = tree.current();
            moved = if difference(scoped, bare, &sql).await.is_some() {
                smallest = sql;
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        let difference = difference(scoped, bare, &smallest).await;
        panic!(
            "{SEED}={seed}, case {case}:\n{smallest}\n{}",
            difference.unwrap_or_default()
        );
    }
    println!(
        "{} statements with rows, {} empty, {} refused",
        kinds.with_rows, kinds.empty, kinds.refused
    );
    assert!(
        u64::from(kinds.with_rows) * 4 > cases,
        "most statements give nothing: {} of {cases} have rows",
        kinds.with_rows
    );
}

/// As what kind of export the costs are delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Cur2,
    Legacy,
    Focus,
}

/// The two sides, and what they are asked.
pub(crate) fn both_sides(
    kind: Kind,
    visible: impl Fn(&Cloud) -> Vec<String>,
    test: impl AsyncFnOnce(&Bench, &Site, &[String]),
) {
    on_runtimes(async |runtimes| {
        let cloud = Cloud::delivered_of(match kind {
            Kind::Cur2 => Sample::shared().await,
            Kind::Legacy => Sample::legacy().await,
            Kind::Focus => Sample::focus().await,
        })
        .await;
        let visible = visible(&cloud);
        let folder = without::copy(&cloud, &visible);
        let scoped = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
        let bench = Bench { cloud, site: scoped };
        let bare = Site::open(None, runtimes, |_| {}).await;
        without::connect(&bare, &bench.cloud, folder.path()).await;
        test(&bench, &bare, &visible).await;
        bare.close().await;
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}

pub(crate) fn seed_and_cases() -> (u64, u64) {
    let seed = number(SEED).unwrap_or_else(|| rand::rng().random());
    println!("{SEED}={seed}");
    (seed, number(CASES).unwrap_or(64))
}

#[test]
fn unconnected_accounts_influence_nothing() {
    unconnected_accounts(Kind::Cur2);
}

#[test]
fn unconnected_accounts_of_a_legacy_report_influence_nothing() {
    unconnected_accounts(Kind::Legacy);
}

#[test]
fn unconnected_accounts_of_a_focus_export_influence_nothing() {
    unconnected_accounts(Kind::Focus);
}

fn unconnected_accounts(kind: Kind) {
    let (seed, cases) = seed_and_cases();
    let visible = |cloud: &Cloud| {
        let linked = cloud.sample.linked();
        vec![cloud.sample.payer(), linked[1].clone(), linked[3].clone()]
    };
    both_sides(kind, visible, async |bench, bare, visible| {
        bench.connect(&visible[1..]).await;
        let words = sql::Words::of(&bench.cloud, visible);
        compare(
            &mut bench.site.admin(),
            &mut bare.admin(),
            sql::statement(&words),
            cases,
            seed,
        )
        .await;
    });
}

#[test]
fn accounts_outside_of_a_grant_influence_nothing() {
    accounts_outside_of_a_grant(Kind::Cur2);
}

#[test]
fn accounts_outside_of_a_grant_on_a_legacy_report_influence_nothing() {
    accounts_outside_of_a_grant(Kind::Legacy);
}

#[test]
fn accounts_outside_of_a_grant_on_a_focus_export_influence_nothing() {
    accounts_outside_of_a_grant(Kind::Focus);
}

fn accounts_outside_of_a_grant(kind: Kind) {
    let (seed, cases) = seed_and_cases();
    let visible = |cloud: &Cloud| {
        let linked = cloud.sample.linked();
        vec![linked[0].clone(), linked[5].clone()]
    };
    both_sides(kind, visible, async |bench, bare, visible| {
        bench.connect(&bench.cloud.sample.linked()).await;
        bench.site.put_login("reader", Role::Reader, grant_of(visible)).await;
        let words = sql::Words::of(&bench.cloud, visible);
        let mut reader = bench.site.in_process("reader");
        compare(&mut reader, &mut bare.admin(), sql::statement(&words), cases, seed).await;
    });
}

/// Statements over what `costs` was at an instant after every delivery, and what else is said of deliveries.
#[test]
fn hidden_rows_influence_nothing_that_is_said_of_deliveries() {
    let (seed, cases) = seed_and_cases();
    let visible = |cloud: &Cloud| {
        let linked = cloud.sample.linked();
        vec![linked[0].clone(), linked[5].clone()]
    };
    both_sides(Kind::Cur2, visible, async |bench, bare, visible| {
        bench.connect(&bench.cloud.sample.linked()).await;
        bench.site.put_login("reader", Role::Reader, grant_of(visible)).await;
        bare.put_login("reader", Role::Reader, grant_of(visible)).await;
        let words = sql::Words::of(&bench.cloud, visible);
        for way in [Way::PostgresExtended, Way::FlightSql] {
            let mut reader = bench.site.client(way, "reader").await;
            let mut other = bare.client(way, "reader").await;
            let statements = sql::statement(&words).prop_map(|sql| {
                let then = "costs_as_of('2030-01-01')";
                let sql = sql.replace("FROM costs", &format!("FROM {then}"));
                sql.replace("JOIN costs ", &format!("JOIN {then} "))
            });
            compare(reader.as_mut(), other.as_mut(), statements, cases / 2, seed).await;
            for period in PERIODS {
                for sql in [
                    format!("SELECT * FROM reconcile('{period}')"),
                    format!(
                        "SELECT level, sum(cost_delivered), max(rows_difference) FROM reconcile('{period}') GROUP BY 1"
                    ),
                    format!("SELECT count(*) FROM cost_changes('{period}')"),
                    format!("SELECT rows, readable, current FROM system.deliveries WHERE billing_period = '{period}'"),
                    "SELECT * FROM system.shared_commitments".to_owned(),
                    "SELECT * FROM system.account_coverage".to_owned(),
                    "SELECT state, periods, rows, data_through, aws_lag_seconds, own_lag_seconds FROM system.exports"
                        .to_owned(),
                    format!(
                        "SELECT sum(billed_cost) FROM costs_as_of('1999-01-01') WHERE x_billing_period = '{period}'"
                    ),
                ] {
                    if let Some(difference) = difference(reader.as_mut(), other.as_mut(), &sql).await {
                        panic!("{way:?}: {sql}\n{difference}");
                    }
                }
            }
        }
    });
}

#[test]
fn traps_laid_on_hidden_rows_never_spring() {
    traps_laid_on_hidden_rows(Kind::Cur2);
}

#[test]
fn traps_laid_on_hidden_rows_of_a_legacy_report_never_spring() {
    traps_laid_on_hidden_rows(Kind::Legacy);
}

#[test]
fn traps_laid_on_hidden_rows_of_a_focus_export_never_spring() {
    traps_laid_on_hidden_rows(Kind::Focus);
}

fn traps_laid_on_hidden_rows(kind: Kind) {
    let visible = |cloud: &Cloud| vec![cloud.sample.payer(), cloud.sample.linked()[2].clone()];
    both_sides(kind, visible, async |bench, bare, visible| {
        bench.connect(&visible[1..]).await;
        let (mut scoped, mut bare) = (bench.site.admin(), bare.admin());
        for hidden in bench.cloud.sample.accounts().iter().filter(|id| !visible.contains(id)) {
            for trap in sql::traps(hidden) {
                for sql in [
                    format!("SELECT count(*) FROM costs WHERE {trap}"),
                    format!(
                        "SELECT sub_account_id, sum(billed_cost) FROM costs WHERE {trap} AND billed_cost > 0 GROUP BY 1"
                    ),
                    format!("SELECT min(billed_cost) FROM costs WHERE billed_cost < 0 OR {trap}"),
                    format!("SELECT count(*) FROM costs a WHERE EXISTS (SELECT 1 FROM costs b WHERE {trap})"),
                    format!("SELECT CASE WHEN {trap} THEN 1 ELSE 2 END AS n, count(*) FROM costs GROUP BY 1"),
                ] {
                    if let Some(difference) = difference(&mut scoped, &mut bare, &sql).await {
                        panic!("{sql}\n{difference}");
                    }
                    scoped
                        .run(&sql)
                        .await
                        .unwrap_or_else(|refusal| panic!("a hidden row is met: {sql}\n{refusal}"));
                }
            }
            // Nothing tells whether it exists, either.
            let sql = format!("EXPLAIN SELECT count(*) FROM costs WHERE sub_account_id = '{hidden}'");
            let plan = scoped.run(&sql).await.unwrap().text();
            let other = scoped
                .run(&sql.replace(hidden.as_str(), "999999999999"))
                .await
                .unwrap()
                .text();
            assert_eq!(plan.replace(hidden.as_str(), "999999999999"), other);
        }
    });
}
