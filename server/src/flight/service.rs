//! The Flight RPCs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    Any, Command, CommandStatementQuery, DoPutPreparedStatementResult, DoPutUpdateResult, ProstMessageExt,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    PollInfo, PutResult, SchemaResult, Ticket as FlightTicket,
};
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::{Frontend, Prepared};
use futures::{Stream, StreamExt};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::action;
use super::batch::{FlightDataStream, encode, once, schema_bytes};
use super::error::{refuse, status, undecodable};
use super::handshake::{Admitted, Gate, HandshakeStream};
use super::metadata::Facts;
use super::prepared::{Binding, BindingBounds, PreparedStatement, no_values, prepare, read_binding, unbound};
use super::session_options::compression;
use super::store::{Bounds, Key, Store, WhenFull, random_key};
use super::ticket::{Runner, Ticket, announced_schema};
use super::token::{FlightSession, Tokens};
use super::{FlightLimits, Logins};

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// Everything that the RPCs share.
pub(super) struct FlightEdge {
    pub(super) frontend: Frontend,
    pub(super) gate: Gate,
    pub(super) runner: Runner,
    /// By the session that owns them, as are prepared statements.
    pub(super) tickets: Store<u64, Ticket>,
    pub(super) prepared: Store<u64, PreparedStatement>,
    facts: Facts,
    limits: FlightLimits,
}

impl FlightEdge {
    pub(super) fn new(
        frontend: Frontend,
        logins: Arc<dyn Logins>,
        token_ttl: Duration,
        limits: FlightLimits,
        stop: CancellationToken,
    ) -> Result<Self> {
        let tokens = Tokens::new(frontend.clone(), token_ttl, &limits, stop)?;
        Ok(Self {
            gate: Gate::new(logins, tokens),
            runner: Runner::new(frontend.clone(), &limits),
            facts: Facts::new(&limits)?,
            tickets: Store::new(Bounds {
                what: "tickets",
                total: limits.tickets,
                per_owner: limits.tickets_per_session,
                when_full: WhenFull::DropIdlest,
                idle: limits.ticket_ttl,
            }),
            prepared: Store::new(Bounds {
                what: "prepared statements",
                total: limits.prepared,
                per_owner: limits.prepared_per_session,
                when_full: WhenFull::Refuse,
                idle: limits.prepared_ttl,
            }),
            frontend,
            limits,
        })
    }

    /// Drops what expired.
    pub(super) fn sweep(&self) {
        self.tickets.sweep();
        self.prepared.sweep();
        for session in self.gate.tokens().sweep() {
            self.forget(&session);
        }
    }

    /// Ends a session with all that belongs to it.
    pub(super) fn forget(&self, session: &FlightSession) {
        self.gate.tokens().end(session);
        self.tickets.remove_owned(&session.id);
        self.prepared.remove_owned(&session.id);
    }

    /// The session of a call.
    pub(super) async fn admit<T>(&self, request: &Request<T>) -> Result<Arc<FlightSession>, Status> {
        let admitted = self.gate.admit(request).await?;
        Ok(self.enter(admitted))
    }

    fn enter(&self, admitted: Admitted) -> Arc<FlightSession> {
        if let Some(ended) = admitted.ended {
            self.forget(&ended);
        }
        admitted.session
    }

    /// The prepared statement of a handle. It works for any session of the same login, and for no other.
    pub(super) fn prepared_of(&self, session: &FlightSession, handle: &[u8]) -> Result<Arc<PreparedStatement>, Status> {
        key_of(handle)
            .and_then(|key| self.prepared.get(&key))
            .filter(|prepared| prepared.owner.login == session.login)
            .ok_or_else(|| {
                refuse(
                    ErrorKind::Missing,
                    "there is no prepared statement of this handle, or it expired",
                    "prepare the statement again",
                )
            })
    }

