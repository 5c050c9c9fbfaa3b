//! From a legacy report to CUR 2.0: both connected, months compared, and each cost counted once at every moment.

use farthing_engine::principal::Role;
use farthing_sandbox::sample::ExportForm;
use farthing_tests::bench::{Bench, Start, grant_of, run};
use farthing_tests::client::{Answer, Client};
use farthing_tests::cloud::{BUCKET, EXPORT, PERIODS, PREFIX, Sample};
use tokio::sync::OnceCell;

/// The legacy report's name in AWS, and its prefix.
const LEGACY: &str = "legacy-costs";
const LEGACY_PREFIX: &str = "cur/legacy";
/// All costs, and what they sum to.
const SEEN: &str = "SELECT count(*), sum(billed_cost), sum(effective_cost) FROM costs";
/// Which export each month comes from.
const SOURCES: &str = "SELECT x_billing_period, x_export, count(*) FROM costs GROUP BY 1, 2 ORDER BY 1, 2";
const BY_SERVICE: &str = "SELECT x_billing_period, sub_account_id, service_name, tags['user_env'] AS env, count(*), \
                          sum(billed_cost), sum(effective_cost) FROM costs GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";

async fn legacy() -> &'static Sample {
    static SAMPLE: OnceCell<Sample> = OnceCell::const_new();
    let mut spec = Sample::spec().with_form(ExportForm::LegacyParquet);
    (spec.prefix, spec.export_name) = (LEGACY_PREFIX.to_owned(), LEGACY.to_owned());
    SAMPLE.get_or_init(|| Sample::generate(spec)).await
}

