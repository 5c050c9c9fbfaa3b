//! Many users at once: `farthing serve` in a process of its own, asked over the PostgreSQL protocol by one user and by many,
//! who each run the dashboards in an order of their own; and the memory of a server that nobody asks.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use farthing_benches::arguments::{Arguments, of_machine, of_sample};
use farthing_benches::mode::Mode;
use farthing_benches::peer::{Engine, Peer};
use farthing_benches::question::{Question, load, values};
use farthing_benches::report::{megabytes, milliseconds, percentile, put};
use farthing_benches::served::Served;
use farthing_benches::{Outcome, process, publish, say};
use farthing_server::runtime::Runtimes;

/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Time dashboards of many users at once against those of one.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    shared: Arguments,
    /// The program that serves.
    #[arg(long, value_name = "PATH", default_value = "target/debug/farthing")]
    farthing: PathBuf,
    /// Users at once.
    #[arg(long, default_value_t = 50)]
    users: usize,
    /// How often each user runs all dashboards.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Ways to ask Farthing: default, repeated, scan.
    #[arg(long, value_delimiter = ',', default_value = "default,repeated")]
    modes: Vec<Mode>,
    /// The longest wait for the work in the background, in seconds.
    #[arg(long, default_value_t = 3600)]
    settle: u64,
    /// Ask only questions whose name starts with one of these.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
}

