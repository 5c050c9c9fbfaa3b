//! The legacy Cost and Usage Report, `cur` (model version 2017-01-06).
//!
//! Its errors are the model's. A combination of settings that AWS does not accept is answered, as by AWS, with a
//! `ValidationException` without a message.

mod definition;
mod spec;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use self::definition::{KeptReport, ReportDefinition, check, obstacle};
use super::cloud::Cloud;
use super::control::{ApiError, Call, ControlApi, Protocol, unknown_operation};
use super::delivery_runs::Runs;

pub(crate) use self::definition::Reports;
pub use self::spec::ReportSpec;

/// Reports on a page: the model allows this number only.
const PAGE: usize = 5;
/// Reports that an account may have (AWS Data Exports User Guide, `billing-cur-limits`).
const QUOTA: usize = 10;

pub(crate) struct CostAndUsageReports;

#[async_trait]
impl ControlApi for CostAndUsageReports {
    fn signing_name(&self) -> &'static str {
        "cur"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json("AWSOrigamiServiceGatewayService")
    }

    // Hosts of other Regions have no service behind them.
    fn only_region(&self) -> Option<&'static str> {
        Some("us-east-1")
    }

    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError> {
        let answer = match call.operation {
            "DescribeReportDefinitions" => describe(call),
            "PutReportDefinition" => put(call),
            "ModifyReportDefinition" => modify(call),
            "DeleteReportDefinition" => delete(call),
            _ => Err(unknown_operation()),
        };
        answer.map(|answer| answer.to_string())
    }
}

/// The ARN of a legacy report.
pub(crate) fn definition_arn(account: &str, name: &str) -> String {
    format!("arn:aws:cur:us-east-1:{account}:definition/{name}")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::invalid("ValidationException", message)
}

/// Brings a report's deliveries up to the present.
fn settle(cloud: &Cloud, account: &str, kept: &mut KeptReport) {
    let obstacle = obstacle(cloud, account, &kept.definition);
    kept.runs.settle(cloud.clock.now(), obstacle);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeRequest {
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    call.allow("cur:DescribeReportDefinitions", "*")?;
    let request: DescribeRequest = call.read()?;
    if request.max_results.is_some_and(|size| size != PAGE) {
        return Err(invalid(format!("MaxResults must be {PAGE}")));
    }
    let start = match request.next_token {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|position| position.parse::<usize>().ok())
            .ok_or_else(|| invalid("The NextToken is not valid"))?,
    };
    let account = &call.caller.account;
    let (page, total) = call.cloud.reports.of(account, |reports| {
        let page: Vec<Value> = reports
            .values_mut()
            .skip(start)
            .take(PAGE)
            .map(|kept| {
                settle(call.cloud, account, kept);
                kept.described()
            })
            .collect();
        (page, reports.len())
    });
    let end = start + page.len();
    let mut answer = json!({"ReportDefinitions": page});
    if end < total {
        answer["NextToken"] = format!("page-{end}").into();
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    report_definition: ReportDefinition,
}

fn put(call: &Call<'_>) -> Result<Value, ApiError> {
    let PutRequest { report_definition } = call.read()?;
    let account = &call.caller.account;
    let name = report_definition.report_name.clone();
    call.allow("cur:PutReportDefinition", &definition_arn(account, &name))?;
    check(call.cloud, account, &report_definition)?;
    call.cloud.reports.of(account, |reports| {
        if reports.contains_key(&name) {
            return Err(ApiError::invalid(
                "DuplicateReportNameException",
                format!("The account has a report with the name {name} already."),
            ));
        }
        if reports.len() >= QUOTA {
            return Err(ApiError::invalid(
                "ReportLimitReachedException",
                format!("The account has {QUOTA} reports, and cannot have more."),
            ));
        }
        let now = call.cloud.clock.now();
        let runs = Runs::starting(&definition_arn(account, &name), now);
        reports.insert(
            name,
            KeptReport {
                definition: report_definition,
                runs,
            },
        );
        Ok(json!({}))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModifyRequest {
    report_name: String,
    report_definition: ReportDefinition,
}

fn modify(call: &Call<'_>) -> Result<Value, ApiError> {
    let request: ModifyRequest = call.read()?;
    let account = &call.caller.account;
    let (name, new) = (request.report_name, request.report_definition);
    call.allow("cur:ModifyReportDefinition", &definition_arn(account, &name))?;
    check(call.cloud, account, &new)?;
    call.cloud.reports.of(account, |reports| {
        let kept = reports.get_mut(&name);
        let kept = kept.ok_or_else(|| invalid(format!("There is no report with the name {name}.")))?;
        // The name stays; in overwrite mode so do resource ids, granularity and versioning (AWS Data Exports User Guide,
        // `edit-cur`).
        if new.report_name != name || (kept.definition.overwrites() && !kept.definition.is_shaped_like(&new)) {
            return Err(invalid(""));
        }
        kept.definition = new;
        Ok(json!({}))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    report_name: String,
}

fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let DeleteRequest { report_name } = call.read()?;
    let account = &call.caller.account;
    call.allow("cur:DeleteReportDefinition", &definition_arn(account, &report_name))?;
    let removed = call.cloud.reports.of(account, |reports| reports.remove(&report_name));
    match removed {
        Some(_) => Ok(json!({"ResponseMessage": "SUCCESS"})),
        None => Err(invalid(format!("There is no report with the name {report_name}."))),
    }
}
