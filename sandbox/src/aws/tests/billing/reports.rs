//! Legacy reports.

use std::time::Duration;

use aws_sdk_costandusagereport::Client;
use aws_sdk_costandusagereport::error::ProvideErrorMetadata;
use aws_sdk_costandusagereport::types::{
    AdditionalArtifact, AwsRegion, CompressionFormat, LastStatus, ReportDefinition, ReportFormat, ReportVersioning,
    SchemaElement, TimeUnit,
};

use super::{BUCKET, CLOSED, PAYER, all_but, billing, user};
use crate::aws::{AccessKey, ReportSpec, Sandbox};

fn client(sandbox: &Sandbox, key: &AccessKey, region: &'static str) -> Client {
    Client::from_conf(sdk_config!(aws_sdk_costandusagereport, sandbox, key, region).build())
}

fn report(name: &str) -> ReportDefinition {
    ReportDefinition::builder()
        .report_name(name)
        .time_unit(TimeUnit::Daily)
        .format(ReportFormat::Parquet)
        .compression(CompressionFormat::Parquet)
        .additional_schema_elements(SchemaElement::Resources)
        .s3_bucket(BUCKET)
        .s3_prefix("legacy")
        .s3_region(AwsRegion::UsStandard)
        .report_versioning(ReportVersioning::OverwriteReport)
        .build()
        .unwrap()
}

async fn put(client: &Client, report: ReportDefinition) -> Result<(), (String, String)> {
    let outcome = client.put_report_definition().report_definition(report).send().await;
    outcome.map(|_| ()).map_err(|error| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (text(error.code()), text(error.message()))
    })
}

#[tokio::test]
async fn a_report_lives_from_creation_to_deletion() {
    let (sandbox, key) = billing().await;
    let client = client(&sandbox, &key, "us-east-1");
    put(&client, report("legacy")).await.unwrap();
    let (code, _) = put(&client, report("legacy")).await.unwrap_err();
    assert_eq!(code, "DuplicateReportNameException");
    let described = client.describe_report_definitions().send().await.unwrap();
    let one = &described.report_definitions()[0];
    assert_eq!((one.report_name(), one.s3_region()), ("legacy", &AwsRegion::UsStandard));
    assert!(one.report_status().is_none(), "nothing is delivered yet");

    sandbox.advance(Duration::from_secs(4 * 3600));
    let described = client.describe_report_definitions().send().await.unwrap();
    let status = described.report_definitions()[0].report_status().unwrap();
    assert_eq!(status.last_status(), Some(&LastStatus::Success));
    assert_eq!(status.last_delivery().unwrap().len(), "20260711T161637Z".len());
    sandbox.put_bucket_policy(BUCKET, CLOSED).unwrap();
    sandbox.advance(Duration::from_secs(24 * 3600));
    let described = client.describe_report_definitions().send().await.unwrap();
    let status = described.report_definitions()[0].report_status().unwrap();
    assert_eq!(status.last_status(), Some(&LastStatus::ErrorPermissions));

    sandbox.put_bucket_policy(BUCKET, super::BUCKET_POLICY).unwrap();
    let mut moved = report("legacy");
    moved.s3_prefix = "elsewhere".into();
    let modify = |new| {
        client
            .modify_report_definition()
            .report_name("legacy")
            .report_definition(new)
            .send()
    };
    modify(moved.clone()).await.unwrap();
    moved.time_unit = TimeUnit::Hourly;
    assert_eq!(modify(moved).await.unwrap_err().code(), Some("ValidationException"));
    let described = client.describe_report_definitions().send().await.unwrap();
    assert_eq!(described.report_definitions()[0].s3_prefix(), "elsewhere");
    let delete = || client.delete_report_definition().report_name("legacy").send();
    delete().await.unwrap();
    assert_eq!(delete().await.unwrap_err().code(), Some("ValidationException"));
}

#[tokio::test]
async fn pages_of_five_and_a_quota_of_ten() {
    let (sandbox, key) = billing().await;
    let client = client(&sandbox, &key, "us-east-1");
    for number in 0..9 {
        sandbox
            .register_report(PAYER, &ReportSpec::new(&format!("r{number}"), BUCKET, "p"))
            .unwrap();
    }
    put(&client, report("tenth")).await.unwrap();
    let (code, _) = put(&client, report("eleventh")).await.unwrap_err();
    assert_eq!(code, "ReportLimitReachedException");
    let first = client.describe_report_definitions().send().await.unwrap();
    assert_eq!(first.report_definitions().len(), 5);
    let next = client.describe_report_definitions().set_next_token(first.next_token);
    let second = next.send().await.unwrap();
    assert_eq!((second.report_definitions().len(), second.next_token()), (5, None));
    for request in [
        client.describe_report_definitions().max_results(6),
        client.describe_report_definitions().next_token("x"),
    ] {
        assert_eq!(request.send().await.unwrap_err().code(), Some("ValidationException"));
    }
}