/// What came of some users.
struct Outcomes {
    /// For each question the number of rows of the first answer: all others have to have it, too.
    rows: Vec<Option<usize>>,
    /// For each question the seconds of its runs.
    seconds: Vec<Vec<f64>>,
    /// For each question the failures.
    failures: Vec<Vec<String>>,
    /// From the first question to the last answer, in seconds.
    wall: f64,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("Statements failed.");
            ExitCode::from(1)
        }
        Err(failure) => {
            say(&format!("load: {failure}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Outcome<bool> {
    let runtimes = Runtimes::try_new(args.shared.threads)?;
    let sample = args.shared.sample(&runtimes)?;
    let source = sample.source();
    let mut duckdb = Peer::start(Engine::DuckDb, &args.shared.python, args.shared.threads, &source)?;
    let questions = Arc::new(load(&values(&sample, &mut duckdb)?, &args.only)?);
    drop(duckdb);
    let folder = tempfile::tempdir_in(&args.shared.data)?;
    let served = Arc::new(Served::start(
        &args.farthing,
        &folder.path().join("data"),
        args.shared.threads,
    )?);
    let load_before = process::load();
    runtimes.block_on(async {
        tokio::time::sleep(IDLE).await;
        let idle = process::resident(served.pid());
        say(&format!("Idle: {} MB", megabytes(idle)));
        let (admin, _) = served.user(Mode::Default).await?;
        let background = admin.connect(&sample, Duration::from_secs(args.settle)).await?;
        drop(admin);
        let mut page = of_sample(&sample)?;
        put(
            &mut page,
            format_args!(
                "\nResident memory of a server over an empty data directory after {} s: {} MB. Work in the background after \
                 connecting: {}; most memory until then {} MB.\n",
                IDLE.as_secs(),
                megabytes(idle),
                background.text(),
                megabytes(process::peak_resident(served.pid())),
            ),
        );
        let mut whole = true;
        for mode in &args.modes {
            let (text, failures) = of_mode(&served, *mode, args, &questions).await?;
            page.push_str(&text);
            whole &= failures == 0;
        }
        page.push('\n');
        page.push_str(&of_machine(load_before));
        publish(&page, args.shared.output.as_deref())?;
        Ok(whole)
    })
}

/// One user, then many; the text, and the number of failures.
async fn of_mode(
    served: &Arc<Served>,
    mode: Mode,
    args: &Args,
    questions: &Arc<Vec<Question>>,
) -> Outcome<(String, usize)> {
    let (_, unknown) = served.user(mode).await?;
    // Not counted: footers, plans, and kept results where the mode keeps them.
    users(served, mode, 1, 1, questions).await?;
    process::forget_peak(served.pid());
    let one = users(served, mode, 1, args.rounds, questions).await?;
    let peak_of_one = process::peak_resident(served.pid());
    process::forget_peak(served.pid());
    let many = users(served, mode, args.users, args.rounds, questions).await?;
    let peak = process::peak_resident(served.pid());
    let mut text = format!(
        "\nMode {mode}, {} users, each runs {} times {} questions.",
        args.users,
        args.rounds,
        questions.len()
    );
    if !unknown.is_empty() {
        put(&mut text, format_args!(" Settings not known: {}.", unknown.join(", ")));
    }
    put(
        &mut text,
        format_args!(
            "\n\n| question | one user: p50 ms | p95 ms | {0} users: p50 ms | p95 ms | failures |\n|---|--:|--:|--:|--:|--:|\n",
            args.users
        ),
    );
    let ms = |seconds: &[f64], part| milliseconds(percentile(seconds, part));
    let mut row = |name: &str, one: &[f64], many: &[f64], failures: usize| {
        put(
            &mut text,
            format_args!(
                "| {name} | {} | {} | {} | {} | {failures} |\n",
                ms(one, 0.5),
                ms(one, 0.95),
                ms(many, 0.5),
                ms(many, 0.95)
            ),
        );
    };
    for (at, question) in questions.iter().enumerate() {
        let failures = one.failures[at].len() + many.failures[at].len();
        row(&question.name, &one.seconds[at], &many.seconds[at], failures);
    }
    let (all_of_one, all) = (one.seconds.concat(), many.seconds.concat());
    let failed: Vec<&String> = one.failures.iter().chain(&many.failures).flatten().collect();
    row("**all**", &all_of_one, &all, failed.len());
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    {
        // A statement of one user has all cores; of many, each waits for the others'.
        let bound = all_of_one.iter().sum::<f64>() / all_of_one.len() as f64 * args.users as f64;
        put(
            &mut text,
            format_args!(
                "\nStatements a second: one user {:.1}, {} users {:.1}. What cores allow, {} times the mean of one user: {} ms; p95 of \
                 all is {:.2} of it. Peak resident memory of the server: one user {} MB, {} users {} MB.\n",
                all_of_one.len() as f64 / one.wall,
                args.users,
                all.len() as f64 / many.wall,
                args.users,
                milliseconds(bound),
                percentile(&all, 0.95) / bound,
                megabytes(peak_of_one),
                args.users,
                megabytes(peak),
            ),
        );
    }
    if let Some(first) = failed.first() {
        put(&mut text, format_args!("\nThe first failure: {first}\n"));
    }
    say(text
        .lines()
        .rev()
        .find(|line| line.starts_with("Statements"))
        .unwrap_or_default());
    Ok((text, failed.len()))
}

/// So many users at once, each of whom runs all questions so often, from another one on.
async fn users(
    served: &Arc<Served>,
    mode: Mode,
    users: usize,
    rounds: usize,
    questions: &Arc<Vec<Question>>,
) -> Outcome<Outcomes> {
    let mut connected = Vec::new();
    for _ in 0..users {
        connected.push(served.user(mode).await?.0);
    }
    let began = Instant::now();
    let mut tasks = Vec::new();
    for (number, user) in connected.into_iter().enumerate() {
        let questions = Arc::clone(questions);
        tasks.push(tokio::spawn(async move {
            let mut done = Vec::new();
            for at in (0..questions.len() * rounds).map(|step| (step + number * 7) % questions.len()) {
                let outcome = user.time(&questions[at].farthing).await;
                done.push((at, outcome.map_err(|failure| failure.to_string())));
            }
            done
        }));
    }
    let mut outcomes = Outcomes {
        rows: vec![None; questions.len()],
        seconds: vec![Vec::new(); questions.len()],
        failures: vec![Vec::new(); questions.len()],
        wall: 0.0,
    };
    for task in tasks {
        for (at, outcome) in task.await? {
            match outcome {
                Ok((seconds, rows)) => {
                    outcomes.seconds[at].push(seconds);
                    let first = *outcomes.rows[at].get_or_insert(rows);
                    if rows != first {
                        let name = &questions[at].name;
                        outcomes.failures[at].push(format!("{name}: {rows} rows, and {first} before"));
                    }
                }
                Err(failure) => outcomes.failures[at].push(failure),
            }
        }
    }
    outcomes.wall = began.elapsed().as_secs_f64();
    Ok(outcomes)
}
