//! A snapshot is rewritten into the state store: the same rows in the order that questions look for them in, with the columns
//! of `costs` that take computing, and the values of frequent map keys, beside the delivered ones.
//!
//! The rows are read as a statement reads them, so that they hold what a statement would see. They are cut into runs that fit
//! into memory; each run is sorted and written. What was written is read again, and its control totals by owner are compared
//! with the base's: a difference is an error, and nothing comes of it. Rows that belong to nobody are visible to nobody and are
//! left out.

mod files;
mod keys;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::StreamExt;

use self::files::{Files, Finished};
use self::keys::MapNotes;
use self::run::{Order, Run};
use crate::catalog::{Export, Lease};
use crate::costs::mapping::{self, Derivations};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::datafusion_error;
use crate::id::SnapshotId;
use crate::ingest::Scratch;
use crate::ingest::pinned::Stop;
use crate::ingest::rewrite::{folder, keep, part};
use crate::ingest::survey::survey;
use crate::money::Amount;
use crate::scope::AccountScope;
use crate::session::SessionBuilder;
use crate::snapshot::clustered::{Clustered, MapKeys, OWN_COLUMN};
use crate::snapshot::{Form, OwnerTotals, PinnedFile, RowOwner, Snapshot};
use crate::table::{Audience, BILLING_PERIOD, HAS_NET_COSTS};

/// How rewritten files are laid out; docs/decisions/0011-clustered-snapshots.md has the measurements.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Rows that are sorted together, at most.
    pub run_rows: usize,
    /// Memory of rows that are sorted together, in bytes. A run ends with the batch that reaches it.
    pub run_bytes: usize,
    /// Rows of a row group.
    pub group_rows: usize,
    /// Rows of a page.
    pub page_rows: usize,
    /// A file ends with the run that reaches so many rows.
    pub file_rows: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            run_rows: 512 << 10,
            run_bytes: 384 << 20,
            group_rows: 128 << 10,
            page_rows: 20_000,
            file_rows: 1 << 20,
        }
    }
}

/// Memory of the rows of a run below which sorting them is worth little.
const LEAST_RUN_BYTES: usize = 64 << 20;

impl Layout {
    /// The same, for so many months at once in the memory of one.
    pub fn shared(self, by: usize) -> Self {
        let run_bytes = (self.run_bytes / by.max(1)).max(LEAST_RUN_BYTES.min(self.run_bytes));
        Self { run_bytes, ..self }
    }
}

/// Rewrites snapshots.
pub struct Clusterer {
    sessions: Arc<SessionBuilder>,
    scratch: Scratch,
    layout: Layout,
}

impl std::fmt::Debug for Clusterer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clusterer").finish_non_exhaustive()
    }
}

impl Clusterer {
    /// Reads through the sessions' stores, and keeps what is under way in `scratch`.
    pub fn new(sessions: Arc<SessionBuilder>, scratch: Scratch) -> Self {
        Self {
            sessions,
            scratch,
            layout: Layout::default(),
        }
    }

    /// The same with files of another layout.
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Writes the files of `id` and returns its document, which is neither written nor published. Memory: one run, sorted, and
    /// what a row group takes to encode. The future may be dropped: files that no snapshot names are swept. Errors: those of
    /// reading the base, `Disk`, `State`, and `Defect` where the rows add up to something else.
    pub async fn clustered(
        &self,
        base: &Arc<Snapshot>,
        lease: &Lease,
        export: &Export,
        id: SnapshotId,
    ) -> Result<Snapshot> {
        let table = self.sessions.whole_snapshot(lease, export, base, Audience::Costs)?;
        let name = TableReference::partial("exports", export.id.as_str());
        let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None);
        let (plan, derivations) = scan
            .and_then(|scan| projected(scan, base, export))
            .map_err(datafusion_error)?;
        let session = self
            .sessions
            .internal(Arc::clone(lease), AccountScope::of_snapshot(base))?;
        let rows = session.bind_plan(plan)?.stream().await?;
        let written = self.write(base, export, &id, rows).await?;
        let totals = base.owner_totals();
        check(base, &totals, &written.files)?;
        Ok(Snapshot {
            id,
            form: Form::Clustered,
            files: named_as(&totals, written.files),
            clustered: Some(Clustered {
                base: base.id.clone(),
                delivered: base.sources(),
                mapping: mapping::VERSION,
                costs: derivations.stored,
                absent: derivations.absent,
                never_blank: written.never_blank,
                maps: written.maps,
            }),
            ..Snapshot::clone(base)
        })
    }

    async fn write(
        &self,
        base: &Snapshot,
        export: &Export,
        id: &SnapshotId,
        mut rows: SendableRecordBatchStream,
    ) -> Result<Written> {
        let order = Order::of(&rows.schema(), export.kind.format())?;
        let maps = MapNotes::of(&rows.schema());
        let mut files = Files::new(self.scratch.clone(), self.layout, rows.schema(), maps);
        let mut run = Run::default();
        let mut target = Target {
            clusterer: self,
            base,
            export,
            id,
            files: Vec::new(),
        };
        loop {
            let batch = rows.next().await.transpose().map_err(datafusion_error)?;
            let ended = batch.is_none();
            if let Some(batch) = batch {
                files.note(&batch)?;
                run.push(batch);
            }
            if ended || run.rows() >= self.layout.run_rows || run.bytes() >= self.layout.run_bytes {
                let (full, order) = (std::mem::take(&mut run), order.clone());
                // Sorting and encoding take seconds without a pause.
                let work = tokio::task::spawn_blocking(move || {
                    let mut files = files;
                    let mut finished = files.write(&full, &order)?;
                    if ended {
                        finished.extend(files.finish()?);
                    }
                    Ok::<_, Error>((files, finished))
                });
                let finished;
                (files, finished) = work
                    .await
                    .unwrap_or_else(|_| Err(Error::defect("rows of a snapshot could not be rewritten")))?;
                target.keep(finished).await?;
            }
            if ended {
                break;
            }
        }
        Ok(Written {
            files: target.files,
            never_blank: files.never_blank(),
            maps: files.into_maps(),
        })
    }
}

