#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::memory::InMemory;

use super::*;
use crate::principal::{Grant, Login, Role};

struct FixedClock;

#[async_trait]
impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).unwrap()
    }

    async fn sleep(&self, _: Duration) {}
}

fn login(name: &str) -> Change {
    Change::PutLogin(Login {
        name: name.to_owned(),
        role: Role::Reader,
        grant: Grant::AllConnected,
        verifier: "SCRAM-SHA-256$4096:c2FsdA==$a:b".to_owned(),
    })
}

async fn open(store: &Arc<dyn ObjectStore>) -> Catalog {
    Catalog::open(Arc::clone(store), Arc::new(FixedClock)).await.unwrap()
}

#[tokio::test]
async fn what_is_published_is_there_after_a_restart() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let catalog = open(&store).await;
    let before = catalog.lease();
    assert_eq!(catalog.publish(&[login("ada")]).await.unwrap(), 1);
    assert_eq!(
        catalog.publish(&[login("ada")]).await.unwrap(),
        1,
        "no change is no version"
    );
    assert_eq!(catalog.publish(&[login("grace")]).await.unwrap(), 2);
    assert!(before.document.logins.is_empty(), "a lease does not move");
    assert_eq!(open(&store).await.lease().document, catalog.lease().document);
}

#[tokio::test]
async fn two_servers_lose_no_change() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (one, two) = (open(&store).await, open(&store).await);
    let publish = |catalog: Catalog, prefix: &'static str| async move {
        for n in 0..20 {
            catalog.publish(&[login(&format!("{prefix}{n}"))]).await.unwrap();
        }
    };
    tokio::join!(publish(one, "a"), publish(two, "b"));
    let state = open(&store).await.lease();
    assert_eq!((state.document.version, state.document.logins.len()), (40, 40));
}

#[tokio::test]
async fn a_damaged_document_is_named() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    open(&store).await.publish(&[login("ada")]).await.unwrap();
    store
        .put(&document_path(1), PutPayload::from_static(b"{\"half"))
        .await
        .unwrap();
    let error = Catalog::open(store, Arc::new(FixedClock)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("catalog/00000000000000000001.json"), "{error}");
}
