#![allow(clippy::unwrap_used, clippy::panic)]

mod layouts;

use std::fs;
use std::path::Path as FilePath;

use farthing_engine::error::Error as EngineError;
use farthing_engine::port::AccountConnector;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStoreExt, PutPayload};
use tempfile::TempDir;

use super::*;
use crate::{AwsConnector, AwsSettings, KeyFileVault};

const FILE: &str = "BILLING_PERIOD=2026-07/2026-07-11T16:16:37.516Z-a724c92c/e-00001.snappy.parquet";

async fn connector(folder: &FilePath) -> AwsConnector {
    let vault = KeyFileVault::open(Arc::new(InMemory::new()), &folder.join("vault.key"))
        .await
        .unwrap();
    AwsConnector::try_new(AwsSettings::new(None), Arc::new(vault)).unwrap()
}

fn write(root: &FilePath, key: &str, text: &str) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn location(root: &FilePath, prefix: &str, name: &str) -> ExportLocation {
    ExportLocation {
        root: LocationRoot::Folder(root.to_owned()),
        prefix: prefix.to_owned(),
        export_name: name.to_owned(),
        layout: DeliveryLayout::default(),
    }
}

fn manifest_text(base: &str) -> String {
    format!("{{\"executionId\": \"x1\", \"dataFiles\": [\"s3://aws-bucket/{base}/data/{FILE}\"]}}")
}

fn period(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

/// An export folder as it lies after a copy from S3, in a folder of its own.
fn exported() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(
        folder.path(),
        "e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json",
        &manifest_text("billing/e"),
    );
    write(
        folder.path(),
        "e/metadata/billing_period=2026-06/Manifest.json",
        "{\"dataFiles\": []}",
    );
    write(
        folder.path(),
        "e/metadata/date=2026-06-01/e-Manifest.json",
        "{\"dataFiles\": []}",
    );
    write(folder.path(), "e/metadata/BILLING_PERIOD=2026-99/e-Manifest.json", "{}");
    write(folder.path(), &format!("e/data/{FILE}"), "rows of the month");
    write(folder.path(), "other/metadata/readme.txt", "x");
    folder
}

#[tokio::test]
async fn a_folder_is_probed_fetched_and_read() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    let location = location(folder.path(), "", "e");
    let report = source.probe(&location, &Credential::Absent).await.unwrap();
    assert_eq!(report.periods, [period("2026-06"), period("2026-07")]);
    assert_eq!(report.region, None);
    assert!(report.folders_nearby.is_empty());

    let ManifestAnswer::Found(found) = source
        .fetch_manifest(&location, &Credential::Absent, period("2026-07"), None)
        .await
        .unwrap()
    else {
        panic!("no manifest");
    };
    assert_eq!(found.key, "e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json");
    assert_eq!(found.manifest.execution_id.as_deref(), Some("x1"));
    assert_eq!(found.manifest.files, [format!("e/data/{FILE}")]);

    // The key of the file, with its colons and equals signs, is read as it stands in the manifest.
    let store = source.open(&location, &Credential::Absent).await.unwrap();
    let path = Path::parse(&found.manifest.files[0]).unwrap();
    assert_eq!(path.as_ref(), found.manifest.files[0]);
    let result = store.get(&path).await.unwrap();
    assert_eq!(result.meta.location, path);
    let e_tag = result.meta.e_tag.clone().unwrap();
    assert_eq!(result.bytes().await.unwrap(), "rows of the month");
    assert_eq!(store.get_range(&path, 0..4).await.unwrap(), "rows");
    let listed: Vec<_> = store.list(Some(&Path::from("e/data"))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].location, path);

    // Replaced while pinned.
    write(folder.path(), &found.manifest.files[0], "other rows, other length");
    let pinned = GetOptions {
        if_match: Some(e_tag),
        ..GetOptions::default()
    };
    let error = store.get_opts(&path, pinned).await.unwrap_err();
    assert!(matches!(error, object_store::Error::Precondition { .. }), "{error:?}");
    assert_eq!(engine_error(&error).kind(), ErrorKind::SnapshotReplaced);
}

fn engine_error(error: &object_store::Error) -> &EngineError {
    std::error::Error::source(error)
        .unwrap()
        .downcast_ref::<EngineError>()
        .unwrap()
}

