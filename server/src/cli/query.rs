//! `farthing query`: statements in process, printed as a table, CSV or JSON.

mod print;

use std::io::{IsTerminal, Read};

use clap::{Args, ValueEnum};
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::{Notice, Response, Rows, Severity};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::print::Printer;
use super::client::Client;
use super::output::Output;
use super::{ConfigArgs, require_data_dir, short_defaults};
use crate::config::Config;
use crate::runtime::Runtimes;
use crate::shutdown::stop_signal;
use crate::telemetry;
use crate::wiring::Node;

/// Notices that wait to be printed; more are dropped.
const NOTICE_QUEUE: usize = 64;

/// Run SQL on a data directory, without a server and without a password.
///
/// Statements come from the command line or from standard input, separated by semicolons. Values are printed as psql prints
/// them. A server may run on the same data directory meanwhile.
#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The statements [default: standard input].
    #[arg(value_name = "SQL", conflicts_with = "command")]
    sql: Option<String>,
    /// The statements, as psql takes them.
    #[arg(short, long, value_name = "SQL")]
    command: Option<String>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Most rows that a table shows; CSV and JSON have no such limit.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    max_rows: usize,
    /// Threads that run the query [default: one for each processor].
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// Comma-separated values with a header line (RFC 4180); NULL is empty.
    Csv,
    /// One JSON object for each row and line.
    Json,
}

/// Runs the command.
pub fn run(args: &QueryArgs, output: &mut Output) -> Result<()> {
    let sql = match args.sql.as_ref().or(args.command.as_ref()) {
        Some(sql) => sql.clone(),
        None => read_input()?,
    };
    let threads = args.threads.map(|threads| threads.to_string());
    // The engine cuts a statement into as many parts as there are slots.
    let more = [
        ("--threads", "threads", threads.clone()),
        ("--threads", "query_slots", threads),
    ];
    let config = args.config.load(short_defaults(), &more)?;
    telemetry::init(config.log_level, config.log_format)?;
    require_data_dir(&config)?;
    let runtimes = Runtimes::try_new(config.threads)?;
    let done = runtimes.block_on(query(&config, &runtimes, args, &sql, output));
    runtimes.shutdown(config.shutdown_grace);
    done
}

async fn query(config: &Config, runtimes: &Runtimes, args: &QueryArgs, sql: &str, output: &mut Output) -> Result<()> {
    let node = Node::open(config, runtimes).await?;
    let client = Client::local(node.frontend());
    let cancel = CancellationToken::new();
    let run = async {
        for statement in client.parse(sql)? {
            let (sender, receiver) = mpsc::channel(NOTICE_QUEUE);
            let response = client.start(statement, Vec::new(), cancel.clone(), Some(sender));
            one(response, receiver, args, output).await?;
            if output.closed() {
                break;
            }
        }
        Ok(())
    };
    let done = tokio::select! {
        done = run => done,
        stopped = stop_signal() => {
            cancel.cancel();
            stopped.and(Err(Error::new(ErrorKind::Cancelled, "stopped")))
        }
    };
    node.close().await;
    done
}

/// Runs and prints one statement, with what it says meanwhile.
async fn one(
    response: impl Future<Output = Result<Response>>,
    mut notices: mpsc::Receiver<Notice>,
    args: &QueryArgs,
    output: &mut Output,
) -> Result<()> {
    tokio::pin!(response);
    let response = loop {
        tokio::select! {
            response = &mut response => break response?,
            Some(notice) = notices.recv() => print_notice(&notice, output),
        }
    };
    match response {
        Response::Done { tag } => output.note(tag),
        Response::Rows(rows) => print_rows(rows, &mut notices, args, output).await?,
    }
    while let Ok(notice) = notices.try_recv() {
        print_notice(&notice, output);
    }
    Ok(())
}

async fn print_rows(
    mut rows: Rows,
    notices: &mut mpsc::Receiver<Notice>,
    args: &QueryArgs,
    output: &mut Output,
) -> Result<()> {
    let mut printer = Printer::new(args.format, args.max_rows, &rows.schema);
    loop {
        let batch = tokio::select! {
            batch = rows.batches.next() => batch,
            Some(notice) = notices.recv() => {
                print_notice(&notice, output);
                continue;
            }
        };
        match batch {
            Some(batch) => printer.batch(&batch?, output)?,
            None => break,
        }
        if output.closed() || printer.is_full() {
            break;
        }
    }
    printer.finish(output)
}

/// Prints a notice as psql does.
pub fn print_notice(notice: &Notice, output: &mut Output) {
    let word = match notice.severity {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
    };
    output.note(format!("{word}: {}", notice.message));
    if let Some(detail) = &notice.detail {
        output.note(format!("  detail: {detail}"));
    }
    if let Some(hint) = &notice.hint {
        output.note(format!("  hint: {hint}"));
    }
}

fn read_input() -> Result<String> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(Error::new(ErrorKind::BadValue, "there is no statement to run")
            .with_hint("Give it as an argument: farthing query \"SELECT ...\", or by standard input."));
    }
    let mut sql = String::new();
    input.read_to_string(&mut sql).map_err(|error| {
        Error::new(ErrorKind::BadValue, format!("standard input is no text: {error}")).with_hint("Give SQL in UTF-8.")
    })?;
    Ok(sql)
}
