#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const BUCKET: Origin<'static> = Origin {
    uri: "s3://my-bucket/p/e/metadata/m-Manifest.json",
    bucket: Some("my-bucket"),
    base_key: "p/e",
};
const FOLDER: Origin<'static> = Origin {
    bucket: None,
    base_key: "e",
    ..BUCKET
};

const DATA_EXPORT: &str = r#"{
  "executionId": "a724c92c-3d21-4a7b-b82b-6b0f33fa60f5",
  "exportArn": "arn:aws:bcm-data-exports:us-east-1:111122223333:export/e-1",
  "dataFiles": [
    "s3://my-bucket/p/e/data/BILLING_PERIOD=2025-04/2025-04-11T16:16:37.516Z-a724c92c/e-00001.snappy.parquet",
    "s3://my-bucket/p//e/data/BILLING_PERIOD=2025-04/e-00002.snappy.parquet",
    "p/e/data/100% + ä.parquet"
  ],
  "columns": [
    {"name": "line_item_unblended_cost", "type": "double"},
    {"name": "product", "type": "map"},
    {"name": "untyped"}
  ],
  "additionalOutputFiles": []
}"#;

const LEGACY: &str = r#"{
  "assemblyId": "20230903T040211Z", "account": "111122223333",
  "columns": [
    {"category": "identity", "name": "LineItemId", "type": "String"},
    {"category": "lineItem", "name": "UnblendedCost", "type": "BigDecimal"},
    {"category": "resourceTags", "name": "user:team"}
  ],
  "contentType": "text/csv", "compression": "GZIP", "bucket": "my-bucket",
  "billingPeriod": {"start": "20230901T000000.000Z", "end": "20231001T000000.000Z"},
  "reportKeys": ["p/e/20230901-20231001/20230903T040211Z/e-00001.csv.gz"],
  "additionalArtifactKeys": []
}"#;