/// Lets the payer's user read one more export.
fn allow(bench: &Bench, base: &str) {
    let policy = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{BUCKET}/{base}/*") }],
    });
    let name = base.replace('/', "-");
    let payer = bench.cloud.sample.payer();
    bench
        .cloud
        .sandbox
        .put_user_policy(&payer, "farthing", &name, &policy.to_string())
        .unwrap();
}

fn connect(bench: &Bench, base: &str) -> String {
    let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
    format!("CALL connect_aws_root(location => 's3://{BUCKET}/{base}', {keys})")
}

/// The legacy report with all months, and after it the CUR 2.0 export with some; every account is connected.
async fn both(bench: &Bench, new_months: &[&str]) {
    bench.cloud.deliver(legacy().await, |_| true).await;
    deliver_new(bench, new_months).await;
    let base = format!("{LEGACY_PREFIX}/{LEGACY}");
    allow(bench, &base);
    bench.ask(&connect(bench, &base)).await;
    bench.connect(&bench.cloud.sample.linked()).await;
}

async fn deliver_new(bench: &Bench, months: &[&str]) {
    let of_months = |key: &str| {
        months
            .iter()
            .any(|month| key.contains(&format!("BILLING_PERIOD={month}/")))
    };
    bench.cloud.deliver(bench.cloud.sample, of_months).await;
}

fn cut_over(month: &str) -> String {
    format!("CALL update_aws_export(from_export => '{LEGACY}', to_export => '{EXPORT}', cut_over => '{month}')")
}

fn back() -> String {
    format!("CALL update_aws_export(from_export => '{LEGACY}', to_export => '{EXPORT}', back => true)")
}

fn version(bench: &Bench) -> u64 {
    bench.site.node.catalog().lease().document.version
}

fn all(sample: &Sample) -> Vec<Option<String>> {
    let grand = sample.totals.grand;
    let amounts = [grand.unblended.to_string(), grand.net_amortized.to_string()];
    let row = [grand.rows.to_string()].into_iter().chain(amounts);
    row.map(Some).collect()
}

/// The export of each month.
fn sources(answer: &Answer) -> Vec<(&str, &str)> {
    let (months, exports) = (answer.column("x_billing_period"), answer.column("x_export"));
    months
        .into_iter()
        .flatten()
        .zip(exports.into_iter().flatten())
        .collect()
}

#[test]
fn the_cut_over_decides_and_nothing_counts_twice() {
    run(Start::NothingDelivered, async |bench| {
        both(bench, &PERIODS[1..]).await;
        assert_eq!(bench.ask(SEEN).await.rows, [all(bench.cloud.sample)]);
        let old = PERIODS.map(|month| (month, "legacy_costs"));
        assert_eq!(
            sources(&bench.ask(SOURCES).await),
            old,
            "the first one connected keeps its months"
        );
        let details = bench.ask(BY_SERVICE).await;
        let coverage = "SELECT sum(rows), sum(unblended_cost) FROM system.account_coverage";
        assert_eq!(bench.ask(coverage).await.rows[0], all(bench.cloud.sample)[..2]);

        let before = version(bench);
        let planned = bench
            .ask(&cut_over("2026-05").replace("'2026-05'", "'2026-05', dry_run => true"))
            .await;
        assert_eq!(
            planned.column("status").last(),
            Some(&Some("planned")),
            "{}",
            planned.text()
        );
        assert_eq!(version(bench), before, "a plan changes nothing");

        let done = bench.ask(&cut_over("2026-05")).await;
        let last = |answer: &Answer, column: &str| answer.column(column).last().unwrap().unwrap().to_owned();
        assert_eq!(last(&done, "action"), "update", "{}", done.text());
        assert!(last(&done, "detail").contains("as before"), "{}", done.text());
        assert!(!done.text().contains("warning"), "{}", done.text());
        assert!(done.text().contains("resource_tags_user_env"), "{}", done.text());
        assert_eq!(version(bench), before + 1, "one version changes all months");
        let new = [
            ("2026-04", "legacy_costs"),
            ("2026-05", "daily_costs"),
            ("2026-06", "daily_costs"),
        ];
        assert_eq!(sources(&bench.ask(SOURCES).await), new);
        assert_eq!(bench.ask(SEEN).await.rows, [all(bench.cloud.sample)]);
        assert_eq!(
            bench.ask(BY_SERVICE).await,
            details,
            "no row is there twice, and none is lost"
        );
        assert_eq!(bench.ask(coverage).await.rows[0], all(bench.cloud.sample)[..2]);
        let counts = "SELECT billing_period, export_id FROM system.snapshots WHERE counts_in_costs ORDER BY 1";
        let counts = bench.ask(counts).await;
        assert_eq!(counts.column("export_id"), new.map(|(_, export)| Some(export)));
        // Both tables stay.
        for (table, periods) in [("legacy_costs", &PERIODS[..]), ("daily_costs", &PERIODS[1..])] {
            let rows: u64 = periods
                .iter()
                .map(|month| bench.cloud.sample.totals.of_period(month).rows)
                .sum();
            let found = bench.ask(&format!("SELECT count(*) FROM exports.{table}")).await;
            assert_eq!(found.single(), Some(rows.to_string().as_str()), "{table}");
        }

        let again = bench.ask(&cut_over("2026-05")).await;
        assert_eq!(last(&again, "action"), "reuse", "{}", again.text());
        assert_eq!(version(bench), before + 1);

        bench.ask(&back()).await;
        assert_eq!(sources(&bench.ask(SOURCES).await), old);
        assert_eq!(bench.ask(BY_SERVICE).await, details);
        let version_back = version(bench);
        let again = bench.ask(&back()).await;
        assert_eq!(last(&again, "action"), "reuse", "{}", again.text());
        assert_eq!(version(bench), version_back);
        let runs =
            "SELECT count(*) FROM system.procedure_runs WHERE procedure = 'update_aws_export' AND state = 'succeeded'";
        assert_eq!(bench.ask(runs).await.single(), Some("4"));
    });
}

#[test]
fn months_are_compared_side_by_side() {
    run(Start::NothingDelivered, async |bench| {
        both(bench, &PERIODS[1..]).await;
        let restated = Sample::restated(legacy().await.spec.clone(), "2026-05").await;
        bench.cloud.deliver(&restated, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        let totals = "SELECT billing_period, from_export, to_export, from_rows, to_rows, from_cost, to_cost, cost_difference, \
                      verdict FROM system.migration_check WHERE compared = 'total' ORDER BY 1";
        let answer = bench.ask(totals).await;
        let one = &bench.cloud.sample.totals;
        let mut old = one.clone();
        old.restate(&restated.totals);
        let row = |month: &str, verdict: &str| {
            let (from, mut to) = (old.of_period(month), one.of_period(month));
            if verdict == "only_in_from" {
                to = farthing_sandbox::sample::CostSums::default();
            }
            let difference = farthing_sandbox::sample::ExactAmount(to.unblended.0 - from.unblended.0);
            let words = [
                month.to_owned(),
                "legacy_costs".to_owned(),
                "daily_costs".to_owned(),
                from.rows.to_string(),
                to.rows.to_string(),
                from.unblended.to_string(),
                to.unblended.to_string(),
                difference.to_string(),
                verdict.to_owned(),
            ];
            words.map(Some).to_vec()
        };
        assert_eq!(
            answer.rows,
            [
                row("2026-04", "only_in_from"),
                row("2026-05", "differs"),
                row("2026-06", "identical")
            ]
        );
        let services = "SELECT billing_period, sum(from_rows), sum(to_rows), sum(from_cost), sum(to_cost), \
                        sum(cost_difference) FROM system.migration_check WHERE compared = 'service' GROUP BY 1 ORDER BY 1";
        let services = bench.ask(services).await;
        for (service, total) in services.rows.iter().zip(&answer.rows) {
            assert_eq!(service[1..], total[3..8], "{}", services.text());
        }
        let verdicts = "SELECT DISTINCT verdict FROM system.migration_check WHERE compared = 'service' AND billing_period = \
                        '2026-06'";
        bench.cloud.sandbox.requests().clear();
        assert_eq!(bench.ask(verdicts).await.single(), Some("identical"));
        let reads = bench.cloud.sandbox.requests().all();
        for key in reads.iter().filter_map(|read| read.key.as_deref()) {
            assert!(
                key.contains("BILLING_PERIOD=2026-06/") || key.contains("month=6/"),
                "{key} is of another month"
            );
        }

        let told = bench.ask(&cut_over("2026-06")).await;
        for words in ["Identical: ", "Differs: ", "It alone has 2026-04"] {
            assert!(told.text().contains(words), "{words}: {}", told.text());
        }

        // Everybody compares what they see.
        let account = bench.cloud.sample.linked()[2].clone();
        bench.site.put_login("reader", Role::Reader, grant_of([&account])).await;
        let mut reader = bench.site.in_process("reader");
        let seen = "SELECT to_rows, to_cost FROM system.migration_check WHERE compared = 'total' AND billing_period = '2026-06'";
        let seen = reader.run(seen).await.unwrap();
        let sums = one.periods["2026-06"][&account];
        assert_eq!(
            seen.rows,
            [[Some(sums.rows.to_string()), Some(sums.unblended.to_string())]]
        );
    });
}

#[test]
fn what_cannot_be_moved_is_refused() {
    run(Start::NothingDelivered, async |bench| {
        bench.cloud.deliver(legacy().await, |_| true).await;
        let base = format!("{LEGACY_PREFIX}/{LEGACY}");
        allow(bench, &base);
        bench.ask(&connect(bench, &base)).await;
        let refused = async |sql: &str, sqlstate: &str, words: &[&str]| {
            let refusal = bench.refused(sql).await;
            assert_eq!(refusal.sqlstate, sqlstate, "{sql}\n{refusal}");
            for words in words {
                assert!(refusal.message.contains(words), "{words}: {refusal}");
            }
        };
        let over = cut_over("2026-05");
        refused(
            &over,
            "42704",
            &["daily-costs is not connected", "connect_aws_root", "create_aws_export"],
        )
        .await;
        bench.ask(&bench.cloud.connect_root()).await;
        refused(&over, "55000", &["has not delivered any month", "24 hours"]).await;
        refused(&back(), "42704", &["has not taken over"]).await;
        deliver_new(bench, &["2026-06"]).await;
        bench.ask("CALL refresh_export()").await;
        let version_before = version(bench);
        let months = [
            "does not have the month 2026-05",
            "It has 2026-06;",
            "legacy_costs has 2026-04, 2026-05, 2026-06",
        ];
        refused(&over, "55000", &months).await;
        refused(&cut_over("2026-4"), "22023", &["YYYY-MM"]).await;
        refused(
            &over.replace(LEGACY, "nothing"),
            "42704",
            &["nothing is not connected", "system.exports"],
        )
        .await;
        refused(&over.replace(LEGACY, EXPORT), "22023", &["are both daily_costs"]).await;
        refused(
            &over.replace("'2026-05'", "'2026-05', back => true"),
            "22023",
            &["together"],
        )
        .await;
        refused(&over.replace(", cut_over => '2026-05'", ""), "22004", &["cut_over"]).await;
        let folder = tempfile::tempdir().unwrap();
        let other = format!(
            "CALL connect_aws_root(location => 'file://{}/other', account_id => '999988887777')",
            folder.path().display()
        );
        bench.ask(&other).await;
        refused(&over.replace(LEGACY, "other"), "22023", &["Exports of two payers"]).await;
        bench
            .ask("CALL disconnect_aws_account('999988887777', confirm => '999988887777')")
            .await;
        bench
            .site
            .put_login("reader", Role::Reader, farthing_engine::principal::Grant::AllConnected)
            .await;
        let refusal = bench
            .site
            .in_process("reader")
            .run(&cut_over("2026-06"))
            .await
            .unwrap_err();
        assert_eq!(refusal.sqlstate, "42501", "{refusal}");
        let document = bench.site.node.catalog().lease().document.clone();
        assert!(
            document.authority.is_empty(),
            "nothing was moved since {version_before}"
        );
    });
}

#[test]
fn months_that_the_new_export_lacks_stay_with_the_old() {
    run(Start::NothingDelivered, async |bench| {
        both(bench, &["2026-05"]).await;
        let told = bench.ask(&cut_over("2026-05")).await;
        assert!(told.text().contains("It lacks 2026-06"), "{}", told.text());
        let stays = [
            ("2026-04", "legacy_costs"),
            ("2026-05", "daily_costs"),
            ("2026-06", "legacy_costs"),
        ];
        assert_eq!(sources(&bench.ask(SOURCES).await), stays);
        assert_eq!(bench.ask(SEEN).await.rows, [all(bench.cloud.sample)]);
        deliver_new(bench, &["2026-04", "2026-06"]).await;
        bench.ask("CALL refresh_export()").await;
        // The other way round, months would change hands that were not asked for.
        let reverse = format!(
            "CALL update_aws_export(from_export => '{EXPORT}', to_export => '{LEGACY}', cut_over => '2026-05')"
        );
        let refusal = bench.refused(&reverse).await;
        assert_eq!(refusal.sqlstate, "22023", "{refusal}");
        assert!(
            refusal
                .message
                .contains("before 2026-05 the export legacy_costs counts"),
            "{refusal}"
        );
        let moved = [
            ("2026-04", "legacy_costs"),
            ("2026-05", "daily_costs"),
            ("2026-06", "daily_costs"),
        ];
        assert_eq!(
            sources(&bench.ask(SOURCES).await),
            moved,
            "the new one delivers the month: it counts"
        );
        assert_eq!(bench.ask(SEEN).await.rows, [all(bench.cloud.sample)]);

        // A cut-over outlives a restart, and ends with the export that it is about.
        let document = bench.site.node.catalog().lease().document.clone();
        let text = serde_json::to_string(&document).unwrap();
        assert!(text.contains("\"authority\""), "{text}");
        let payer = bench.cloud.sample.payer();
        bench
            .ask(&format!(
                "CALL disconnect_aws_account('{payer}', confirm => '{payer}', keep_data => false)"
            ))
            .await;
        assert!(bench.site.node.catalog().lease().document.authority.is_empty());
    });
}

/// Whoever asks while authority moves sees one side or the other, never both and never neither.
#[test]
fn moving_is_atomic_for_whoever_asks_meanwhile() {
    run(Start::NothingDelivered, async |bench| {
        both(bench, &PERIODS).await;
        let expected = all(bench.cloud.sample);
        let moving = async {
            for month in PERIODS.iter().cycle().take(6) {
                bench.ask(&cut_over(month)).await;
                bench.ask(&back()).await;
            }
        };
        let asking = async {
            for _ in 0..12 {
                assert_eq!(bench.ask(SEEN).await.rows, std::slice::from_ref(&expected));
            }
        };
        tokio::join!(moving, asking);
    });
}

#[test]
fn exports_below_one_prefix_are_warned_of() {
    run(Start::NothingDelivered, async |bench| {
        let mut spec = Sample::spec();
        spec.export_name = "hourly-costs".to_owned();
        let other = Sample::generate(spec).await;
        bench.cloud.deliver(&other, |_| true).await;
        bench.cloud.deliver(bench.cloud.sample, |_| true).await;
        let base = format!("{PREFIX}/hourly-costs");
        allow(bench, &base);
        bench.connect(&bench.cloud.sample.linked()).await;
        bench.ask(&connect(bench, &base)).await;
        let over = format!(
            "CALL update_aws_export(from_export => '{EXPORT}', to_export => 'hourly_costs', cut_over => '2026-04')"
        );
        let told = bench.ask(&over).await;
        assert!(told.text().contains("write below one prefix"), "{}", told.text());
        assert!(
            !told.text().contains("tag spellings"),
            "both spell tags alike: {}",
            told.text()
        );
        let moved = PERIODS.map(|month| (month, "hourly_costs"));
        assert_eq!(sources(&bench.ask(SOURCES).await), moved);
        assert_eq!(bench.ask(SEEN).await.rows, [all(bench.cloud.sample)]);
    });
}
