//! Every bound, with its unit and default. Each appears in `system.limits` and is a setting of the same name.

use std::time::Duration;

/// The bounds of one engine. Sizes are bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The longest a statement may run, to its last row.
    pub statement_timeout: Duration,
    /// The longest a statement waits for a slot.
    pub admission_wait: Duration,
    /// Statements that run at the same time.
    pub query_slots: usize,
    /// Memory for all statements together, in bytes.
    pub query_memory: usize,
    /// Space for spilled intermediate results, in bytes.
    pub spill_bytes: u64,
    /// Files in one snapshot.
    pub snapshot_files: usize,
    /// The size of one manifest, in bytes.
    pub manifest_bytes: u64,
    /// Columns of one table.
    pub columns: usize,
    /// Periods imported at the same time.
    pub import_parallelism: usize,
    /// Parquet footers kept in memory, in bytes.
    pub footer_cache_bytes: u64,
    /// Portals of one session.
    pub portals: usize,
    /// Prepared statements of one session.
    pub prepared_statements: usize,
    /// The length of one statement, in bytes.
    pub statement_bytes: usize,
    /// One AWS call, tries included.
    pub aws_call_timeout: Duration,
    /// Entries kept of each run history (imports, procedure runs).
    pub history_entries: usize,
}

impl Limits {
    /// The defaults for a machine with `cores` processors and `memory` bytes.
    pub fn for_machine(cores: usize, memory: usize) -> Self {
        Self {
            statement_timeout: Duration::from_secs(300),
            admission_wait: Duration::from_secs(30),
            query_slots: cores.max(1),
            // Sixty per cent, so that caches, sockets and the allocator's slack fit into the rest.
            query_memory: memory / 10 * 6,
            spill_bytes: 64 << 30,
            snapshot_files: 100_000,
            manifest_bytes: 16 << 20,
            columns: 2_000,
            import_parallelism: 4,
            footer_cache_bytes: 256 << 20,
            portals: 64,
            prepared_statements: 1_000,
            statement_bytes: 1 << 20,
            aws_call_timeout: Duration::from_secs(30),
            history_entries: 10_000,
        }
    }
}
