//! Dashboard questions over the sample export in a folder, asked of DuckDB, of Farthing in its modes and of further peers in
//! turns; `benches/README.md` says how and what is compared.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use farthing_benches::arguments::{Arguments, of_machine, of_sample};
use farthing_benches::background::{Background, switched_off};
use farthing_benches::cell::{self, Cell};
use farthing_benches::farthing::{Farthing, ModeSession};
use farthing_benches::mode::Mode;
use farthing_benches::peer::{Engine, Peer, Source};
use farthing_benches::question::{Question, load, values};
use farthing_benches::report::{Cold, Column, Figure, Line, Results, Times, megabytes};
use farthing_benches::sample::{Sample, files_below};
use farthing_benches::{Answer, Outcome, explain, plain_datafusion, process, publish, say};
use farthing_server::config::Config;
use farthing_server::runtime::Runtimes;

/// Time dashboard questions over the sample export, for Farthing and its peers, and compare their rows.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    shared: Arguments,
    /// Warm runs that are counted, of each question and contender.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Ways to ask Farthing.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_value = "default,repeated,scan,fresh")]
    modes: Vec<Mode>,
    /// Peers beside DuckDB.
    #[arg(long, value_delimiter = ',', num_args = 0.., default_value = "polars,chdb,datafusion")]
    peers: Vec<Engine>,
    /// The longest wait for the work in the background, in seconds.
    #[arg(long, default_value_t = 3600)]
    settle: u64,
    /// Ask only questions whose name starts with one of these.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Instead of comparing times, tell what part of the questions' time the account filter takes in the first mode, and print
    /// their EXPLAIN ANALYZE.
    #[arg(long)]
    explain: bool,
}

/// One who is asked.
#[derive(Debug, Clone, Copy)]
enum Contender {
    /// By its place among the peers.
    Peer(usize),
    Farthing(Mode),
}

/// All of them, and what it takes to open them again.
struct Bench {
    settled: Config,
    fresh: Config,
    runtimes: Runtimes,
    source: Source,
    peers: Vec<Peer>,
    contenders: Vec<Contender>,
    runs: usize,
}

/// The nodes of a question, with a session for each mode.
#[derive(Default)]
struct Nodes {
    settled: Option<Farthing>,
    fresh: Option<Farthing>,
    sessions: Vec<(Mode, ModeSession)>,
}

/// What a contender has done with a question so far.
#[derive(Default)]
struct Turn {
    times: Times,
    rows: usize,
    difference: Option<String>,
    failure: Option<String>,
}

/// What was seen while the nodes were prepared.
struct Prepared {
    import: f64,
    background: Background,
    state: (u64, u64),
    notes: Vec<String>,
}

fn main() -> ExitCode {
    let done = match plain_datafusion::is_asked_for() {
        true => plain_datafusion::serve().map(|()| true),
        false => run(&Args::parse()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            say("Rows of Farthing and DuckDB differ, or one of them refused a question.");
            ExitCode::from(1)
        }
        Err(failure) => {
            say(&format!("dashboard: {failure}"));
            ExitCode::from(2)
        }
    }
}

/// Answers whether Farthing and DuckDB answered every question with equal rows.
fn run(args: &Args) -> Outcome<bool> {
    let runtimes = Runtimes::try_new(args.shared.threads)?;
    let sample = args.shared.sample(&runtimes)?;
    let folder = tempfile::tempdir_in(&args.shared.data)?;
    let source = sample.source();
    let start = |engine| Peer::start(engine, &args.shared.python, args.shared.threads, &source);
    let mut duckdb = start(Engine::DuckDb)?;
    let questions = load(&values(&sample, &mut duckdb)?, &args.only)?;
    let mut peers = vec![duckdb];
    for engine in args
        .peers
        .iter()
        .filter(|engine| !args.explain && **engine != Engine::DuckDb)
    {
        peers.push(start(*engine)?);
    }
    let settled = Farthing::config(&folder.path().join("settled"), args.shared.threads);
    let (fresh, has_switch) = switched_off(Farthing::config(&folder.path().join("fresh"), args.shared.threads))?;
    let modes = Mode::ALL.into_iter().filter(|mode| args.modes.contains(mode));
    let mut bench = Bench {
        settled,
        fresh,
        runtimes,
        contenders: std::iter::once(Contender::Peer(0))
            .chain(modes.map(Contender::Farthing))
            .chain((1..peers.len()).map(Contender::Peer))
            .collect(),
        peers,
        source,
        runs: args.runs,
    };
    let mut prepared = bench.prepare(&sample, Duration::from_secs(args.settle))?;
    if !has_switch {
        prepared
            .notes
            .push("this build cannot keep the work in the background from starting".to_owned());
    }
    if args.explain {
        return bench.explain(&questions, args).map(|()| true);
    }
    prepared.notes.extend(bench.rollups(&questions)?);
    let (results, load_before) = bench.results(&questions)?;
    let page = bench.page(&sample, &prepared, &results, load_before)?;
    publish(&page, args.shared.output.as_deref())?;
    Ok(results.agree())
}

