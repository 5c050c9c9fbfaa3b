//! Exports: their life, their pages, and what is refused of them.

use aws_sdk_bcmdataexports::Client;
use aws_sdk_bcmdataexports::error::ProvideErrorMetadata;
use aws_sdk_bcmdataexports::operation::create_export::CreateExportError;
use aws_sdk_bcmdataexports::types::{
    CompressionOption, DataQuery, DestinationConfigurations, Export, ExportStatusCode, FormatOption, FrequencyOption,
    OverwriteOption, RefreshCadence, S3Destination, S3OutputConfigurations, S3OutputType, ValidationExceptionReason,
};

use super::{BUCKET, PAYER, all_but, billing, user};
use crate::aws::{AccessKey, DataExportSpec, Sandbox};

pub(super) fn client(sandbox: &Sandbox, key: &AccessKey) -> Client {
    client_in(sandbox, key, "us-east-1")
}

fn client_in(sandbox: &Sandbox, key: &AccessKey, region: &'static str) -> Client {
    Client::from_conf(sdk_config!(aws_sdk_bcmdataexports, sandbox, key, region).build())
}

/// An export that AWS takes; tests change what they are about.
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) query: &'static str,
    pub(super) table: &'static str,
    properties: &'static [(&'static str, &'static str)],
    bucket: &'static str,
    region: &'static str,
    compression: CompressionOption,
    overwrite: OverwriteOption,
}

pub(super) const GOOD: Wanted = Wanted {
    name: "costs",
    query: "SELECT line_item_resource_id, product.region AS r, line_item_unblended_cost FROM COST_AND_USAGE_REPORT",
    table: "COST_AND_USAGE_REPORT",
    properties: &[("INCLUDE_RESOURCES", "TRUE")],
    bucket: BUCKET,
    region: "us-east-1",
    compression: CompressionOption::Parquet,
    overwrite: OverwriteOption::OverwriteReport,
};
pub(super) const FOCUS: Wanted = Wanted {
    name: "focus",
    query: "SELECT BilledCost FROM FOCUS_1_2_AWS",
    table: "FOCUS_1_2_AWS",
    properties: &[],
    ..GOOD
};

impl Wanted {
    fn export(&self) -> Export {
        let output = S3OutputConfigurations::builder()
            .output_type(S3OutputType::Custom)
            .format(FormatOption::Parquet)
            .compression(self.compression.clone())
            .overwrite(self.overwrite.clone())
            .build()
            .unwrap();
        let place = S3Destination::builder()
            .s3_bucket(self.bucket)
            .s3_prefix("p")
            .s3_region(self.region)
            .s3_output_configurations(output)
            .build()
            .unwrap();
        let properties = self
            .properties
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        let query = DataQuery::builder()
            .query_statement(self.query)
            .table_configurations(self.table, properties)
            .build()
            .unwrap();
        let cadence = RefreshCadence::builder()
            .frequency(FrequencyOption::Synchronous)
            .build();
        Export::builder()
            .name(self.name)
            .data_query(query)
            .destination_configurations(DestinationConfigurations::builder().s3_destination(place).build())
            .refresh_cadence(cadence.unwrap())
            .build()
            .unwrap()
    }

    pub(super) async fn create(&self, client: &Client) -> String {
        let answer = client.create_export().export(self.export()).send().await.unwrap();
        answer.export_arn().unwrap().to_owned()
    }

    /// The error's code and message.
    async fn refused(&self, client: &Client) -> (String, String) {
        let error = client.create_export().export(self.export()).send().await.unwrap_err();
        (error.code().unwrap().to_owned(), error.message().unwrap().to_owned())
    }
}

#[tokio::test]
async fn an_export_lives_from_creation_to_deletion() {
    let (sandbox, key) = billing().await;
    let client = client(&sandbox, &key);
    let arn = GOOD.create(&client).await;
    assert!(
        arn.starts_with("arn:aws:bcm-data-exports:us-east-1:111122223333:export/costs-"),
        "{arn}"
    );
    let got = client.get_export().export_arn(&arn).send().await.unwrap();
    let export = got.export().unwrap();
    assert_eq!(export.export_arn(), Some(arn.as_str()));
    let configurations = export.data_query().unwrap().table_configurations().unwrap();
    let properties = &configurations["COST_AND_USAGE_REPORT"];
    assert_eq!(properties["TIME_GRANULARITY"], "HOURLY", "the default is told");
    assert_eq!(properties["INCLUDE_RESOURCES"], "TRUE");
    assert_eq!(
        properties["BILLING_VIEW_ARN"],
        "arn:aws:billing::111122223333:billingview/primary"
    );
    assert_eq!(
        got.export_status().unwrap().status_code(),
        Some(&ExportStatusCode::Healthy)
    );

    let without = Wanted {
        properties: &[("TIME_GRANULARITY", "DAILY")],
        query: FIELDS,
        ..GOOD
    };
    let update = client.update_export().export_arn(&arn).export(without.export());
    assert_eq!(update.send().await.unwrap().export_arn(), Some(arn.as_str()));
    let got = client.get_export().export_arn(&arn).send().await.unwrap();
    assert_eq!(got.export().unwrap().data_query().unwrap().query_statement(), FIELDS);
    for (change, word) in [
        (Wanted { name: "other", ..GOOD }, "name"),
        (Wanted { name: "costs", ..FOCUS }, "table"),
        (
            Wanted {
                overwrite: OverwriteOption::CreateNewReport,
                ..GOOD
            },
            "overwrites",
        ),
    ] {
        let update = client.update_export().export_arn(&arn).export(change.export());
        let error = update.send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"));
        assert!(error.message().unwrap().contains(word), "{error:?}");
    }
    client.delete_export().export_arn(&arn).send().await.unwrap();
    for error in [
        client.get_export().export_arn(&arn).send().await.unwrap_err().code(),
        client.delete_export().export_arn(&arn).send().await.unwrap_err().code(),
        client
            .list_executions()
            .export_arn(&arn)
            .send()
            .await
            .unwrap_err()
            .code(),
    ] {
        assert_eq!(error, Some("ResourceNotFoundException"));
    }
}