#[tokio::test]
async fn an_unchanged_manifest_is_not_read_again() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    let location = location(folder.path(), "", "e");
    for (month, key) in [
        ("2026-07", "e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json"),
        ("2026-06", "e/metadata/billing_period=2026-06/Manifest.json"),
    ] {
        let fetch = async |known: Option<String>| {
            source
                .fetch_manifest(&location, &Credential::Absent, period(month), known.as_deref())
                .await
                .unwrap()
        };
        let ManifestAnswer::Found(first) = fetch(None).await else {
            panic!("no manifest of {month}");
        };
        assert_eq!(first.key, key);
        assert!(matches!(
            fetch(Some(first.e_tag.clone())).await,
            ManifestAnswer::Unchanged
        ));
        write(folder.path(), key, "{\"executionId\": \"x2\", \"dataFiles\": []}");
        let ManifestAnswer::Found(second) = fetch(Some(first.e_tag.clone())).await else {
            panic!("the new manifest of {month} was not seen");
        };
        assert_ne!(second.e_tag, first.e_tag);
        assert_eq!(second.manifest.execution_id.as_deref(), Some("x2"));
        fs::remove_file(folder.path().join(key)).unwrap();
        assert!(matches!(fetch(Some(second.e_tag)).await, ManifestAnswer::Absent));
    }
    let answer = source
        .fetch_manifest(&location, &Credential::Absent, period("2020-01"), None)
        .await
        .unwrap();
    assert!(matches!(answer, ManifestAnswer::Absent));
}

#[tokio::test]
async fn a_broken_manifest_names_itself() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    write(
        folder.path(),
        "e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json",
        "{\"dataFiles\": [",
    );
    let location = location(folder.path(), "", "e");
    let error = source
        .fetch_manifest(&location, &Credential::Absent, period("2026-07"), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenDelivery);
    assert!(
        error
            .message()
            .contains("e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json"),
        "{error}"
    );
    // Connecting to it is allowed; the import will tell.
    assert!(source.probe(&location, &Credential::Absent).await.is_ok());
}

#[tokio::test]
async fn nothing_delivered_is_a_report_with_the_folders_nearby() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    for (prefix, name, nearby) in [
        ("", "wrong", vec!["e", "other"]),
        ("wrong/prefix", "e", vec!["e", "other"]),
        ("e", "wrong", vec!["e/data", "e/metadata"]),
    ] {
        let report = source
            .probe(&location(folder.path(), prefix, name), &Credential::Absent)
            .await
            .unwrap();
        assert!(report.periods.is_empty());
        assert_eq!(report.folders_nearby, nearby, "{prefix} {name}");
    }
}

#[tokio::test]
async fn a_partition_without_manifest_is_not_delivered() {
    let folder = TempDir::new().unwrap();
    write(
        folder.path(),
        "p/e/metadata/BILLING_PERIOD=2026-07/e-create-table.sql",
        "x",
    );
    write(
        folder.path(),
        "p/e/metadata/BILLING_PERIOD=2026-06/e-Manifest.json",
        "{\"dataFiles\": []}",
    );
    let source = connector(folder.path()).await.export_source();
    let report = source
        .probe(&location(folder.path(), "p", "e"), &Credential::Absent)
        .await
        .unwrap();
    assert_eq!(report.periods, [period("2026-06")]);
}

#[tokio::test]
async fn bad_locations_are_refused() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    let gone = folder.path().join("gone");
    let file = folder.path().join(format!("e/data/{FILE}"));
    for (root, prefix, name, kind) in [
        (gone.as_path(), "", "e", ErrorKind::Missing),
        (file.as_path(), "", "e", ErrorKind::Missing),
        (FilePath::new("relative"), "", "e", ErrorKind::BadValue),
        (folder.path(), "..", "e", ErrorKind::BadValue),
        (folder.path(), "a/../b", "e", ErrorKind::BadValue),
        (folder.path(), "/etc", "e", ErrorKind::BadValue),
        (folder.path(), "", "..", ErrorKind::BadValue),
        (folder.path(), "", "a/b", ErrorKind::BadValue),
        (folder.path(), "", "", ErrorKind::BadValue),
        (folder.path(), "a\nb", "e", ErrorKind::BadValue),
    ] {
        let location = location(root, prefix, name);
        let error = source.probe(&location, &Credential::Absent).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{location:?}: {error}");
        assert!(error.hint().is_some(), "{error:?}");
        assert_eq!(
            source.open(&location, &Credential::Absent).await.unwrap_err().kind(),
            kind
        );
    }
}

