//! FOCUS exports: the same costs give the same answers as through CUR 2.0, and a cost in both counts once.

use std::path::Path;

use farthing_sandbox::sample::{ControlTotals, ExportForm, SampleSpec, TimestampEncoding};
use farthing_tests::bench::{Bench, Site, Start, on_runtimes, run};
use farthing_tests::client::Client;
use farthing_tests::cloud::{BUCKET, Cloud, EXPORT, PERIODS, PREFIX, Sample};
use farthing_tests::csv::{Packing, as_csv};

/// Columns by which effective costs are compared, as far as both kinds of export have them: whatever FOCUS leaves out
/// (negations, discount rows, split rows) has no effective cost.
const GROUPS: [&str; 31] = [
    "billing_account_id",
    "billing_account_name",
    "billing_currency",
    "billing_period_start",
    "billing_period_end",
    "sub_account_id",
    "sub_account_name",
    "charge_category",
    "charge_class",
    "charge_description",
    "charge_period_start",
    "charge_period_end",
    "availability_zone",
    "region_id",
    "region_name",
    "service_name",
    "resource_id",
    "sku_id",
    "sku_price_id",
    "sku_meter",
    "pricing_category",
    "pricing_unit",
    "pricing_currency",
    "commitment_discount_id",
    "commitment_discount_category",
    "commitment_discount_type",
    "commitment_discount_status",
    "publisher_name",
    "invoice_id",
    "x_usage_type",
    "x_operation",
];

/// What both kinds of export must answer alike.
fn questions() -> Vec<String> {
    let mut questions = vec![
        "SELECT x_billing_period, sub_account_id, x_service_code, sum(billed_cost), sum(effective_cost), \
         sum(x_net_unblended_cost), sum(x_net_amortized_cost), count(consumed_quantity) FROM costs GROUP BY 1, 2, 3 \
         HAVING sum(billed_cost) <> 0 OR sum(effective_cost) <> 0"
            .to_owned(),
        "SELECT tags['user_env'], tags['user_team'], x_discounts['edp_discount'], sum(effective_cost), \
         sum(pricing_currency_effective_cost) FROM costs GROUP BY 1, 2, 3 HAVING sum(effective_cost) <> 0"
            .to_owned(),
        "SELECT sub_account_id, sum(list_unit_price), sum(pricing_currency_list_unit_price), count(consumed_unit) \
         FROM costs WHERE consumed_quantity IS NOT NULL GROUP BY 1"
            .to_owned(),
    ];
    let grouped =
        |group| format!("SELECT {group}, sum(effective_cost) FROM costs GROUP BY 1 HAVING sum(effective_cost) <> 0");
    questions.extend(GROUPS.map(grouped));
    questions
}

fn focus() -> SampleSpec {
    Sample::spec().with_form(ExportForm::Focus)
}

/// Net and net amortised cost by month and account, as the generator counted them.
fn control(totals: &ControlTotals) -> Vec<Vec<Option<String>>> {
    let by_month = totals.periods.iter().flat_map(|(period, accounts)| {
        accounts.iter().map(move |(account, sums)| {
            let row = [
                period,
                account,
                &sums.net_unblended.to_string(),
                &sums.net_amortized.to_string(),
            ];
            row.map(|text| Some(text.clone())).to_vec()
        })
    });
    by_month.collect()
}

const CONTROL: &str = "SELECT x_billing_period, sub_account_id, sum(billed_cost), sum(effective_cost) FROM costs \
                       GROUP BY 1, 2 ORDER BY 1, 2";