impl Bench {
    /// Connects the sample, and waits until everything is rewritten and summed up; and once more without that.
    fn prepare(&self, sample: &Sample, limit: Duration) -> Outcome<Prepared> {
        self.runtimes.block_on(async {
            let mut notes = Vec::new();
            for config in [&self.fresh, &self.settled] {
                std::fs::create_dir_all(&config.data_dir)?;
            }
            let farthing = Farthing::open(&self.fresh, &self.runtimes).await?;
            farthing.connect_folder(sample).await?;
            farthing.close().await;
            let began = Instant::now();
            let farthing = Farthing::open(&self.settled, &self.runtimes).await?;
            farthing.connect_folder(sample).await?;
            let import = began.elapsed().as_secs_f64();
            let background = farthing.settle(limit).await?;
            say(&format!(
                "Connected in {import:.1} s; work in the background: {}",
                background.text()
            ));
            for contender in &self.contenders {
                if let Contender::Farthing(mode) = contender {
                    for name in farthing.session(*mode).await?.unknown {
                        notes.push(format!("setting not known: {name} (mode {mode})"));
                    }
                }
            }
            farthing.close().await;
            Ok(Prepared {
                import,
                background,
                state: files_below(&self.settled.data_dir)?,
                notes,
            })
        })
    }

    fn results(&mut self, questions: &[Question]) -> Outcome<(Results, Option<f64>)> {
        let load_before = process::load();
        let mut results = Results {
            columns: self.columns(),
            lines: Vec::new(),
        };
        for pid in self.pids() {
            process::forget_peak(pid);
        }
        for question in questions {
            results.lines.push(self.line(question)?);
            say(&results.watch());
        }
        results.columns = self.columns();
        Ok((results, load_before))
    }

    /// Which questions have a rollup in their plan, in the mode `default`; nothing without that mode.
    fn rollups(&self, questions: &[Question]) -> Outcome<Option<String>> {
        let is_default = |contender: &Contender| matches!(contender, Contender::Farthing(Mode::Default));
        if !self.contenders.iter().any(is_default) {
            return Ok(None);
        }
        self.runtimes.block_on(async {
            let farthing = Farthing::open(&self.settled, &self.runtimes).await?;
            let session = farthing.session(Mode::Default).await?;
            let mut without = Vec::new();
            for question in questions {
                let plan = farthing.ask(&session, &format!("EXPLAIN {}", question.farthing)).await;
                // A question that cannot be planned is refused later, where the page tells why.
                if !plan.is_ok_and(|plan| explain::names_rollup(&explain::text_of(&plan))) {
                    without.push(question.name.as_str());
                }
            }
            farthing.close().await;
            Ok(Some(format!(
                "EXPLAIN names a rollup for {} of {} questions in the mode default; not for {}",
                questions.len() - without.len(),
                questions.len(),
                if without.is_empty() {
                    "none".to_owned()
                } else {
                    without.join(", ")
                },
            )))
        })
    }

