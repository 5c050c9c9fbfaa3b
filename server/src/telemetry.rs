//! Log lines: structured events on standard error, as text or JSON.
//!
//! The level counts for Farthing's own crates. Libraries log warnings and errors only: at lower levels HTTP and AWS
//! libraries print signed requests, and no log line may hold what signs one.

use std::io::IsTerminal;

use farthing_engine::{Error, Result};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sends events to standard error from here on, for the rest of the process.
///
/// # Errors
///
/// `Defect` if something in the process has done so before.
pub fn init(level: Level, format: LogFormat) -> Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().with_ansi(false).try_init(),
    };
    started.map_err(|error| Error::defect(format!("log lines are already taken by something else: {error}")))
}

fn filter(level: Level) -> EnvFilter {
    // A directive counts for every target that begins with its name: `farthing_engine`, `farthing_sql` ...
    EnvFilter::new(format!("{},farthing={level}", level.min(Level::WARN)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn libraries_stay_at_warnings() {
        for (level, wanted) in [
            (Level::TRACE, "farthing=trace,warn"),
            (Level::INFO, "farthing=info,warn"),
            (Level::ERROR, "farthing=error,error"),
        ] {
            assert_eq!(filter(level).to_string(), wanted);
        }
    }
}
