//! A sandbox in a folder is found again.

use std::path::Path as FilePath;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::{BUCKET, FULL_ACCESS, Organisation, PAYER};
use crate::aws::{Sandbox, SandboxSpec};

fn files_under(folder: &FilePath) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_under(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn buckets_and_objects_survive() {
    let folder = tempfile::tempdir().unwrap();
    let policy = r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject",
        "Resource":"arn:aws:s3:::billing-exports/*"}}"#;
    let path = Path::from("data/BILLING_PERIOD=2026-01/part.parquet");
    let (admin, before) = {
        let organisation = Organisation::with(SandboxSpec::in_directory(folder.path())).await;
        organisation.sandbox.put_bucket_policy(BUCKET, policy).unwrap();
        let store = organisation.store();
        store.put(&path, "first".into()).await.unwrap();
        store.put(&path, "second".into()).await.unwrap();
        store.put(&Path::from("gone"), "x".into()).await.unwrap();
        organisation
            .sandbox
            .store(BUCKET)
            .unwrap()
            .delete(&Path::from("gone"))
            .await
            .unwrap();
        let before = store.head(&path).await.unwrap();
        let admin = organisation.admin.clone();
        organisation.sandbox.shutdown().await;
        (admin, before)
    };
    let contents = folder.path().join("buckets").join(BUCKET).join("objects");
    assert_eq!(files_under(&contents), 1, "replaced and deleted contents are removed");
    // What a crash in the middle of an upload leaves.
    std::fs::write(contents.join("0123~half"), "half").unwrap();

    let sandbox = Sandbox::start(SandboxSpec::in_directory(folder.path())).await.unwrap();
    sandbox.create_account(PAYER, "payer").unwrap();
    sandbox.create_user(PAYER, "admin").unwrap();
    sandbox.put_user_policy(PAYER, "admin", "inline", FULL_ACCESS).unwrap();
    sandbox.register_access_key(PAYER, "admin", &admin).unwrap();
    sandbox.create_bucket(PAYER, BUCKET, "us-east-1").unwrap();
    let organisation = Organisation { sandbox, admin };
    let store = organisation.store();
    assert_eq!(store.head(&path).await.unwrap(), before);
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "second");
    assert!(store.delete(&path).await.is_err(), "the bucket policy is still there");
    let listed: Vec<_> = futures::TryStreamExt::try_collect(store.list(None)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(files_under(&contents), 1, "rubbish is removed");
}

#[tokio::test]
async fn an_answer_under_way_keeps_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let organisation = Organisation::with(SandboxSpec::in_directory(folder.path())).await;
    let direct = organisation.sandbox.store(BUCKET).unwrap();
    let path = Path::from("replaced");
    direct.put(&path, vec![b'a'; 8_000_000].into()).await.unwrap();
    let reading = direct.get(&path).await.unwrap();
    direct.put(&path, vec![b'b'; 8_000_000].into()).await.unwrap();
    let read = reading.bytes().await.unwrap();
    assert!(read.iter().all(|byte| *byte == b'a') && read.len() == 8_000_000);
    drop(read);
    let contents = folder.path().join("buckets").join(BUCKET).join("objects");
    assert_eq!(files_under(&contents), 1);
}
