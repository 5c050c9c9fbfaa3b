//! Set-up of exports: AWS Data Exports and legacy reports through the port, against an AWS that evaluates policies.

use std::collections::BTreeMap;
use std::time::Duration;

use farthing_engine::port::{AwsAdministration, Destination, ExportDefinition, ExportService};
use farthing_sandbox::aws::{DataExportSpec, ReportSpec};

use super::*;

const BUCKET_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
  "Principal": {"Service": ["billingreports.amazonaws.com", "bcm-data-exports.amazonaws.com"]},
  "Action": ["s3:PutObject", "s3:GetBucketPolicy"],
  "Resource": ["arn:aws:s3:::billing-bucket", "arn:aws:s3:::billing-bucket/*"],
  "Condition": {"StringLike": {"aws:SourceAccount": "012345678901", "aws:SourceArn": [
    "arn:aws:cur:us-east-1:012345678901:definition/*",
    "arn:aws:bcm-data-exports:us-east-1:012345678901:export/*"]}}}]}"#;
/// The actions of this file, each on what it is needed on.
const ACTIONS: [(&str, &str); 7] = [
    ("bcm-data-exports:ListExports", "*"),
    (
        "bcm-data-exports:GetExport",
        "arn:aws:bcm-data-exports:us-east-1:012345678901:export/*",
    ),
    (
        "bcm-data-exports:ListExecutions",
        "arn:aws:bcm-data-exports:us-east-1:012345678901:export/*",
    ),
    (
        "bcm-data-exports:GetTable",
        "arn:aws:bcm-data-exports:us-east-1:012345678901:table/*",
    ),
    ("bcm-data-exports:CreateExport", "*"),
    ("cur:DescribeReportDefinitions", "*"),
    (
        "cur:PutReportDefinition",
        "arn:aws:cur:us-east-1:012345678901:definition/*",
    ),
];

/// A place in another Region than the one that serves both APIs, with a bucket that both services may deliver to.
pub(super) async fn place() -> Place {
    let change = |settings| AwsSettings {
        region: "eu-west-1".to_owned(),
        max_attempts: 1,
        ..settings
    };
    let place = Place::with(SandboxSpec::in_memory(), change).await;
    place.sandbox.put_bucket_policy(BUCKET, BUCKET_POLICY).unwrap();
    place
}

/// A policy with all actions but one.
fn all_but(missing: &str) -> String {
    let statements: Vec<String> = ACTIONS
        .iter()
        .filter(|(action, _)| *action != missing)
        .map(|(action, resource)| {
            format!("{{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"{resource}\"}}")
        })
        .collect();
    format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": [{}]}}",
        statements.join(",")
    )
}

