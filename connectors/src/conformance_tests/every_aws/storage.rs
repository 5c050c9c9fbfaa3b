//! Buckets, listings, reads and conditions.

use farthing_engine::error::ErrorKind;
use farthing_engine::port::{AwsAdministration, Credential, ExportSource, ManifestAnswer};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::super::{
    BASE, FULL_READ, GET_ONLY, LEAST, LIST_ONLY, access_key, at, data_key, engine_error, manifest_key, period,
};
use super::Case;
use super::ground::Ground;

pub(super) const BAD_NAMES: &str = "s3: names and policies that AWS does not take are refused";
pub(super) const OTHER_REGION: &str = "s3: a bucket of another Region is found";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "s3: buckets are made once, in their Region",
        calls: "CreateBucket, HeadBucket",
        run: |ground| Box::pin(made_once(ground)),
    },
    Case {
        name: "s3: buckets are secured and have a policy",
        calls: "PutPublicAccessBlock, PutBucketEncryption, PutBucketPolicy, GetBucketPolicy",
        run: |ground| Box::pin(secured(ground)),
    },
    Case {
        name: "s3: the name of another account's bucket is taken",
        calls: "CreateBucket",
        run: |ground| Box::pin(taken(ground)),
    },
    Case {
        name: BAD_NAMES,
        calls: "CreateBucket, PutBucketPolicy",
        run: |ground| Box::pin(bad_names(ground)),
    },
    Case {
        name: "s3: listings are read to the end",
        calls: "ListObjectsV2",
        run: |ground| Box::pin(listings(ground)),
    },
    Case {
        name: "s3: a manifest is fetched if it has changed",
        calls: "GetObject with If-None-Match",
        run: |ground| Box::pin(manifests(ground)),
    },
    Case {
        name: "s3: ranges of a pinned file are read until it is replaced",
        calls: "HeadObject, GetObject with Range and If-Match",
        run: |ground| Box::pin(pinned(ground)),
    },
    Case {
        name: "s3: keys arrive as they stand in the manifest",
        calls: "GetObject, HeadObject, PutObject",
        run: |ground| Box::pin(keys(ground)),
    },
    Case {
        name: "s3: each bad key has its own words",
        calls: "ListObjectsV2, GetObject, CreateBucket",
        run: |ground| Box::pin(bad_keys(ground)),
    },
    Case {
        name: "s3: what does not exist is told apart",
        calls: "HeadBucket, GetObject",
        run: |ground| Box::pin(missing(ground)),
    },
    Case {
        name: "s3: a refusal names action and object",
        calls: "ListObjectsV2, GetObject",
        run: |ground| Box::pin(refused(ground)),
    },
    Case {
        name: "s3: the least rights are enough to look and to read",
        calls: "HeadBucket, ListObjectsV2, GetObject",
        run: |ground| Box::pin(least_rights(ground)),
    },
    Case {
        name: OTHER_REGION,
        calls: "HeadBucket, ListObjectsV2, GetObject",
        run: |ground| Box::pin(other_region(ground)),
    },
];

async fn made_once(ground: &Ground) {
    let (admin, owner) = (&ground.admin, &ground.owner);
    for (name, region) in [("made-at-home", "us-east-1"), ("made-abroad", "eu-central-1")] {
        assert_eq!(admin.bucket(owner, name).await.unwrap(), None);
        for _ in 0..2 {
            admin.create_bucket(owner, name, region).await.unwrap();
        }
        let found = admin.bucket(owner, name).await.unwrap().unwrap();
        assert_eq!((found.region.as_str(), found.policy), (region, None));
    }
}

async fn secured(ground: &Ground) {
    let (admin, owner) = (&ground.admin, &ground.owner);
    ground.bucket("secured-bucket").await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Deliver","Effect":"Allow","Principal":{"Service":
        "bcm-data-exports.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::secured-bucket/*"}]}"#;
    for _ in 0..2 {
        admin.secure_bucket(owner, "secured-bucket", "us-east-1").await.unwrap();
        admin
            .put_bucket_policy(owner, "secured-bucket", "us-east-1", policy)
            .await
            .unwrap();
    }
    let found = admin.bucket(owner, "secured-bucket").await.unwrap().unwrap();
    let [kept, given] =
        [found.policy.as_deref().unwrap(), policy].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(kept, given);
    let absent = admin
        .put_bucket_policy(owner, "never-made", "us-east-1", policy)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Missing, "{absent:?}");
}

