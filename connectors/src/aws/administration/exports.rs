//! AWS Data Exports (`bcm-data-exports`).

use std::collections::{BTreeMap, HashMap};

use aws_sdk_bcmdataexports::Client;
use aws_sdk_bcmdataexports::operation::create_export::CreateExportError;
use aws_sdk_bcmdataexports::operation::get_export::GetExportOutput;
use aws_sdk_bcmdataexports::operation::update_export::UpdateExportError;
use aws_sdk_bcmdataexports::types::error::ValidationException;
use aws_sdk_bcmdataexports::types::{
    DataQuery, DestinationConfigurations, Export, ExportStatus, FrequencyOption, RefreshCadence, S3Destination,
    S3OutputConfigurations, S3OutputType,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use chrono::{DateTime, Utc};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::AccountId;
use farthing_engine::port::{
    AccessKey, Destination, Execution, ExportDefinition, ExportHealth, ExportService, PresentExport,
};

use crate::aws::AwsClients;
use crate::aws::error::{AwsCall, Failure};

/// Executions that are asked for; an export has a few a day.
const EXECUTIONS: i32 = 100;
const ANY_EXPORT: &str = "arn:aws:bcm-data-exports:us-east-1:*:export/*";

fn list_call() -> AwsCall {
    AwsCall::on("bcm-data-exports:ListExports", "*", "the exports of the account")
}

fn get_call(arn: &str) -> AwsCall {
    AwsCall::on("bcm-data-exports:GetExport", arn, format!("export {arn}"))
        .granted_on([any_export_beside(arn)])
        .advising("It may have been deleted meanwhile: list the exports again.")
}

/// The ARN pattern of all exports of the account that `arn` is of.
fn any_export_beside(arn: &str) -> String {
    match arn.split_once(":export/") {
        Some((account, _)) => format!("{account}:export/*"),
        None => ANY_EXPORT.to_owned(),
    }
}

pub(super) async fn list(clients: &AwsClients, key: &AccessKey) -> Result<Vec<PresentExport>> {
    let client = clients.data_exports(key);
    let arns = {
        let client = client.clone();
        clients.on_io(async move { export_arns(&client).await }).await?
    };
    let arns = arns.map_err(|failure| failure.into_error(&list_call()))?;
    let mut exports = Vec::with_capacity(arns.len());
    for (arn, _) in arns {
        let request = client.get_export().export_arn(&arn);
        let answer = clients
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?;
        match answer {
            Ok(answer) => exports.push(present_export(&arn, answer)?),
            // Deleted since it was listed.
            Err(failure) if failure.code.as_deref() == Some("ResourceNotFoundException") => {}
            Err(failure) => return Err(failure.into_error(&get_call(&arn))),
        }
    }
    Ok(exports)
}

/// ARN and name of each export, from all pages.
async fn export_arns(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let mut references = client.list_exports().into_paginator().items().send();
    let mut arns = Vec::new();
    while let Some(reference) = references.next().await {
        let reference = reference.map_err(|error| Failure::of_sdk(&error))?;
        arns.push((reference.export_arn, reference.export_name));
    }
    Ok(arns)
}

fn present_export(arn: &str, answer: GetExportOutput) -> Result<PresentExport> {
    let incomplete = || {
        Error::new(
            ErrorKind::AwsUnreachable,
            format!("AWS answered bcm-data-exports:GetExport on {arn} without a query or a destination"),
        )
    };
    let export = answer.export.ok_or_else(incomplete)?;
    let query = export.data_query.ok_or_else(incomplete)?;
    let place = export
        .destination_configurations
        .and_then(|destinations| destinations.s3_destination)
        .ok_or_else(incomplete)?;
    let output = place.s3_output_configurations.ok_or_else(incomplete)?;
    let account = arn.split(':').nth(4).unwrap_or_default();
    let owner = place.s3_bucket_owner.filter(|owner| owner != account);
    let configurations = query.table_configurations.unwrap_or_default();
    Ok(PresentExport {
        arn: arn.to_owned(),
        definition: ExportDefinition {
            service: ExportService::DataExports,
            name: export.name,
            description: export.description.unwrap_or_default(),
            query: query.query_statement,
            table_configurations: configurations
                .into_iter()
                .map(|(table, properties)| (table, properties.into_iter().collect()))
                .collect(),
            destination: Destination {
                bucket: place.s3_bucket,
                bucket_owner: owner.map(|owner| owner.parse::<AccountId>()).transpose()?,
                prefix: place.s3_prefix,
                region: place.s3_region,
                format: output.format.as_str().to_owned(),
                compression: output.compression.as_str().to_owned(),
                overwrite: output.overwrite.as_str().to_owned(),
                output_type: output.output_type.as_str().to_owned(),
                artifacts: Vec::new(),
            },
        },
        health: answer.export_status.map(health).unwrap_or_default(),
    })
}

fn health(status: ExportStatus) -> ExportHealth {
    ExportHealth {
        status: status.status_code.map(|code| code.as_str().to_owned()),
        reason: status.status_reason.map(|reason| reason.as_str().to_owned()),
        created_at: status.created_at.and_then(time),
        last_delivery: status.last_refreshed_at.and_then(time),
    }
}

/// An SDK timestamp; `None` outside the years that chrono knows.
fn time(stamp: aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(stamp.secs(), stamp.subsec_nanos())
}

pub(super) async fn executions(clients: &AwsClients, key: &AccessKey, export_arn: &str) -> Result<Vec<Execution>> {
    let call = AwsCall::on(
        "bcm-data-exports:ListExecutions",
        export_arn,
        format!("export {export_arn}"),
    )
    .granted_on([any_export_beside(export_arn)])
    .advising("It may have been deleted, or belong to another account: list the exports.");
    let request = clients
        .data_exports(key)
        .list_executions()
        .export_arn(export_arn)
        .max_results(EXECUTIONS);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_error(&call))?;
    let mut executions: Vec<Execution> = answer
        .executions
        .unwrap_or_default()
        .into_iter()
        .filter_map(|reference| {
            let status = reference.execution_status?;
            Some(Execution {
                id: reference.execution_id,
                status: status.status_code?.as_str().to_owned(),
                reason: status.status_reason.map(|reason| reason.as_str().to_owned()),
                created_at: status.created_at.and_then(time),
                completed_at: status.completed_at.and_then(time),
            })
        })
        .collect();
    // AWS promises no order.
    executions.sort_by_key(|execution| std::cmp::Reverse(execution.created_at));
    Ok(executions)
}