fn configured(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn export(name: &str) -> ExportDefinition {
    let configuration = configured(&[("INCLUDE_RESOURCES", "TRUE"), ("TIME_GRANULARITY", "DAILY")]);
    ExportDefinition {
        service: ExportService::DataExports,
        name: name.to_owned(),
        description: "made by a test".to_owned(),
        query: "SELECT line_item_resource_id, line_item_unblended_cost FROM COST_AND_USAGE_REPORT".to_owned(),
        table_configurations: [("COST_AND_USAGE_REPORT".to_owned(), configuration)].into(),
        destination: Destination {
            bucket: BUCKET.to_owned(),
            bucket_owner: None,
            prefix: "p/q".to_owned(),
            region: "us-east-1".to_owned(),
            format: "PARQUET".to_owned(),
            compression: "PARQUET".to_owned(),
            overwrite: "OVERWRITE_REPORT".to_owned(),
            output_type: "CUSTOM".to_owned(),
            artifacts: Vec::new(),
        },
    }
}

pub(super) fn report(name: &str) -> ExportDefinition {
    let mut report = ExportDefinition {
        service: ExportService::Cur,
        description: String::new(),
        query: String::new(),
        ..export(name)
    };
    "Parquet".clone_into(&mut report.destination.format);
    "Parquet".clone_into(&mut report.destination.compression);
    report.destination.output_type.clear();
    report
}

fn focus(name: &str) -> ExportDefinition {
    ExportDefinition {
        query: "SELECT BilledCost FROM FOCUS_1_2_AWS".to_owned(),
        table_configurations: [("FOCUS_1_2_AWS".to_owned(), BTreeMap::new())].into(),
        ..export(name)
    }
}

/// All calls of the port were signed for the one Region that serves them.
fn all_in_us_east_1(place: &Place) {
    let billing = place
        .sandbox
        .requests()
        .matching(|record| matches!(record.service.as_str(), "cur" | "bcm-data-exports"));
    assert!(!billing.is_empty());
    // The sandbox refuses these signatures for any other Region.
    let refused: Vec<_> = billing
        .iter()
        .filter(|record| record.error_code.as_deref() == Some("InvalidSignatureException"))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn exports_are_read_to_the_last_page() {
    let place = place().await;
    let admin = place.connector.administration();
    let reader = place.user("reader", &all_but("cur:PutReportDefinition"));
    assert_eq!(admin.list_exports(&reader).await.unwrap(), []);
    for number in 0..4 {
        let spec = DataExportSpec::cur2(&format!("cur2-{number}"), BUCKET, "p");
        place.sandbox.register_export(ACCOUNT, &spec).unwrap();
    }
    let created = place.sandbox.clock().now() - TimeDelta::days(3);
    let spec = DataExportSpec {
        created_at: Some(created),
        ..DataExportSpec::focus("focus", BUCKET, "/odd/prefix/")
    };
    let arn = place.sandbox.register_export(ACCOUNT, &spec).unwrap();
    let exports = admin.list_exports(&reader).await.unwrap();
    let names: Vec<_> = exports.iter().map(|export| export.definition.name.as_str()).collect();
    assert_eq!(names, ["cur2-0", "cur2-1", "cur2-2", "cur2-3", "focus"]);
    assert_eq!(place.sandbox.requests().count("ListExports"), 1 + 2);

    let focus = exports.last().unwrap();
    assert_eq!(focus.arn, arn);
    assert_eq!(focus.definition.destination.prefix, "/odd/prefix/");
    assert_eq!(
        focus.definition.destination.bucket_owner, None,
        "the export's own account"
    );
    let settings = &focus.definition.table_configurations["FOCUS_1_2_AWS"];
    assert_eq!(settings["TIME_GRANULARITY"], "HOURLY");
    assert_eq!(focus.health.status.as_deref(), Some("HEALTHY"));
    let at = focus.health.created_at.unwrap();
    assert!((at - created).abs() < TimeDelta::seconds(1), "{at}");
    assert!(focus.health.last_delivery.unwrap() > created + TimeDelta::days(2));
    assert_eq!(exports[0].health.last_delivery, None, "created just now");

    let executions = admin.list_executions(&reader, &arn).await.unwrap();
    assert_eq!(executions.len(), 4);
    assert!(
        executions
            .windows(2)
            .all(|pair| pair[0].created_at > pair[1].created_at)
    );
    assert_eq!(executions[0].status, "INITIATION_IN_PROCESS");
    assert_eq!(executions[1].status, "DELIVERY_SUCCESS");
    assert!(executions[1].completed_at.is_some());
    let gone = format!("{arn}x");
    let error = admin.list_executions(&reader, &gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.message().contains(&gone), "{error:?}");
    all_in_us_east_1(&place);
}

#[tokio::test]
async fn an_export_that_cannot_deliver_is_unhealthy() {
    let place = place().await;
    let admin = place.connector.administration();
    let reader = place.user("reader", &all_but(""));
    let arn = admin.create_export(&reader, &export("costs")).await.unwrap();
    place
        .sandbox
        .register_report(ACCOUNT, &ReportSpec::new("old", BUCKET, "p"))
        .unwrap();
    place
        .sandbox
        .put_bucket_policy(BUCKET, &BUCKET_POLICY.replace(ACCOUNT, "999999999999"))
        .unwrap();
    place.sandbox.advance(Duration::from_secs(4 * 3600));
    let exports = admin.list_exports(&reader).await.unwrap();
    assert_eq!(exports[0].health.status.as_deref(), Some("UNHEALTHY"));
    assert_eq!(exports[0].health.reason.as_deref(), Some("INSUFFICIENT_PERMISSION"));
    assert_eq!(exports[0].health.last_delivery, None);
    let executions = admin.list_executions(&reader, &arn).await.unwrap();
    assert_eq!(executions[0].status, "DELIVERY_FAILURE");
    assert_eq!(executions[0].reason.as_deref(), Some("INSUFFICIENT_PERMISSION"));
    let reports = admin.list_reports(&reader).await.unwrap();
    assert_eq!(reports[0].health.status.as_deref(), Some("ERROR_PERMISSIONS"));
}

#[tokio::test]
async fn an_export_is_created_as_defined() {
    let place = place().await;
    let admin = place.connector.administration();
    let user = place.user("admin", &all_but(""));
    let columns = admin
        .table_columns(
            &user,
            "COST_AND_USAGE_REPORT",
            &configured(&[("INCLUDE_RESOURCES", "TRUE")]),
        )
        .await
        .unwrap();
    assert_eq!(columns.len(), 116);
    let wanted = ExportDefinition {
        query: format!("SELECT {} FROM COST_AND_USAGE_REPORT", columns.join(", ")),
        ..export("costs")
    };
    let arn = admin.create_export(&user, &wanted).await.unwrap();
    let [present] = admin.list_exports(&user).await.unwrap().try_into().unwrap();
    assert_eq!(present.arn, arn);
    let settings = &present.definition.table_configurations["COST_AND_USAGE_REPORT"];
    assert_eq!(settings["TIME_GRANULARITY"], "DAILY");
    assert_eq!(settings["INCLUDE_SPLIT_COST_ALLOCATION_DATA"], "FALSE");
    let same = ExportDefinition {
        table_configurations: present.definition.table_configurations.clone(),
        ..wanted.clone()
    };
    assert_eq!(present.definition, same);

    let error = admin.create_export(&user, &wanted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.message().contains("\"costs\""), "{error:?}");
    let error = admin
        .table_columns(&user, "NO_SUCH_TABLE", &BTreeMap::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
    assert!(error.message().contains("NO_SUCH_TABLE"), "{error:?}");
}

#[tokio::test]
async fn what_aws_does_not_accept_is_told() {
    let place = place().await;
    place
        .sandbox
        .create_bucket(ACCOUNT, "closed-bucket", "us-east-1")
        .unwrap();
    let admin = place.connector.administration();
    let user = place.user("admin", &all_but(""));
    let mut closed = export("e");
    "closed-bucket".clone_into(&mut closed.destination.bucket);
    let mut nowhere = export("e");
    "no-such-bucket".clone_into(&mut nowhere.destination.bucket);
    let star = ExportDefinition {
        query: "SELECT * FROM COST_AND_USAGE_REPORT".to_owned(),
        ..export("e")
    };
    let mut no_policy = report("r");
    "closed-bucket".clone_into(&mut no_policy.destination.bucket);
    let mut mixed = report("r");
    "GZIP".clone_into(&mut mixed.destination.compression);
    for (definition, words) in [
        (closed, "closed-bucket"),
        (nowhere, "no-such-bucket"),
        (star, "SELECT * is not supported"),
        (export("not good"), "not good"),
        (no_policy, "Failed to verify customer bucket permission"),
        (mixed, "does not say why"),
    ] {
        let error = admin.create_export(&user, &definition).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
        assert!(error.message().contains(words), "{error:?}");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("policy lets")),
            "{error:?}"
        );
        let detail = error.detail().unwrap_or_default();
        assert!(detail.contains("ValidationException"), "{detail}");
    }
    let error = admin.create_export(&user, &export("not good")).await.unwrap_err();
    assert!(error.detail().unwrap().contains("export.name: "), "{error:?}");

    for name in ["f1", "f2"] {
        admin.create_export(&user, &focus(name)).await.unwrap();
    }
    for number in 0..10 {
        let spec = ReportSpec::new(&format!("r{number}"), BUCKET, "p");
        place.sandbox.register_report(ACCOUNT, &spec).unwrap();
    }
    for (definition, code) in [
        (focus("f3"), "ServiceQuotaExceededException"),
        (report("r10"), "ReportLimitReachedException"),
    ] {
        let error = admin.create_export(&user, &definition).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error:?}");
        assert!(error.hint().unwrap().contains("delete one"), "{error:?}");
        assert!(error.message().contains("quota"), "{error:?}");
        assert!(error.detail().unwrap().contains(code), "{error:?}");
    }
}