#[tokio::test]
async fn keys_cannot_leave_the_folder() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "outside.txt", "outside");
    write(folder.path(), "root/e/inside.txt", "inside");
    let source = connector(folder.path()).await.export_source();
    let store = source
        .open(&location(&folder.path().join("root"), "", "e"), &Credential::Absent)
        .await
        .unwrap();
    assert_eq!(
        store
            .get(&Path::from("e/inside.txt"))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        "inside"
    );
    assert!(Path::parse("../outside.txt").is_err());
    for way in [
        Path::from("../outside.txt"),
        Path::from("e/../../outside.txt"),
        Path::from("%2E%2E/outside.txt"),
    ] {
        let error = store.get(&way).await.unwrap_err();
        assert!(matches!(error, object_store::Error::NotFound { .. }), "{error:?}");
        assert_eq!(engine_error(&error).kind(), ErrorKind::Missing);
    }
}

#[tokio::test]
async fn an_open_store_cannot_be_written() {
    let folder = exported();
    let source = connector(folder.path()).await.export_source();
    let store = source
        .open(&location(folder.path(), "", "e"), &Credential::Absent)
        .await
        .unwrap();
    let (file, new) = (Path::parse(format!("e/data/{FILE}")).unwrap(), Path::from("e/new"));
    let errors = [
        store.put(&new, PutPayload::from_static(b"x")).await.unwrap_err(),
        store.put_multipart(&new).await.unwrap_err(),
        store.copy(&file, &new).await.unwrap_err(),
        store.copy_if_not_exists(&file, &new).await.unwrap_err(),
        store.rename(&file, &new).await.unwrap_err(),
        store.delete(&file).await.unwrap_err(),
    ];
    for error in &errors {
        assert!(matches!(error, object_store::Error::NotSupported { .. }), "{error:?}");
        assert_eq!(engine_error(error).kind(), ErrorKind::Unsupported);
    }
    assert!(folder.path().join(file.as_ref()).exists() && !folder.path().join("e/new").exists());
}

