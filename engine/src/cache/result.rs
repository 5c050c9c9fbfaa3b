//! Results of statements over billing files, kept whole.
//!
//! The key is the analysed plan after `now()` became a value, compared node by node and not only by its hash; the exports and
//! snapshots that it reads, with the account whose credential opens them; the scope; and the settings that rows depend on.
//! Names of accounts, currencies and which export counts for a month are parts of the plan.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::logical_expr::LogicalPlan;

use super::{Bound, CacheInfo, CountedCache, Counters};
use crate::catalog::{Account, Export};
use crate::id::{BillingPeriod, SnapshotId};
use crate::scope::AccountScope;
use crate::session::Switch;

/// What an entry weighs besides its rows: the plan in its key.
const KEY_BYTES: u64 = 32 << 10;

/// One result takes at most this part of the cache.
const LARGEST_SHARE: u64 = 16;

/// What a plan reads of one export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub export: Export,
    /// Who opens it; a statement fails where that account is not connected any more.
    pub opened_by: Option<Account>,
    pub snapshots: Vec<(BillingPeriod, SnapshotId)>,
    /// Months that are known and cannot be read.
    pub lost: Vec<BillingPeriod>,
}

/// The settings that rows may depend on. Sums of floats depend on how the work is cut, and so may their last digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Meaning {
    pub time_zone: String,
    pub target_partitions: usize,
    /// Rows are the same either way; whoever compares the two ways wants both computed.
    pub rollup: Switch,
}

/// Everything that a result depends on.
pub(crate) struct ResultKey {
    hash: u64,
    plan: LogicalPlan,
    reads: Vec<Read>,
    scope: AccountScope,
    meaning: Meaning,
}

impl ResultKey {
    /// The key of a plan that was analysed and has no function left that gives something else next time. `plan` needs no
    /// sources: what stands behind its scans is `reads`, in the order of the scans.
    pub fn new(plan: LogicalPlan, reads: Vec<Read>, scope: AccountScope, meaning: Meaning) -> Self {
        let mut hasher = DefaultHasher::new();
        plan.hash(&mut hasher);
        scope.hash(&mut hasher);
        meaning.hash(&mut hasher);
        for (period, snapshot) in reads.iter().flat_map(|read| &read.snapshots) {
            (period, snapshot).hash(&mut hasher);
        }
        Self {
            hash: hasher.finish(),
            plan,
            reads,
            scope,
            meaning,
        }
    }
}

impl PartialEq for ResultKey {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.hash == other.hash
                && self.scope == other.scope
                && self.meaning == other.meaning
                && self.reads == other.reads
                && self.plan == other.plan)
    }
}

impl Eq for ResultKey {}

impl Hash for ResultKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultKey").finish_non_exhaustive()
    }
}

/// The batches of a result.
pub(crate) type KeptRows = Arc<[RecordBatch]>;

/// Whole results, by what they depend on. Bounded by bytes.
#[derive(Debug, Clone)]
pub(crate) struct ResultCache {
    results: CountedCache<Arc<ResultKey>, KeptRows>,
    most: u64,
    counters: Arc<Counters>,
}

impl ResultCache {
    /// A cache of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let counters = Arc::<Counters>::default();
        Self {
            results: CountedCache::new(Bound::Bytes(bytes), Arc::clone(&counters)),
            most: bytes,
            counters,
        }
    }

    /// Whether it may hold anything.
    pub fn holds_any(&self) -> bool {
        self.most > 0
    }

    /// What it holds.
    pub fn info(&self) -> CacheInfo {
        CacheInfo {
            name: "results",
            bound: Bound::Bytes(self.most),
            counters: Arc::clone(&self.counters),
        }
    }

    pub fn get(&self, key: &Arc<ResultKey>) -> Option<KeptRows> {
        self.results.get(key)
    }

    /// Takes down the result that is about to be made.
    pub fn record(&self, key: Arc<ResultKey>) -> Recording {
        Recording {
            cache: self.clone(),
            key,
            batches: Vec::new(),
            bytes: KEY_BYTES,
        }
    }
}

/// A result that is under way. It is kept only by [`Recording::keep`]; dropping it keeps nothing.
pub(crate) struct Recording {
    cache: ResultCache,
    key: Arc<ResultKey>,
    batches: Vec<RecordBatch>,
    bytes: u64,
}

impl Recording {
    /// Takes the next batch down; nothing if the result has become too large to be kept.
    pub fn with(mut self, batch: &RecordBatch) -> Option<Self> {
        let batch = compact(batch).ok()?;
        self.bytes += batch.get_array_memory_size() as u64;
        self.batches.push(batch);
        (self.bytes <= self.cache.most / LARGEST_SHARE).then_some(self)
    }

    /// Keeps the result, which is complete.
    pub fn keep(self) {
        self.cache.results.insert(self.key, self.batches.into(), self.bytes);
    }
}

/// The batch in memory of its own, so that a row kept does not keep the file's buffers.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let all = UInt64Array::from_iter_values(0..batch.num_rows() as u64);
    let column = |column: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        let taken = take(column, &all, None)?;
        Ok(match taken.data_type() {
            DataType::Utf8View => Arc::new(taken.as_string_view().gc()),
            DataType::BinaryView => Arc::new(taken.as_binary_view().gc()),
            _ => taken,
        })
    };
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

#[cfg(test)]
mod tests;
