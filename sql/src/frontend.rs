//! The one way in for every protocol: parse, prepare, execute.
//!
//! A protocol asks [`Frontend::parse`] for the statements of a text, [`Frontend::prepare`] for what a statement takes and
//! gives, and [`Frontend::execute`] for its rows. Schemas and batches leave in edge types: what PostgreSQL and Flight SQL
//! clients read without surprises (`Utf8` instead of views and dictionaries, `Int64` instead of `UInt64`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use farthing_engine::principal::{Login, Principal};
use farthing_engine::{Error, ErrorKind, Result};
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::session::{Origin, Session, SessionInner, SessionState};
use crate::statement::Statement;

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// `NOTICE`: for a person who watches.
    Notice,
    /// `WARNING`: something is not as asked.
    Warning,
}

/// A sentence for the person at the client while a statement runs. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How urgent.
    pub severity: Severity,
    /// The sentence.
    pub message: String,
    /// More, or nothing.
    pub detail: Option<String>,
    /// What to do, or nothing.
    pub hint: Option<String>,
}

/// What a protocol hands in with a statement that it executes.
#[derive(Clone)]
pub struct Control {
    /// Cancels the statement: no row leaves after it, and its resources are freed.
    pub cancel: CancellationToken,
    /// Takes notices while the statement runs; a full queue drops them. `None` where the protocol has none.
    pub notices: Option<mpsc::Sender<Notice>>,
}

/// A statement that may be executed any number of times in its session.
#[derive(Clone)]
pub struct Prepared {
    /// The statement.
    pub statement: Statement,
    /// One type for each `$n`, in order; never unknown.
    pub parameters: Vec<DataType>,
    /// What the rows look like; `None` where the statement gives no rows (SET, BEGIN ...).
    pub schema: Option<SchemaRef>,
}

/// What a statement gives.
pub enum Response {
    /// Rows. The stream ends with an error or the last row; dropping it cancels the statement.
    Rows(Rows),
    /// No rows.
    Done {
        /// PostgreSQL's command tag: `SET`, `BEGIN`, ...
        tag: String,
    },
}

/// Rows as they come.
pub struct Rows {
    /// The schema of every batch, equal to [`Prepared::schema`].
    pub schema: SchemaRef,
    /// PostgreSQL's command tag without the count: `SELECT`, `CALL`, `SHOW`, `EXPLAIN`. Only `SELECT` and `FETCH` take a count.
    pub tag: &'static str,
    /// The batches.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

/// What a relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// `TABLE`.
    Table,
    /// `VIEW`.
    View,
    /// `SYSTEM TABLE`.
    SystemTable,
}

/// A table or view that a session can name.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The schema: `public`, `exports`, `system` ...
    pub schema: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// The schema of `SELECT *`, in edge types.
    pub columns: SchemaRef,
}

/// The SQL front end over one engine. Cheap to clone.
#[derive(Clone)]
pub struct Frontend {}

/// The only catalog (database) there is.
pub const CATALOG: &str = "farthing";

impl Frontend {
    /// The login called `name`, for the protocols to check a password against.
    pub fn login(&self, _name: &str) -> Option<Login> {
        None
    }

    /// Opens a session for an authenticated principal.
    pub fn open_session(&self, principal: Principal, origin: Origin) -> Session {
        Session(Arc::new(SessionInner {
            principal,
            origin,
            state: SessionState::default().into(),
        }))
    }

    /// The statements of a text; none for an empty one or one of comments only.
    pub fn parse(&self, _session: &Session, _sql: &str) -> Result<Vec<Statement>> {
        Err(Error::new(ErrorKind::Unsupported, "not built yet"))
    }

    /// What a statement takes and gives. `hints` are the types that the client announces for `$1`, `$2` ...; `None` or a
    /// missing one lets the statement decide. Executes nothing.
    pub async fn prepare(
        &self,
        _session: &Session,
        _statement: Statement,
        _hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        Err(Error::new(ErrorKind::Unsupported, "not built yet"))
    }

    /// Runs a statement with one value for each parameter, of the announced types.
    pub async fn execute(
        &self,
        _session: &Session,
        _prepared: &Prepared,
        _values: Vec<ScalarValue>,
        _control: Control,
    ) -> Result<Response> {
        Err(Error::new(ErrorKind::Unsupported, "not built yet"))
    }

    /// The relations that the session can name, in order of schema and name.
    pub async fn relations(&self, _session: &Session) -> Result<Vec<Relation>> {
        Err(Error::new(ErrorKind::Unsupported, "not built yet"))
    }
}