#[tokio::test]
async fn reports_are_read_to_the_last_page_and_created() {
    let place = place().await;
    let admin = place.connector.administration();
    let user = place.user("admin", &all_but(""));
    assert_eq!(admin.list_reports(&user).await.unwrap(), []);
    let arn = admin.create_export(&user, &report("a-report")).await.unwrap();
    assert_eq!(arn, format!("arn:aws:cur:us-east-1:{ACCOUNT}:definition/a-report"));
    let error = admin.create_export(&user, &report("a-report")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.message().contains("a-report"), "{error:?}");
    for number in 0..6 {
        let spec = ReportSpec {
            time_unit: "MONTHLY".to_owned(),
            format: "textORcsv".to_owned(),
            compression: "GZIP".to_owned(),
            schema_elements: vec!["SPLIT_COST_ALLOCATION_DATA".to_owned()],
            versioning: "CREATE_NEW_REPORT".to_owned(),
            created_at: Some(place.sandbox.clock().now() - TimeDelta::days(2)),
            ..ReportSpec::new(&format!("r{number}"), BUCKET, "p")
        };
        place.sandbox.register_report(ACCOUNT, &spec).unwrap();
    }
    let reports = admin.list_reports(&user).await.unwrap();
    assert_eq!(reports.len(), 7);
    let (own, other) = (&reports[0], &reports[6]);
    assert_eq!(
        (own.arn.as_str(), own.definition.service),
        (arn.as_str(), ExportService::Cur)
    );
    let mut expected = report("a-report");
    expected.description = String::new();
    let settings = expected.table_configurations.get_mut("COST_AND_USAGE_REPORT").unwrap();
    settings.extend(configured(&[
        ("INCLUDE_SPLIT_COST_ALLOCATION_DATA", "FALSE"),
        ("INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY", "FALSE"),
    ]));
    assert_eq!(own.definition, expected);
    assert_eq!(own.health.status, None);
    let settings = &other.definition.table_configurations["COST_AND_USAGE_REPORT"];
    assert_eq!(settings["TIME_GRANULARITY"], "MONTHLY");
    assert_eq!(settings["INCLUDE_RESOURCES"], "FALSE");
    assert_eq!(settings["INCLUDE_SPLIT_COST_ALLOCATION_DATA"], "TRUE");
    assert_eq!(other.definition.destination.format, "textORcsv");
    assert_eq!(other.definition.destination.overwrite, "CREATE_NEW_REPORT");
    assert_eq!(other.health.status.as_deref(), Some("SUCCESS"));
    assert!(other.health.last_delivery.is_some());
    all_in_us_east_1(&place);
}

