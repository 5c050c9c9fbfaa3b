//! The physical plan of a scan: periods and files are pruned, and every leaf goes under the account filter.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringViewArray};
use arrow::compute::and_kleene;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, DFSchema, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::columns::RollupExec;
use super::reader::{self, PastFile, PinnedReaders};
use super::{BILLING_PERIOD, SnapshotTable, prune};
use crate::cache::disk::RangeCache;
use crate::error::Error;
use crate::id::AccountId;
use crate::scope::exec::{Rows, ScopeExec};
use crate::scope::rule::row_predicate;
use crate::snapshot::{Form, PinnedFile, Snapshot};

/// The scheme of leaves. What is registered under it holds nothing: files are read by pinned readers alone.
pub(crate) const EXPORT_SCHEME: &str = "farthing-export";

/// The files of one leaf.
#[derive(Default)]
struct Leaf {
    files: Vec<PartitionedFile>,
    /// The rows of each file.
    rows: Vec<u64>,
    /// Visible rows by the snapshots' exact counts.
    visible_rows: u64,
    /// Visible usage accounts that occur in these files, for pruning.
    accounts: BTreeSet<AccountId>,
}

/// The leaves of one store.
#[derive(Default)]
struct Leaves {
    /// Files whose rows are all visible.
    whole: Leaf,
    /// Files that also hold hidden rows.
    mixed: Leaf,
}

impl Leaves {
    fn is_empty(&self) -> bool {
        self.whole.files.is_empty() && self.mixed.files.is_empty()
    }
}

/// What a statement wants of the table.
struct Wanted<'a> {
    state: &'a dyn Session,
    columns: Vec<usize>,
    /// What to prune by: comparisons that cannot fail.
    pruning: Vec<Expr>,
    limit: Option<usize>,
}

pub(super) async fn plan(
    table: &SnapshotTable,
    state: &dyn Session,
    projection: Option<&Vec<usize>>,
    filters: &[Expr],
    limit: Option<usize>,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let (mut periods, mut pruning) = (Vec::new(), Vec::new());
    for filter in filters {
        match prune::use_of(filter, table) {
            prune::Use::Scope => {}
            prune::Use::Period => periods.push(filter.clone()),
            prune::Use::Statistics(expr) => pruning.push(expr),
            prune::Use::Nothing => {
                return Err(Error::defect(format!("the scan was given a filter that it refused: {filter}")).into());
            }
        }
    }
    let wanted = Wanted {
        state,
        columns: projection
            .cloned()
            .unwrap_or_else(|| (0..table.columns.visible.fields().len()).collect()),
        pruning,
        limit,
    };
    let (mut delivered, mut stored) = (Leaves::default(), Leaves::default());
    for snapshot in snapshots_of(table, state, periods)? {
        if table.lost.contains(&snapshot.period) {
            return Err(PastFile::of(&snapshot).gone().into());
        }
        let leaves = match snapshot.form {
            Form::Delivered => &mut delivered,
            Form::Stored | Form::Clustered => &mut stored,
        };
        for file in &snapshot.files {
            sort_file(table, &snapshot, file, leaves);
        }
    }
    let mut leaves = Vec::with_capacity(4);
    let stores = &table.files.stores;
    if !delivered.is_empty() {
        let store = stores.open(&table.lease, &table.export).await?;
        let ranges = table.files.ranges.clone();
        leaves.extend(leaf_plans(table, &wanted, delivered, (store, ranges))?);
    }
    if !stored.is_empty() {
        leaves.extend(leaf_plans(table, &wanted, stored, (stores.own(), None))?);
    }
    match leaves.len() {
        0 => Ok(Arc::new(EmptyExec::new(Arc::new(
            table.columns.visible.project(&wanted.columns)?,
        )))),
        1 => Ok(leaves.swap_remove(0)),
        _ => UnionExec::try_new(leaves),
    }
}

/// The plans of the leaves that have files.
fn leaf_plans(
    table: &SnapshotTable,
    wanted: &Wanted<'_>,
    leaves: Leaves,
    (store, ranges): (Arc<dyn ObjectStore>, Option<RangeCache>),
) -> DataFusionResult<Vec<Arc<dyn ExecutionPlan>>> {
    let readers = Arc::new(PinnedReaders {
        location: Arc::new(table.export.location.clone()),
        near: reader::is_near(&store),
        store,
        footers: table.files.footers.clone(),
        ranges,
    });
    [(leaves.whole, false), (leaves.mixed, true)]
        .into_iter()
        .filter(|(leaf, _)| !leaf.files.is_empty())
        .map(|(leaf, filtered)| leaf_plan(table, wanted, leaf, filtered, &readers))
        .collect()
}

