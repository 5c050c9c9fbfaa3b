//! `farthing import`: looks for new deliveries now, without a server.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use farthing_engine::id::{BillingPeriod, ExportId};
use farthing_engine::ingest::{ImportProgress, ImportState, ImportSummary, PeriodEvent, PeriodOutcome};
use farthing_engine::{Error, ErrorKind, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{ConfigArgs, require_data_dir, short_defaults};
use crate::config::Config;
use crate::runtime::Runtimes;
use crate::shutdown::stop_signal;
use crate::telemetry;
use crate::wiring::Node;

/// Look for new deliveries of connected exports now, and import them.
///
/// A running server does this by itself every hour. Prints one line for each month, and exits with 1 if one failed; what
/// was imported before then stays.
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Exports to look at, as system.exports names them [default: all].
    #[arg(value_name = "EXPORT")]
    exports: Vec<String>,
}

/// Runs the command.
pub fn run(args: &ImportArgs, output: &mut Output) -> Result<ExitCode> {
    let config = args.config.load(short_defaults(), &[])?;
    telemetry::init(config.log_level, config.log_format)?;
    require_data_dir(&config)?;
    let runtimes = Runtimes::try_new(config.threads)?;
    let done = runtimes.block_on(import(&config, &runtimes, &args.exports, output));
    runtimes.shutdown(config.shutdown_grace);
    Ok(if done? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether everything was in order.
async fn import(config: &Config, runtimes: &Runtimes, names: &[String], output: &mut Output) -> Result<bool> {
    let node = Node::open(config, runtimes).await?;
    let exports: Vec<ExportId> = match names {
        [] => node.catalog().lease().document.exports.keys().cloned().collect(),
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    if exports.is_empty() {
        output.note("no export is connected; CALL connect_aws_root(...) connects one");
    }
    let cancel = CancellationToken::new();
    let mut fine = true;
    for export in exports {
        let bar = Arc::new(ImportBar::new());
        let (importer, progress, token, id) = (
            Arc::clone(node.importer()),
            Arc::clone(&bar),
            cancel.clone(),
            export.clone(),
        );
        let mut task = runtimes
            .query()
            .spawn(async move { importer.import_export(&id, &*progress, &token).await });
        let ended = tokio::select! {
            ended = &mut task => ended,
            stopped = stop_signal() => {
                stopped?;
                cancel.cancel();
                task.await
            }
        };
        bar.finish();
        let summary = ended.map_err(|error| Error::defect("an import ended by a defect").with_source(error))?;
        match summary {
            Ok(summary) => fine &= print(&export, &summary, output)?,
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                fine = false;
                output.note(format!("{export}:"));
                output.error(&error);
            }
        }
    }
    if config.derive {
        derive(&node).await?;
    }
    node.close().await;
    Ok(fine)
}

/// Rewrites and sums what was imported, on all cores. It changes no answer: stopping here loses nothing.
async fn derive(node: &Node) -> Result<()> {
    let bar = ProgressBar::new(node.deriver().waiting() as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_bar} {pos} of {len} months rewritten") {
        bar.set_style(style);
    }
    let shown = bar.clone();
    tokio::select! {
        () = node.derive_all(move || shown.inc(1)) => {}
        stopped = stop_signal() => stopped?,
    }
    bar.finish_and_clear();
    Ok(())
}

fn print(export: &ExportId, summary: &ImportSummary, output: &mut Output) -> Result<bool> {
    let mut fine = true;
    if summary.periods.is_empty() {
        output.line(format!(
            "{export}  waiting    AWS has not delivered yet; the first delivery can take 24 hours"
        ))?;
    }
    for (period, outcome) in &summary.periods {
        let text = match outcome {
            PeriodOutcome::Unchanged => "unchanged".to_owned(),
            PeriodOutcome::Published { snapshot, .. } => {
                format!("imported   {} rows in {} files", snapshot.rows(), snapshot.files.len())
            }
            PeriodOutcome::Waiting => "waiting    no manifest is there".to_owned(),
            PeriodOutcome::DeliveryUnderWay => "waiting    AWS is writing this delivery right now".to_owned(),
            PeriodOutcome::Failed(error) => {
                fine = false;
                let hint = error.hint().map(|hint| format!(" {hint}")).unwrap_or_default();
                format!("FAILED     {}.{hint}", error.message().trim_end_matches('.'))
            }
        };
        output.line(format!("{export}  {period}  {text}"))?;
    }
    Ok(fine)
}

/// Files read, over all months.
struct ImportBar {
    bar: ProgressBar,
    months: Mutex<HashMap<BillingPeriod, (u64, u64)>>,
}

impl ImportBar {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        // The template is constant; one that does not parse leaves the bar as it is by default.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_bar} {pos} of {len} files  {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            months: Mutex::default(),
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl ImportProgress for ImportBar {
    fn period(&self, event: &PeriodEvent) {
        let mut months = self.months.lock().unwrap_or_else(PoisonError::into_inner);
        months.insert(event.period, (event.files_read, event.files));
        let sum = |part: fn(&(u64, u64)) -> u64| months.values().map(part).sum::<u64>();
        self.bar.set_length(sum(|(_, files)| *files));
        self.bar.set_position(sum(|(read, _)| *read));
        if event.state == ImportState::Published {
            self.bar.set_message(format!("{} imported", event.period));
        }
    }
}
