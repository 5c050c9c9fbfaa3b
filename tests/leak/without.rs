//! The export without the rows of some accounts: every delivered file rewritten, and connected from a folder.

use std::path::Path;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use farthing_tests::bench::Site;
use farthing_tests::client::Client;
use farthing_tests::cloud::{Cloud, EXPORT, PREFIX};
use farthing_tests::files;
use tempfile::TempDir;

/// Whether each row belongs to a visible account: its usage account, or the payer where it has none.
fn mask(batch: &RecordBatch, visible: &[String]) -> BooleanArray {
    let text = |name: &str| cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    let (usage, payer) = match batch.column_by_name("SubAccountId") {
        Some(_) => (text("SubAccountId"), text("BillingAccountId")),
        None => (text("line_item_usage_account_id"), text("bill_payer_account_id")),
    };
    let (usage, payer) = (usage.as_string::<i32>(), payer.as_string::<i32>());
    let owners = usage
        .iter()
        .zip(payer)
        .map(|(usage, payer)| usage.filter(|id| !id.is_empty()).or(payer));
    owners
        .map(|owner| Some(owner.is_some_and(|id| visible.iter().any(|known| known == id))))
        .collect()
}

/// Writes the export with the visible rows alone. The manifests are the delivered ones.
pub fn copy(cloud: &Cloud, visible: &[String]) -> TempDir {
    let folder = tempfile::Builder::new().prefix("farthing-leak-").tempdir().unwrap();
    let (mut before, mut after) = (0, 0);
    // Data before manifests, as a delivery must not be newer than its manifest.
    for manifests in [false, true] {
        for (key, bytes) in cloud
            .sample
            .objects
            .iter()
            .filter(|(key, _)| key.ends_with("-Manifest.json") == manifests)
        {
            let path = folder.path().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if manifests {
                std::fs::write(path, bytes).unwrap();
                continue;
            }
            let (schema, batches) = files::read(bytes);
            let kept: Vec<RecordBatch> = batches
                .iter()
                .map(|batch| filter_record_batch(batch, &mask(batch, visible)).unwrap())
                .collect();
            before += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            after += kept.iter().map(RecordBatch::num_rows).sum::<usize>();
            std::fs::write(path, files::write(&schema, &kept)).unwrap();
        }
    }
    assert!(0 < after && after < before, "{after} of {before} rows are visible");
    folder
}

/// Connects the copy, with every account of the organisation.
pub async fn connect(site: &Site, cloud: &Cloud, folder: &Path) {
    let mut admin = site.admin();
    let location = format!("file://{}/{PREFIX}/{EXPORT}", folder.display());
    let payer = cloud.sample.payer();
    let mut calls = vec![format!(
        "CALL connect_aws_root(location => '{location}', account_id => '{payer}')"
    )];
    calls.extend(
        cloud
            .sample
            .linked()
            .iter()
            .map(|id| format!("CALL connect_aws_linked(account_id => '{id}')")),
    );
    for call in calls {
        admin
            .run(&call)
            .await
            .unwrap_or_else(|refusal| panic!("{call}\n{refusal}"));
    }
}
