#![allow(clippy::unwrap_used)]

use super::*;

fn store(when_full: WhenFull) -> Store<&'static str, u32> {
    Store::new(Bounds {
        what: "tickets",
        total: 3,
        per_owner: 2,
        when_full,
        idle: Duration::from_secs(10),
    })
}

#[tokio::test(start_paused = true)]
async fn expires_what_is_not_used() {
    let store = store(WhenFull::Refuse);
    store.insert([1; 32], "a", Arc::new(1)).unwrap();
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(store.get(&[1; 32]).as_deref(), Some(&1));
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(store.get(&[1; 32]).as_deref(), Some(&1), "a use starts the time anew");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(store.get(&[1; 32]), None);
}

#[tokio::test(start_paused = true)]
async fn drops_the_idlest_of_the_same_owner() {
    let store = store(WhenFull::DropIdlest);
    store.insert([9; 32], "b", Arc::new(9)).unwrap();
    for key in 1..=2u8 {
        tokio::time::advance(Duration::from_secs(1)).await;
        store.insert([key; 32], "a", Arc::new(key.into())).unwrap();
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(store.get(&[1; 32]).is_some());
    let dropped = store.insert([3; 32], "a", Arc::new(3)).unwrap();
    assert_eq!(dropped.as_deref(), Some(&2));
    assert!(store.get(&[9; 32]).is_some(), "another owner's value stays");
    assert!(store.get(&[1; 32]).is_some());
    assert!(store.get(&[2; 32]).is_none());
}

#[tokio::test(start_paused = true)]
async fn refuses_when_full() {
    let store = store(WhenFull::Refuse);
    store.insert([1; 32], "a", Arc::new(1)).unwrap();
    store.insert([2; 32], "a", Arc::new(2)).unwrap();
    assert_eq!(
        store.insert([3; 32], "a", Arc::new(3)).unwrap_err().kind(),
        ErrorKind::Limit
    );
    store.insert([3; 32], "b", Arc::new(3)).unwrap();
    assert_eq!(
        store.insert([4; 32], "c", Arc::new(4)).unwrap_err().kind(),
        ErrorKind::Limit
    );
    assert_eq!(store.remove_owned(&"a").len(), 2);
    store.insert([4; 32], "c", Arc::new(4)).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(store.sweep().len(), 2);
}
