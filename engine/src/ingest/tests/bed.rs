//! An export in memory whose deliveries, clock and faults tests turn by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use parquet::arrow::ArrowWriter;

use super::super::*;
use crate::catalog::{Change, ExportKind};
use crate::port::{
    DeliveredManifest, DeliveryLayout, ExportLocation, ListedManifest, LocationRoot, Manifest, ManifestAnswer,
    ManifestColumn,
};

pub(super) const PAYER: &str = "000000000001";
pub(super) const ONE: &str = "111111111111";
pub(super) const TWO: &str = "222222222222";

pub(super) fn export_id() -> ExportId {
    "costs_export".parse().unwrap()
}

pub(super) fn month(text: &str) -> BillingPeriod {
    text.parse().unwrap()
}

/// A clock that stands until it is turned.
pub(super) struct HandClock(tokio::sync::watch::Sender<DateTime<Utc>>);

impl HandClock {
    pub(super) fn turn(&self, seconds: i64) {
        self.0.send_modify(|now| *now += chrono::TimeDelta::seconds(seconds));
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now() + chrono::TimeDelta::from_std(duration).unwrap();
        self.0.subscribe().wait_for(|now| *now >= until).await.unwrap();
    }
}

/// The present as stores in memory see it, which stamp objects by the machine's clock.
fn store_time() -> DateTime<Utc> {
    let (store, path) = (InMemory::new(), Path::from("now"));
    store.put(&path, PutPayload::new()).now_or_never().unwrap().unwrap();
    store.head(&path).now_or_never().unwrap().unwrap().last_modified
}

type Fault = Box<dyn FnMut(&Path) -> Option<object_store::Error> + Send>;

/// A store that counts what is asked of it, asks a fault before each read, and ends its writes when told to.
#[derive(Default)]
pub(super) struct Meddled {
    pub(super) inner: InMemory,
    /// An export's bucket: reads must be pinned, and listing must decide nothing.
    bucket: bool,
    /// Writes that still succeed.
    pub(super) writes_left: Mutex<Option<usize>>,
    pub(super) reads: Mutex<Vec<String>>,
    pub(super) fault: Mutex<Option<Fault>>,
}

impl fmt::Display for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

