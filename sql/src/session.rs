//! The state of one connection: principal, settings, transaction. Never shared between connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use farthing_engine::principal::Principal;

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
    pub(crate) state: Mutex<SessionState>,
}

#[derive(Default)]
pub(crate) struct SessionState {
    pub(crate) reported: Vec<(String, String)>,
}

impl Session {
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
        TransactionStatus::Idle
    }

    /// Takes the settings that changed since the last call and that PostgreSQL reports to clients by ParameterStatus
    /// (`TimeZone`, `application_name`, ...), with their new values.
    pub fn take_reported_settings(&self) -> Vec<(String, String)> {
        self.0
            .state
            .lock()
            .map(|mut state| std::mem::take(&mut state.reported))
            .unwrap_or_default()
    }

    /// Applies a setting that the client gave at start-up (`application_name`, `TimeZone`, `options=-c name=value`).
    /// Unknown names are ignored here, as PostgreSQL extensions of clients are many; `SET` refuses them.
    pub fn apply_startup_setting(&self, _name: &str, _value: &str) {}
}