    /// The ticket of a handle. It works for any session of the same login, and for no other.
    pub(super) fn ticket_of(&self, session: &FlightSession, handle: &[u8]) -> Result<Arc<Ticket>, Status> {
        key_of(handle)
            .and_then(|key| self.tickets.get(&key))
            .filter(|ticket| ticket.owner.login == session.login)
            .ok_or_else(|| {
                refuse(
                    ErrorKind::Missing,
                    "there is no ticket of this handle, or it expired",
                    "call GetFlightInfo again and use the ticket that it gives",
                )
            })
    }

    /// Prepares the text of a statement that comes without values.
    async fn prepare_text(
        &self,
        session: &FlightSession,
        sql: &str,
        transaction: Option<&bytes::Bytes>,
    ) -> Result<Prepared, Status> {
        no_transaction(transaction)?;
        let prepared = prepare(&self.frontend, &session.session, sql).await;
        prepared
            .and_then(|prepared| match prepared.parameters.len() {
                0 => Ok(prepared),
                parameters => Err(unbound(parameters)),
            })
            .map_err(|error| status(&error))
    }

    /// The schema that a command's stream will have. Executes nothing.
    async fn schema_of(&self, session: &FlightSession, command: &Command) -> Result<SchemaRef, Status> {
        match command {
            Command::CommandStatementQuery(CommandStatementQuery { query, transaction_id }) => {
                no_transaction(transaction_id.as_ref())?;
                let prepared = prepare(&self.frontend, &session.session, query).await;
                let prepared = prepared.map_err(|error| status(&error))?;
                Ok(announced_schema(&prepared))
            }
            Command::CommandPreparedStatementQuery(command) => {
                let statement = self.prepared_of(session, &command.prepared_statement_handle)?;
                Ok(announced_schema(&statement.prepared))
            }
            other => self.facts.schema_of(other).ok_or_else(|| not_offered(other)),
        }
    }

    /// FlightInfo of a command. Executes nothing.
    async fn info_of(
        &self,
        session: &Arc<FlightSession>,
        command: Command,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let (schema, endpoint) = match &command {
            Command::CommandStatementQuery(CommandStatementQuery { query, transaction_id }) => {
                let prepared = self.prepare_text(session, query, transaction_id.as_ref()).await?;
                self.endpoint(session.clone(), prepared, no_values())?
            }
            Command::CommandPreparedStatementQuery(command) => {
                let statement = self.prepared_of(session, &command.prepared_statement_handle)?;
                let binding = statement.binding().map_err(|error| status(&error))?;
                self.endpoint(statement.owner.clone(), statement.prepared.clone(), binding)?
            }
            other => {
                let schema = self.facts.schema_of(other).ok_or_else(|| not_offered(other))?;
                let ticket = FlightTicket::new(descriptor.cmd.clone());
                (schema, FlightEndpoint::new().with_ticket(ticket))
            }
        };
        // One endpoint, as many clients read the first alone; totals stay -1, unknown.
        let info = FlightInfo::new().with_descriptor(descriptor).with_endpoint(endpoint);
        // A statement without rows has no schema to announce. ADBC then calls DoGet at once, not when rows are fetched;
        // nobody fetches the rows of a SET, so it would not run.
        if schema.fields().is_empty() {
            return Ok(info);
        }
        Ok(FlightInfo {
            schema: schema_bytes(&schema).map_err(|error| status(&error))?,
            ..info
        })
    }

    fn endpoint(
        &self,
        owner: Arc<FlightSession>,
        prepared: Prepared,
        binding: Binding,
    ) -> Result<(SchemaRef, FlightEndpoint), Status> {
        let id = owner.id;
        let ticket = Arc::new(Ticket::new(owner, prepared, binding));
        let schema = ticket.schema.clone();
        let key = random_key().map_err(|error| status(&error))?;
        self.tickets.insert(key, id, ticket).map_err(|error| status(&error))?;
        let handle = TicketStatementQuery {
            statement_handle: key.to_vec().into(),
        };
        let ticket = FlightTicket::new(handle.as_any().encode_to_vec());
        Ok((schema, self.expiring(FlightEndpoint::new().with_ticket(ticket))))
    }

