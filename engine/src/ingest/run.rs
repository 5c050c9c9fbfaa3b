//! Import runs as records: what was tried, how far it came, and why it ended.
//!
//! One record stands for all tries of one delivery of one period, so an export that waits or fails for weeks leaves one
//! record and not hundreds. A check that finds nothing new leaves none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Retry};
use crate::history::{History, Ids};
use crate::id::{BillingPeriod, CatalogVersion, ExportId, SnapshotId};
use crate::money::Amount;
use crate::port::{Clock, DeliveredManifest};
use crate::snapshot::Snapshot;

/// The first wait after AWS was found writing: a delivery takes minutes.
const UNDER_WAY_WAIT: Duration = Duration::from_secs(300);
/// The first wait after a failure that may pass by itself.
const TRANSIENT_WAIT: Duration = Duration::from_secs(60);
/// The longest wait between two tries of what keeps failing.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// AWS has not delivered yet, or is delivering right now.
    Waiting,
    /// The manifest is read; its files are being looked up.
    Fetching,
    /// The files are being read and checked.
    Validating,
    /// Snapshot and catalog are being written.
    Publishing,
    /// Visible to statements.
    Published,
    /// What was waited for or failed is over without a new delivery: the published snapshot is the delivered one.
    Unchanged,
    /// Not imported; the former snapshot, if any, stands.
    Failed,
}

impl ImportState {
    /// The state as `system.imports` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Validating => "validating",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }

    /// Whether a run in this state has ended.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Fetching | Self::Validating | Self::Publishing)
    }
}

/// One import run, as `system.imports` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRun {
    /// The export.
    pub export: ExportId,
    /// The month; `None` for the export as a whole, where no month could be tried.
    pub period: Option<BillingPeriod>,
    /// How far it is.
    pub state: ImportState,
    /// When the last try began.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<DateTime<Utc>>,
    /// How often this delivery was tried.
    pub attempts: u32,
    /// The delivery's manifest, once known.
    pub manifest_key: Option<String>,
    /// The ETag of the manifest, once known.
    pub manifest_e_tag: Option<String>,
    /// When AWS wrote the manifest.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Files of the delivery.
    pub files: u64,
    /// Rows read so far, all of them once published.
    pub rows: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Sum of `line_item_unblended_cost` by currency code.
    pub unblended: BTreeMap<String, Amount>,
    /// The snapshot, once published.
    pub snapshot: Option<SnapshotId>,
    /// The catalog version that first named it.
    pub catalog_version: Option<CatalogVersion>,
    /// Why it waits or failed, or what is remarkable.
    pub message: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// When the schedule tries again; `None` without a schedule.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Whether it is about a delivery that AWS made before the published one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub past: bool,
}

impl ImportRun {
    pub(super) fn set_delivery(&mut self, delivered: &DeliveredManifest) {
        self.manifest_key = Some(delivered.key.clone());
        self.manifest_e_tag = Some(delivered.e_tag.clone());
        self.delivered_at = Some(delivered.last_modified);
    }

    pub(super) fn set_snapshot(&mut self, snapshot: &Snapshot) {
        self.files = snapshot.files.len() as u64;
        self.rows = snapshot.rows();
        self.bytes = snapshot.bytes();
        self.unblended = BTreeMap::new();
        for owner in snapshot.files.iter().flat_map(|file| &file.owners) {
            for (currency, amount) in &owner.unblended {
                *self.unblended.entry(currency.clone()).or_default() += *amount;
            }
        }
    }
}

/// How a try ended that did not publish.
pub(super) enum Ending<'a> {
    /// Nothing delivered.
    Waiting(String),
    /// AWS is delivering.
    UnderWay(String),
    /// Failed.
    Failed(&'a Error),
}

/// Writes the records of one importer.
pub(super) struct Recorder {
    runs: Arc<History<ImportRun>>,
    ids: Ids,
    clock: Arc<dyn Clock>,
}

/// A record that is being written.
pub(super) struct Record {
    id: String,
    pub(super) run: ImportRun,
}

