//! AWS Data Exports, `bcm-data-exports` (model version 2023-11-26): exports, their executions and their tables.
//!
//! What AWS says in words that are not published (a name that is taken, a bucket that cannot be written) is said here in
//! words of our own; codes and members are the model's. Tags are taken and not kept.

mod definition;
mod model;
mod query;
mod spec;
mod table;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::definition::{check_update, complete, invalid, invalid_field, not_found, obstacle, table_of};
use self::model::{Export, KeptExport, execution_status};
use self::table::{CUR2, Properties, TABLES, Table, table};
use super::cloud::Cloud;
use super::control::{ApiError, Call, ControlApi, Protocol, unknown_operation};
use super::cur::definition_arn;
use super::delivery_runs::Runs;

pub(crate) use self::model::Exports;
pub use self::spec::DataExportSpec;

/// Entries on a page where the request does not say. AWS's own number is not published; it is small here so that readers
/// meet a second page.
const PAGE: usize = 3;

pub(crate) struct DataExports;

#[async_trait]
impl ControlApi for DataExports {
    fn signing_name(&self) -> &'static str {
        "bcm-data-exports"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json("AWSBillingAndCostManagementDataExports")
    }

    fn only_region(&self) -> Option<&'static str> {
        Some("us-east-1")
    }

    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError> {
        let answer = match call.operation {
            "ListExports" => list_exports(call),
            "GetExport" => get_export(call),
            "CreateExport" => create_export(call),
            "UpdateExport" => update_export(call),
            "DeleteExport" => delete_export(call),
            "ListExecutions" => list_executions(call),
            "GetExecution" => get_execution(call),
            "GetTable" => get_table(call),
            "ListTables" => list_tables(call),
            _ => Err(unknown_operation()),
        };
        answer.map(|answer| answer.to_string())
    }
}

fn export_arn(account: &str, id: &str) -> String {
    format!("arn:aws:bcm-data-exports:us-east-1:{account}:export/{id}")
}

fn table_arn(account: &str, name: &str) -> String {
    format!("arn:aws:bcm-data-exports:us-east-1:{account}:table/{name}")
}

/// Brings an export's executions up to the present.
fn settle(cloud: &Cloud, account: &str, kept: &mut KeptExport) {
    let obstacle = obstacle(cloud, account, &kept.arn, &kept.export);
    kept.runs.settle(cloud.clock.now(), obstacle);
}

