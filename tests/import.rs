//! Deliveries that go wrong, and deliveries that change: the former snapshot stands until a whole new one is there.

mod broken;
mod faults;
mod replaced;
mod schedule;
mod swapped;

use bytes::Bytes;
use farthing_server::config::Config;
use farthing_tests::bench::Bench;
use farthing_tests::cloud::{BUCKET, Sample};
use serde_json::{Value, json};

/// The rows that `costs` has, and their cost.
const SEEN: &str = "SELECT count(*), sum(x_net_amortized_cost) FROM costs";

/// The answer to [`SEEN`] for some totals.
fn seen(totals: &farthing_sandbox::sample::ControlTotals) -> Vec<Option<String>> {
    vec![
        Some(totals.grand.rows.to_string()),
        Some(totals.grand.net_amortized.to_string()),
    ]
}

/// A node that reads the bucket with every statement.
fn without_caches(config: &mut Config) {
    config.limits.result_cache_bytes = 0;
    config.limits.disk_cache_bytes = 0;
}

/// A new delivery of a month that leaves the objects of the former one where they are.
struct Redelivery {
    period: &'static str,
    manifest: Value,
    objects: Vec<(String, Bytes)>,
}

impl Redelivery {
    /// The former delivery again, as a new execution.
    fn of(bench: &Bench, period: &'static str) -> Self {
        let bytes = &bench.cloud.sample.objects[&Sample::manifest_key(period)];
        let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
        manifest["executionId"] = json!("00000000-0000-4000-8000-000000000001");
        Self {
            period,
            manifest,
            objects: Vec::new(),
        }
    }

    /// With another first file, under a name of its own.
    fn first_file(mut self, bench: &Bench, change: impl FnOnce(&Bytes) -> Bytes) -> Self {
        let former = bench.cloud.sample.data_keys(self.period)[0].clone();
        let key = former.replace("-00001", "-00099");
        assert_ne!(key, former);
        self.objects
            .push((key.clone(), change(&bench.cloud.sample.objects[&former])));
        self.name_file(&key)
    }

    /// With another key in the first file's place.
    fn name_file(mut self, key: &str) -> Self {
        self.manifest["dataFiles"][0] = json!(format!("s3://{BUCKET}/{key}"));
        self
    }

    /// Puts it into the bucket: data first, manifest last.
    async fn deliver(self, bench: &Bench) {
        for (key, bytes) in self.objects {
            bench.cloud.sandbox.put_object(BUCKET, &key, bytes).await.unwrap();
        }
        let manifest = self.manifest.to_string();
        put_manifest(bench, self.period, manifest).await;
    }
}

async fn put_manifest(bench: &Bench, period: &str, text: String) {
    bench
        .cloud
        .sandbox
        .put_object(BUCKET, &Sample::manifest_key(period), text)
        .await
        .unwrap();
}

/// The state and message of the newest import run of a month.
async fn newest_import(bench: &Bench, period: &str) -> (String, String) {
    let sql = format!(
        "SELECT state, coalesce(message, '') FROM system.imports WHERE billing_period = '{period}' ORDER BY import_id DESC LIMIT 1"
    );
    let answer = bench.ask(&sql).await;
    let row = &answer.rows[0];
    (row[0].clone().unwrap(), row[1].clone().unwrap())
}
