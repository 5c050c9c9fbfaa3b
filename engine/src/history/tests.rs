#![allow(clippy::unwrap_used)]

use object_store::memory::InMemory;

use super::*;

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn open(store: &Arc<dyn ObjectStore>, limit: usize) -> History<u32> {
    History::open(Arc::clone(store), "runs/imports", limit).await.unwrap()
}

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_780_000_000_000 + millis).unwrap()
}

fn values(history: &History<u32>) -> Vec<u32> {
    history.entries().iter().map(|(_, value)| **value).collect()
}

async fn stored(store: &Arc<dyn ObjectStore>) -> usize {
    store.list(None).count().await
}

#[test]
fn ids_are_ordered_within_a_millisecond_and_when_the_clock_goes_back() {
    let ids = Ids::default();
    let made: Vec<String> = [0, 0, 0, 1, 1, 7]
        .into_iter()
        .flat_map(|millis| (0..100).map(move |_| millis))
        .map(|millis| ids.next(at(millis)))
        .collect();
    assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
    let later = ids.next(at(100));
    assert!(ids.next(at(50)) > later, "a clock that goes back makes no older id");
}

#[tokio::test]
async fn records_are_there_after_a_restart_in_order_and_replaced_by_id() {
    let (store, ids) = (store(), Ids::default());
    let history = open(&store, 10).await;
    let (first, second) = (ids.next(at(0)), ids.next(at(0)));
    history.put(&second, &2).await.unwrap();
    history.put(&first, &1).await.unwrap();
    history.put(&first, &11).await.unwrap();
    assert_eq!(values(&history), [11, 2]);
    assert_eq!(history.newest(|value| *value > 5).unwrap().0, first);
    assert!(history.newest(|value| *value > 50).is_none());
    let again = open(&store, 10).await;
    assert_eq!(values(&again), [11, 2]);
    assert_eq!(again.entries()[0].0, first);
    // Another prefix of the same store is another history.
    let other: History<u32> = History::open(store, "runs/procedures", 10).await.unwrap();
    assert!(other.entries().is_empty());
}

#[tokio::test]
async fn the_oldest_beyond_the_limit_are_removed() {
    let (store, ids) = (store(), Ids::default());
    let history = open(&store, 3).await;
    for value in 0..8 {
        history.put(&ids.next(at(i64::from(value))), &value).await.unwrap();
    }
    assert_eq!((values(&history), stored(&store).await), (vec![5, 6, 7], 3));
    assert_eq!((values(&open(&store, 2).await), stored(&store).await), (vec![6, 7], 2));
}

#[tokio::test]
async fn a_damaged_record_is_left_out() {
    let (store, ids) = (store(), Ids::default());
    let history = open(&store, 10).await;
    let broken = ids.next(at(0));
    history.put(&broken, &1).await.unwrap();
    history.put(&ids.next(at(1)), &2).await.unwrap();
    let path = entry_path("runs/imports", &broken);
    store.put(&path, PutPayload::from_static(b"{\"half")).await.unwrap();
    store
        .put(
            &Path::from("runs/imports/README.txt"),
            PutPayload::from_static(b"not a record"),
        )
        .await
        .unwrap();
    assert_eq!(values(&open(&store, 10).await), [2]);
    // Written again, it is whole again.
    let history = open(&store, 10).await;
    history.put(&broken, &3).await.unwrap();
    assert_eq!(values(&open(&store, 10).await), [3, 2]);
}
