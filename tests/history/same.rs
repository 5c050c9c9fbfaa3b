//! However a month is delivered, the answers are the same to the last digit.

use farthing_sandbox::sample::{DeliveryMode, ExportForm};
use farthing_tests::bench::{Bench, Site, on_runtimes};
use farthing_tests::client::Answer;
use farthing_tests::cloud::{Cloud, EXPORT, Sample};
use farthing_tests::csv::{Packing, as_csv};
use serde_json::Value;

use super::{PERIOD, after, deliver, delivered_at, seen, seen_of};

const QUESTIONS: [&str; 6] = [
    "SELECT x_billing_period, sub_account_id, x_service_code, count(*), sum(billed_cost), sum(effective_cost), sum(x_amortized_cost), \
     sum(x_net_unblended_cost), sum(list_cost) FROM costs GROUP BY 1, 2, 3",
    "SELECT resource_id, tags['user_team'], x_discounts['edp_discount'], count(*), sum(billed_cost) FROM costs GROUP BY 1, 2, 3",
    "SELECT export, billing_period, sub_account_id, sub_account_name, x_service_code, billing_currency, cost_before, cost_after, \
     delta, rows_before, rows_after FROM cost_changes('2026-06')",
    "SELECT * FROM reconcile('2026-06')",
    "SELECT * FROM system.account_coverage",
    "SELECT * FROM system.shared_commitments",
];

/// A first delivery and a restated June, in one form.
struct Form {
    name: &'static str,
    first: Sample,
    newer: Sample,
    /// Whether the first delivery of June can still be read after the second one.
    readable: bool,
}

async fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    for mode in [DeliveryMode::Overwrite, DeliveryMode::CreateNew] {
        let spec = Sample::spec().with_mode(mode);
        let first = Sample::generate(spec.clone()).await;
        let newer = Sample::restated(spec, PERIOD).await;
        let apart = mode == DeliveryMode::CreateNew;
        forms.push(Form {
            name: if apart { "CSV in folders" } else { "CSV, overwritten" },
            first: as_csv(&first, Packing::Gzip),
            newer: as_csv(&newer, Packing::Gzip),
            // What Farthing made of the files is kept whatever becomes of them.
            readable: true,
        });
        forms.push(Form {
            name: if apart {
                "Parquet in folders"
            } else {
                "Parquet, overwritten"
            },
            first,
            newer,
            readable: apart,
        });
    }
    forms
}

#[test]
fn overwritten_and_kept_deliveries_answer_alike() {
    on_runtimes(async |runtimes| {
        let mut expected: Option<Vec<Answer>> = None;
        for form in forms().await {
            let cloud = Cloud::empty().await;
            let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
            let bench = Bench { cloud, site };
            deliver(&bench, &form.first).await;
            bench.connect(&form.first.linked()[..4]).await;
            deliver(&bench, &form.newer).await;
            bench.ask("CALL refresh_export()").await;
            let mut answers = Vec::new();
            for question in QUESTIONS {
                answers.push(bench.ask(question).await.sorted());
            }
            match &expected {
                None => expected = Some(answers),
                Some(expected) => {
                    for ((question, one), other) in QUESTIONS.iter().zip(expected).zip(&answers) {
                        assert_eq!(one.columns, other.columns);
                        assert_eq!(one.rows.len(), other.rows.len(), "{}: {question}", form.name);
                        for (one, other) in one.rows.iter().zip(&other.rows) {
                            assert_eq!(one, other, "{}: {question}", form.name);
                        }
                    }
                }
            }
            // All accounts, for the control totals.
            for account in &form.first.linked()[4..] {
                bench.ask(&bench.cloud.connect_linked(account)).await;
            }
            let totals = after(&form.first.totals, &form.newer);
            assert_eq!(bench.ask(&seen_of("costs")).await.rows, seen(&totals), "{}", form.name);
            let at = delivered_at(&bench, PERIOD).await;
            let sql = seen_of(&format!("costs_as_of('{}')", at[0]));
            if form.readable {
                assert_eq!(bench.ask(&sql).await.rows, seen(&form.first.totals), "{}", form.name);
            } else {
                let refusal = bench.refused(&sql).await;
                assert_eq!(refusal.sqlstate, "55000", "{}: {refusal}", form.name);
            }
            bench.site.close().await;
            bench.cloud.sandbox.shutdown().await;
        }
        let expected = expected.unwrap();
        assert!(expected[..4].iter().all(|answer| answer.rows.len() > 1));
    });
}

