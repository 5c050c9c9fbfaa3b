//! The operator on every Parquet leaf: it drops hidden rows, and records the scope so that a check can find it.
//!
//! Nothing sinks below it. Filters, projections, limits, sorts and dynamic filters of the plan above stop here, so no
//! expression of a user is ever evaluated on a hidden row; the leaf below only prunes, by predicates that cannot fail.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, CardinalityEffect, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::{Stream, StreamExt};

use super::AccountScope;
use crate::error::Error;
use crate::format::AccountColumns;

/// What the operator does with the rows of its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// All rows of the leaf's files are visible, by the exact account sets of the snapshot: they pass.
    AllVisible,
    /// The leaf's files hold rows of hidden accounts too: each row is tested. The input carries the account columns where
    /// the output does not.
    Filtered {
        /// Rows that the snapshot counts as visible, for estimates.
        visible: u64,
    },
}

/// The account filter over one leaf.
#[derive(Debug)]
pub struct ScopeExec {
    input: Arc<dyn ExecutionPlan>,
    scope: AccountScope,
    accounts: AccountColumns,
    rows: Rows,
    files: usize,
    output: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScopeExec {
    /// Filters `input` by `scope` over its columns `accounts` and keeps its first `columns` columns. `files` says how many
    /// files lie below.
    pub fn try_new(
        input: Arc<dyn ExecutionPlan>,
        (scope, accounts): (AccountScope, AccountColumns),
        rows: Rows,
        files: usize,
        columns: usize,
    ) -> DataFusionResult<Self> {
        let output: Vec<usize> = (0..columns).collect();
        let schema = Arc::new(input.schema().project(&output)?);
        if matches!(rows, Rows::Filtered { .. }) {
            for name in accounts.names() {
                input.schema().index_of(name)?;
            }
        }
        let properties = PlanProperties::new(
            // No ordering and no constants: those of the leaf may come from pruning predicates.
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            input,
            scope,
            accounts,
            rows,
            files,
            output,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// The scope that the rows are filtered by.
    pub fn scope(&self) -> &AccountScope {
        &self.scope
    }

    /// What it does with the rows.
    pub fn rows(&self) -> Rows {
        self.rows
    }
}

impl DisplayAs for ScopeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "ScopeExec: accounts={}, files_in_scope={}",
            self.scope.accounts().len(),
            self.files
        )?;
        match self.rows {
            Rows::AllVisible => f.write_str(", all rows in scope"),
            Rows::Filtered { .. } => write!(f, ", rows filtered by {}", self.scope.predicate_text(self.accounts)),
        }
    }
}

impl ExecutionPlan for ScopeExec {
    fn name(&self) -> &'static str {
        "ScopeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        // The scan cuts its files into partitions by itself; nothing is to come between the filter and the leaf.
        vec![false]
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
        let [input] = <[_; 1]>::try_from(children).map_err(|_| Error::defect("ScopeExec has one child"))?;
        Ok(Arc::new(Self::try_new(
            input,
            (self.scope.clone(), self.accounts),
            self.rows,
            self.files,
            self.output.len(),
        )?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let filter = match self.rows {
            Rows::AllVisible => None,
            Rows::Filtered { .. } => Some(Filter {
                scope: self.scope.clone(),
                usage: input.schema().index_of(self.accounts.usage)?,
                payer: match self.accounts.payer {
                    Some(payer) => Some(input.schema().index_of(payer)?),
                    None => None,
                },
                coalescer: BatchCoalescer::new(self.schema(), context.session_config().batch_size())
                    .with_biggest_coalesce_batch_size(Some(context.session_config().batch_size() / 2)),
            }),
        };
        Ok(Box::pin(ScopeStream {
            schema: self.schema(),
            input: Some(input),
            output: self.output.clone(),
            filter,
            rows_in: MetricBuilder::new(&self.metrics).counter("input_rows", partition),
            baseline: BaselineMetrics::new(&self.metrics, partition),
        }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        match self.rows {
            Rows::AllVisible => vec![ChildStats::At(partition)],
            Rows::Filtered { .. } => vec![ChildStats::Skip],
        }
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = match (self.rows, inputs.first()) {
            (Rows::AllVisible, Some(input)) => input.num_rows,
            (Rows::Filtered { visible }, _) if args.partition().is_none() => {
                Precision::Inexact(usize::try_from(visible).unwrap_or(usize::MAX))
            }
            _ => Precision::Absent,
        };
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.rows {
            Rows::AllVisible => CardinalityEffect::Equal,
            Rows::Filtered { .. } => CardinalityEffect::LowerEqual,
        }
    }
}

struct Filter {
    scope: AccountScope,
    usage: usize,
    payer: Option<usize>,
    coalescer: BatchCoalescer,
}

struct ScopeStream {
    schema: SchemaRef,
    /// `None` once it has ended.
    input: Option<SendableRecordBatchStream>,
    output: Vec<usize>,
    filter: Option<Filter>,
    rows_in: Count,
    baseline: BaselineMetrics,
}

impl ScopeStream {
    fn poll_visible(&mut self, context: &mut Context<'_>) -> Poll<Option<DataFusionResult<RecordBatch>>> {
        loop {
            if let Some(batch) = self
                .filter
                .as_mut()
                .and_then(|filter| filter.coalescer.next_completed_batch())
            {
                return Poll::Ready(Some(Ok(batch)));
            }
            let Some(input) = self.input.as_mut() else {
                return Poll::Ready(None);
            };
            let next = ready!(input.poll_next_unpin(context));
            match self.take(next) {
                Ok(None) => {}
                Ok(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
                Err(error) => {
                    self.input = None;
                    self.filter = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Takes the next batch of the leaf, or its end. Returns a batch that needs no filter; filtered rows go to the
    /// coalescer.
    fn take(&mut self, next: Option<DataFusionResult<RecordBatch>>) -> DataFusionResult<Option<RecordBatch>> {
        let _timer = self.baseline.elapsed_compute().timer();
        let Some(batch) = next.transpose()? else {
            self.input = None;
            if let Some(filter) = &mut self.filter {
                filter.coalescer.finish_buffered_batch()?;
            }
            return Ok(None);
        };
        self.rows_in.add(batch.num_rows());
        let projected = batch.project(&self.output)?.with_schema(Arc::clone(&self.schema))?;
        let Some(filter) = &mut self.filter else {
            return Ok(Some(projected));
        };
        let usage: &ArrayRef = batch.column(filter.usage);
        let payer = filter.payer.map(|payer| batch.column(payer));
        let mask = filter.scope.mask(usage, payer)?;
        filter.coalescer.push_batch_with_filter(projected, &mask)?;
        Ok(None)
    }
}

impl Stream for ScopeStream {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = self.poll_visible(context);
        self.baseline.record_poll(poll)
    }
}

impl RecordBatchStream for ScopeStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
