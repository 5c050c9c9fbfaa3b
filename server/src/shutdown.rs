//! Stopping in order: accept nothing new, drain, cancel, end imports, flush.
//!
//! The first SIGTERM or Ctrl-C begins it; running statements then have the configured grace. A second one cuts it short.

use std::time::Duration;

use farthing_engine::{Error, ErrorKind, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What cancelled statements and connections get to end, after the grace.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// Waits for SIGTERM or Ctrl-C.
///
/// # Errors
///
/// `State` if the system does not tell of signals.
pub async fn stop_signal() -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(
            ErrorKind::State,
            format!("the system does not tell of signals: {error}"),
        )
        .with_source(error)
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failed),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failed)
}

/// The servers of one process, each a task that ends when its token is cancelled.
pub struct Servers {
    stop: CancellationToken,
    tasks: JoinSet<(&'static str, Result<()>)>,
}

impl Default for Servers {
    fn default() -> Self {
        Self::new()
    }
}

impl Servers {
    /// None yet.
    pub fn new() -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        }
    }

    /// What tells the servers to stop accepting and to drain.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a server that ends when [`Servers::stop_token`] is cancelled.
    pub fn start(&mut self, name: &'static str, server: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, server.await) });
    }

    /// Runs until `stopped` or until a server fails, then stops all of them: each drains by itself within `grace`, and what
    /// is left after that, or at a second signal, is cut off.
    ///
    /// # Errors
    ///
    /// That of the server that failed, or of `stopped`.
    pub async fn run_until(mut self, stopped: impl Future<Output = Result<()>>, grace: Duration) -> Result<()> {
        let outcome = tokio::select! {
            stopped = stopped => stopped,
            ended = self.tasks.join_next(), if !self.tasks.is_empty() => match ended {
                Some(Ok((name, Ok(())))) => Err(Error::defect(format!("the {name} server ended by itself"))),
                Some(Ok((_, Err(error)))) => Err(error),
                Some(Err(error)) => Err(Error::defect("a server ended by a defect").with_source(error)),
                None => Ok(()),
            },
        };
        tracing::info!(
            grace_s = grace.as_secs(),
            "stopping: no new connections, running statements may finish"
        );
        self.stop.cancel();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let hurried = async {
            if stop_signal().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = hurried => tracing::warn!("a second signal: running statements are cut off"),
            () = tokio::time::sleep(grace + CANCEL_TIME) => tracing::warn!("some connections did not end and are cut off"),
        }
        self.tasks.shutdown().await;
        outcome
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn servers_drain_before_the_end() {
        let mut servers = Servers::new();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let stop = servers.stop_token();
        servers.start("test", async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            sender.send("drained").unwrap();
            Ok(())
        });
        servers
            .run_until(async { Ok(()) }, Duration::from_secs(1))
            .await
            .unwrap();
        assert_eq!(receiver.await.unwrap(), "drained");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_cut_off() {
        let mut servers = Servers::new();
        servers.start("test", std::future::pending());
        servers
            .run_until(async { Ok(()) }, Duration::from_secs(1))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_server_that_fails_stops_the_others() {
        let mut servers = Servers::new();
        let stop = servers.stop_token();
        servers.start("one", async move {
            stop.cancelled().await;
            Ok(())
        });
        servers.start("two", async { Err(Error::new(ErrorKind::State, "broken")) });
        let error = servers
            .run_until(std::future::pending(), Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(error.message(), "broken");
    }
}
