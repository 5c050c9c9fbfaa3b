//! Caches: bounded, counted, and none able to change an answer.
//!
//! What a cache holds is found under a key that names everything that the answer depends on, so nothing is ever invalidated:
//! a new delivery, scope or setting is a new key. `system.caches` shows what each holds and how often it helped.

pub mod disk;
pub(crate) mod result;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;

/// What is not asked for in so long is dropped: it may hold a catalog version that nobody reads any more.
const IDLE: Duration = Duration::from_secs(3_600);

/// What one cache holds, and how often it was asked. Counts are of this process since its start.
#[derive(Debug, Default)]
pub struct Counters {
    entries: AtomicU64,
    bytes: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

impl Counters {
    /// Something was found.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was not found.
    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry of so many bytes was added.
    pub(crate) fn added(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An entry of so many bytes is gone.
    pub(crate) fn removed(&self, bytes: u64, cause: RemovalCause) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if cause.was_evicted() {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries held.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often something was found.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// How often something was not found.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Entries that made room for others, or that nobody asked for in a long time.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

/// What bounds a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// So many entries.
    Entries(u64),
    /// So many bytes.
    Bytes(u64),
}

/// A cache as `system.caches` shows it.
#[derive(Debug, Clone)]
pub struct CacheInfo {
    /// Its name.
    pub name: &'static str,
    /// What bounds it.
    pub bound: Bound,
    /// What it holds.
    pub counters: Arc<Counters>,
}

struct Weighed<V> {
    value: V,
    bytes: u64,
}

impl<V: Clone> Clone for Weighed<V> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            bytes: self.bytes,
        }
    }
}

/// A cache in memory whose entries are counted. Cheap to clone; clones share the entries.
pub struct CountedCache<K, V> {
    entries: moka::sync::Cache<K, Weighed<V>>,
    counters: Arc<Counters>,
}

impl<K, V> Clone for CountedCache<K, V> {
    fn clone(&self) -> Self {
        Self {
            entries: self.entries.clone(),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<K, V> fmt::Debug for CountedCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedCache")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<K, V> CountedCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache within `bound` that counts into `counters`.
    pub fn new(bound: Bound, counters: Arc<Counters>) -> Self {
        let (most, by_bytes) = match bound {
            Bound::Entries(most) => (most, false),
            Bound::Bytes(most) => (most, true),
        };
        let gone = Arc::clone(&counters);
        let entries = moka::sync::Cache::builder()
            .max_capacity(most)
            .weigher(move |_, value: &Weighed<V>| match by_bytes {
                true => u32::try_from(value.bytes).unwrap_or(u32::MAX),
                false => 1,
            })
            .eviction_listener(move |_, value: Weighed<V>, cause| gone.removed(value.bytes, cause))
            .time_to_idle(IDLE)
            .build();
        Self { entries, counters }
    }

    /// What is kept under a key; counted as found or not.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.entries.get(key).map(|entry| entry.value);
        match found.is_some() {
            true => self.counters.hit(),
            false => self.counters.missed(),
        }
        found
    }

    /// Keeps a value of about so many bytes, if it is worth more than what would make room for it.
    pub fn insert(&self, key: K, value: V, bytes: u64) {
        if self.entries.policy().max_capacity() == Some(0) {
            return;
        }
        self.counters.added(bytes);
        self.entries.insert(key, Weighed { value, bytes });
    }
}

#[cfg(test)]
mod tests;
