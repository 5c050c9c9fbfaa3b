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

#[test]
fn an_import_asks_for_each_file_a_few_times() {
    run(Start::Delivered, async |bench| {
        let requests = bench.cloud.sandbox.requests();
        requests.clear();
        bench.ask(&bench.cloud.connect_root()).await;
        let made = requests.all();
        let of_data = |operation: &str| {
            let of = made.iter().filter(|request| request.operation == operation);
            of.filter(|request| request.key.as_deref().is_some_and(|key| key.contains("/data/")))
                .count()
        };
        let periods = farthing_tests::cloud::PERIODS;
        let files: usize = periods
            .map(|period| bench.cloud.sample.data_keys(period).len())
            .iter()
            .sum();
        let (heads, gets) = (of_data("HeadObject"), of_data("GetObject"));
        println!(
            "{} requests for {} months of {files} files: {heads} HEAD and {gets} GET of data",
            made.len(),
            periods.len()
        );
        assert_eq!(heads, files, "each file is looked up once");
        // Its footer, and the columns of totals in each of its row groups.
        assert!(gets <= files * 3, "{gets} reads of {files} files");
        // Besides, for each month its manifest twice, and what it takes to find out who asks and what there is.
        assert!(made.len() - heads - gets <= periods.len() * 2 + 8, "{made:?}");
    });
}