#[tokio::test]
async fn what_aws_does_not_accept() {
    let (sandbox, key) = billing().await;
    sandbox.create_bucket(PAYER, "closed-bucket", "us-east-1").unwrap();
    sandbox
        .create_bucket(super::super::LINKED, "linked-bucket", "us-east-1")
        .unwrap();
    let client = client(&sandbox, &key, "us-east-1");
    let with = |change: fn(&mut ReportDefinition)| {
        let mut report = report("r");
        change(&mut report);
        report
    };
    let cases = [
        (with(|r| r.report_name = "a b".into()), "name"),
        (with(|r| r.compression = CompressionFormat::Gzip), ""),
        (
            with(|r| r.additional_artifacts = Some(vec![AdditionalArtifact::Redshift])),
            "",
        ),
        (with(|r| r.s3_bucket = "no-such-bucket".into()), "Failed to verify"),
        (with(|r| r.s3_bucket = "closed-bucket".into()), "Failed to verify"),
        (with(|r| r.s3_bucket = "linked-bucket".into()), "Failed to verify"),
        (with(|r| r.s3_region = AwsRegion::Ireland), "Failed to verify"),
    ];
    for (report, words) in cases {
        let (code, message) = put(&client, report).await.unwrap_err();
        assert_eq!(code, "ValidationException");
        assert!(
            message.contains(words) && message.is_empty() == words.is_empty(),
            "{message} should say {words}"
        );
    }
    // AWS's own policy compares the pattern as if it were an ARN.
    let plain = super::BUCKET_POLICY.replace("StringLike", "StringEquals");
    sandbox.put_bucket_policy(BUCKET, &plain).unwrap();
    put(&client, report("r")).await.unwrap();
}

#[tokio::test]
async fn each_action_is_asked_of_the_policies() {
    let (sandbox, key) = billing().await;
    put(&client(&sandbox, &key, "us-east-1"), report("r")).await.unwrap();
    for (number, action) in [
        "cur:DescribeReportDefinitions",
        "cur:PutReportDefinition",
        "cur:ModifyReportDefinition",
        "cur:DeleteReportDefinition",
    ]
    .into_iter()
    .enumerate()
    {
        let key = user(&sandbox, PAYER, &format!("u{number}"), Some(&all_but(action)));
        let client = client(&sandbox, &key, "us-east-1");
        let modify = client
            .modify_report_definition()
            .report_name("r")
            .report_definition(report("r"));
        let outcomes = [
            (
                "cur:DescribeReportDefinitions",
                refusal(client.describe_report_definitions().send().await),
            ),
            (
                "cur:PutReportDefinition",
                put(&client, report("r")).await.unwrap_err().1,
            ),
            ("cur:ModifyReportDefinition", refusal(modify.send().await)),
            // Last, and refused for another reason where it has run before.
            (
                "cur:DeleteReportDefinition",
                refusal(client.delete_report_definition().report_name("r").send().await),
            ),
        ];
        for (asked, message) in outcomes {
            let refused = message.contains(&format!("is not authorized to perform: {action} "));
            assert_eq!(refused, asked == action, "{asked} without {action}: {message}");
        }
        if action != "cur:DeleteReportDefinition" {
            sandbox
                .register_report(PAYER, &ReportSpec::new("r", BUCKET, "legacy"))
                .unwrap();
        }
    }
}

fn refusal<T, E>(outcome: Result<T, aws_sdk_costandusagereport::error::SdkError<E>>) -> String
where
    E: ProvideErrorMetadata,
{
    outcome
        .err()
        .and_then(|error| error.message().map(str::to_owned))
        .unwrap_or_default()
}

#[tokio::test]
async fn one_region_serves_reports() {
    let (sandbox, key) = billing().await;
    let ireland = client(&sandbox, &key, "eu-west-1");
    let error = ireland.describe_report_definitions().send().await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidSignatureException"));
    assert!(error.message().unwrap().contains("valid region"));
}
