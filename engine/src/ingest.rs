//! Delivery to validated snapshot to published catalog version.
//!
//! An import asks for the manifest of each period, conditionally on the ETag of the snapshot it has, so a period without
//! news costs one request. A new delivery is looked up file by file, read once for exact control totals with every read
//! pinned to an ETag, checked against its manifest again, written as a snapshot, and published. A period is replaced
//! whole or not at all; whatever goes wrong leaves the former snapshot standing and says why in the run's record.
//!
//! Decoding is computing: call an [`Importer`] on the runtime for queries, never on the one for sockets. Its futures may be
//! dropped at any await; what is durable by then stays consistent.

mod columns;
pub(crate) mod delivery;
mod news;
pub mod past;
mod period;
pub(crate) mod pinned;
pub(crate) mod rewrite;
mod run;
mod schedule;
mod scratch;
mod services;
pub(crate) mod survey;
mod sweep;
pub(crate) mod totals;
mod transcode;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Account, Catalog, Change, Export, ExportKind, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::history::{History, Ids};
use crate::id::{BillingPeriod, CatalogVersion, ExportId};
use crate::limit::Limits;
use crate::port::{Clock, Credential, DeliveryLayout, ExportSource, LocationReport};
use crate::snapshot::Snapshot;
pub use columns::header::athena_name;
use news::News;
pub(crate) use rewrite::folder as stored_folder;
use run::{Ending, Recorder};
pub use run::{ImportRun, ImportState};
pub use scratch::Scratch;

/// How long AWS may take for the first delivery of a new export: `docs.aws.amazon.com/cur/latest/userguide/dataexports-create.html`.
const FIRST_DELIVERY: &str =
    "AWS has not delivered this export yet. The first delivery of a new export can take up to 24 hours.";

/// Opens the object store in which an export lies, with the credential of the account that connected it.
pub type OpenStore = Arc<dyn Fn(Lease, Export) -> BoxFuture<'static, Result<Arc<dyn ObjectStore>>> + Send + Sync>;

/// Stores as the source itself opens them, anew for each import.
pub fn stores_of(source: Arc<dyn ExportSource>) -> OpenStore {
    Arc::new(move |lease, export| {
        let source = Arc::clone(&source);
        async move { source.open(&export.location, &credential_of(&lease, &export)).await }.boxed()
    })
}

/// The credential of the account that connected the export.
fn credential_of(lease: &Lease, export: &Export) -> Credential {
    let account = lease.document.accounts.get(&export.account);
    account.map_or(Credential::Absent, Account::credential)
}

/// A step of the import of one period, for notices and progress bars.
#[derive(Debug, Clone)]
pub struct PeriodEvent {
    /// The export.
    pub export: ExportId,
    /// The month.
    pub period: BillingPeriod,
    /// How far it is.
    pub state: ImportState,
    /// Files read so far.
    pub files_read: u64,
    /// Files of the delivery, 0 until known.
    pub files: u64,
    /// Rows read so far.
    pub rows: u64,
    /// Why it waits or failed.
    pub message: Option<String>,
}

/// Who wants to hear of an import's steps. Called from the import itself, so it must not block.
pub trait ImportProgress: Send + Sync {
    /// A step was done.
    fn period(&self, event: &PeriodEvent);
}

/// Nobody wants to hear.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ImportProgress for NoProgress {
    fn period(&self, _: &PeriodEvent) {}
}

/// How the import of one period ended.
#[derive(Debug)]
pub enum PeriodOutcome {
    /// What is delivered is what is published already.
    Unchanged,
    /// A new snapshot is visible.
    Published {
        /// The snapshot.
        snapshot: Arc<Snapshot>,
        /// The catalog version that first names it.
        version: CatalogVersion,
    },
    /// No manifest is there (any more); a former snapshot stays.
    Waiting,
    /// AWS is writing a delivery right now; a former snapshot stays.
    DeliveryUnderWay,
    /// Not imported; a former snapshot stays.
    Failed(Error),
}

/// How an import ended.
#[derive(Debug)]
pub struct ImportSummary {
    /// Each period in ascending order: those that have a manifest, and those that have a snapshot. Empty if AWS has not
    /// delivered yet.
    pub periods: Vec<(BillingPeriod, PeriodOutcome)>,
}

/// Who asked for an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// A person, now: everything is tried.
    Call,
    /// The schedule: a delivery that is known to be broken is left alone until its next try is due.
    Schedule,
}

