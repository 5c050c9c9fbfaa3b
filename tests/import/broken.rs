//! Deliveries that cannot be imported: recorded with a reason that names the object, and the former snapshot stays.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::client::Client;
use farthing_tests::cloud::{BUCKET, EXPORT, PERIODS, PREFIX};
use farthing_tests::files;
use serde_json::json;

use super::{Redelivery, SEEN, newest_import, put_manifest, seen};

const PERIOD: &str = "2026-05";

/// Delivers, refreshes, and checks that the delivery is refused for a reason that holds every word, and changes nothing.
async fn refused(bench: &Bench, what: &str, delivery: Redelivery, words: &[&str]) {
    delivery.deliver(bench).await;
    still_the_former(bench, what, words).await;
}

async fn still_the_former(bench: &Bench, what: &str, words: &[&str]) {
    let answer = bench.ask("CALL refresh_export()").await;
    assert_eq!(answer.column("status")[0], Some("warning"), "{what}: {}", answer.text());
    let (state, message) = newest_import(bench, PERIOD).await;
    assert!(
        matches!(state.as_str(), "failed" | "waiting"),
        "{what}: {state}: {message}"
    );
    for word in words {
        assert!(message.contains(word), "{what}: \"{word}\" is not in: {message}");
    }
    assert_eq!(bench.ask(SEEN).await.rows, [seen(&bench.cloud.sample.totals)], "{what}");
}

fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut fields: Vec<Arc<Field>> = batch.schema().fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    let field = Arc::new(Field::new(name, column.data_type().clone(), true));
    match batch.schema().index_of(name) {
        Ok(at) => {
            fields[at] = field;
            columns[at] = column;
        }
        Err(_) => {
            fields.push(field);
            columns.push(column);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn without_column(batch: &RecordBatch, name: &str) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut narrower = batch.clone();
    narrower.remove_column(at);
    narrower
}

fn lists(rows: usize) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let offsets = OffsetBuffer::from_lengths(vec![1; rows]);
    Arc::new(ListArray::new(
        item,
        offsets,
        Arc::new(Int32Array::from(vec![7; rows])),
        None,
    ))
}

#[test]
fn a_broken_delivery_is_recorded_and_changes_nothing() {
    run(Start::AllConnected, async |bench| {
        let delivery = || Redelivery::of(bench, PERIOD);
        let truncated = delivery().first_file(bench, |bytes| bytes.slice(..bytes.len() / 2));
        refused(bench, "a truncated file", truncated, &["-00099"]).await;
        let text = delivery().first_file(bench, |_| Bytes::from_static(b"not a Parquet file"));
        refused(bench, "a text file", text, &["-00099"]).await;
        let missing = delivery().name_file(&format!(
            "{PREFIX}/{EXPORT}/data/BILLING_PERIOD={PERIOD}/gone.snappy.parquet"
        ));
        refused(bench, "a missing file", missing, &["gone.snappy.parquet"]).await;
        let strange = delivery().first_file(bench, |bytes| {
            files::rewrite(bytes, |batch| with_column(batch, "mystery", lists(batch.num_rows())))
        });
        refused(bench, "a column of an unknown type", strange, &["mystery"]).await;
        let textual = delivery().first_file(bench, |bytes| {
            files::rewrite(bytes, |batch| {
                let words = StringArray::from(vec!["plenty"; batch.num_rows()]);
                with_column(batch, "line_item_unblended_cost", Arc::new(words))
            })
        });
        refused(bench, "a cost as text", textual, &["line_item_unblended_cost"]).await;
        let narrow = delivery().first_file(bench, |bytes| {
            files::rewrite(bytes, |batch| without_column(batch, "line_item_unblended_cost"))
        });
        refused(bench, "a file without costs", narrow, &["line_item_unblended_cost"]).await;
        let mut nameless = delivery();
        nameless.manifest.as_object_mut().unwrap().remove("dataFiles");
        refused(bench, "a manifest without files", nameless, &["dataFiles"]).await;
        let mut elsewhere = delivery();
        elsewhere.manifest["dataFiles"][0] = json!("s3://another-bucket/x.parquet");
        refused(bench, "a manifest of two buckets", elsewhere, &["bucket"]).await;
        put_manifest(bench, PERIOD, "{ \"dataFiles\": [".to_owned()).await;
        still_the_former(bench, "half a manifest", &["Manifest.json"]).await;
        let mut outside = delivery();
        outside.manifest["dataFiles"][0] = json!(format!("s3://{BUCKET}/../../etc/passwd"));
        refused(bench, "a key with dots", outside, &[]).await;

        // A good delivery ends it.
        delivery().deliver(bench).await;
        let answer = bench.ask("CALL refresh_export()").await;
        assert_eq!(answer.column("status")[0], Some("ok"), "{}", answer.text());
        assert_eq!(newest_import(bench, PERIOD).await.0, "published");
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&bench.cloud.sample.totals)]);
    });
}