#[async_trait]
impl ObjectStore for Meddled {
    async fn put_opts(&self, to: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        if let Some(left) = self.writes_left.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or_else(|| object_store::Error::Generic {
                store: "state",
                source: "the disk is gone".into(),
            })?;
        }
        self.inner.put_opts(to, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let what = if options.head { "HEAD" } else { "GET" };
        let pinned = options.head || options.if_match.is_some();
        assert!(pinned || !self.bucket, "a read of {from} is not pinned");
        self.reads.lock().unwrap().push(format!("{what} {from}"));
        let error = self.fault.lock().unwrap().as_mut().and_then(|fault| fault(from));
        match error {
            Some(error) => Err(error),
            None => self.inner.get_opts(from, options).await,
        }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        assert!(!self.bucket, "listing decides what is data: {prefix:?}");
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        panic!("listing decides what is data: {prefix:?}")
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The export's bucket: files, and manifests apart from them.
pub(super) struct Bucket {
    pub(super) files: Arc<Meddled>,
    pub(super) manifests: Mutex<BTreeMap<BillingPeriod, DeliveredManifest>>,
    pub(super) asked: Mutex<Vec<String>>,
    /// The answer to everything, while set.
    pub(super) down: Mutex<Option<fn() -> Error>>,
    /// Periods whose manifest cannot be read.
    pub(super) unreadable: Mutex<Vec<BillingPeriod>>,
    /// Manifests of single executions by key; `None` for one that cannot be read.
    pub(super) executions: Mutex<BTreeMap<String, Option<DeliveredManifest>>>,
    deliveries: Mutex<u32>,
}

impl Bucket {
    /// Writes files and then their manifest, as AWS does. The files are named by their place.
    pub(super) fn deliver(&self, period: &str, files: &[Vec<u8>]) {
        let keys: Vec<String> = (1..=files.len())
            .map(|n| format!("p/e/data/BILLING_PERIOD={period}/e-{n:05}.snappy.parquet"))
            .collect();
        for (key, bytes) in keys.iter().zip(files) {
            self.write(key, bytes);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.write_manifest(period, &keys);
    }

    pub(super) fn write(&self, key: &str, bytes: &[u8]) {
        let path = Path::parse(key).unwrap();
        let put = self.files.inner.put(&path, bytes.to_vec().into());
        put.now_or_never().unwrap().unwrap();
    }

    pub(super) fn write_manifest(&self, period: &str, keys: &[&str]) {
        let mut count = self.deliveries.lock().unwrap();
        *count += 1;
        let delivered = DeliveredManifest {
            kms_key: None,
            manifest: Manifest {
                execution_id: Some(format!("run-{count}")),
                files: keys.iter().map(|key| (*key).to_owned()).collect(),
                foreign_bucket: None,
                columns: vec![ManifestColumn {
                    name: "line_item_unblended_cost".to_owned(),
                    r#type: "double".to_owned(),
                }],
                listed: false,
            },
            key: format!("p/e/metadata/BILLING_PERIOD={period}/e-Manifest.json"),
            e_tag: format!("\"manifest-{count}\""),
            last_modified: store_time(),
        };
        self.manifests.lock().unwrap().insert(month(period), delivered);
    }

    /// Writes files into a folder of their own, with a manifest of their own and as the latest one, so many seconds from now.
    pub(super) fn deliver_in_folder(&self, period: &str, files: &[Vec<u8>], seconds: i64) {
        let number = *self.deliveries.lock().unwrap() + 1;
        let folder = format!("2026-07-{number:02}T05:00:09.000Z-run-{number}");
        let keys: Vec<String> = (1..=files.len())
            .map(|n| format!("p/e/data/BILLING_PERIOD={period}/{folder}/e-{n:05}.snappy.parquet"))
            .collect();
        for (key, bytes) in keys.iter().zip(files) {
            self.write(key, bytes);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.write_manifest(period, &keys);
        self.change_manifest(period, |manifest| {
            manifest.last_modified += chrono::TimeDelta::seconds(seconds);
        });
        let key = format!("p/e/metadata/BILLING_PERIOD={period}/{folder}/e-Manifest.json");
        let mut manifest = self.manifests.lock().unwrap()[&month(period)].clone();
        manifest.key.clone_from(&key);
        self.executions.lock().unwrap().insert(key, Some(manifest));
    }

    pub(super) fn change_manifest(&self, period: &str, change: impl FnOnce(&mut DeliveredManifest)) {
        change(self.manifests.lock().unwrap().get_mut(&month(period)).unwrap());
    }

    fn answer(&self, what: String) -> Result<()> {
        self.asked.lock().unwrap().push(what);
        self.down.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }

    /// What was asked since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        let mut requests: Vec<String> = self.asked.lock().unwrap().drain(..).collect();
        requests.extend(self.files.reads.lock().unwrap().drain(..));
        requests
    }

    pub(super) fn set_fault(&self, fault: impl FnMut(&Path) -> Option<object_store::Error> + Send + 'static) {
        *self.files.fault.lock().unwrap() = Some(Box::new(fault));
    }
}

#[async_trait]
impl ExportSource for Bucket {
    async fn list_manifests(
        &self,
        _: &ExportLocation,
        _: &Credential,
        _: usize,
    ) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>> {
        Ok(None)
    }

    async fn probe(&self, _: &ExportLocation, _: &Credential) -> Result<LocationReport> {
        self.answer("probe".to_owned())?;
        Ok(LocationReport {
            region: None,
            layout: DeliveryLayout::default(),
            periods: self.manifests.lock().unwrap().keys().copied().collect(),
            folders_nearby: vec!["p/elsewhere".to_owned()],
        })
    }

    async fn fetch_manifest(
        &self,
        _: &ExportLocation,
        _: &Credential,
        period: BillingPeriod,
        known_e_tag: Option<&str>,
    ) -> Result<ManifestAnswer> {
        self.answer(format!("manifest {period}"))?;
        if self.unreadable.lock().unwrap().contains(&period) {
            return Err(Error::new(ErrorKind::BrokenDelivery, "the manifest is not JSON"));
        }
        Ok(match self.manifests.lock().unwrap().get(&period) {
            None => ManifestAnswer::Absent,
            Some(found) if Some(found.e_tag.as_str()) == known_e_tag => ManifestAnswer::Unchanged,
            Some(found) => ManifestAnswer::Found(Box::new(found.clone())),
        })
    }

    async fn list_executions(&self, _: &ExportLocation, _: &Credential, period: BillingPeriod) -> Result<Vec<String>> {
        self.answer(format!("executions {period}"))?;
        let of_period = format!("BILLING_PERIOD={period}/");
        let executions = self.executions.lock().unwrap();
        let keys = executions.keys().rev().filter(|key| key.contains(&of_period));
        Ok(keys.cloned().collect())
    }

    async fn fetch_execution(
        &self,
        _: &ExportLocation,
        _: &Credential,
        key: &str,
    ) -> Result<Option<Box<DeliveredManifest>>> {
        self.answer(format!("execution {key}"))?;
        match self.executions.lock().unwrap().get(key) {
            None => Ok(None),
            Some(None) => Err(Error::new(ErrorKind::BrokenDelivery, "the manifest is not JSON")),
            Some(Some(found)) => Ok(Some(Box::new(found.clone()))),
        }
    }

    async fn open(&self, _: &ExportLocation, _: &Credential) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::<Meddled>::clone(&self.files))
    }
}

/// Everything around one importer.
pub(super) struct Bed {
    pub(super) state: Arc<Meddled>,
    pub(super) bucket: Arc<Bucket>,
    pub(super) clock: Arc<HandClock>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) runs: Arc<History<ImportRun>>,
    pub(super) importer: Arc<Importer>,
}

