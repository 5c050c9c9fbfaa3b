//! Tickets: a statement that DoGet runs, and what became of it.
//!
//! A ticket on the wire is a random handle; the statement and its values stay in the server. A statement that only reads
//! runs anew at every DoGet. CALL and statements without rows run once: clients and proxies repeat DoGet by themselves,
//! and a repetition must not act twice.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::{Control, Frontend, Prepared, Response, Session};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::FlightLimits;
use super::batch::{Batches, batch_bytes};
use super::error::defect;
use super::prepared::{Binding, no_values, prepare};
use super::token::FlightSession;

enum Work {
    /// It reads only, and runs anew each time.
    Reads(Binding),
    /// It acts, and runs once.
    Acts(Mutex<Outcome>),
}

enum Outcome {
    /// With its values, which may hold a secret and are dropped with the run.
    NotRun(Binding),
    /// It ran, and this is its result.
    Kept {
        batches: Vec<RecordBatch>,
        /// The result's share of the memory for such results.
        _share: OwnedSemaphorePermit,
    },
    /// It ran or began to, and this is all that can be said again.
    Failed(Failure),
}

/// An error that can be told more than once.
struct Failure {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
        }
    }

    /// It ran, or began to, and its result is not there.
    fn spent(kind: ErrorKind, what: &str) -> Self {
        Self {
            kind,
            message: format!("the statement of this ticket {what}; the ticket does not run it twice"),
            detail: None,
            hint: Some("see system.procedure_runs for what it did, or call GetFlightInfo to run it again".to_owned()),
        }
    }

    fn error(&self) -> Error {
        let mut error = Error::new(self.kind, self.message.clone());
        if let Some(detail) = &self.detail {
            error = error.with_detail(detail.clone());
        }
        match &self.hint {
            Some(hint) => error.with_hint(hint.clone()),
            None => error,
        }
    }
}

/// A statement that DoGet runs.
pub(super) struct Ticket {
    /// The session that asked for it, and in which it runs.
    pub(super) owner: Arc<FlightSession>,
    /// The announced schema; empty for a statement without rows.
    pub(super) schema: SchemaRef,
    /// Cancels its runs, past and to come.
    pub(super) cancel: CancellationToken,
    prepared: Prepared,
    work: Work,
}

impl Ticket {
    pub(super) fn new(owner: Arc<FlightSession>, prepared: Prepared, binding: Binding) -> Self {
        Self {
            schema: announced_schema(&prepared),
            cancel: cancel_of(&owner, &prepared),
            work: if acts(&prepared) {
                Work::Acts(Mutex::new(Outcome::NotRun(binding)))
            } else {
                Work::Reads(binding)
            },
            owner,
            prepared,
        }
    }
}

/// Whether a statement does more than read: CALL, and what gives no rows.
///
/// The redacted text is the tree printed again, so a CALL always begins with that word, whatever the client wrote.
pub(super) fn acts(prepared: &Prepared) -> bool {
    prepared.schema.is_none() || prepared.statement.redacted().starts_with("CALL ")
}

/// What cancels a statement. One that acts goes on when its client goes away or closes its session, as nothing may stop it
/// between two effects; it stops when it is asked to, and when the server does.
fn cancel_of(owner: &FlightSession, prepared: &Prepared) -> CancellationToken {
    if acts(prepared) {
        owner.stop.child_token()
    } else {
        owner.cancel.child_token()
    }
}

/// The schema that FlightInfo, prepared result and stream all carry.
pub(super) fn announced_schema(prepared: &Prepared) -> SchemaRef {
    prepared.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()))
}

/// Runs statements. Cheap to clone.
#[derive(Clone)]
pub(super) struct Runner {
    frontend: Frontend,
    /// One permit for each KiB of results that tickets may keep.
    replay: Arc<Semaphore>,
    replay_bytes_per_ticket: usize,
}

impl Runner {
    pub(super) fn new(frontend: Frontend, limits: &FlightLimits) -> Self {
        let permits = (limits.replay_bytes / 1024).min(Semaphore::MAX_PERMITS);
        Self {
            frontend,
            replay: Arc::new(Semaphore::new(permits)),
            replay_bytes_per_ticket: limits.replay_bytes_per_ticket,
        }
    }

    fn run(&self, owner: &FlightSession, prepared: &Prepared, binding: &Binding, cancel: CancellationToken) -> Run {
        Run {
            frontend: self.frontend.clone(),
            session: owner.session.clone(),
            prepared: prepared.clone(),
            binding: binding.clone(),
            cancel,
        }
    }

    /// The rows of a ticket. Dropping the stream cancels a statement that reads.
    pub(super) async fn redeem(&self, ticket: &Arc<Ticket>) -> Result<Batches> {
        let Work::Reads(binding) = &ticket.work else {
            let (runner, ticket) = (self.clone(), ticket.clone());
            return finish(async move { runner.act(&ticket).await }).await;
        };
        let cancel = ticket.cancel.child_token();
        let guard = cancel.clone().drop_guard();
        let run = self.run(&ticket.owner, &ticket.prepared, binding, cancel);
        let batches = run.start().await?;
        // The guard lives as long as the stream.
        Ok(batches
            .map(move |batch| {
                let _running = &guard;
                batch
            })
            .boxed())
    }