#[test]
fn costs_are_those_of_cur2_to_the_last_digit() {
    on_runtimes(async |runtimes| {
        let leak = |sample: Sample| -> &'static Sample { Box::leak(Box::new(sample)) };
        let plain = leak(Sample::generate(focus()).await);
        let int96 = leak(Sample::generate(focus().with_timestamps(TimestampEncoding::Int96)).await);
        let mut expected: Option<Vec<farthing_tests::client::Answer>> = None;
        for (sample, kind) in [
            (Sample::shared().await, "cur2"),
            (plain, "focus"),
            (int96, "focus"),
            (leak(as_csv(plain, Packing::Gzip)), "focus"),
            (leak(as_csv(plain, Packing::Zip)), "focus"),
        ] {
            let cloud = Cloud::delivered_of(sample).await;
            let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
            let bench = Bench { cloud, site };
            bench.connect(&sample.linked()).await;
            let kinds = bench.ask("SELECT kind FROM system.exports").await;
            assert_eq!(kinds.single(), Some(kind));
            assert_eq!(
                bench.ask(CONTROL).await.rows,
                control(&sample.totals),
                "{kind}: the control totals"
            );
            let mut answers = Vec::new();
            for question in questions() {
                answers.push(bench.ask(&question).await.sorted());
            }
            match &expected {
                None => expected = Some(answers),
                Some(expected) => {
                    for ((question, one), other) in questions().iter().zip(expected).zip(&answers) {
                        assert!(!one.rows.is_empty(), "{question}");
                        for (one, other) in one.rows.iter().zip(&other.rows) {
                            assert_eq!(one, other, "{question}");
                        }
                        assert_eq!(one.rows.len(), other.rows.len(), "{question}");
                    }
                    // FOCUS has no cost before discounts, and no line item types.
                    let absent = "SELECT count(x_unblended_cost), count(x_amortized_cost), count(x_line_item_type), \
                                  count(provider_name) > 0, count(service_category) > 0, count(contracted_cost) > 0 FROM costs";
                    let words = ["0", "0", "0", "t", "t", "t"].map(|word| Some(word.to_owned()));
                    assert_eq!(bench.ask(absent).await.rows, [words], "{kind}");
                }
            }
            bench.site.close().await;
            bench.cloud.sandbox.shutdown().await;
        }
    });
}

