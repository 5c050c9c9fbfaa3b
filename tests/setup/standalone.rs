//! An account without an organization, whose export holds its own costs alone: payer and usage account are one (C4).

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::files::rewrite;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

/// The rows whose usage account is the payer itself.
fn own(batch: &RecordBatch, payer: &str) -> RecordBatch {
    let accounts = cast(
        batch.column_by_name("line_item_usage_account_id").unwrap(),
        &DataType::Utf8,
    )
    .unwrap();
    let accounts = accounts.as_string::<i32>();
    let keep: BooleanArray = accounts.iter().map(|id| Some(id == Some(payer))).collect();
    filter_record_batch(batch, &keep).unwrap()
}

/// Delivers the sample without the linked accounts. Returns its rows.
async fn deliver_own(bench: &Bench, wanted: impl Fn(&str) -> bool) -> usize {
    let (cloud, payer) = (&bench.cloud, bench.cloud.sample.payer());
    let store = cloud.sandbox.store(farthing_tests::cloud::BUCKET).unwrap();
    let mut rows = 0;
    for manifests in [false, true] {
        for (key, bytes) in &cloud.sample.objects {
            if key.contains("/metadata/") != manifests || !wanted(key) {
                continue;
            }
            let bytes: Bytes = match manifests {
                true => bytes.clone(),
                false => rewrite(bytes, |batch| own(batch, &payer)),
            };
            if !manifests {
                let (_, batches) = farthing_tests::files::read(&bytes);
                rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            }
            store
                .put(&Path::parse(key).unwrap(), PutPayload::from(bytes))
                .await
                .unwrap();
        }
    }
    rows
}

#[test]
fn a_standalone_account_is_a_root_of_its_own() {
    run(Start::NothingDelivered, async |bench| {
        let rows = deliver_own(bench, |_| true).await;
        assert!(rows > 100, "{rows} rows");
        let done = bench.ask(&bench.cloud.connect_root()).await;
        let statuses = done.column("status");
        assert!(statuses.iter().all(|status| *status == Some("ok")), "{}", done.text());
        let seen = bench
            .ask("SELECT count(*), count(*) FILTER (WHERE sub_account_id = billing_account_id) FROM costs")
            .await;
        let all = Some(rows.to_string());
        assert_eq!(seen.rows, [[all.clone(), all].to_vec()]);
        let coverage = bench
            .ask("SELECT account_id, status FROM system.account_coverage")
            .await;
        assert_eq!(
            coverage.rows,
            [[bench.cloud.sample.payer(), "connected".to_owned()].map(Some).to_vec()]
        );
        // Nothing is missing: there is nobody else to connect.
        let found = bench.ask("CALL diagnose_aws()").await;
        assert!(!found.text().contains("are not connected"), "{}", found.text());
        assert!(!found.column("status").contains(&Some("failed")), "{}", found.text());
        let checked = bench.ask("CALL check_aws_access()").await;
        assert!(
            !checked.column("status").contains(&Some("failed")),
            "{}",
            checked.text()
        );
    });
}

#[test]
fn months_between_two_delivered_ones_are_missed_and_asked_for() {
    run(Start::NothingDelivered, async |bench| {
        deliver_own(bench, |key| !key.contains("BILLING_PERIOD=2026-05")).await;
        bench.connect(&[]).await;
        let months = bench
            .ask("SELECT billing_period, state FROM system.months ORDER BY 1")
            .await;
        let row = |month: &str, state: &str| [month, state].map(|text| Some(text.to_owned())).to_vec();
        assert_eq!(
            months.rows,
            [
                row("2026-04", "imported"),
                row("2026-05", "missing"),
                row("2026-06", "imported")
            ]
        );
        let found = bench.ask("CALL diagnose_aws()").await;
        let at = found
            .column("object")
            .iter()
            .position(|o| o.unwrap().starts_with("months: "));
        let at = at.unwrap_or_else(|| panic!("no row on months: {}", found.text()));
        assert_eq!(found.column("status")[at], Some("warning"));
        let evidence: serde_json::Value = serde_json::from_str(found.column("evidence")[at].unwrap()).unwrap();
        assert_eq!(evidence["missing"], serde_json::json!(["2026-05"]));
        let request = evidence["request"].as_str().unwrap();
        for part in ["2026-05", "daily-costs", &bench.cloud.sample.payer(), "s3://"] {
            assert!(request.contains(part), "{part} is not in the request:\n{request}");
        }
        // Once AWS has delivered it, all is well.
        deliver_own(bench, |key| key.contains("BILLING_PERIOD=2026-05")).await;
        bench.ask("CALL refresh_export()").await;
        let states = bench.ask("SELECT DISTINCT state FROM system.months").await;
        assert_eq!(states.single(), Some("imported"));
    });
}
