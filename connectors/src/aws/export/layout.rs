//! Where AWS puts things below a location. Pure functions.
//!
//! AWS Data Exports: user guide, "Understanding export delivery". Legacy reports: the same guide, "Understanding report
//! versions"; what real buckets hold differs from it in two points. The end in a period's folder is exclusive, and months
//! of Athena folders have no leading zero.

use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{DeliveryLayout, ExportLocation};

use super::ListedObject;

/// The partition column of CUR 2.0 folders; FOCUS exports have been seen with it in lower case.
const PARTITION: &str = "BILLING_PERIOD";

/// The prefix below which the folders of periods lie: those of all manifests of an export, or everything of a legacy report.
pub(super) fn periods_prefix(location: &ExportLocation) -> String {
    match location.layout {
        DeliveryLayout::DataExports => format!("{}/metadata/", location.base_key()),
        DeliveryLayout::LegacyReport => format!("{}/", location.base_key()),
    }
}

/// Where AWS puts the latest manifest of a period, the likeliest place first.
pub(super) fn manifest_keys(location: &ExportLocation, period: BillingPeriod) -> Vec<String> {
    let (base, name) = (location.base_key(), &location.export_name);
    match location.layout {
        DeliveryLayout::DataExports => vec![format!("{base}/metadata/{PARTITION}={period}/{name}-Manifest.json")],
        DeliveryLayout::LegacyReport => {
            let (from, to) = (period.start(), period.end());
            vec![
                format!(
                    "{base}/{}-{}/{name}-Manifest.json",
                    from.format("%Y%m%d"),
                    to.format("%Y%m%d")
                ),
                format!(
                    "{base}/{name}/year={}/month={}/{name}-Manifest.json",
                    from.format("%Y"),
                    from.format("%-m")
                ),
            ]
        }
    }
}

/// Where AWS puts the manifest of one execution, in the execution's folder.
pub(super) fn manifest_in(location: &ExportLocation, folder: &str) -> String {
    format!("{folder}{}-Manifest.json", location.export_name)
}

/// The prefix of the folders `year=YYYY/month=M/` of a legacy report with Athena integration.
pub(super) fn athena_prefix(location: &ExportLocation) -> String {
    format!("{}/{}/", location.base_key(), location.export_name)
}

/// The period of a folder's key such as `p/e/metadata/BILLING_PERIOD=2026-07/`, or `p/e/20260701-20260801/` of a legacy
/// report.
pub(super) fn period_of_folder(layout: DeliveryLayout, folder: &str) -> Option<BillingPeriod> {
    let name = folder_name(folder)?;
    match layout {
        DeliveryLayout::DataExports => {
            let (column, month) = name.split_once('=')?;
            column.eq_ignore_ascii_case(PARTITION).then(|| month.parse().ok())?
        }
        DeliveryLayout::LegacyReport => {
            let (start, end) = name.split_once('-')?;
            if !is_date(start) || !is_date(end) {
                return None;
            }
            format!("{}-{}", start.get(..4)?, start.get(4..6)?).parse().ok()
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is a folder's key such as `p/e/e/year=2026/`.
pub(super) fn is_year_folder(folder: &str) -> bool {
    folder_name(folder).is_some_and(|name| name.starts_with("year="))
}

/// The period of a folder's key such as `p/e/e/year=2026/month=7/`.
pub(super) fn period_of_athena_folder(folder: &str) -> Option<BillingPeriod> {
    let (year, month) = folder.strip_suffix('/')?.rsplit_once('/')?;
    let year = year.rsplit('/').next()?.strip_prefix("year=")?;
    let month: u32 = month.strip_prefix("month=")?.parse().ok()?;
    format!("{year}-{month:02}").parse().ok()
}

fn folder_name(folder: &str) -> Option<&str> {
    folder.strip_suffix('/')?.rsplit('/').next()
}

/// The manifest among the objects directly below `folder`: the one with the export's name, else the newest.
pub(super) fn choose_manifest(location: &ExportLocation, folder: &str, objects: Vec<ListedObject>) -> Option<String> {
    let expected = format!("{folder}{}-Manifest.json", location.export_name);
    let mut manifests: Vec<ListedObject> = objects
        .into_iter()
        // The manifest for Redshift lies beside that of legacy CSV reports.
        .filter(|object| object.key.ends_with("Manifest.json") && !object.key.ends_with("RedshiftManifest.json"))
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
