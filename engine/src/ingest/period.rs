//! The import of one period, from its manifest to its catalog version.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio_util::task::AbortOnDropHandle;

use super::columns::{check_against, columns_named, header, unite};
use super::delivery::{DeliveredFile, Encoding, check_times, find_files, named_files};
use super::past::Which;
use super::pinned::Stop;
use super::rewrite;
use super::run::{Ending, ImportState, Record};
use super::services::DeliveryServices;
use super::survey::{Survey, survey};
use super::totals::too_large;
use super::{Import, PeriodEvent, PeriodOutcome, Reason, cancelled};
use crate::catalog::{Catalog, Change, Export, ExportKind, Lease, PastDelivery};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, CatalogVersion, SnapshotId};
use crate::money::PRECISION;
use crate::port::{DeliveredManifest, ManifestAnswer, ManifestColumn};
use crate::snapshot::services::ServiceTotals;
use crate::snapshot::{FORMAT_VERSION, Form, PinnedFile, Snapshot, SnapshotColumn, SourceFile};

/// How publishing ended.
enum Publication {
    /// Visible since this version.
    Done(Arc<Snapshot>, CatalogVersion),
    /// Another server had published this delivery, or a newer one.
    Overtaken,
}

/// A file that was read, what it was made of where Farthing made it, and what is in it.
type Read = (DeliveredFile, Option<SourceFile>, Survey);

/// A delivery that was read and can be published.
pub(super) struct Prepared {
    pub(super) snapshot: Snapshot,
    /// `None` if there would be too many lines.
    pub(super) services: Option<ServiceTotals>,
}

impl Prepared {
    /// Writes the documents that a catalog version may name then.
    pub(super) async fn write(&self, catalog: &Catalog) -> Result<()> {
        catalog.write_snapshot(&self.snapshot).await?;
        match &self.services {
            Some(services) => catalog.write_totals(services).await,
            None => Ok(()),
        }
    }
}

/// What the files of a delivery come to.
struct Contents {
    form: Form,
    kind: Option<ExportKind>,
    columns: Vec<SnapshotColumn>,
    files: Vec<PinnedFile>,
    has_net_costs: bool,
    data_through: Option<DateTime<Utc>>,
    magnitude: i128,
    services: DeliveryServices,
}