async fn taken(ground: &Ground) {
    ground.bucket("taken-bucket").await;
    let error = ground
        .admin
        .create_bucket(&ground.other, "taken-bucket", "us-east-1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate, "{error:?}");
    assert!(error.message().contains("belongs to another AWS account"), "{error:?}");
}

async fn bad_names(ground: &Ground) {
    let (admin, owner) = (&ground.admin, &ground.owner);
    ground.bucket("policy-bucket").await;
    let foreign = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":
        "bcm-data-exports.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::another-bucket/*"}]}"#;
    for error in [
        admin
            .create_bucket(owner, "Not_A_Bucket", "us-east-1")
            .await
            .unwrap_err(),
        admin
            .put_bucket_policy(owner, "policy-bucket", "us-east-1", "{}")
            .await
            .unwrap_err(),
        admin
            .put_bucket_policy(owner, "policy-bucket", "us-east-1", foreign)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
    }
}

async fn listings(ground: &Ground) {
    ground.bucket("listed-bucket").await;
    // More partitions than a page holds, with the one that matters last.
    let puts = (0..1_050).map(|n| async move {
        let key = format!(
            "{BASE}/metadata/BILLING_PERIOD={:04}-{:02}/x.sql",
            1900 + n / 12,
            n % 12 + 1
        );
        ground.put("listed-bucket", &key, "x").await;
    });
    futures::stream::StreamExt::collect::<Vec<()>>(futures::stream::StreamExt::buffer_unordered(
        futures::stream::iter(puts),
        8,
    ))
    .await;
    ground.deliver("listed-bucket", "2026-07", "x1", "rows").await;
    let report = ground.source.probe(&at("listed-bucket"), &ground.owner).await.unwrap();
    assert_eq!(report.periods.len(), 1_051);
    assert_eq!(report.periods.last(), Some(&period("2026-07")));
    let store = ground.source.open(&at("listed-bucket"), &ground.owner).await.unwrap();
    let listed: Vec<_> = store.list(Some(&Path::from(BASE))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1_052);
}

async fn manifests(ground: &Ground) {
    ground.bucket("manifest-bucket").await;
    ground.deliver("manifest-bucket", "2026-07", "x1", "rows").await;
    let fetch = async |month: &str, known: Option<String>| {
        let location = at("manifest-bucket");
        let fetched = ground
            .source
            .fetch_manifest(&location, &ground.owner, period(month), known.as_deref());
        fetched.await.unwrap()
    };
    let ManifestAnswer::Found(first) = fetch("2026-07", None).await else {
        panic!("no manifest");
    };
    assert_eq!(first.key, manifest_key("2026-07"));
    assert_eq!(first.manifest.files, [data_key("2026-07")]);
    let known = Some(first.e_tag.clone());
    assert!(matches!(
        fetch("2026-07", known.clone()).await,
        ManifestAnswer::Unchanged
    ));
    ground.deliver("manifest-bucket", "2026-07", "x2", "new rows").await;
    let ManifestAnswer::Found(second) = fetch("2026-07", known).await else {
        panic!("the new delivery was not seen");
    };
    assert_ne!(second.e_tag, first.e_tag);
    assert!(matches!(fetch("2026-08", None).await, ManifestAnswer::Absent));
}

async fn pinned(ground: &Ground) {
    ground.bucket("pinned-bucket").await;
    ground
        .deliver("pinned-bucket", "2026-07", "x1", "rows of the month")
        .await;
    let store = ground.source.open(&at("pinned-bucket"), &ground.owner).await.unwrap();
    let path = Path::parse(data_key("2026-07")).unwrap();
    let meta = store.head(&path).await.unwrap();
    assert_eq!((meta.location.as_ref(), meta.size), (data_key("2026-07").as_str(), 17));
    let read = async |range: GetRange| {
        let options = GetOptions {
            if_match: meta.e_tag.clone(),
            range: Some(range),
            ..GetOptions::default()
        };
        store.get_opts(&path, options).await?.bytes().await
    };
    for (range, text) in [
        (GetRange::Bounded(0..4), "rows"),
        (GetRange::Bounded(5..7), "of"),
        (GetRange::Offset(12), "month"),
        (GetRange::Suffix(5), "month"),
        (GetRange::Bounded(12..4_000), "month"),
    ] {
        assert_eq!(read(range.clone()).await.unwrap(), text, "{range:?}");
    }
    assert!(read(GetRange::Bounded(400..500)).await.is_err(), "beyond the end");
    ground
        .deliver("pinned-bucket", "2026-07", "x2", "other rows of the month")
        .await;
    let error = read(GetRange::Bounded(0..4)).await.unwrap_err();
    assert!(matches!(error, object_store::Error::Precondition { .. }), "{error:?}");
    assert_eq!(engine_error(&error).kind(), ErrorKind::SnapshotReplaced);
}

