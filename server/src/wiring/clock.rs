//! The system's clock: the one place that reads it.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use farthing_engine::port::Clock;

/// The machine's time.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
