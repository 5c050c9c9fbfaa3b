//! What questions read from S3: the sample in a bucket of the sandbox, every question cold and warm, requests and bytes counted
//! by the bucket.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use farthing_benches::arguments::{Arguments, of_machine, of_sample};
use farthing_benches::background::{Background, switched_off};
use farthing_benches::bucket::{Bucket, Reads};
use farthing_benches::farthing::Farthing;
use farthing_benches::mode::Mode;
use farthing_benches::peer::{Engine, Peer};
use farthing_benches::question::{Question, load, values};
use farthing_benches::report::{megabytes, milliseconds, put};
use farthing_benches::sample::Sample;
use farthing_benches::{Answer, Outcome, cell, process, publish, say};
use farthing_server::config::Config;
use farthing_server::runtime::Runtimes;

/// The question of one account's month: its first letters.
const ACCOUNT_MONTH: &str = "22-";

/// Count what questions read from S3.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    shared: Arguments,
    /// Ways to ask Farthing.
    #[arg(long, value_delimiter = ',', default_value = "fresh,default")]
    modes: Vec<Mode>,
    /// The longest wait for the work in the background, in seconds.
    #[arg(long, default_value_t = 3600)]
    settle: u64,
    /// Ask only questions whose name starts with one of these.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
}

/// What is asked, and of whom.
struct Bench<'a> {
    args: &'a Args,
    runtimes: &'a Runtimes,
    sample: &'a Sample,
    bucket: &'a Bucket,
    questions: &'a [Question],
    /// DuckDB's answers over the folder.
    answers: &'a [Answer],
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("Rows differ.");
            ExitCode::from(1)
        }
        Err(failure) => {
            say(&format!("reads: {failure}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Outcome<bool> {
    let runtimes = Runtimes::try_new(args.shared.threads)?;
    let sample = args.shared.sample(&runtimes)?;
    let source = sample.source();
    let mut duckdb = Peer::start(Engine::DuckDb, &args.shared.python, args.shared.threads, &source)?;
    let questions = load(&values(&sample, &mut duckdb)?, &args.only)?;
    let answers = questions
        .iter()
        .map(|question| duckdb.ask(question.sql(Engine::DuckDb)))
        .collect::<Outcome<Vec<Answer>>>()?;
    drop(duckdb);
    let load_before = process::load();
    let mut page = of_sample(&sample)?;
    let mut whole = true;
    runtimes.block_on(async {
        let bucket = Bucket::start(&sample).await?;
        let bench = Bench {
            args,
            runtimes: &runtimes,
            sample: &sample,
            bucket: &bucket,
            questions: &questions,
            answers: &answers,
        };
        for mode in &args.modes {
            whole &= bench.mode(*mode, &mut page).await?;
        }
        bucket.stop().await;
        Outcome::Ok(())
    })?;
    page.push('\n');
    page.push_str(&of_machine(load_before));
    publish(&page, args.shared.output.as_deref())?;
    Ok(whole)
}

impl Bench<'_> {
    /// Writes the table of a mode; whether all rows were equal.
    async fn mode(&self, mode: Mode, page: &mut String) -> Outcome<bool> {
        let folder = tempfile::tempdir_in(&self.args.shared.data)?;
        let (connected, cold) = (folder.path().join("connected"), folder.path().join("cold"));
        std::fs::create_dir_all(&connected)?;
        let config = self.config(&connected, mode)?;
        self.bucket.forget();
        let background = self.connect(&config, mode).await?;
        let imported = self.bucket.reads();
        let (_, all) = self.sample.size()?;
        let (_, month) = self.sample.last_month_size()?;
        put(
            page,
            format_args!(
                "\nMode {mode}. Connecting and the work in the background ({}): {} requests, {} MB. All data files: {} MB, those of the \
                 last month: {} MB.\n\n| question | cold requests | of data | cold MB | part of all files | warm requests | warm MB | \
                 cold ms | equal |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n",
                background.text(),
                imported.requests,
                megabytes(Some(imported.bytes)),
                megabytes(Some(all)),
                megabytes(Some(month)),
            ),
        );
        let mut whole = true;
        for (question, expected) in self.questions.iter().zip(self.answers) {
            // A cold run finds the state as it was after connecting: nothing that other questions left on disk.
            linked_copy(&connected, &cold)?;
            let (answer, first, second) = self.ask(&self.config(&cold, mode)?, mode, question).await?;
            std::fs::remove_dir_all(&cold)?;
            let difference = cell::difference(&answer.rows, &expected.rows);
            if let Some(difference) = &difference {
                say(&format!("{}: {difference}", question.name));
            }
            whole &= difference.is_none();
            put(
                page,
                format_args!(
                    "| {}: {} | {} | {} | {} | {:.2} % | {} | {} | {} | {} |\n",
                    question.name,
                    question.title,
                    first.requests,
                    first.of_data,
                    megabytes(Some(first.bytes)),
                    percent(first.bytes, all),
                    second.requests,
                    megabytes(Some(second.bytes)),
                    milliseconds(answer.seconds),
                    if difference.is_none() { "yes" } else { "NO" },
                ),
            );
            say(page.lines().last().unwrap_or_default());
            if question.name.starts_with(ACCOUNT_MONTH) {
                put(
                    page,
                    format_args!(
                        "| **one account's month** | | | | **{:.2} % of the month's files** | | | | |\n",
                        percent(first.bytes, month)
                    ),
                );
            }
        }
        Ok(whole)
    }

    async fn connect(&self, config: &Config, mode: Mode) -> Outcome<Background> {
        let farthing = Farthing::open(config, self.runtimes).await?;
        let keys = |account: &String| self.bucket.key_arguments(account);
        let linked: Vec<String> = self
            .sample
            .connected_linked()
            .iter()
            .map(keys)
            .collect::<Outcome<_>>()?;
        let root = format!(", {}", keys(&self.sample.spec().payer)?);
        farthing
            .connect(self.sample, &self.bucket.location(), &root, &linked)
            .await?;
        let background = match mode.is_settled() {
            true => farthing.settle(Duration::from_secs(self.args.settle)).await?,
            false => Background::Off,
        };
        farthing.close().await;
        Ok(background)
    }

    /// A question in a node that was just opened, and once more: the first answer, and what both read.
    async fn ask(&self, config: &Config, mode: Mode, question: &Question) -> Outcome<(Answer, Reads, Reads)> {
        let farthing = Farthing::open(config, self.runtimes).await?;
        let session = farthing.session(mode).await?;
        self.bucket.forget();
        let answer = farthing.ask(&session, &question.farthing).await?;
        let first = self.bucket.reads();
        self.bucket.forget();
        farthing.ask(&session, &question.farthing).await?;
        let second = self.bucket.reads();
        farthing.close().await;
        Ok((answer, first, second))
    }

    fn config(&self, folder: &Path, mode: Mode) -> Outcome<Config> {
        let mut config = Farthing::config(folder, self.args.shared.threads);
        config.aws_endpoint_url = Some(self.bucket.endpoint());
        Ok(match mode.is_settled() {
            true => config,
            false => switched_off(config)?.0,
        })
    }
}

/// The same files under another folder, without a copy of their bytes: what a node keeps it never changes in place.
fn linked_copy(from: &Path, to: &Path) -> Outcome<()> {
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => linked_copy(&entry.path(), &place)?,
            false => std::fs::hard_link(entry.path(), place)?,
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}