pub(super) fn export(root: LocationRoot) -> Export {
    Export {
        id: export_id(),
        account: PAYER.parse().unwrap(),
        kind: ExportKind::Cur2,
        location: ExportLocation {
            root,
            prefix: "p".to_owned(),
            export_name: "e".to_owned(),
            layout: DeliveryLayout::default(),
        },
        connected_at: DateTime::from_timestamp(1_780_000_000, 0).unwrap(),
    }
}

pub(super) fn in_bucket() -> LocationRoot {
    LocationRoot::Bucket {
        name: "example-bucket".to_owned(),
        region: None,
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::with(Limits::for_machine(2, 1 << 30)).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        let files = Meddled {
            bucket: true,
            ..Meddled::default()
        };
        let bucket = Arc::new(Bucket {
            files: Arc::new(files),
            manifests: Mutex::default(),
            asked: Mutex::default(),
            down: Mutex::default(),
            unreadable: Mutex::default(),
            executions: Mutex::default(),
            deliveries: Mutex::default(),
        });
        let clock = Arc::new(HandClock(tokio::sync::watch::Sender::new(store_time())));
        let bed = Self::over(Arc::default(), bucket, clock, limits).await;
        let change = Change::PutExport(export(in_bucket()));
        bed.catalog.publish(&[change]).await.unwrap();
        bed
    }

    async fn over(state: Arc<Meddled>, bucket: Arc<Bucket>, clock: Arc<HandClock>, limits: Limits) -> Self {
        let hands: Arc<dyn Clock> = Arc::<HandClock>::clone(&clock);
        let source: Arc<dyn ExportSource> = Arc::<Bucket>::clone(&bucket);
        let store: Arc<dyn ObjectStore> = Arc::<Meddled>::clone(&state);
        let catalog = Catalog::open(Arc::clone(&store), Arc::clone(&hands)).await.unwrap();
        let catalog = Arc::new(catalog);
        let runs = History::open(store, "runs/imports", 100).await.unwrap();
        let runs = Arc::new(runs);
        let importer = Importer::new(
            Arc::clone(&catalog),
            Arc::clone(&source),
            stores_of(source),
            Scratch::new(std::env::temp_dir()),
            hands,
            limits,
            Arc::clone(&runs),
        );
        Self {
            state,
            bucket,
            clock,
            catalog,
            runs,
            importer: Arc::new(importer),
        }
    }

    /// Another server on the same state, or this one after a restart.
    pub(super) async fn again(&self) -> Self {
        let limits = Limits::for_machine(2, 1 << 30);
        Self::over(
            Arc::clone(&self.state),
            Arc::clone(&self.bucket),
            Arc::clone(&self.clock),
            limits,
        )
        .await
    }

    pub(super) async fn import(&self) -> Vec<(BillingPeriod, PeriodOutcome)> {
        let never = CancellationToken::new();
        let summary = self.importer.import_export(&export_id(), &NoProgress, &never).await;
        summary.unwrap().periods
    }

    /// Imports and shows each outcome in a word: `published`, `unchanged`, `waiting`, `under way` or the error's message.
    pub(super) async fn outcomes(&self) -> BTreeMap<String, String> {
        let outcomes = self.import().await;
        outcomes
            .into_iter()
            .map(|(period, outcome)| {
                let shown = match outcome {
                    PeriodOutcome::Unchanged => "unchanged".to_owned(),
                    PeriodOutcome::Published { .. } => "published".to_owned(),
                    PeriodOutcome::Waiting => "waiting".to_owned(),
                    PeriodOutcome::DeliveryUnderWay => "under way".to_owned(),
                    PeriodOutcome::Failed(error) => format!("{:?}: {error}", error.kind()),
                };
                (period.to_string(), shown)
            })
            .collect()
    }

    /// The outcome of the only period.
    pub(super) async fn outcome(&self) -> String {
        let outcomes = self.outcomes().await;
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.into_values().next().unwrap()
    }

    pub(super) fn snapshot(&self, period: &str) -> Option<Arc<Snapshot>> {
        self.catalog
            .lease()
            .snapshots
            .get(&export_id())?
            .get(&month(period))
            .cloned()
    }

    /// The newest record of a period.
    pub(super) fn run(&self, period: Option<&str>) -> Option<ImportRun> {
        let period = period.map(month);
        let found = self.runs.newest(|run| run.period == period);
        found.map(|(_, run)| ImportRun::clone(&run))
    }
}

