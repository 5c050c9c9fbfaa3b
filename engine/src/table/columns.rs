//! The leaf that reads rollups: their columns are decoded once and kept in memory, since every dashboard asks for the same few.
//!
//! It lies under a [`crate::scope::exec::ScopeExec`] as every other leaf does, and what it keeps is the same for everybody.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};

use super::reader::PinnedReaders;
use crate::cache::{Bound, CacheInfo, CountedCache, Counters};
use crate::error::Error;

/// Rows of a kept piece of a column. All columns of a file are cut at the same rows.
const PIECE_ROWS: usize = 32 << 10;
/// A partition with fewer rows than this is not worth a task of its own.
const PARTITION_ROWS: u64 = 64 << 10;

/// A column of a file: where it lies, its ETag, its name.
type ColumnKey = (Path, String, String);

/// Columns of rollups in memory, by file. Bounded by bytes.
#[derive(Debug, Clone)]
pub struct ColumnCache {
    columns: CountedCache<ColumnKey, Arc<Vec<ArrayRef>>>,
    info: CacheInfo,
}

impl ColumnCache {
    /// A cache of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let info = CacheInfo {
            name: "rollups",
            bound: Bound::Bytes(bytes),
            counters: Arc::<Counters>::default(),
        };
        Self {
            columns: CountedCache::new(info.bound, Arc::clone(&info.counters)),
            info,
        }
    }

    /// What it holds.
    pub(crate) fn info(&self) -> CacheInfo {
        self.info.clone()
    }
}

/// Reads files of rollups through the cache.
pub(crate) struct RollupExec {
    /// The files of each partition, with the rows of each.
    files: Vec<Vec<(PartitionedFile, u64)>>,
    readers: Arc<PinnedReaders>,
    cache: ColumnCache,
    /// What is read: a column of the files, or the value of the file in this place.
    columns: Arc<[Source]>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Where a column comes from.
#[derive(Debug, Clone)]
enum Source {
    File,
    Value(usize),
}

impl RollupExec {
    /// Reads the columns of `schema`: those after the first `in_files` of the table's are values of the files. `read` says
    /// which columns of the table they are.
    pub(super) fn new(
        files: Vec<(PartitionedFile, u64)>,
        readers: Arc<PinnedReaders>,
        cache: ColumnCache,
        (read, in_files): (&[usize], usize),
        (schema, partitions): (SchemaRef, usize),
    ) -> Self {
        let rows: u64 = files.iter().map(|(_, rows)| rows).sum();
        let worthwhile = usize::try_from(rows / PARTITION_ROWS).unwrap_or(usize::MAX);
        let partitions = partitions.min(worthwhile).min(files.len()).max(1);
        // The next file to the partition with fewest rows so far.
        let mut groups: Vec<(u64, Vec<(PartitionedFile, u64)>)> = vec![(0, Vec::new()); partitions];
        for file in files {
            if let Some(least) = groups.iter_mut().min_by_key(|(rows, _)| *rows) {
                least.0 += file.1;
                least.1.push(file);
            }
        }
        let columns = read.iter().map(|index| match index.checked_sub(in_files) {
            None => Source::File,
            Some(value) => Source::Value(value),
        });
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            files: groups.into_iter().map(|(_, files)| files).collect(),
            readers,
            cache,
            columns: columns.collect(),
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl fmt::Debug for RollupExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollupExec").finish_non_exhaustive()
    }
}

impl DisplayAs for RollupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let files = self.files.iter().map(Vec::len).sum::<usize>();
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "RollupExec: files={files}, columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for RollupExec {
    fn name(&self) -> &'static str {
        "RollupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(Error::defect("RollupExec has no child").into()),
        }
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let reading = Reading {
            readers: Arc::clone(&self.readers),
            cache: self.cache.clone(),
            columns: Arc::clone(&self.columns),
            schema: Arc::clone(&self.schema),
            metrics: self.metrics.clone(),
            partition,
        };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let files = self.files.get(partition).cloned().unwrap_or_default();
        let batches = stream::iter(files)
            .then(move |(file, rows)| {
                let reading = reading.clone();
                async move { reading.batches(file, rows).await }
            })
            .map_ok(|batches| stream::iter(batches).map(Ok))
            .try_flatten()
            .inspect_ok(move |batch: &RecordBatch| baseline.record_output(batch.num_rows()));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

