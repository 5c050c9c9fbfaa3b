//! What the benches share: the sample export in a folder, Farthing in process, DuckDB in a child process, questions that
//! are asked of both, and the comparison of their rows.
//!
//! Both peers answer in the same run of the same program, in turns, from the same files with the same number of threads,
//! so that whatever else the machine does meets both. A ratio without equal rows is worth nothing: rows are compared each
//! time.

use std::error::Error;

pub mod cell;
pub mod duckdb;
pub mod farthing;
pub mod process;
pub mod question;
pub mod report;
pub mod sample;

/// Why a bench stops: one sentence for the person who started it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The result of everything in the benches that can fail.
pub type Outcome<T> = Result<T, Failure>;

/// One answer of a peer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows, in the order in which they came.
    pub rows: Vec<Vec<cell::Cell>>,
    /// From handing in the text to having the last row, in seconds.
    pub seconds: f64,
}
