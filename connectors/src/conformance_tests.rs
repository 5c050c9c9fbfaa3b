//! The ports against an AWS that checks signatures and policies, over sockets.

#![allow(clippy::unwrap_used, clippy::panic)]

mod administration_accounts;
mod administration_buckets;
mod administration_changes;
mod administration_exports;
mod administration_iam;
mod administration_organization;
mod ambient;
mod every_aws;
mod faults;
mod kms;
mod local_http;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use farthing_engine::error::{Error as EngineError, ErrorKind};
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{
    AccessKey, AccountConnector, Credential, ExportLocation, ExportSource, LocationRoot, ManifestAnswer, SecretVault,
};
use farthing_engine::secret::SecretString;
use farthing_sandbox::aws::{Fault, FaultKind, Sandbox, SandboxSpec, WrongRegion};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::{Path, PathPart};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use tempfile::TempDir;

use crate::{AwsConnector, AwsExportSource, AwsSettings, KeyFileVault};

const ACCOUNT: &str = "012345678901";
const BUCKET: &str = "billing-bucket";
const BASE: &str = "p/e";
/// A policy with exactly what the connector says that it needs.
const LEAST: &str = r#"{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::*"},
  {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*/p/e/*"}]}"#;
const LIST_ONLY: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}"#;
const GET_ONLY: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}"#;
const FULL_READ: &str = r#"{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}]}"#;
const LIST_BELOW_PREFIX: &str = r#"{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": {"StringLike": {"s3:prefix": "p/e/*"}}},
  {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*/p/e/*"}]}"#;

struct Place {
    sandbox: Sandbox,
    connector: AwsConnector,
    source: AwsExportSource,
    vault: Arc<KeyFileVault>,
    _keys: TempDir,
}

impl Place {
    async fn new() -> Self {
        Self::with(SandboxSpec::in_memory(), |settings| settings).await
    }

    async fn with(spec: SandboxSpec, change: impl Fn(AwsSettings) -> AwsSettings) -> Self {
        let sandbox = Sandbox::start(spec).await.unwrap();
        sandbox.create_account(ACCOUNT, "payer").unwrap();
        sandbox.create_bucket(ACCOUNT, BUCKET, "us-east-1").unwrap();
        let keys = TempDir::new().unwrap();
        let vault = KeyFileVault::open(Arc::new(InMemory::new()), &keys.path().join("key"))
            .await
            .unwrap();
        let vault = Arc::new(vault);
        let settings = AwsSettings {
            call_timeout: Duration::from_secs(5),
            max_attempts: 3,
            ..AwsSettings::new(Some(sandbox.endpoint()))
        };
        let connector = AwsConnector::try_new(change(settings), Arc::clone(&vault)).unwrap();
        let source = connector.export_source();
        Self {
            sandbox,
            connector,
            source,
            vault,
            _keys: keys,
        }
    }

    /// A user with this policy and the key of that user.
    fn user(&self, name: &str, policy: &str) -> Credential {
        self.sandbox.create_user(ACCOUNT, name).unwrap();
        self.sandbox.put_user_policy(ACCOUNT, name, "p", policy).unwrap();
        let key = self.sandbox.create_access_key(ACCOUNT, name).unwrap();
        Credential::Inline(access_key(&key.access_key_id, &key.secret_access_key))
    }

    async fn deliver(&self, bucket: &str, month: &str, run: &str, rows: &str) {
        let data = data_key(month);
        self.sandbox.put_object(bucket, &data, rows.to_owned()).await.unwrap();
        let manifest = format!(
            "{{\"executionId\": \"{run}\", \"dataFiles\": [\"s3://{bucket}/{data}\"], \
             \"columns\": [{{\"name\": \"c\", \"type\": \"string\"}}]}}"
        );
        self.sandbox
            .put_object(bucket, &manifest_key(month), manifest)
            .await
            .unwrap();
    }
}

fn access_key(id: &str, secret: &str) -> AccessKey {
    AccessKey {
        access_key_id: id.to_owned(),
        secret_access_key: SecretString::new(secret),
        session_token: None,
    }
}

fn data_key(month: &str) -> String {
    format!("{BASE}/data/BILLING_PERIOD={month}/2026-07-11T16:16:37.516Z-a724c92c/e-00001.snappy.parquet")
}

fn manifest_key(month: &str) -> String {
    format!("{BASE}/metadata/BILLING_PERIOD={month}/e-Manifest.json")
}

fn at(bucket: &str) -> ExportLocation {
    located(bucket, "p", "e")
}

fn located(bucket: &str, prefix: &str, name: &str) -> ExportLocation {
    ExportLocation {
        root: LocationRoot::Bucket {
            name: bucket.to_owned(),
            region: None,
        },
        prefix: prefix.to_owned(),
        export_name: name.to_owned(),
        layout: farthing_engine::port::DeliveryLayout::default(),
    }
}

fn period(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

/// The engine's error behind one of an open store.
fn engine_error(error: &object_store::Error) -> &EngineError {
    std::error::Error::source(error)
        .unwrap()
        .downcast_ref::<EngineError>()
        .unwrap()
}

#[tokio::test]
async fn a_key_is_identified_inline_and_from_the_vault() {
    let place = Place::new().await;
    let inline = place.user("reader", LEAST);
    let identity = place.connector.identify(&inline).await.unwrap();
    assert_eq!(identity.account.as_str(), ACCOUNT);
    assert_eq!(identity.arn, format!("arn:aws:iam::{ACCOUNT}:user/reader"));

    let Credential::Inline(key) = inline else {
        unreachable!()
    };
    let stored = place.vault.put_access_key("aws/012345678901", &key).await.unwrap();
    let text = format!("{}:{}", key.access_key_id, key.secret_access_key.open());
    let as_text = place.vault.put("named/pair", &SecretString::new(text)).await.unwrap();
    for secret in [stored.clone(), as_text] {
        let found = place.connector.identify(&Credential::Stored(secret)).await.unwrap();
        assert_eq!(found, identity);
    }
    let junk = place
        .vault
        .put("named/junk", &SecretString::new("not-a-real-secret"))
        .await
        .unwrap();
    let error = place.connector.identify(&Credential::Stored(junk)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials);
    assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
    place.vault.retire(&stored).await.unwrap();
    let error = place.connector.identify(&Credential::Stored(stored)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn each_bad_key_has_its_own_words() {
    let place = Place::new().await;
    let good = place.user("reader", LEAST);
    let Credential::Inline(key) = &good else { unreachable!() };
    let wrong = Credential::Inline(access_key(
        &key.access_key_id,
        "not-a-real-secret-at-all-00000000000000",
    ));
    let unknown = Credential::Inline(access_key("AKIAFARTHINGEXAMPLE1", "not-a-real-secret"));
    let inactive = place.user("former", LEAST);
    let Credential::Inline(former) = &inactive else {
        unreachable!()
    };
    place.sandbox.deactivate_access_key(&former.access_key_id).unwrap();
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    for (credential, text) in [
        (&wrong, "secret access key does not belong"),
        (&unknown, "does not know the access key id"),
        (&inactive, "does not know the access key id"),
    ] {
        let store = place.source.open(&at(BUCKET), credential).await.unwrap();
        let read = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap_err();
        let listed = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
        for error in [
            &place.connector.identify(credential).await.unwrap_err(),
            &place.source.probe(&at(BUCKET), credential).await.unwrap_err(),
            engine_error(&read),
            engine_error(&listed),
        ] {
            assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
            assert!(error.message().contains(text), "{error}");
            assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
        }
        // Nothing of the answer, such as the signed request that AWS repeats, passes through the store's errors.
        let shown = format!("{read:?} {read} {listed:?} {listed}");
        assert!(
            !shown.contains("StringToSign") && !shown.contains("Credential="),
            "{shown}"
        );
    }

    place.sandbox.inject(Fault::new(FaultKind::ExpiredToken));
    for error in [
        place.connector.identify(&good).await.unwrap_err(),
        place.source.probe(&at(BUCKET), &good).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::BadCredentials);
        assert!(error.message().contains("expired"), "{error}");
    }
    place.sandbox.clear_faults();

    place.sandbox.clock().set_skew(TimeDelta::hours(1));
    let store = place.source.open(&at(BUCKET), &good).await.unwrap();
    let error = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap_err();
    let error = engine_error(&error);
    assert_eq!(error.kind(), ErrorKind::BadCredentials);
    assert!(error.message().contains("clock"), "{error}");
}

#[tokio::test]
async fn a_delivered_export_is_probed_with_the_least_policy() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    for month in ["2026-07", "2025-12", "2026-06"] {
        place.deliver(BUCKET, month, "x1", "rows").await;
    }
    let report = place.source.probe(&at(BUCKET), &reader).await.unwrap();
    assert_eq!(
        report.periods,
        [period("2025-12"), period("2026-06"), period("2026-07")]
    );
    assert_eq!(report.region.as_deref(), Some("us-east-1"));
    assert!(report.folders_nearby.is_empty());
    let refused = place.sandbox.requests().matching(|request| request.status >= 400);
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_location_is_told() {
    let place = Place::new().await;
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    let reader = place.user("reader", LEAST);
    let lister = place.user("lister", LIST_ONLY);
    let getter = place.user("getter", GET_ONLY);
    for (credential, bucket, kind, text) in [
        (
            &reader,
            "no-such-bucket-here",
            ErrorKind::Missing,
            "bucket \"no-such-bucket-here\" does not exist",
        ),
        (
            &getter,
            BUCKET,
            ErrorKind::AwsRefused,
            "AWS refused s3:ListBucket on arn:aws:s3:::billing-bucket",
        ),
        (
            &lister,
            BUCKET,
            ErrorKind::AwsRefused,
            "AWS refused s3:GetObject on arn:aws:s3:::billing-bucket/p/e/",
        ),
    ] {
        let error = place.source.probe(&at(bucket), credential).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.message().contains(text), "{error}");
        assert!(error.hint().is_some());
        if kind == ErrorKind::AwsRefused {
            assert!(error.detail().unwrap().contains("AccessDenied"), "{error:?}");
            assert!(error.hint().unwrap().contains("\"Effect\": \"Allow\""), "{error:?}");
        }
    }
    let store = place.source.open(&at(BUCKET), &lister).await.unwrap();
    let error = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap_err();
    assert!(
        matches!(error, object_store::Error::PermissionDenied { .. }),
        "{error:?}"
    );
    assert!(
        engine_error(&error).message().starts_with("AWS refused s3:GetObject"),
        "{error:?}"
    );
    let store = place.source.open(&at(BUCKET), &getter).await.unwrap();
    let error = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(
        matches!(error, object_store::Error::PermissionDenied { .. }),
        "{error:?}"
    );
    assert!(
        engine_error(&error).message().starts_with("AWS refused s3:ListBucket"),
        "{error:?}"
    );
    let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
    let error = store.get(&Path::from("p/e/data/gone.parquet")).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error:?}");
    let error = store.head(&Path::from("p/e/data/gone.parquet")).await.unwrap_err();
    assert_eq!(engine_error(&error).kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn connecting_early_is_a_report_with_the_folders_nearby() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    let report = place.source.probe(&at(BUCKET), &reader).await.unwrap();
    assert!(
        report.periods.is_empty() && report.folders_nearby.is_empty(),
        "{report:?}"
    );
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    place
        .sandbox
        .put_object(BUCKET, "aws-programmatic-access-test-object", "x")
        .await
        .unwrap();
    for (prefix, name, nearby) in [
        ("p", "wrong", vec!["p/e"]),
        ("wrong/deep", "e", vec!["p"]),
        ("", "e", vec!["p"]),
    ] {
        let report = place
            .source
            .probe(&located(BUCKET, prefix, name), &reader)
            .await
            .unwrap();
        assert!(report.periods.is_empty(), "{report:?}");
        assert_eq!(report.folders_nearby, nearby, "{prefix} {name}");
    }
    let answer = place
        .source
        .fetch_manifest(&at(BUCKET), &reader, period("2026-08"), None)
        .await
        .unwrap();
    assert!(matches!(answer, ManifestAnswer::Absent));
}

#[tokio::test]
async fn a_manifest_costs_one_conditional_request() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    let log = place.sandbox.requests();
    let fetch = async |known: Option<String>| {
        log.clear();
        place
            .source
            .fetch_manifest(&at(BUCKET), &reader, period("2026-07"), known.as_deref())
            .await
            .unwrap()
    };
    let ManifestAnswer::Found(first) = fetch(None).await else {
        panic!("no manifest");
    };
    assert_eq!(log.all().len(), 1, "{:?}", log.all());
    assert_eq!(first.key, manifest_key("2026-07"));
    assert_eq!(first.manifest.execution_id.as_deref(), Some("x1"));
    assert_eq!(first.manifest.files, [data_key("2026-07")]);
    assert_eq!(first.manifest.columns.len(), 1);
    assert!((place.sandbox.clock().now() - first.last_modified).num_seconds().abs() < 60);

    assert!(matches!(
        fetch(Some(first.e_tag.clone())).await,
        ManifestAnswer::Unchanged
    ));
    assert_eq!(log.all().len(), 1, "{:?}", log.all());
    assert_eq!(log.all()[0].if_none_match.as_deref(), Some(first.e_tag.as_str()));

    place.deliver(BUCKET, "2026-07", "x2", "new rows").await;
    let ManifestAnswer::Found(second) = fetch(Some(first.e_tag.clone())).await else {
        panic!("the new delivery was not seen");
    };
    assert_eq!(second.manifest.execution_id.as_deref(), Some("x2"));
    assert_ne!(second.e_tag, first.e_tag);
}

#[tokio::test]
async fn a_manifest_elsewhere_is_found_once_and_remembered() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    let key = "p/e/metadata/billing_period=2026-07/Manifest.json";
    place
        .sandbox
        .put_object(BUCKET, key, "{\"dataFiles\": []}")
        .await
        .unwrap();
    let run = "p/e/metadata/billing_period=2026-07/2026-07-11T16:16:37.516Z-a724c92c/e-Manifest.json";
    place
        .sandbox
        .put_object(BUCKET, run, "{\"dataFiles\": [\"old\"]}")
        .await
        .unwrap();
    let fetch = async || {
        place
            .source
            .fetch_manifest(&at(BUCKET), &reader, period("2026-07"), None)
            .await
            .unwrap()
    };
    let ManifestAnswer::Found(found) = fetch().await else {
        panic!("no manifest");
    };
    assert_eq!(found.key, key);
    place.sandbox.requests().clear();
    assert!(matches!(fetch().await, ManifestAnswer::Found(_)));
    assert_eq!(place.sandbox.requests().all().len(), 1);
}

#[tokio::test]
async fn a_pinned_file_is_read_until_it_is_replaced() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    place.deliver(BUCKET, "2026-07", "x1", "rows of the month").await;
    let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
    let path = Path::parse(data_key("2026-07")).unwrap();
    let meta = store.head(&path).await.unwrap();
    assert_eq!(meta.location.as_ref(), data_key("2026-07"));
    let pinned = || GetOptions {
        if_match: meta.e_tag.clone(),
        range: Some((0..4).into()),
        ..GetOptions::default()
    };
    assert_eq!(
        store.get_opts(&path, pinned()).await.unwrap().bytes().await.unwrap(),
        "rows"
    );
    let listed: Vec<_> = store.list(Some(&Path::from("p/e/data"))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].location, &listed[0].e_tag), (&path, &meta.e_tag));

    place.deliver(BUCKET, "2026-07", "x2", "other rows of the month").await;
    let error = store.get_opts(&path, pinned()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::Precondition { .. }), "{error:?}");
    let error = engine_error(&error);
    assert_eq!(error.kind(), ErrorKind::SnapshotReplaced);
    assert!(error.message().contains(&data_key("2026-07")), "{error}");
}

#[tokio::test]
async fn keys_reach_s3_as_they_stand_in_the_manifest() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
    for name in [
        "a:b=c.parquet",
        "100%.parquet",
        "a%3Ab.parquet",
        "a b+c&d.parquet",
        "ä~(1)!.parquet",
        "a'*$,;@.parquet",
    ] {
        let key = format!("{BASE}/data/{name}");
        place.sandbox.put_object(BUCKET, &key, key.clone()).await.unwrap();
        let path = Path::parse(&key).unwrap();
        assert_eq!(
            store.get(&path).await.unwrap().bytes().await.unwrap(),
            key.as_bytes(),
            "{key}"
        );
        assert_eq!(store.head(&path).await.unwrap().location.as_ref(), key);
    }
    // `Path::parse` refuses empty segments, and the store reads a path that has one: joined from its parts.
    let key = format!("{BASE}/data//x.parquet");
    place.sandbox.put_object(BUCKET, &key, "rows").await.unwrap();
    assert!(Path::parse(&key).is_err());
    let parts = key.split('/').map(|part| PathPart::parse(part).unwrap());
    let path = parts.fold(Path::default(), Path::join);
    assert_eq!(path.as_ref(), key);
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "rows");
}

#[tokio::test]
async fn a_prefix_with_a_slash_at_its_end_is_another_folder() {
    let place = Place::new().await;
    let reader = place.user("reader", FULL_READ);
    let key = "billing//e/metadata/BILLING_PERIOD=2026-07/e-Manifest.json";
    place
        .sandbox
        .put_object(BUCKET, key, "{\"dataFiles\": []}")
        .await
        .unwrap();
    let report = place
        .source
        .probe(&located(BUCKET, "billing", "e"), &reader)
        .await
        .unwrap();
    assert!(report.periods.is_empty());
    assert_eq!(report.folders_nearby, ["billing/"]);
    let report = place
        .source
        .probe(&located(BUCKET, "billing/", "e"), &reader)
        .await
        .unwrap();
    assert_eq!(report.periods, [period("2026-07")]);
}

#[tokio::test]
async fn listing_may_be_allowed_below_the_prefix_alone() {
    let place = Place::new().await;
    let reader = place.user("reader", LIST_BELOW_PREFIX);
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    let report = place.source.probe(&at(BUCKET), &reader).await.unwrap();
    assert_eq!(report.periods, [period("2026-07")]);
    // Looking around is refused there, which is no reason to fail.
    let report = place
        .source
        .probe(&located(BUCKET, "p/e", "wrong"), &reader)
        .await
        .unwrap();
    assert_eq!(report.folders_nearby, ["p/e/data", "p/e/metadata"]);
    let error = place
        .source
        .probe(&located(BUCKET, "q", "e"), &reader)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
}

#[tokio::test]
async fn listings_are_read_to_the_end() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    // More partitions than a page holds, with the one that matters last.
    for n in 0..1_050 {
        let key = format!(
            "{BASE}/metadata/BILLING_PERIOD={:04}-{:02}/x.sql",
            1900 + n / 12,
            n % 12 + 1
        );
        place.sandbox.put_object(BUCKET, &key, "x").await.unwrap();
    }
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    let report = place.source.probe(&at(BUCKET), &reader).await.unwrap();
    assert_eq!(report.periods.len(), 1_051);
    assert_eq!(report.periods.last(), Some(&period("2026-07")));
    assert_eq!(place.sandbox.requests().count("ListObjectsV2"), 2);
}

#[tokio::test]
async fn buckets_of_other_regions_are_found() {
    for wrong_region in [
        WrongRegion::PermanentRedirect,
        WrongRegion::AuthorizationHeaderMalformed,
    ] {
        let spec = SandboxSpec {
            wrong_region,
            ..SandboxSpec::in_memory()
        };
        let place = Place::with(spec, |settings| settings).await;
        let reader = place.user("reader", LEAST);
        place
            .sandbox
            .create_bucket(ACCOUNT, "bucket-of-frankfurt", "eu-central-1")
            .unwrap();
        place.deliver("bucket-of-frankfurt", "2026-07", "x1", "rows").await;
        let location = at("bucket-of-frankfurt");

        // Without a look first: the answer to the manifest's request tells.
        let other = place.connector.export_source();
        let answer = other
            .fetch_manifest(&location, &reader, period("2026-07"), None)
            .await
            .unwrap();
        assert!(matches!(answer, ManifestAnswer::Found(_)));

        // A store that was opened for the wrong Region says which one is right, or at least that it is another.
        let store = place.source.open(&location, &reader).await.unwrap();
        let error = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap_err();
        assert!(engine_error(&error).message().contains("Region"), "{error:?}");

        let report = place.source.probe(&location, &reader).await.unwrap();
        assert_eq!(report.region.as_deref(), Some("eu-central-1"));
        assert_eq!(report.periods, [period("2026-07")]);
        let store = place.source.open(&location, &reader).await.unwrap();
        let read = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), "rows");
        let told = ExportLocation {
            root: LocationRoot::Bucket {
                name: "bucket-of-frankfurt".to_owned(),
                region: Some("eu-central-1".to_owned()),
            },
            ..location
        };
        let fresh = place.connector.export_source();
        let store = fresh.open(&told, &reader).await.unwrap();
        assert!(store.head(&Path::parse(data_key("2026-07")).unwrap()).await.is_ok());
    }
}

#[test]
fn calls_run_on_the_runtime_of_sockets() {
    let sockets = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Neither timers nor sockets work here, so anything that strayed from the other runtime would panic.
    let queries = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let handle = sockets.handle().clone();
    let (place, reader) = sockets.block_on(async {
        let place = Place::with(SandboxSpec::in_memory(), move |settings| AwsSettings {
            io_runtime: Some(handle.clone()),
            ..settings
        })
        .await;
        let reader = place.user("reader", LEAST);
        place.deliver(BUCKET, "2026-07", "x1", "rows").await;
        (place, reader)
    });
    queries.block_on(async {
        assert_eq!(
            place.connector.identify(&reader).await.unwrap().account.as_str(),
            ACCOUNT
        );
        assert_eq!(place.source.probe(&at(BUCKET), &reader).await.unwrap().periods.len(), 1);
        let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
        let read = store.get(&Path::parse(data_key("2026-07")).unwrap()).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), "rows");
    });
    drop(place);
}

#[tokio::test]
async fn the_vault_also_lives_in_a_bucket() {
    let place = Place::new().await;
    let key = place.sandbox.create_root_access_key(ACCOUNT).unwrap();
    let store = object_store::aws::AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_endpoint(place.sandbox.endpoint_text())
        .with_allow_http(true)
        .with_access_key_id(key.access_key_id)
        .with_secret_access_key(key.secret_access_key)
        .build()
        .unwrap();
    let folder = TempDir::new().unwrap();
    let vault = KeyFileVault::open(Arc::new(store), &folder.path().join("key"))
        .await
        .unwrap();
    let vault = Arc::new(vault);
    let puts = (0..4).map(|n| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move {
            vault
                .put("named/x", &SecretString::new(format!("value {n}")))
                .await
                .unwrap()
        })
    });
    let mut versions = Vec::new();
    for put in puts.collect::<Vec<_>>() {
        versions.push(put.await.unwrap().version);
    }
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(vault.newest("named/x").await.unwrap().version, 4);
    assert!(
        vault
            .reveal(&vault.newest("named/x").await.unwrap())
            .await
            .unwrap()
            .open()
            .starts_with("value ")
    );
    let stored = place.sandbox.store(BUCKET).unwrap();
    assert_eq!(stored.list(None).try_collect::<Vec<_>>().await.unwrap().len(), 4);
}
