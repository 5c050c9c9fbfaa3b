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
use super::prepared::{Binding, no_values, prepare};
use super::token::FlightSession;

/// The tag of statements that act, and so run once for each ticket.
const CALL: &str = "CALL";

enum Outcome {
    NotRun,
    /// It reads only.
    Repeatable,
    /// It ran, and this is its result.
    Kept {
        batches: Vec<RecordBatch>,
        /// The result's share of the memory for such results.
        _share: OwnedSemaphorePermit,
    },
    /// It ran, and there is no result to show again.
    Spent(ErrorKind, String),
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
    binding: Binding,
    outcome: Mutex<Outcome>,
}

impl Ticket {
    pub(super) fn new(owner: Arc<FlightSession>, prepared: Prepared, binding: Binding) -> Self {
        Self {
            schema: announced_schema(&prepared),
            cancel: owner.cancel.child_token(),
            owner,
            prepared,
            binding,
            outcome: Mutex::new(Outcome::NotRun),
        }
    }
}

/// The schema that FlightInfo, prepared result and stream all carry.
pub(super) fn announced_schema(prepared: &Prepared) -> SchemaRef {
    prepared.schema.clone().unwrap_or_else(|| Arc::new(Schema::empty()))
}

/// Runs statements.
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

    /// The rows of a ticket. Dropping the stream cancels the run.
    pub(super) async fn redeem(&self, ticket: &Ticket) -> Result<Batches> {
        let cancel = ticket.cancel.child_token();
        let guard = cancel.clone().drop_guard();
        let run = Run {
            frontend: self.frontend.clone(),
            session: ticket.owner.session.clone(),
            prepared: ticket.prepared.clone(),
            binding: ticket.binding.clone(),
            cancel,
        };
        let mut outcome = ticket.outcome.lock().await;
        let batches = match &*outcome {
            Outcome::Kept { batches, .. } => return Ok(stored(batches.clone())),
            Outcome::Spent(kind, message) => return Err(spent(*kind, message)),
            Outcome::Repeatable => {
                drop(outcome);
                run.start().await?.1
            }
            Outcome::NotRun => match run.start().await? {
                (false, batches) => {
                    *outcome = Outcome::Repeatable;
                    batches
                }
                (true, batches) => self.run_once(&mut outcome, batches).await?,
            },
        };
        // The guard lives as long as the stream.
        Ok(batches
            .map(move |batch| {
                let _running = &guard;
                batch
            })
            .boxed())
    }

    /// Runs a statement that acts to its end and keeps its result, if that is small enough.
    async fn run_once(&self, outcome: &mut Outcome, mut batches: Batches) -> Result<Batches> {
        // Should this call be dropped on the way, the statement must not run again.
        *outcome = Outcome::Spent(ErrorKind::Cancelled, "was cancelled while it ran".to_owned());
        let mut kept = Vec::new();
        let mut bytes = 0;
        loop {
            match batches.try_next().await {
                Ok(Some(batch)) => {
                    bytes += batch_bytes(&batch);
                    kept.push(batch);
                    if bytes > self.replay_bytes_per_ticket {
                        break;
                    }
                }
                Ok(None) => {
                    let permits = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
                    *outcome = match self.replay.clone().try_acquire_many_owned(permits) {
                        Ok(share) => Outcome::Kept {
                            batches: kept.clone(),
                            _share: share,
                        },
                        Err(_) => not_kept(),
                    };
                    return Ok(stored(kept));
                }
                Err(error) => {
                    *outcome = Outcome::Spent(error.kind(), format!("failed: {}", error.message()));
                    return Err(error);
                }
            }
        }
        *outcome = not_kept();
        Ok(stored(kept).chain(batches).boxed())
    }

    /// Runs a statement for its effect and drops its rows. Gives the number of rows that it changed: none for a
    /// statement without rows, -1 (unknown, in Flight SQL's words) for one with.
    pub(super) async fn run_update(&self, owner: &FlightSession, prepared: Prepared, binding: Binding) -> Result<i64> {
        let cancel = owner.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let changed = if prepared.schema.is_some() { -1 } else { 0 };
        let run = Run {
            frontend: self.frontend.clone(),
            session: owner.session.clone(),
            prepared,
            binding,
            cancel,
        };
        let (_, mut batches) = run.start().await?;
        while batches.try_next().await?.is_some() {}
        Ok(changed)
    }

    /// Runs a short statement of our own in a client's session and collects its rows.
    pub(super) async fn run_text(&self, owner: &FlightSession, sql: &str) -> Result<Vec<RecordBatch>> {
        let cancel = owner.cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let run = Run {
            frontend: self.frontend.clone(),
            session: owner.session.clone(),
            prepared: prepare(&self.frontend, &owner.session, sql).await?,
            binding: no_values(),
            cancel,
        };
        run.start().await?.1.try_collect().await
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
    /// Begins the first run and chains the others behind it; each begins when the one before it has ended. Tells whether
    /// the statement acts.
    async fn start(self) -> Result<(bool, Batches)> {
        if self.binding.is_empty() {
            return Ok((false, stored(Vec::new())));
        }
        let (acts, first) = self.execute(0).await?;
        let others = futures::stream::iter(1..self.binding.len())
            .then(move |row| {
                let run = self.clone();
                async move { run.execute(row).await.map(|(_, batches)| batches) }
            })
            .try_flatten();
        Ok((acts, first.chain(others).boxed()))
    }

    async fn execute(&self, row: usize) -> Result<(bool, Batches)> {
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
            Response::Rows(rows) => (rows.tag == CALL, rows.batches),
            Response::Done { .. } => (true, stored(Vec::new())),
        })
    }
}

fn stored(batches: Vec<RecordBatch>) -> Batches {
    futures::stream::iter(batches.into_iter().map(Ok)).boxed()
}

fn not_kept() -> Outcome {
    Outcome::Spent(
        ErrorKind::Limit,
        "ran, and its result was too large to be kept".to_owned(),
    )
}

fn spent(kind: ErrorKind, what: &str) -> Error {
    Error::new(
        kind,
        format!("the statement of this ticket {what}; it does not run twice"),
    )
    .with_hint("see system.procedure_runs for what it did, or ask for a new ticket to run it again")
}
