//! Reads of pinned files: every request is conditional on the ETag of the snapshot, and footers are read once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{ParquetFileMetrics, ParquetFileReaderFactory};
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, coalesce_ranges};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::cache::disk::{ObjectRange, RangeCache};
use crate::cache::{Bound, CacheInfo, Counters};
use crate::error::{Error, ErrorKind};
use crate::id::{BillingPeriod, ExportId};
use crate::port::{ExportLocation, LocationRoot};
use crate::snapshot::Snapshot;

/// How much of a file's end the first request reads: the footer of a wide export with a few row groups and its page
/// index mostly fits.
const FOOTER_BYTES: u64 = 256 << 10;

/// The same for a file on this machine, and the least for a small one: one row group has a footer of some 24 KiB.
const SMALL_FOOTER_BYTES: u64 = 64 << 10;

/// The footer of a file is about so small a part of it.
const FOOTER_PART: u64 = 64;

/// Ranges closer than this become one request; an S3 request costs about as much time as a mebibyte.
const COALESCED_BYTES: u64 = 1 << 20;

/// The same for files on this machine, where a read costs as much time as some pages of memory.
const COALESCED_NEAR: u64 = 32 << 10;

/// Whether the objects of a store are files on this machine: a store says what it is, and one of an export where it lies.
pub(super) fn is_near(store: &Arc<dyn ObjectStore>) -> bool {
    let name = store.to_string();
    name.contains("LocalFileSystem") || name.contains("(file:")
}

type FooterKey = (Arc<ExportLocation>, Path, String);

/// Parquet footers with their page indexes, by location, key and ETag. Bounded by bytes.
#[derive(Clone)]
pub struct FooterCache {
    footers: moka::future::Cache<FooterKey, Arc<ParquetMetaData>>,
    most: u64,
    counters: Arc<Counters>,
}

fn weight(footer: &ParquetMetaData) -> u32 {
    u32::try_from(footer.memory_size()).unwrap_or(u32::MAX)
}

impl FooterCache {
    /// A cache of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let counters = Arc::<Counters>::default();
        let gone = Arc::clone(&counters);
        let footers = moka::future::Cache::builder()
            .weigher(|_, footer: &Arc<ParquetMetaData>| weight(footer))
            .eviction_listener(move |_, footer: Arc<ParquetMetaData>, cause| {
                gone.removed(u64::from(weight(&footer)), cause);
            })
            .max_capacity(bytes)
            .build();
        Self {
            footers,
            most: bytes,
            counters,
        }
    }

    /// What it holds.
    pub(crate) fn info(&self) -> CacheInfo {
        CacheInfo {
            name: "footers",
            bound: Bound::Bytes(self.most),
            counters: Arc::clone(&self.counters),
        }
    }
}

impl fmt::Debug for FooterCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FooterCache").finish_non_exhaustive()
    }
}

/// Marks a file of a past delivery: that it is gone is no reason to look for a newer delivery.
#[derive(Debug, Clone)]
pub(super) struct PastFile {
    export: ExportId,
    period: BillingPeriod,
    delivery: String,
}

impl PastFile {
    pub fn of(snapshot: &Snapshot) -> Self {
        let at = snapshot.delivered_at.format("%Y-%m-%d %H:%M:%S");
        Self {
            export: snapshot.export.clone(),
            period: snapshot.period,
            delivery: match &snapshot.execution_id {
                Some(execution) => format!("the delivery of {at} UTC (execution {execution})"),
                None => format!("the delivery of {at} UTC"),
            },
        }
    }

    /// The error for a past delivery that cannot be read any more.
    pub fn gone(&self) -> Error {
        let Self {
            export,
            period,
            delivery,
        } = self;
        Error::new(
            ErrorKind::NotDelivered,
            format!("{delivery} of {period} of the export {export} cannot be read any more"),
        )
        .with_hint(format!(
            "Its files were overwritten or removed. Leave the month out with x_billing_period <> '{period}', or ask for a later \
             instant; system.deliveries lists what can be read, and cost_changes('{period}') compares its totals."
        ))
    }
}

