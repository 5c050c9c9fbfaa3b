//! The actions of Flight and Flight SQL.
//!
//! Bodies differ by origin: those of Flight SQL are wrapped in `Any`, those of Flight are bare messages.

use std::sync::Arc;

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest, Ticket as FlightTicket,
};
use bytes::Bytes;
use farthing_engine::{ErrorKind, Result};
use prost::Message;
use tonic::{Code, Status};

use super::batch::schema_bytes;
use super::error::{refuse, status, undecodable};
use super::prepared::{PreparedStatement, prepare};
use super::service::{FlightEdge, no_transaction};
use super::session_options::{
    CLOSE_SESSION, CloseSessionResult, CloseStatus, GET_SESSION_OPTIONS, SET_SESSION_OPTIONS, SetSessionOptionsRequest,
    get, set,
};
use super::store::random_key;
use super::token::FlightSession;

const CREATE_PREPARED_STATEMENT: &str = "CreatePreparedStatement";
const CLOSE_PREPARED_STATEMENT: &str = "ClosePreparedStatement";
const END_TRANSACTION: &str = "EndTransaction";
const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";

/// The actions that ListActions names.
pub(super) fn offered() -> impl Iterator<Item = ActionType> {
    [
        (
            CREATE_PREPARED_STATEMENT,
            "Prepares a statement; takes ActionCreatePreparedStatementRequest, gives ActionCreatePreparedStatementResult",
        ),
        (
            CLOSE_PREPARED_STATEMENT,
            "Drops a prepared statement; takes ActionClosePreparedStatementRequest",
        ),
        (
            CANCEL_FLIGHT_INFO,
            "Cancels the statements of a FlightInfo; takes CancelFlightInfoRequest, gives CancelFlightInfoResult",
        ),
        (
            CANCEL_QUERY,
            "The older form of CancelFlightInfo; takes ActionCancelQueryRequest, gives ActionCancelQueryResult",
        ),
        (
            RENEW_FLIGHT_ENDPOINT,
            "Keeps a ticket alive; takes RenewFlightEndpointRequest, gives FlightEndpoint",
        ),
        (
            SET_SESSION_OPTIONS,
            "Sets catalog, schema and settings; takes SetSessionOptionsRequest, gives SetSessionOptionsResult",
        ),
        (
            GET_SESSION_OPTIONS,
            "Reads them; takes GetSessionOptionsRequest, gives GetSessionOptionsResult",
        ),
        (
            CLOSE_SESSION,
            "Ends the session and its token; takes CloseSessionRequest, gives CloseSessionResult",
        ),
    ]
    .into_iter()
    .map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
}

/// Runs an action and gives the bodies of its results.
pub(super) async fn run(edge: &FlightEdge, session: &Arc<FlightSession>, action: Action) -> Result<Vec<Bytes>, Status> {
    let body = action.body;
    match action.r#type.as_str() {
        CREATE_PREPARED_STATEMENT => create_prepared(edge, session, unpack(body)?).await,
        CLOSE_PREPARED_STATEMENT => {
            let request: ActionClosePreparedStatementRequest = unpack(body)?;
            close_prepared(edge, session, &request.prepared_statement_handle);
            Ok(Vec::new())
        }
        CANCEL_FLIGHT_INFO => {
            let request: CancelFlightInfoRequest = bare(body, CANCEL_FLIGHT_INFO)?;
            cancel(edge, session, &request.info.unwrap_or_default())?;
            Ok(one(&CancelFlightInfoResult::new(CancelStatus::Cancelled)))
        }
        CANCEL_QUERY => {
            let request: ActionCancelQueryRequest = unpack(body)?;
            cancel(edge, session, &bare(request.info, "FlightInfo")?)?;
            // The two enumerations have the same numbers.
            let result = CancelStatus::Cancelled as i32;
            Ok(one(&ActionCancelQueryResult { result }.as_any()))
        }
        RENEW_FLIGHT_ENDPOINT => {
            let request: RenewFlightEndpointRequest = bare(body, RENEW_FLIGHT_ENDPOINT)?;
            let endpoint = request.endpoint.unwrap_or_default();
            // Looking the ticket up is a use, and a use renews it.
            edge.ticket_of(session, &handle_of(endpoint.ticket.as_ref())?)?;
            Ok(one(&edge.expiring(endpoint)))
        }
        SET_SESSION_OPTIONS => {
            let request: SetSessionOptionsRequest = bare(body, SET_SESSION_OPTIONS)?;
            Ok(one(&set(&edge.runner, session, request).await))
        }
        GET_SESSION_OPTIONS => Ok(one(&get(&edge.runner, session).await)),
        CLOSE_SESSION => {
            edge.forget(session);
            let status = CloseStatus::Closed as i32;
            Ok(one(&CloseSessionResult { status }))
        }
        // Drivers commit by themselves when they close; there is nothing to commit.
        END_TRANSACTION => Ok(Vec::new()),
        other => Err(refuse(
            ErrorKind::Unsupported,
            format!("the action {other:?} is not offered"),
            "ListActions names the actions that are",
        )),
    }
}

