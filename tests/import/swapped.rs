//! A delivery is replaced thousands of times, as fast as the bucket takes it, under imports and queries that never stop:
//! every answer is one delivery or the other, or SQLSTATE 40001, and never a mixture.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use farthing_sandbox::sample::{SampleSpec, YearMonth};
use farthing_tests::bench::{Bench, Site, on_runtimes};
use farthing_tests::client::Way;
use farthing_tests::cloud::{BUCKET, Cloud, EXPORT, LINKED, PREFIX, Sample};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{SEEN, seen, without_caches};

/// How often the delivery is replaced.
const SWAPS: usize = 3_000;
const PERIOD: &str = "2026-06";

fn spec() -> SampleSpec {
    let end = YearMonth::new(2026, 6).unwrap();
    SampleSpec::new(20_260_701, 4_500, 1, end, BUCKET, PREFIX, EXPORT)
        .with_linked_accounts(LINKED)
        .with_rows_per_file(1_000)
}

/// Replaces the delivery by the other one, again and again: file by file, then the manifest of a new execution. AWS takes
/// seconds for a file, so the date goes on by one with each; it sets the times of objects and nothing else.
async fn swap(cloud: &Cloud, deliveries: [&Sample; 2]) {
    let store = cloud.sandbox.store(BUCKET).unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for number in 0..SWAPS {
        let delivery = deliveries[(number + 1) % 2];
        let manifest = Sample::manifest_key(PERIOD);
        let files = delivery.objects.iter().filter(|(key, _)| **key != manifest);
        let mut document: Value = serde_json::from_slice(&delivery.objects[&manifest]).unwrap();
        document["executionId"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        let last = (&manifest, bytes::Bytes::from(document.to_string()));
        let all = files.map(|(key, bytes)| (key, bytes.clone())).chain([last]);
        for (key, bytes) in all {
            cloud.sandbox.advance(Duration::from_secs(1));
            store
                .put(&Path::parse(key).unwrap(), PutPayload::from(bytes))
                .await
                .unwrap();
            if random.random_ratio(1, 4) {
                tokio::task::yield_now().await;
            }
        }
        // Now and then it lies still for long enough to be imported, mostly it does not.
        let pause = match random.random_range(0..10) {
            0 => random.random_range(20..80),
            1..4 => random.random_range(1..6),
            _ => 0,
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

#[test]
fn every_answer_is_one_delivery_or_the_other() {
    on_runtimes(async |runtimes| {
        let first: &'static Sample = Box::leak(Box::new(Sample::generate(spec()).await));
        let second = Sample::restated(spec(), PERIOD).await;
        let mut second_totals = first.totals.clone();
        second_totals.restate(&second.totals);
        let allowed = [seen(&first.totals), seen(&second_totals)];
        assert_ne!(allowed[0], allowed[1]);
        let cloud = Cloud::empty_for(first).await;
        cloud.deliver(first, |_| true).await;
        let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, without_caches).await;
        let bench = Bench { cloud, site };
        bench.connect(&first.linked()).await;
        assert_eq!(bench.ask(SEEN).await.rows, [allowed[0].clone()]);

        let done = Arc::new(AtomicBool::new(false));
        let (answers, refused) = ([AtomicUsize::new(0), AtomicUsize::new(0)], AtomicUsize::new(0));
        let ask = async |way: Way| {
            let mut client = bench.site.client(way, "admin").await;
            while !done.load(Ordering::SeqCst) {
                match client.run(SEEN).await {
                    Ok(answer) => match allowed.iter().position(|allowed| *allowed == answer.rows[0]) {
                        Some(which) => answers[which].fetch_add(1, Ordering::SeqCst),
                        None => panic!("{way:?}: a mixture: {:?}", answer.rows),
                    },
                    Err(refusal) if refusal.sqlstate == "40001" => refused.fetch_add(1, Ordering::SeqCst),
                    Err(refusal) => panic!("{way:?}: {refusal}"),
                };
            }
        };
        let import = async || {
            while !done.load(Ordering::SeqCst) {
                bench.ask("CALL refresh_export()").await;
            }
        };
        let swapping = async {
            swap(&bench.cloud, [first, &second]).await;
            done.store(true, Ordering::SeqCst);
        };
        tokio::join!(
            swapping,
            import(),
            ask(Way::InProcess),
            ask(Way::PostgresExtended),
            ask(Way::FlightSql)
        );
        // It lies still now, as the first delivery: the last swap had an even number.
        bench.ask("CALL refresh_export()").await;
        let last = bench.ask(SEEN).await;
        assert_eq!(last.rows, [allowed[SWAPS % 2].clone()]);
        let [first_seen, second_seen] = answers.map(AtomicUsize::into_inner);
        let published = bench
            .ask("SELECT count(*) FROM system.imports WHERE state = 'published'")
            .await;
        println!(
            "{SWAPS} swaps: {first_seen} and {second_seen} answers, {} refused, {} imports",
            refused.into_inner(),
            published.single().unwrap_or_default()
        );
        assert!(
            first_seen > 0 && second_seen > 0,
            "{first_seen} and {second_seen} answers"
        );
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}
