//! Legacy Cost and Usage Reports in Parquet: the same costs give the same answers as through CUR 2.0.

use farthing_sandbox::sample::{ExportForm, TimestampEncoding};
use farthing_tests::bench::{Bench, Site, Start, on_runtimes, run};
use farthing_tests::client::Client;
use farthing_tests::cloud::{Cloud, EXPORT, PERIODS, PREFIX, Sample};
use farthing_tests::csv::{Packing, as_csv};

/// What every comparison sums.
const SUMS: &str = "count(*) AS n, sum(billed_cost), sum(x_net_unblended_cost), sum(x_amortized_cost), sum(effective_cost), \
                    sum(list_cost), sum(x_discount_total), sum(x_split_cost), sum(coalesce(x_blended_cost, 0))";

/// Columns of text that both kinds have, apart from line item ids.
const GROUPS: [&str; 24] = [
    "billing_account_id",
    "billing_currency",
    "sub_account_id",
    "charge_category",
    "charge_class",
    "charge_description",
    "charge_frequency",
    "availability_zone",
    "region_id",
    "region_name",
    "service_name",
    "resource_id",
    "sku_price_id",
    "sku_meter",
    "pricing_category",
    "pricing_unit",
    "commitment_discount_id",
    "commitment_discount_status",
    "invoice_id",
    "x_billing_period",
    "x_line_item_type",
    "x_service_code",
    "x_operation",
    "x_tax_type",
];

/// What both kinds of export must answer alike.
fn questions() -> Vec<String> {
    let mut questions = vec![
        format!("SELECT {SUMS} FROM costs"),
        format!("SELECT x_billing_period, sub_account_id, service_name, {SUMS} FROM costs GROUP BY 1, 2, 3"),
        format!(
            "SELECT tags['user_env'] AS env, tags['user_team'] AS team, tags['user_app'] AS app, \
             tags['aws_eks_namespace'] AS namespace, sub_account_id, {SUMS} FROM costs GROUP BY 1, 2, 3, 4, 5"
        ),
        format!(
            "SELECT x_cost_categories['business_unit'] AS unit, x_cost_categories['cost_center'] AS center, \
             x_discounts['edp_discount'] AS edp, {SUMS} FROM costs GROUP BY 1, 2, 3"
        ),
        "SELECT sub_account_id, min(charge_period_start), max(charge_period_end), min(billing_period_start), \
         max(billing_period_end) FROM costs GROUP BY 1"
            .to_owned(),
        "SELECT count(*) FROM costs WHERE tags['user_team'] = 'payments' AND charge_category = 'Usage'".to_owned(),
    ];
    questions.extend(GROUPS.map(|group| format!("SELECT {group}, {SUMS} FROM costs GROUP BY 1")));
    questions
}

#[test]
fn costs_are_those_of_cur2_to_the_last_digit() {
    on_runtimes(async |runtimes| {
        let int96 = Sample::spec()
            .with_form(ExportForm::LegacyParquet)
            .with_timestamps(TimestampEncoding::Int96);
        let int96: &'static Sample = Box::leak(Box::new(Sample::generate(int96).await));
        let csv = |sample: &Sample, packing| -> &'static Sample { Box::leak(Box::new(as_csv(sample, packing))) };
        let mut expected: Option<Vec<farthing_tests::client::Answer>> = None;
        for (sample, kind) in [
            (Sample::shared().await, "cur2"),
            (Sample::legacy().await, "cur"),
            (int96, "cur"),
            (csv(Sample::shared().await, Packing::Gzip), "cur2"),
            (csv(Sample::legacy().await, Packing::Gzip), "cur"),
            (csv(Sample::legacy().await, Packing::Zip), "cur"),
        ] {
            let cloud = Cloud::delivered_of(sample).await;
            let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
            let bench = Bench { cloud, site };
            bench.connect(&sample.linked()).await;
            let kinds = bench.ask("SELECT kind FROM system.exports").await;
            assert_eq!(kinds.single(), Some(kind));
            let totals = bench
                .ask("SELECT count(*), sum(billed_cost), sum(effective_cost) FROM costs")
                .await;
            let grand = sample.totals.grand;
            let wanted = [
                grand.rows.to_string(),
                grand.unblended.to_string(),
                grand.net_amortized.to_string(),
            ];
            assert_eq!(totals.rows, [wanted.map(Some)], "the control totals");
            let mut answers = Vec::new();
            for question in questions() {
                answers.push(bench.ask(&question).await.sorted());
            }
            match &expected {
                None => expected = Some(answers),
                Some(expected) => {
                    for ((question, one), other) in questions().iter().zip(expected).zip(&answers) {
                        assert!(one.rows.len() > 1 || question.contains("count(*)"), "{question}");
                        let pairs = one.rows.iter().zip(&other.rows);
                        for (one, other) in pairs {
                            assert_eq!(one, other, "{question}");
                        }
                        assert_eq!(one.rows.len(), other.rows.len(), "{question}");
                        assert_eq!(one.columns, other.columns);
                    }
                }
            }
            bench.site.close().await;
            bench.cloud.sandbox.shutdown().await;
        }
    });
}

