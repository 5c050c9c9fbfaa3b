//! A run of a procedure: its steps, recorded before and after.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Caller;
use crate::error::Error;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Looks.
    Check,
    /// Makes something that was not there.
    Create,
    /// Changes something.
    Update,
    /// Finds that it is there already.
    Reuse,
    /// Removes something.
    Delete,
    /// Leaves something out.
    Skip,
}

impl Action {
    /// The word in the result.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Check => "check",
            Action::Create => "create",
            Action::Update => "update",
            Action::Reuse => "reuse",
            Action::Delete => "delete",
            Action::Skip => "skip",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A dry run would do it.
    Planned,
    /// Done.
    Ok,
    /// Done, with something to look at.
    Warning,
    /// Not done.
    Failed,
    /// Waits for something outside.
    Pending,
}

impl Status {
    /// The word in the result.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Planned => "planned",
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
            Status::Pending => "pending",
        }
    }
}

/// One row of a procedure's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// To which ARN, URI or name.
    pub object: String,
    /// How it ended.
    pub status: Status,
    /// A sentence for a person.
    pub detail: String,
    /// The same for a machine.
    pub evidence: serde_json::Value,
    /// The statement to run next.
    pub next_sql: Option<String>,
}

impl Step {
    /// A step without a sentence yet.
    pub fn new(action: Action, object: String, status: Status) -> Self {
        Self {
            action,
            object,
            status,
            detail: String::new(),
            evidence: serde_json::Value::Null,
            next_sql: None,
        }
    }

    /// Sets the sentence.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Sets the machine's part.
    #[must_use]
    pub fn evidence(mut self, evidence: serde_json::Value) -> Self {
        self.evidence = evidence;
        self
    }

    /// Sets the statement to run next.
    #[must_use]
    pub fn next_sql(mut self, sql: impl Into<String>) -> Self {
        self.next_sql = Some(sql.into());
        self
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Started. Found at start-up it means that the server stopped in the middle: run the call again.
    Running,
    /// A dry run, done.
    Planned,
    /// Done.
    Succeeded,
    /// Stopped by an error.
    Failed,
}

impl RunState {
    /// The word in `system.procedure_runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Planned => "planned",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
        }
    }
}

/// What is kept of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcedureRun {
    /// The procedure.
    pub procedure: String,
    /// Who called it.
    pub principal: String,
    /// The call with its literals replaced.
    pub statement: String,
    /// Whether it only planned.
    pub dry_run: bool,
    /// Where it stands.
    pub state: RunState,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its steps so far.
    pub steps: Vec<Step>,
    /// What stopped it.
    pub error: Option<String>,
}

/// What a run gives.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutcome {
    /// Joins to `system.procedure_runs`.
    pub run_id: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// A run under way.
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) record: ProcedureRun,
}

impl Run {
    pub(crate) fn begin(caller: &Caller<'_>, now: DateTime<Utc>) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            record: ProcedureRun {
                procedure: caller.procedure.to_owned(),
                principal: caller.principal.to_owned(),
                statement: caller.statement.to_owned(),
                dry_run: false,
                state: RunState::Running,
                started_at: now,
                finished_at: None,
                steps: Vec::new(),
                error: None,
            },
        }
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.record.steps.push(step);
    }

    pub(crate) fn end(&mut self, now: DateTime<Utc>, state: RunState, error: Option<&Error>) {
        self.record.state = state;
        self.record.finished_at = Some(now);
        self.record.error = error.map(|error| match error.hint() {
            Some(hint) => format!("{error} {hint}"),
            None => error.to_string(),
        });
    }
}
