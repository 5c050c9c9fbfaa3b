#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;

fn range(key: &str, start: u64, end: u64) -> ObjectRange<'_> {
    ObjectRange {
        bucket: "costs-bucket",
        key,
        e_tag: "\"tag\"",
        start,
        end,
    }
}

async fn ask(cache: &RangeCache, range: ObjectRange<'_>, fetches: &AtomicU32) -> Bytes {
    let fetch = || async {
        fetches.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(Bytes::from_iter((range.start..range.end).map(|n| n as u8)))
    };
    cache.read(range, fetch).await.unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test]
async fn a_range_is_fetched_once_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    let fetches = AtomicU32::new(0);
    let wanted = range("a", 10, 300);
    let first = ask(&cache, wanted, &fetches).await;
    assert_eq!(first.len(), 290);
    assert_eq!(ask(&cache, wanted, &fetches).await, first);
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
    // Whatever is in the key makes another range.
    for other in [
        range("a", 10, 299),
        range("a", 11, 300),
        range("b", 10, 300),
        ObjectRange {
            e_tag: "\"new\"",
            ..wanted
        },
        ObjectRange {
            bucket: "costs",
            key: "-bucketa",
            ..wanted
        },
    ] {
        ask(&cache, other, &fetches).await;
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 6);
    drop(cache);
    fs::write(folder.path().join("new-half-written"), b"x").unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    assert_eq!(ask(&cache, wanted, &fetches).await, first);
    assert_eq!(fetches.load(Ordering::Relaxed), 6);
    assert_eq!(cache.counters.entries(), 6);
    assert_eq!(files(folder.path()).len(), 6, "what is half written is removed");
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_their_owners_alone_and_tell_nothing_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    ask(&cache, range("000000000011/secret", 0, 100), &AtomicU32::new(0)).await;
    let [file] = files(folder.path()).try_into().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()),
        "{name}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_a_miss() {
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    let fetches = AtomicU32::new(0);
    let wanted = range("a", 0, 1_000);
    let first = ask(&cache, wanted, &fetches).await;
    let [file] = files(folder.path()).try_into().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[HEADER_BYTES + 500] ^= 1;
    let damages: [Option<&[u8]>; 5] = [
        Some(&flipped),
        Some(&whole[..whole.len() - 1]),
        Some(&whole[..HEADER_BYTES - 3]),
        Some(b""),
        None,
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        match damage {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert_eq!(ask(&cache, wanted, &fetches).await, first);
        assert_eq!(fetches.load(Ordering::Relaxed) as usize, n + 2);
        assert_eq!(ask(&cache, wanted, &fetches).await, first, "it is kept again");
        assert_eq!(fetches.load(Ordering::Relaxed) as usize, n + 2);
    }
}

#[tokio::test]
async fn those_who_ask_at_the_same_time_share_one_fetch() {
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    let fetches = AtomicU32::new(0);
    let asked = (0..20).map(|_| ask(&cache, range("a", 0, 500), &fetches));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_bound_holds_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 64_000).await.unwrap();
    let fetches = AtomicU32::new(0);
    for n in 0..200 {
        ask(&cache, range("a", n, n + 2_000), &fetches).await;
    }
    cache.ranges.run_pending_tasks().await;
    let bytes: u64 = files(folder.path())
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(
        bytes <= 64_000 && bytes == cache.counters.bytes(),
        "{bytes} {:?}",
        cache.counters
    );
    assert!(bytes > 32_000, "{bytes}");
    let before = fetches.load(Ordering::Relaxed);
    for _ in 0..2 {
        ask(&cache, range("too-large", 0, 5_000), &fetches).await;
    }
    assert_eq!(fetches.load(Ordering::Relaxed), before + 2);
    drop(cache);
    // A smaller bound at the next start.
    let cache = RangeCache::open(folder.path(), 10_000).await.unwrap();
    cache.ranges.run_pending_tasks().await;
    assert!(files(folder.path()).len() <= 4);
}

#[tokio::test]
async fn a_failed_fetch_keeps_nothing_and_fails_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = RangeCache::open(folder.path(), 1 << 20).await.unwrap();
    let wanted = range("a", 0, 100);
    let gone = || async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err::<Bytes, _>(object_store::Error::Precondition {
            path: "a".to_owned(),
            source: "replaced".into(),
        })
    };
    let fetches = AtomicU32::new(0);
    let (failed, other) = futures::join!(cache.read(wanted, gone), ask(&cache, wanted, &fetches));
    assert!(matches!(failed, Err(object_store::Error::Precondition { .. })));
    assert_eq!(other.len(), 100);
    // Fewer bytes than were asked for are given on and not kept.
    let short = || async { Ok(Bytes::from_static(b"short")) };
    let other = range("b", 0, 100);
    assert_eq!(cache.read(other, short).await.unwrap().len(), 5);
    assert_eq!(ask(&cache, other, &fetches).await.len(), 100);
}
