//! What AWS checks of an export before it takes it.

use http::StatusCode;
use serde_json::json;

use super::model::{Export, KeptExport};
use super::query::Query;
use super::table::{CUR2, Table, table};
use crate::aws::cloud::Cloud;
use crate::aws::control::ApiError;
use crate::aws::delivery_runs::{Deliverer, Obstacle};

/// `ValidationException` about the request as a whole.
pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("ValidationException", message).with("Reason", "other")
}

/// `ValidationException` about one member of it.
pub(super) fn invalid_field(name: &str, message: impl Into<String>) -> ApiError {
    let message = message.into();
    ApiError::invalid(
        "ValidationException",
        format!("1 validation error detected: {message} at '{name}'"),
    )
    .with("Reason", "fieldValidationFailed")
    .with("Fields", json!([{"Name": name, "Message": message}]))
}

pub(super) fn not_found(arn: &str) -> ApiError {
    // Services of this protocol answer 400 to everything, also to this.
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "ResourceNotFoundException",
        format!("The export {arn} was not found."),
    )
    .with("ResourceId", arn)
    .with("ResourceType", "EXPORT")
}

/// The table that an export selects from.
pub(super) fn table_of(export: &Export) -> Result<&'static Table, ApiError> {
    let query = Query::parse(&export.data_query.query_statement).map_err(invalid)?;
    table(query.table).ok_or_else(|| invalid(format!("The table {} does not exist", query.table)))
}

/// Checks everything but names and quotas, and fills in the properties that are not given.
pub(super) fn complete(cloud: &Cloud, account: &str, arn: &str, mut export: Export) -> Result<Export, ApiError> {
    check_name(&export.name)?;
    if export
        .description
        .as_ref()
        .is_some_and(|text| text.chars().count() > 1024)
    {
        return Err(invalid_field(
            "export.description",
            "Member must have length less than or equal to 1024",
        ));
    }
    if export.refresh_cadence.frequency != "SYNCHRONOUS" {
        return Err(invalid_field(
            "export.refreshCadence.frequency",
            "Member must satisfy enum value set: [SYNCHRONOUS]",
        ));
    }
    let table = table_of(&export)?;
    let given = &export.data_query.table_configurations;
    if let Some(other) = given.keys().find(|name| *name != table.name) {
        return Err(invalid(format!(
            "The table configurations are for the table {other}, and the query is on {}",
            table.name
        )));
    }
    let mut properties = table
        .complete(given.get(table.name).unwrap_or(&Default::default()))
        .map_err(invalid)?;
    let columns = table.columns(&properties);
    Query::parse(&export.data_query.query_statement)
        .and_then(|query| query.check(table, &columns))
        .map_err(invalid)?;
    if table.name == CUR2 {
        properties
            .entry("BILLING_VIEW_ARN".to_owned())
            .or_insert_with(|| format!("arn:aws:billing::{account}:billingview/primary"));
    }
    export.data_query.table_configurations = [(table.name.to_owned(), properties)].into();
    check_output(&export)?;
    check_destination(cloud, account, arn, &export)?;
    export.export_arn = Some(arn.to_owned());
    Ok(export)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let good = (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if good {
        return Ok(());
    }
    Err(invalid_field(
        "export.name",
        format!("Value '{name}' must have 1 to 128 characters and satisfy the pattern [0-9A-Za-z\\-_]+"),
    ))
}

fn check_output(export: &Export) -> Result<(), ApiError> {
    let output = &export.destination().s3_output_configurations;
    let at = "export.destinationConfigurations.s3Destination.s3OutputConfigurations";
    let parquet = match (output.format.as_str(), output.compression.as_str()) {
        ("PARQUET", "PARQUET") => true,
        ("TEXT_OR_CSV", "GZIP" | "ZIP") => false,
        (format, compression) => {
            return Err(invalid_field(
                at,
                format!("The format {format} does not go with the compression {compression}"),
            ));
        }
    };
    let overwrites = match output.overwrite.as_str() {
        "OVERWRITE_REPORT" => true,
        "CREATE_NEW_REPORT" => false,
        other => return Err(invalid_field(at, format!("The overwrite setting {other} is not known"))),
    };
    match output.output_type.as_str() {
        "CUSTOM" => Ok(()),
        "ATHENA" if parquet && overwrites => Ok(()),
        "REDSHIFT" if output.compression == "GZIP" => Ok(()),
        other => Err(invalid_field(
            at,
            format!("The output type {other} does not go with the other settings"),
        )),
    }
}

fn check_destination(cloud: &Cloud, account: &str, arn: &str, export: &Export) -> Result<(), ApiError> {
    let destination = export.destination();
    let name = &destination.s3_bucket;
    let at = "export.destinationConfigurations.s3Destination.s3Bucket";
    if destination.s3_prefix.len() > 1024 {
        return Err(invalid_field(
            "export.destinationConfigurations.s3Destination.s3Prefix",
            "Member must have length less than or equal to 1024",
        ));
    }
    let Some(bucket) = cloud.buckets.get(name) else {
        return Err(invalid_field(at, format!("The S3 bucket {name} does not exist")));
    };
    if bucket.region != destination.s3_region {
        return Err(invalid_field(
            "export.destinationConfigurations.s3Destination.s3Region",
            format!("The S3 bucket {name} is not in the Region {}", destination.s3_region),
        ));
    }
    let owner = destination.s3_bucket_owner.as_deref().unwrap_or(account);
    let denied = bucket.owner != owner || obstacle(cloud, account, arn, export).is_some();
    if denied {
        return Err(invalid_field(
            at,
            format!("Data Exports has no permission to deliver to the S3 bucket {name}: check the bucket policy"),
        ));
    }
    Ok(())
}

/// What keeps the service from delivering an export.
pub(super) fn obstacle(cloud: &Cloud, account: &str, arn: &str, export: &Export) -> Option<Obstacle> {
    let deliverer = Deliverer {
        principal: "bcm-data-exports.amazonaws.com",
        on_bucket: &[],
        source_arns: &[arn.to_owned()],
    };
    cloud.delivery_obstacle(
        &deliverer,
        account,
        &export.destination().s3_bucket,
        &export.key_prefix(),
    )
}

/// What an update may not change (AWS Data Exports User Guide, `dataexports-edit-export-details`).
pub(super) fn check_update(kept: &KeptExport, new: &Export) -> Result<(), ApiError> {
    if new.name != kept.export.name {
        return Err(invalid_field("export.name", "The name of an export cannot be changed"));
    }
    if table_of(new)?.name != kept.table {
        return Err(invalid("The table of an export cannot be changed"));
    }
    let view = |export: &Export| {
        let properties = export.data_query.table_configurations.get(kept.table);
        properties.and_then(|properties| properties.get("BILLING_VIEW_ARN").cloned())
    };
    if view(new).is_some_and(|new| Some(new) != view(&kept.export)) {
        return Err(invalid("The billing view of an export cannot be changed"));
    }
    let overwrite = |export: &Export| export.destination().s3_output_configurations.overwrite == "OVERWRITE_REPORT";
    if overwrite(&kept.export) && !overwrite(new) {
        return Err(invalid(
            "An export that overwrites cannot be changed to create new reports",
        ));
    }
    Ok(())
}
