//! The sandbox's clock, which tests turn.

// This is AWS's clock, not Farthing's.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The largest difference between a request's time and the server's that AWS accepts (SigV4 documentation: 15 minutes).
pub(crate) const MAX_SKEW: TimeDelta = TimeDelta::minutes(15);

/// The time inside the sandbox.
///
/// Two things are set apart, because a test process shares its system clock with the clients that it drives:
///
/// - *the date*, moved by [`Clock::set_time`] and [`Clock::advance`]: session expiry, `Last-Modified`, deliveries.
///   Clients are taken to live at the same date, so their signatures stay good when it moves;
/// - *the skew*, set by [`Clock::set_skew`]: how far the client's clock is wrong. Beyond 15 minutes signatures are
///   refused, as AWS does.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    state: Arc<Mutex<ClockState>>,
}

#[derive(Debug, Default)]
struct ClockState {
    /// Sandbox date minus system date.
    offset: TimeDelta,
    /// Server clock minus client clock.
    skew: TimeDelta,
}

impl Clock {
    /// The date inside the sandbox.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.with(|state| state.offset)
    }

    /// Sets the date; it goes on running from there.
    pub fn set_time(&self, now: DateTime<Utc>) {
        let offset = now - Utc::now();
        self.with(|state| state.offset = offset);
    }

    /// Moves the date forward.
    pub fn advance(&self, by: Duration) {
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        self.with(|state| state.offset = state.offset.checked_add(&by).unwrap_or(TimeDelta::MAX));
    }

    /// Makes the server's clock run ahead of every client's (or behind, when negative).
    pub fn set_skew(&self, skew: TimeDelta) {
        self.with(|state| state.skew = skew);
    }

    /// Whether a request signed at `signed_at` (by the client's clock) is outside the accepted window.
    pub(crate) fn is_skewed(&self, signed_at: DateTime<Utc>) -> bool {
        let server = Utc::now() + self.with(|state| state.skew);
        (server - signed_at).abs() > MAX_SKEW
    }

    fn with<R>(&self, act: impl FnOnce(&mut ClockState) -> R) -> R {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