async fn create_prepared(
    edge: &FlightEdge,
    session: &Arc<FlightSession>,
    request: ActionCreatePreparedStatementRequest,
) -> Result<Vec<Bytes>, Status> {
    no_transaction(request.transaction_id.as_ref())?;
    let prepared = prepare(&edge.frontend, &session.session, &request.query).await;
    let prepared = prepared.map_err(|error| {
        let mut status = status(&error);
        if error.kind() == ErrorKind::Unsupported {
            // UNIMPLEMENTED says that the action is: ADBC then goes on without prepared statements, and fails elsewhere.
            let metadata = status.metadata().clone();
            status = Status::with_metadata(Code::InvalidArgument, status.message(), metadata);
        }
        status
    })?;
    let statement = PreparedStatement::new(session.clone(), prepared);
    // An empty dataset schema says that the statement gives no rows; drivers then run it as an update.
    let dataset_schema = match &statement.prepared.schema {
        Some(schema) => schema_bytes(schema).map_err(|error| status(&error))?,
        None => Bytes::new(),
    };
    let parameter_schema = schema_bytes(&statement.parameter_schema()).map_err(|error| status(&error))?;
    let key = random_key().map_err(|error| status(&error))?;
    edge.prepared
        .insert(key, session.id, Arc::new(statement))
        .map_err(|error| status(&error))?;
    let result = ActionCreatePreparedStatementResult {
        prepared_statement_handle: key.to_vec().into(),
        dataset_schema,
        parameter_schema,
    };
    Ok(one(&result.as_any()))
}

/// Drops a prepared statement; one that is gone already is no error.
fn close_prepared(edge: &FlightEdge, session: &FlightSession, handle: &[u8]) {
    if edge.prepared_of(session, handle).is_ok()
        && let Ok(key) = handle.try_into()
    {
        edge.prepared.remove(&key);
    }
}

/// Cancels the statements of a FlightInfo and drops their tickets.
fn cancel(edge: &FlightEdge, session: &FlightSession, info: &FlightInfo) -> Result<(), Status> {
    if info.endpoint.is_empty() {
        return Err(undecodable("FlightInfo with an endpoint"));
    }
    for endpoint in &info.endpoint {
        let handle = handle_of(endpoint.ticket.as_ref())?;
        edge.ticket_of(session, &handle)?.cancel.cancel();
        if let Ok(key) = handle.as_ref().try_into() {
            edge.tickets.remove(&key);
        }
    }
    Ok(())
}

fn handle_of(ticket: Option<&FlightTicket>) -> Result<Bytes, Status> {
    let bytes = ticket.map(|ticket| ticket.ticket.clone()).unwrap_or_default();
    let command = Any::decode(bytes).ok().and_then(|any| Command::try_from(any).ok());
    match command {
        Some(Command::TicketStatementQuery(ticket)) => Ok(ticket.statement_handle),
        _ => Err(undecodable("ticket of a statement")),
    }
}

fn unpack<M: ProstMessageExt>(body: Bytes) -> Result<M, Status> {
    let any = Any::decode(body).ok();
    any.and_then(|any| any.unpack().ok().flatten())
        .ok_or_else(|| undecodable(M::type_url().rsplit('.').next().unwrap_or("message")))
}

fn bare<M: Message + Default>(body: Bytes, what: &str) -> Result<M, Status> {
    M::decode(body).map_err(|_| undecodable(what))
}

fn one(message: &impl Message) -> Vec<Bytes> {
    vec![message.encode_to_vec().into()]
}