impl Import<'_> {
    /// Imports one period; whatever happens is recorded and told.
    pub(super) async fn period(&self, period: BillingPeriod) -> PeriodOutcome {
        let known = self.present(period).map(|snapshot| snapshot.manifest_e_tag.clone());
        let asked = self
            .cancel
            .run_until_cancelled(self.manifest(period, known.as_deref()))
            .await;
        match asked {
            None => PeriodOutcome::Failed(cancelled()),
            Some(Err(error)) => {
                self.end_without_delivery(period, &Ending::Failed(&error)).await;
                PeriodOutcome::Failed(error)
            }
            Some(Ok(ManifestAnswer::Unchanged)) => self.unchanged(period).await,
            Some(Ok(ManifestAnswer::Absent)) => {
                let ending = Ending::Waiting(match known {
                    Some(_) => "the manifest is gone; the snapshot imported before stays".to_owned(),
                    None => "AWS has not written a manifest for this period yet".to_owned(),
                });
                self.end_without_delivery(period, &ending).await;
                PeriodOutcome::Waiting
            }
            Some(Ok(ManifestAnswer::Found(delivered))) => match self.known_to_be_broken(period, &delivered) {
                Some(error) => PeriodOutcome::Failed(error),
                None => self.delivery(period, &delivered).await,
            },
        }
    }

    /// Notes that what is delivered is what is published.
    pub(super) async fn unchanged(&self, period: BillingPeriod) -> PeriodOutcome {
        let message = "the published snapshot is what is delivered";
        let recorder = &self.importer.recorder;
        recorder.settle(&self.export.id, Some(period), message).await;
        self.tell(period, ImportState::Unchanged, None);
        PeriodOutcome::Unchanged
    }

    fn present(&self, period: BillingPeriod) -> Option<&Arc<Snapshot>> {
        self.lease.snapshots.get(&self.export.id)?.get(&period)
    }

    async fn manifest(&self, period: BillingPeriod, known_e_tag: Option<&str>) -> Result<ManifestAnswer> {
        let source = &self.importer.source;
        source
            .fetch_manifest(&self.export.location, &self.credential, period, known_e_tag)
            .await
    }

    /// What the schedule found wrong with this very delivery, while its next try is not due.
    fn known_to_be_broken(&self, period: BillingPeriod, delivered: &DeliveredManifest) -> Option<Error> {
        let (_, run) = self.importer.recorder.newest(&self.export.id, Some(period))?;
        let same = run.state == ImportState::Failed && run.manifest_e_tag.as_deref() == Some(delivered.e_tag.as_str());
        let early = run.next_try_at.is_some_and(|at| at > self.importer.clock.now());
        (self.reason == Reason::Schedule && same && early).then(|| {
            let message = run.message.clone().unwrap_or_default();
            let error = Error::new(ErrorKind::BrokenDelivery, message);
            match &run.hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })
    }

    /// Records and tells an end that came before any delivery was seen.
    pub(super) async fn end_without_delivery(&self, period: BillingPeriod, ending: &Ending<'_>) {
        let record = self.importer.recorder.begin(&self.export.id, Some(period), None);
        self.end(record, period, ending).await;
    }

    async fn end(&self, record: Record, period: BillingPeriod, ending: &Ending<'_>) {
        let (state, message) = match ending {
            Ending::Waiting(message) | Ending::UnderWay(message) => (ImportState::Waiting, message.as_str()),
            Ending::Failed(error) => (ImportState::Failed, error.message()),
        };
        self.tell(period, state, Some(message));
        self.importer.recorder.end(record, ending, self.importer.every()).await;
    }

    fn tell(&self, period: BillingPeriod, state: ImportState, message: Option<&str>) {
        self.tell_files(period, state, (0, 0, 0), message);
    }

    fn tell_files(
        &self,
        period: BillingPeriod,
        state: ImportState,
        (files_read, files, rows): (u64, u64, u64),
        message: Option<&str>,
    ) {
        self.progress.period(&PeriodEvent {
            export: self.export.id.clone(),
            period,
            state,
            files_read,
            files,
            rows,
            message: message.map(str::to_owned),
        });
    }

    pub(super) async fn step(&self, record: &mut Record, period: BillingPeriod, state: ImportState) {
        record.run.state = state;
        self.tell_files(period, state, (0, record.run.files, record.run.rows), None);
        self.importer.recorder.write(record).await;
    }

    /// A delivery that is not imported yet.
    async fn delivery(&self, period: BillingPeriod, delivered: &DeliveredManifest) -> PeriodOutcome {
        let recorder = &self.importer.recorder;
        recorder.close_interrupted(&self.export.id, period).await;
        let mut record = recorder.begin(&self.export.id, Some(period), Some(delivered));
        let prepared = self.prepare(period, delivered, &mut record, Which::Latest).await;
        // From here on nothing is cancelled: two small writes make it visible or leave everything as it was.
        let published = match prepared {
            Ok(prepared) => {
                record.run.set_snapshot(&prepared.snapshot);
                self.step(&mut record, period, ImportState::Publishing).await;
                self.publish(prepared).await.map_err(Stop::Failed)
            }
            Err(stop) => Err(stop),
        };
        match published {
            Ok(Publication::Done(snapshot, version)) => {
                let run = &mut record.run;
                run.snapshot = Some(snapshot.id.clone());
                run.catalog_version = Some(version);
                run.finished_at = Some(self.importer.clock.now());
                run.message = remark(delivered);
                self.step(&mut record, period, ImportState::Published).await;
                PeriodOutcome::Published { snapshot, version }
            }
            Ok(Publication::Overtaken) => {
                recorder.write(&record).await;
                let message = "another server published this delivery or a newer one first";
                recorder.settle(&self.export.id, Some(period), message).await;
                self.tell(period, ImportState::Unchanged, Some(message));
                PeriodOutcome::Unchanged
            }
            Err(Stop::UnderWay(message)) => {
                self.end(record, period, &Ending::UnderWay(message)).await;
                PeriodOutcome::DeliveryUnderWay
            }
            Err(Stop::Failed(error)) => {
                self.end(record, period, &Ending::Failed(&error)).await;
                PeriodOutcome::Failed(error)
            }
        }
    }

    /// The delivery as a snapshot, if the manifest is the same after all reading. Ends when the import is cancelled.
    pub(super) async fn prepare(
        &self,
        period: BillingPeriod,
        delivered: &DeliveredManifest,
        record: &mut Record,
        which: Which,
    ) -> Result<Prepared, Stop> {
        self.step(record, period, ImportState::Fetching).await;
        self.cancel
            .run_until_cancelled(self.prepare_once(period, delivered, record, which))
            .await
            .unwrap_or_else(|| Err(Stop::Failed(cancelled())))
    }

    async fn prepare_once(
        &self,
        period: BillingPeriod,
        delivered: &DeliveredManifest,
        record: &mut Record,
        which: Which,
    ) -> Result<Prepared, Stop> {
        let id = self
            .importer
            .snapshot_ids
            .next(self.importer.clock.now())
            .parse::<SnapshotId>()?;
        let stored = rewrite::folder(&self.export.id, period, &id);
        let prepared = self.prepare_as((period, which), delivered, record, (id, &stored)).await;
        if prepared.is_err()
            && delivered
                .manifest
                .files
                .iter()
                .any(|key| Encoding::of(key) == Encoding::Csv)
        {
            self.importer.remove_stored(&stored).await;
        }
        prepared
    }

    async fn prepare_as(
        &self,
        (period, which): (BillingPeriod, Which),
        delivered: &DeliveredManifest,
        record: &mut Record,
        (id, stored): (SnapshotId, &Path),
    ) -> Result<Prepared, Stop> {
        let contents = self.contents(period, delivered, record, stored).await;
        // A transient failure or a refusal says nothing about the delivery; a broken one may just have been replaced.
        let worth_a_look = match &contents {
            Ok(_) => true,
            Err(Stop::Failed(error)) => error.kind() == ErrorKind::BrokenDelivery,
            Err(Stop::UnderWay(_)) => false,
        };
        if worth_a_look {
            let stays = match which {
                Which::Latest => self
                    .manifest(period, Some(&delivered.e_tag))
                    .await
                    .map(|answer| matches!(answer, ManifestAnswer::Unchanged)),
                Which::Past => self.execution_stays(delivered).await,
            };
            match stays {
                Ok(true) => {}
                Ok(false) => {
                    return Err(Stop::UnderWay(
                        "AWS replaced the manifest while the files were read".to_owned(),
                    ));
                }
                Err(error) if contents.is_ok() => return Err(Stop::Failed(error)),
                Err(_) => {}
            }
        }
        let contents = contents?;
        let about = (&self.export.id, period, &id);
        let services = contents.services.totals(about, &contents.files);
        let snapshot = Snapshot {
            format_version: FORMAT_VERSION,
            id,
            export: self.export.id.clone(),
            period,
            form: contents.form,
            manifest_key: delivered.key.clone(),
            manifest_e_tag: delivered.e_tag.clone(),
            delivered_at: delivered.last_modified,
            execution_id: delivered.manifest.execution_id.clone(),
            columns: contents.columns,
            has_net_costs: contents.has_net_costs,
            listed: delivered.manifest.listed,
            data_through: contents.data_through,
            files: contents.files,
            clustered: None,
        };
        Ok(Prepared { snapshot, services })
    }

    async fn contents(
        &self,
        period: BillingPeriod,
        delivered: &DeliveredManifest,
        record: &mut Record,
        stored: &Path,
    ) -> Result<Contents, Stop> {
        let importer = self.importer;
        let named = named_files(delivered, importer.limits.snapshot_files)?;
        let store = (importer.open_store)(Arc::clone(self.lease), self.export.clone()).await?;
        let files = find_files(&store, delivered, named).await?;
        check_times(&self.export.location.root, delivered, &files, importer.clock.now())?;
        record.run.files = files.len() as u64;
        record.run.bytes = files.iter().map(|file| file.size).sum();
        self.step(record, period, ImportState::Validating).await;
        let count = files.len() as u64;
        let form = form_of(&files)?;
        let named: Arc<[ManifestColumn]> = delivered.manifest.columns.clone().into();
        let mut surveys = stream::iter(files.into_iter().enumerate())
            .map(|(number, file)| {
                let target = (form == Form::Stored).then(|| rewrite::part(stored, number));
                self.survey_in_task(Arc::clone(&store), file, target, Arc::clone(&named))
            })
            .buffered(importer.limits.import_parallelism.max(1));
        let mut contents = Contents::of(delivered, form);
        let mut rows = 0;
        while let Some((file, source, survey)) = surveys.try_next().await? {
            rows += survey.rows;
            contents.add(file, source, survey)?;
            let read = contents.files.len() as u64;
            self.tell_files(period, ImportState::Validating, (read, count, rows), None);
        }
        if contents.columns.is_empty() {
            contents.columns = columns_named(&delivered.manifest.columns, self.export.kind);
        }
        if contents.columns.len() > importer.limits.columns {
            return Err(Stop::Failed(Error::new(
                ErrorKind::Limit,
                format!(
                    "the files of {} have {} columns, and the limit is {}",
                    delivered.key,
                    contents.columns.len(),
                    importer.limits.columns
                ),
            )));
        }
        Ok(contents)
    }

    /// Reads a file in a task of its own: on another core, and with a panic of the decoder kept to this file. With a
    /// `target`, the file is CSV and is made Parquet there first; what comes back then is that file, and what it was made of.
    async fn survey_in_task(
        &self,
        store: Arc<dyn ObjectStore>,
        file: DeliveredFile,
        target: Option<Path>,
        named: Arc<[ManifestColumn]>,
    ) -> Result<Read, Stop> {
        let (slots, column_limit) = (Arc::clone(&self.importer.files), self.importer.limits.columns);
        let (own, scratch) = (Arc::clone(&self.importer.own), self.importer.scratch.clone());
        let (key, assumed) = (file.key.clone(), self.export.kind);
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            // AWS empties files that a refresh no longer needs.
            let Some(target) = target.filter(|_| file.size > 0) else {
                let survey = survey(store, &file, &file.key, assumed, column_limit).await?;
                return Ok((file, None, survey));
            };
            let name = file.key.clone();
            let shape = move |header: &[String]| header::shape(&name, header, &named, assumed);
            let made = rewrite::rewrite(&store, &file, &own, target, &scratch, shape).await?;
            let survey = survey(own, &made, &file.key, assumed, column_limit).await?;
            let source = SourceFile {
                key: file.key,
                size: file.size,
                e_tag: file.e_tag,
            };
            Ok((made, Some(source), survey))
        }));
        task.await.unwrap_or_else(|error| {
            Err(Stop::Failed(if error.is_panic() {
                Error::new(ErrorKind::BrokenDelivery, format!("{key} could not be decoded")).with_hint(
                    "The file is damaged in a way that the Parquet decoder does not expect; report it to Farthing.",
                )
            } else {
                Error::new(ErrorKind::ShuttingDown, "the import was stopped")
            }))
        })
    }

    /// Writes and publishes the snapshot, unless the newest catalog already has this delivery or a newer one.
    async fn publish(&self, prepared: Prepared) -> Result<Publication> {
        let snapshot = &prepared.snapshot;
        let catalog = &self.importer.catalog;
        let _guard = self.importer.publishing.lock().await;
        catalog.refresh().await?;
        let lease = catalog.lease();
        let id = &self.export.id;
        let known = self.check_place(&lease)?;
        let periods = lease.snapshots.get(id);
        let before = self.present(snapshot.period).map(|present| &present.id);
        let now_there = periods.and_then(|periods| periods.get(&snapshot.period));
        if let Some(other) = now_there.filter(|other| Some(&other.id) != before)
            && (other.manifest_e_tag == snapshot.manifest_e_tag || other.delivered_at > snapshot.delivered_at)
        {
            return Ok(Publication::Overtaken);
        }
        let others = periods
            .into_iter()
            .flatten()
            .filter(|(period, _)| **period != snapshot.period);
        for (period, other) in others {
            let (here, there) = (snapshot.period.to_string(), period.to_string());
            check_against(&snapshot.columns, &other.columns, &here, &there)?;
            check_apart(snapshot, other)?;
        }
        let mut changes: Vec<Change> = kind_change(known, periods, snapshot)?.into_iter().collect();
        prepared.write(catalog).await?;
        let snapshot = prepared.snapshot;
        changes.extend(now_there.map(|former| Change::PutPast {
            export: id.clone(),
            period: snapshot.period,
            delivery: PastDelivery::replaced(former, &snapshot),
            limit: self.importer.limits.past_deliveries,
        }));
        changes.push(Change::PutSnapshot {
            export: id.clone(),
            period: snapshot.period,
            snapshot: snapshot.id.clone(),
        });
        let version = catalog.publish(&changes).await?;
        Ok(Publication::Done(Arc::new(snapshot), version))
    }

    /// That the export is still where it was when the import began.
    pub(super) fn check_place<'l>(&self, lease: &'l Lease) -> Result<&'l Export> {
        let id = &self.export.id;
        match lease.document.exports.get(id) {
            // The Region may have been learned meanwhile; it is part of no key.
            Some(export) if export.location.uri() == self.export.location.uri() => Ok(export),
            Some(_) => Err(moved(&format!(
                "the export {id} was moved to another location meanwhile"
            ))),
            None => Err(moved(&format!("the export {id} was removed meanwhile"))),
        }
    }
}

