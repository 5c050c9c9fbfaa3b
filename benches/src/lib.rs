//! What the benches share: the sample export in a folder or in a sandbox's bucket, Farthing in process, its peers in child
//! processes, questions that are asked of all, and the comparison of their rows.
//!
//! All answer in the same run of the same program, in turns, from the same files with the same number of threads, so that
//! whatever else the machine does meets all of them. A ratio without equal rows is worth nothing: rows are compared each
//! time.

use std::error::Error;
use std::io::Write;
use std::path::Path;

pub mod arguments;
pub mod background;
pub mod bucket;
pub mod cell;
pub mod explain;
pub mod farthing;
pub mod mode;
pub mod peer;
pub mod plain_datafusion;
pub mod process;
pub mod question;
pub mod report;
pub mod sample;
pub mod served;

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

/// For the person who watches; where nobody can, nothing is lost.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a page, and writes it to a file where one is named.
pub fn publish(page: &str, file: Option<&Path>) -> Outcome<()> {
    std::io::stdout().lock().write_all(page.as_bytes())?;
    match file {
        None => Ok(()),
        Some(path) => {
            std::fs::write(path, page).map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
        }
    }
}
