//! Past deliveries through the sandbox: what was delivered when, what changed, and that it adds up.

mod past;
mod same;

use farthing_sandbox::sample::{ControlTotals, DeliveryMode, SampleSpec};
use farthing_tests::bench::Bench;
use farthing_tests::cloud::{EXPORT, PREFIX, Sample};

const PERIOD: &str = "2026-06";

/// The rows that a relation has, and their cost.
fn seen_of(relation: &str) -> String {
    format!("SELECT count(*), sum(billed_cost) FROM {relation}")
}

fn seen(totals: &ControlTotals) -> [Vec<Option<String>>; 1] {
    let sums = totals.grand;
    [vec![Some(sums.rows.to_string()), Some(sums.unblended.to_string())]]
}

/// The sample in folders of its own for each delivery.
fn create_new() -> SampleSpec {
    Sample::spec().with_mode(DeliveryMode::CreateNew)
}

/// The totals after a month was restated.
fn after(former: &ControlTotals, newer: &Sample) -> ControlTotals {
    let mut totals = former.clone();
    totals.restate(&newer.totals);
    assert_ne!(totals.grand, former.grand);
    totals
}

/// Delivers, some seconds after whatever was delivered before.
async fn deliver(bench: &Bench, sample: &Sample) {
    bench.cloud.sandbox.advance(std::time::Duration::from_secs(20));
    bench.cloud.deliver(sample, |_| true).await;
}

/// When the deliveries of a month were made, oldest first.
async fn delivered_at(bench: &Bench, period: &str) -> Vec<String> {
    let sql = format!("SELECT delivered_at FROM system.deliveries WHERE billing_period = '{period}' ORDER BY 1");
    let answer = bench.ask(&sql).await;
    answer
        .column("delivered_at")
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// Keys of the data files of a month.
fn data_keys(sample: &Sample, period: &str) -> Vec<String> {
    let folder = format!("{PREFIX}/{EXPORT}/data/BILLING_PERIOD={period}/");
    let of_period = |key: &&String| key.starts_with(&folder);
    sample.objects.keys().filter(of_period).cloned().collect()
}