async fn keys(ground: &Ground) {
    ground.bucket("keys-bucket").await;
    let store = ground.source.open(&at("keys-bucket"), &ground.owner).await.unwrap();
    for name in [
        "a:b=c.parquet",
        "100%.parquet",
        "a%3Ab.parquet",
        "a b+c&d.parquet",
        "ä~(1)!.parquet",
        "a'*$,;@.parquet",
    ] {
        let key = format!("{BASE}/data/{name}");
        ground.put("keys-bucket", &key, &key).await;
        let path = Path::parse(&key).unwrap();
        assert_eq!(
            store.get(&path).await.unwrap().bytes().await.unwrap(),
            key.as_bytes(),
            "{key}"
        );
        assert_eq!(store.head(&path).await.unwrap().location.as_ref(), key);
    }
}

async fn bad_keys(ground: &Ground) {
    let Credential::Inline(key) = &ground.owner else {
        unreachable!()
    };
    ground.bucket("signed-bucket").await;
    ground.put("signed-bucket", "p/e/x", "rows").await;
    let secret = "not-a-real-secret-at-all-00000000000000";
    for (id, words) in [
        (key.access_key_id.as_str(), "secret access key does not belong"),
        ("AKIAFARTHINGEXAMPLE1", "does not know the access key id"),
    ] {
        let bad = Credential::Inline(access_key(id, secret));
        let store = ground.source.open(&at("signed-bucket"), &bad).await.unwrap();
        let read = store.get(&Path::from("p/e/x")).await.unwrap_err();
        let listed = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
        for error in [
            &ground.source.probe(&at("signed-bucket"), &bad).await.unwrap_err(),
            &ground
                .admin
                .create_bucket(&bad, "never-made", "us-east-1")
                .await
                .unwrap_err(),
            engine_error(&read),
            engine_error(&listed),
        ] {
            assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
            assert!(error.message().contains(words), "{error:?}");
            assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
        }
    }
}

async fn missing(ground: &Ground) {
    ground.bucket("empty-bucket").await;
    let error = ground
        .source
        .probe(&at("no-such-bucket-here"), &ground.owner)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(
        error
            .message()
            .contains("bucket \"no-such-bucket-here\" does not exist"),
        "{error:?}"
    );
    let report = ground.source.probe(&at("empty-bucket"), &ground.owner).await.unwrap();
    assert!(
        report.periods.is_empty() && report.folders_nearby.is_empty(),
        "{report:?}"
    );
    let store = ground.source.open(&at("empty-bucket"), &ground.owner).await.unwrap();
    let path = Path::from("p/e/data/gone.parquet");
    for error in [
        store.get(&path).await.unwrap_err(),
        store.head(&path).await.unwrap_err(),
    ] {
        assert!(matches!(error, object_store::Error::NotFound { .. }), "{error:?}");
        assert_eq!(engine_error(&error).kind(), ErrorKind::Missing, "{error:?}");
    }
}

async fn refused(ground: &Ground) {
    ground.bucket("closed-bucket").await;
    ground.deliver("closed-bucket", "2026-07", "x1", "rows").await;
    let lister = ground.user("lister", LIST_ONLY).await;
    let getter = ground.user("getter", GET_ONLY).await;
    let path = Path::parse(data_key("2026-07")).unwrap();
    let store = ground.source.open(&at("closed-bucket"), &lister).await.unwrap();
    let read = store.get(&path).await.unwrap_err();
    let store = ground.source.open(&at("closed-bucket"), &getter).await.unwrap();
    let listed = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    store.get(&path).await.unwrap();
    for (error, words) in [
        (read, "AWS refused s3:GetObject on arn:aws:s3:::closed-bucket/p/e/"),
        (listed, "AWS refused s3:ListBucket on arn:aws:s3:::closed-bucket"),
    ] {
        let error = engine_error(&error);
        assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
        assert!(error.message().starts_with(words), "{error:?}");
        assert!(error.hint().unwrap().contains("\"Effect\": \"Allow\""), "{error:?}");
    }
}

async fn least_rights(ground: &Ground) {
    ground.bucket("least-bucket").await;
    ground.deliver("least-bucket", "2026-07", "x1", "rows").await;
    for (name, policy) in [("least-reader", LEAST), ("full-reader", FULL_READ)] {
        let reader = ground.user(name, policy).await;
        let report = ground.source.probe(&at("least-bucket"), &reader).await.unwrap();
        assert_eq!(report.periods, [period("2026-07")], "{name}");
    }
}

async fn other_region(ground: &Ground) {
    let bucket = "bucket-of-frankfurt";
    ground
        .admin
        .create_bucket(&ground.owner, bucket, "eu-central-1")
        .await
        .unwrap();
    let error = ground
        .source
        .open(&at(bucket), &ground.owner)
        .await
        .unwrap()
        .get(&Path::from("p/e/x"))
        .await
        .unwrap_err();
    assert!(engine_error(&error).message().contains("Region"), "{error:?}");
    let report = ground.source.probe(&at(bucket), &ground.owner).await.unwrap();
    assert_eq!(report.region.as_deref(), Some("eu-central-1"));
}
