//! A bounded map from random handles to values that expire when they are not used.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use farthing_engine::{Error, ErrorKind, Result};
use tokio::time::Instant;

/// The 256 bits that name a value.
pub(super) type Key = [u8; 32];

/// What happens when an owner has as many values as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// The owner's value that was idle longest goes.
    DropIdlest,
    /// The new value is refused.
    Refuse,
}

/// How much a store holds, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// What the values are called in error messages, in the plural.
    pub(super) what: &'static str,
    /// Values in all; one more is refused.
    pub(super) total: usize,
    /// Values of one owner.
    pub(super) per_owner: usize,
    /// What happens at `per_owner`.
    pub(super) when_full: WhenFull,
    /// How long a value lives without being used.
    pub(super) idle: Duration,
}

struct Slot<O, V> {
    owner: O,
    used: Instant,
    value: Arc<V>,
}

/// Values of type `V`, each of an owner `O`.
///
/// No value is dropped while the lock is held, as dropping a session or a result may take time.
pub(super) struct Store<O, V> {
    bounds: Bounds,
    slots: Mutex<HashMap<Key, Slot<O, V>>>,
}

impl<O: Eq, V> Store<O, V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            slots: Mutex::new(HashMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot<O, V>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a value in, and gives back the one that had to go for it.
    ///
    /// # Errors
    /// `Limit` if the store is full, or the owner's share is and nothing may be dropped for it.
    pub(super) fn insert(&self, key: Key, owner: O, value: Arc<V>) -> Result<Option<Arc<V>>> {
        let now = Instant::now();
        let expired = self.take_where(|slot| now.duration_since(slot.used) >= self.bounds.idle);
        drop(expired);
        let mut slots = self.lock();
        let mut owned = 0;
        let mut idlest: Option<(Key, Instant)> = None;
        for (key, slot) in slots.iter().filter(|(_, slot)| slot.owner == owner) {
            owned += 1;
            if idlest.is_none_or(|(_, used)| slot.used < used) {
                idlest = Some((*key, slot.used));
            }
        }
        let mut dropped = None;
        if owned >= self.bounds.per_owner {
            match (self.bounds.when_full, idlest) {
                (WhenFull::DropIdlest, Some((idlest, _))) => dropped = slots.remove(&idlest),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        format!(
                            "this session has {owned} {}, which is as many as it may have",
                            self.bounds.what
                        ),
                    )
                    .with_hint("close the ones that are no longer needed"));
                }
            }
        } else if slots.len() >= self.bounds.total {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("the server has as many {} as it may have", self.bounds.what),
            )
            .with_hint("close what is no longer needed, or try again later"));
        }
        let slot = Slot {
            owner,
            used: now,
            value,
        };
        slots.insert(key, slot);
        drop(slots);
        Ok(dropped.map(|slot| slot.value))
    }

    /// The value of a handle, which counts as a use; `None` if there is none or it expired.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<V>> {
        let now = Instant::now();
        let mut slots = self.lock();
        let slot = slots.get_mut(key)?;
        if now.duration_since(slot.used) >= self.bounds.idle {
            let expired = slots.remove(key);
            drop(slots);
            drop(expired);
            return None;
        }
        slot.used = now;
        Some(slot.value.clone())
    }

    /// Takes a value out.
    pub(super) fn remove(&self, key: &Key) -> Option<Arc<V>> {
        self.lock().remove(key).map(|slot| slot.value)
    }

    /// Takes out all values of an owner.
    pub(super) fn remove_owned(&self, owner: &O) -> Vec<Arc<V>> {
        self.take_where(|slot| slot.owner == *owner)
    }

    /// Takes out all values that expired.
    pub(super) fn sweep(&self) -> Vec<Arc<V>> {
        let now = Instant::now();
        self.take_where(|slot| now.duration_since(slot.used) >= self.bounds.idle)
    }

    /// How long a value lives without being used.
    pub(super) fn idle(&self) -> Duration {
        self.bounds.idle
    }

    fn take_where(&self, goes: impl Fn(&Slot<O, V>) -> bool) -> Vec<Arc<V>> {
        self.lock()
            .extract_if(|_, slot| goes(slot))
            .map(|(_, slot)| slot.value)
            .collect()
    }
}

/// 256 bits from the operating system's random source.
///
/// # Errors
/// `State` if there is no randomness; nothing is issued then.
pub(super) fn random_key() -> Result<Key> {
    let mut key = Key::default();
    getrandom::fill(&mut key).map_err(|error| {
        Error::new(ErrorKind::State, "the operating system gives no random numbers").with_source(error)
    })?;
    Ok(key)
}