#[tokio::test]
async fn a_missing_action_is_named_with_the_statement_to_add() {
    let place = place().await;
    let arn = place
        .sandbox
        .register_export(ACCOUNT, &DataExportSpec::cur2("present", BUCKET, "p"))
        .unwrap();
    let admin = place.connector.administration();
    for (number, (action, _)) in ACTIONS.into_iter().enumerate() {
        let user = place.user(&format!("user{number}"), &all_but(action));
        let name = format!("new{number}");
        let outcomes = [
            (
                vec!["bcm-data-exports:ListExports", "bcm-data-exports:GetExport"],
                admin.list_exports(&user).await.err(),
            ),
            (
                vec!["bcm-data-exports:ListExecutions"],
                admin.list_executions(&user, &arn).await.err(),
            ),
            (
                vec!["bcm-data-exports:GetTable"],
                admin
                    .table_columns(&user, "COST_AND_USAGE_REPORT", &BTreeMap::new())
                    .await
                    .err(),
            ),
            (
                vec!["cur:DescribeReportDefinitions"],
                admin.list_reports(&user).await.err(),
            ),
            (
                vec!["bcm-data-exports:CreateExport", "cur:PutReportDefinition"],
                admin.create_export(&user, &export(&name)).await.err(),
            ),
            (
                vec!["cur:PutReportDefinition"],
                admin.create_export(&user, &report(&name)).await.err(),
            ),
        ];
        for (needs, error) in outcomes {
            if !needs.contains(&action) {
                // Quotas come after permissions.
                let quota = error.as_ref().is_none_or(|error| error.message().contains("quota"));
                assert!(quota, "{needs:?} without {action}: {error:?}");
                continue;
            }
            let error = error.unwrap_or_else(|| panic!("{needs:?} works without {action}"));
            assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
            assert!(
                error.message().starts_with(&format!("AWS refused {action} on ")),
                "{error:?}"
            );
            assert!(error.detail().unwrap().contains("AccessDeniedException"), "{error:?}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(&format!("\"Action\": \"{action}\"")), "{hint}");
            // With the statement of the hint, the call is no longer refused for this action.
            let statement = hint
                .split_once('{')
                .and_then(|(_, rest)| rest.rsplit_once('}'))
                .map(|(inner, _)| format!("{{\"Version\": \"2012-10-17\", \"Statement\": [{{{inner}}}]}}"))
                .unwrap();
            let user_name = format!("user{number}");
            place
                .sandbox
                .put_user_policy(ACCOUNT, &user_name, "added", &statement)
                .unwrap();
            let again = match needs[0] {
                "bcm-data-exports:ListExports" => admin.list_exports(&user).await.err(),
                "bcm-data-exports:ListExecutions" => admin.list_executions(&user, &arn).await.err(),
                "cur:DescribeReportDefinitions" => admin.list_reports(&user).await.err(),
                "bcm-data-exports:CreateExport" => admin.create_export(&user, &export(&name)).await.err(),
                "cur:PutReportDefinition" => admin.create_export(&user, &report(&name)).await.err(),
                _ => admin
                    .table_columns(&user, "COST_AND_USAGE_REPORT", &BTreeMap::new())
                    .await
                    .err(),
            };
            let still = again.filter(|error| error.message().contains(action));
            assert!(still.is_none(), "{statement} is not enough: {still:?}");
            place.sandbox.delete_user_policy(ACCOUNT, &user_name, "added").unwrap();
        }
    }
}

