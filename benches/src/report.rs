//! Figures of a run, as text for people: Markdown tables with a line for each question and a column for each contender.
//!
//! The first column is the one that ratios are against. A mean holds the questions that both it and the first one answered
//! with equal rows: what a peer could not run or answered otherwise is never counted as passed.

use std::fmt::Write as _;

/// The first run, in a node or database that was just opened.
#[derive(Debug, Clone, Copy)]
pub struct Cold {
    /// Its time in seconds.
    pub seconds: f64,
    /// Bytes that it read by system calls, page cache included; `None` where the system does not tell.
    pub bytes: Option<u64>,
}

/// The times of one contender on one question, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The first run; `None` where it is no run of its own.
    pub cold: Option<Cold>,
    /// The warm runs, after one that is not counted.
    pub warm: Vec<f64>,
}

impl Times {
    /// The middle warm run; of an even number the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        percentile(&self.warm, 0.5)
    }

    /// The fastest warm run: what is left when the rest of the machine disturbs least.
    pub fn min(&self) -> f64 {
        self.warm.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// What came of one question for one contender.
#[derive(Debug, Clone)]
pub enum Figure {
    /// It answered with the first one's rows.
    Timed(Times),
    /// It answered with other rows; the first that differs.
    Differs(String),
    /// It was not run to its end; why.
    NotRun(String),
}

/// A contender.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name and version.
    pub name: String,
    /// Whether it has to answer every question with equal rows.
    pub required: bool,
    /// The most memory that its process had resident during the questions, in bytes.
    pub peak: Option<u64>,
}

/// What came of one question.
#[derive(Debug, Clone)]
pub struct Line {
    /// The question's name.
    pub name: String,
    /// What is asked.
    pub title: String,
    /// What it belongs to.
    pub set: String,
    /// Number of rows.
    pub rows: usize,
    /// For each contender.
    pub figures: Vec<Figure>,
}

/// All of a run.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// The contenders, the one that ratios are against first.
    pub columns: Vec<Column>,
    /// The questions.
    pub lines: Vec<Line>,
}

impl Results {
    /// Whether those that have to answered every question with equal rows.
    pub fn agree(&self) -> bool {
        let required = |line: &Line| {
            let mut figures = self.columns.iter().zip(&line.figures);
            figures.all(|(column, figure)| !column.required || matches!(figure, Figure::Timed(_)))
        };
        self.lines.iter().all(required)
    }

