//! Figures of a run, as text for people: a Markdown page with one line for each question.

use std::fmt::Write as _;

/// The times of one peer on one question, in seconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// The first run, in a node or database that was just opened.
    pub cold: f64,
    /// Bytes that the first run read by system calls, page cache included; `None` where the system does not tell.
    pub cold_bytes: Option<u64>,
    /// The warm runs, after one that is not counted.
    pub warm: Vec<f64>,
}

impl Times {
    /// The middle warm run; of an even number the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let mut sorted = self.warm.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        match sorted.get(half) {
            None => f64::NAN,
            Some(&upper) if sorted.len() % 2 == 1 => upper,
            Some(upper) => f64::midpoint(sorted[half - 1], *upper),
        }
    }

    /// The fastest warm run: what is left when the rest of the machine disturbs least.
    pub fn min(&self) -> f64 {
        self.warm.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// What came of one question.
#[derive(Debug, Clone)]
pub struct Line {
    /// The question's name.
    pub name: String,
    /// What is asked.
    pub title: String,
    /// What came of it.
    pub result: Compared,
}

/// Whether both peers answered.
#[derive(Debug, Clone)]
pub enum Compared {
    /// Both did.
    Timed {
        /// Number of rows.
        rows: usize,
        /// Farthing's times.
        farthing: Times,
        /// DuckDB's times.
        duckdb: Times,
        /// The first row that differs, if one does.
        difference: Option<String>,
    },
    /// One refused; why.
    Refused(String),
}

impl Compared {
    /// Whether both answered with the same rows.
    pub fn agrees(&self) -> bool {
        matches!(self, Self::Timed { difference: None, .. })
    }
}

/// The geometric mean; NaN of nothing.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    (sum / count).exp()
}

/// The table of all questions, its geometric means, and what went wrong below it.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::from(
        "| question | rows | Farthing ms | DuckDB ms | ratio | Farthing cold ms | DuckDB cold ms | Farthing cold MB | DuckDB cold MB | equal |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    let mut pairs = Vec::new();
    for line in lines {
        let Compared::Timed {
            rows,
            farthing,
            duckdb,
            difference,
        } = &line.result
        else {
            put(
                &mut text,
                format_args!("| {}: {} | refused | | | | | | | | no |\n", line.name, line.title),
            );
            continue;
        };
        pairs.push((farthing, duckdb));
        put(
            &mut text,
            format_args!(
                "| {}: {} | {rows} | {} | {} | {:.2} | {} | {} | {} | {} | {} |\n",
                line.name,
                line.title,
                median_and_min(farthing),
                median_and_min(duckdb),
                duckdb.median() / farthing.median(),
                milliseconds(farthing.cold),
                milliseconds(duckdb.cold),
                megabytes(farthing.cold_bytes),
                megabytes(duckdb.cold_bytes),
                if difference.is_none() { "yes" } else { "NO" },
            ),
        );
    }
    put_means(&mut text, &pairs);
    for line in lines {
        match &line.result {
            Compared::Timed {
                difference: Some(difference),
                ..
            } => {
                put(&mut text, format_args!("\n{} differs: {difference}\n", line.name));
            }
            Compared::Refused(why) => put(&mut text, format_args!("\n{} was refused: {why}\n", line.name)),
            Compared::Timed { .. } => {}
        }
    }
    text
}

fn put_means(text: &mut String, pairs: &[(&Times, &Times)]) {
    let mean = |of: fn(&(&Times, &Times)) -> f64| geometric_mean(pairs.iter().map(of));
    put(
        text,
        format_args!(
            "| **geometric mean** | | **{}** | **{}** | **{:.2}** | {} | {} | | | |\n\n\
             Ratio of the fastest warm runs: {:.2}; of the cold runs: {:.2}.\n",
            milliseconds(mean(|(farthing, _)| farthing.median())),
            milliseconds(mean(|(_, duckdb)| duckdb.median())),
            mean(|(farthing, duckdb)| duckdb.median() / farthing.median()),
            milliseconds(mean(|(farthing, _)| farthing.cold)),
            milliseconds(mean(|(_, duckdb)| duckdb.cold)),
            mean(|(farthing, duckdb)| duckdb.min() / farthing.min()),
            mean(|(farthing, duckdb)| duckdb.cold / farthing.cold),
        ),
    );
}

/// Writing to a string cannot fail.
fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(line);
}

fn median_and_min(times: &Times) -> String {
    format!("{} ({})", milliseconds(times.median()), milliseconds(times.min()))
}

/// Seconds as milliseconds, with a decimal below a hundred.
pub fn milliseconds(seconds: f64) -> String {
    let milliseconds = seconds * 1e3;
    if milliseconds < 100.0 {
        format!("{milliseconds:.1}")
    } else {
        format!("{milliseconds:.0}")
    }
}

/// Bytes as megabytes; a dash for an unknown number.
pub fn megabytes(bytes: Option<u64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    bytes.map_or("-".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn times(warm: &[f64]) -> Times {
        Times {
            cold: 1.0,
            cold_bytes: None,
            warm: warm.to_vec(),
        }
    }

    #[test]
    fn medians_and_means() {
        assert!((times(&[3.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-12);
        assert!((times(&[4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-12);
        assert!(times(&[]).median().is_nan());
        assert!((geometric_mean([1.0, 4.0]) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn differences_and_refusals_are_told() {
        let timed = |difference: Option<&str>| Compared::Timed {
            rows: 3,
            farthing: times(&[0.01]),
            duckdb: times(&[0.02]),
            difference: difference.map(str::to_owned),
        };
        let line = |name: &str, result| Line {
            name: name.to_owned(),
            title: "T".to_owned(),
            result,
        };
        let lines = [
            line("01", timed(None)),
            line("02", timed(Some("other rows"))),
            line("03", Compared::Refused("no such column".to_owned())),
        ];
        let text = table(&lines);
        assert!(
            text.contains("| 01: T | 3 | 10.0 (10.0) | 20.0 (20.0) | 2.00 |"),
            "{text}"
        );
        assert!(
            text.contains("02 differs: other rows") && text.contains("03 was refused: no such column"),
            "{text}"
        );
        assert_eq!(lines.iter().filter(|line| line.result.agrees()).count(), 1);
    }
}
