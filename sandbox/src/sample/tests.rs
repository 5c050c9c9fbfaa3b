#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Deliveries as a reader finds them. [`reread`] reads files with the public Parquet reader and shares no code with the
//! generator.

mod content;
mod reread;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::Array as _;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::upload::{Event, PartWriter, upload};
use super::*;

fn month(text: &str) -> YearMonth {
    text.parse().unwrap()
}

fn small() -> SampleSpec {
    SampleSpec::new(7, 30_000, 3, month("2026-08"), "bills", "exports/cur2", "org").with_rows_per_file(4_000)
}

/// Hears the keys in the order in which they were written, and the planned numbers.
#[derive(Default)]
struct Heard {
    keys: Mutex<Vec<String>>,
    planned: Mutex<(u64, u64)>,
    advanced: Mutex<u64>,
}

impl Progress for Heard {
    fn planned(&self, rows: u64, files: u64) {
        *self.planned.lock().unwrap() = (rows, files);
    }

    fn advanced(&self, rows: u64) {
        *self.advanced.lock().unwrap() += rows;
    }

    fn written(&self, key: &str) {
        self.keys.lock().unwrap().push(key.to_owned());
    }
}

async fn objects(store: &Arc<dyn ObjectStore>) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    for object in listed {
        let bytes = store.get(&object.location).await.unwrap().bytes().await.unwrap();
        all.insert(object.location.to_string(), bytes);
    }
    all
}

async fn delivered(spec: &SampleSpec) -> (BTreeMap<String, Bytes>, ControlTotals) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let totals = deliver(spec, store.clone(), &Silent).await.unwrap();
    (objects(&store).await, totals)
}

fn digest(objects: &BTreeMap<String, Bytes>) -> String {
    let mut hash = Sha256::new();
    for (key, bytes) in objects {
        hash.update(key);
        hash.update(bytes);
    }
    hex::encode(hash.finalize())
}

#[tokio::test]
async fn the_same_bytes_for_any_number_of_threads() {
    let (one, totals) = delivered(&small().with_threads(1)).await;
    let (three, totals_of_three) = delivered(&small().with_threads(3)).await;
    assert_eq!(digest(&one), digest(&three));
    assert_eq!(totals, totals_of_three);
    let mut other = small();
    other.seed = 8;
    assert_ne!(digest(&one), digest(&delivered(&other).await.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_can_run_as_a_task() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let task = tokio::spawn(async move {
        let heard = Heard::default();
        deliver(&small(), store, &heard).await
    });
    assert!(task.await.unwrap().unwrap().grand.rows > 20_000);
}

#[tokio::test]
async fn the_manifest_comes_last_and_lists_exactly_the_files() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let heard = Heard::default();
    let totals = deliver(&small().with_threads(3), store.clone(), &heard).await.unwrap();
    let all = objects(&store).await;
    let keys = heard.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), all.len());
    for period in ["2026-06", "2026-07", "2026-08"] {
        let manifest_key = format!("exports/cur2/org/metadata/BILLING_PERIOD={period}/org-Manifest.json");
        let folder = format!("exports/cur2/org/data/BILLING_PERIOD={period}/");
        let manifest: serde_json::Value = serde_json::from_slice(&all[&manifest_key]).unwrap();
        let listed: Vec<String> = manifest["dataFiles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|uri| uri.as_str().unwrap().to_owned())
            .collect();
        let found: Vec<String> = all
            .keys()
            .filter(|key| key.starts_with(&folder))
            .map(|key| format!("s3://bills/{key}"))
            .collect();
        assert_eq!(listed, found);
        assert!(listed.len() > 1, "{period} should need several files");
        assert!(listed[0].ends_with("/org-00001.snappy.parquet"));
        let at = |key: &str| keys.iter().position(|k| k == key).unwrap();
        let last_file = keys.iter().rposition(|key| key.starts_with(&folder)).unwrap();
        assert!(at(&manifest_key) > last_file);
        assert_eq!(manifest["columns"].as_array().unwrap().len(), COLUMNS.len());
        assert_eq!(manifest["executionId"].as_str().unwrap().len(), 36);
    }
    let (planned, files) = *heard.planned.lock().unwrap();
    assert_eq!(files as usize, all.len() - 3);
    assert_eq!(*heard.advanced.lock().unwrap(), totals.grand.rows);
    assert!(
        planned.abs_diff(totals.grand.rows) < totals.grand.rows / 20,
        "{planned} planned, {}",
        totals.grand.rows
    );
}