    /// Means and ratios of each contender over all questions and over each set.
    pub fn summary(&self) -> String {
        let mut text = String::from(
            "| | set | questions | geometric mean ms | first one's ms on them | ratio | of fastest runs | of cold runs | least ratio | peak MB |\n\
             |---|---|--:|--:|--:|--:|--:|--:|---|--:|\n",
        );
        let mut sets: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !sets.contains(&line.set.as_str()) {
                sets.push(&line.set);
            }
        }
        for (at, column) in self.columns.iter().enumerate() {
            self.put_means(&mut text, at, column, "all", |_| true);
            for set in sets.iter().filter(|_| sets.len() > 1 && at > 0) {
                self.put_means(&mut text, at, column, set, |line| line.set == **set);
            }
        }
        text
    }

    fn put_means(&self, text: &mut String, at: usize, column: &Column, set: &str, of_set: impl Fn(&Line) -> bool) {
        let lines = self.lines.iter().filter(|line| of_set(line));
        let pairs: Vec<(&Line, &Times, &Times)> = lines
            .filter_map(|line| match (line.figures.first(), line.figures.get(at)) {
                (Some(Figure::Timed(first)), Some(Figure::Timed(own))) => Some((line, first, own)),
                _ => None,
            })
            .collect();
        let ratio = |first: &Times, own: &Times| first.median() / own.median();
        let mean = |of: fn(&Times) -> f64, own: bool| {
            geometric_mean(
                pairs
                    .iter()
                    .map(|(_, first, other)| of(if own { other } else { first })),
            )
        };
        let least = pairs
            .iter()
            .min_by(|(_, a, b), (_, c, d)| ratio(a, b).total_cmp(&ratio(c, d)));
        let cold = pairs
            .iter()
            .filter_map(|(_, first, own)| Some((first.cold?, own.cold?)));
        put(
            text,
            format_args!(
                "| {} | {set} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                column.name,
                pairs.len(),
                milliseconds(mean(Times::median, true)),
                milliseconds(mean(Times::median, false)),
                decimals(mean(Times::median, false) / mean(Times::median, true)),
                decimals(mean(Times::min, false) / mean(Times::min, true)),
                decimals(geometric_mean(cold.map(|(first, own)| first.seconds / own.seconds))),
                least.map_or(String::new(), |(line, first, own)| format!(
                    "{:.2} ({})",
                    ratio(first, own),
                    line.name
                )),
                megabytes(column.peak),
            ),
        );
    }

    /// The warm runs: the median, in brackets how many times faster than the first contender.
    pub fn warm(&self) -> String {
        self.table(
            "rows",
            |line| line.rows.to_string(),
            |first, own| match first {
                Some(first) => format!("{} ({:.2})", milliseconds(own.median()), first.median() / own.median()),
                None => format!("{} ({})", milliseconds(own.median()), milliseconds(own.min())),
            },
        )
    }

    /// The cold runs: milliseconds, and the megabytes that were read.
    pub fn cold(&self) -> String {
        self.table(
            "set",
            |line| line.set.clone(),
            |_, own| match own.cold {
                Some(cold) => format!("{} / {}", milliseconds(cold.seconds), megabytes(cold.bytes)),
                None => String::new(),
            },
        )
    }

    /// One line as [`Results::warm`] has it, for the person who watches.
    pub fn watch(&self) -> String {
        let last = Self {
            columns: self.columns.clone(),
            lines: self.lines.last().cloned().into_iter().collect(),
        };
        let mut text = last.warm().lines().nth(2).unwrap_or_default().to_owned();
        for (column, figure) in self
            .columns
            .iter()
            .zip(last.lines.iter().flat_map(|line| &line.figures))
        {
            if let Figure::Differs(why) | Figure::NotRun(why) = figure {
                put(&mut text, format_args!("\n    {}: {}", column.name, short(why)));
            }
        }
        text
    }

    fn table(
        &self,
        second: &str,
        of_line: impl Fn(&Line) -> String,
        cell: impl Fn(Option<&Times>, &Times) -> String,
    ) -> String {
        let mut text = format!("| question | {second} |");
        for column in &self.columns {
            put(&mut text, format_args!(" {} |", column.name));
        }
        put(
            &mut text,
            format_args!("\n|---|--:|{}\n", "--:|".repeat(self.columns.len())),
        );
        for line in &self.lines {
            put(
                &mut text,
                format_args!("| {}: {} | {} |", line.name, line.title, of_line(line)),
            );
            let first = match line.figures.first() {
                Some(Figure::Timed(first)) => Some(first),
                _ => None,
            };
            for (at, figure) in line.figures.iter().enumerate() {
                let shown = match figure {
                    Figure::Timed(times) => cell(first.filter(|_| at > 0), times),
                    Figure::Differs(_) => "other rows".to_owned(),
                    Figure::NotRun(_) => "not run".to_owned(),
                };
                put(&mut text, format_args!(" {shown} |"));
            }
            text.push('\n');
        }
        text
    }

    /// Why questions were not run or answered otherwise: a line for each reason.
    pub fn remarks(&self) -> String {
        let mut text = String::new();
        for (at, column) in self.columns.iter().enumerate() {
            let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
            for line in &self.lines {
                let why = match line.figures.get(at) {
                    Some(Figure::Differs(why)) => format!("other rows: {}", short(why)),
                    Some(Figure::NotRun(why)) => format!("not run: {}", short(why)),
                    _ => continue,
                };
                match reasons.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, names)) => names.push(&line.name),
                    None => reasons.push((why, vec![&line.name])),
                }
            }
            for (why, names) in reasons {
                put(
                    &mut text,
                    format_args!("- {}, {}: {why}\n", column.name, names.join(", ")),
                );
            }
        }
        text
    }
}

/// The first line of a reason, without what would break a table.
fn short(why: &str) -> String {
    why.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The value below which this part of the values lies: between two of them, in proportion; NaN of nothing.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers of runs are small")]
    let place = part.clamp(0.0, 1.0) * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and last"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
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

/// Writing to a string cannot fail.
pub fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(line);
}

/// A number with two decimals; a dash for an unknown one.
pub fn decimals(number: f64) -> String {
    match number.is_nan() {
        true => "-".to_owned(),
        false => format!("{number:.2}"),
    }
}

/// Seconds as milliseconds, with decimals where they say something; a dash for an unknown number.
pub fn milliseconds(seconds: f64) -> String {
    let milliseconds = seconds * 1e3;
    if milliseconds.is_nan() {
        "-".to_owned()
    } else if milliseconds < 10.0 {
        format!("{milliseconds:.2}")
    } else if milliseconds < 100.0 {
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
mod tests;
