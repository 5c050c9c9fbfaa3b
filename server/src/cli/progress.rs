//! Progress bars on standard error; silent where it is no terminal.

use farthing_sandbox::sample::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Rows of a sample that are generated.
pub struct RowsBar {
    bar: ProgressBar,
}

impl RowsBar {
    /// A bar that appears once the delivery is planned.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        // The template is constant; one that does not parse leaves the bar as it is by default.
        if let Ok(style) = ProgressStyle::with_template(
            "{spinner} {wide_bar} {human_pos} of {human_len} rows  {per_sec:>14}  {eta} left  {msg}",
        ) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for RowsBar {
    fn planned(&self, rows: u64, _files: u64) {
        self.bar.set_length(rows);
    }

    fn advanced(&self, rows: u64) {
        self.bar.inc(rows);
    }

    fn written(&self, key: &str) {
        let name = key.rsplit('/').next().unwrap_or(key);
        self.bar.set_message(name.to_owned());
    }
}