/// Runs `act` on the caller's export of this ARN.
fn with_export<R>(call: &Call<'_>, arn: &str, act: impl FnOnce(&mut KeptExport) -> R) -> Result<R, ApiError> {
    let account = &call.caller.account;
    call.cloud.exports.of(account, |exports| {
        let kept = exports.values_mut().find(|kept| kept.arn == arn);
        let kept = kept.ok_or_else(|| not_found(arn))?;
        settle(call.cloud, account, kept);
        Ok(act(kept))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PageRequest {
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// One page of `all`, and the token of the next. Tokens are positions, which is as opaque as callers may take them.
fn page(all: Vec<Value>, wanted: &PageRequest) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let size = wanted.max_results.unwrap_or(PAGE);
    if !(1..=300).contains(&size) {
        return Err(invalid_field("maxResults", "Member must be between 1 and 300"));
    }
    let start = match &wanted.next_token {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|position| position.parse().ok())
            .ok_or_else(|| invalid_field("nextToken", "The token is not valid"))?,
    };
    let total = all.len();
    let entries: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let end = start + entries.len();
    Ok((entries, (end < total).then(|| format!("page-{end}"))))
}

fn paged(member: &str, all: Vec<Value>, wanted: &PageRequest) -> Result<Value, ApiError> {
    let (entries, next) = page(all, wanted)?;
    let mut answer = json!({ member: entries });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn list_exports(call: &Call<'_>) -> Result<Value, ApiError> {
    call.allow("bcm-data-exports:ListExports", "*")?;
    let account = &call.caller.account;
    let all = call.cloud.exports.of(account, |exports| {
        let reference = |kept: &mut KeptExport| {
            settle(call.cloud, account, kept);
            json!({"ExportArn": kept.arn, "ExportName": kept.export.name, "ExportStatus": kept.status()})
        };
        exports.values_mut().map(reference).collect()
    });
    paged("Exports", all, &call.read()?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExportRequest {
    export_arn: String,
    execution_id: Option<String>,
}

fn get_export(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: ExportRequest = call.read()?;
    call.allow("bcm-data-exports:GetExport", &request.export_arn)?;
    with_export(
        call,
        &request.export_arn,
        |kept| json!({"Export": kept.export, "ExportStatus": kept.status()}),
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRequest {
    export: Export,
    #[serde(default)]
    resource_tags: Vec<Value>,
}

fn create_export(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: CreateRequest = call.read()?;
    let table = table_of(&request.export)?;
    let account = &call.caller.account;
    let name = request.export.name.clone();
    let arn = export_arn(account, &format!("{name}-{}", uuid::Uuid::new_v4()));
    may_write(call, "bcm-data-exports:CreateExport", &arn, &request.export, table)?;
    if !request.resource_tags.is_empty() {
        call.allow("bcm-data-exports:TagResource", &arn)?;
    }
    let export = complete(call.cloud, account, &arn, request.export)?;
    let now = call.cloud.clock.now();
    call.cloud.exports.of(account, |exports| {
        if exports.contains_key(&name) {
            return Err(invalid(format!("An export with the name {name} already exists")));
        }
        if exports.values().filter(|kept| kept.table == table.name).count() >= table.quota {
            return Err(over_quota(table));
        }
        let mut kept = KeptExport {
            arn: arn.clone(),
            table: table.name,
            export,
            created: now,
            updated: now,
            runs: Runs::starting(&arn, now),
        };
        settle(call.cloud, account, &mut kept);
        exports.insert(name, kept);
        Ok(json!({"ExportArn": arn}))
    })
}

fn over_quota(table: &Table) -> ApiError {
    let message = format!(
        "The account has {} exports of the table {} already",
        table.quota, table.name
    );
    ApiError::invalid("ServiceQuotaExceededException", message)
        .with("ResourceType", "EXPORT")
        // The quota's own code is not published.
        .with("QuotaCode", "EXPORTS_PER_TABLE")
        .with("ServiceCode", "AWSBillingAndCostManagementDataExports")
}

/// The permissions of creating and updating (AWS Data Exports User Guide, `bcm-data-exports-access`): the action on the
/// table, the export and the billing view, and for CUR 2.0 that of the legacy report besides.
fn may_write(call: &Call<'_>, action: &str, arn: &str, export: &Export, table: &Table) -> Result<(), ApiError> {
    let account = &call.caller.account;
    call.allow(action, &table_arn(account, table.name))?;
    call.allow(action, arn)?;
    let properties = export.data_query.table_configurations.get(table.name);
    if let Some(view) = properties.and_then(|properties| properties.get("BILLING_VIEW_ARN")) {
        call.allow(action, view)?;
    }
    if table.name == CUR2 {
        call.allow("cur:PutReportDefinition", &definition_arn(account, &export.name))?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRequest {
    export_arn: String,
    export: Export,
}

fn update_export(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: UpdateRequest = call.read()?;
    let arn = request.export_arn;
    let table = table_of(&request.export)?;
    may_write(call, "bcm-data-exports:UpdateExport", &arn, &request.export, table)?;
    with_export(call, &arn, |kept| {
        check_update(kept, &request.export)?;
        kept.export = complete(call.cloud, &call.caller.account, &arn, request.export)?;
        kept.updated = call.cloud.clock.now();
        Ok(json!({"ExportArn": arn}))
    })?
}

fn delete_export(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: ExportRequest = call.read()?;
    let arn = request.export_arn;
    call.allow("bcm-data-exports:DeleteExport", &arn)?;
    call.cloud.exports.of(&call.caller.account, |exports| {
        let before = exports.len();
        exports.retain(|_, kept| kept.arn != arn);
        if exports.len() == before {
            return Err(not_found(&arn));
        }
        Ok(json!({"ExportArn": arn}))
    })
}

fn list_executions(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: ExportRequest = call.read()?;
    call.allow("bcm-data-exports:ListExecutions", &request.export_arn)?;
    let now = call.cloud.clock.now();
    let all = with_export(call, &request.export_arn, |kept| {
        kept.runs
            .newest_first()
            .map(|run| json!({"ExecutionId": run.id, "ExecutionStatus": execution_status(run, now)}))
            .collect()
    })?;
    paged("Executions", all, &call.read()?)
}

fn get_execution(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: ExportRequest = call.read()?;
    call.allow("bcm-data-exports:GetExecution", &request.export_arn)?;
    let now = call.cloud.clock.now();
    let id = request.execution_id.unwrap_or_default();
    with_export(call, &request.export_arn, |kept| {
        let run = kept.runs.newest_first().find(|run| run.id == id);
        let run = run.ok_or_else(|| not_found(&id).with("ResourceType", "EXECUTION"))?;
        Ok(json!({"ExecutionId": id, "Export": kept.export, "ExecutionStatus": execution_status(run, now)}))
    })?
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableRequest {
    table_name: String,
    #[serde(default)]
    table_properties: Properties,
}

fn get_table(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: TableRequest = call.read()?;
    let name = &request.table_name;
    call.allow("bcm-data-exports:GetTable", &table_arn(&call.caller.account, name))?;
    let table = table(name).ok_or_else(|| invalid(format!("The table {name} does not exist")))?;
    let properties = table.complete(&request.table_properties).map_err(invalid)?;
    let schema: Vec<Value> = table
        .columns(&properties)
        .into_iter()
        .map(|(name, kind)| json!({"Name": name, "Type": kind, "Description": ""}))
        .collect();
    Ok(json!({
        "TableName": table.name,
        "Description": table.description,
        "TableProperties": properties,
        "Schema": schema,
    }))
}

fn list_tables(call: &Call<'_>) -> Result<Value, ApiError> {
    call.allow("bcm-data-exports:ListTables", "*")?;
    let describe = |table: &Table| {
        let properties: Vec<Value> = table
            .properties
            .iter()
            .map(|property| {
                json!({
                    "Name": property.name,
                    "ValidValues": property.values,
                    "DefaultValue": property.values.first(),
                    "Description": property.description,
                })
            })
            .collect();
        json!({"TableName": table.name, "Description": table.description, "TableProperties": properties})
    };
    paged("Tables", TABLES.iter().map(describe).collect(), &call.read()?)
}