#[tokio::test]
async fn create_new_keeps_former_deliveries() {
    let spec = small().with_mode(DeliveryMode::CreateNew);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    deliver(&spec, store.clone(), &Silent).await.unwrap();
    let first = objects(&store).await;
    deliver_restated(&spec, month("2026-07"), store.clone(), &Silent)
        .await
        .unwrap();
    let second = objects(&store).await;
    let latest = "exports/cur2/org/metadata/BILLING_PERIOD=2026-07/org-Manifest.json";
    for (key, bytes) in &first {
        assert_eq!(second[key] != *bytes, key == latest, "{key}");
    }
    let manifest: serde_json::Value = serde_json::from_slice(&second[latest]).unwrap();
    let execution = manifest["executionId"].as_str().unwrap();
    let files = reread::files(&second, latest);
    assert!(!files.is_empty());
    for file in files {
        let folder = format!("exports/cur2/org/data/BILLING_PERIOD=2026-07/2026-08-13T05:00:09.000Z-{execution}/org-");
        assert!(file.starts_with(&folder), "{file}");
        assert!(!first.contains_key(&file) && second.contains_key(&file));
    }
    let of_run = format!(
        "exports/cur2/org/metadata/BILLING_PERIOD=2026-07/2026-08-13T05:00:09.000Z-{execution}/org-Manifest.json"
    );
    assert_eq!(second[&of_run], second[latest]);
}

#[tokio::test]
async fn a_restated_month_changes_alone() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut totals = deliver(&small(), store.clone(), &Silent).await.unwrap();
    let before = totals.clone();
    let first = objects(&store).await;
    let restated = deliver_restated(&small(), month("2026-07"), store.clone(), &Silent)
        .await
        .unwrap();
    let second = objects(&store).await;
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (key, bytes) in &first {
        assert_eq!(second[key] != *bytes, key.contains("BILLING_PERIOD=2026-07"), "{key}");
    }
    totals.restate(&restated);
    assert_ne!(
        totals.of_period("2026-07").unblended,
        before.of_period("2026-07").unblended
    );
    assert_eq!(totals.of_period("2026-07").rows, before.of_period("2026-07").rows + 13);
    assert_eq!(totals.of_period("2026-06"), before.of_period("2026-06"));
    assert_eq!(totals, reread::totals(&second));
}

#[tokio::test]
async fn a_month_that_the_sample_lacks_cannot_be_restated() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let refused = deliver_restated(&small(), month("2026-05"), store, &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("no month 2026-05"), "{refused}");
}

#[tokio::test]
async fn unusable_fields_are_named() {
    let refused = |change: fn(&mut SampleSpec)| {
        let mut spec = small();
        change(&mut spec);
        spec.check().unwrap_err().to_string()
    };
    assert!(refused(|spec| spec.payer = "12345".to_owned()).contains("12345"));
    assert!(refused(|spec| spec.prefix = "a/".to_owned()).contains("'a/'"));
    assert!(refused(|spec| spec.rows = 1_000_000_000).contains("at most"));
    assert!(refused(|spec| spec.threads = 0).contains("threads"));
    assert!(refused(|spec| spec.rows_per_file = 1).contains("rows per file"));
    assert!(refused(|spec| spec.export_name = "a/b".to_owned()).contains("a/b"));
    assert!("2026-13".parse::<YearMonth>().is_err());
    assert!("2026-1".parse::<YearMonth>().is_err());
    assert!(small().check().is_ok());
}

#[tokio::test]
async fn an_empty_prefix_and_a_folder_work_too() {
    let folder = std::env::temp_dir().join(format!("farthing-sample-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let local = object_store::local::LocalFileSystem::new_with_prefix(&folder).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(local);
    let mut spec = small().with_mode(DeliveryMode::CreateNew);
    spec.prefix = String::new();
    let totals = deliver(&spec, store.clone(), &Silent).await.unwrap();
    let all = objects(&store).await;
    assert!(
        folder
            .join("org/metadata/BILLING_PERIOD=2026-08/org-Manifest.json")
            .is_file()
    );
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(all.contains_key("org/metadata/BILLING_PERIOD=2026-08/org-Manifest.json"));
    assert_eq!(reread::totals(&all), totals);
}

#[tokio::test]
async fn a_large_file_goes_up_in_parts_and_a_cut_one_stays_invisible() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let whole: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    for ends in [true, false] {
        let path = Path::from(format!("file-{ends}"));
        let (sender, mut events) = mpsc::channel(1);
        let bytes = whole.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let mut writer = PartWriter::new(sender);
            std::io::Write::write_all(&mut writer, &bytes).unwrap();
            if ends {
                writer.finish().unwrap();
            }
        });
        let done = upload(&store, &path, &mut events, &Silent).await;
        thread.await.unwrap();
        assert_eq!(done.is_ok(), ends);
        match store.get(&path).await {
            Ok(object) => assert!(ends && object.bytes().await.unwrap() == whole),
            Err(_) => assert!(!ends),
        }
    }
    let (sender, mut events) = mpsc::channel::<Event>(1);
    drop(sender);
    let cut = upload(&store, &Path::from("nothing"), &mut events, &Silent)
        .await
        .unwrap_err()
        .to_string();
    assert!(cut.contains("nothing") && cut.contains("too early"), "{cut}");
}