impl Recorder {
    pub(super) fn new(runs: Arc<History<ImportRun>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            runs,
            ids: Ids::default(),
            clock,
        }
    }

    /// The newest record of a period, or of the export as a whole.
    pub(super) fn newest(&self, export: &ExportId, period: Option<BillingPeriod>) -> Option<(String, Arc<ImportRun>)> {
        self.runs
            .newest(|run| run.export == *export && run.period == period && !run.past)
    }

    /// Begins a try of a past delivery whose manifest is at `key`. It goes on in the record of an earlier try.
    pub(super) fn begin_past(
        &self,
        export: &ExportId,
        period: BillingPeriod,
        key: &str,
        delivered: Option<&DeliveredManifest>,
    ) -> Record {
        let about = |run: &ImportRun| run.past && run.manifest_key.as_deref() == Some(key);
        let former = self
            .runs
            .newest(|run| run.export == *export && run.period == Some(period) && about(run))
            .filter(|(_, run)| run.state != ImportState::Published);
        let mut record = self.begin_after(former, (export, Some(period)), delivered);
        record.run.past = true;
        record
    }

    /// The newest record of each period, where it says that the period waits or failed.
    pub(super) fn troubles(&self, export: &ExportId) -> Vec<Arc<ImportRun>> {
        let entries = self.runs.entries().into_iter();
        let of_export = entries.filter(|(_, run)| run.export == *export && !run.past);
        // Later records replace earlier ones.
        let newest: BTreeMap<_, _> = of_export.map(|(_, run)| (run.period, run)).collect();
        newest
            .into_values()
            .filter(|run| matches!(run.state, ImportState::Waiting | ImportState::Failed))
            .collect()
    }

    /// Removes the records of an export.
    pub(super) async fn forget(&self, export: &ExportId) {
        self.runs.forget(|run| run.export == *export).await;
    }

    /// Ends the newest record of a period if it says that an import runs: the caller holds the export's lock, so whoever
    /// wrote it has stopped.
    pub(super) async fn close_interrupted(&self, export: &ExportId, period: BillingPeriod) {
        let Some((id, run)) = self
            .newest(export, Some(period))
            .filter(|(_, run)| !run.state.is_final())
        else {
            return;
        };
        let mut run = ImportRun::clone(&run);
        run.state = ImportState::Failed;
        run.finished_at = Some(self.clock.now());
        run.message = Some("the server stopped during this import".to_owned());
        run.hint = Some("Nothing was lost: the period is imported again.".to_owned());
        self.write(&Record { id, run }).await;
    }

    /// Begins a try. It goes on in the newest record if that one did not publish and was about the same delivery.
    pub(super) fn begin(
        &self,
        export: &ExportId,
        period: Option<BillingPeriod>,
        delivered: Option<&DeliveredManifest>,
    ) -> Record {
        let e_tag = delivered.map(|delivered| delivered.e_tag.as_str());
        let former = self.newest(export, period).filter(|(_, run)| {
            !matches!(run.state, ImportState::Published | ImportState::Unchanged)
                && run.manifest_e_tag.as_deref() == e_tag
        });
        self.begin_after(former, (export, period), delivered)
    }

    /// Begins a try that goes on in the record of a former one, if there is one.
    fn begin_after(
        &self,
        former: Option<(String, Arc<ImportRun>)>,
        (export, period): (&ExportId, Option<BillingPeriod>),
        delivered: Option<&DeliveredManifest>,
    ) -> Record {
        let now = self.clock.now();
        let (id, attempts) = match former {
            Some((id, run)) => (id, run.attempts.saturating_add(1)),
            None => (self.ids.next(now), 1),
        };
        let mut run = ImportRun {
            export: export.clone(),
            period,
            state: ImportState::Fetching,
            started_at: now,
            finished_at: None,
            attempts,
            manifest_key: None,
            manifest_e_tag: None,
            delivered_at: None,
            files: 0,
            rows: 0,
            bytes: 0,
            unblended: BTreeMap::new(),
            snapshot: None,
            catalog_version: None,
            message: None,
            hint: None,
            next_try_at: None,
            past: false,
        };
        if let Some(delivered) = delivered {
            run.set_delivery(delivered);
        }
        Record { id, run }
    }

    /// Writes the record. An import does not fail for want of its record; the store's trouble shows elsewhere, too.
    pub(super) async fn write(&self, record: &Record) {
        if let Err(error) = self.runs.put(&record.id, &record.run).await {
            tracing::warn!(export = %record.run.export, %error, "an import run could not be recorded");
        }
    }

    /// Ends a try that did not publish. `every` is the schedule's period, if one runs.
    pub(super) async fn end(&self, mut record: Record, ending: &Ending<'_>, every: Option<Duration>) {
        let now = self.clock.now();
        let wait = every.map(|every| wait_after(ending, every, record.run.attempts));
        let run = &mut record.run;
        run.finished_at = Some(now);
        run.next_try_at = wait.and_then(|wait| now.checked_add_signed(chrono::TimeDelta::from_std(wait).ok()?));
        match ending {
            Ending::Waiting(message) | Ending::UnderWay(message) => {
                run.state = ImportState::Waiting;
                run.message = Some(message.clone());
            }
            Ending::Failed(error) => {
                run.state = ImportState::Failed;
                run.message = Some(error.message().to_owned());
                run.hint = error.hint().map(str::to_owned);
            }
        }
        self.write(&record).await;
    }

    /// When what is open of an export is tried again: the newest record of each period and of the export as a whole.
    pub(super) fn open_tries(&self, export: &ExportId) -> Vec<(Option<BillingPeriod>, DateTime<Utc>)> {
        let mut newest = BTreeMap::new();
        let entries = self.runs.entries().into_iter();
        for (_, run) in entries.filter(|(_, run)| run.export == *export && !run.past) {
            newest.insert(run.period, run.next_try_at);
        }
        newest
            .into_iter()
            .filter_map(|(period, at)| Some((period, at?)))
            .collect()
    }

    /// Ends what the newest record of a period says is open, once the delivered data is found published.
    pub(super) async fn settle(&self, export: &ExportId, period: Option<BillingPeriod>, message: &str) {
        let Some((id, run)) = self.newest(export, period) else {
            return;
        };
        if matches!(run.state, ImportState::Published | ImportState::Unchanged) {
            return;
        }
        let mut run = ImportRun::clone(&run);
        run.state = ImportState::Unchanged;
        run.finished_at = Some(self.clock.now());
        run.message = Some(message.to_owned());
        run.hint = None;
        run.next_try_at = None;
        self.write(&Record { id, run }).await;
    }
}

/// How long to wait after the `attempts`-th try in a row: doubling, from minutes for what passes by itself, and from the
/// schedule's own period for what someone has to change.
fn wait_after(ending: &Ending<'_>, every: Duration, attempts: u32) -> Duration {
    let doubled =
        |first: Duration| first.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    match ending {
        Ending::Waiting(_) => every,
        // Stopped by us, so there is nothing to wait for.
        Ending::Failed(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::ShuttingDown) => {
            Duration::ZERO
        }
        Ending::UnderWay(_) => doubled(UNDER_WAY_WAIT).min(every),
        Ending::Failed(error) if error.retry() == Retry::Never => doubled(every).min(LONGEST_WAIT.max(every)),
        Ending::Failed(_) => doubled(TRANSIENT_WAIT).min(every),
    }
}
