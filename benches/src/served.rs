//! Farthing as users run it: `farthing serve` in a process of its own, asked over the PostgreSQL protocol.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::background::{self, Background};
use crate::mode::Mode;
use crate::sample::Sample;
use crate::{Failure, Outcome, say};

/// The password of the one login: the server is reachable on loopback alone, and ends with the bench.
const PASSWORD: &str = "not-a-real-secret";
const USER: &str = "admin";
/// The longest wait for the server to be ready.
const READY_WAIT: Duration = Duration::from_secs(60);
/// What it prints then, before its address.
const READY: &str = "PostgreSQL on ";

/// A running server. It is ended when this is dropped.
pub struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    /// Prepares a data directory, which must not exist yet, and serves it on a free port.
    pub fn start(binary: &Path, data_dir: &Path, threads: usize) -> Outcome<Self> {
        let failed = |error| format!("{} cannot be started: {error}; give --farthing", binary.display());
        let password = data_dir.with_extension("password");
        std::fs::write(&password, PASSWORD)?;
        let init = Command::new(binary)
            .args(["init", "--admin", USER, "--data-dir"])
            .arg(data_dir)
            .arg("--password-file")
            .arg(&password)
            .output()
            .map_err(failed)?;
        if !init.status.success() {
            return Err(String::from_utf8_lossy(&init.stderr).into_owned().into());
        }
        let mut child = Command::new(binary)
            .args([
                "serve",
                "--listen-pg",
                "127.0.0.1:0",
                "--listen-flight",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(data_dir)
            .env("FARTHING_THREADS", threads.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let errors = child.stderr.take().ok_or("the server has no standard error")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line) {
                    // Nobody waits for it only when the bench has given up.
                    let _ = sender.send(address);
                } else if line.contains("WARN") || line.contains("ERROR") || line.starts_with("error") {
                    say(&line);
                }
            }
        });
        let served = receiver.recv_timeout(READY_WAIT);
        // Held in any case, so that the process ends.
        let mut served = Self {
            child,
            address: served.map_err(|_| "the server was not ready in time: its message is above")?,
        };
        match served.child.try_wait()? {
            None => Ok(served),
            Some(status) => Err(format!("the server ended at once: {status}").into()),
        }
    }

    /// The process, for its memory.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection with the settings of a mode, and those that the server does not know.
    pub async fn user(&self, mode: Mode) -> Outcome<(User, Vec<&'static str>)> {
        let mut config = tokio_postgres::Config::new();
        config.host(self.address.ip().to_string()).port(self.address.port());
        config.user(USER).password(PASSWORD).dbname("farthing");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            // The connection's end is what the client's own calls report.
            let _ = connection.await;
        });
        let user = User { client };
        let mut unknown = Vec::new();
        for (name, value) in mode.settings() {
            match user.rows(&format!("SET {name} = {value}")).await {
                Ok(_) => {}
                Err(failure) if background::is_unknown(&failure) => unknown.push(*name),
                Err(failure) => return Err(failure),
            }
        }
        Ok((user, unknown))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It keeps nothing that it has not written, and its data directory goes with the bench.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub struct User {
    client: tokio_postgres::Client,
}

impl User {
    /// Runs statements to the last row; the rows as text.
    pub async fn rows(&self, sql: &str) -> Outcome<Vec<Vec<Option<String>>>> {
        let messages = self.client.simple_query(sql).await.map_err(told)?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// The seconds that a question takes, from handing in the text to having the last row, and the number of rows.
    pub async fn time(&self, sql: &str) -> Outcome<(f64, usize)> {
        let began = Instant::now();
        let rows = self.rows(sql).await?.len();
        Ok((began.elapsed().as_secs_f64(), rows))
    }

    /// Connects the sample in its folder, and waits until every month is imported and the work in the background is done.
    pub async fn connect(&self, sample: &Sample, limit: Duration) -> Outcome<Background> {
        let location = sample.location().replace('\'', "''");
        self.rows(&format!("CALL connect_aws_root(location => '{location}')"))
            .await?;
        for account in sample.connected_linked() {
            self.rows(&format!("CALL connect_aws_linked(account_id => '{account}')"))
                .await?;
        }
        let missing = format!("SELECT {} - count(*) FROM system.snapshots", sample.months());
        background::wait(limit, async || self.number(&missing).await).await?;
        background::wait(limit, async || self.number(background::UNDONE).await).await
    }

    async fn number(&self, sql: &str) -> Outcome<f64> {
        let rows = self.rows(sql).await?;
        let value = rows.first().and_then(|row| row.first()).cloned().flatten();
        let number = value.as_deref().and_then(|text| text.parse().ok());
        number.ok_or_else(|| format!("a number is expected, not {value:?}").into())
    }
}

/// The server's own message, which the driver keeps below its own; the error stays below it.
fn told(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(_) => Failure::from(Told(error)),
        None => Failure::from(error),
    }
}

/// What the server said.
#[derive(Debug)]
pub struct Told(tokio_postgres::Error);

impl Told {
    /// The SQLSTATE.
    pub fn code(&self) -> Option<&str> {
        self.0.code().map(tokio_postgres::error::SqlState::code)
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_db_error() {
            Some(error) => write!(f, "{}: {}", error.code().code(), error.message()),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Told {}

/// The address of PostgreSQL clients in the line that the server prints when it is ready.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once(READY)?;
    after.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line_that_says_ready() {
        let line = "Farthing is ready: PostgreSQL on 127.0.0.1:40001, Flight SQL on 127.0.0.1:40002";
        assert_eq!(address_in(line), Some(SocketAddr::from(([127, 0, 0, 1], 40001))));
        assert_eq!(address_in("2026-11-23 INFO started"), None);
    }
}
