//! Deliveries that AWS made before the published one, of exports that give each delivery a folder of its own.
//!
//! They are imported when somebody asks for them, newest first, as many of a month as are kept. One that cannot be read is
//! skipped and recorded with its reason. The published snapshot is not touched.

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::pinned::Stop;
use super::run::{Ending, ImportState};
use super::{Import, ImportProgress, Importer, Reason, cancelled};
use crate::catalog::{Change, ExportKind, PastDelivery};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, ExportId};
use crate::port::DeliveredManifest;
use crate::snapshot::Snapshot;

/// What was found of the past deliveries of one month.
#[derive(Debug, Default)]
pub struct PastOutcome {
    /// Deliveries that are imported now.
    pub imported: u32,
    /// Deliveries that were known already.
    pub known: u32,
    /// Deliveries that cannot be imported; `system.imports` has the reasons.
    pub skipped: u32,
    /// Why the month could not be looked through.
    pub failed: Option<Error>,
}

/// How the import of past deliveries ended: each month that has a published snapshot, in ascending order.
#[derive(Debug)]
pub struct PastSummary {
    /// The months.
    pub periods: Vec<(BillingPeriod, PastOutcome)>,
}

impl Importer {
    /// Imports the deliveries that AWS made before the published ones, as far as they lie in folders of their own and are
    /// not known yet. Safe to repeat. Errors, if nothing could be tried: `Missing` for an unknown export, `Cancelled`.
    pub async fn import_past(
        &self,
        export: &ExportId,
        progress: &dyn ImportProgress,
        cancel: &CancellationToken,
    ) -> Result<PastSummary> {
        let lock = self.lock_of(export);
        let _guard = cancel.run_until_cancelled(lock.lock()).await.ok_or_else(cancelled)?;
        self.catalog.refresh().await?;
        let lease = self.catalog.lease();
        let import = Import::of(self, &lease, export, (progress, cancel), Reason::Call)?;
        let mut periods = Vec::new();
        // Newest first, as everywhere; one after the other, since each has its files read in parallel.
        for (_, current) in import.snapshots().rev() {
            let mut outcome = PastOutcome::default();
            if let Err(error) = import.past_of(current, &mut outcome).await {
                outcome.failed = Some(error);
            }
            periods.push((current.period, outcome));
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
        }
        periods.reverse();
        Ok(PastSummary { periods })
    }
}