/// An export is of one kind, which its first delivery shows. Error: `BrokenDelivery` where other months are of another.
fn kind_change(
    export: &Export,
    periods: Option<&BTreeMap<BillingPeriod, Arc<Snapshot>>>,
    snapshot: &Snapshot,
) -> Result<Option<Change>> {
    let names = snapshot.columns.iter().map(|column| column.name.as_str());
    let kind = ExportKind::of_columns(names, export.kind);
    if kind == export.kind {
        return Ok(None);
    }
    let mut others = periods.into_iter().flat_map(BTreeMap::keys);
    if let Some(other) = others.find(|period| **period != snapshot.period) {
        return Err(Error::new(
            ErrorKind::BrokenDelivery,
            format!(
                "{} delivers {}, and {other} was imported as {}",
                snapshot.manifest_key,
                kind.format().name,
                export.kind.format().name
            ),
        )
        .with_hint("Connect what lies there now as an export of its own, under another name."));
    }
    Ok(Some(Change::SetKind {
        export: export.id.clone(),
        kind,
        layout: export.location.layout,
    }))
}

/// A file belongs to one period: in two, its rows would count twice.
fn check_apart(snapshot: &Snapshot, other: &Snapshot) -> Result<()> {
    let keys: HashSet<&str> = other.delivered_keys().collect();
    match snapshot.delivered_keys().find(|key| keys.contains(key)) {
        None => Ok(()),
        Some(key) => Err(Error::new(
            ErrorKind::BrokenDelivery,
            format!(
                "{} names the file {key}, which belongs to {} already",
                snapshot.manifest_key, other.period
            ),
        )
        .with_hint("Compare the manifests of both periods; each month has files of its own.")),
    }
}

