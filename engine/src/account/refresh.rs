//! `refresh_export`: looks for new deliveries now instead of at the next hour.

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, Progress};
use crate::catalog::Export;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ExportId;
use crate::ingest::past::{PastOutcome, PastSummary};

/// What `refresh_export` is given.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The export by its AWS name or table name; `None` for all.
    pub export: Option<String>,
    /// Which deliveries.
    pub deliveries: Deliveries,
}

/// Which deliveries of a month are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliveries {
    /// The newest one.
    Latest,
    /// Those before it as well, where AWS keeps each in a folder of its own.
    All,
}

impl Deliveries {
    /// The word of the argument `deliveries`. Error: `BadValue`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "latest" => Ok(Self::Latest),
            "all" => Ok(Self::All),
            _ => Err(Error::new(
                ErrorKind::BadValue,
                format!("deliveries says \"{word}\", and knows 'latest' and 'all'"),
            )
            .with_hint("Give deliveries => 'all' for the deliveries before the newest one too.")),
        }
    }
}

impl Connections {
    /// Imports what AWS delivered since.
    pub async fn refresh(&self, request: &Refresh, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_refresh(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_refresh(&self, request: &Refresh, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let lease = self.catalog.lease();
        let exports: Vec<_> = match &request.export {
            None => lease.document.exports.values().cloned().collect(),
            Some(name) => {
                let id = ExportId::of_export_name(name)?;
                let export = lease.document.exports.get(&id).ok_or_else(|| {
                    Error::new(ErrorKind::Missing, format!("there is no export {name}"))
                        .with_hint("SELECT export_id FROM system.exports lists the connected ones.")
                })?;
                vec![export.clone()]
            }
        };
        if exports.is_empty() {
            return Err(
                Error::new(ErrorKind::Missing, "no export is connected").with_hint("CALL connect_aws_root(...) first.")
            );
        }
        for export in exports {
            self.import(&export, run, caller).await?;
            if request.deliveries == Deliveries::All {
                self.import_past(&export, run, caller).await?;
            }
        }
        Ok(())
    }

    async fn import_past(&self, export: &Export, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let progress = Progress { notify: caller.notify };
        let summary = self.importer.import_past(&export.id, &progress, &caller.cancel).await?;
        run.push(past_step(export, &summary));
        Ok(())
    }
}

fn past_step(export: &Export, summary: &PastSummary) -> Step {
    let sum = |of: fn(&PastOutcome) -> u32| summary.periods.iter().map(|(_, outcome)| of(outcome)).sum::<u32>();
    let (imported, known, skipped) = (sum(|o| o.imported), sum(|o| o.known), sum(|o| o.skipped));
    let failed: Vec<String> = summary
        .periods
        .iter()
        .filter_map(|(period, outcome)| Some(format!("{period}: {}", outcome.failed.as_ref()?.message())))
        .collect();
    let mut detail = format!("{imported} past deliveries imported, {known} known already, {skipped} skipped.");
    if skipped > 0 {
        detail.push_str(" system.imports has the reasons.");
    }
    if !failed.is_empty() {
        detail.push_str(&format!(" Not looked through: {}.", failed.join("; ")));
    }
    let status = match failed.is_empty() && skipped == 0 {
        true => Status::Ok,
        false => Status::Warning,
    };
    Step::new(
        Action::Create,
        format!("past deliveries of exports.{}", export.id),
        status,
    )
    .detail(detail)
    .evidence(serde_json::json!({ "imported": imported, "known": known, "skipped": skipped, "failed": failed }))
}
