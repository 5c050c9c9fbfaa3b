//! Exports of AWS Data Exports and legacy reports.

use std::collections::BTreeMap;

use farthing_engine::error::ErrorKind;
use farthing_engine::port::{AwsAdministration, Destination, ExportDefinition, ExportService};

use super::Case;
use super::ground::Ground;

pub(super) const EXPORTS: &str = "bcm-data-exports: an export is made once and listed";
pub(super) const TABLES: &str = "bcm-data-exports: a table has columns";
pub(super) const REPORTS: &str = "cur: a report is made once and listed";

pub(super) const CASES: &[Case] = &[
    Case {
        name: TABLES,
        calls: "GetTable",
        run: |ground| Box::pin(tables(ground)),
    },
    Case {
        name: EXPORTS,
        calls: "CreateExport, ListExports, GetExport, ListExecutions",
        run: |ground| Box::pin(exports(ground)),
    },
    Case {
        name: REPORTS,
        calls: "PutReportDefinition, DescribeReportDefinitions",
        run: |ground| Box::pin(reports(ground)),
    },
];

const TABLE: &str = "COST_AND_USAGE_REPORT";

fn settings() -> BTreeMap<String, String> {
    [("TIME_GRANULARITY", "DAILY"), ("INCLUDE_RESOURCES", "TRUE")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

async fn delivered_to(ground: &Ground, bucket: &str) {
    ground.bucket(bucket).await;
    let account = &ground.account;
    let policy = format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": [{{\"Effect\": \"Allow\", \"Principal\": {{\"Service\": \
         [\"billingreports.amazonaws.com\", \"bcm-data-exports.amazonaws.com\"]}}, \"Action\": [\"s3:PutObject\", \
         \"s3:GetBucketPolicy\", \"s3:GetBucketAcl\"], \"Resource\": [\"arn:aws:s3:::{bucket}/*\", \"arn:aws:s3:::{bucket}\"], \
         \"Condition\": {{\"StringEquals\": {{\"aws:SourceAccount\": \"{account}\"}}}}}}]}}"
    );
    let put = ground
        .admin
        .put_bucket_policy(&ground.owner, bucket, "us-east-1", &policy);
    put.await.unwrap();
}

fn definition(service: ExportService, bucket: &str, query: String, format: &str) -> ExportDefinition {
    ExportDefinition {
        service,
        name: "costs".to_owned(),
        description: "for a test".to_owned(),
        query,
        table_configurations: [(TABLE.to_owned(), settings())].into(),
        destination: Destination {
            bucket: bucket.to_owned(),
            bucket_owner: None,
            prefix: "p".to_owned(),
            region: "us-east-1".to_owned(),
            format: format.to_owned(),
            compression: format.to_owned(),
            overwrite: "OVERWRITE_REPORT".to_owned(),
            output_type: "CUSTOM".to_owned(),
            artifacts: Vec::new(),
        },
    }
}

async fn tables(ground: &Ground) {
    let columns = ground
        .admin
        .table_columns(&ground.owner, TABLE, &settings())
        .await
        .unwrap();
    for column in [
        "line_item_usage_account_id",
        "line_item_unblended_cost",
        "line_item_resource_id",
    ] {
        assert!(columns.iter().any(|present| present == column), "{column}");
    }
    let error = ground
        .admin
        .table_columns(&ground.owner, "NO_SUCH_TABLE", &settings())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
}

async fn exports(ground: &Ground) {
    delivered_to(ground, "exports-bucket").await;
    let query = format!("SELECT line_item_usage_account_id, line_item_unblended_cost FROM {TABLE}");
    let wanted = definition(ExportService::DataExports, "exports-bucket", query, "PARQUET");
    let (admin, owner) = (&ground.admin, &ground.owner);
    let arn = admin.create_export(owner, &wanted).await.unwrap();
    let beginning = format!("arn:aws:bcm-data-exports:us-east-1:{}:export/costs-", ground.account);
    assert!(arn.starts_with(&beginning), "{arn}");
    let again = admin.create_export(owner, &wanted).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate, "{again:?}");
    let listed = admin.list_exports(owner).await.unwrap();
    let found = listed.iter().find(|export| export.arn == arn).unwrap();
    assert_eq!(found.definition.destination.bucket, "exports-bucket");
    admin.list_executions(owner, &arn).await.unwrap();
    assert!(
        admin.list_exports(&ground.other).await.unwrap().is_empty(),
        "another account's"
    );
}

async fn reports(ground: &Ground) {
    delivered_to(ground, "reports-bucket").await;
    let wanted = definition(ExportService::Cur, "reports-bucket", String::new(), "Parquet");
    let (admin, owner) = (&ground.admin, &ground.owner);
    let arn = admin.create_export(owner, &wanted).await.unwrap();
    let again = admin.create_export(owner, &wanted).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Duplicate, "{again:?}");
    let listed = admin.list_reports(owner).await.unwrap();
    assert!(listed.iter().any(|report| report.arn == arn), "{listed:?}");
}