/// Whether the files are read where they lie or made Parquet first. Error: `BrokenDelivery` for a mixture.
fn form_of(files: &[DeliveredFile]) -> Result<Form> {
    let first = |encoding: Encoding| files.iter().find(|file| Encoding::of(&file.key) == encoding);
    match (first(Encoding::Csv), first(Encoding::Parquet)) {
        (None, _) => Ok(Form::Delivered),
        (Some(_), None) => Ok(Form::Stored),
        (Some(csv), Some(other)) => Err(Error::new(
            ErrorKind::BrokenDelivery,
            format!(
                "the delivery mixes formats: {} is CSV and {} is not",
                csv.key, other.key
            ),
        )
        .with_hint("A delivery has one format. If someone copied files here, remove the ones that do not belong.")),
    }
}

fn moved(message: &str) -> Error {
    Error::new(ErrorKind::Missing, message).with_hint("Run refresh_export again if the export is still connected.")
}

/// What is remarkable about a delivery that was published.
fn remark(delivered: &DeliveredManifest) -> Option<String> {
    let bucket = delivered.manifest.foreign_bucket.as_ref()?;
    Some(format!(
        "the manifest names the bucket \"{bucket}\"; its files were read from the connected one"
    ))
}

impl Contents {
    fn of(delivered: &DeliveredManifest, form: Form) -> Self {
        Self {
            form,
            kind: None,
            columns: Vec::new(),
            files: Vec::with_capacity(delivered.manifest.files.len()),
            has_net_costs: false,
            data_through: None,
            magnitude: 0,
            services: DeliveryServices::default(),
        }
    }