#[test]
fn doubles_are_the_nearest_to_their_amounts() {
    for units in [1, 3, 12_345_678_901, 999_999_999_999_999, 3_500_000_000_123_450_000] {
        for signed in [units, -units] {
            let text = format!("{}", rows::dollars(signed));
            assert_eq!(
                text.parse::<ExactAmount>().unwrap().0,
                i128::from(signed) * 100,
                "{text}"
            );
        }
    }
}

#[test]
fn totals_are_decimal_text() {
    let amount = ExactAmount(-1_234_567_890_123_456_789);
    assert_eq!(amount.to_string(), "-1234567.890123456789");
    assert_eq!("-1234567.890123456789".parse(), Ok(amount));
    assert_eq!("0.1".parse(), Ok(ExactAmount(100_000_000_000)));
    for bad in ["", "-", ".5", "1.2.3", "1e5", "0.1234567890123", "+1", "--1"] {
        assert!(bad.parse::<ExactAmount>().is_err(), "{bad}");
    }
    let mut totals = ControlTotals::default();
    let sums = CostSums {
        rows: 2,
        unblended: ExactAmount(1),
        ..CostSums::default()
    };
    totals.add("2026-08", "000123456789", &sums);
    let json = serde_json::to_string(&totals).unwrap();
    assert!(json.contains("\"unblended\":\"0.000000000001\""), "{json}");
    assert_eq!(serde_json::from_str::<ControlTotals>(&json).unwrap(), totals);
}

#[tokio::test]
async fn a_legacy_report_says_the_same_in_its_own_words() {
    let (_, totals) = delivered(&small()).await;
    let (objects, of_report) = delivered(&small().with_form(ExportForm::LegacyParquet)).await;
    assert_eq!(of_report, totals);
    let base = "exports/cur2/org";
    let athena = format!("{base}/org/year=2026/month=7/org-Manifest.json");
    let manifest = format!("{base}/20260701-20260801/org-Manifest.json");
    assert_eq!(objects[&athena], objects[&manifest]);
    let files = reread::files(&objects, &manifest);
    assert!(files.len() > 1);
    let (mut cost, mut rows) = (0, 0);
    for key in &files {
        assert!(key.starts_with(&format!("{base}/org/year=2026/month=7/org-0")), "{key}");
        let file = reread::Rows(reread::read(&objects[key]));
        for column in file.0.columns() {
            assert_eq!(column.null_count(), 0, "blank text and 0 stand for what is absent");
        }
        for wanted in [
            "resource_tags_user_env",
            "resource_tags_aws_eks_cluster_name",
            "cost_category_business_unit",
        ] {
            assert!(file.0.column_by_name(wanted).is_some(), "{wanted}");
        }
        for absent in ["tags", "product", "line_item_usage_account_name"] {
            assert!(file.0.column_by_name(absent).is_none(), "{absent}");
        }
        rows += file.len() as u64;
        cost += (0..file.len())
            .map(|row| file.amount("line_item_unblended_cost", row))
            .sum::<i128>();
    }
    let july = totals.of_period("2026-07");
    assert_eq!((rows, cost), (july.rows, july.unblended.0));
    let manifest: serde_json::Value = serde_json::from_slice(&objects[&manifest]).unwrap();
    assert_eq!(manifest["billingPeriod"]["end"], "20260801T000000.000Z");
    let names: Vec<String> = manifest["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| {
            format!(
                "{}/{}",
                column["category"].as_str().unwrap(),
                column["name"].as_str().unwrap()
            )
        })
        .collect();
    for wanted in [
        "reservation/ReservationARN",
        "resourceTags/user:env",
        "lineItem/UsageAccountId",
    ] {
        assert!(names.contains(&wanted.to_owned()), "{wanted}: {names:?}");
    }
    let refused = small()
        .with_form(ExportForm::LegacyParquet)
        .with_mode(DeliveryMode::CreateNew);
    assert!(refused.check().is_err());
}
