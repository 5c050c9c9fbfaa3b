//! Dashboard questions over the sample export, asked of Farthing and of DuckDB in turns; `benches/README.md` says how and
//! what is compared.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use farthing_benches::duckdb::DuckDb;
use farthing_benches::farthing::Farthing;
use farthing_benches::question::{Question, Values, load};
use farthing_benches::report::{Compared, Line, Times, megabytes, table};
use farthing_benches::sample::{EXPORT, Sample};
use farthing_benches::{Answer, Outcome, cell, process};
use farthing_server::config::Config;
use farthing_server::runtime::Runtimes;

/// Time dashboard questions over the sample export, for Farthing and for DuckDB, and compare their rows.
#[derive(Debug, Parser)]
struct Args {
    /// Rows of the sample export, about.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Months of the sample export.
    #[arg(long, default_value_t = 13)]
    months: u32,
    /// Where sample exports are made, and kept for the next run.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Warm runs that are counted, of each question and peer.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Threads of each peer.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// A Python with benches/requirements.txt.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Also write the page to this file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask only questions whose name starts with one of these.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Print Farthing's EXPLAIN ANALYZE of the questions instead of timing them.
    #[arg(long)]
    explain: bool,
}

/// Both peers, and what it takes to open them again.
struct Bench {
    config: Config,
    runtimes: Runtimes,
    sample: Sample,
    duckdb: DuckDb,
    runs: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("Rows differ, or a question was refused.");
            ExitCode::from(1)
        }
        Err(failure) => {
            say(&format!("dashboard: {failure}"));
            ExitCode::from(2)
        }
    }
}

/// Answers whether all rows agree.
fn run(args: &Args) -> Outcome<bool> {
    let folder = tempfile::tempdir()?;
    let runtimes = Runtimes::try_new(args.threads)?;
    let sample = runtimes.block_on(Sample::prepare(&args.data, args.rows, args.months))?;
    let config = Farthing::config(folder.path(), args.threads);
    let began = Instant::now();
    runtimes.block_on(async {
        let farthing = Farthing::open(&config, &runtimes).await?;
        let connected = farthing.connect(&sample).await;
        farthing.close().await;
        connected
    })?;
    let import = began.elapsed().as_secs_f64();
    let mut duckdb = DuckDb::start(&args.python)?;
    let version = duckdb.open(&sample, args.threads)?;
    let questions = chosen(load(&values(&sample, &mut duckdb)?)?, &args.only);
    let mut bench = Bench {
        config,
        runtimes,
        sample,
        duckdb,
        runs: args.runs,
    };
    if args.explain {
        return bench.explain(&questions).map(|()| true);
    }
    let load_before = process::load();
    process::forget_peak(std::process::id());
    process::forget_peak(bench.duckdb.pid());
    let mut lines = Vec::new();
    for question in &questions {
        lines.push(bench.line(question)?);
        say(table(&lines[lines.len() - 1..]).lines().nth(2).unwrap_or_default());
    }
    let mut page = bench.facts(&version, import, load_before)?;
    page.push_str(&table(&lines));
    print(&page)?;
    if let Some(path) = &args.output {
        write_page(path, &page)?;
    }
    Ok(lines.iter().all(|line| line.result.agrees()))
}

