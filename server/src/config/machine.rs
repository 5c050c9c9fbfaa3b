//! How many processors and how much memory this process may use.

use std::path::Path;

/// Assumed where the system does not tell: small enough for any machine that runs a server.
const UNKNOWN_MEMORY: usize = 4 << 30;

/// What the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Memory, in bytes: the control group's limit where there is one.
    pub memory: usize,
}

impl Machine {
    /// Asks the system.
    pub fn detect() -> Self {
        let limits = [
            // Control groups 2 and 1; "max" and absurdly large numbers mean no limit.
            number_in("/sys/fs/cgroup/memory.max"),
            number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            installed_memory(),
        ];
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: limits.into_iter().flatten().min().unwrap_or(UNKNOWN_MEMORY),
        }
    }
}

fn number_in(path: impl AsRef<Path>) -> Option<usize> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Linux: the line `MemTotal:  16265704 kB` of `/proc/meminfo`.
fn installed_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}