const FIELDS: &str = "select line_item_usage_amount from COST_AND_USAGE_REPORT where line_item_usage_amount > 0";

#[tokio::test]
async fn exports_are_listed_in_pages_and_for_their_account_alone() {
    let (sandbox, key) = billing().await;
    for number in 0..7 {
        let export = DataExportSpec::cur2(&format!("e{number}"), BUCKET, "p");
        sandbox.register_export(PAYER, &export).unwrap();
    }
    let client = client(&sandbox, &key);
    let first = client.list_exports().max_results(5).send().await.unwrap();
    assert_eq!((first.exports().len(), first.next_token().is_some()), (5, true));
    let second = client
        .list_exports()
        .max_results(5)
        .set_next_token(first.next_token)
        .send()
        .await
        .unwrap();
    assert_eq!((second.exports().len(), second.next_token()), (2, None));
    let names: Vec<_> = second.exports().iter().map(|export| export.export_name()).collect();
    assert_eq!(names, ["e5", "e6"]);
    assert!(client.list_exports().send().await.unwrap().next_token().is_some());
    for request in [
        client.list_exports().max_results(301),
        client.list_exports().next_token("x"),
    ] {
        assert_eq!(request.send().await.unwrap_err().code(), Some("ValidationException"));
    }
    let root = sandbox.create_root_access_key(super::super::LINKED).unwrap();
    let linked = client_in(&sandbox, &root, "us-east-1");
    assert_eq!(linked.list_exports().send().await.unwrap().exports().len(), 0);
    let arn = second.exports()[0].export_arn();
    let error = linked.get_export().export_arn(arn).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let again = sandbox.register_export(PAYER, &DataExportSpec::cur2("e1", BUCKET, "p"));
    assert!(again.unwrap_err().to_string().contains("already exists"));
    let nowhere = sandbox.register_export(PAYER, &DataExportSpec::cur2("n", "no-such-bucket", "p"));
    assert!(nowhere.unwrap_err().to_string().contains("bucket no-such-bucket"));
}

