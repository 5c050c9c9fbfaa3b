//! The Arrow Flight SQL front end.
//!
//! [`serve`] answers the Flight RPCs on a listener: it authenticates callers, hands their statements to the SQL front end
//! and streams the rows back. It decides nothing about SQL; that is [`farthing_sql::Frontend`]'s part.
//!
//! The RPCs and messages are those of Arrow's `Flight.proto` and `FlightSql.proto`. `FlightService` is implemented directly
//! over arrow-flight's `Command`, not through its `FlightSqlService`: that one leaves GetSchema and PollFlightInfo out and
//! puts Rust debug text into decoding errors.

mod action;
mod batch;
mod error;
mod handshake;
mod metadata;
mod prepared;
mod service;
mod session_options;
mod sql_info;
mod store;
#[cfg(test)]
mod tests;
mod ticket;
mod token;
mod xdbc;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use async_trait::async_trait;
use farthing_engine::principal::Login;
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use self::service::FlightEdge;

/// How often expired tokens, tickets and prepared statements are dropped, besides the looks at every use.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A gRPC ping finds clients that went away without closing their connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// How long a client may take to answer that ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How the Flight SQL front end serves.
#[derive(Clone)]
pub struct FlightSettings {
    /// The server's certificate chain and key; `None` serves in clear text, which only a loopback listener may do.
    pub tls: Option<Identity>,
    /// How long a bearer token, and the session behind it, lives without a call.
    pub token_ttl: Duration,
    /// What clients may use up.
    pub limits: FlightLimits,
}

impl Default for FlightSettings {
    /// Clear text (loopback only), tokens of 24 hours without a call.
    ///
    /// A day, because BI tools keep pooled connections overnight and drivers do not log in again by themselves. A token
    /// ends at once when its login is dropped or changes its password, role or accounts.
    fn default() -> Self {
        Self {
            tls: None,
            token_ttl: Duration::from_secs(24 * 60 * 60),
            limits: FlightLimits::default(),
        }
    }
}

/// What clients may use up at most. Every store is bounded, so that no client can make the server grow without end.
#[derive(Debug, Clone, Copy)]
pub struct FlightLimits {
    /// Sessions of all logins together; one more is refused.
    pub sessions: usize,
    /// Sessions of one login; one more ends the one that was idle longest.
    pub sessions_per_login: usize,
    /// Tickets of all sessions together; one more is refused.
    pub tickets: usize,
    /// Tickets of one session; one more drops the one that was idle longest.
    pub tickets_per_session: usize,
    /// How long a ticket lives without being used.
    pub ticket_ttl: Duration,
    /// Prepared statements of all sessions together; one more is refused.
    pub prepared: usize,
    /// Prepared statements of one session; one more is refused.
    pub prepared_per_session: usize,
    /// How long a prepared statement lives without being used. At most 24 days, as SqlInfo 100 tells it in 32 bits.
    pub prepared_ttl: Duration,
    /// Rows that one binding may hold; the statement runs once for each.
    pub bound_rows: usize,
    /// Bytes of a CALL's result that a ticket keeps to answer a repeated DoGet.
    pub replay_bytes_per_ticket: usize,
    /// Bytes of such results in all tickets together.
    pub replay_bytes: usize,
    /// Bytes of Arrow data in one message to a client. Several clients refuse messages above 4 MiB.
    pub message_bytes: usize,
    /// Bytes of one message from a client.
    pub request_bytes: usize,
    /// How long running statements may go on after shutdown begins.
    pub drain: Duration,
}

impl Default for FlightLimits {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_login: 1_000,
            tickets: 20_000,
            tickets_per_session: 256,
            ticket_ttl: Duration::from_secs(10 * 60),
            prepared: 20_000,
            prepared_per_session: 1_000,
            prepared_ttl: Duration::from_secs(60 * 60),
            bound_rows: 10_000,
            replay_bytes_per_ticket: 1024 * 1024,
            replay_bytes: 64 * 1024 * 1024,
            message_bytes: 2 * 1024 * 1024,
            request_bytes: 16 * 1024 * 1024,
            drain: Duration::from_secs(10),
        }
    }
}

/// Who may log in, and with which password.
#[async_trait]
pub trait Logins: Send + Sync + 'static {
    /// The login called `name`, as it stands now. Asked at every call, so it must be in memory.
    fn find(&self, name: &str) -> Option<Login>;

    /// Checks a password that came in clear, off the I/O threads, and slows guessing down.
    ///
    /// # Errors
    /// `BadCredentials` for an unknown name and for a wrong password alike, in text and in time.
    async fn check_password(&self, name: &str, password: SecretString, address: Option<IpAddr>) -> Result<()>;
}

/// Serves Flight SQL on `listener` until `shutdown` is cancelled; then accepts nothing new, gives running statements
/// [`FlightLimits::drain`] to end, and cancels what is left.
///
/// # Errors
/// If the listener is not a loopback address and there is no certificate, if the certificate or key cannot be used, or
/// if the transport fails.
pub async fn serve(
    listener: TcpListener,
    frontend: Frontend,
    logins: Arc<dyn Logins>,
    settings: FlightSettings,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|error| transport("the listener has no address", error))?;
    if settings.tls.is_none() && !address.ip().is_loopback() {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!("the Flight SQL listener {address} is reachable from other machines and has no certificate"),
        )
        .with_hint("configure a certificate and key, or listen on 127.0.0.1"));
    }
    let stop = CancellationToken::new();
    let limits = settings.limits;
    let edge = Arc::new(FlightEdge::new(
        frontend,
        logins,
        settings.token_ttl,
        limits,
        stop.clone(),
    )?);
    let mut builder = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    if let Some(identity) = settings.tls {
        builder = builder
            .tls_config(ServerTlsConfig::new().identity(identity))
            .map_err(|error| {
                transport(
                    "the certificate or key of the Flight SQL listener cannot be used",
                    error,
                )
                .with_hint("both must be PEM, and the key must belong to the first certificate")
            })?;
    }
    let service = FlightServiceServer::from_arc(edge.clone())
        .max_decoding_message_size(limits.request_bytes)
        // One row is never split, so a single wide row may exceed the batch size; the client's own limit decides then.
        .max_encoding_message_size(usize::MAX);
    let server = builder.add_service(service).serve_with_incoming_shutdown(
        TcpIncoming::from(listener).with_nodelay(Some(true)),
        shutdown.clone().cancelled_owned(),
    );
    let drain = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.drain).await;
        stop.cancel();
        // Cancelled statements end their streams within this; a client that reads nothing any more is left behind.
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let sweep = async {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            edge.sweep();
        }
    };
    let result = tokio::select! {
        result = server => result.map_err(|error| transport("the Flight SQL listener failed", error)),
        () = drain => Ok(()),
        () = sweep => Ok(()),
    };
    stop.cancel();
    result
}

fn transport(message: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::State, message)
        .with_detail(error.to_string())
        .with_source(error)
}