/// What came of the rows.
struct Written {
    files: Vec<PinnedFile>,
    never_blank: BTreeSet<String>,
    maps: BTreeMap<String, MapKeys>,
}

/// Where finished files go.
struct Target<'a> {
    clusterer: &'a Clusterer,
    base: &'a Snapshot,
    export: &'a Export,
    id: &'a SnapshotId,
    files: Vec<PinnedFile>,
}

impl Target<'_> {
    /// Puts files into the state store, and reads there what they hold.
    async fn keep(&mut self, finished: Vec<Finished>) -> Result<()> {
        let own = self.clusterer.sessions.own_store();
        for file in finished {
            let folder = folder(&self.export.id, self.base.period, self.id);
            let path = part(&folder, self.files.len());
            let kept = keep(&self.clusterer.scratch, file.file, &own, path).await?;
            let survey = survey(Arc::clone(&own), &kept, &kept.key, self.export.kind, usize::MAX).await;
            let survey = survey.map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::UnderWay(message) => Error::new(ErrorKind::State, message),
            })?;
            if survey.rows != file.rows {
                return Err(Error::defect(format!(
                    "{} has {} rows, and {} were written",
                    kept.key, survey.rows, file.rows
                )));
            }
            self.files.push(PinnedFile {
                key: kept.key,
                size: kept.size,
                e_tag: kept.e_tag,
                last_modified: kept.last_modified,
                source: None,
                rows: survey.rows,
                owners: survey.totals.owners,
            });
        }
        Ok(())
    }
}

/// The delivered columns of the snapshot, and those of `costs` that are stored.
fn projected(
    scan: LogicalPlanBuilder,
    base: &Snapshot,
    export: &Export,
) -> DataFusionResult<(LogicalPlan, Derivations)> {
    let mut derivations = match export.kind.format().in_costs {
        true => mapping::derivations(scan.schema(), export)?,
        false => Derivations::default(),
    };
    let own = |name: &str| [BILLING_PERIOD, HAS_NET_COSTS].contains(&name) || name.starts_with(OWN_COLUMN);
    let delivered = base.columns.iter().filter(|column| !own(&column.name));
    let mut columns: Vec<Expr> = delivered
        .map(|column| Expr::Column(Column::from_name(&column.name)).alias(&column.name))
        .collect();
    columns.append(&mut derivations.expressions);
    Ok((scan.project(columns)?.build()?, derivations))
}

/// Rows and costs by owner, of rows that belong to anybody.
fn sums(totals: &[OwnerTotals]) -> BTreeMap<RowOwner, (u64, BTreeMap<&str, Amount>)> {
    let mut sums: BTreeMap<RowOwner, (u64, BTreeMap<&str, Amount>)> = BTreeMap::new();
    let owned = |totals: &&OwnerTotals| totals.owner.usage_account.or(totals.owner.payer).is_some();
    for totals in totals.iter().filter(owned).filter(|totals| totals.rows > 0) {
        let (rows, costs) = sums.entry(totals.owner).or_default();
        *rows += totals.rows;
        for (currency, amount) in &totals.unblended {
            *costs.entry(currency).or_default() += *amount;
        }
    }
    sums
}

/// That what was written has the rows and costs of what was read, for each owner.
fn check(base: &Snapshot, expected: &[OwnerTotals], files: &[PinnedFile]) -> Result<()> {
    let written: Vec<OwnerTotals> = files.iter().flat_map(|file| file.owners.iter().cloned()).collect();
    if sums(expected) == sums(&written) {
        return Ok(());
    }
    Err(Error::defect(format!(
        "the rewritten rows of {} in {} add up to something else than the delivered ones",
        base.export, base.period
    )))
}

/// The files with the names of accounts that the base has: which name is the last depends on the order of rows.
fn named_as(totals: &[OwnerTotals], mut files: Vec<PinnedFile>) -> Vec<PinnedFile> {
    let names: BTreeMap<RowOwner, &Option<String>> = totals
        .iter()
        .map(|totals| (totals.owner, &totals.account_name))
        .collect();
    for owner in files.iter_mut().flat_map(|file| &mut file.owners) {
        if let Some(name) = names.get(&owner.owner) {
            owner.account_name.clone_from(name);
        }
    }
    files
}

#[cfg(test)]
mod tests;