/// A legacy CSV report with each run in a folder of its own: the sample's run, under another name.
fn run_of(sample: &Sample, run: &str) -> Sample {
    let mut objects = std::collections::BTreeMap::new();
    let known = "20260704T040211Z";
    for (key, bytes) in &sample.objects {
        let name = key.replace(known, run);
        if !key.ends_with("-Manifest.json") {
            objects.insert(name, bytes.clone());
            continue;
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap().replace(known, run);
        let mut manifest: Value = serde_json::from_str(&text).unwrap();
        manifest["assemblyId"] = run.into();
        let text = manifest.to_string();
        let folder = key.rsplit_once('/').unwrap().0;
        objects.insert(format!("{folder}/{run}/{EXPORT}-Manifest.json"), text.clone().into());
        objects.insert(name, text.into());
    }
    Sample {
        spec: sample.spec.clone(),
        totals: sample.totals.clone(),
        objects,
    }
}

#[test]
fn runs_of_a_legacy_report_are_past_deliveries() {
    on_runtimes(async |runtimes| {
        let legacy = Sample::legacy().await;
        let first = run_of(&as_csv(legacy, Packing::Gzip), "20260701T040211Z");
        let newer = Sample::restated(legacy.spec.clone(), PERIOD).await;
        let newer = run_of(&as_csv(&newer, Packing::Zip), "20260709T040211Z");
        let cloud = Cloud::empty().await;
        let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
        let bench = Bench { cloud, site };
        deliver(&bench, &first).await;
        deliver(&bench, &newer).await;
        bench.connect(&first.linked()).await;
        let totals = after(&first.totals, &newer);
        assert_eq!(bench.ask(&seen_of("costs")).await.rows, seen(&totals));
        let answer = bench.ask("CALL refresh_export(deliveries => 'all')").await;
        assert!(
            answer.text().contains("1 past deliveries imported"),
            "{}",
            answer.text()
        );
        let at = delivered_at(&bench, PERIOD).await;
        let sql = seen_of(&format!("costs_as_of('{}')", at[0]));
        assert_eq!(at.len(), 2);
        assert_eq!(bench.ask(&sql).await.rows, seen(&first.totals));
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}

#[test]
fn focus_deliveries_are_compared_by_their_own_columns() {
    on_runtimes(async |runtimes| {
        let spec = Sample::spec()
            .with_form(ExportForm::Focus)
            .with_mode(DeliveryMode::CreateNew);
        let first = Sample::generate(spec.clone()).await;
        let newer = Sample::restated(spec, PERIOD).await;
        let cloud = Cloud::empty().await;
        let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, |_| {}).await;
        let bench = Bench { cloud, site };
        deliver(&bench, &first).await;
        deliver(&bench, &newer).await;
        bench.connect(&first.linked()[..4]).await;
        bench.ask("CALL refresh_export(deliveries => 'all')").await;
        let off = "SELECT count(*), sum(CASE WHEN rows_difference <> 0 OR cost_difference <> 0 THEN 1 ELSE 0 END) > 0 FROM \
                   reconcile('2026-06')";
        let reconciled = bench.ask(off).await;
        let lines = first.accounts().len() + 1;
        assert_eq!(reconciled.rows, [[Some(lines.to_string()), Some("f".to_owned())]]);
        let at = delivered_at(&bench, PERIOD).await;
        assert_eq!(at.len(), 2);
        let side = |relation: &str, sign: &str| {
            format!(
                "SELECT sub_account_id AS account, x_service_code AS service, {sign}billed_cost AS cost FROM {relation} \
                 WHERE x_billing_period = '{PERIOD}'"
            )
        };
        let (then, now) = (side(&format!("costs_as_of('{}')", at[0]), "-"), side("costs", ""));
        let read = format!(
            "SELECT account, service, sum(cost) FROM ({then} UNION ALL {now}) GROUP BY 1, 2 HAVING sum(cost) <> 0 ORDER BY 1, 2"
        );
        let told =
            "SELECT sub_account_id, x_service_code, delta FROM cost_changes('2026-06') WHERE delta <> 0 ORDER BY 1, 2";
        let (read, told) = (bench.ask(&read).await, bench.ask(told).await);
        assert!(told.rows.len() > 1, "{}", told.text());
        assert_eq!(told.rows, read.rows);
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}
