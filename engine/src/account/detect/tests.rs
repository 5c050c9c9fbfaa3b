#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::verdict::judge;
use super::*;
use crate::port::{Destination, ExportDefinition, ExportHealth};

const QUERY: &str = "SELECT bill_payer_account_id, line_item_usage_account_id, line_item_line_item_type, \
                     line_item_usage_start_date, line_item_unblended_cost, line_item_currency_code, product \
                     FROM COST_AND_USAGE_REPORT";

fn export(name: &str) -> PresentExport {
    let settings = [("TIME_GRANULARITY", "HOURLY"), ("INCLUDE_RESOURCES", "TRUE")];
    let settings: BTreeMap<String, String> = settings.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    PresentExport {
        arn: format!("arn:aws:bcm-data-exports:us-east-1:111122223333:export/{name}-0"),
        definition: ExportDefinition {
            service: ExportService::DataExports,
            name: name.to_owned(),
            description: String::new(),
            query: QUERY.to_owned(),
            table_configurations: BTreeMap::from([("COST_AND_USAGE_REPORT".to_owned(), settings)]),
            destination: Destination {
                bucket: "billing".to_owned(),
                bucket_owner: None,
                prefix: "/exports/".to_owned(),
                region: "eu-west-1".to_owned(),
                format: "PARQUET".to_owned(),
                compression: "PARQUET".to_owned(),
                overwrite: "OVERWRITE_REPORT".to_owned(),
                output_type: "CUSTOM".to_owned(),
                artifacts: Vec::new(),
            },
        },
        health: ExportHealth {
            status: Some("HEALTHY".to_owned()),
            ..ExportHealth::default()
        },
    }
}

fn setting(export: &mut PresentExport, key: &str, value: Option<&str>) {
    let settings = export.definition.table_configurations.values_mut().next().unwrap();
    match value {
        Some(value) => drop(settings.insert(key.to_owned(), value.to_owned())),
        None => drop(settings.remove(key)),
    }
}

fn detection(exports: Vec<PresentExport>) -> Detection {
    Detection {
        account: "111122223333".parse().unwrap(),
        detected_at: DateTime::from_timestamp(0, 0).unwrap(),
        candidates: exports.into_iter().map(judge).collect(),
    }
}

fn report(export: &mut PresentExport, format: &str, status: Option<&str>) {
    export.definition.service = ExportService::Cur;
    export.definition.destination.format = format.to_owned();
    export.health.status = status.map(str::to_owned);
}

#[test]
fn each_verdict_has_its_reason() {
    type Change = fn(&mut PresentExport);
    let cases: [(Change, Verdict, &str); 14] = [
        (
            |_| {},
            Verdict::Fits,
            "CUR 2.0, Parquet, hourly, with resource ids, overwritten in place.",
        ),
        (
            |e| e.definition.destination.overwrite = "CREATE_NEW_REPORT".to_owned(),
            Verdict::Fits,
            "a new folder for each delivery",
        ),
        (
            |e| setting(e, "INCLUDE_RESOURCES", Some("FALSE")),
            Verdict::Limited,
            "no resource ids",
        ),
        (
            |e| setting(e, "TIME_GRANULARITY", Some("MONTHLY")),
            Verdict::Limited,
            "monthly",
        ),
        (|e| report(e, "Parquet", None), Verdict::Limited, "legacy"),
        (|e| report(e, "textORcsv", None), Verdict::Limited, "legacy"),
        (|e| report(e, "ORC", None), Verdict::Unfit, "ORC"),
        (
            |e| report(e, "Parquet", Some("ERROR_NO_BUCKET")),
            Verdict::Unfit,
            "its bucket is gone",
        ),
        (
            |e| {
                let settings = e
                    .definition
                    .table_configurations
                    .remove("COST_AND_USAGE_REPORT")
                    .unwrap();
                e.definition
                    .table_configurations
                    .insert("FOCUS_1_2_AWS".to_owned(), settings);
            },
            Verdict::Unfit,
            "leaves out BillingAccountId, SubAccountId",
        ),
        (
            |e| {
                let tables = &mut e.definition.table_configurations;
                tables.clear();
                tables.insert("FOCUS_1_0_AWS".to_owned(), BTreeMap::new());
                e.definition.query =
                    "SELECT BillingAccountId, SubAccountId, ChargeCategory, ChargePeriodStart, BilledCost, \
                                      EffectiveCost, BillingCurrency FROM FOCUS_1_0_AWS"
                        .to_owned();
            },
            Verdict::Limited,
            "it is FOCUS, which has no costs before discounts",
        ),
        (
            |e| e.definition.destination.format = "TEXT_OR_CSV".to_owned(),
            Verdict::Fits,
            "CUR 2.0, CSV, hourly",
        ),
        (
            |e| {
                e.health.status = Some("UNHEALTHY".to_owned());
                e.health.reason = Some("INSUFFICIENT_PERMISSION".to_owned());
            },
            Verdict::Unfit,
            "bucket policy",
        ),
        (
            |e| e.definition.query = e.definition.query.replace("line_item_unblended_cost, ", ""),
            Verdict::Unfit,
            "line_item_unblended_cost",
        ),
        // What is not understood is left to the files.
        (
            |e| e.definition.query = "TABLE of costs".to_owned(),
            Verdict::Fits,
            "CUR 2.0",
        ),
    ];
    for (change, verdict, words) in cases {
        let mut export = export("main");
        change(&mut export);
        let candidate = judge(export);
        assert_eq!(candidate.verdict, verdict, "{}", candidate.reason);
        assert!(candidate.reason.contains(words), "{words}: {}", candidate.reason);
    }
}

#[test]
fn a_single_fit_is_taken_and_several_are_not() {
    let mut limited = export("no-ids");
    setting(&mut limited, "INCLUDE_RESOURCES", None);
    let one = detection(vec![export("main"), limited.clone()]);
    let chosen = one.choose(None).unwrap().resolve().unwrap();
    assert_eq!(chosen.uri(), "s3://billing/exports/main");
    assert_eq!(
        one.choose(Some("no-ids")).unwrap().export_name.as_deref(),
        Some("no-ids")
    );

    let several = detection(vec![export("main"), export("other")]);
    let error = several.choose(None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("location => 's3://billing/exports/main'")
            && hint.contains("location => 's3://billing/exports/other'"),
        "{hint}"
    );
    assert_eq!(
        several.choose(Some("other")).unwrap().export_name.as_deref(),
        Some("other")
    );

    let none = detection(vec![limited]).choose(None).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Missing);
    assert!(none.hint().unwrap().contains("s3://billing/exports/no-ids"), "{none:?}");
    let unknown = several.choose(Some("nothing")).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Missing);
    assert!(unknown.to_string().contains("nothing"));
    assert!(
        detection(Vec::new())
            .choose(None)
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("create_aws_export")
    );
}