pub(super) async fn table_columns(
    clients: &AwsClients,
    key: &AccessKey,
    table: &str,
    configuration: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let arn = format!("arn:aws:bcm-data-exports:us-east-1:*:table/{table}");
    let call = AwsCall::on(
        "bcm-data-exports:GetTable",
        arn,
        format!("the table {table} with this configuration"),
    )
    .advising("Check the table's name and the names and values of its configuration.");
    let properties: HashMap<String, String> = configuration.clone().into_iter().collect();
    let request = clients
        .data_exports(key)
        .get_table()
        .table_name(table)
        .set_table_properties(Some(properties));
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_error(&call))?;
    let schema = answer.schema.unwrap_or_default();
    Ok(schema.into_iter().filter_map(|column| column.name).collect())
}

pub(super) async fn create(clients: &AwsClients, key: &AccessKey, definition: &ExportDefinition) -> Result<String> {
    let account = clients.identity(key).await?.account;
    let call = write_call("bcm-data-exports:CreateExport", definition, account.as_str());
    let export = sdk_export(definition).map_err(|error| Error::defect(error.to_string()))?;
    let client = clients.data_exports(key);
    let request = client.create_export().export(export);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| create_failure(&error)) })
        .await?;
    let failure = match answer {
        Ok(answer) => {
            return answer.export_arn.ok_or_else(|| {
                Error::new(
                    ErrorKind::AwsUnreachable,
                    "AWS answered bcm-data-exports:CreateExport without an ARN",
                )
            });
        }
        Err(failure) => failure,
    };
    // There is no code for a name that is taken, so the names are looked at. Where that is refused, AWS's words remain.
    if failure.code.as_deref() == Some("ValidationException") {
        let present = clients.on_io(async move { export_arns(&client).await }).await?;
        let taken = present.is_ok_and(|present| present.iter().any(|(_, name)| *name == definition.name));
        if taken {
            return Err(call.taken().with_detail(failure.facts()));
        }
    }
    Err(failure.into_error(&call))
}