    /// The rows of a ticket whose statement acts: of its run, or of the run that it had before.
    async fn act(&self, ticket: &Ticket) -> Result<Batches> {
        let Work::Acts(outcome) = &ticket.work else {
            return Err(Error::defect("a statement that reads was to be run once"));
        };
        let mut outcome = outcome.lock().await;
        match &*outcome {
            Outcome::Kept { batches, .. } => Ok(stored(batches.clone())),
            Outcome::Failed(failure) => Err(failure.error()),
            Outcome::NotRun(binding) => {
                let run = self.run(&ticket.owner, &ticket.prepared, binding, ticket.cancel.clone());
                self.run_once(&mut outcome, run).await
            }
        }
    }

    /// Runs a statement that acts to its end and keeps its result, if that is small enough.
    async fn run_once(&self, outcome: &mut Outcome, run: Run) -> Result<Batches> {
        // Should this task end on the way, the statement must not run again.
        *outcome = Outcome::Failed(Failure::spent(ErrorKind::Cancelled, "was cut off while it ran"));
        let mut batches = run
            .start()
            .await
            .inspect_err(|error| *outcome = Outcome::Failed(Failure::of(error)))?;
        let mut kept = Vec::new();
        let mut bytes = 0;
        while bytes <= self.replay_bytes_per_ticket {
            let next = batches.try_next().await;
            let next = next.inspect_err(|error| *outcome = Outcome::Failed(Failure::of(error)))?;
            let Some(batch) = next else {
                let permits = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
                *outcome = match self.replay.clone().try_acquire_many_owned(permits) {
                    Ok(share) => Outcome::Kept {
                        batches: kept.clone(),
                        _share: share,
                    },
                    Err(_) => too_large(),
                };
                return Ok(stored(kept));
            };
            bytes += batch_bytes(&batch);
            kept.push(batch);
        }
        *outcome = too_large();
        Ok(stored(kept).chain(batches).boxed())
    }

    /// Runs a statement for its effect and drops its rows. Gives the number of rows that it changed: none for a
    /// statement without rows, -1 (unknown, in Flight SQL's words) for one with.
    pub(super) async fn run_update(&self, owner: &FlightSession, prepared: &Prepared, binding: Binding) -> Result<i64> {
        let cancel = cancel_of(owner, prepared);
        let run = self.run(owner, prepared, &binding, cancel.clone());
        let work = async move {
            let mut batches = run.start().await?;
            while batches.try_next().await?.is_some() {}
            Ok(())
        };
        if acts(prepared) {
            finish(work).await?;
        } else {
            let _guard = cancel.drop_guard();
            work.await?;
        }
        Ok(if prepared.schema.is_some() { -1 } else { 0 })
    }

    /// Runs a short statement of our own in a client's session and collects its rows.
    pub(super) async fn run_text(&self, owner: &FlightSession, sql: &str) -> Result<Vec<RecordBatch>> {
        let cancel = owner.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let prepared = prepare(&self.frontend, &owner.session, sql).await?;
        let run = self.run(owner, &prepared, &no_values(), cancel);
        run.start().await?.try_collect().await
    }
}

/// The runs of a statement, one for each row of its binding.
#[derive(Clone)]
struct Run {
    frontend: Frontend,
    session: Session,
    prepared: Prepared,
    binding: Binding,
    cancel: CancellationToken,
}

impl Run {
    /// Begins the first run and chains the others behind it; each begins when the one before it has ended.
    async fn start(self) -> Result<Batches> {
        if self.binding.is_empty() {
            return Ok(stored(Vec::new()));
        }
        let first = self.execute(0).await?;
        let others = futures::stream::iter(1..self.binding.len())
            .then(move |row| {
                let run = self.clone();
                async move { run.execute(row).await }
            })
            .try_flatten();
        Ok(first.chain(others).boxed())
    }

    async fn execute(&self, row: usize) -> Result<Batches> {
        let values = self.binding.get(row).cloned().unwrap_or_default();
        let control = Control {
            cancel: self.cancel.clone(),
            notices: None,
        };
        let response = self
            .frontend
            .execute(&self.session, &self.prepared, values, control)
            .await?;
        Ok(match response {
            Response::Rows(rows) => rows.batches,
            Response::Done { .. } => stored(Vec::new()),
        })
    }
}

/// Runs work to its end in a task of its own, also when the caller is dropped.
async fn finish<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let done = tokio::spawn(work).await;
    done.map_err(|error| defect("a statement's task ended early", error))?
}

fn stored(batches: Vec<RecordBatch>) -> Batches {
    futures::stream::iter(batches.into_iter().map(Ok)).boxed()
}

fn too_large() -> Outcome {
    Outcome::Failed(Failure::spent(
        ErrorKind::Limit,
        "ran, and its result was too large to be kept",
    ))
}
