//! Data files without manifests: copies of the data alone, as replication rules and people make them.
//!
//! Listing is then the only source of "which files". A period is the folder that names its month, whatever wrote it:
//! `BILLING_PERIOD=2026-07`, `2026-07`, `20260701-20260801`, `year=2026/month=7`. Where it holds folders of several
//! deliveries and no file of its own, the folder that was written last counts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use farthing_engine::error::Result;
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{DeliveredManifest, ExportLocation, Manifest, ManifestAnswer};
use sha2::{Digest, Sha256};

use super::layout::{self, Partition};
use super::{DeliveryRoot, ListedObject};

/// Ends of names that are data. Whatever else lies beside it is none.
const DATA: [&str; 4] = [".parquet", ".csv", ".csv.gz", ".csv.zip"];

/// The folder of each period that is called as one.
async fn folders(root: &dyn DeliveryRoot, location: &ExportLocation) -> Result<BTreeMap<BillingPeriod, String>> {
    let parents = [
        format!("{}/", location.key_below("data")),
        layout::periods_prefix(location),
        layout::athena_prefix(location),
    ];
    for parent in parents {
        let listed = root.list(&parent).await?.folders;
        let mut found = BTreeMap::new();
        for folder in listed {
            if layout::is_year_folder(&folder) {
                for month in root.list(&folder).await?.folders {
                    if let Some(period) = layout::period_of_athena_folder(&month) {
                        found.insert(period, month);
                    }
                }
            } else if let Some(Partition::Month(period)) = layout::partition_of_folder(location.layout, &folder) {
                found.insert(period, folder);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(BTreeMap::new())
}

/// The periods whose folders hold data.
pub(super) async fn periods(root: &dyn DeliveryRoot, location: &ExportLocation) -> Result<Vec<BillingPeriod>> {
    let folders = folders(root, location).await?;
    let mut periods = Vec::with_capacity(folders.len());
    for (period, folder) in folders {
        if !data_files(root, &folder).await?.is_empty() {
            periods.push(period);
        }
    }
    Ok(periods)
}

/// The files of a period as a manifest would name them. Its ETag is made of theirs; it is as old as the newest of them.
pub(super) async fn manifest(
    root: &dyn DeliveryRoot,
    location: &ExportLocation,
    period: BillingPeriod,
    known_e_tag: Option<&str>,
) -> Result<ManifestAnswer> {
    let Some(folder) = folders(root, location).await?.remove(&period) else {
        return Ok(ManifestAnswer::Absent);
    };
    let files = data_files(root, &folder).await?;
    if files.is_empty() {
        return Ok(ManifestAnswer::Absent);
    }
    let e_tag = e_tag_of(&files);
    if known_e_tag == Some(e_tag.as_str()) {
        return Ok(ManifestAnswer::Unchanged);
    }
    Ok(ManifestAnswer::Found(Box::new(DeliveredManifest {
        last_modified: newest(&files),
        manifest: Manifest {
            execution_id: None,
            files: files.into_iter().map(|file| file.key).collect(),
            foreign_bucket: None,
            columns: Vec::new(),
            listed: true,
        },
        key: folder,
        e_tag,
        kms_key: None,
    })))
}

/// The data files of a period's folder, in order of their keys. Empty files are left by deliveries that needed fewer.
async fn data_files(root: &dyn DeliveryRoot, folder: &str) -> Result<Vec<ListedObject>> {
    let listing = root.list(folder).await?;
    let mut files = only_data(listing.objects);
    if files.is_empty() {
        let mut deliveries = Vec::new();
        for delivery in &listing.folders {
            deliveries.push(only_data(root.list(delivery).await?.objects));
        }
        files = deliveries
            .into_iter()
            .max_by_key(|files| newest(files))
            .unwrap_or_default();
    }
    files.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(files)
}

fn only_data(objects: Vec<ListedObject>) -> Vec<ListedObject> {
    let is_data = |object: &ListedObject| {
        let name = object.key.to_ascii_lowercase();
        object.size > 0 && DATA.iter().any(|end| name.ends_with(end))
    };
    objects.into_iter().filter(is_data).collect()
}

fn newest(files: &[ListedObject]) -> DateTime<Utc> {
    files.iter().map(|file| file.last_modified).max().unwrap_or_default()
}

fn e_tag_of(files: &[ListedObject]) -> String {
    let mut digest = Sha256::new();
    for file in files {
        let e_tag = file.e_tag.as_deref().unwrap_or_default();
        digest.update(format!("{}\n{e_tag}\n{}\n", file.key, file.size));
    }
    let mut text = String::from("listing-");
    for byte in digest.finalize().iter().take(16) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