/// The snapshots of the periods that pass the filters.
fn snapshots_of(
    table: &SnapshotTable,
    state: &dyn Session,
    filters: Vec<Expr>,
) -> DataFusionResult<Vec<Arc<Snapshot>>> {
    let Some(filter) = conjunction(filters) else {
        return Ok(table.snapshots.clone());
    };
    let schema = Arc::new(Schema::new(vec![Field::new(BILLING_PERIOD, DataType::Utf8View, false)]));
    let months: StringViewArray = table
        .snapshots
        .iter()
        .map(|snapshot| Some(snapshot.period.to_string()))
        .collect();
    let rows = months.len();
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(months)])?;
    let unqualified = datafusion::logical_expr::expr_rewriter::unnormalize_col(filter);
    let filter = state.create_physical_expr(unqualified, &DFSchema::try_from(schema)?)?;
    let kept = filter.evaluate(&batch)?.into_array(rows)?;
    let kept: &BooleanArray = kept.as_boolean();
    let kept = and_kleene(kept, kept)?;
    Ok(table
        .snapshots
        .iter()
        .enumerate()
        .filter(|(n, _)| kept.is_valid(*n) && kept.value(*n))
        .map(|(_, snapshot)| Arc::clone(snapshot))
        .collect())
}

/// Puts a file into the leaf that it belongs to, or into none if no row of it is visible.
fn sort_file(table: &SnapshotTable, snapshot: &Snapshot, file: &PinnedFile, leaves: &mut Leaves) {
    let (mut visible, mut counted, mut all) = (0, 0, true);
    let mut accounts = Vec::new();
    for owner in &file.owners {
        counted += owner.rows;
        if table.scope.sees(owner.owner) {
            visible += owner.rows;
            accounts.extend(owner.owner.usage_account);
        } else if owner.rows > 0 {
            all = false;
        }
    }
    if visible == 0 && counted == file.rows {
        return;
    }
    // Owners that do not add up to the file's rows prove nothing: every row is tested, and any account may occur.
    if counted != file.rows {
        accounts.extend(table.scope.accounts());
    }
    let leaf = if all && counted == file.rows {
        &mut leaves.whole
    } else {
        &mut leaves.mixed
    };
    leaf.visible_rows += visible;
    leaf.accounts.extend(accounts);
    leaf.rows.push(file.rows);
    let file = partitioned_file(snapshot, file);
    leaf.files.push(match table.is_current(snapshot) {
        true => file,
        false => file.with_extension(PastFile::of(snapshot)),
    });
}

fn partitioned_file(snapshot: &Snapshot, file: &PinnedFile) -> PartitionedFile {
    let object = ObjectMeta {
        // Keys are kept as they are; what `parse` refuses (empty segments) is left to the store's normal form.
        location: Path::parse(&file.key).unwrap_or_else(|_| Path::from(file.key.as_str())),
        last_modified: file.last_modified,
        size: file.size,
        e_tag: Some(file.e_tag.clone()),
        version: None,
    };
    PartitionedFile::new_from_meta(object).with_partition_values(vec![
        ScalarValue::Utf8View(Some(snapshot.period.to_string())),
        ScalarValue::Boolean(Some(snapshot.has_net_costs)),
    ])
}