/// Makes the readers of one export's files.
pub(super) struct PinnedReaders {
    pub location: Arc<ExportLocation>,
    pub store: Arc<dyn ObjectStore>,
    /// [`is_near`] of the store.
    pub near: bool,
    pub footers: FooterCache,
    /// Where ranges are kept that come from a bucket.
    pub ranges: Option<RangeCache>,
}

impl fmt::Debug for PinnedReaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedReaders").finish_non_exhaustive()
    }
}

impl ParquetFileReaderFactory for PinnedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        _: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<Box<dyn AsyncFileReader + Send>> {
        Ok(Box::new(self.reader(partition, file, metrics)?))
    }
}

impl PinnedReaders {
    /// The reader of one file.
    pub fn reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metrics: &ExecutionPlanMetricsSet,
    ) -> DataFusionResult<PinnedReader> {
        let past = file.extension::<PastFile>().cloned();
        let object = file.object_meta;
        let e_tag = object
            .e_tag
            .clone()
            .ok_or_else(|| Error::defect(format!("the file {} is not pinned", object.location)))?;
        Ok(PinnedReader {
            key: (Arc::clone(&self.location), object.location.clone(), e_tag),
            metrics: ParquetFileMetrics::new(partition, object.location.as_ref(), metrics),
            object,
            store: Arc::clone(&self.store),
            near: self.near,
            footers: self.footers.clone(),
            // What is said of a past delivery that is gone does not depend on what was read before.
            ranges: self.ranges.clone().filter(|_| past.is_none()),
            past,
        })
    }
}

/// Reads one file.
pub(super) struct PinnedReader {
    key: FooterKey,
    object: ObjectMeta,
    store: Arc<dyn ObjectStore>,
    near: bool,
    footers: FooterCache,
    ranges: Option<RangeCache>,
    metrics: ParquetFileMetrics,
    past: Option<PastFile>,
}

impl PinnedReader {
    async fn read(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        self.metrics
            .bytes_scanned
            .add(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        match (&self.ranges, &self.key.0.root) {
            (Some(ranges), LocationRoot::Bucket { name, .. }) => {
                let wanted = ObjectRange {
                    bucket: name,
                    key: self.object.location.as_ref(),
                    e_tag: &self.key.2,
                    start: range.start,
                    end: range.end,
                };
                ranges.read(wanted, || self.fetch(range.clone())).await
            }
            _ => self.fetch(range).await,
        }
    }

    async fn fetch(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let options = GetOptions {
            if_match: Some(self.key.2.clone()),
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        self.store.get_opts(&self.object.location, options).await?.bytes().await
    }

    fn failed(&self, error: object_store::Error) -> ParquetError {
        use object_store::Error::{NotFound, Precondition};
        match (&self.past, &error) {
            (Some(past), NotFound { .. } | Precondition { .. }) => ParquetError::External(Box::new(past.gone())),
            _ => ParquetError::External(Box::new(error)),
        }
    }
}

impl AsyncFileReader for PinnedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move { self.read(range).await.map_err(|error| self.failed(error)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let reader = &*self;
        async move {
            let apart = if reader.near { COALESCED_NEAR } else { COALESCED_BYTES };
            coalesce_ranges(&ranges, |range| reader.read(range), apart)
                .await
                .map_err(|error| reader.failed(error))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let (footers, key, size) = (self.footers.clone(), self.key.clone(), self.object.size);
            let most = if self.near { SMALL_FOOTER_BYTES } else { FOOTER_BYTES };
            let hint = usize::try_from((size / FOOTER_PART).clamp(SMALL_FOOTER_BYTES, most)).ok();
            let (found, counters) = (AtomicBool::new(true), Arc::clone(&footers.counters));
            let load = async {
                found.store(false, Ordering::Relaxed);
                let footer = ParquetMetaDataReader::new()
                    .with_prefetch_hint(hint)
                    .with_page_index_policy(PageIndexPolicy::Optional)
                    .load_and_finish(&mut *self, size)
                    .await?;
                counters.added(u64::from(weight(&footer)));
                Ok::<_, ParquetError>(Arc::new(footer))
            };
            let footer = footers.footers.try_get_with(key, load).await;
            match found.load(Ordering::Relaxed) {
                true => counters.hit(),
                false => counters.missed(),
            }
            footer.map_err(|shared| ParquetError::External(Box::new(shared)))
        }
        .boxed()
    }
}
