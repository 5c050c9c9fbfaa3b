//! Log lines of the whole test process: Farthing's own at every level, the libraries' warnings.
//!
//! Lines are looked at while they are written and mostly forgotten: those that hold a watched text are kept as hits, and
//! the newest warnings and errors are kept for the messages of failing tests.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Every secret of a canary test contains this.
pub const CANARY: &str = "CanaryDoNotShow";

/// Warnings kept.
const KEPT: usize = 200;

/// What was seen so far.
#[derive(Default)]
pub struct Seen {
    /// Lines of Farthing's own crates at debug level or below.
    pub detailed_lines: u64,
    /// Lines that hold [`CANARY`].
    pub hits: Vec<String>,
    /// The newest warnings and errors.
    pub warnings: VecDeque<String>,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

fn seen_guard() -> MutexGuard<'static, Option<Seen>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at what was seen so far.
pub fn seen<R>(look: impl FnOnce(&Seen) -> R) -> R {
    look(seen_guard().get_or_insert_with(Seen::default))
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(bytes).into_owned();
        let mut guard = seen_guard();
        let seen = guard.get_or_insert_with(Seen::default);
        let level = line.split_whitespace().nth(1).unwrap_or_default();
        if matches!(level, "DEBUG" | "TRACE") && line.contains("farthing") {
            seen.detailed_lines += 1;
        }
        if line.contains(CANARY) {
            seen.hits.push(line.clone());
        }
        if matches!(level, "WARN" | "ERROR") {
            if seen.warnings.len() == KEPT {
                seen.warnings.pop_front();
            }
            seen.warnings.push_back(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct MakeLines;

impl MakeWriter<'_> for MakeLines {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines
    }
}

/// Starts looking, once for the process.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let crates = ["engine", "connectors", "sql", "server", "sandbox"];
        let own: Vec<String> = crates.iter().map(|name| format!("farthing_{name}=trace")).collect();
        let filter = format!("warn,{}", own.join(","));
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_ansi(false)
            .with_writer(MakeLines)
            .init();
    });
}
