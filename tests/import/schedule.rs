//! The schedule: an idle hour costs one request, and news of any age are found.

use std::time::{Duration, Instant};

use farthing_tests::bench::{Start, run};
use farthing_tests::cloud::Sample;

use super::{SEEN, seen};

/// How often the schedule looks in these tests. It may come a twentieth early.
const EVERY: Duration = Duration::from_secs(1);

#[test]
fn an_idle_look_is_one_request_and_a_restated_month_is_found() {
    run(Start::AllConnected, async |bench| {
        bench.site.node.start_schedule(EVERY);
        let requests = bench.cloud.sandbox.requests();
        let since = Instant::now();
        requests.clear();
        while requests.all().len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let looks = since.elapsed().as_millis() / (EVERY * 19 / 20).as_millis() + 1;
        let made = requests.all();
        assert!(
            made.iter().all(|request| request.operation == "ListObjectsV2"),
            "{made:?}"
        );
        assert!(made.len() as u128 <= looks, "{} requests in {looks} looks", made.len());
        // The oldest month is restated long after it closed.
        let newer = Sample::restated(Sample::spec(), "2026-04").await;
        let mut totals = bench.cloud.sample.totals.clone();
        totals.restate(&newer.totals);
        requests.clear();
        bench.cloud.deliver(&newer, |_| true).await;
        let published = "SELECT count(*) FROM system.imports WHERE billing_period = '2026-04' AND state = 'published'";
        while bench.ask(published).await.single() != Some("2") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let others = requests.matching(|request| {
            let key = request.key.as_deref().unwrap_or_default();
            request.operation == "GetObject" && key.contains("2026-05")
        });
        assert_eq!(others, [], "months without news are left alone");
        assert_eq!(bench.ask(SEEN).await.rows, [seen(&totals)]);
    });
}
