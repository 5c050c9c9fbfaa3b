//! The physical rule that lets a query be stopped wherever it multiplies rows.
//!
//! DataFusion's operators yield to the scheduler when their leaves do, once in 128 batches. A join can make millions of
//! batches of one batch of its leaf, or compare one batch for a minute and give nothing; until it yields neither deadline
//! nor cancellation is noticed, and other statements wait for the thread.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt};

use crate::error::Error;

/// Makes operators that multiply rows yield now and then. Runs after all rules that look for joins.
#[derive(Debug)]
pub(super) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            let multiplies = plan.is::<CrossJoinExec>()
                || plan.is::<HashJoinExec>()
                || plan.is::<NestedLoopJoinExec>()
                || plan.is::<SortMergeJoinExec>()
                || plan.is::<UnnestExec>();
            if !multiplies {
                return Ok(Transformed::no(plan));
            }
            let inputs = plan
                .children()
                .into_iter()
                .map(|input| Yielding::over(Arc::clone(input)))
                .collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let plan = plan.replace_children(inputs, options)?;
            Ok(Transformed::yes(
                Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>
            ))
        })?;
        Ok(wrapped.data)
    }

    fn name(&self) -> &str {
        "yielding_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// How long an operator may work on what it was given before the next part lets others run.
const TURN: Duration = Duration::from_millis(20);

/// Rows of the first part that an operator is given. A nested loop join compares each of them with every row of its other
/// side, of millions perhaps, before it asks for more; what is quick gets whole batches after seven parts.
const FIRST_ROWS: usize = 1;

/// Passes batches on in parts that take the operator above about a [`TURN`], and yields to the scheduler after each turn.
#[derive(Debug)]
struct Yielding {
    input: Arc<dyn ExecutionPlan>,
}

impl Yielding {
    fn over(input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input })
    }
}

impl DisplayAs for Yielding {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("YieldingExec")
    }
}

impl ExecutionPlan for Yielding {
    fn name(&self) -> &'static str {
        "YieldingExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        let [input] = <[_; 1]>::try_from(children).map_err(|_| Error::defect("YieldingExec has one child"))?;
        Ok(Self::over(input))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(YieldingStream {
            input,
            rest: None,
            rows: FIRST_ROWS,
            given: None,
            turn_began: None,
        }))
    }
}

struct YieldingStream {
    input: SendableRecordBatchStream,
    /// What has not been passed on of the input's newest batch.
    rest: Option<RecordBatch>,
    /// Rows of the next part, at the most.
    rows: usize,
    /// When the newest part was passed on.
    given: Option<Instant>,
    /// When the operator above was given its first part after a yield; `None` right after one.
    turn_began: Option<Instant>,
}

impl YieldingStream {
    /// Fits the size of the parts to the time that the last one took. The time may hold waits of the operator above for
    /// others; sizes recover as fast as they shrink.
    fn adapt(&mut self) {
        let Some(took) = self.given.take().map(|given| given.elapsed()) else {
            return;
        };
        if took > TURN {
            self.rows = (self.rows / 4).max(1);
        } else if took < TURN / 4 {
            self.rows = self.rows.saturating_mul(4);
        }
    }

    /// The next part of a batch; keeps the rest.
    fn part_of(&mut self, batch: RecordBatch) -> RecordBatch {
        let now = Instant::now();
        self.given = Some(now);
        self.turn_began.get_or_insert(now);
        if batch.num_rows() <= self.rows {
            return batch;
        }
        self.rest = Some(batch.slice(self.rows, batch.num_rows() - self.rows));
        batch.slice(0, self.rows)
    }
}

impl Stream for YieldingStream {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.adapt();
        if self.turn_began.is_some_and(|began| began.elapsed() > TURN) {
            self.turn_began = None;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(self.part_of(rest))));
        }
        match self.input.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(batch))) => Poll::Ready(Some(Ok(self.part_of(batch)))),
            Poll::Pending => {
                // Whoever waits for input yields by itself.
                self.turn_began = None;
                Poll::Pending
            }
            end => end,
        }
    }
}

impl RecordBatchStream for YieldingStream {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
