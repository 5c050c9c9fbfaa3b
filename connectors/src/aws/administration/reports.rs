//! The legacy Cost and Usage Report (`cur`), which us-east-1 alone serves.
//!
//! A report's settings are told in the words of Data Exports where there are such: its schema elements and time unit as
//! the table configuration of CUR 2.0 (AWS Data Exports User Guide, `data-exports-migrate-two`). Format, compression and
//! status stay in the words of `cur`.

use std::collections::BTreeMap;

use aws_sdk_costandusagereport::Client;
use aws_sdk_costandusagereport::types::{AdditionalArtifact, ReportDefinition, SchemaElement};
use chrono::{DateTime, NaiveDateTime, Utc};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::AccountId;
use farthing_engine::port::{AccessKey, Destination, ExportDefinition, ExportHealth, ExportService, PresentExport};

use crate::aws::AwsClients;
use crate::aws::error::{AwsCall, Failure};

/// The table of CUR 2.0, under whose name the settings of a report are told.
const TABLE: &str = "COST_AND_USAGE_REPORT";
/// Each schema element and the key that it is in a table configuration.
const ELEMENTS: [(SchemaElement, &str); 3] = [
    (SchemaElement::Resources, "INCLUDE_RESOURCES"),
    (
        SchemaElement::SplitCostAllocationData,
        "INCLUDE_SPLIT_COST_ALLOCATION_DATA",
    ),
    (
        SchemaElement::ManualDiscountCompatibility,
        "INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY",
    ),
];
const GRANULARITY: &str = "TIME_GRANULARITY";
const BILLING_VIEW: &str = "BILLING_VIEW_ARN";

pub(super) async fn list(clients: &AwsClients, key: &AccessKey) -> Result<Vec<PresentExport>> {
    let call = AwsCall::on(
        "cur:DescribeReportDefinitions",
        "*",
        "the Cost and Usage Reports of the account",
    );
    let client = clients.cur(key);
    let reports = clients
        .on_io(async move { definitions(&client).await })
        .await?
        .map_err(|failure| failure.into_error(&call))?;
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    // The answers have no ARN and no account.
    let account = clients.identity(key).await?.account;
    Ok(reports
        .into_iter()
        .map(|report| present_report(account, report))
        .collect())
}

async fn definitions(client: &Client) -> Result<Vec<ReportDefinition>, Failure> {
    let mut pages = client.describe_report_definitions().into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::of_sdk(&error))?;
        all.extend(page.report_definitions.unwrap_or_default());
    }
    Ok(all)
}

fn definition_arn(account: AccountId, name: &str) -> String {
    format!("arn:aws:cur:us-east-1:{account}:definition/{name}")
}

fn present_report(account: AccountId, report: ReportDefinition) -> PresentExport {
    let versioning = report.report_versioning.as_ref().map(|versioning| versioning.as_str());
    let health = ExportHealth {
        status: report
            .report_status
            .as_ref()
            .and_then(|status| status.last_status())
            .map(|status| status.as_str().to_owned()),
        last_delivery: report
            .report_status
            .as_ref()
            .and_then(|status| status.last_delivery())
            .and_then(time),
        ..ExportHealth::default()
    };
    let artifacts = report.additional_artifacts.clone().unwrap_or_default();
    PresentExport {
        arn: definition_arn(account, &report.report_name),
        health,
        definition: ExportDefinition {
            service: ExportService::Cur,
            description: String::new(),
            query: String::new(),
            table_configurations: [(TABLE.to_owned(), configuration(&report))].into(),
            destination: Destination {
                // AWS's default.
                overwrite: versioning.unwrap_or("CREATE_NEW_REPORT").to_owned(),
                bucket: report.s3_bucket,
                // Reports go to buckets of their own account only.
                bucket_owner: None,
                prefix: report.s3_prefix,
                region: report.s3_region.as_str().to_owned(),
                format: report.format.as_str().to_owned(),
                compression: report.compression.as_str().to_owned(),
                output_type: String::new(),
                artifacts: artifacts.iter().map(|artifact| artifact.as_str().to_owned()).collect(),
            },
            name: report.report_name,
        },
    }
}

fn configuration(report: &ReportDefinition) -> BTreeMap<String, String> {
    let mut configuration: BTreeMap<String, String> = ELEMENTS
        .iter()
        .map(|(element, key)| {
            let present = report.additional_schema_elements.contains(element);
            ((*key).to_owned(), if present { "TRUE" } else { "FALSE" }.to_owned())
        })
        .collect();
    configuration.insert(GRANULARITY.to_owned(), report.time_unit.as_str().to_owned());
    if let Some(view) = &report.billing_view_arn {
        configuration.insert(BILLING_VIEW.to_owned(), view.clone());
    }
    configuration
}

/// `20260711T161637Z`
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok()?;
    Some(time.and_utc())
}