/// Imports exports into one catalog.
pub struct Importer {
    catalog: Arc<Catalog>,
    source: Arc<dyn ExportSource>,
    open_store: OpenStore,
    /// Where files lie that Farthing made.
    own: Arc<dyn ObjectStore>,
    scratch: Scratch,
    clock: Arc<dyn Clock>,
    limits: Limits,
    recorder: Recorder,
    snapshot_ids: Ids,
    /// One import of an export at a time; a second one waits and then finds most of it done.
    exports: Mutex<HashMap<ExportId, Arc<tokio::sync::Mutex<()>>>>,
    /// Files read at the same time, over all exports.
    files: Arc<Semaphore>,
    /// Comparing with the newest catalog and publishing are one step in this process.
    publishing: tokio::sync::Mutex<()>,
    /// The schedule's period, 0 while none runs.
    every_seconds: AtomicU64,
}

impl Importer {
    /// An importer that publishes into `catalog`, looks for deliveries in `source`, reads files through `open_store`, unpacks
    /// CSV in `scratch`, and records its runs in `runs`. Both limits of parallelism are `limits.import_parallelism`: periods of one export, and
    /// files over all exports.
    pub fn new(
        catalog: Arc<Catalog>,
        source: Arc<dyn ExportSource>,
        open_store: OpenStore,
        scratch: Scratch,
        clock: Arc<dyn Clock>,
        limits: Limits,
        runs: Arc<History<ImportRun>>,
    ) -> Self {
        Self {
            own: catalog.state_store(),
            catalog,
            source,
            open_store,
            scratch,
            recorder: Recorder::new(runs, Arc::clone(&clock)),
            clock,
            files: Arc::new(Semaphore::new(limits.import_parallelism.max(1))),
            limits,
            snapshot_ids: Ids::default(),
            exports: Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
            every_seconds: AtomicU64::new(0),
        }
    }

    /// The newest run of each month of an export, where it is not imported because it waits or failed.
    pub fn troubles(&self, export: &ExportId) -> Vec<Arc<ImportRun>> {
        self.recorder.troubles(export)
    }

    /// Deletes what was imported of an export that the catalog does not name any more: its snapshots, the files that Farthing
    /// made, and the records of its imports, which hold totals. Returns the number of snapshots. Errors: `State`.
    pub async fn purge(&self, export: &ExportId) -> Result<usize> {
        self.recorder.forget(export).await;
        let purged = self.catalog.purge_snapshots(export).await?;
        self.remove_stored_files(export).await?;
        Ok(purged)
    }

    /// Imports every period that the export's source lists. One period that fails never stops the others. Safe to repeat:
    /// what is imported already is `Unchanged`. Errors, if nothing could be tried: `Missing` for an unknown export or
    /// bucket, what AWS answered to the first look, `Cancelled`.
    pub async fn import_export(
        &self,
        export: &ExportId,
        progress: &dyn ImportProgress,
        cancel: &CancellationToken,
    ) -> Result<ImportSummary> {
        self.import(export, progress, cancel, Reason::Call).await
    }

    async fn import(
        &self,
        export: &ExportId,
        progress: &dyn ImportProgress,
        cancel: &CancellationToken,
        reason: Reason,
    ) -> Result<ImportSummary> {
        let lock = self.lock_of(export);
        let _guard = cancel.run_until_cancelled(lock.lock()).await.ok_or_else(cancelled)?;
        self.catalog.refresh().await?;
        let lease = self.catalog.lease();
        let mut import = Import::of(self, &lease, export, (progress, cancel), reason)?;
        let periods = import.run().await?;
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        Ok(ImportSummary {
            periods: periods.into_iter().collect(),
        })
    }

    fn lock_of(&self, export: &ExportId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(export.clone()).or_default())
    }

    /// Removes the files of a snapshot that was not published. Best effort: what stays is removed by the next sweep.
    async fn remove_stored(&self, folder: &Path) {
        let removed = self.own.list(Some(folder)).map_ok(|object| object.location).boxed();
        let removed: Result<Vec<Path>, _> = self.own.delete_stream(removed).try_collect().await;
        if let Err(error) = removed {
            tracing::debug!(%folder, %error, "files of an import that failed stay");
        }
    }

    fn every(&self) -> Option<Duration> {
        match self.every_seconds.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        }
    }
}

fn unknown_export(export: &ExportId) -> Error {
    Error::new(ErrorKind::Missing, format!("there is no export \"{export}\""))
        .with_hint("system.exports lists the exports that are connected.")
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the import was cancelled")
        .with_hint("Periods that were published before stay; run it again for the others.")
}

/// One import of one export under way.
struct Import<'a> {
    importer: &'a Importer,
    lease: &'a Lease,
    export: Export,
    credential: Credential,
    progress: &'a dyn ImportProgress,
    cancel: &'a CancellationToken,
    reason: Reason,
}

impl<'a> Import<'a> {
    /// The import of an export as the catalog has it. Error: `Missing` for an unknown one.
    fn of(
        importer: &'a Importer,
        lease: &'a Lease,
        export: &ExportId,
        (progress, cancel): (&'a dyn ImportProgress, &'a CancellationToken),
        reason: Reason,
    ) -> Result<Self> {
        let known = lease.document.exports.get(export);
        let export = known.ok_or_else(|| unknown_export(export))?;
        Ok(Self {
            importer,
            export: export.clone(),
            credential: credential_of(lease, export),
            lease,
            progress,
            cancel,
            reason,
        })
    }
}

