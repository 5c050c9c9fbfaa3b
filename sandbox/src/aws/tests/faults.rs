//! Every kind of fault, seen from `object_store`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt};

use super::raw::Raw;
use super::{BUCKET, LINKED, Organisation};
use crate::aws::{Fault, FaultKind};

const KEY: &str = "data/part.parquet";

fn body() -> Bytes {
    (0..400_000_u32)
        .map(|position| (position % 253) as u8)
        .collect::<Vec<_>>()
        .into()
}

async fn organisation() -> Organisation {
    let organisation = Organisation::start().await;
    organisation.sandbox.put_object(BUCKET, KEY, body()).await.unwrap();
    organisation
}

fn on_get(kind: FaultKind) -> Fault {
    Fault::new(kind).operation("GetObject").bucket(BUCKET).key("data/*")
}

async fn read(organisation: &Organisation) -> Result<Bytes, Error> {
    organisation.store().get(&Path::from(KEY)).await?.bytes().await
}

fn reads(organisation: &Organisation) -> usize {
    organisation.sandbox.requests().count("GetObject")
}

#[tokio::test]
async fn slow() {
    let organisation = organisation().await;
    organisation
        .sandbox
        .inject(on_get(FaultKind::Slow(Duration::from_millis(150))).times(1));
    let start = Instant::now();
    assert_eq!(read(&organisation).await.unwrap(), body());
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn slow_down_and_internal_error_are_retried() {
    let organisation = organisation().await;
    let throttled = organisation.sandbox.inject(on_get(FaultKind::SlowDown).times(2));
    assert_eq!(read(&organisation).await.unwrap(), body());
    assert_eq!((throttled.hits(), reads(&organisation)), (2, 3));
    organisation.sandbox.inject(on_get(FaultKind::InternalError).times(1));
    assert_eq!(read(&organisation).await.unwrap(), body());
    assert_eq!(reads(&organisation), 5);
    let log = organisation.sandbox.requests().of("GetObject");
    let codes: Vec<_> = log
        .iter()
        .map(|record| (record.status, record.error_code.as_deref()))
        .collect();
    let expected = [
        (503, Some("SlowDown")),
        (503, Some("SlowDown")),
        (200, None),
        (500, Some("InternalError")),
        (200, None),
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn slow_down_for_ever_is_an_error_until_removed() {
    let organisation = organisation().await;
    let fault = organisation.sandbox.inject(on_get(FaultKind::SlowDown));
    let error = read(&organisation).await.unwrap_err().to_string();
    assert!(error.contains("SlowDown"), "{error}");
    fault.remove();
    assert_eq!(read(&organisation).await.unwrap(), body());
    organisation.sandbox.inject(on_get(FaultKind::SlowDown));
    organisation.sandbox.clear_faults();
    assert_eq!(read(&organisation).await.unwrap(), body());
}

#[tokio::test]
async fn reset_and_truncation_in_mid_body() {
    for kind in [
        FaultKind::ResetMidBody { after_bytes: 100_000 },
        FaultKind::Truncate { after_bytes: 100_000 },
    ] {
        let organisation = organisation().await;
        let fault = organisation.sandbox.inject(on_get(kind.clone()).times(1));
        // object_store resumes from the break by itself.
        assert_eq!(read(&organisation).await.unwrap(), body(), "{kind:?}");
        let log = organisation.sandbox.requests().of("GetObject");
        assert_eq!(
            (fault.hits(), log.len(), log[0].bytes_sent),
            (1, 2, 100_000),
            "{kind:?}"
        );
        assert_eq!(log[1].range.as_deref(), Some("bytes=100000-399999"));
    }
}

#[tokio::test]
async fn reset_and_truncation_differ_on_the_wire() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for (kind, reset) in [
        (FaultKind::ResetMidBody { after_bytes: 10 }, true),
        (FaultKind::Truncate { after_bytes: 10 }, false),
    ] {
        let organisation = organisation().await;
        organisation.sandbox.allow_public_access(BUCKET).unwrap();
        let public = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::billing-exports/*"}}"#;
        organisation.sandbox.put_bucket_policy(BUCKET, public).unwrap();
        organisation.sandbox.inject(on_get(kind));
        let address = organisation.sandbox.endpoint().socket_addrs(|| None).unwrap()[0];
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /{BUCKET}/{KEY} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        assert_eq!(end.is_err(), reset, "{end:?}");
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(&answer[head..], &body()[..10]);
        assert!(
            String::from_utf8_lossy(&answer[..head])
                .to_lowercase()
                .contains("content-length: 400000")
        );
    }
}

#[tokio::test]
async fn expired_token() {
    let organisation = organisation().await;
    organisation.sandbox.inject(Fault::new(FaultKind::ExpiredToken));
    let error = read(&organisation).await.unwrap_err().to_string();
    assert!(error.contains("ExpiredToken"), "{error}");
    assert_eq!(reads(&organisation), 1, "not worth a retry");
    let request = Raw::sts("Action=GetCallerIdentity&Version=2011-06-15");
    let reply = request.send(&organisation.sandbox, &organisation.admin).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "ExpiredToken"));
}

#[tokio::test]
async fn replaced_between_head_and_get() {
    let organisation = organisation().await;
    let store = organisation.store();
    let pinned = store.head(&Path::from(KEY)).await.unwrap().e_tag;
    organisation
        .sandbox
        .inject(on_get(FaultKind::ReplaceObject("new".into())).times(1));
    let read = store
        .get_opts(&Path::from(KEY), GetOptions::new().with_if_match(pinned))
        .await;
    assert!(matches!(read, Err(Error::Precondition { .. })), "{read:?}");
    assert_eq!(store.get(&Path::from(KEY)).await.unwrap().bytes().await.unwrap(), "new");
}

#[tokio::test]
async fn replaced_in_the_middle_of_a_read() {
    let organisation = organisation().await;
    organisation
        .sandbox
        .inject(on_get(FaultKind::ResetMidBody { after_bytes: 1000 }).times(1));
    let replace = on_get(FaultKind::ReplaceObject(vec![7; 400_000].into()))
        .after(1)
        .times(1);
    organisation.sandbox.inject(replace);
    // No mixture of two versions: object_store compares the ETag of the answer that it resumes with.
    assert!(read(&organisation).await.is_err());
    assert_eq!(reads(&organisation), 2);
}

#[tokio::test]
async fn a_flipped_byte_goes_unnoticed_by_the_transport() {
    let organisation = organisation().await;
    organisation
        .sandbox
        .inject(on_get(FaultKind::FlipByte { offset: 1234 }).times(1));
    let read = read(&organisation).await.unwrap();
    let stored = body();
    let different: Vec<usize> = (0..read.len())
        .filter(|position| read[*position] != stored[*position])
        .collect();
    assert_eq!(different, [1234]);
}

#[tokio::test]
async fn a_denied_action() {
    let organisation = organisation().await;
    let fault = organisation
        .sandbox
        .inject(Fault::new(FaultKind::Deny("s3:getobject".into())).times(1));
    let error = read(&organisation).await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("with an explicit deny in a service control policy"),
        "{error}"
    );
    assert_eq!(fault.hits(), 1);
    assert_eq!(read(&organisation).await.unwrap(), body());
}

#[tokio::test]
async fn something_happens_before_the_request() {
    let organisation = organisation().await;
    let seen = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&seen);
    organisation
        .sandbox
        .inject(on_get(FaultKind::Before(Arc::new(move |record| {
            assert_eq!(record.key.as_deref(), Some(KEY));
            counter.fetch_add(1, Ordering::Relaxed);
        }))));
    read(&organisation).await.unwrap();
    read(&organisation).await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn faults_strike_only_where_aimed() {
    let organisation = organisation().await;
    let elsewhere = [
        Fault::new(FaultKind::SlowDown).operation("ListObjectsV2"),
        Fault::new(FaultKind::SlowDown).bucket("another-*"),
        Fault::new(FaultKind::SlowDown).key("other/*"),
        Fault::new(FaultKind::SlowDown).account(LINKED),
        Fault::new(FaultKind::SlowDown).after(1_000),
        Fault::new(FaultKind::SlowDown).times(0),
    ];
    let handles: Vec<_> = elsewhere
        .into_iter()
        .map(|fault| organisation.sandbox.inject(fault))
        .collect();
    read(&organisation).await.unwrap();
    assert_eq!(reads(&organisation), 1);
    assert!(handles.iter().all(|handle| handle.hits() == 0));
}
