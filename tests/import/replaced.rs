//! AWS delivers a month again, between statements and under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use farthing_sandbox::aws::{Fault, FaultKind};
use farthing_sandbox::sample::{ControlTotals, DeliveryMode};
use farthing_tests::bench::{Bench, Start, run, run_with};
use farthing_tests::client::Way;
use farthing_tests::cloud::{BUCKET, Sample};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::{SEEN, seen, without_caches};

const PERIOD: &str = "2026-06";

/// The totals after the month was restated.
fn restated_totals(former: &ControlTotals, newer: &Sample) -> ControlTotals {
    let mut totals = former.clone();
    totals.restate(&newer.totals);
    assert_ne!(totals.grand, former.grand);
    totals
}

#[test]
fn a_restated_month_replaces_the_former_one_whole() {
    run(Start::AllConnected, async |bench| {
        let newer = Sample::restated(Sample::spec(), PERIOD).await;
        let totals = restated_totals(&bench.cloud.sample.totals, &newer);
        bench.cloud.deliver(&newer, |_| true).await;
        let answer = bench.ask("CALL refresh_export(export_name => 'daily-costs')").await;
        assert_eq!(answer.column("status")[0], Some("ok"), "{}", answer.text());
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&totals)]);
        let runs = bench
            .ask("SELECT count(*) FROM system.imports WHERE state = 'published'")
            .await;
        assert_eq!(runs.single(), Some("4"), "three months and one of them again");
        // Nothing new: nothing is read.
        bench.cloud.sandbox.requests().clear();
        bench.ask("CALL refresh_export(export_name => 'daily-costs')").await;
        assert!(bench.cloud.data_reads().is_empty());
    });
}

#[test]
fn exports_that_keep_their_deliveries_are_read_the_same() {
    run(Start::NothingDelivered, async |bench| {
        let spec = Sample::spec().with_mode(DeliveryMode::CreateNew);
        let first = Sample::generate(spec.clone()).await;
        bench.cloud.deliver(&first, |_| true).await;
        bench.connect(&first.linked()).await;
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&first.totals)]);
        let newer = Sample::restated(spec, PERIOD).await;
        let totals = restated_totals(&first.totals, &newer);
        let mut pinned = bench.site.client(Way::InProcess, "admin").await;
        pinned.run("BEGIN").await.unwrap();
        assert_eq!(pinned.run(SEEN).await.unwrap().rows, [seen(&first.totals)]);
        bench.cloud.deliver(&newer, |_| true).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&totals)]);
        assert_eq!(
            pinned.run(SEEN).await.unwrap().rows,
            [seen(&first.totals)],
            "a transaction sees one version"
        );
        pinned.run("COMMIT").await.unwrap();
        assert_eq!(pinned.run(SEEN).await.unwrap().rows, [seen(&totals)]);
    });
}

/// Replaces the month as soon as one of its data files is asked for: all data files, then the manifest.
fn replace_under_the_next_read(bench: &Bench, newer: &Sample, after: u32) {
    let store = bench.cloud.sandbox.store(BUCKET).unwrap();
    let mut objects: Vec<_> = newer.objects.clone().into_iter().collect();
    objects.sort_by_key(|(key, _)| key.contains("/metadata/"));
    let done = AtomicBool::new(false);
    let replace = move |_: &farthing_sandbox::aws::RequestRecord| {
        if done.swap(true, Ordering::SeqCst) {
            return;
        }
        for (key, bytes) in &objects {
            let put = async {
                store
                    .put(&Path::parse(key).unwrap(), PutPayload::from(bytes.clone()))
                    .await
            };
            futures::executor::block_on(put).unwrap();
        }
    };
    let fault = Fault::new(FaultKind::Before(Arc::new(replace)));
    bench.cloud.sandbox.inject(
        fault
            .operation("GetObject")
            .key(format!("*/data/BILLING_PERIOD={PERIOD}/*"))
            .after(after),
    );
}

#[test]
fn a_query_that_meets_a_new_delivery_answers_from_one_delivery() {
    for (way, after) in [(Way::InProcess, 0), (Way::PostgresExtended, 3), (Way::FlightSql, 1)] {
        run(Start::AllConnected, async |bench| {
            let newer = Sample::restated(Sample::spec(), PERIOD).await;
            let totals = restated_totals(&bench.cloud.sample.totals, &newer);
            replace_under_the_next_read(bench, &newer, after);
            let mut client = bench.site.client(way, "admin").await;
            match client.run(SEEN).await {
                Ok(answer) => {
                    let allowed = [seen(&bench.cloud.sample.totals), seen(&totals)];
                    assert!(
                        allowed.contains(&answer.rows[0]),
                        "{way:?}: a mixture: {:?}",
                        answer.rows
                    );
                }
                Err(refusal) => assert_eq!(refusal.sqlstate, "40001", "{way:?}: {refusal}"),
            }
            // The same session is served again, from the new delivery.
            assert_eq!(client.run(SEEN).await.unwrap().rows, [seen(&totals)], "{way:?}");
        });
    }
}

#[test]
fn a_transaction_that_meets_a_new_delivery_is_told_to_start_again() {
    run_with(Start::AllConnected, without_caches, async |bench| {
        let newer = Sample::restated(Sample::spec(), PERIOD).await;
        let totals = restated_totals(&bench.cloud.sample.totals, &newer);
        let mut client = bench.site.client(Way::PostgresSimple, "admin").await;
        client.run("BEGIN").await.unwrap();
        let rows = client.run(SEEN).await.unwrap().rows;
        assert_eq!(rows, [seen(&bench.cloud.sample.totals)]);
        bench.cloud.deliver(&newer, |_| true).await;
        let refusal = client.run(SEEN).await.unwrap_err();
        assert_eq!(refusal.sqlstate, "40001", "{refusal}");
        assert_eq!(client.run(SEEN).await.unwrap_err().sqlstate, "25P02");
        client.run("ROLLBACK").await.unwrap();
        assert_eq!(client.run(SEEN).await.unwrap().rows, [seen(&totals)]);
    });
}

#[test]
fn a_delivery_that_begins_during_the_import_is_not_mixed_in() {
    run(Start::Delivered, async |bench| {
        let newer = Sample::restated(Sample::spec(), PERIOD).await;
        let totals = restated_totals(&bench.cloud.sample.totals, &newer);
        replace_under_the_next_read(bench, &newer, 2);
        bench.connect(&bench.cloud.sample.linked()).await;
        bench.ask("CALL refresh_export()").await;
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&totals)]);
    });
}