impl Import<'_> {
    async fn run(&mut self) -> Result<BTreeMap<BillingPeriod, PeriodOutcome>> {
        let known: BTreeSet<BillingPeriod> = self.snapshots().map(|(period, _)| period).collect();
        let news = News::of(self).await;
        if matches!(&news, News::Nothing) {
            self.settle_as_a_whole().await;
            let mut outcomes = BTreeMap::new();
            for period in known {
                outcomes.insert(period, self.unchanged(period).await);
            }
            return Ok(outcomes);
        }
        let mut report = self.probe().await?;
        if !report.periods.is_empty() && report.layout != self.export.location.layout {
            let alone = self.export.location.layout == DeliveryLayout::FilesAlone;
            if report.layout == DeliveryLayout::FilesAlone {
                // AWS writes the files of a first delivery before its manifest; only a person says that they are a copy.
                report.periods.clear();
            } else if known.is_empty() || alone {
                self.adopt(report.layout).await?;
            } else {
                // What lies there now is another export than the one that was imported.
                report.periods.clear();
            }
        }
        let this: &Self = self;
        let listed: BTreeSet<BillingPeriod> = report.periods.iter().copied().collect();
        let mut outcomes = BTreeMap::new();
        for gone in known.difference(&listed) {
            let ending = Ending::Waiting(
                "the manifest is gone from the export's location; the snapshot imported before stays".to_owned(),
            );
            self.end_without_delivery(*gone, &ending).await;
            outcomes.insert(*gone, PeriodOutcome::Waiting);
        }
        if listed.is_empty() {
            if known.is_empty() {
                let message = not_delivered(&self.export, &report);
                self.end_as_a_whole(&Ending::Waiting(message)).await;
            }
            return Ok(outcomes);
        }
        self.settle_as_a_whole().await;
        // Newest first: it is what people look at.
        let imported: Vec<(BillingPeriod, PeriodOutcome)> = stream::iter(listed.into_iter().rev())
            .map(|period| {
                let unchanged = news.leaves(period);
                async move {
                    match unchanged {
                        true => (period, this.unchanged(period).await),
                        false => (period, this.period(period).await),
                    }
                }
            })
            .buffer_unordered(self.importer.limits.import_parallelism.max(1))
            .collect()
            .await;
        outcomes.extend(imported);
        Ok(outcomes)
    }

    /// The published snapshots of the export.
    fn snapshots(&self) -> impl DoubleEndedIterator<Item = (BillingPeriod, &Arc<Snapshot>)> {
        let periods = self.lease.snapshots.get(&self.export.id).into_iter().flatten();
        periods.map(|(period, snapshot)| (*period, snapshot))
    }

    /// An export that was connected before its first delivery turns out to be of the other kind.
    async fn adopt(&mut self, layout: DeliveryLayout) -> Result<()> {
        let mut export = self.export.clone();
        // Files that were read without manifests have told the kind already.
        if self.snapshots().next().is_none() {
            export.kind = ExportKind::of_layout(layout);
        }
        export.location.layout = layout;
        self.importer
            .catalog
            .publish(&[Change::SetKind {
                export: export.id.clone(),
                kind: export.kind,
                layout,
            }])
            .await?;
        self.export = export;
        Ok(())
    }

    /// The first look, which decides whether anything can be tried.
    async fn probe(&self) -> Result<LocationReport> {
        let probe = self.importer.source.probe(&self.export.location, &self.credential);
        let result = self.cancel.run_until_cancelled(probe).await.ok_or_else(cancelled)?;
        if let Err(error) = &result {
            self.end_as_a_whole(&Ending::Failed(error)).await;
        }
        result
    }

    async fn settle_as_a_whole(&self) {
        let recorder = &self.importer.recorder;
        let message = "the export's location can be read";
        recorder.settle(&self.export.id, None, message).await;
    }

    async fn end_as_a_whole(&self, ending: &Ending<'_>) {
        let recorder = &self.importer.recorder;
        let record = recorder.begin(&self.export.id, None, None);
        recorder.end(record, ending, self.importer.every()).await;
    }
}

fn not_delivered(export: &Export, report: &LocationReport) -> String {
    let mut message = format!("{FIRST_DELIVERY} Nothing lies at {}.", export.location.uri());
    if !report.folders_nearby.is_empty() {
        let folders: Vec<&str> = report.folders_nearby.iter().take(10).map(String::as_str).collect();
        message.push_str(&format!(" Folders nearby: {}.", folders.join(", ")));
    }
    message
}

#[cfg(test)]
mod tests;
