//! Runs bound queries: a slot, a deadline and a way to stop it, until the last row has left.
//!
//! A query runs as one task of the query runtime. Batches cross to the caller through a channel of two, so a slow client
//! holds two batches and not a result. Dropping the stream ends the task, which frees its memory and its slot.

mod failure;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::Result as DataFusionResult;
use datafusion::physical_plan::execute_stream;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cache::result::Recording;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limits;
use crate::port::Clock;
use crate::session::BoundQuery;
pub use failure::datafusion_error;

/// Batches of a result, ended by the first error.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// Batches that wait for the client.
const WAITING_BATCHES: usize = 2;

/// Runs queries in this process.
pub struct LocalExecutor {
    slots: Arc<Semaphore>,
    admission_wait: Duration,
    runtime: Handle,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalExecutor").finish_non_exhaustive()
    }
}

impl LocalExecutor {
    /// An executor with the slots of `limits` whose queries run on `runtime`.
    pub fn new(limits: &Limits, runtime: Handle, clock: Arc<dyn Clock>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(limits.query_slots.max(1))),
            admission_wait: limits.admission_wait,
            runtime,
            clock,
        }
    }

    /// Gives the rows of the same query again if they are kept; else admits the query and starts it. `timeout` counts from this
    /// call to the last row. Errors here: `Admission` if no slot became free in time, `Deadline`, `Cancelled`. All others come through the stream, planning included; a file that
    /// AWS replaced is `SnapshotReplaced`, and if that is the first item the query can be planned anew.
    pub async fn execute(&self, query: BoundQuery, cancel: CancellationToken, timeout: Duration) -> Result<RowStream> {
        let query = query.settled()?;
        let (former, recording) = query.former_rows();
        if let Some(rows) = former {
            // Nothing else here waits, and whoever asks in a loop must let others run.
            tokio::task::coop::consume_budget().await;
            let rows = rows.to_vec();
            return match cancel.is_cancelled() {
                true => Err(cancelled()),
                false => Ok(stream::iter(rows.into_iter().map(Ok)).boxed()),
            };
        }
        let clock = Arc::clone(&self.clock);
        let mut deadline = Box::pin(async move { clock.sleep(timeout).await });
        let slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            slot = Arc::clone(&self.slots).acquire_owned() => slot.map_err(|_| shutting_down())?,
            () = &mut deadline => return Err(past_deadline(timeout)),
            () = self.clock.sleep(self.admission_wait) => return Err(not_admitted(self.admission_wait)),
        };
        let (batches, received) = mpsc::channel(WAITING_BATCHES);
        let mut slot = Slot {
            slots: Arc::clone(&self.slots),
            held: Some(slot),
        };
        let task = self.runtime.spawn(async move {
            let stopped = {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Some(cancelled()),
                    () = &mut deadline => Some(past_deadline(timeout)),
                    ended = run(query, &batches, &mut slot) => ended.err().map(datafusion_error),
                }
            };
            drop(slot);
            // Slot and memory are free again, even if nobody takes this.
            if let Some(error) = stopped {
                let _ = batches.send(Err(error)).await;
            }
        });
        Ok(rows(received, AbortOnDropHandle::new(task), recording))
    }
}

/// A query's hold on a slot. It is given back while the query waits for its client: a cursor that is read slowly, or not
/// at all, must not keep others from running.
struct Slot {
    slots: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Slot {
    fn give_back(&mut self) {
        self.held = None;
    }

    /// Waits without a limit of its own: the deadline of the query bounds it.
    async fn take_again(&mut self) -> DataFusionResult<()> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        self.held = Some(slot.map_err(|_| shutting_down())?);
        Ok(())
    }
}

async fn run(query: BoundQuery, batches: &mpsc::Sender<Result<RecordBatch>>, slot: &mut Slot) -> DataFusionResult<()> {
    let plan = query.physical_plan().await?;
    let mut stream = execute_stream(plan, query.task_context())?;
    while let Some(batch) = stream.next().await.transpose()? {
        if batch.num_rows() == 0 {
            continue;
        }
        let place = match batches.try_reserve() {
            Ok(place) => place,
            Err(TrySendError::Closed(())) => break,
            Err(TrySendError::Full(())) => {
                slot.give_back();
                let Ok(place) = batches.reserve().await else { break };
                slot.take_again().await?;
                place
            }
        };
        place.send(Ok(batch));
    }
    Ok(())
}

/// The rows as they come. They are kept once the last one was taken and the query ended well, and in no other case.
fn rows(
    received: mpsc::Receiver<Result<RecordBatch>>,
    task: AbortOnDropHandle<()>,
    recording: Option<Recording>,
) -> RowStream {
    let start = (received, Some(task), recording);
    stream::unfold(start, |(mut received, mut task, recording)| async move {
        if let Some(item) = received.recv().await {
            let recording = match &item {
                Ok(batch) => recording.and_then(|recording| recording.with(batch)),
                Err(_) => None,
            };
            if item.is_err() {
                received.close();
            }
            return Some((item, (received, task, recording)));
        }
        // The channel ends with the task; a task that panicked must not look like the end of the rows.
        match task.take()?.await {
            Ok(()) => {
                if let Some(recording) = recording {
                    recording.keep();
                }
                None
            }
            Err(error) if error.is_cancelled() => Some((Err(shutting_down()), (received, None, None))),
            Err(_) => Some((
                Err(Error::defect("the query failed unexpectedly")),
                (received, None, None),
            )),
        }
    })
    .boxed()
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the statement was cancelled")
}

fn past_deadline(timeout: Duration) -> Error {
    Error::new(
        ErrorKind::Deadline,
        format!("the statement ran longer than {} ms", timeout.as_millis()),
    )
    .with_hint("Narrow it by x_billing_period, or raise statement_timeout.")
}

fn not_admitted(waited: Duration) -> Error {
    Error::new(
        ErrorKind::Admission,
        format!("no query slot became free within {} ms", waited.as_millis()),
    )
    .with_hint("Try again, or raise query_slots.")
}

fn shutting_down() -> Error {
    Error::new(ErrorKind::ShuttingDown, "the server is stopping")
}

#[cfg(test)]
mod tests;