pub(super) async fn create(clients: &AwsClients, key: &AccessKey, definition: &ExportDefinition) -> Result<String> {
    let account = clients.identity(key).await?.account;
    let arn = definition_arn(account, &definition.name);
    let call = AwsCall::on(
        "cur:PutReportDefinition",
        &arn,
        format!("Cost and Usage Report \"{}\"", definition.name),
    )
    .advising(
        "Check that the bucket exists in the Region given, belongs to this account, and that its policy lets \
         billingreports.amazonaws.com read the policy and put objects; and that Parquet is both format and compression, or \
         neither.",
    );
    let report = sdk_report(definition).map_err(|error| Error::defect(error.to_string()))?;
    let request = clients.cur(key).put_report_definition().report_definition(report);
    clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?
        .map_err(|failure| failure.into_error(&call))?;
    Ok(arn)
}

pub(super) async fn update(
    clients: &AwsClients,
    key: &AccessKey,
    arn: &str,
    definition: &ExportDefinition,
) -> Result<()> {
    let call = report_call("cur:ModifyReportDefinition", arn)?.advising(
        "A report keeps its name and, while it overwrites, its granularity, resource ids and overwriting. Check also that \
         the bucket exists in the Region given and lets billingreports.amazonaws.com put objects.",
    );
    let report = sdk_report(definition).map_err(|error| Error::defect(error.to_string()))?;
    let client = clients.cur(key);
    let request = client
        .modify_report_definition()
        .report_name(report_name(arn)?)
        .report_definition(report);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    let Err(failure) = answer else {
        return Ok(());
    };
    // There is no code for a report that does not exist.
    if is_gone(clients, client, &failure, arn).await? {
        return Err(Error::new(ErrorKind::Missing, format!("{arn} does not exist"))
            .with_hint("It may have been deleted meanwhile: list the reports again.")
            .with_detail(failure.facts()));
    }
    Err(failure.into_error(&call))
}

pub(super) async fn delete(clients: &AwsClients, key: &AccessKey, arn: &str) -> Result<()> {
    let call = report_call("cur:DeleteReportDefinition", arn)?;
    let client = clients.cur(key);
    let request = client.delete_report_definition().report_name(report_name(arn)?);
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if is_gone(clients, client, &failure, arn).await? => Ok(()),
        Err(failure) => Err(failure.into_error(&call)),
    }
}

fn report_call(action: &'static str, arn: &str) -> Result<AwsCall> {
    let object = format!("Cost and Usage Report \"{}\"", report_name(arn)?);
    Ok(AwsCall::on(action, arn, object))
}

fn report_name(arn: &str) -> Result<&str> {
    let name = arn.split_once(":definition/").map(|(_, name)| name);
    name.ok_or_else(|| {
        Error::new(
            ErrorKind::BadValue,
            format!("\"{arn}\" is not the ARN of a Cost and Usage Report"),
        )
    })
}

/// Whether AWS finds a request invalid because the report does not exist, as far as the credential may see.
async fn is_gone(clients: &AwsClients, client: Client, failure: &Failure, arn: &str) -> Result<bool> {
    if failure.code.as_deref() != Some("ValidationException") {
        return Ok(false);
    }
    let name = report_name(arn)?;
    let present = clients.on_io(async move { definitions(&client).await }).await?;
    Ok(present.is_ok_and(|present| present.iter().all(|report| report.report_name != name)))
}

fn sdk_report(
    definition: &ExportDefinition,
) -> Result<ReportDefinition, aws_smithy_types::error::operation::BuildError> {
    let destination = &definition.destination;
    let configuration = definition.table_configurations.get(TABLE);
    let setting = |key: &str| {
        configuration
            .and_then(|configuration| configuration.get(key))
            .map(String::as_str)
    };
    let elements = ELEMENTS
        .iter()
        .filter(|(_, key)| setting(key) == Some("TRUE"))
        .map(|(element, _)| element.clone())
        .collect();
    let artifacts: Vec<AdditionalArtifact> = destination
        .artifacts
        .iter()
        .map(|artifact| artifact.as_str().into())
        .collect();
    ReportDefinition::builder()
        .report_name(&definition.name)
        .time_unit(setting(GRANULARITY).unwrap_or("HOURLY").into())
        .format(destination.format.as_str().into())
        .compression(destination.compression.as_str().into())
        .set_additional_schema_elements(Some(elements))
        .s3_bucket(&destination.bucket)
        .s3_prefix(&destination.prefix)
        .s3_region(destination.region.as_str().into())
        .set_additional_artifacts(Some(artifacts).filter(|artifacts| !artifacts.is_empty()))
        .report_versioning(destination.overwrite.as_str().into())
        // Closed months change: credits and refunds arrive late.
        .refresh_closed_reports(true)
        .set_billing_view_arn(setting(BILLING_VIEW).map(str::to_owned))
        .build()
}
