//! Where AWS puts things below a location. Pure functions.
//!
//! AWS Data Exports: user guide, "Understanding export delivery". Legacy reports: the same guide, "Understanding report
//! versions"; what real buckets hold differs from it in two points. The end in a period's folder is exclusive, and months
//! of Athena folders have no leading zero.

use chrono::NaiveDate;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{DeliveryLayout, ExportLocation};

use super::ListedObject;

/// The partition column of CUR 2.0 folders; FOCUS exports have been seen with it in lower case.
const PARTITION: &str = "BILLING_PERIOD";
/// The partition column of months in carbon exports.
const USAGE_PERIOD: &str = "usage_period";
/// The partition column of days in exports of recommendations.
const DATE: &str = "date";
/// The partition columns above the months of carbon exports: as documented, and as seen.
const MODELS: [&str; 2] = ["model_version", "carbon_model_version"];

/// The layouts in which AWS writes manifests, the likeliest first.
pub(super) const WITH_MANIFESTS: [DeliveryLayout; 3] = [
    DeliveryLayout::DataExports,
    DeliveryLayout::LegacyReport,
    DeliveryLayout::LegacyReportInPrefix,
];

/// What the folder of a partition stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Partition {
    /// A month.
    Month(BillingPeriod),
    /// A day of the month: recommendations, of which each day has all.
    Day(BillingPeriod),
    /// A version of the carbon model, with a folder for every month.
    Model,
}

/// The prefix below which the folders of periods lie: those of all manifests of an export, or everything of a legacy report.
/// Empty or with a slash at the end.
pub(super) fn periods_prefix(location: &ExportLocation) -> String {
    match location.layout {
        DeliveryLayout::DataExports => format!("{}/", location.key_below("metadata")),
        DeliveryLayout::LegacyReport | DeliveryLayout::LegacyReportInPrefix | DeliveryLayout::FilesAlone => {
            location.key_below("")
        }
    }
}

/// Where AWS puts the latest manifest of a period, the likeliest place first. Nothing where listing alone tells.
pub(super) fn manifest_keys(location: &ExportLocation, period: BillingPeriod) -> Vec<String> {
    let name = &location.export_name;
    let below = |key: String| location.key_below(&key);
    let (from, to) = (period.start(), period.end());
    let in_period = || {
        below(format!(
            "{}-{}/{name}-Manifest.json",
            from.format("%Y%m%d"),
            to.format("%Y%m%d")
        ))
    };
    match location.layout {
        DeliveryLayout::DataExports => vec![below(format!("metadata/{PARTITION}={period}/{name}-Manifest.json"))],
        DeliveryLayout::LegacyReport => vec![
            in_period(),
            below(format!(
                "{name}/year={}/month={}/{name}-Manifest.json",
                from.format("%Y"),
                from.format("%-m")
            )),
        ],
        DeliveryLayout::LegacyReportInPrefix => vec![in_period()],
        DeliveryLayout::FilesAlone => Vec::new(),
    }
}

/// Where AWS puts the manifest of one execution, in the execution's folder.
pub(super) fn manifest_in(location: &ExportLocation, folder: &str) -> String {
    format!("{folder}{}-Manifest.json", location.export_name)
}

/// The prefix of the folders `year=YYYY/month=M/` of a legacy report with Athena integration.
pub(super) fn athena_prefix(location: &ExportLocation) -> String {
    format!("{}/", location.key_below(&location.export_name))
}

/// What a folder's key such as `p/e/metadata/BILLING_PERIOD=2026-07/`, or `p/e/20260701-20260801/` of a legacy report, says.
pub(super) fn partition_of_folder(layout: DeliveryLayout, folder: &str) -> Option<Partition> {
    let name = folder_name(folder)?;
    match layout {
        DeliveryLayout::DataExports => {
            let (column, value) = name.split_once('=')?;
            let is = |known: &str| column.eq_ignore_ascii_case(known);
            if is(PARTITION) || is(USAGE_PERIOD) {
                return value.parse().ok().map(Partition::Month);
            }
            if is(DATE) {
                let day = NaiveDate::parse_from_str(value, "%Y-%m-%d").ok()?;
                return day.format("%Y-%m").to_string().parse().ok().map(Partition::Day);
            }
            MODELS.into_iter().any(is).then_some(Partition::Model)
        }
        DeliveryLayout::LegacyReport | DeliveryLayout::LegacyReportInPrefix => {
            period_of_dates(name).map(Partition::Month)
        }
        DeliveryLayout::FilesAlone => period_of_any_name(name).map(Partition::Month),
    }
}

/// The month of `20260701-20260801`. The end is exclusive in real buckets and inclusive in the guide.
fn period_of_dates(name: &str) -> Option<BillingPeriod> {
    let (start, end) = name.split_once('-')?;
    if !is_date(start) || !is_date(end) {
        return None;
    }
    format!("{}-{}", start.get(..4)?, start.get(4..6)?).parse().ok()
}

/// The month in a folder's name, however the folder is called: `2026-07`, `<column>=2026-07`, `20260701-20260801`.
fn period_of_any_name(name: &str) -> Option<BillingPeriod> {
    let value = name.split_once('=').map_or(name, |(_, value)| value);
    value.parse().ok().or_else(|| period_of_dates(name))
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

/// The version of a model folder such as `p/e/metadata/model_version=v3.0.0/` in an order in which `v10` follows `v9`.
pub(super) fn model_order(folder: &str) -> Vec<u64> {
    let version = folder_name(folder).and_then(|name| name.split_once('='));
    let numbers = version
        .map_or("", |(_, version)| version)
        .split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// The manifest among the objects directly below `folder`: the one with the export's name, else the newest. Where several
/// reports may lie in one folder, only the name counts.
pub(super) fn choose_manifest<'a>(
    location: &ExportLocation,
    folder: &str,
    objects: impl IntoIterator<Item = &'a ListedObject>,
) -> Option<&'a ListedObject> {
    let expected = format!("{folder}{}-Manifest.json", location.export_name);
    let by_name = location.layout == DeliveryLayout::LegacyReportInPrefix;
    objects
        .into_iter()
        // The manifest for Redshift lies beside that of legacy CSV reports.
        .filter(|object| object.key.ends_with("Manifest.json") && !object.key.ends_with("RedshiftManifest.json"))
        .filter(|object| !by_name || object.key == expected)
        .max_by_key(|object| (object.key == expected, object.last_modified, &object.key))
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
