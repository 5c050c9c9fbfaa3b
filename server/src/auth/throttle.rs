//! Slows an address down that fails to log in.
//!
//! The first failures cost nothing, so that a mistyped password does not hurt; then each doubles the wait. The table is
//! bounded: when it is full, the address that has been quiet longest is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures before the first wait.
const FREE_FAILURES: u32 = 3;
/// The first wait.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// The longest wait.
const MAX_DELAY: Duration = Duration::from_secs(8);
/// After this time without a failure an address starts afresh.
const MEMORY: Duration = Duration::from_secs(600);
/// Addresses remembered.
const MAX_ADDRESSES: usize = 10_000;

struct Failures {
    count: u32,
    last: Instant,
}

/// The failures of every address.
#[derive(Default)]
pub struct Throttle {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an attempt from the address waits before it is looked at.
    pub fn delay(&self, address: IpAddr, now: Instant) -> Duration {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match addresses.get(&network(address)) {
            Some(failures) if now.saturating_duration_since(failures.last) < MEMORY => {
                let Some(doublings) = failures.count.checked_sub(FREE_FAILURES) else {
                    return Duration::ZERO;
                };
                FIRST_DELAY.saturating_mul(1 << doublings.min(16)).min(MAX_DELAY)
            }
            _ => Duration::ZERO,
        }
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(address);
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&address) {
            addresses.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
            if addresses.len() >= MAX_ADDRESSES {
                let oldest = addresses
                    .iter()
                    .min_by_key(|(_, failures)| failures.last)
                    .map(|(address, _)| *address);
                if let Some(oldest) = oldest {
                    addresses.remove(&oldest);
                }
            }
        }
        let failures = addresses.entry(address).or_insert(Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= MEMORY {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// Forgets the failures of an address.
    pub fn succeeded(&self, address: IpAddr) {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&network(address));
    }
}

/// An IPv6 customer owns a whole /64, so its addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests;
