//! The one way in for every protocol: parse, prepare, execute.
//!
//! A protocol asks [`Frontend::parse`] for the statements of a text, [`Frontend::prepare`] for what a statement takes and
//! gives, and [`Frontend::execute`] for its rows. Schemas and batches leave in edge types: what PostgreSQL and Flight SQL
//! clients read without surprises (`Utf8` instead of views and dictionaries, `Int64` instead of `UInt64`).

mod call;
mod command;
mod plans;
mod query;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use farthing_engine::account::Connections;
use farthing_engine::catalog::Catalog;
use farthing_engine::execute::LocalExecutor;
use farthing_engine::id::CatalogVersion;
use farthing_engine::ingest::Importer;
use farthing_engine::limit::Limits;
use farthing_engine::port::Clock;
use farthing_engine::principal::{Login, Principal};
use farthing_engine::session::{BoundQuery, SessionBuilder};
use farthing_engine::{Error, ErrorKind, Result};
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::plans::{PlanKey, Plans};
use crate::session::{Origin, Session};
use crate::statement::{self, Statement};

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
    /// The plan made to describe the statement; used again if nothing changed since.
    plan: Option<Plan>,
}

/// A plan and what it was made under.
#[derive(Clone)]
struct Plan {
    query: BoundQuery,
    /// The types that the plan itself wants its parameters in.
    parameters: Vec<DataType>,
    /// What its rows look like outside.
    schema: SchemaRef,
    version: CatalogVersion,
    generation: u64,
    /// Under what it is kept, if plans are.
    key: Option<Arc<PlanKey>>,
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

impl RelationKind {
    /// The word in metadata: `TABLE`, `VIEW`, `SYSTEM TABLE`.
    pub fn as_str(self) -> &'static str {
        match self {
            RelationKind::Table => "TABLE",
            RelationKind::View => "VIEW",
            RelationKind::SystemTable => "SYSTEM TABLE",
        }
    }
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

/// What a front end is made of.
pub struct FrontendParts {
    /// What is connected and imported.
    pub catalog: Arc<Catalog>,
    /// Builds sessions.
    pub sessions: Arc<SessionBuilder>,
    /// Runs queries.
    pub executor: Arc<LocalExecutor>,
    /// Runs procedures.
    pub connections: Arc<Connections>,
    /// Looks again when a delivery changed under a query.
    pub importer: Arc<Importer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: Limits,
    /// Where procedures run, so that a client that goes away stops none in the middle.
    pub query_runtime: tokio::runtime::Handle,
}

/// The SQL front end over one engine. Cheap to clone.
#[derive(Clone)]
pub struct Frontend(Arc<FrontendParts>, Arc<Plans>);

/// The only catalog (database) there is.
pub const CATALOG: &str = "farthing";

impl Frontend {
    /// Puts the parts together.
    pub fn new(parts: FrontendParts) -> Self {
        let plans = Plans::new(parts.sessions.plans());
        Self(Arc::new(parts), Arc::new(plans))
    }

    /// The login called `name`, for the protocols to check a password against.
    pub fn login(&self, name: &str) -> Option<Login> {
        self.0.catalog.lease().document.logins.get(name).cloned()
    }

    /// The bounds that the protocols share with the engine.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Opens a session for an authenticated principal.
    pub fn open_session(&self, principal: Principal, origin: Origin) -> Session {
        Session::new(principal, origin)
    }

    /// The statements of a text; none for an empty one or one of comments only.
    pub fn parse(&self, session: &Session, sql: &str) -> Result<Vec<Statement>> {
        if let Some(known) = self.1.statement(sql) {
            return Ok(vec![known]);
        }
        let parsed = statement::parse(sql, self.0.limits.statement_bytes);
        match &parsed {
            Ok(statements) => self.1.keep_statement(sql, statements),
            Err(_) => session.fail_transaction(),
        }
        parsed
    }

    /// What a statement takes and gives. `hints` are the types that the client announces for `$1`, `$2` ...; `None` or a
    /// missing one lets the statement decide. Executes nothing.
    pub async fn prepare(
        &self,
        session: &Session,
        statement: Statement,
        hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        let prepared = match statement.tree.as_ref() {
            ast::Statement::Query(_) | ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => {
                self.prepare_query(session, statement, hints).await
            }
            ast::Statement::Call(call) => call::prepare(call).map(|(parameters, schema)| Prepared {
                statement,
                parameters,
                schema,
                plan: None,
            }),
            _ => command::prepare(&statement).map(|schema| Prepared {
                statement,
                parameters: Vec::new(),
                schema,
                plan: None,
            }),
        };
        prepared.inspect_err(|_| session.fail_transaction())
    }

    /// Runs a statement with one value for each parameter, of the announced types.
    pub async fn execute(
        &self,
        session: &Session,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        control: Control,
    ) -> Result<Response> {
        let response = self.execute_inner(session, prepared, values, control).await;
        response.inspect_err(|_| session.fail_transaction())
    }

    async fn execute_inner(
        &self,
        session: &Session,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        control: Control,
    ) -> Result<Response> {
        if values.len() != prepared.parameters.len() {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!(
                    "the statement takes {} parameters, and {} are bound",
                    prepared.parameters.len(),
                    values.len()
                ),
            ));
        }
        command::check_transaction(session, &prepared.statement)?;
        match prepared.statement.tree.as_ref() {
            ast::Statement::Query(_) | ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => {
                if let Some((procedure, planned)) = call::explained(&prepared.statement.tree) {
                    return self
                        .call(session, &prepared.statement, procedure, &planned, values, control)
                        .await;
                }
                self.query(session, prepared, values, control).await
            }
            ast::Statement::Call(call) => {
                let procedure = call::procedure(call)?;
                self.call(session, &prepared.statement, procedure, call, values, control)
                    .await
            }
            tree => self.command(session, tree).await,
        }
    }
}