    /// The endpoint with the time at which its ticket expires if it is not used before.
    #[allow(
        clippy::disallowed_methods,
        reason = "a client compares it with its own clock; nothing here depends on it"
    )]
    pub(super) fn expiring(&self, mut endpoint: FlightEndpoint) -> FlightEndpoint {
        let expires = SystemTime::now() + self.tickets.idle();
        let since = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = endpoint.expiration_time.insert(Default::default());
        time.seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        endpoint
    }

    async fn redeem(&self, session: &FlightSession, ticket: &Arc<Ticket>) -> Result<FlightDataStream, Status> {
        let batches = self.runner.redeem(ticket).await.map_err(|error| status(&error))?;
        encode(
            ticket.schema.clone(),
            batches,
            self.limits.message_bytes,
            compression(session),
        )
        .map_err(|error| status(&error))
    }

    async fn get(&self, session: &Arc<FlightSession>, command: Command) -> Result<FlightDataStream, Status> {
        match &command {
            Command::TicketStatementQuery(command) => {
                let ticket = self.ticket_of(session, &command.statement_handle)?;
                self.redeem(session, &ticket).await
            }
            Command::CommandPreparedStatementQuery(command) => {
                let statement = self.prepared_of(session, &command.prepared_statement_handle)?;
                let binding = statement.binding().map_err(|error| status(&error))?;
                let ticket = Arc::new(Ticket::new(
                    statement.owner.clone(),
                    statement.prepared.clone(),
                    binding,
                ));
                self.redeem(session, &ticket).await
            }
            other => {
                let rows = self.facts.rows_of(other, &self.frontend, &session.session).await;
                let rows = rows
                    .map_err(|error| status(&error))?
                    .ok_or_else(|| not_offered(other))?;
                encode(
                    rows.schema(),
                    once(rows),
                    self.limits.message_bytes,
                    compression(session),
                )
                .map_err(|error| status(&error))
            }
        }
    }

    async fn put(
        &self,
        session: &Arc<FlightSession>,
        command: Command,
        messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    ) -> Result<PutResult, Status> {
        let bounds = BindingBounds {
            rows: self.limits.bound_rows,
            bytes: self.limits.request_bytes,
        };
        let count = match &command {
            Command::CommandStatementUpdate(command) => {
                let prepared = self
                    .prepare_text(session, &command.query, command.transaction_id.as_ref())
                    .await?;
                self.runner.run_update(session, &prepared, no_values()).await
            }
            Command::CommandPreparedStatementQuery(command) => {
                let handle = &command.prepared_statement_handle;
                let statement = self.prepared_of(session, handle)?;
                if let Some(binding) = read_binding(messages, &statement.prepared.parameters, bounds).await? {
                    statement.bind(binding);
                }
                let result = DoPutPreparedStatementResult {
                    prepared_statement_handle: Some(handle.clone()),
                };
                return Ok(put_result(&result));
            }
            Command::CommandPreparedStatementUpdate(command) => {
                let statement = self.prepared_of(session, &command.prepared_statement_handle)?;
                let binding = match read_binding(messages, &statement.prepared.parameters, bounds).await? {
                    Some(binding) => binding,
                    None => statement.binding().map_err(|error| status(&error))?,
                };
                self.runner
                    .run_update(&statement.owner, &statement.prepared, binding)
                    .await
            }
            other => return Err(not_offered(other)),
        };
        let record_count = count.map_err(|error| status(&error))?;
        Ok(put_result(&DoPutUpdateResult { record_count }))
    }
}

