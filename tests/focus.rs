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
        let plain = Sample::focus().await;
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
        let sample = Sample::focus().await;
        bench.cloud.deliver(sample, |_| true).await;
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
        bench.cloud.deliver(Sample::focus().await, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered"])]);
        // Found among the account's exports, it is connected where it is named.
        bench
            .ask(&format!("CALL connect_aws_root(export_name => '{EXPORT}', {keys})"))
            .await;
        assert_eq!(bench.ask(kind).await.rows, [row(["focus", "delivered"])]);
    });
}

const OTHERS: &str = "\
BilledCost,EffectiveCost,SubAccountId,BillingAccountId,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,Note
1.5,1,1234567890123,/billing/o'hara,USD,Usage,2026-06-01T00:00:00Z,2026-06-01T01:00:00Z,long
2.25,2,/subscriptions/64e355d7,/billing/o'hara,USD,Usage,2026-06-01 00:00:00,2026-06-01 01:00:00,path
4,4,11353890204,/billing/o'hara,USD,Usage,2026-06-01 00:00:00,2026-06-01 01:00:00,short
8,8,NULL,/billing/o'hara,USD,Tax,2026-06-01 00:00:00,2026-07-01 00:00:00,NULL
16,16,NULL,another payer,USD,Tax,2026-06-01 00:00:00,2026-07-01 00:00:00,tax of another
";

/// Writes one month of an export as CSV into a folder. Answers with its location.
fn deliver_text(folder: &Path, name: &str, text: &str) -> String {
    let data = format!("exports/{name}/data/billing_period=2026-06/{name}-00001.csv");
    let manifest =
        serde_json::json!({"executionId": "1", "columns": [], "dataFiles": [format!("s3://elsewhere/{data}")]});
    let key = format!("exports/{name}/metadata/billing_period=2026-06/{name}-Manifest.json");
    for (key, text) in [(data, text.to_owned()), (key, manifest.to_string())] {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    format!("file://{}/exports/{name}", folder.display())
}

#[test]
fn accounts_that_are_not_of_aws_are_connected_from_folders() {
    run(Start::NothingDelivered, async |bench| {
        let folder = tempfile::tempdir().unwrap();
        let location = deliver_text(folder.path(), "others", OTHERS);
        let connect = |id: &str| format!("CALL connect_aws_root(location => '{location}', account_id => '{id}')");
        // What the data does not have is mistyped.
        let refused = bench.refused(&connect("1234567890")).await;
        assert_eq!(refused.sqlstate, "22023", "{refused}");
        assert!(
            refused.message.contains("\"1234567890\" is not an AWS account id"),
            "{refused}"
        );
        let linked = "CALL connect_aws_linked(account_id => '1234567890123')";
        let refused = bench.refused(linked).await;
        assert_eq!(refused.sqlstate, "22023", "nothing has this id yet: {refused}");
        // Who signs in is of AWS.
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        let with_key = format!(
            "CALL connect_aws_root(location => 's3://{BUCKET}/{PREFIX}/{EXPORT}', account_id => '/billing/x', {keys})"
        );
        let refused = bench.refused(&with_key).await;
        assert!(refused.message.contains("is not an AWS account id"), "{refused}");
        let answer = bench.ask(&connect("/billing/o''hara")).await;
        let costs = "SELECT sub_account_id, billed_cost FROM costs ORDER BY billed_cost";
        let rows = async |bench: &Bench| -> Vec<(Option<String>, Option<String>)> {
            let rows = bench.ask(costs).await.rows;
            rows.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
        };
        let row = |account: Option<&str>, cost: &str| (account.map(str::to_owned), Some(cost.to_owned()));
        assert_eq!(rows(bench).await, [row(None, "8.000000000000")], "the payer's own");
        // The statement that is proposed next can be run as it stands.
        let next = answer
            .column("next_sql")
            .into_iter()
            .flatten()
            .next_back()
            .unwrap()
            .to_owned();
        assert!(
            next.contains("connect_aws_linked(account_id => '/subscriptions/64e355d7')"),
            "{next}"
        );
        bench.ask(&next).await;
        assert_eq!(
            rows(bench).await,
            [
                row(Some("/subscriptions/64e355d7"), "2.250000000000"),
                row(None, "8.000000000000")
            ]
        );
        bench.ask(linked).await;
        let of_long = bench
            .ask("SELECT sum(billed_cost) FROM costs WHERE sub_account_id = 1234567890123")
            .await;
        assert_eq!(of_long.single(), Some("1.500000000000"), "thirteen digits as a number");
        let notes = "SELECT string_agg(coalesce(\"Note\", '-'), ' ' ORDER BY \"BilledCost\") FROM exports.others";
        assert_eq!(
            bench.ask(notes).await.single(),
            Some("long path -"),
            "the word NULL is NULL"
        );
        let plan = bench.ask("EXPLAIN SELECT * FROM costs").await;
        assert!(plan.text().contains("'/billing/o''hara'"), "{}", plan.text());
        let refused = bench.refused("CALL disconnect_aws_account('never seen')").await;
        assert!(refused.message.contains("is not an AWS account id"), "{refused}");
        let planned = bench.ask("CALL disconnect_aws_account('/billing/o''hara')").await;
        let next = planned
            .column("next_sql")
            .into_iter()
            .flatten()
            .next()
            .unwrap()
            .to_owned();
        bench.ask(&next).await;
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
    });
}

#[test]
fn what_is_no_account_id_breaks_a_delivery() {
    run(Start::NothingDelivered, async |bench| {
        let folder = tempfile::tempdir().unwrap();
        let longest = "/".repeat(128);
        for (name, id, good) in [
            ("longest", longest.as_str(), true),
            ("longer", &format!("{longest}x"), false),
            ("blanks", " 11353890204", false),
            ("control", "1135\u{7}3890204", false),
        ] {
            let location = deliver_text(folder.path(), name, &OTHERS.replace("11353890204", id));
            let connect = format!("CALL connect_aws_root(location => '{location}', account_id => '/billing/o''hara')");
            let said = match bench.site.admin().run(&connect).await {
                Ok(answer) => answer.text(),
                Err(refusal) => refusal.to_string(),
            };
            let broken = format!("SELECT message FROM system.imports WHERE export_id = '{name}' AND state = 'failed'");
            let broken = bench.ask(&broken).await;
            match good {
                true => assert!(broken.rows.is_empty(), "{said}"),
                false => {
                    let message = broken.single().unwrap();
                    assert!(message.contains("the column SubAccountId holds"), "{message}");
                    assert!(message.contains("which is not an account id"), "{message}");
                    assert!(message.contains(&format!("{name}-00001.csv")), "{message}");
                    assert!(!message.contains(char::is_control), "{message:?}");
                }
            }
        }
    });
}
