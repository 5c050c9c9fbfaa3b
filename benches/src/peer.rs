//! What Farthing is compared with, each in a child process: engines with a Python wheel under `benches/peer.py`, plain
//! DataFusion in this program started again.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Answer, Outcome, cell, plain_datafusion};

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Engine {
    /// The one that ratios are against.
    DuckDb,
    /// By its SQL.
    Polars,
    /// ClickHouse in a process.
    ChDb,
    /// DataFusion as it comes: a listing table with the default configuration.
    DataFusion,
}

impl Engine {
    /// The name in files and commands.
    pub fn key(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Polars => "polars",
            Self::ChDb => "chdb",
            Self::DataFusion => "datafusion",
        }
    }

    fn command(self, python: &Path) -> Outcome<Command> {
        if self == Self::DataFusion {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(plain_datafusion::ARGUMENT);
            return Ok(command);
        }
        let mut command = Command::new(python);
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peer.py");
        command.arg(script).arg(self.key());
        Ok(command)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuckDb => "DuckDB",
            Self::Polars => "Polars",
            Self::ChDb => "chDB",
            Self::DataFusion => "DataFusion",
        })
    }
}

/// What a peer is opened over.
#[derive(Debug, Clone)]
pub struct Source {
    /// Every data file: `/folder/data/BILLING_PERIOD=*/*.parquet`.
    pub files: String,
    /// The accounts whose rows it shows; all rows without.
    pub accounts: Option<Vec<String>>,
}

/// A running peer. It ends when this is dropped.
pub struct Peer {
    /// Which one.
    pub engine: Engine,
    /// Its own name for its version.
    pub version: String,
    python: PathBuf,
    threads: usize,
    process: Process,
}

struct Process {
    child: Child,
    /// `None` only while dropping: closing it ends the process.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Reply {
    version: Option<String>,
    rows: Option<Vec<Vec<Value>>>,
    seconds: Option<f64>,
    error: Option<String>,
}

impl Peer {
    /// Starts an engine, those in Python under the one at `python`, and opens it over the source.
    pub fn start(engine: Engine, python: &Path, threads: usize, source: &Source) -> Outcome<Self> {
        let mut peer = Self {
            engine,
            version: String::new(),
            python: python.to_owned(),
            threads,
            process: Process::start(engine, python, threads)?,
        };
        peer.open(source)?;
        Ok(peer)
    }

    /// Opens it afresh, so that it remembers nothing. A process that has ended meanwhile is started again.
    pub fn open(&mut self, source: &Source) -> Outcome<()> {
        if self.process.child.try_wait()?.is_some() {
            self.process = Process::start(self.engine, &self.python, self.threads)?;
        }
        let command = json!({"open": {
            "threads": self.threads,
            "files": source.files,
            "accounts": source.accounts,
        }});
        self.version = self.send(&command)?.version.unwrap_or_default();
        Ok(())
    }

    /// Runs a query to its last row.
    pub fn ask(&mut self, sql: &str) -> Outcome<Answer> {
        self.timed(&json!({ "sql": sql }))
    }

    /// Writes all rows to a Parquet file; DuckDB alone.
    pub fn copy(&mut self, file: &Path) -> Outcome<Answer> {
        self.timed(&json!({ "copy": file }))
    }

    /// The process, for its memory and bytes read.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    fn timed(&mut self, command: &Value) -> Outcome<Answer> {
        let reply = self.send(command)?;
        let (Some(rows), Some(seconds)) = (reply.rows, reply.seconds) else {
            return Err(format!("{} answered a query without rows", self.engine).into());
        };
        let rows = rows
            .iter()
            .map(|row| row.iter().map(cell::of_json).collect::<Outcome<Vec<_>>>())
            .collect::<Outcome<Vec<_>>>()?;
        Ok(Answer { rows, seconds })
    }

    fn send(&mut self, command: &Value) -> Outcome<Reply> {
        let Some(line) = self.process.exchange(command)? else {
            return Err(format!(
                "the process of {} ended: its message is above; does --python name one with benches/requirements.txt?",
                self.engine
            )
            .into());
        };
        let reply: Reply = serde_json::from_str(&line)?;
        match reply.error {
            Some(error) => Err(error.into()),
            None => Ok(reply),
        }
    }
}

impl Process {
    fn start(engine: Engine, python: &Path, threads: usize) -> Outcome<Self> {
        let mut command = engine.command(python)?;
        let mut child = command
            .env("PEER_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{engine} cannot be started: {error}; give --python"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the process has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// One line in and one line out; `None` when the process has ended.
    fn exchange(&mut self, command: &Value) -> Outcome<Option<String>> {
        let Some(input) = self.input.as_mut() else {
            return Ok(None);
        };
        if writeln!(input, "{command}").and_then(|()| input.flush()).is_err() {
            return Ok(None);
        }
        let mut line = String::new();
        Ok((self.output.read_line(&mut line)? > 0).then_some(line))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.input = None;
        // It is at the end of its input; nothing can be done about a failure here.
        let _ = self.child.wait();
    }
}
