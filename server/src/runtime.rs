//! The two tokio runtimes: `io` polls sockets, `query` computes.
//!
//! They are apart so that a long computation never delays a byte of another connection. Nothing on `io` computes for
//! longer than half a millisecond.

use std::time::Duration;

use farthing_engine::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for blocking work on each runtime: key derivation, files.
const BLOCKING_THREADS: usize = 64;

/// Both runtimes. Built once, by the command line or by the program that embeds Farthing.
pub struct Runtimes {
    io: Runtime,
    query: Runtime,
}

impl Runtimes {
    /// Starts both with `threads` threads each.
    ///
    /// # Errors
    ///
    /// `State` if the system gives no threads.
    pub fn try_new(threads: usize) -> Result<Self> {
        Ok(Self {
            io: runtime("farthing-io", threads.max(2))?,
            query: runtime("farthing-query", threads)?,
        })
    }

    /// Sockets, object stores, AWS.
    pub fn io(&self) -> &Handle {
        self.io.handle()
    }

    /// Plans, Parquet, sorts, imports.
    pub fn query(&self) -> &Handle {
        self.query.handle()
    }

    /// Runs `work` to its end with its sockets on `io`.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.io.block_on(work)
    }

    /// Stops both; tasks that still run get `grace` to come to their next await.
    pub fn shutdown(self, grace: Duration) {
        self.query.shutdown_timeout(grace);
        self.io.shutdown_timeout(grace);
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(
                ErrorKind::State,
                format!("the threads {name} cannot be started: {error}"),
            )
            .with_source(error)
        })
}