fn names(manifest: &Manifest) -> Vec<&str> {
    manifest.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn data_exports_form() {
    let manifest = parse(DATA_EXPORT.as_bytes(), &BUCKET).unwrap();
    assert_eq!(
        manifest.execution_id.as_deref(),
        Some("a724c92c-3d21-4a7b-b82b-6b0f33fa60f5")
    );
    assert_eq!(
        manifest.files,
        [
            "p/e/data/BILLING_PERIOD=2025-04/2025-04-11T16:16:37.516Z-a724c92c/e-00001.snappy.parquet",
            "p//e/data/BILLING_PERIOD=2025-04/e-00002.snappy.parquet",
            "p/e/data/100% + ä.parquet",
        ]
    );
    assert_eq!(manifest.foreign_bucket, None);
    assert_eq!(names(&manifest), ["line_item_unblended_cost", "product", "untyped"]);
    assert_eq!(manifest.columns[1].r#type, "map");
    assert_eq!(manifest.columns[2].r#type, "");
}

#[test]
fn legacy_form() {
    let manifest = parse(LEGACY.as_bytes(), &BUCKET).unwrap();
    assert_eq!(manifest.execution_id.as_deref(), Some("20230903T040211Z"));
    assert_eq!(
        manifest.files,
        ["p/e/20230901-20231001/20230903T040211Z/e-00001.csv.gz"]
    );
    assert_eq!(
        names(&manifest),
        [
            "identity/LineItemId",
            "lineItem/UnblendedCost",
            "resourceTags/user:team"
        ]
    );
    let parquet = LEGACY
        .replace("text/csv", "Parquet")
        .replace(".csv.gz", ".snappy.parquet");
    let manifest = parse(parquet.as_bytes(), &BUCKET).unwrap();
    assert_eq!(
        names(&manifest),
        [
            "identity_line_item_id",
            "line_item_unblended_cost",
            "resource_tags_user_team"
        ]
    );
}

#[test]
fn keys_of_a_copied_report_are_placed_below_it() {
    for (key, placed) in [
        (
            "old/x/20230901-20231001/run/e-00001.csv.gz",
            "e/20230901-20231001/run/e-00001.csv.gz",
        ),
        ("20230901-20231001/e-00001.csv.gz", "e/20230901-20231001/e-00001.csv.gz"),
        (
            "old/x/x/year=2023/month=9/e-00001.snappy.parquet",
            "e/x/year=2023/month=9/e-00001.snappy.parquet",
        ),
        (
            "e/e/year=2023/month=9/e-00001.snappy.parquet",
            "e/e/year=2023/month=9/e-00001.snappy.parquet",
        ),
        ("elsewhere/e-00001.snappy.parquet", "elsewhere/e-00001.snappy.parquet"),
    ] {
        let text = format!("{{\"bucket\": \"aws-bucket\", \"reportKeys\": [\"{key}\"]}}");
        assert_eq!(parse(text.as_bytes(), &FOLDER).unwrap().files, [placed]);
    }
}

/// Two names that are one in the files: AWS merges the columns.
#[test]
fn columns_that_become_one_are_named_once() {
    let text = r#"{"bucket": "my-bucket", "reportKeys": ["p/e/e/year=2023/month=9/e.snappy.parquet"], "columns": [
        {"category": "resourceTags", "name": "user:CostCenter"}, {"category": "resourceTags", "name": "user:cost_center"}]}"#;
    let manifest = parse(text.as_bytes(), &BUCKET).unwrap();
    assert_eq!(names(&manifest), ["resource_tags_user_cost_center"]);
}

#[test]
fn other_buckets_are_told_and_mapped() {
    let elsewhere = DATA_EXPORT.replace("s3://my-bucket/", "s3://aws-bucket/");
    let manifest = parse(elsewhere.as_bytes(), &BUCKET).unwrap();
    assert_eq!(manifest.foreign_bucket.as_deref(), Some("aws-bucket"));
    assert!(manifest.files[0].starts_with("p/e/data/BILLING_PERIOD=2025-04/"));
    // A replica under another prefix: the location that was connected counts.
    let moved = elsewhere.replace("/p/e/data/", "/old/data/e/data/");
    let manifest = parse(moved.as_bytes(), &BUCKET).unwrap();
    assert!(
        manifest.files[0].starts_with("p/e/data/BILLING_PERIOD=2025-04/"),
        "{:?}",
        manifest.files
    );
    let legacy = LEGACY.replace("\"bucket\": \"my-bucket\"", "\"bucket\": \"aws-bucket\"");
    assert_eq!(
        parse(legacy.as_bytes(), &BUCKET).unwrap().foreign_bucket.as_deref(),
        Some("aws-bucket")
    );
    let unnamed = LEGACY.replace("\"bucket\": \"my-bucket\"", "\"bucket\": \"\"");
    assert_eq!(parse(unnamed.as_bytes(), &BUCKET).unwrap().foreign_bucket, None);
    let partly = DATA_EXPORT.replacen("s3://my-bucket/", "s3://a-bucket/", 1);
    let mixed = partly.replace("s3://my-bucket/", "s3://b-bucket/");
    for several in [partly, mixed] {
        assert_eq!(
            parse(several.as_bytes(), &BUCKET).unwrap_err().kind(),
            ErrorKind::BrokenDelivery
        );
    }
}

#[test]
fn folders_hold_copies_whatever_the_bucket_was() {
    let manifest = parse(DATA_EXPORT.as_bytes(), &FOLDER).unwrap();
    assert_eq!(manifest.foreign_bucket, None);
    assert!(
        manifest.files[0].starts_with("e/data/BILLING_PERIOD=2025-04/"),
        "{:?}",
        manifest.files
    );
}

#[test]
fn an_empty_delivery_is_a_manifest() {
    let manifest = parse(br#"{"dataFiles": []}"#, &BUCKET).unwrap();
    assert!(manifest.files.is_empty() && manifest.columns.is_empty());
    assert_eq!(manifest.execution_id, None);
}

#[test]
fn everything_else_is_a_broken_delivery() {
    let many = format!("{{\"dataFiles\": [{}\"k\"]}}", "\"k\",".repeat(MAX_FILES));
    let wide = format!(
        "{{\"dataFiles\": [], \"columns\": [{}{{\"name\":\"c\"}}]}}",
        "{\"name\":\"c\"},".repeat(MAX_COLUMNS)
    );
    let deep = format!("{{\"dataFiles\": {}", "[".repeat(100_000));
    for text in [
        "",
        "null",
        "[]",
        "[null,[],null,null,null,null,null]",
        "{}",
        "{\"dataFiles\": null}",
        "{\"dataFiles\": \"s3://my-bucket/k\"}",
        "{\"dataFiles\": [7]}",
        "{\"dataFiles\": [\"\"]}",
        "{\"dataFiles\": [\"s3://my-bucket\"]}",
        "{\"dataFiles\": [\"s3://my-bucket/\"]}",
        "{\"dataFiles\": [\"folder/\"]}",
        "{\"dataFiles\": [\"a\\u0000b\"]}",
        "{\"dataFiles\": [], \"columns\": 7}",
        "{\"dataFiles\": [], \"columns\": [{\"type\": \"string\"}]}",
        "{\"dataFiles\": [],",
        "<html></html>",
        &many,
        &wide,
        &deep,
    ] {
        let error = parse(text.as_bytes(), &BUCKET).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::BrokenDelivery,
            "{}",
            &text[..text.len().min(80)]
        );
        assert!(error.message().contains(BUCKET.uri), "{error}");
    }
    let large = vec![b' '; MAX_BYTES + 1];
    assert_eq!(parse(&large, &BUCKET).unwrap_err().kind(), ErrorKind::BrokenDelivery);
}

#[test]
fn athena_names() {
    for (from, to) in [
        ("LineItemId", "line_item_id"),
        ("user:Cost Center", "user_cost_center"),
        ("already_snake", "already_snake"),
        ("__x__", "x"),
        ("", ""),
    ] {
        assert_eq!(athena_name(from), to);
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_manifest_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes, &BUCKET);
        let _ = parse(&bytes, &FOLDER);
    }

    #[test]
    fn any_damage_to_a_manifest_gives_a_manifest_or_an_error(
        legacy in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if legacy { LEGACY } else { DATA_EXPORT }.as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        for origin in [&BUCKET, &FOLDER] {
            match parse(&bytes, origin) {
                Ok(manifest) => prop_assert!(manifest.files.iter().all(|key| !key.is_empty())),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::BrokenDelivery),
            }
        }
    }

    #[test]
    fn keys_come_back_raw(key in "[a-zA-Z0-9:=%+ /._~ä-]{1,60}[a-z]") {
        let text = serde_json::json!({"dataFiles": [format!("s3://my-bucket/{key}")]}).to_string();
        let manifest = parse(text.as_bytes(), &BUCKET).unwrap();
        prop_assert_eq!(&manifest.files, &[key]);
    }
}