#[test]
fn the_raw_table_has_the_reports_own_columns() {
    on_runtimes(async |runtimes| {
        let sample = Sample::legacy().await;
        let cloud = Cloud::delivered_of(sample).await;
        let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
        let bench = Bench { cloud, site };
        bench.connect(&sample.linked()[..1]).await;
        let raw = "SELECT resource_tags_user_env, count(*) FROM exports.daily_costs WHERE billing_period = '2026-05' \
                   AND resource_tags_user_env <> '' GROUP BY 1 ORDER BY 1";
        let mapped = "SELECT tags['user_env'], count(*) FROM costs WHERE x_billing_period = '2026-05' \
                      AND tags['user_env'] IS NOT NULL GROUP BY 1 ORDER BY 1";
        let (raw, mapped) = (bench.ask(raw).await, bench.ask(mapped).await);
        assert!(!raw.rows.is_empty());
        assert_eq!(raw.rows, mapped.rows);
        // The rule of connected accounts holds over it, however it is asked.
        let accounts = "SELECT DISTINCT line_item_usage_account_id FROM exports.daily_costs ORDER BY 1";
        let mut visible = vec![sample.payer(), sample.linked()[0].clone()];
        visible.sort();
        let seen = bench.ask(accounts).await;
        let seen: Vec<String> = seen
            .column("line_item_usage_account_id")
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        assert_eq!(seen, visible);
        let plan = bench
            .ask("EXPLAIN SELECT max(resource_tags_user_env) FROM exports.daily_costs")
            .await;
        assert!(plan.text().contains("ScopeExec"), "{}", plan.text());
        let absent = bench.refused("SELECT tags FROM exports.daily_costs").await;
        assert_eq!(absent.sqlstate, "42703", "{absent}");
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}

#[test]
fn what_a_report_is_shows_with_its_first_delivery() {
    run(Start::NothingDelivered, async |bench| {
        bench.ask(&bench.cloud.connect_root()).await;
        let kind = "SELECT kind, state, periods FROM system.exports";
        let row = |words: [&str; 3]| words.map(|word| Some(word.to_owned())).to_vec();
        let before = bench.ask(kind).await;
        assert_eq!(before.rows, [row(["cur2", "waiting_first_delivery", "0"])]);
        let legacy = Sample::legacy().await;
        bench.cloud.deliver(legacy, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(kind).await.rows, [row(["cur", "delivered", "3"])]);
        let payer = legacy.payer();
        let rows = bench.ask("SELECT count(*) FROM costs").await;
        let expected = legacy.totals.of_accounts([payer.as_str()]).rows.to_string();
        assert_eq!(rows.single(), Some(expected.as_str()));

        // A delivery that AWS overwrites in place is taken as a whole.
        let restated = Sample::restated(legacy.spec.clone(), "2026-05").await;
        bench.cloud.deliver(&restated, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        let mut totals = legacy.totals.clone();
        totals.restate(&restated.totals);
        let sums = totals.of_accounts([payer.as_str()]);
        let now = bench.ask("SELECT count(*), sum(billed_cost) FROM costs").await;
        assert_eq!(
            now.rows,
            [[Some(sums.rows.to_string()), Some(sums.unblended.to_string())]]
        );
        // Nothing new costs two looks at the bucket, one at the newest month, and a conditional read of each.
        bench.cloud.sandbox.requests().clear();
        bench.ask("CALL refresh_export()").await;
        let asked = bench.cloud.sandbox.requests().all().len();
        assert!(asked <= 3 + PERIODS.len(), "{asked} requests for nothing new");
    });
}

/// A copy may hold the Athena folders alone, whose manifests name keys of the bucket that it was copied from.
#[test]
fn a_folder_with_the_athena_part_alone_is_read() {
    run(Start::NothingDelivered, async |bench| {
        let sample = Sample::legacy().await;
        let folder = tempfile::tempdir().unwrap();
        let athena = format!("{PREFIX}/{EXPORT}/{EXPORT}/");
        for manifests in [false, true] {
            for (key, bytes) in &sample.objects {
                if !key.starts_with(&athena) || key.ends_with("Manifest.json") != manifests {
                    continue;
                }
                let path = folder.path().join("copies").join(key.strip_prefix("cur/").unwrap());
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
        let location = format!("file://{}/copies/daily/{EXPORT}", folder.path().display());
        let mut admin = bench.site.admin();
        admin
            .run(&format!("CALL connect_aws_root(location => '{location}')"))
            .await
            .unwrap();
        for account in sample.linked() {
            let call = format!("CALL connect_aws_linked(account_id => '{account}')");
            admin.run(&call).await.unwrap();
        }
        let rows = bench.ask("SELECT count(*), sum(billed_cost) FROM costs").await;
        let grand = sample.totals.grand;
        assert_eq!(
            rows.rows,
            [[Some(grand.rows.to_string()), Some(grand.unblended.to_string())]]
        );
    });
}

#[test]
fn a_report_in_csv_is_read_from_a_folder_too() {
    run(Start::NothingDelivered, async |bench| {
        let sample = as_csv(Sample::legacy().await, Packing::Zip);
        let folder = tempfile::tempdir().unwrap();
        for (key, bytes) in &sample.objects {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let mut admin = bench.site.admin();
        let location = format!("file://{}/{PREFIX}/{EXPORT}", folder.path().display());
        let answer = admin
            .run(&format!("CALL connect_aws_root(location => '{location}')"))
            .await
            .unwrap();
        assert!(
            answer.text().contains(&sample.payer()),
            "the data says whose it is: {}",
            answer.text()
        );
        let rows = bench.ask("SELECT count(*), sum(billed_cost) FROM costs").await;
        let payer = sample.totals.of_accounts([sample.payer().as_str()]);
        assert_eq!(
            rows.rows,
            [[Some(payer.rows.to_string()), Some(payer.unblended.to_string())]]
        );
    });
}