#[tokio::test]
async fn other_failures_of_the_services() {
    let place = place().await;
    let admin = place.connector.administration();
    let user = place.user("reader", &all_but(""));
    for (operation, kind) in [
        ("ListExports", FaultKind::SlowDown),
        ("DescribeReportDefinitions", FaultKind::InternalError),
    ] {
        let handle = place.sandbox.inject(Fault::new(kind).operation(operation));
        let error = match operation {
            "ListExports" => admin.list_exports(&user).await.unwrap_err(),
            _ => admin.list_reports(&user).await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
        assert!(error.message().contains(operation), "{error:?}");
        handle.remove();
    }
    let Credential::Inline(key) = &user else { unreachable!() };
    let wrong = Credential::Inline(access_key(
        &key.access_key_id,
        "not-a-real-secret-at-all-00000000000000",
    ));
    let unknown = Credential::Inline(access_key("AKIAFARTHINGEXAMPLE1", "not-a-real-secret"));
    for (credential, words) in [
        (&wrong, "secret access key does not belong"),
        (&unknown, "does not know the access key id"),
    ] {
        for error in [
            admin.list_exports(credential).await.unwrap_err(),
            admin.list_reports(credential).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
            assert!(error.message().contains(words), "{error:?}");
        }
    }
    place.sandbox.clock().set_skew(TimeDelta::hours(1));
    let error = admin.list_reports(&user).await.unwrap_err();
    assert!(error.message().contains("clock"), "{error:?}");
}
