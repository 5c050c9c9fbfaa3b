//! Objects through `object_store`'s S3 client, the one that reads exports.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion, WriteMultipart,
};

use super::raw::Raw;
use super::{BUCKET, Organisation};
use crate::aws::SandboxSpec;

fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|position| (position * 31 % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn put_head_get_delete() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("data/part.parquet");
    let body = pattern(3_000_000);
    let attributes = Attributes::from_iter([(Attribute::ContentType, "application/x-parquet")]);
    let put = store
        .put_opts(&path, body.clone().into(), attributes.into())
        .await
        .unwrap();
    let head = store.head(&path).await.unwrap();
    assert_eq!((head.size, &head.e_tag), (3_000_000, &put.e_tag));
    let got = store.get(&path).await.unwrap();
    assert_eq!(
        got.attributes.get(&Attribute::ContentType).map(AsRef::as_ref),
        Some("application/x-parquet")
    );
    assert_eq!(got.bytes().await.unwrap(), body);
    store.delete(&path).await.unwrap();
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    store.delete(&path).await.unwrap();
}

#[tokio::test]
async fn ranges() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("ranged");
    let body = pattern(1_000_000);
    store.put(&path, body.clone().into()).await.unwrap();
    let get = |range: GetRange| {
        let options = GetOptions {
            range: Some(range),
            ..GetOptions::default()
        };
        let store = &store;
        let path = &path;
        async move { store.get_opts(path, options).await.unwrap().bytes().await.unwrap() }
    };
    assert_eq!(get(GetRange::Bounded(10..20)).await, body.slice(10..20));
    assert_eq!(get(GetRange::Offset(999_000)).await, body.slice(999_000..));
    assert_eq!(get(GetRange::Suffix(8)).await, body.slice(999_992..));
    assert_eq!(get(GetRange::Bounded(999_990..2_000_000)).await, body.slice(999_990..));
    let ranges = [0..100, 500_000..500_100];
    let parts = store.get_ranges(&path, &ranges).await.unwrap();
    assert_eq!(parts, vec![body.slice(0..100), body.slice(500_000..500_100)]);
    let reply = Raw::s3("GET", format!("/{BUCKET}/ranged"))
        .header("range", "bytes=1000000-")
        .send(&organisation.sandbox, &organisation.admin)
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (416, "InvalidRange"));
    assert_eq!(reply.headers["content-range"], "bytes */1000000");
}

#[tokio::test]
async fn a_replaced_object_fails_its_pinned_readers() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("manifest.json");
    let first = store.put(&path, "one".into()).await.unwrap().e_tag.unwrap();
    let pinned = |etag: &str| GetOptions::new().with_if_match(Some(etag));
    assert_eq!(
        store
            .get_opts(&path, pinned(&first))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        "one"
    );
    store.put(&path, "two".into()).await.unwrap();
    assert!(matches!(
        store.get_opts(&path, pinned(&first)).await,
        Err(Error::Precondition { .. })
    ));
    // The other conditions, in raw form.
    let second = store.head(&path).await.unwrap().e_tag.unwrap();
    let target = format!("/{BUCKET}/manifest.json");
    let send = |name: &'static str, value: String| {
        let request = Raw::s3("GET", target.clone()).header(name, &value);
        request.send(&organisation.sandbox, &organisation.admin)
    };
    let unchanged = send("if-none-match", second.clone()).await;
    assert_eq!(
        (unchanged.status, unchanged.headers["etag"].as_str()),
        (304, second.as_str())
    );
    assert!(unchanged.body.is_empty());
    assert_eq!(send("if-none-match", first).await.status, 200);
    assert_eq!(
        send("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT".into())
            .await
            .status,
        200
    );
    assert_eq!(
        send("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT".into())
            .await
            .status,
        304
    );
    assert_eq!(
        send("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT".into())
            .await
            .status,
        412
    );
}

#[tokio::test]
async fn conditional_writes() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("state/00000001.json");
    let create = || PutOptions::from(PutMode::Create);
    let first = store.put_opts(&path, "a".into(), create()).await.unwrap();
    assert!(matches!(
        store.put_opts(&path, "b".into(), create()).await,
        Err(Error::AlreadyExists { .. })
    ));
    let update = |e_tag: Option<String>| PutOptions::from(PutMode::Update(UpdateVersion { e_tag, version: None }));
    store
        .put_opts(&path, "c".into(), update(first.e_tag.clone()))
        .await
        .unwrap();
    assert!(matches!(
        store.put_opts(&path, "d".into(), update(first.e_tag)).await,
        Err(Error::Precondition { .. })
    ));
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "c");
}

#[tokio::test]
async fn concurrent_creates_have_one_winner() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("lock");
    let tries = (0..16).map(|number: u32| {
        let (store, path) = (&store, &path);
        async move {
            store
                .put_opts(path, number.to_string().into(), PutMode::Create.into())
                .await
                .is_ok()
        }
    });
    let won = futures::future::join_all(tries)
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn lists_in_pages_in_byte_order() {
    let organisation = Organisation::start().await;
    let direct = organisation.sandbox.store(BUCKET).unwrap();
    for number in 0..2_345 {
        direct
            .put(&Path::from(format!("many/{number:05}")), PutPayload::default())
            .await
            .unwrap();
    }
    for key in ["other/é", "other/z"] {
        organisation.sandbox.put_object(BUCKET, key, "x").await.unwrap();
    }
    let store = organisation.store();
    organisation.sandbox.requests().clear();
    let listed: Vec<_> = store.list(Some(&Path::from("many"))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2_345);
    assert!(listed.is_sorted_by_key(|meta| meta.location.to_string()));
    assert_eq!(organisation.sandbox.requests().count("ListObjectsV2"), 3);
    let from = store.list_with_offset(Some(&Path::from("many")), &Path::from("many/02300"));
    assert_eq!(from.try_collect::<Vec<_>>().await.unwrap().len(), 44);
    let folders = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(folders.common_prefixes, vec![Path::from("many"), Path::from("other")]);
    let others: Vec<_> = store.list(Some(&Path::from("other"))).try_collect().await.unwrap();
    // U+00E9 sorts after `z` by its UTF-8 bytes.
    let names: Vec<_> = others.iter().map(|meta| meta.location.filename().unwrap()).collect();
    assert_eq!(names, ["z", "é"]);
}

