//! Where ports meet implementations.

mod clock;

pub use self::clock::SystemClock;