/// Rows in the form usage account, payer, currency, cost.
pub(super) type Rows<'a> = &'a [(Option<&'a str>, Option<&'a str>, &'a str, Option<f64>)];

/// Instant of the rows' usage end, milliseconds.
pub(super) const USAGE_END: i64 = 1_782_000_000_000;

/// The columns of a small file with all that is required and some more.
pub(super) fn columns(rows: Rows<'_>) -> Vec<(&'static str, ArrayRef)> {
    let text = |values: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let instants = |at: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![at; rows.len()])) };
    let names = rows.iter().map(|row| match row.0 {
        Some(ONE) => Some("one"),
        Some(TWO) => Some("two"),
        _ => None,
    });
    let costs: Vec<Option<f64>> = rows.iter().map(|row| row.3).collect();
    vec![
        ("bill_payer_account_id", text(rows.iter().map(|row| row.1).collect())),
        (
            "bill_payer_account_name",
            text(rows.iter().map(|_| Some("payer")).collect()),
        ),
        (
            "line_item_usage_account_id",
            text(rows.iter().map(|row| row.0).collect()),
        ),
        ("line_item_usage_account_name", text(names.collect())),
        (
            "line_item_line_item_type",
            text(rows.iter().map(|_| Some("Usage")).collect()),
        ),
        ("line_item_usage_start_date", instants(USAGE_END - 3_600_000)),
        ("line_item_usage_end_date", instants(USAGE_END)),
        ("line_item_unblended_cost", Arc::new(Float64Array::from(costs))),
        (
            "line_item_currency_code",
            text(rows.iter().map(|row| Some(row.2)).collect()),
        ),
    ]
}

/// The file of these columns, in row groups of two rows.
pub(super) fn parquet(columns: Vec<(&'static str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub(super) fn file(rows: Rows<'_>) -> Vec<u8> {
    parquet(columns(rows))
}

/// A file of one row.
pub(super) fn one_row(cost: f64) -> Vec<u8> {
    file(&[(Some(ONE), Some(PAYER), "USD", Some(cost))])
}