fn leaf_plan(
    table: &SnapshotTable,
    wanted: &Wanted<'_>,
    leaf: Leaf,
    filtered: bool,
    readers: &Arc<PinnedReaders>,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let full = table.columns.table.table_schema();
    let mut read = wanted.columns.clone();
    if table.is_rollup() {
        return rollup_plan(table, wanted, leaf, filtered, readers);
    }
    let mut pruning = wanted.pruning.clone();
    let late = prune::few_rows(&pruning);
    if filtered {
        for name in table.accounts().names() {
            let index = full.index_of(name)?;
            if !read.contains(&index) {
                read.push(index);
            }
        }
        pruning.insert(0, scope_pruning(table.accounts().usage, &leaf.accounts));
        if late {
            // Before every other predicate, so that those are evaluated on visible rows alone. The filter above stays.
            pruning.insert(0, row_predicate(&table.scope, table.accounts()));
        }
    }
    let config = wanted.state.config_options();
    let mut options = TableParquetOptions {
        global: config.execution.parquet.clone(),
        ..TableParquetOptions::default()
    };
    // Where few rows are wanted, the other columns are decoded for those alone. Elsewhere that costs more than it saves.
    options.global.pushdown_filters = late;
    options.global.reorder_filters = false;
    options.global.coerce_int96 = Some("ms".to_owned());
    let mut source = ParquetSource::new(table.columns.table.clone())
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::clone(readers) as _);
    let unfiltered = pruning.is_empty();
    if let Some(pruning) = conjunction(pruning) {
        let schema = DFSchema::try_from(Arc::clone(full))?;
        source = source.with_predicate(wanted.state.create_physical_expr(pruning, &schema)?);
    }
    let mut statistics = Statistics::new_unknown(full);
    if !filtered {
        statistics.num_rows = usize::try_from(leaf.visible_rows).map_or(Precision::Absent, Precision::Exact);
    }
    let files = leaf.files.len();
    let partitions = wanted.state.config().target_partitions().max(1);
    let groups = FileGroup::new(leaf.files);
    let url = ObjectStoreUrl::parse(format!("{EXPORT_SCHEME}://pinned"))?;
    let scan = FileScanConfigBuilder::new(url, Arc::new(source))
        .with_projection_indices(Some(read))?
        .with_statistics(statistics)
        // A limit counts rows before the account filter, so only a leaf without hidden rows may stop early.
        .with_limit(wanted.limit.filter(|_| !filtered && unfiltered))
        .with_file_group(groups.clone())
        .build();
    let input: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(scan.clone());
    let input = match input.repartitioned(partitions, config)? {
        Some(cut) => cut,
        None => {
            let groups = groups.split_files(partitions.min(files));
            let scan = FileScanConfigBuilder::from(scan).with_file_groups(groups).build();
            DataSourceExec::from_data_source(scan)
        }
    };
    let rows = if filtered {
        Rows::Filtered {
            visible: leaf.visible_rows,
        }
    } else {
        Rows::AllVisible
    };
    let filter = ScopeExec::try_new(
        input,
        (table.scope.clone(), table.accounts()),
        rows,
        files,
        wanted.columns.len(),
    )?;
    Ok(Arc::new(filter))
}

/// The leaf of a rollup: its columns are kept in memory, and nothing prunes.
fn rollup_plan(
    table: &SnapshotTable,
    wanted: &Wanted<'_>,
    leaf: Leaf,
    filtered: bool,
    readers: &Arc<PinnedReaders>,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let full = table.columns.table.table_schema();
    let mut read = wanted.columns.clone();
    if filtered {
        for name in table.accounts().names() {
            let index = full.index_of(name)?;
            if !read.contains(&index) {
                read.push(index);
            }
        }
    }
    let count = leaf.files.len();
    let files = leaf.files.into_iter().zip(leaf.rows).collect();
    let in_files = table.columns.table.file_schema().fields().len();
    let schema = Arc::new(full.project(&read)?);
    let partitions = wanted.state.config().target_partitions().max(1);
    let input = RollupExec::new(
        files,
        Arc::clone(readers),
        table.files.columns.clone(),
        (&read, in_files),
        (schema, partitions),
    );
    let rows = match filtered {
        true => Rows::Filtered {
            visible: leaf.visible_rows,
        },
        false => Rows::AllVisible,
    };
    let scope = (table.scope.clone(), table.accounts());
    let filter = ScopeExec::try_new(Arc::new(input), scope, rows, count, wanted.columns.len())?;
    Ok(Arc::new(filter))
}

/// What row groups and pages without visible rows fail: a visible account, or something that sorts before every digit
/// (blank text) or is null, which the payer decides.
fn scope_pruning(column: &str, accounts: &BTreeSet<AccountId>) -> Expr {
    // Names of other formats have capitals, which `col` would not keep.
    let usage = Expr::Column(Column::from_name(column));
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let blank = usage.clone().is_null().or(usage.clone().lt(text("0")));
    match (accounts.first(), accounts.last()) {
        (Some(first), Some(last)) => {
            let within = usage
                .clone()
                .gt_eq(text(first.as_str()))
                .and(usage.clone().lt_eq(text(last.as_str())));
            let list = accounts.iter().map(|account| text(account.as_str())).collect();
            within.and(usage.in_list(list, false)).or(blank)
        }
        _ => blank,
    }
}