#[test]
fn one_broken_month_does_not_stop_the_others() {
    run(Start::Delivered, async |bench| {
        let truncated = Redelivery::of(bench, PERIOD).first_file(bench, |bytes| bytes.slice(..100));
        truncated.deliver(bench).await;
        bench.connect(&bench.cloud.sample.linked()).await;
        let months = bench
            .ask("SELECT DISTINCT x_billing_period FROM costs ORDER BY 1")
            .await;
        let whole: Vec<Option<&str>> = PERIODS
            .into_iter()
            .filter(|period| *period != PERIOD)
            .map(Some)
            .collect();
        assert_eq!(months.column("x_billing_period"), whole);
        let answer = bench.ask("CALL refresh_export()").await;
        assert!(answer.text().contains(PERIOD), "the month is named: {}", answer.text());
    });
}

#[test]
fn a_wrong_prefix_is_told_from_an_early_connection() {
    run(Start::Delivered, async |bench| {
        let keys = bench.cloud.key_arguments(&bench.cloud.sample.payer());
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*" }],
        });
        let payer = bench.cloud.sample.payer();
        bench
            .cloud
            .sandbox
            .put_user_policy(&payer, "farthing", "read-all", &policy.to_string())
            .unwrap();
        let sql =
            format!("CALL connect_aws_root(location => 's3://{BUCKET}/cur/dayly/{EXPORT}', {keys}, dry_run => true)");
        let answer = bench.ask(&sql).await.text();
        assert!(answer.contains("pending"), "{answer}");
        let sql = format!("CALL connect_aws_root(location => 's3://{BUCKET}/cur/daily/dayly-costs', {keys})");
        let mut admin = bench.site.admin();
        let answer = admin.run(&sql).await.unwrap().text();
        assert!(
            answer.contains("pending") && answer.contains(EXPORT),
            "the folders nearby are named: {answer}"
        );
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
    });
}

#[test]
fn data_without_a_manifest_is_no_delivery() {
    run(Start::NothingDelivered, async |bench| {
        bench
            .cloud
            .deliver(bench.cloud.sample, |key| !key.contains("/metadata/"))
            .await;
        let answer = bench.ask(&bench.cloud.connect_root()).await;
        assert_eq!(
            answer.column("status").last(),
            Some(&Some("pending")),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains("unverified => true"), "{}", answer.text());
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask("SELECT count(*) FROM costs").await.single(), Some("0"));
        bench
            .cloud
            .deliver(bench.cloud.sample, |key| key.contains("2026-04"))
            .await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(
            bench.ask("SELECT DISTINCT x_billing_period FROM costs").await.single(),
            Some("2026-04")
        );
    });
}

#[test]
fn a_copy_of_the_data_alone_is_read_when_that_is_asked_for() {
    run(Start::NothingDelivered, async |bench| {
        let (sample, sandbox) = (bench.cloud.sample, &bench.cloud.sandbox);
        let now = Utc::now();
        let lie = async |age: TimeDelta, period: &str| {
            sandbox.set_time(now - age);
            let wanted = format!("/data/BILLING_PERIOD={period}");
            bench.cloud.deliver(sample, |key| key.contains(&wanted)).await;
            sandbox.set_time(now);
        };
        // Files that were written just now may not be all.
        lie(TimeDelta::hours(1), "").await;
        lie(TimeDelta::zero(), "2026-06").await;
        let connect = bench.cloud.connect_root().replace(')', ", unverified => true)");
        let answer = bench.ask(&connect).await;
        assert!(answer.text().contains("There is no manifest"), "{}", answer.text());
        let verified = "SELECT billing_period, verified::text FROM system.snapshots ORDER BY 1";
        let row = |period: &str| vec![Some(period.to_owned()), Some("false".to_owned())];
        assert_eq!(bench.ask(verified).await.rows, [row("2026-04"), row("2026-05")]);
        lie(TimeDelta::minutes(2), "2026-06").await;
        bench.ask("CALL refresh_export()").await;
        for account in sample.linked() {
            bench.ask(&bench.cloud.connect_linked(&account)).await;
        }
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&sample.totals)]);
        let unverified = "SELECT count(*) FROM system.snapshots WHERE NOT verified";
        assert_eq!(bench.ask(unverified).await.single(), Some("3"));
        // AWS delivers there after all: from now on its manifests say what counts.
        bench.cloud.deliver(sample, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&sample.totals)]);
        assert_eq!(bench.ask(unverified).await.single(), Some("0"));
    });
}
