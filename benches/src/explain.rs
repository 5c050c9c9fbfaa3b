//! What EXPLAIN says of rollups, and EXPLAIN ANALYZE of the account filter.

use crate::Answer;
use crate::cell::Cell;

/// The operator that is the filter.
const OPERATOR: &str = "ScopeExec";

/// The texts of an answer, one below the other.
pub fn text_of(answer: &Answer) -> String {
    let mut text = String::new();
    for cell in answer.rows.iter().flatten() {
        if let Cell::Text(line) = cell {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Whether a plan reads a rollup.
pub fn names_rollup(plan: &str) -> bool {
    plan.to_ascii_lowercase().contains("rollup")
}

/// What the operators of the account filter computed in all threads, in seconds.
pub fn filter_seconds(plan: &str) -> f64 {
    let of_line = |line: &str| {
        let (_, after) = line.split_once("elapsed_compute=")?;
        let end = after.find([',', ']']).unwrap_or(after.len());
        seconds(after[..end].trim())
    };
    plan.lines()
        .filter(|line| line.trim_start().starts_with(OPERATOR))
        .filter_map(of_line)
        .sum()
}

/// A length of time as DataFusion prints it.
fn seconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let factor = match text[unit..].trim() {
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollup_is_seen_in_any_case() {
        assert!(names_rollup("TableScan: Rollups.x") && !names_rollup("TableScan: exports.x"));
    }

    #[test]
    fn every_filter_of_a_plan_counts_and_nothing_else() {
        let plan = "AggregateExec: mode=Single, metrics=[elapsed_compute=9s]\n  \
            ScopeExec: 3 accounts, metrics=[output_rows=5, elapsed_compute=1.5ms, input_rows=7]\n  \
            ScopeExec: 3 accounts, metrics=[elapsed_compute=500.0µs]\n";
        assert!((filter_seconds(plan) - 0.002).abs() < 1e-12);
        assert!(filter_seconds("DataSourceExec: metrics=[elapsed_compute=1s]").abs() < 1e-12);
    }
}