pub(super) async fn update(
    clients: &AwsClients,
    key: &AccessKey,
    arn: &str,
    definition: &ExportDefinition,
) -> Result<()> {
    let account = arn.split(':').nth(4).unwrap_or("*");
    let call = write_call("bcm-data-exports:UpdateExport", definition, account);
    let export = sdk_export(definition).map_err(|error| Error::defect(error.to_string()))?;
    let request = clients.data_exports(key).update_export().export_arn(arn).export(export);
    clients
        .on_io(async move { request.send().await.map_err(|error| update_failure(&error)) })
        .await?
        .map_err(|failure| failure.into_error(&call))?;
    Ok(())
}

pub(super) async fn delete(clients: &AwsClients, key: &AccessKey, arn: &str) -> Result<()> {
    let call = AwsCall::on("bcm-data-exports:DeleteExport", arn, format!("export {arn}"));
    let request = clients.data_exports(key).delete_export().export_arn(arn);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if failure.code.as_deref() == Some("ResourceNotFoundException") => Ok(()),
        Err(failure) => Err(failure.into_error(&call)),
    }
}

/// A call that writes a definition: the action is needed on the table, too.
fn write_call(action: &'static str, definition: &ExportDefinition, account: &str) -> AwsCall {
    let beside = format!("arn:aws:bcm-data-exports:us-east-1:{account}");
    let tables: Vec<String> = definition
        .table_configurations
        .keys()
        .map(|table| format!("{beside}:table/{table}"))
        .collect();
    let export = format!("{beside}:export/*");
    AwsCall::on(
        action,
        export.clone(),
        format!("export \"{}\"", definition.name),
    )
    .granted_on(tables.into_iter().chain([export]))
    .advising(
        "Check that the bucket exists in the Region given, that its policy lets bcm-data-exports.amazonaws.com put objects \
         for this account, and the query, configuration and format.",
    )
}

/// The failure with what AWS says of single members.
fn update_failure(error: &SdkError<UpdateExportError, HttpResponse>) -> Failure {
    let mut failure = Failure::of_sdk(error);
    if let SdkError::ServiceError(service) = error
        && let UpdateExportError::ValidationException(invalid) = service.err()
    {
        failure.members = members(invalid);
    }
    failure
}

/// The failure with what AWS says of single members.
fn create_failure(error: &SdkError<CreateExportError, HttpResponse>) -> Failure {
    let mut failure = Failure::of_sdk(error);
    if let SdkError::ServiceError(service) = error
        && let CreateExportError::ValidationException(invalid) = service.err()
    {
        failure.members = members(invalid);
    }
    failure
}

fn members(invalid: &ValidationException) -> Vec<String> {
    let fields = invalid.fields().iter();
    fields
        .map(|field| format!("{}: {}", field.name(), field.message()))
        .collect()
}

fn sdk_export(definition: &ExportDefinition) -> Result<Export, aws_smithy_types::error::operation::BuildError> {
    let destination = &definition.destination;
    let output_type = match destination.output_type.as_str() {
        "" => S3OutputType::Custom,
        named => named.into(),
    };
    let output = S3OutputConfigurations::builder()
        .output_type(output_type)
        .format(destination.format.as_str().into())
        .compression(destination.compression.as_str().into())
        .overwrite(destination.overwrite.as_str().into())
        .build()?;
    let place = S3Destination::builder()
        .s3_bucket(&destination.bucket)
        .set_s3_bucket_owner(destination.bucket_owner.map(|owner| owner.to_string()))
        .s3_prefix(&destination.prefix)
        .s3_region(&destination.region)
        .s3_output_configurations(output)
        .build()?;
    let tables = definition.table_configurations.clone().into_iter();
    let query = DataQuery::builder()
        .query_statement(&definition.query)
        .set_table_configurations(Some(
            tables
                .map(|(table, properties)| (table, properties.into_iter().collect()))
                .collect(),
        ))
        .build()?;
    let description = Some(&definition.description).filter(|text| !text.is_empty());
    Export::builder()
        .name(&definition.name)
        .set_description(description.cloned())
        .data_query(query)
        .destination_configurations(DestinationConfigurations::builder().s3_destination(place).build())
        .refresh_cadence(
            RefreshCadence::builder()
                .frequency(FrequencyOption::Synchronous)
                .build()?,
        )
        .build()
}
