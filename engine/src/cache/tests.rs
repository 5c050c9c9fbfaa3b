#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_cache_counts_and_keeps_to_its_bound() {
    let counters = Arc::<Counters>::default();
    let cache: CountedCache<u32, u32> = CountedCache::new(Bound::Bytes(100), Arc::clone(&counters));
    assert_eq!(cache.get(&1), None);
    cache.insert(1, 10, 60);
    assert_eq!(cache.get(&1), Some(10));
    assert_eq!((counters.entries(), counters.bytes()), (1, 60));
    assert_eq!((counters.hits(), counters.misses()), (1, 1));
    for key in 2..50 {
        cache.insert(key, key, 30);
        cache.entries.run_pending_tasks();
    }
    assert!(counters.bytes() <= 100, "{counters:?}");
    assert_eq!(counters.entries(), cache.entries.entry_count());
    assert!(counters.evictions() >= 45, "{counters:?}");
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    for bound in [Bound::Bytes(0), Bound::Entries(0)] {
        let counters = Arc::<Counters>::default();
        let cache: CountedCache<u32, u32> = CountedCache::new(bound, Arc::clone(&counters));
        cache.insert(1, 10, 60);
        cache.entries.run_pending_tasks();
        assert_eq!(cache.get(&1), None);
        assert_eq!((counters.entries(), counters.bytes()), (0, 0));
    }
}