#[tokio::test]
async fn buckets_need_a_key_and_a_possible_name() {
    let folder = TempDir::new().unwrap();
    let connector = connector(folder.path()).await;
    let source = connector.export_source();
    let bucket = |name: &str| ExportLocation {
        root: LocationRoot::Bucket {
            name: name.to_owned(),
            region: None,
        },
        prefix: "p".to_owned(),
        export_name: "e".to_owned(),
        layout: DeliveryLayout::default(),
    };
    let error = source
        .probe(&bucket("billing-bucket"), &Credential::Absent)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials);
    assert_eq!(
        connector.identify(&Credential::Absent).await.unwrap_err().kind(),
        ErrorKind::BadCredentials
    );
    let key = Credential::Inline(farthing_engine::port::AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPLE1".to_owned(),
        secret_access_key: farthing_engine::secret::SecretString::new("not-a-real-secret"),
        session_token: None,
    });
    for name in [
        "",
        "ab",
        "UPPER",
        "a_b",
        "a..b",
        "-ab",
        "ab-",
        "evil.example/x",
        "b@evil",
        &"x".repeat(64),
    ] {
        let error = source.probe(&bucket(name), &key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{name}");
    }
    // Opening asks nothing of AWS, and what it gives does not print the key.
    let store = source.open(&bucket("billing-bucket"), &key).await.unwrap();
    let shown = format!("{store:?} {store} {source:?} {connector:?}");
    assert!(
        shown.contains("s3://billing-bucket") && !shown.contains("AKIA") && !shown.contains("not-a-real"),
        "{shown}"
    );
    let gone = Credential::Stored(SecretRef {
        name: "aws/012345678901".to_owned(),
        version: 1,
    });
    let error = source.open(&bucket("billing-bucket"), &gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}

#[test]
fn the_newest_manifest_is_chosen_where_none_has_the_export_name() {
    let location = location(FilePath::new("/x"), "p", "e");
    let object = |key: &str, seconds: i64| ListedObject {
        key: format!("p/e/metadata/BILLING_PERIOD=2026-07/{key}"),
        size: 1,
        e_tag: None,
        last_modified: DateTime::from_timestamp(seconds, 0).unwrap(),
    };
    let folder = "p/e/metadata/BILLING_PERIOD=2026-07/";
    for (objects, expected) in [
        (vec![], None),
        (vec![object("e-create-table.sql", 9)], None),
        (
            vec![object("Manifest.json", 1), object("x-Manifest.json", 2)],
            Some("x-Manifest.json"),
        ),
        (
            vec![object("e-Manifest.json", 1), object("x-Manifest.json", 2)],
            Some("e-Manifest.json"),
        ),
    ] {
        let chosen = layout::choose_manifest(&location, folder, &objects).map(|object| object.key.clone());
        assert_eq!(chosen, expected.map(|name| format!("{folder}{name}")));
    }
}

/// A legacy report as AWS lays it out, with the folder of a period whose end is not that of the month, and the Athena part.
#[tokio::test]
async fn legacy_reports_are_found_in_both_of_their_places() {
    let folder = TempDir::new().unwrap();
    let manifest = |files: &str| format!("{{\"assemblyId\": \"a1\", \"bucket\": \"b\", \"reportKeys\": [{files}]}}");
    let parquet = "\"aws/p/r/r/year=2026/month=7/r-00001.snappy.parquet\"";
    write(folder.path(), "r/20260701-20260801/r-Manifest.json", &manifest(parquet));
    write(folder.path(), "r/20260701-20260801/r-RedshiftManifest.json", "{}");
    // As the user guide prints the end, and a run of its own below.
    let run = "\"aws/p/r/20260601-20260630/20260702T010203Z/r-1.csv.gz\"";
    write(folder.path(), "r/20260601-20260630/Manifest.json", &manifest(run));
    write(
        folder.path(),
        "r/20260601-20260630/20260702T010203Z/r-Manifest.json",
        "{}",
    );
    write(folder.path(), "r/cost_and_usage_data_status/status.parquet", "x");
    write(
        folder.path(),
        "r/r/year=2026/month=5/r-Manifest.json",
        &manifest("\"\""),
    );
    let source = connector(folder.path()).await.export_source();
    let location = location(folder.path(), "", "r");
    let report = source.probe(&location, &Credential::Absent).await.unwrap();
    assert_eq!(report.layout, DeliveryLayout::LegacyReport);
    assert_eq!(report.periods, [period("2026-06"), period("2026-07")]);
    let legacy = ExportLocation {
        layout: report.layout,
        ..location.clone()
    };
    for (month, key, file) in [
        (
            "2026-07",
            "r/20260701-20260801/r-Manifest.json",
            "r/r/year=2026/month=7/r-00001.snappy.parquet",
        ),
        (
            "2026-06",
            "r/20260601-20260630/Manifest.json",
            "r/20260601-20260630/20260702T010203Z/r-1.csv.gz",
        ),
    ] {
        let answer = source
            .fetch_manifest(&legacy, &Credential::Absent, period(month), None)
            .await
            .unwrap();
        let ManifestAnswer::Found(found) = answer else {
            panic!("no manifest of {month}");
        };
        assert_eq!(found.key, key);
        assert_eq!(found.manifest.files, [file]);
    }
    let absent = source
        .fetch_manifest(&legacy, &Credential::Absent, period("2026-04"), None)
        .await
        .unwrap();
    assert!(matches!(absent, ManifestAnswer::Absent));

    // Without the folders of periods, those of Athena tell.
    std::fs::remove_dir_all(folder.path().join("r/20260701-20260801")).unwrap();
    std::fs::remove_dir_all(folder.path().join("r/20260601-20260630")).unwrap();
    write(
        folder.path(),
        "r/r/year=2026/month=7/r-Manifest.json",
        &manifest(parquet),
    );
    let report = source.probe(&legacy, &Credential::Absent).await.unwrap();
    assert_eq!(report.periods, [period("2026-05"), period("2026-07")]);

    // The other layout at the same place: each is found by its own.
    write(
        folder.path(),
        "r/metadata/BILLING_PERIOD=2026-08/r-Manifest.json",
        "{\"dataFiles\": []}",
    );
    for (asked, periods) in [
        (&location, vec![period("2026-08")]),
        (&legacy, vec![period("2026-05"), period("2026-07")]),
    ] {
        let report = source.probe(asked, &Credential::Absent).await.unwrap();
        assert_eq!((report.layout, report.periods), (asked.layout, periods));
    }
}
