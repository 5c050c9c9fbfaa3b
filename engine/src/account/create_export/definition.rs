//! What AWS is asked to deliver.
//!
//! CUR 2.0 and FOCUS: all columns of the table as `GetTable` names them, Parquet, overwritten in place. Sources: the Data
//! Exports user guide, "Creating a standard data export", and the models of bcm-data-exports 2023-11-26 and cur 2017-01-06.

use std::collections::BTreeMap;

use super::CreateExport;
use crate::account::policy::Kind;
use crate::account::run::{Action, Status, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::port::{Destination, ExportDefinition, ExportService, PresentExport};

/// The IAM actions that creating it takes.
pub(super) fn creating_actions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Cur2 => &["bcm-data-exports:CreateExport", "cur:PutReportDefinition"],
        Kind::Focus => &["bcm-data-exports:CreateExport"],
        Kind::Cur => &["cur:PutReportDefinition"],
    }
}

/// The table that the settings belong to. A legacy report has none in AWS; its settings are those of CUR 2.0.
fn settings_table(kind: Kind) -> &'static str {
    kind.table().unwrap_or("COST_AND_USAGE_REPORT")
}

/// The rules of AWS that would otherwise come back as a `ValidationException`.
pub(super) fn check(request: &CreateExport) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if request.kind != Kind::Cur && !(request.export_name.len() <= 128 && request.export_name.chars().all(allowed)) {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!("\"{}\" cannot be the name of an export", request.export_name),
        )
        .with_hint("AWS allows 1 to 128 characters of A-Z, a-z, 0-9, - and _."));
    }
    if request.prefix.trim_matches('/').is_empty() {
        return Err(Error::new(ErrorKind::BadValue, "the prefix is missing")
            .with_hint("Give prefix => 'exports', or another path in the bucket; AWS wants one."));
    }
    Ok(())
}

/// The configuration of the table.
pub(super) fn settings(request: &CreateExport) -> BTreeMap<String, String> {
    let flag = |on: bool| if on { "TRUE" } else { "FALSE" };
    let granularity = if request.hourly { "HOURLY" } else { "DAILY" };
    let settings: &[(&str, &str)] = match request.kind {
        Kind::Focus => &[("TIME_GRANULARITY", granularity)],
        Kind::Cur2 | Kind::Cur => &[
            ("TIME_GRANULARITY", granularity),
            ("INCLUDE_RESOURCES", "TRUE"),
            ("INCLUDE_SPLIT_COST_ALLOCATION_DATA", flag(request.split_cost)),
            ("INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY", "FALSE"),
        ],
    };
    settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The columns of the table by the dictionary, where AWS may not be asked: without those that only some configurations or
/// versions have.
pub(super) fn known_columns(request: &CreateExport) -> Vec<String> {
    // Columns that a configuration of the table switches on, or that not every account is offered.
    let by_request = |name: &str| {
        [
            "capacity_reservation_",
            "line_item_iam_principal",
            "line_item_user_identifier",
        ]
        .iter()
        .any(|start| name.starts_with(start))
            || ["tags", "x_CostCategories", "x_UsageType"].contains(&name)
    };
    request
        .export_kind()
        .format()
        .columns()
        .filter(|name| !by_request(name) && (request.split_cost || !name.starts_with("split_line_item_")))
        .map(str::to_owned)
        .collect()
}

/// What the run says where AWS refused to name the columns.
pub(super) fn columns_step(table: &str, refused: &Error) -> Step {
    Step::new(Action::Check, format!("columns of {table}"), Status::Warning)
        .detail(format!(
            "{} The export gets the columns that Farthing knows, and not newer ones. {}",
            refused.message(),
            refused.hint().unwrap_or_default()
        ))
        .evidence(serde_json::json!({ "action": "bcm-data-exports:GetTable", "remedy": refused.hint() }))
}

/// The definition with all columns of the table.
pub(super) fn define(
    request: &CreateExport,
    settings: BTreeMap<String, String>,
    columns: &[String],
    region: &str,
) -> ExportDefinition {
    let table = settings_table(request.kind);
    let (service, query, format, output_type) = match request.kind {
        Kind::Cur => (ExportService::Cur, String::new(), "Parquet", ""),
        _ => (
            ExportService::DataExports,
            format!("SELECT {} FROM {table}", columns.join(", ")),
            "PARQUET",
            "CUSTOM",
        ),
    };
    ExportDefinition {
        service,
        name: request.export_name.clone(),
        description: "Created by Farthing".to_owned(),
        query,
        table_configurations: BTreeMap::from([(table.to_owned(), settings)]),
        destination: Destination {
            bucket: request.bucket.clone(),
            bucket_owner: None,
            prefix: request.prefix.trim_matches('/').to_owned(),
            region: region.to_owned(),
            format: format.to_owned(),
            compression: format.to_owned(),
            overwrite: "OVERWRITE_REPORT".to_owned(),
            output_type: output_type.to_owned(),
            artifacts: Vec::new(),
        },
    }
}

/// That the export of this name is the one that is asked for. Its name is taken, so another one cannot be made.
pub(super) fn check_same(request: &CreateExport, present: &PresentExport) -> Result<()> {
    let (is, wanted) = (&present.definition, &request);
    let mut differs = Vec::new();
    let mut compare = |what: &str, is: &str, wanted: &str| {
        if !is.eq_ignore_ascii_case(wanted) {
            differs.push(format!("{what} is {is}, not {wanted}"));
        }
    };
    compare("bucket", &is.destination.bucket, &wanted.bucket);
    compare(
        "prefix",
        is.destination.prefix.trim_matches('/'),
        wanted.prefix.trim_matches('/'),
    );
    compare("format", &is.destination.format, "PARQUET");
    for (table, settings) in &is.table_configurations {
        compare("table", table, settings_table(wanted.kind));
        for (key, value) in self::settings(request) {
            // What AWS leaves out of an answer has its default, which is not known here.
            if let Some(is) = settings.get(&key) {
                compare(&key, is, &value);
            }
        }
    }
    if differs.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Duplicate,
        format!(
            "the account has another export {}: {}",
            request.export_name,
            differs.join("; ")
        ),
    )
    .with_hint("Give another export_name and prefix, or connect the present one with connect_aws_root."))
}