fn write(sample: &Sample, folder: &Path) {
    for (key, bytes) in &sample.objects {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_cost_in_a_focus_export_and_in_a_report_counts_once() {
    run(Start::NothingDelivered, async |bench| {
        let report = Sample::shared().await;
        let mut spec = focus();
        "focus-costs".clone_into(&mut spec.export_name);
        let focus = Sample::generate(spec).await;
        let folder = tempfile::tempdir().unwrap();
        write(report, folder.path());
        write(&focus, folder.path());
        let mut admin = bench.site.admin();
        let mut connect = async |name: &str| {
            let location = format!("file://{}/{PREFIX}/{name}", folder.path().display());
            admin
                .run(&format!("CALL connect_aws_root(location => '{location}')"))
                .await
                .unwrap()
        };
        connect(EXPORT).await;
        let answer = connect("focus-costs").await;
        assert!(
            answer.text().contains("BillingAccountId"),
            "whose it is: {}",
            answer.text()
        );
        let linked = report.linked();
        for account in &linked[..3] {
            bench
                .ask(&format!("CALL connect_aws_linked(account_id => '{account}')"))
                .await;
        }
        let mut visible = vec![report.payer()];
        visible.extend_from_slice(&linked[..3]);
        let mut wanted = control(&report.totals);
        wanted.retain(|row| visible.contains(row[1].as_ref().unwrap()));
        assert_eq!(bench.ask(CONTROL).await.rows, wanted);
        let sources = "SELECT x_export, count(DISTINCT x_billing_period) FROM costs GROUP BY 1";
        let of = |export: &str| vec![vec![Some(export.to_owned()), Some(PERIODS.len().to_string())]];
        assert_eq!(bench.ask(sources).await.rows, of("daily_costs"));
        // The other one is there to be asked by its own names, filtered like everything.
        let raw = "SELECT DISTINCT \"SubAccountId\" AS account FROM exports.focus_costs ORDER BY 1";
        visible.sort();
        let accounts: Vec<Option<String>> = visible.iter().cloned().map(Some).collect();
        let seen = bench.ask(raw).await.rows;
        assert_eq!(seen.into_iter().flatten().collect::<Vec<_>>(), accounts);
        let plan = bench
            .ask("EXPLAIN SELECT max(\"BilledCost\") FROM exports.focus_costs")
            .await;
        assert!(plan.text().contains("ScopeExec"), "{}", plan.text());
        assert!(plan.text().contains("SubAccountId"), "{}", plan.text());
        // Both are of one account and no pair to migrate between: rows of FOCUS are others.
        let pairs = bench.ask("SELECT count(*) FROM system.migration_check").await;
        assert_eq!(pairs.single(), Some("0"));
        // From the second month on it is to be FOCUS that counts.
        bench
            .ask("CALL update_aws_export(from_export => 'daily_costs', to_export => 'focus_costs', cut_over => '2026-05')")
            .await;
        assert_eq!(bench.ask(CONTROL).await.rows, wanted);
        let by_month = bench
            .ask("SELECT DISTINCT x_billing_period, x_export FROM costs ORDER BY 1")
            .await;
        let names = by_month.column("x_export");
        assert_eq!(names, [Some("daily_costs"), Some("focus_costs"), Some("focus_costs")]);
    });
}

#[test]
fn what_an_export_is_shows_with_its_first_delivery() {
    run(Start::NothingDelivered, async |bench| {
        bench.ask(&bench.cloud.connect_root()).await;
        let kind = "SELECT kind, state, periods FROM system.exports";
        let row = |words: [&str; 3]| words.map(|word| Some(word.to_owned())).to_vec();
        assert_eq!(
            bench.ask(kind).await.rows,
            [row(["cur2", "waiting_first_delivery", "0"])]
        );
        let sample = Sample::generate(focus()).await;
        bench.cloud.deliver(&sample, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered", "3"])]);
        let payer = sample.totals.of_accounts([sample.payer().as_str()]);
        let sums = "SELECT sum(billed_cost), sum(effective_cost) FROM costs";
        let words = [payer.net_unblended.to_string(), payer.net_amortized.to_string()].map(Some);
        assert_eq!(bench.ask(sums).await.rows, [words]);
        // Connecting it again imports nothing anew and leaves it what it is.
        bench.ask(&bench.cloud.connect_root()).await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered", "3"])]);

        let restated = Sample::restated(focus(), "2026-05").await;
        bench.cloud.deliver(&restated, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        let mut totals = sample.totals.clone();
        totals.restate(&restated.totals);
        let payer = totals.of_accounts([sample.payer().as_str()]);
        let words = [payer.net_unblended.to_string(), payer.net_amortized.to_string()].map(Some);
        assert_eq!(bench.ask(sums).await.rows, [words]);
        // Nothing new costs two looks at the bucket, one at the newest month, and a conditional read of each.
        bench.cloud.sandbox.requests().clear();
        bench.ask("CALL refresh_export()").await;
        let asked = bench.cloud.sandbox.requests().all().len();
        assert!(asked <= 3 + PERIODS.len(), "{asked} requests for nothing new");
    });
}

#[test]
fn an_export_that_is_created_is_connected_as_focus() {
    run(Start::NothingDelivered, async |bench| {
        let payer = bench.cloud.sample.payer();
        let everything =
            r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
        let sandbox = &bench.cloud.sandbox;
        sandbox.put_user_policy(&payer, "farthing", "all", everything).unwrap();
        let keys = bench.cloud.key_arguments(&payer);
        let create = format!(
            "CALL create_aws_export(export_name => '{EXPORT}', kind => 'focus', bucket => '{BUCKET}', prefix => '{PREFIX}', {keys})"
        );
        bench.ask(&create).await;
        let kind = "SELECT kind, state FROM system.exports";
        let row = |words: [&str; 2]| words.map(|word| Some(word.to_owned())).to_vec();
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "waiting_first_delivery"])]);
        let made = bench
            .ask("SELECT steps FROM system.procedure_runs ORDER BY started_at DESC LIMIT 1")
            .await;
        let steps = made.single().unwrap();
        assert!(steps.contains("FROM FOCUS_1_2_AWS"), "{steps}");
        assert!(steps.contains("\"TIME_GRANULARITY\":\"DAILY\""), "{steps}");
        bench.cloud.deliver(&Sample::generate(focus()).await, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered"])]);
        // Found among the account's exports, it is connected where it is named.
        bench
            .ask(&format!("CALL connect_aws_root(export_name => '{EXPORT}', {keys})"))
            .await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered"])]);
    });
}