#[derive(Clone)]
struct Reading {
    readers: Arc<PinnedReaders>,
    cache: ColumnCache,
    columns: Arc<[Source]>,
    schema: SchemaRef,
    metrics: ExecutionPlanMetricsSet,
    partition: usize,
}

impl Reading {
    /// The rows of one file.
    async fn batches(&self, file: PartitionedFile, rows: u64) -> DataFusionResult<Vec<RecordBatch>> {
        let object = &file.object_meta;
        let e_tag = object.e_tag.clone().unwrap_or_default();
        let key = |name: &str| (object.location.clone(), e_tag.clone(), name.to_owned());
        let mut found: Vec<Option<Arc<Vec<ArrayRef>>>> = Vec::with_capacity(self.columns.len());
        let mut absent: Vec<usize> = Vec::new();
        for (at, source) in self.columns.iter().enumerate() {
            let kept = match source {
                Source::Value(_) => None,
                Source::File => self.cache.columns.get(&key(self.schema.field(at).name())),
            };
            if kept.is_none() && matches!(source, Source::File) {
                absent.push(at);
            }
            found.push(kept);
        }
        if !absent.is_empty() {
            let read = self.read(file.clone(), rows, &absent).await?;
            for (at, pieces) in absent.into_iter().zip(read) {
                let bytes: usize = pieces.iter().map(|piece| piece.get_array_memory_size()).sum();
                let pieces = Arc::new(pieces);
                let key = key(self.schema.field(at).name());
                self.cache.columns.insert(key, Arc::clone(&pieces), bytes as u64);
                found[at] = Some(pieces);
            }
        }
        let rows = usize::try_from(rows).map_err(|_| Error::defect("a rollup has too many rows"))?;
        let mut batches = Vec::with_capacity(rows.div_ceil(PIECE_ROWS));
        for piece in 0..rows.div_ceil(PIECE_ROWS) {
            let count = PIECE_ROWS.min(rows - piece * PIECE_ROWS);
            let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
            for (source, column) in self.columns.iter().zip(&found) {
                arrays.push(match (source, column) {
                    (Source::Value(at), _) => {
                        let value = file.partition_values.get(*at);
                        let value = value.ok_or_else(|| Error::defect("a file lacks a value"))?;
                        value.to_array_of_size(count)?
                    }
                    (Source::File, Some(pieces)) => {
                        let piece = pieces.get(piece).filter(|piece| piece.len() == count);
                        Arc::clone(
                            piece.ok_or_else(|| Error::defect("a rollup has other rows than its document says"))?,
                        )
                    }
                    (Source::File, None) => return Err(Error::defect("a column of a rollup was not read").into()),
                });
            }
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            batches.push(RecordBatch::try_new_with_options(
                Arc::clone(&self.schema),
                arrays,
                &options,
            )?);
        }
        Ok(batches)
    }

    /// Decodes some columns of a file, in the types of the table.
    async fn read(&self, file: PartitionedFile, rows: u64, columns: &[usize]) -> DataFusionResult<Vec<Vec<ArrayRef>>> {
        let reader = self.readers.reader(self.partition, file, &self.metrics)?;
        let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
        let names: Vec<&str> = columns
            .iter()
            .map(|at| self.schema.field(*at).name().as_str())
            .collect();
        let known: Vec<Option<usize>> = names.iter().map(|name| builder.schema().index_of(name).ok()).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), known.iter().flatten().copied());
        let batches = builder.with_projection(mask).with_batch_size(PIECE_ROWS).build()?;
        let batches: Vec<RecordBatch> = batches.try_collect().await?;
        let counted: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if known.iter().any(Option::is_some) && counted as u64 != rows {
            return Err(Error::defect("a rollup has other rows than its document says").into());
        }
        let mut read = Vec::with_capacity(columns.len());
        for ((at, name), known) in columns.iter().zip(&names).zip(&known) {
            let r#type = self.schema.field(*at).data_type();
            let mut pieces = Vec::new();
            if known.is_some() {
                for batch in &batches {
                    let column = batch
                        .column_by_name(name)
                        .ok_or_else(|| Error::defect("a column was not read"))?;
                    pieces.push(cast(column, r#type)?);
                }
            } else {
                let rows = usize::try_from(rows).map_err(|_| Error::defect("a rollup has too many rows"))?;
                let counts = (0..rows.div_ceil(PIECE_ROWS)).map(|piece| PIECE_ROWS.min(rows - piece * PIECE_ROWS));
                pieces.extend(counts.map(|count| new_null_array(r#type, count)));
            }
            read.push(pieces);
        }
        Ok(read)
    }
}
