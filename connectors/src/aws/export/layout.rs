//! Where AWS Data Exports puts things below a location (user guide, "Understanding export delivery"). Pure functions.

use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::ExportLocation;

use super::ListedObject;

/// The partition column of CUR 2.0 folders; FOCUS exports have been seen with it in lower case.
const PARTITION: &str = "BILLING_PERIOD";

/// The prefix of the manifests of all periods.
pub(super) fn metadata_prefix(location: &ExportLocation) -> String {
    format!("{}/metadata/", location.base_key())
}

/// The folder name of a period as CUR 2.0 has it.
pub(super) fn partition_folder(period: BillingPeriod) -> String {
    format!("{PARTITION}={period}")
}

/// Where AWS puts the latest manifest of the partition `folder`, in overwrite and in create-new mode.
pub(super) fn manifest_key(location: &ExportLocation, folder: &str) -> String {
    format!(
        "{}{folder}/{}-Manifest.json",
        metadata_prefix(location),
        location.export_name
    )
}

/// The period of a folder's key such as `p/e/metadata/BILLING_PERIOD=2026-07/`.
pub(super) fn period_of_folder(folder: &str) -> Option<BillingPeriod> {
    let name = folder.strip_suffix('/')?.rsplit('/').next()?;
    let (column, month) = name.split_once('=')?;
    if !column.eq_ignore_ascii_case(PARTITION) {
        return None;
    }
    month.parse().ok()
}

/// The manifest among the objects directly below `folder`: the one with the export's name, else the newest.
pub(super) fn choose_manifest(location: &ExportLocation, folder: &str, objects: Vec<ListedObject>) -> Option<String> {
    let expected = format!("{folder}{}-Manifest.json", location.export_name);
    let mut manifests: Vec<ListedObject> = objects
        .into_iter()
        .filter(|object| object.key.ends_with("Manifest.json"))
        .collect();
    if manifests.iter().any(|object| object.key == expected) {
        return Some(expected);
    }
    manifests.sort_by(|a, b| (a.last_modified, &a.key).cmp(&(b.last_modified, &b.key)));
    manifests.pop().map(|object| object.key)
}

/// Refuses locations that name nothing or that step out of their root.
pub(super) fn check(location: &ExportLocation) -> Result<()> {
    let bad = |what: &str| {
        Err(Error::new(
            ErrorKind::BadValue,
            format!("{} is not the location of an export: {what}", location.uri()),
        )
        .with_hint("Give bucket, prefix and export name as the export's settings in AWS show them."))
    };
    if location.export_name.is_empty() || location.export_name.contains('/') {
        return bad("the export name is empty or has a slash");
    }
    let base = location.base_key();
    if base.starts_with('/') {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!("{} is below a prefix that begins with a slash", location.uri()),
        )
        .with_hint(
            "Such keys cannot be read: change the export's prefix in AWS, and connect it when it has delivered there.",
        ));
    }
    if base.split('/').any(|segment| matches!(segment, "." | "..")) {
        return bad("prefix and export name may not have segments \".\" or \"..\"");
    }
    if base.chars().any(char::is_control) {
        return bad("it has control characters");
    }
    Ok(())
}
