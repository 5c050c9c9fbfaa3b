//! Changes to what set-up made: exports updated and deleted, policies read back, buckets with a key of KMS.

use farthing_engine::error::ErrorKind;
use farthing_engine::port::{AwsAdministration, BucketEncryption, ExportService};
use farthing_sandbox::aws::ReportSpec;

use super::administration_exports::{export, place, report};
use super::{ACCOUNT, BUCKET, LEAST, Place};

const ALL: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

fn without(action: &str) -> String {
    format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": \
         [{{\"Effect\": \"Allow\", \"NotAction\": \"{action}\", \"Resource\": \"*\"}}]}}"
    )
}

#[tokio::test]
async fn an_export_is_updated_and_deleted() {
    let place = place().await;
    let admin = place.connector.administration();
    let user = place.user("admin", ALL);
    let arn = admin.create_export(&user, &export("costs")).await.unwrap();
    let [mut wanted] = admin.list_exports(&user).await.unwrap().try_into().unwrap();
    let settings = wanted.definition.table_configurations.get_mut("COST_AND_USAGE_REPORT");
    settings
        .unwrap()
        .insert("TIME_GRANULARITY".to_owned(), "HOURLY".to_owned());
    wanted.definition.destination.prefix = "elsewhere".to_owned();
    for _ in 0..2 {
        admin.update_export(&user, &arn, &wanted.definition).await.unwrap();
        let [present] = admin.list_exports(&user).await.unwrap().try_into().unwrap();
        assert_eq!(present.definition, wanted.definition);
        assert_eq!(present.arn, arn);
    }
    let mut other = wanted.definition.clone();
    "other".clone_into(&mut other.name);
    let error = admin.update_export(&user, &arn, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
    assert!(error.detail().unwrap().contains("export.name: "), "{error:?}");
    for action in ["bcm-data-exports:UpdateExport", "bcm-data-exports:DeleteExport"] {
        let user = place.user(&action.replace(':', "-"), &without(action));
        let error = match action {
            "bcm-data-exports:UpdateExport" => admin.update_export(&user, &arn, &wanted.definition).await,
            _ => admin.delete_export(&user, &arn).await,
        }
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(
            error.message().starts_with(&format!("AWS refused {action} on arn:")),
            "{error:?}"
        );
        assert!(
            error.hint().unwrap().contains(&format!("\"Action\": \"{action}\"")),
            "{error:?}"
        );
    }
    for _ in 0..2 {
        admin.delete_export(&user, &arn).await.unwrap();
        assert_eq!(admin.list_exports(&user).await.unwrap(), []);
    }
    let error = admin.update_export(&user, &arn, &wanted.definition).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
}

#[tokio::test]
async fn a_report_is_updated_and_deleted_with_what_comes_with_it() {
    let place = place().await;
    let admin = place.connector.administration();
    let user = place.user("admin", ALL);
    let mut athena = report("legacy");
    athena.destination.artifacts = vec!["ATHENA".to_owned()];
    let arn = admin.create_export(&user, &athena).await.unwrap();
    place
        .sandbox
        .register_report(ACCOUNT, &ReportSpec::new("stays", BUCKET, "p"))
        .unwrap();
    let [mut wanted, _] = admin.list_reports(&user).await.unwrap().try_into().unwrap();
    assert_eq!(wanted.definition.service, ExportService::Cur);
    assert_eq!(wanted.definition.destination.artifacts, ["ATHENA"]);
    wanted.definition.destination.artifacts.clear();
    wanted.definition.destination.prefix = "elsewhere".to_owned();
    for _ in 0..2 {
        admin.update_export(&user, &arn, &wanted.definition).await.unwrap();
        let [present, _] = admin.list_reports(&user).await.unwrap().try_into().unwrap();
        assert_eq!(present.definition, wanted.definition);
    }
    let mut slower = wanted.definition.clone();
    let settings = slower.table_configurations.get_mut("COST_AND_USAGE_REPORT").unwrap();
    settings.insert("TIME_GRANULARITY".to_owned(), "MONTHLY".to_owned());
    let error = admin.update_export(&user, &arn, &slower).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
    assert!(error.hint().unwrap().contains("keeps its name"), "{error:?}");
    for action in ["cur:ModifyReportDefinition", "cur:DeleteReportDefinition"] {
        let user = place.user(&action.replace(':', "-"), &without(action));
        let error = match action {
            "cur:ModifyReportDefinition" => admin.update_export(&user, &arn, &wanted.definition).await,
            _ => admin.delete_export(&user, &arn).await,
        }
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(
            error.message().starts_with(&format!("AWS refused {action} on {arn}")),
            "{error:?}"
        );
    }
    for _ in 0..2 {
        admin.delete_export(&user, &arn).await.unwrap();
        assert_eq!(admin.list_reports(&user).await.unwrap().len(), 1);
    }
    let error = admin.update_export(&user, &arn, &wanted.definition).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    let error = admin.delete_export(&user, "arn:aws:cur:x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
}

#[tokio::test]
async fn the_document_of_a_policy_is_read_back() {
    let place = Place::new().await;
    let admin = place.connector.administration();
    let setup = place.user("setup", ALL);
    let arn = admin.create_policy(&setup, "made", LEAST).await.unwrap();
    assert_eq!(admin.policy_document(&setup, &arn).await.unwrap(), LEAST);
    let error = admin.policy_document(&setup, &format!("{arn}x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    for action in ["iam:GetPolicy", "iam:GetPolicyVersion"] {
        let user = place.user(&action.replace(':', "-"), &without(action));
        let error = admin.policy_document(&user, &arn).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(
            error.message().starts_with(&format!("AWS refused {action} on {arn}")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn how_a_bucket_encrypts_is_told_where_it_may_be_seen() {
    let place = Place::new().await;
    let admin = place.connector.administration();
    let reader = place.user("reader", ALL);
    let found = admin.bucket(&reader, BUCKET).await.unwrap().unwrap();
    assert_eq!(found.encryption, BucketEncryption::S3);
    let blind = place.user("blind", &without("s3:GetEncryptionConfiguration"));
    let found = admin.bucket(&blind, BUCKET).await.unwrap().unwrap();
    assert_eq!(found.encryption, BucketEncryption::Unknown);
}