    /// Asks one question of everybody: cold first, one after the other; then warm, in turns.
    fn line(&mut self, question: &Question) -> Outcome<Line> {
        let mut turns: Vec<Turn> = Vec::new();
        let mut reference = None;
        for contender in self.contenders.clone() {
            let mut turn = Turn::default();
            match self.cold(contender, question) {
                Ok(None) => {}
                Ok(Some((answer, bytes))) => {
                    turn.compare(&answer, reference.as_deref());
                    turn.times.cold = Some(Cold {
                        seconds: answer.seconds,
                        bytes,
                    });
                    reference.get_or_insert(answer.rows);
                }
                Err(failure) => turn.failure = Some(failure.to_string()),
            }
            turns.push(turn);
        }
        let nodes = self.nodes()?;
        for run in 0..=self.runs {
            for (contender, turn) in self.contenders.clone().into_iter().zip(&mut turns) {
                if turn.failure.is_some() {
                    continue;
                }
                match self.warm(contender, &nodes, question) {
                    // The first one is not counted: whoever had no cold run finds nothing kept in it.
                    Ok(answer) if run == 0 => turn.compare(&answer, reference.as_deref()),
                    Ok(answer) => {
                        turn.times.warm.push(answer.seconds);
                        if run == self.runs {
                            turn.compare(&answer, reference.as_deref());
                        }
                    }
                    Err(failure) => turn.failure = Some(failure.to_string()),
                }
            }
        }
        self.runtimes.block_on(nodes.close());
        Ok(Line {
            name: question.name.clone(),
            title: question.title.clone(),
            set: question.set.clone(),
            rows: turns.first().map_or(0, |turn| turn.rows),
            figures: turns.into_iter().map(Turn::figure).collect(),
        })
    }

    /// A first run with everything opened anew, and the bytes that it read; `None` where it is no run of its own.
    fn cold(&mut self, contender: Contender, question: &Question) -> Outcome<Option<(Answer, Option<u64>)>> {
        match contender {
            Contender::Peer(at) => {
                let (peer, source) = (&mut self.peers[at], &self.source);
                peer.open(source)?;
                let (pid, sql) = (peer.pid(), question.sql(peer.engine));
                counting(pid, || peer.ask(sql)).map(Some)
            }
            Contender::Farthing(mode) if mode.has_cold() => self.runtimes.block_on(async {
                let farthing = Farthing::open(self.config(mode), &self.runtimes).await?;
                let session = farthing.session(mode).await?;
                let before = process::bytes_read(std::process::id());
                let answer = farthing.ask(&session, &question.farthing).await;
                let bytes = since(std::process::id(), before);
                farthing.close().await;
                Ok(Some((answer?, bytes)))
            }),
            Contender::Farthing(_) => Ok(None),
        }
    }

    fn warm(&mut self, contender: Contender, nodes: &Nodes, question: &Question) -> Outcome<Answer> {
        match contender {
            Contender::Peer(at) => {
                let peer = &mut self.peers[at];
                peer.ask(question.sql(peer.engine))
            }
            Contender::Farthing(mode) => self.runtimes.block_on(nodes.ask(mode, &question.farthing)),
        }
    }

    fn config(&self, mode: Mode) -> &Config {
        if mode.is_settled() { &self.settled } else { &self.fresh }
    }

    fn nodes(&self) -> Outcome<Nodes> {
        self.runtimes.block_on(async {
            let mut nodes = Nodes::default();
            for contender in &self.contenders {
                let Contender::Farthing(mode) = *contender else {
                    continue;
                };
                let place = match mode.is_settled() {
                    true => &mut nodes.settled,
                    false => &mut nodes.fresh,
                };
                let farthing = match place.take() {
                    Some(farthing) => farthing,
                    None => Farthing::open(self.config(mode), &self.runtimes).await?,
                };
                nodes.sessions.push((mode, farthing.session(mode).await?));
                *place = Some(farthing);
            }
            Ok(nodes)
        })
    }

    fn pids(&self) -> Vec<u32> {
        let of = |contender: &Contender| match *contender {
            Contender::Peer(at) => self.peers[at].pid(),
            Contender::Farthing(_) => std::process::id(),
        };
        self.contenders.iter().map(of).collect()
    }

    fn columns(&self) -> Vec<Column> {
        let of = |(contender, pid): (&Contender, u32)| {
            let (name, required) = match *contender {
                Contender::Peer(at) => {
                    let peer = &self.peers[at];
                    (format!("{} {}", peer.engine, peer.version), at == 0)
                }
                Contender::Farthing(mode) => (format!("Farthing, {mode}"), true),
            };
            Column {
                name,
                required,
                peak: process::peak_resident(pid),
            }
        };
        self.contenders.iter().zip(self.pids()).map(of).collect()
    }

