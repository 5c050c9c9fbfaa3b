//! One authenticated connection: takes messages in order and answers them.

use std::collections::HashMap;
use std::io;

use farthing_sql::{Frontend, Session, TransactionStatus};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{self, CommandComplete, ReadyForQuery};
use pgwire::messages::startup::ParameterStatus;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::cancel::CancelKey;
use super::error::{Break, PgError};
use super::extended::{Portal, StoredStatement};
use super::startup::Opened;
use super::wire::frontend::FrontendMessage;
use super::wire::{Reader, Writer};
use super::{PgSettings, Stop};

/// A connection and what it has open.
pub(super) struct Connection {
    reader: Reader,
    exchange: Exchange,
    _permit: OwnedSemaphorePermit,
}

/// All of a connection but its incoming half, which is watched while a message is worked on.
pub(super) struct Exchange {
    pub(super) frontend: Frontend,
    pub(super) session: Session,
    pub(super) writer: Writer,
    pub(super) statements: HashMap<String, StoredStatement>,
    pub(super) portals: HashMap<String, Portal>,
    pub(super) max_statements: usize,
    pub(super) max_portals: usize,
    cancel: CancelKey,
    /// What cancel requests reach; `None` between statements.
    working: Option<CancellationToken>,
    /// After an error in the extended protocol everything up to Sync is skipped.
    skipping: bool,
}

/// Whether the connection goes on.
enum Flow {
    Continue,
    Close,
}

impl Connection {
    /// A connection just opened.
    pub(super) fn new(opened: Opened, frontend: Frontend, settings: &PgSettings) -> Self {
        Self {
            reader: opened.reader,
            exchange: Exchange {
                frontend,
                session: opened.session,
                writer: opened.writer,
                statements: HashMap::new(),
                portals: HashMap::new(),
                max_statements: settings.max_prepared_statements,
                max_portals: settings.max_portals,
                cancel: opened.cancel,
                working: None,
                skipping: false,
            },
            _permit: opened.permit,
        }
    }

    /// Answers messages until the client leaves or the server stops.
    pub(super) async fn run(mut self, stop: Stop) -> io::Result<()> {
        self.exchange.ready().await?;
        loop {
            let message = tokio::select! {
                biased;
                () = stop.drain.cancelled(), if self.exchange.is_idle() => return self.exchange.end(stopping()).await,
                () = stop.now.cancelled() => return self.exchange.end(stopping()).await,
                message = self.reader.next() => message,
            };
            let outcome = match message {
                Ok(None) => return Ok(()),
                Err(error) => Err(error),
                Ok(Some(message)) => tokio::select! {
                    biased;
                    () = stop.now.cancelled() => Err(stopping().into()),
                    outcome = self.exchange.handle(message) => outcome,
                    // Dropping the work on the message cancels the statement.
                    () = self.reader.closed() => return Ok(()),
                },
            };
            match outcome {
                Ok(Flow::Continue) => {}
                Ok(Flow::Close) => return Ok(()),
                Err(Break::Lost(error)) => return Err(error),
                Err(Break::Fatal(error) | Break::Statement(error)) => return self.exchange.end(error).await,
            }
        }
    }
}

fn stopping() -> PgError {
    PgError::fatal("57P01", "terminating connection due to administrator command")
        .with_hint("the server is stopping; connect again when it is back")
}

impl Exchange {
    fn is_idle(&self) -> bool {
        self.working.is_none() && !self.skipping
    }

    /// Tells the client why the connection ends.
    async fn end(&mut self, error: PgError) -> io::Result<()> {
        // A client that does not read must not hold the server up.
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
        self.portals.clear();
        self.writer.put_error(error)?;
        match tokio::time::timeout(PATIENCE, self.writer.close()).await {
            Ok(closed) => closed,
            Err(_) => Ok(()),
        }
    }

    /// The token of the work in progress, which begins if there is none.
    pub(super) fn working(&mut self) -> CancellationToken {
        self.working.get_or_insert_with(|| self.cancel.start()).clone()
    }

    async fn handle(&mut self, message: FrontendMessage) -> Result<Flow, Break> {
        match &message {
            FrontendMessage::Terminate => return Ok(Flow::Close),
            FrontendMessage::Sync => {}
            _ if self.skipping => return Ok(Flow::Continue),
            _ => {}
        }
        let extended = !matches!(
            message,
            FrontendMessage::Query(_) | FrontendMessage::FunctionCall | FrontendMessage::NotUtf8 { extended: false }
        );
        match self.dispatch(message).await {
            Ok(()) => {}
            Err(Break::Statement(error)) => {
                // Also for errors that the front end does not see: values that cannot be read, portals that do not exist,
                // rows that end with an error.
                self.session.fail_transaction();
                self.writer.put_error(error)?;
                if extended {
                    self.skipping = true;
                    self.writer.flush().await?;
                } else {
                    self.ready().await?;
                }
            }
            Err(other) => return Err(other),
        }
        Ok(Flow::Continue)
    }

    async fn dispatch(&mut self, message: FrontendMessage) -> Result<(), Break> {
        match message {
            FrontendMessage::Query(text) => self.query(&text).await,
            FrontendMessage::Parse { name, query, types } => self.parse(name, &query, &types).await,
            FrontendMessage::Bind {
                portal,
                statement,
                parameter_formats,
                parameters,
                result_formats,
            } => self.bind(portal, &statement, &parameter_formats, &parameters, &result_formats),
            FrontendMessage::Describe { target, name } => self.describe(target, &name),
            FrontendMessage::Execute { portal, max_rows } => self.execute(&portal, max_rows.into()).await,
            FrontendMessage::Close { target, name } => self.close(target, &name),
            FrontendMessage::Flush => Ok(self.writer.flush().await?),
            FrontendMessage::Sync => {
                self.skipping = false;
                Ok(self.ready().await?)
            }
            FrontendMessage::FunctionCall => Err(PgError::new("0A000", "the function call interface is not offered")
                .with_hint("use SELECT or CALL")
                .into()),
            FrontendMessage::NotUtf8 { .. } => Err(PgError::new("22021", "the statement is not valid UTF-8").into()),
            FrontendMessage::Authentication(_) => Err(PgError::protocol("unexpected authentication message").into()),
            // PostgreSQL ignores COPY messages outside of COPY: they may still be on their way after an error.
            FrontendMessage::Copy | FrontendMessage::Terminate => Ok(()),
        }
    }

    /// Ends a round: tells changed settings and the transaction's state, and sends everything.
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        self.working = None;
        self.cancel.finish();
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => response::TransactionStatus::Idle,
            TransactionStatus::Open => response::TransactionStatus::Transaction,
            TransactionStatus::Failed => response::TransactionStatus::Error,
        };
        self.end_portals_with_transaction();
        for (name, value) in self.session.take_reported_settings() {
            self.writer
                .put(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name, value)))?;
        }
        self.writer
            .put(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status)))?;
        self.writer.flush().await
    }

    /// Drops the portals unless a transaction is open: they live as long as theirs, which outside of BEGIN is one round.
    pub(super) fn end_portals_with_transaction(&mut self) {
        if self.session.transaction_status() != TransactionStatus::Open {
            self.portals.clear();
        }
    }

    /// Ends a statement with its command tag.
    pub(super) fn complete(&mut self, tag: String) -> io::Result<()> {
        // The two commands that end prepared statements of the protocol as well.
        if matches!(tag.as_str(), "DISCARD ALL" | "DEALLOCATE ALL") {
            self.statements.clear();
        }
        self.writer
            .put(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)))
    }
}
