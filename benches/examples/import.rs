//! Connecting a delivered export and all that is made of it in the background, against one DuckDB `COPY` of the same files to
//! one Parquet file.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use farthing_benches::arguments::{Arguments, of_machine, of_sample};
use farthing_benches::background::Background;
use farthing_benches::farthing::Farthing;
use farthing_benches::peer::{Engine, Peer};
use farthing_benches::report::{decimals, megabytes, percentile, put};
use farthing_benches::sample::{Sample, files_below};
use farthing_benches::{Outcome, process, publish, say};
use farthing_server::runtime::Runtimes;

/// Time the import of the sample export, with its work in the background, against DuckDB's COPY of its files.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    shared: Arguments,
    /// Runs of each; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The longest wait for the work in the background, in seconds.
    #[arg(long, default_value_t = 3600)]
    settle: u64,
}

/// One run of Farthing.
struct Import {
    /// Until every month can be asked, in seconds.
    connected: f64,
    /// Until nothing is left to do.
    whole: f64,
    background: Background,
    bytes: u64,
    peak: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("import: {failure}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Outcome<()> {
    let runtimes = Runtimes::try_new(args.shared.threads)?;
    // A COPY takes all rows, so an import does too.
    let sample = args.shared.sample(&runtimes)?.with_all_accounts();
    let mut duckdb = Peer::start(
        Engine::DuckDb,
        &args.shared.python,
        args.shared.threads,
        &sample.source(),
    )?;
    let load_before = process::load();
    let (mut imports, mut copies, mut copied) = (Vec::new(), Vec::new(), 0);
    for _ in 0..args.runs {
        imports.push(import(args, &runtimes, &sample)?);
        let folder = tempfile::tempdir_in(&args.shared.data)?;
        let file = folder.path().join("copy.parquet");
        copies.push(duckdb.copy(&file)?.seconds);
        copied = std::fs::metadata(&file)?.len();
    }
    let of = |seconds: fn(&Import) -> f64| percentile(&imports.iter().map(seconds).collect::<Vec<_>>(), 0.5);
    let (connected, whole, copy) = (of(|run| run.connected), of(|run| run.whole), percentile(&copies, 0.5));
    let Some(last) = imports.last() else {
        return Err("no run was asked for".into());
    };
    let mut page = of_sample(&sample)? + "\n";
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rows = sample.rows() as f64;
    page.push_str("| | seconds | thousand rows a second | written MB | peak MB | ratio |\n|---|--:|--:|--:|--:|--:|\n");
    let mut line = |name: &str, seconds: f64, written: Option<u64>, peak: Option<u64>| {
        put(
            &mut page,
            format_args!(
                "| {name} | {} | {} | {} | {} | {} |\n",
                decimals(seconds),
                decimals(rows / seconds / 1e3),
                megabytes(written),
                megabytes(peak),
                decimals(copy / seconds)
            ),
        );
    };
    line("Farthing, until every month can be asked", connected, None, None);
    line(
        "Farthing, until the work in the background is done",
        whole,
        Some(last.bytes),
        last.peak,
    );
    let name = format!("DuckDB {}, COPY to one Parquet file", duckdb.version);
    line(&name, copy, Some(copied), process::peak_resident(duckdb.pid()));
    put(
        &mut page,
        format_args!(
            "\nMedian of {} runs in turns, {} threads each; Farthing's memory is that of the bench as well. Work in the background: {}.\n",
            args.runs,
            args.shared.threads,
            last.background.text()
        ),
    );
    page.push_str(&of_machine(load_before));
    publish(&page, args.shared.output.as_deref())
}

fn import(args: &Args, runtimes: &Runtimes, sample: &Sample) -> Outcome<Import> {
    let folder = tempfile::tempdir_in(&args.shared.data)?;
    let config = Farthing::config(folder.path(), args.shared.threads);
    process::forget_peak(std::process::id());
    let began = Instant::now();
    let (connected, background) = runtimes.block_on(async {
        let farthing = Farthing::open(&config, runtimes).await?;
        farthing.connect_folder(sample).await?;
        let connected = began.elapsed().as_secs_f64();
        let background = farthing.settle(Duration::from_secs(args.settle)).await?;
        farthing.close().await;
        Outcome::Ok((connected, background))
    })?;
    let run = Import {
        connected,
        whole: match background {
            Background::Done(_) => began.elapsed().as_secs_f64(),
            // There is no such time: nothing was made, or not all.
            Background::Undone(..) | Background::Off | Background::Unknown(_) => f64::NAN,
        },
        background,
        bytes: files_below(folder.path())?.1,
        peak: process::peak_resident(std::process::id()),
    };
    say(&format!("Connected in {connected:.2} s; {}", run.background.text()));
    Ok(run)
}
