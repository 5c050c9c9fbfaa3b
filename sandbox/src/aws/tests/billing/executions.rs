//! Executions and tables, and what the protocol itself refuses.

use std::time::Duration;

use aws_sdk_bcmdataexports::config::Config;
use aws_sdk_bcmdataexports::error::ProvideErrorMetadata;

use super::super::raw::Raw;
use super::exports::{GOOD, client};
use super::{BUCKET, BUCKET_POLICY, CLOSED, billing};
use crate::aws::{AccessKey, Fault, FaultKind};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn executions_follow_the_clock() {
    let (sandbox, key) = billing().await;
    let client = client(&sandbox, &key);
    let arn = GOOD.create(&client).await;
    let newest = || async {
        let answer = client.list_executions().export_arn(&arn).send().await.unwrap();
        let status = answer.executions()[0].execution_status().unwrap();
        (
            status.status_code().unwrap().as_str().to_owned(),
            answer.executions().len(),
        )
    };
    for (minutes, word) in [
        (0, "INITIATION_IN_PROCESS"),
        (15, "QUERY_QUEUED"),
        (30, "QUERY_IN_PROCESS"),
        (90, "DELIVERY_IN_PROCESS"),
        (60, "DELIVERY_SUCCESS"),
    ] {
        sandbox.advance(Duration::from_secs(minutes * 60));
        assert_eq!(newest().await, (word.to_owned(), 1));
    }
    let healthy = client.get_export().export_arn(&arn).send().await.unwrap();
    let refreshed = healthy.export_status().unwrap().last_refreshed_at().copied();
    assert!(refreshed.is_some());

    sandbox.put_bucket_policy(BUCKET, CLOSED).unwrap();
    sandbox.advance(24 * HOUR);
    assert_eq!(newest().await, ("DELIVERY_FAILURE".to_owned(), 2));
    let ill = client.get_export().export_arn(&arn).send().await.unwrap();
    let status = ill.export_status().unwrap();
    assert_eq!(status.status_code().unwrap().as_str(), "UNHEALTHY");
    assert_eq!(status.status_reason().unwrap().as_str(), "INSUFFICIENT_PERMISSION");
    assert_eq!(
        status.last_refreshed_at().copied(),
        refreshed,
        "what was delivered stays"
    );
    sandbox.put_bucket_policy(BUCKET, BUCKET_POLICY).unwrap();
    sandbox.advance(24 * HOUR);
    let id = client
        .list_executions()
        .export_arn(&arn)
        .send()
        .await
        .unwrap()
        .executions()[0]
        .execution_id()
        .to_owned();
    let run = client
        .get_execution()
        .export_arn(&arn)
        .execution_id(id)
        .send()
        .await
        .unwrap();
    assert_eq!(
        run.execution_status().unwrap().status_code().unwrap().as_str(),
        "DELIVERY_SUCCESS"
    );
    assert_eq!(run.export().unwrap().name(), "costs");
    let none = client
        .get_execution()
        .export_arn(&arn)
        .execution_id("none")
        .send()
        .await
        .unwrap_err();
    assert_eq!(none.code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn tables_have_the_columns_of_their_configuration() {
    let (sandbox, key) = billing().await;
    let client = client(&sandbox, &key);
    // The figures that AWS's own GetTable is known to give.
    for (properties, count) in [
        (vec![], 115),
        (vec!["INCLUDE_RESOURCES"], 116),
        (vec!["INCLUDE_RESOURCES", "INCLUDE_SPLIT_COST_ALLOCATION_DATA"], 127),
        (vec!["INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY"], 113),
    ] {
        let properties = properties
            .into_iter()
            .map(|name| (name.to_owned(), "TRUE".to_owned()))
            .collect();
        let table = client
            .get_table()
            .table_name(GOOD.table)
            .set_table_properties(Some(properties));
        assert_eq!(table.send().await.unwrap().schema().len(), count);
    }
    let focus = client.get_table().table_name("FOCUS_1_2_AWS").send().await.unwrap();
    assert_eq!(focus.schema().len(), 60);
    assert!(focus.schema().iter().any(|column| column.name() == Some("SkuMeter")));
    let error = client.get_table().table_name("NOWHERE").send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
    let tables = client.list_tables().send().await.unwrap();
    let cur2 = &tables.tables()[0];
    assert_eq!(cur2.table_name(), Some("COST_AND_USAGE_REPORT"));
    let granularity = &cur2.table_properties()[0];
    assert_eq!(granularity.default_value(), Some("HOURLY"));
    assert_eq!(granularity.valid_values(), ["HOURLY", "DAILY", "MONTHLY"]);
}

#[tokio::test]
async fn errors_of_the_protocol() {
    let (sandbox, key) = billing().await;
    let wrong = AccessKey {
        secret_access_key: "not-a-real-secret".into(),
        ..key.clone()
    };
    let unknown = AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPLE1".into(),
        ..key.clone()
    };
    for (key, code) in [
        (&wrong, "InvalidSignatureException"),
        (&unknown, "UnrecognizedClientException"),
    ] {
        let error = client(&sandbox, key).list_exports().send().await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    }
    let target = "AWSBillingAndCostManagementDataExports.";
    for (operation, body, code) in [
        ("Unheard", "{}", "UnknownOperationException"),
        ("ListExports", "no json", "SerializationException"),
        ("GetExport", "{}", "ValidationException"),
    ] {
        let mut request = Raw::s3("POST", "/")
            .body(body)
            .header("x-amz-target", &format!("{target}{operation}"))
            .header("content-type", "application/x-amz-json-1.1");
        request.service = "bcm-data-exports";
        let reply = request.send(&sandbox, &key).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert_eq!(reply.headers["x-amzn-errortype"], code);
        assert!(reply.headers.contains_key("x-amzn-requestid"));
        assert!(
            reply.text().contains(&format!("\"__type\":\"{code}\"")),
            "{}",
            reply.text()
        );
    }
    sandbox.inject(Fault::new(FaultKind::SlowDown).operation("ListExports").times(1));
    let throttled = client(&sandbox, &key).list_exports();
    let config = Config::builder().retry_config(aws_sdk_bcmdataexports::config::retry::RetryConfig::disabled());
    let error = throttled.customize().config_override(config).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
}