/// The values of the names in the questions. The resource is one of those that live through most of the months.
fn values(sample: &Sample, duckdb: &mut DuckDb) -> Outcome<Values> {
    let last = sample.last_month();
    let resource = duckdb.ask(
        "SELECT line_item_resource_id FROM cur WHERE line_item_resource_id LIKE 'arn:aws:rds:%' \
         GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    )?;
    let Some(cell::Cell::Text(resource)) = resource.rows.first().and_then(|row| row.first()) else {
        return Err("the sample has no database instance".into());
    };
    let account = sample
        .connected_linked()
        .into_iter()
        .next()
        .ok_or("the sample has no account")?;
    Ok(Values::from([
        ("last_month", last.to_string()),
        ("last_month_start", format!("{last}-01")),
        ("next_month_start", format!("{}-01", last.plus(1))),
        ("previous_month", last.plus(-1).to_string()),
        ("account", account),
        ("resource", resource.clone()),
        ("export", format!("exports.{EXPORT}")),
    ]))
}

fn chosen(questions: Vec<Question>, only: &[String]) -> Vec<Question> {
    let wanted = |question: &Question| only.is_empty() || only.iter().any(|start| question.name.starts_with(start));
    questions.into_iter().filter(wanted).collect()
}

impl Bench {
    /// Times and compares one question.
    fn line(&mut self, question: &Question) -> Outcome<Line> {
        let result = match self.time(question) {
            Ok(result) => result,
            Err(failure) => Compared::Refused(failure.to_string()),
        };
        Ok(Line {
            name: question.name.clone(),
            title: question.title.clone(),
            result,
        })
    }

    /// Opens both peers anew, so that the first run finds nothing prepared; then takes turns.
    fn time(&mut self, question: &Question) -> Outcome<Compared> {
        self.duckdb.open(&self.sample, self.config.threads)?;
        let farthing = self.runtimes.block_on(Farthing::open(&self.config, &self.runtimes))?;
        let ours = std::process::id();
        let theirs = self.duckdb.pid();
        let ask_farthing = || self.runtimes.block_on(farthing.ask(&question.farthing));
        let (first, our_bytes) = counting(ours, ask_farthing)?;
        let (second, their_bytes) = counting(theirs, || self.duckdb.ask(&question.duckdb))?;
        let difference = cell::difference(&first.rows, &second.rows);
        let mut our_times = times(&first, our_bytes);
        let mut their_times = times(&second, their_bytes);
        ask_farthing()?;
        self.duckdb.ask(&question.duckdb)?;
        for _ in 0..self.runs {
            our_times.warm.push(ask_farthing()?.seconds);
            their_times.warm.push(self.duckdb.ask(&question.duckdb)?.seconds);
        }
        self.runtimes.block_on(farthing.close());
        Ok(Compared::Timed {
            rows: first.rows.len(),
            farthing: our_times,
            duckdb: their_times,
            difference,
        })
    }

    fn explain(&self, questions: &[Question]) -> Outcome<()> {
        let farthing = self.runtimes.block_on(Farthing::open(&self.config, &self.runtimes))?;
        for question in questions {
            // The first run reads footers and files; the second one is what is timed as warm.
            self.runtimes.block_on(farthing.ask(&question.farthing))?;
            let explain = format!("EXPLAIN ANALYZE {}", question.farthing);
            let answer = self.runtimes.block_on(farthing.ask(&explain))?;
            let mut text = format!("{}: {:.1} ms\n", question.name, answer.seconds * 1e3);
            for row in &answer.rows {
                for cell in row {
                    if let cell::Cell::Text(line) = cell {
                        text.push_str(line);
                        text.push('\n');
                    }
                }
            }
            print(&text)?;
        }
        self.runtimes.block_on(farthing.close());
        Ok(())
    }

    /// What the figures were taken on.
    fn facts(&self, version: &str, import: f64, load_before: Option<f64>) -> Outcome<String> {
        let (files, bytes) = self.sample.size()?;
        let text = |load: Option<f64>| load.map_or("-".to_owned(), |load| format!("{load:.1}"));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(format!(
            "Sample: {} rows, {} of them of the {} connected accounts of {}; {} months, {files} files, {} MB.\n\
             Peers: Farthing ({} build), DuckDB {version}; {} threads each, {} warm runs: median, fastest in brackets.\n\
             Machine: {cores} processors, {}; load before {}, after {}.\n\
             Connecting and importing: {import:.1} s. Peak resident memory during the questions: Farthing {} MB (with the \
             bench itself), DuckDB {} MB (with Python).\n\n",
            self.sample.rows(),
            self.sample.connected_rows(),
            self.sample.connected().len(),
            self.sample.accounts(),
            self.sample.months(),
            megabytes(Some(bytes)),
            if cfg!(debug_assertions) { "dev" } else { "release" },
            self.config.threads,
            self.runs,
            process::processor().unwrap_or_default(),
            text(load_before),
            text(process::load()),
            megabytes(process::peak_resident(std::process::id())),
            megabytes(process::peak_resident(self.duckdb.pid())),
        ))
    }
}

/// The answer, and the bytes that the process read for it.
fn counting(pid: u32, ask: impl FnOnce() -> Outcome<Answer>) -> Outcome<(Answer, Option<u64>)> {
    let before = process::bytes_read(pid);
    let answer = ask()?;
    let after = process::bytes_read(pid);
    let bytes = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    Ok((answer, bytes))
}

fn times(first: &Answer, bytes: Option<u64>) -> Times {
    Times {
        cold: first.seconds,
        cold_bytes: bytes,
        warm: Vec::new(),
    }
}

fn write_page(path: &Path, page: &str) -> Outcome<()> {
    std::fs::write(path, page).map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

fn print(text: &str) -> Outcome<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// For the person who watches; where nobody can, nothing is lost.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