    fn add(&mut self, file: DeliveredFile, source: Option<SourceFile>, survey: Survey) -> Result<()> {
        let before = match self.files.as_slice() {
            [one] => one.key.clone(),
            _ => "the files before it".to_owned(),
        };
        let name = source.as_ref().map_or(file.key.as_str(), |source| source.key.as_str());
        match (self.kind, survey.kind) {
            (Some(one), Some(other)) if one != other => {
                return Err(Error::new(
                    ErrorKind::BrokenDelivery,
                    format!(
                        "the delivery mixes formats: {name} is {}, and {before} is {}",
                        other.format().name,
                        one.format().name
                    ),
                )
                .with_hint("If someone copied files here, remove the ones that do not belong."));
            }
            (known, found) => self.kind = known.or(found),
        }
        unite(&mut self.columns, &survey.columns, name, &before)?;
        self.services.add(survey.services);
        let totals = survey.totals;
        // Later sums over any of the files stay in the range of decimals.
        self.magnitude = self
            .magnitude
            .checked_add(totals.magnitude)
            .filter(|sum| *sum < 10_i128.pow(u32::from(PRECISION)))
            .ok_or_else(|| too_large(name))?;
        self.has_net_costs |= totals.has_net_costs;
        self.data_through = self.data_through.max(totals.data_through);
        self.files.push(PinnedFile {
            key: file.key,
            size: file.size,
            e_tag: file.e_tag,
            last_modified: file.last_modified,
            source,
            rows: survey.rows,
            owners: totals.owners,
        });
        Ok(())
    }
}
