//! DuckDB in a child process: `benches/duckdb_peer.py` under a Python that has the pinned wheel.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sample::Sample;
use crate::{Answer, Outcome, cell};

/// A DuckDB process. It ends when this is dropped.
pub struct DuckDb {
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

impl DuckDb {
    /// Starts the process under the Python at `python`.
    pub fn start(python: &Path) -> Outcome<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("duckdb_peer.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}; give --python", python.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("the DuckDB process has no output")?;
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Opens a fresh database over the sample, with the rows of its connected accounts. Answers with DuckDB's version.
    pub fn open(&mut self, sample: &Sample, threads: usize) -> Outcome<String> {
        let command = json!({"open": {
            "threads": threads,
            "files": sample.files_glob(),
            "accounts": sample.connected(),
        }});
        let reply = self.send(&command)?;
        Ok(reply.version.unwrap_or_default())
    }

    /// Runs a query to its last row.
    pub fn ask(&mut self, sql: &str) -> Outcome<Answer> {
        let reply = self.send(&json!({ "sql": sql }))?;
        let (Some(rows), Some(seconds)) = (reply.rows, reply.seconds) else {
            return Err("the DuckDB process answered a query without rows".into());
        };
        let rows = rows
            .iter()
            .map(|row| row.iter().map(cell::of_json).collect::<Outcome<Vec<_>>>())
            .collect::<Outcome<Vec<_>>>()?;
        Ok(Answer { rows, seconds })
    }

    /// The process, for its memory and bytes read.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send(&mut self, command: &Value) -> Outcome<Reply> {
        let input = self.input.as_mut().ok_or("the DuckDB process is closed")?;
        writeln!(input, "{command}")?;
        input.flush()?;
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(
                "the DuckDB process ended: its message is above; does --python name one with benches/requirements.txt?"
                    .into(),
            );
        }
        let reply: Reply = serde_json::from_str(&line)?;
        match reply.error {
            Some(error) => Err(format!("DuckDB refused: {error}").into()),
            None => Ok(reply),
        }
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        self.input = None;
        // It is at the end of its input; nothing can be done about a failure here.
        let _ = self.child.wait();
    }
}