#[tokio::test]
async fn multipart_uploads() {
    for folder in [None, Some(tempfile::tempdir().unwrap())] {
        let spec = folder.as_ref().map_or_else(SandboxSpec::in_memory, |folder| {
            SandboxSpec::in_directory(folder.path())
        });
        let organisation = Organisation::with(spec).await;
        let store = organisation.store();
        let path = Path::from("large");
        let body = pattern(12 * 1024 * 1024 + 17);
        let mut upload = WriteMultipart::new(store.put_multipart(&path).await.unwrap());
        upload.write(&body);
        let etag = upload.finish().await.unwrap().e_tag.unwrap();
        assert!(etag.ends_with("-3\""), "{etag}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), body);
        let mut aborted = store.put_multipart(&Path::from("aborted")).await.unwrap();
        aborted.put_part(body.clone().into()).await.unwrap();
        aborted.abort().await.unwrap();
        assert!(matches!(
            store.head(&Path::from("aborted")).await,
            Err(Error::NotFound { .. })
        ));
    }
}

#[tokio::test]
async fn direct_store_and_s3_see_the_same() {
    let organisation = Organisation::start().await;
    let (direct, store) = (organisation.sandbox.store(BUCKET).unwrap(), organisation.store());
    let path = Path::from("data/BILLING_PERIOD=2026-01/a:b.parquet");
    direct.put(&path, pattern(700_000).into()).await.unwrap();
    assert_eq!(direct.head(&path).await.unwrap(), store.head(&path).await.unwrap());
    store.put(&path, "new".into()).await.unwrap();
    assert_eq!(direct.get(&path).await.unwrap().bytes().await.unwrap(), "new");
    assert_eq!(direct.get_range(&path, 1..3).await.unwrap(), "ew");
    store.copy(&path, &Path::from("copy")).await.unwrap();
    assert_eq!(
        direct.get(&Path::from("copy")).await.unwrap().bytes().await.unwrap(),
        "new"
    );
    direct.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    let exists = direct
        .put_opts(&Path::from("copy"), "x".into(), PutMode::Create.into())
        .await;
    assert!(matches!(exists, Err(Error::AlreadyExists { .. })));
}

#[tokio::test]
async fn unusual_keys() {
    let folder = tempfile::tempdir().unwrap();
    let organisation = Organisation::with(SandboxSpec::in_directory(folder.path())).await;
    let (sandbox, admin) = (&organisation.sandbox, &organisation.admin);
    let long = "x".repeat(900);
    let keys = [
        "a",
        "a/b",
        "a/b/c",
        "a//b",
        "../up",
        "..",
        "/lead",
        "trail/",
        "sp ace+plus&",
        "t:i=m~e%",
        "ünï",
        "é/",
        "a*?",
        &long,
    ];
    for key in keys {
        let target = format!("/{BUCKET}/{}", encoded(key));
        let put = Raw::s3("PUT", target.clone())
            .body(key.as_bytes())
            .send(sandbox, admin)
            .await;
        assert_eq!(put.status, 200, "{key}: {}", put.text());
    }
    for key in keys {
        let got = Raw::s3("GET", format!("/{BUCKET}/{}", encoded(key)))
            .send(sandbox, admin)
            .await;
        assert_eq!((got.status, got.body.as_slice()), (200, key.as_bytes()), "{key}");
    }
    let list = Raw::s3("GET", format!("/{BUCKET}?list-type=2"))
        .send(sandbox, admin)
        .await;
    assert_eq!(list.element("KeyCount"), keys.len().to_string());
    // Nothing has left the bucket's folder.
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["buckets"]);
}

fn encoded(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    key.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[tokio::test]
async fn virtual_hosted_style() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    sandbox.put_object(BUCKET, "folder/k", "content").await.unwrap();
    let mut get = Raw::s3("GET", "/folder/k");
    get.host = Some(format!("{BUCKET}.localhost:{}", sandbox.endpoint().port().unwrap()));
    let reply = get.send(&sandbox, &admin).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "content"));
    let mut list = Raw::s3("GET", "/?list-type=2");
    list.host = Some(format!("{BUCKET}.localhost"));
    assert_eq!(list.send(&sandbox, &admin).await.element("Key"), "folder/k");
}

#[tokio::test]
async fn requests_are_counted() {
    let organisation = Organisation::start().await;
    let store = organisation.store();
    let path = Path::from("counted");
    store.put(&path, pattern(100_000).into()).await.unwrap();
    store.get_range(&path, 5..1_005).await.unwrap();
    let requests = organisation.sandbox.requests();
    let read = requests.of("GetObject").pop().unwrap();
    assert_eq!((read.status, read.bytes_sent), (206, 1_000));
    assert_eq!(read.range.as_deref(), Some("bytes=5-1004"));
    assert_eq!(
        (read.bucket.as_deref(), read.key.as_deref()),
        (Some(BUCKET), Some("counted"))
    );
    assert_eq!(read.account.as_deref(), Some(super::PAYER));
    assert_eq!(requests.of("PutObject")[0].bytes_received, 100_000);
    assert_eq!(requests.bytes_sent("GetObject"), 1_000);
}
