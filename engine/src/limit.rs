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
    /// Ranges of delivered files kept on disk, in bytes; 0 keeps none.
    pub disk_cache_bytes: u64,
    /// Results of statements kept in memory, in bytes; 0 keeps none.
    pub result_cache_bytes: u64,
    /// Plans of statements kept in memory; 0 keeps none.
    pub plan_cache_entries: usize,
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
    /// Past deliveries kept of each month of an export.
    pub past_deliveries: usize,
    /// Rows of one rollup of one month.
    pub rollup_rows: usize,
    /// Columns of rollups kept in memory, in bytes.
    pub rollup_cache_bytes: u64,
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
            disk_cache_bytes: 10 << 30,
            // One part in twenty, at most a quarter of a gibibyte: dashboards ask for little, and often for the same.
            result_cache_bytes: (memory as u64 / 20).min(256 << 20),
            plan_cache_entries: 256,
            portals: 64,
            prepared_statements: 1_000,
            statement_bytes: 1 << 20,
            aws_call_timeout: Duration::from_secs(30),
            history_entries: 10_000,
            past_deliveries: 30,
            rollup_rows: 500_000,
            rollup_cache_bytes: (memory as u64 / 10).min(1 << 30),
        }
    }
}

/// A bound as `system.limits` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitEntry {
    /// The name, which is also the setting's.
    pub name: &'static str,
    /// The value in `unit`.
    pub value: u64,
    /// The unit.
    pub unit: &'static str,
    /// What it bounds.
    pub about: &'static str,
}

impl Limits {
    /// Every bound, in order of name.
    pub fn describe(&self) -> Vec<LimitEntry> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let entry = |name, value, unit, about| LimitEntry {
            name,
            value,
            unit,
            about,
        };
        vec![
            entry(
                "admission_wait",
                ms(self.admission_wait),
                "ms",
                "The longest a statement waits for a slot.",
            ),
            entry(
                "aws_call_timeout",
                ms(self.aws_call_timeout),
                "ms",
                "One AWS call, tries included.",
            ),
            entry("columns", self.columns as u64, "columns", "Columns of one table."),
            entry(
                "disk_cache_bytes",
                self.disk_cache_bytes,
                "bytes",
                "Ranges of delivered files kept on disk.",
            ),
            entry(
                "footer_cache_bytes",
                self.footer_cache_bytes,
                "bytes",
                "Parquet footers kept in memory.",
            ),
            entry(
                "history_entries",
                self.history_entries as u64,
                "entries",
                "Entries kept of each run history.",
            ),
            entry(
                "import_parallelism",
                self.import_parallelism as u64,
                "periods",
                "Periods imported at the same time.",
            ),
            entry(
                "manifest_bytes",
                self.manifest_bytes,
                "bytes",
                "The size of one manifest.",
            ),
            entry(
                "past_deliveries",
                self.past_deliveries as u64,
                "deliveries",
                "Past deliveries kept of each month of an export.",
            ),
            entry(
                "plan_cache_entries",
                self.plan_cache_entries as u64,
                "plans",
                "Plans of statements kept in memory.",
            ),
            entry("portals", self.portals as u64, "portals", "Portals of one session."),
            entry(
                "prepared_statements",
                self.prepared_statements as u64,
                "statements",
                "Prepared statements of one session.",
            ),
            entry(
                "query_memory",
                self.query_memory as u64,
                "bytes",
                "Memory for all statements together.",
            ),
            entry(
                "query_slots",
                self.query_slots as u64,
                "statements",
                "Statements that run at the same time.",
            ),
            entry(
                "result_cache_bytes",
                self.result_cache_bytes,
                "bytes",
                "Results of statements kept in memory.",
            ),
            entry(
                "rollup_cache_bytes",
                self.rollup_cache_bytes,
                "bytes",
                "Columns of rollups kept in memory.",
            ),
            entry(
                "rollup_rows",
                self.rollup_rows as u64,
                "rows",
                "Rows of one rollup of one month; a finer one is not made.",
            ),
            entry(
                "snapshot_files",
                self.snapshot_files as u64,
                "files",
                "Files in one snapshot.",
            ),
            entry(
                "spill_bytes",
                self.spill_bytes,
                "bytes",
                "Space for spilled intermediate results.",
            ),
            entry(
                "statement_bytes",
                self.statement_bytes as u64,
                "bytes",
                "The length of one statement.",
            ),
            entry(
                "statement_timeout",
                ms(self.statement_timeout),
                "ms",
                "The longest a statement may run.",
            ),
        ]
    }
}