#[tokio::test]
async fn what_aws_does_not_accept() {
    let (sandbox, key) = billing().await;
    sandbox.create_bucket(PAYER, "closed-bucket", "us-east-1").unwrap();
    let client = client(&sandbox, &key);
    let cases = [
        (
            Wanted {
                query: "SELECT * FROM COST_AND_USAGE_REPORT",
                ..GOOD
            },
            "SELECT * is not supported",
        ),
        (
            Wanted {
                properties: &[],
                ..GOOD
            },
            "not a subset of the table COST_AND_USAGE_REPORT",
        ),
        (
            Wanted {
                query: "SELECT Line_item_usage_amount FROM COST_AND_USAGE_REPORT",
                ..GOOD
            },
            "not a subset",
        ),
        (
            Wanted {
                query: "SELECT discount AS a/b FROM COST_AND_USAGE_REPORT",
                ..GOOD
            },
            "Invalid QueryStatement",
        ),
        (
            Wanted {
                query: "SELECT tags FROM COST_AND_USAGE_REPORT GROUP BY tags",
                ..GOOD
            },
            "Invalid QueryStatement",
        ),
        (
            Wanted {
                query: "SELECT tags FROM NOWHERE",
                ..GOOD
            },
            "NOWHERE",
        ),
        (
            Wanted {
                properties: &[("INCLUDE_RESOURCES", "YES")],
                ..GOOD
            },
            "INCLUDE_RESOURCES",
        ),
        (
            Wanted {
                table: "FOCUS_1_2_AWS",
                ..GOOD
            },
            "table configurations are for",
        ),
        (
            Wanted {
                name: "not good",
                ..GOOD
            },
            "export.name",
        ),
        (
            Wanted {
                compression: CompressionOption::Gzip,
                ..GOOD
            },
            "GZIP",
        ),
        (
            Wanted {
                bucket: "no-such-bucket",
                ..GOOD
            },
            "does not exist",
        ),
        (
            Wanted {
                region: "eu-west-1",
                ..GOOD
            },
            "Region eu-west-1",
        ),
        (
            Wanted {
                bucket: "closed-bucket",
                ..GOOD
            },
            "no permission",
        ),
    ];
    for (wanted, words) in cases {
        let (code, message) = wanted.refused(&client).await;
        assert_eq!(code, "ValidationException", "{message}");
        assert!(message.contains(words), "{message} should say {words}");
    }
    let bad = Wanted {
        name: "not good",
        ..GOOD
    }
    .export();
    let error = client
        .create_export()
        .export(bad)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let CreateExportError::ValidationException(invalid) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        invalid.reason(),
        Some(&ValidationExceptionReason::FieldValidationFailed)
    );
    assert_eq!(invalid.fields()[0].name(), "export.name");

    GOOD.create(&client).await;
    let (code, message) = GOOD.refused(&client).await;
    assert_eq!(code, "ValidationException");
    assert!(message.contains("already exists"), "{message}");
    FOCUS.create(&client).await;
    Wanted {
        name: "focus-2",
        ..FOCUS
    }
    .create(&client)
    .await;
    let error = client.create_export().export(
        Wanted {
            name: "focus-3",
            ..FOCUS
        }
        .export(),
    );
    let error = error.send().await.unwrap_err().into_service_error();
    assert!(error.is_service_quota_exceeded_exception(), "{error:?}");
}

#[tokio::test]
async fn each_action_is_asked_of_the_policies() {
    let (sandbox, key) = billing().await;
    let may = client(&sandbox, &key);
    let arn = GOOD.create(&may).await;
    let execution = may
        .list_executions()
        .export_arn(&arn)
        .send()
        .await
        .unwrap()
        .executions()[0]
        .execution_id()
        .to_owned();
    let actions = [
        "bcm-data-exports:ListExports",
        "bcm-data-exports:GetExport",
        "bcm-data-exports:CreateExport",
        "bcm-data-exports:UpdateExport",
        "bcm-data-exports:DeleteExport",
        "bcm-data-exports:ListExecutions",
        "bcm-data-exports:GetExecution",
        "bcm-data-exports:GetTable",
        "bcm-data-exports:ListTables",
        "cur:PutReportDefinition",
    ];
    for (number, action) in actions.into_iter().enumerate() {
        let key = user(&sandbox, PAYER, &format!("u{number}"), Some(&all_but(action)));
        let client = client(&sandbox, &key);
        let update = client.update_export().export_arn(&arn).export(GOOD.export());
        let table = client.get_table().table_name(GOOD.table);
        let run = client.get_execution().export_arn(&arn).execution_id(&execution);
        let outcomes = [
            (
                "bcm-data-exports:ListExports",
                refusal(client.list_exports().send().await),
            ),
            (
                "bcm-data-exports:GetExport",
                refusal(client.get_export().export_arn(&arn).send().await),
            ),
            ("bcm-data-exports:UpdateExport", refusal(update.send().await)),
            (
                "bcm-data-exports:ListExecutions",
                refusal(client.list_executions().export_arn(&arn).send().await),
            ),
            ("bcm-data-exports:GetExecution", refusal(run.send().await)),
            ("bcm-data-exports:GetTable", refusal(table.send().await)),
            (
                "bcm-data-exports:ListTables",
                refusal(client.list_tables().send().await),
            ),
            // Fails in any case: the name is taken.
            (
                "bcm-data-exports:CreateExport",
                refusal(client.create_export().export(GOOD.export()).send().await),
            ),
        ];
        for (asked, refused) in outcomes {
            let needs = asked == action || (action == "cur:PutReportDefinition" && asked.ends_with("ateExport"));
            assert_eq!(refused.is_some(), needs, "{asked} without {action}: {refused:?}");
            if let Some(message) = refused {
                assert!(
                    message.contains(&format!("is not authorized to perform: {action} ")),
                    "{message}"
                );
            }
        }
    }
    let key = user(&sandbox, PAYER, "kept", Some(&all_but("bcm-data-exports:DeleteExport")));
    let delete = client(&sandbox, &key).delete_export().export_arn(&arn);
    assert!(
        refusal(delete.send().await)
            .unwrap()
            .contains("bcm-data-exports:DeleteExport")
    );
}

/// AWS's sentence if the call was refused by the policies.
fn refusal<T, E>(outcome: Result<T, aws_sdk_bcmdataexports::error::SdkError<E>>) -> Option<String>
where
    E: ProvideErrorMetadata,
{
    let error = outcome.err()?;
    (error.code() == Some("AccessDeniedException")).then(|| error.message().unwrap().to_owned())
}