impl Import<'_> {
    /// The deliveries of a month that came before `current`, the newest first.
    async fn past_of(&self, current: &Snapshot, outcome: &mut PastOutcome) -> Result<()> {
        let (source, period) = (&self.importer.source, current.period);
        let listed = source.list_executions(&self.export.location, &self.credential, period);
        let keys = self.cancel.run_until_cancelled(listed).await.ok_or_else(cancelled)??;
        let known = self.lease.deliveries(&self.export.id, period);
        let past = known.iter().filter(|known| !known.current);
        // With the key of one that is not known yet. Manifests are read again when their turn comes: they can be large.
        let mut found: Vec<(DateTime<Utc>, Option<String>)> = past.map(|past| (past.delivered_at, None)).collect();
        outcome.known = u32::try_from(found.len()).unwrap_or(u32::MAX);
        for key in keys {
            // Folders are named by the execution, with its time before it in Data Exports.
            let folder = key.rsplit('/').nth(1).unwrap_or_default();
            let is_known = |id: &str| known.iter().any(|known| known.execution_id.as_deref() == Some(id));
            if known
                .iter()
                .filter_map(|known| known.execution_id.as_deref())
                .any(|id| folder.ends_with(id))
            {
                continue;
            }
            match self.execution(&key).await {
                Ok(None) => {}
                Ok(Some(delivered)) => {
                    let execution = delivered.manifest.execution_id.as_deref();
                    let same = execution.is_some_and(is_known) || delivered.e_tag == current.manifest_e_tag;
                    // One that is newer than what is published is no past delivery: the next import takes it.
                    if !same && delivered.last_modified <= current.delivered_at {
                        found.push((delivered.last_modified, Some(key)));
                    }
                }
                Err(error) => {
                    self.skip_unread(period, &key, &error).await;
                    outcome.skipped += 1;
                }
            }
        }
        found.sort_by_key(|(delivered_at, _)| std::cmp::Reverse(*delivered_at));
        found.truncate(self.importer.limits.past_deliveries);
        for key in found.into_iter().filter_map(|(_, key)| key) {
            let Some(delivered) = self.execution(&key).await? else {
                continue;
            };
            match self.past_delivery(period, &delivered).await {
                Ok(()) => outcome.imported += 1,
                Err(_) => outcome.skipped += 1,
            }
        }
        Ok(())
    }

    async fn execution(&self, key: &str) -> Result<Option<Box<DeliveredManifest>>> {
        let source = &self.importer.source;
        let fetched = source.fetch_execution(&self.export.location, &self.credential, key);
        self.cancel.run_until_cancelled(fetched).await.ok_or_else(cancelled)?
    }

    /// Records a manifest that cannot be read.
    async fn skip_unread(&self, period: BillingPeriod, key: &str, error: &Error) {
        let recorder = &self.importer.recorder;
        let mut record = recorder.begin_past(&self.export.id, period, key, None);
        record.run.manifest_key = Some(key.to_owned());
        recorder.end(record, &Ending::Failed(error), None).await;
    }

    /// One delivery; whatever happens is recorded.
    async fn past_delivery(&self, period: BillingPeriod, delivered: &DeliveredManifest) -> Result<(), Stop> {
        let recorder = &self.importer.recorder;
        let mut record = recorder.begin_past(&self.export.id, period, &delivered.key, Some(delivered));
        let prepared = self.prepare(period, delivered, &mut record, Which::Past).await;
        let published = match prepared {
            Ok(prepared) => {
                record.run.set_snapshot(&prepared.snapshot);
                self.step(&mut record, period, ImportState::Publishing).await;
                let version = self.publish_past(&prepared).await.map_err(Stop::Failed);
                version.map(|version| (prepared.snapshot.id, version))
            }
            Err(stop) => Err(stop),
        };
        match published {
            Ok((snapshot, version)) => {
                record.run.snapshot = Some(snapshot);
                record.run.catalog_version = Some(version);
                record.run.finished_at = Some(self.importer.clock.now());
                self.step(&mut record, period, ImportState::Published).await;
                Ok(())
            }
            Err(stop) => {
                // The schedule does not try it again: somebody asked for it once.
                let ending = match &stop {
                    Stop::UnderWay(message) => Ending::UnderWay(message.clone()),
                    Stop::Failed(error) => Ending::Failed(error),
                };
                recorder.end(record, &ending, None).await;
                Err(stop)
            }
        }
    }

    async fn publish_past(&self, prepared: &super::period::Prepared) -> Result<crate::id::CatalogVersion> {
        let catalog = &self.importer.catalog;
        let _guard = self.importer.publishing.lock().await;
        catalog.refresh().await?;
        let lease = catalog.lease();
        let export = self.check_place(&lease)?;
        let snapshot = &prepared.snapshot;
        let names = snapshot.columns.iter().map(|column| column.name.as_str());
        let kind = ExportKind::of_columns(names, export.kind);
        if kind != export.kind {
            let (here, now) = (kind.format().name, export.kind.format().name);
            let message = format!("{} delivers {here}, and the export is {now}", snapshot.manifest_key);
            return Err(Error::new(ErrorKind::BrokenDelivery, message)
                .with_hint("It was delivered before the export became what it is now, and stays out."));
        }
        prepared.write(catalog).await?;
        let change = Change::PutPast {
            export: self.export.id.clone(),
            period: snapshot.period,
            delivery: PastDelivery::of(snapshot),
            limit: self.importer.limits.past_deliveries,
        };
        catalog.publish(&[change]).await
    }

    /// Whether the manifest is still the one that was read.
    pub(super) async fn execution_stays(&self, delivered: &DeliveredManifest) -> Result<bool> {
        let source = &self.importer.source;
        let found = source.fetch_execution(&self.export.location, &self.credential, &delivered.key);
        Ok(found.await?.is_some_and(|found| found.e_tag == delivered.e_tag))
    }
}

/// Which delivery of a month is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The newest one.
    Latest,
    /// One before the published one.
    Past,
}
