//! The state of one connection: principal, settings, transaction. Never shared between connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use farthing_engine::catalog::Lease;
use farthing_engine::principal::Principal;
use farthing_engine::{Error, ErrorKind, Result};

use crate::setting;

/// How a session came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL wire.
    Postgres,
    /// Arrow Flight SQL.
    FlightSql,
    /// In process: the command line or a library user.
    InProcess,
}

/// Where a session came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The protocol.
    pub protocol: Protocol,
    /// The client's address, where there is one.
    pub address: Option<SocketAddr>,
    /// `application_name`; empty if the client gives none.
    pub application: String,
}

/// Where a session stands in its transaction, as PostgreSQL's ReadyForQuery tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction is open (`I`).
    Idle,
    /// A transaction is open (`T`).
    Open,
    /// A transaction is open, and a statement in it failed (`E`).
    Failed,
}

/// One connection's state. Cloning gives another handle on the same state.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<SessionInner>);

pub(crate) struct SessionInner {
    pub(crate) principal: Principal,
    pub(crate) origin: Origin,
    state: Mutex<SessionState>,
}

/// An open transaction.
#[derive(Default)]
pub(crate) struct Transaction {
    /// The catalog version that its statements see; taken by the first that reads.
    pub(crate) lease: Option<Lease>,
    pub(crate) read_only: bool,
    pub(crate) failed: bool,
    pub(crate) savepoints: Vec<String>,
}

/// What changes from statement to statement.
#[derive(Default)]
pub(crate) struct SessionState {
    /// Values that differ from the defaults, by the setting's name.
    values: BTreeMap<&'static str, String>,
    reported: Vec<(String, String)>,
    pub(crate) transaction: Option<Transaction>,
    /// Counts up with every change of a setting, so that a plan made before it is not used after it.
    pub(crate) generation: u64,
}

impl SessionState {
    /// The value of a setting.
    pub(crate) fn value(&self, name: &str) -> String {
        setting::find(name).map_or_else(String::new, |setting| {
            self.values
                .get(setting.name)
                .cloned()
                .unwrap_or_else(|| setting.default.to_owned())
        })
    }

    /// Sets a setting, or resets it with `None`.
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let setting = setting::require(name)?;
        let kept = match value {
            None => setting.default.to_owned(),
            Some(value) if value.eq_ignore_ascii_case("default") => setting.default.to_owned(),
            Some(value) => setting::check(setting, value)?,
        };
        if self.value(name) != kept && setting.reported {
            self.reported.push((setting.name.to_owned(), kept.clone()));
        }
        self.values.insert(setting.name, kept);
        self.generation += 1;
        Ok(())
    }

    /// Puts every setting back to its default.
    pub(crate) fn reset_all(&mut self) {
        let changed: Vec<&'static str> = self.values.keys().copied().collect();
        for name in changed {
            // A name that is kept is known, and a default is a valid value.
            let _ = self.set(name, None);
        }
    }

    pub(crate) fn status(&self) -> TransactionStatus {
        match &self.transaction {
            None => TransactionStatus::Idle,
            Some(transaction) if transaction.failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::Open,
        }
    }
}

impl Session {
    pub(crate) fn new(principal: Principal, origin: Origin) -> Self {
        let session = Self(Arc::new(SessionInner {
            principal,
            origin,
            state: Mutex::default(),
        }));
        let application = session.0.origin.application.clone();
        session.apply_startup_setting("application_name", &application);
        session
    }

    /// Who is connected.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// Where the connection came from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Where the session stands in its transaction.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.state().map_or(TransactionStatus::Idle, |state| state.status())
    }

    /// Takes the settings that changed since the last call and that PostgreSQL reports to clients by ParameterStatus
    /// (`TimeZone`, `application_name`, ...), with their new values.
    pub fn take_reported_settings(&self) -> Vec<(String, String)> {
        self.state()
            .map(|mut state| std::mem::take(&mut state.reported))
            .unwrap_or_default()
    }

    /// The settings that PostgreSQL reports at start-up, with their present values.
    pub fn reported_settings(&self) -> Vec<(String, String)> {
        let Ok(state) = self.state() else { return Vec::new() };
        setting::SETTINGS
            .iter()
            .filter(|s| s.reported)
            .map(|s| (s.name.to_owned(), state.value(s.name)))
            .collect()
    }

    /// Applies a setting that the client gave at start-up (`application_name`, `TimeZone`, `options=-c name=value`).
    /// Unknown names are ignored here, as PostgreSQL extensions of clients are many; `SET` refuses them.
    pub fn apply_startup_setting(&self, name: &str, value: &str) {
        if let Ok(mut state) = self.state() {
            if let Err(error) = state.set(name, Some(value)) {
                tracing::debug!(name, %error, "a start-up setting is ignored");
            }
            state.reported.clear();
        }
    }

    /// Marks the open transaction, if any, as failed. Protocols call it for errors that happen outside `execute`.
    pub fn fail_transaction(&self) {
        if let Ok(mut state) = self.state()
            && let Some(transaction) = &mut state.transaction
        {
            transaction.failed = true;
        }
    }

    pub(crate) fn state(&self) -> Result<MutexGuard<'_, SessionState>> {
        self.0.state.lock().map_err(|_| {
            Error::new(ErrorKind::Defect, "the session's state is unusable after a failure").with_hint("Connect again.")
        })
    }
}