    fn explain(&self, questions: &[Question], args: &Args) -> Outcome<()> {
        let mode = args.modes.first().copied().unwrap_or(Mode::Default);
        let (mut page, mut plans) = (String::new(), String::new());
        page.push_str("| question | statement ms | account filter ms, all threads | its part |\n|---|--:|--:|--:|\n");
        self.runtimes.block_on(async {
            let farthing = Farthing::open(self.config(mode), &self.runtimes).await?;
            let session = farthing.session(mode).await?;
            for question in questions {
                // The first run reads footers and files; the second one is what is timed as warm.
                farthing.ask(&session, &question.farthing).await?;
                let answer = farthing
                    .ask(&session, &format!("EXPLAIN ANALYZE {}", question.farthing))
                    .await?;
                let plan = explain::text_of(&answer);
                let filter = explain::filter_seconds(&plan);
                page.push_str(&format!(
                    "| {} | {:.2} | {:.2} | {:.1} % |\n",
                    question.name,
                    answer.seconds * 1e3,
                    filter * 1e3,
                    100.0 * filter / (answer.seconds * self.threads()),
                ));
                plans.push_str(&format!("\n{}: {:.1} ms\n{plan}", question.name, answer.seconds * 1e3));
            }
            farthing.close().await;
            Outcome::Ok(())
        })?;
        publish(&page, args.shared.output.as_deref())?;
        publish(&plans, None)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few")]
    fn threads(&self) -> f64 {
        self.settled.threads as f64
    }

    fn page(
        &self,
        sample: &Sample,
        prepared: &Prepared,
        results: &Results,
        load_before: Option<f64>,
    ) -> Outcome<String> {
        let mut page = of_sample(sample)? + "\n" + &of_machine(load_before);
        page.push_str(&format!(
            "\n{} threads each; {} warm runs, the median counts. Connecting and importing: {:.1} s; work in the background: {}; the \
             data directory then has {} files, {} MB.\n",
            self.settled.threads,
            self.runs,
            prepared.import,
            prepared.background.text(),
            prepared.state.0,
            megabytes(Some(prepared.state.1)),
        ));
        for note in &prepared.notes {
            page.push_str(&format!("\nNote: {note}.\n"));
        }
        page.push_str("\nRatio: the first one's time by the contender's; above 1, the contender is faster.\n\n");
        page.push_str(&results.summary());
        page.push_str("\nWarm, milliseconds (ratio; for the first one the fastest run):\n\n");
        page.push_str(&results.warm());
        page.push_str(
            "\nCold, milliseconds / megabytes read by system calls (chDB's are not counted by the system):\n\n",
        );
        page.push_str(&results.cold());
        let remarks = results.remarks();
        if !remarks.is_empty() {
            page.push_str("\nLeft out of means:\n\n");
            page.push_str(&remarks);
        }
        Ok(page)
    }
}

impl Nodes {
    async fn ask(&self, mode: Mode, sql: &str) -> Outcome<Answer> {
        let farthing = match mode.is_settled() {
            true => &self.settled,
            false => &self.fresh,
        };
        let session = self.sessions.iter().find(|(of, _)| *of == mode);
        match (farthing, session) {
            (Some(farthing), Some((_, session))) => farthing.ask(session, sql).await,
            _ => Err(format!("no node is open for the mode {mode}").into()),
        }
    }

    async fn close(self) {
        drop(self.sessions);
        for farthing in [self.settled, self.fresh].into_iter().flatten() {
            farthing.close().await;
        }
    }
}

impl Turn {
    /// The first difference is kept. Without a reference this is the reference itself.
    fn compare(&mut self, answer: &Answer, reference: Option<&[Vec<Cell>]>) {
        self.rows = answer.rows.len();
        if self.difference.is_none() {
            self.difference = reference.and_then(|reference| cell::difference(&answer.rows, reference));
        }
    }

    fn figure(self) -> Figure {
        match (self.failure, self.difference) {
            (Some(why), _) => Figure::NotRun(why),
            (None, Some(why)) => Figure::Differs(why),
            (None, None) => Figure::Timed(self.times),
        }
    }
}

/// The answer, and the bytes that the process read for it.
fn counting(pid: u32, ask: impl FnOnce() -> Outcome<Answer>) -> Outcome<(Answer, Option<u64>)> {
    let before = process::bytes_read(pid);
    let answer = ask()?;
    Ok((answer, since(pid, before)))
}

fn since(pid: u32, before: Option<u64>) -> Option<u64> {
    let after = process::bytes_read(pid);
    after.zip(before).map(|(after, before)| after.saturating_sub(before))
}