#[tonic::async_trait]
impl FlightService for FlightEdge {
    type HandshakeStream = HandshakeStream;
    type ListFlightsStream = ResponseStream<FlightInfo>;
    type DoGetStream = FlightDataStream;
    type DoPutStream = ResponseStream<PutResult>;
    type DoActionStream = ResponseStream<arrow_flight::Result>;
    type ListActionsStream = ResponseStream<ActionType>;
    type DoExchangeStream = FlightDataStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (response, admitted) = self.gate.handshake(request).await?;
        self.enter(admitted);
        Ok(response)
    }

    /// No flight exists before somebody asks for it.
    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.admit(&request).await?;
        Ok(Response::new(futures::stream::empty().boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let session = self.admit(&request).await?;
        let descriptor = request.into_inner();
        let command = command_of(&descriptor)?;
        Ok(Response::new(self.info_of(&session, command, descriptor).await?))
    }

    /// A statement starts at DoGet, so there is nothing to wait for: the first answer is complete.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let session = self.admit(&request).await?;
        let descriptor = request.into_inner();
        let command = command_of(&descriptor)?;
        let info = self.info_of(&session, command, descriptor).await?;
        Ok(Response::new(PollInfo {
            progress: Some(1.0),
            ..PollInfo::new().with_info(info)
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let session = self.admit(&request).await?;
        let command = command_of(request.get_ref())?;
        let schema = self.schema_of(&session, &command).await?;
        let schema = schema_bytes(&schema).map_err(|error| status(&error))?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<FlightTicket>) -> Result<Response<Self::DoGetStream>, Status> {
        let session = self.admit(&request).await?;
        let command = decode_command(request.into_inner().ticket, "ticket")?;
        Ok(Response::new(self.get(&session, command).await?))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let session = self.admit(&request).await?;
        let mut messages = request.into_inner().peekable();
        let descriptor = match Pin::new(&mut messages).peek().await {
            Some(Ok(first)) => first.flight_descriptor.clone(),
            Some(Err(status)) => return Err(status.clone()),
            None => None,
        };
        let command = command_of(&descriptor.ok_or_else(|| undecodable("flight descriptor"))?)?;
        let result = self.put(&session, command, messages).await?;
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let session = self.admit(&request).await?;
        let results = action::run(self, &session, request.into_inner()).await?;
        let results = results.into_iter().map(|body| Ok(arrow_flight::Result::new(body)));
        Ok(Response::new(
            futures::stream::iter(results.collect::<Vec<_>>()).boxed(),
        ))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.admit(&request).await?;
        let actions = action::offered().map(Ok);
        Ok(Response::new(
            futures::stream::iter(actions.collect::<Vec<_>>()).boxed(),
        ))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.admit(&request).await?;
        Err(refuse(
            ErrorKind::Unsupported,
            "DoExchange is not offered",
            "use GetFlightInfo and DoGet",
        ))
    }
}

fn command_of(descriptor: &FlightDescriptor) -> Result<Command, Status> {
    if descriptor.r#type != DescriptorType::Cmd as i32 {
        return Err(refuse(
            ErrorKind::Unsupported,
            "only flight descriptors with a Flight SQL command are offered",
            "send a descriptor of type CMD",
        ));
    }
    decode_command(descriptor.cmd.clone(), "Flight SQL command")
}

fn decode_command(bytes: bytes::Bytes, what: &str) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|_| undecodable(what))?;
    Command::try_from(any).map_err(|_| undecodable(what))
}

fn not_offered(command: &Command) -> Status {
    let name = command.type_url();
    let name = name.rsplit(['/', '.']).next().unwrap_or(name);
    let error = Error::new(ErrorKind::Unsupported, format!("{name:?} is not offered in this call"))
        .with_hint("GetSqlInfo lists what the server offers");
    status(&error)
}

pub(super) fn no_transaction(id: Option<&bytes::Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(refuse(
            ErrorKind::Missing,
            "there is no transaction of this id: the server offers no transactions through Flight SQL actions",
            "leave the transaction id out",
        )),
        _ => Ok(()),
    }
}

fn key_of(handle: &[u8]) -> Option<Key> {
    handle.try_into().ok()
}

fn put_result(message: &impl Message) -> PutResult {
    PutResult {
        app_metadata: message.encode_to_vec().into(),
    }
}
