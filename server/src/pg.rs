//! The PostgreSQL protocol (version 3, as PostgreSQL 16 speaks it) over the SQL front end.
//!
//! pgwire gives the outgoing messages and the types. Reading, the connection loop and portals are Farthing's own: pgwire
//! 0.41 gathers an unlimited Execute in memory before it sends the first row, cannot be cancelled while rows flow, does not
//! see a client that leaves during a statement, and trusts the lengths inside a message.

mod cancel;
mod connection;
mod encode;
mod error;
mod extended;
mod parameters;
mod rows;
mod simple;
mod startup;
mod types;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::cancel::Cancels;
use self::connection::Connection;
pub(crate) use self::encode::{json_objects, text_cells};
use self::error::Break;
use crate::auth::Authenticator;
use crate::tls::ServerTls;

/// `server_version`: a number that clients parse, then the product. Clients choose their catalog queries by the number.
pub const SERVER_VERSION: &str = concat!("16.6 (Farthing ", env!("CARGO_PKG_VERSION"), ")");

/// Connections that have not logged in yet, at most. They are many more than a burst of clients needs, and few enough that
/// idle ones cannot exhaust the process.
const MAX_PENDING: usize = 256;

/// Whether clients must encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// Clients may; only a loopback listener can leave them the choice.
    Offered,
    /// Clients must.
    Required,
}

/// How the listener behaves.
#[derive(Clone)]
pub struct PgSettings {
    /// Checks logins; shared with the other protocols.
    pub authenticator: Arc<Authenticator>,
    /// The certificate. A listener that is not on a loopback address does not start without.
    pub tls: Option<ServerTls>,
    /// Whether clients must encrypt. A listener that is not on a loopback address always requires it.
    pub tls_use: TlsUse,
    /// Connections at one time.
    pub max_connections: usize,
    /// From the accepted socket to the end of the login, waits after failed logins included.
    pub startup_timeout: Duration,
    /// How long running statements may go on once the server stops.
    pub drain_timeout: Duration,
    /// The length of one message from a client: a statement, or all values of one Bind. In bytes.
    pub max_message_bytes: usize,
    /// Portals of one session.
    pub max_portals: usize,
    /// Prepared statements of one session.
    pub max_prepared_statements: usize,
}

impl PgSettings {
    /// The defaults: no TLS, 100 connections, 30 s for the login, 10 s to drain, 16 MiB for a message, 64 portals and 1,000
    /// prepared statements.
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        Self {
            authenticator,
            tls: None,
            tls_use: TlsUse::Offered,
            max_connections: 100,
            startup_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            max_message_bytes: 16 << 20,
            max_portals: 64,
            max_prepared_statements: 1_000,
        }
    }
}

/// What all connections of a listener share.
struct Server {
    frontend: Frontend,
    settings: PgSettings,
    tls_use: TlsUse,
    connections: Arc<Semaphore>,
    cancels: Arc<Cancels>,
}

/// The two stages of stopping.
#[derive(Clone)]
struct Stop {
    /// Idle connections end; busy ones finish their statement.
    drain: CancellationToken,
    /// All connections end.
    now: CancellationToken,
}

/// Serves clients until `shutdown`; then takes no more, lets running statements finish within the drain timeout, and
/// returns when every connection is closed.
///
/// # Errors
///
/// [`ErrorKind::BadValue`] if the settings would let passwords or rows leave the machine in plain text: a listener that
/// is not on a loopback address and has no certificate, or one that requires TLS without.
pub async fn serve(
    listener: TcpListener,
    frontend: Frontend,
    settings: PgSettings,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|error| Error::new(ErrorKind::State, "the PostgreSQL listener has no address").with_source(error))?;
    let tls_use = allowed_tls_use(address, settings.tls.is_some(), settings.tls_use)?;
    let server = Arc::new(Server {
        frontend,
        tls_use,
        connections: Arc::new(Semaphore::new(settings.max_connections)),
        cancels: Arc::default(),
        settings,
    });
    let stop = Stop {
        drain: shutdown.clone(),
        now: CancellationToken::new(),
    };
    let tasks = TaskTracker::new();
    tracing::info!(%address, tls = server.settings.tls.is_some(), "PostgreSQL clients are welcome");
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accept(&listener, &server, &stop, &tasks) => {}
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(server.settings.drain_timeout, tasks.wait())
        .await
        .is_err()
    {
        stop.now.cancel();
        tasks.wait().await;
    }
    Ok(())
}

/// Invariant: only a loopback listener may speak without TLS.
fn allowed_tls_use(address: SocketAddr, certificate: bool, wanted: TlsUse) -> Result<TlsUse> {
    let local = address.ip().to_canonical().is_loopback();
    match (local, certificate, wanted) {
        (true, true, wanted) => Ok(wanted),
        (true, false, TlsUse::Offered) => Ok(TlsUse::Offered),
        (false, true, _) => Ok(TlsUse::Required),
        (_, false, _) => Err(Error::new(
            ErrorKind::BadValue,
            format!("the PostgreSQL listener on {address} has no TLS certificate"),
        )
        .with_hint("give it a certificate and key (`farthing init` makes a pair), or listen on 127.0.0.1 without requiring TLS")),
    }
}

async fn accept(listener: &TcpListener, server: &Arc<Server>, stop: &Stop, tasks: &TaskTracker) {
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    loop {
        let Ok(place) = pending.clone().acquire_owned().await else {
            return;
        };
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly too many open files, which passes when a connection ends.
                tracing::warn!(%error, "a PostgreSQL connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        keep_alive(&socket);
        let (server, stop) = (server.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = converse(socket, address, &server, stop, place).await {
                tracing::debug!(%address, %error, "a PostgreSQL connection broke");
            }
        });
    }
}

/// Has the operating system probe clients that are silent, so that one whose machine vanished does not hold its connection
/// for ever.
fn keep_alive(socket: &TcpStream) {
    let probing = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    if let Err(error) = SockRef::from(socket).set_tcp_keepalive(&probing) {
        tracing::debug!(%error, "a PostgreSQL connection is not probed");
    }
}

/// One connection, from the accepted socket to its end.
async fn converse(
    socket: TcpStream,
    address: SocketAddr,
    server: &Server,
    stop: Stop,
    place: tokio::sync::OwnedSemaphorePermit,
) -> std::io::Result<()> {
    let opened = tokio::select! {
        opened = tokio::time::timeout(server.settings.startup_timeout, startup::open(socket, address, server)) => opened,
        () = stop.drain.cancelled() => return Ok(()),
    };
    drop(place);
    let opened = match opened {
        Ok(Ok(Some(opened))) => opened,
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(Break::Lost(error))) => return Err(error),
        Ok(Err(Break::Fatal(error) | Break::Statement(error))) => {
            tracing::debug!(%address, ?error, "a PostgreSQL client was refused");
            return Ok(());
        }
        Err(_) => {
            tracing::debug!(%address, "a PostgreSQL client did not log in in time");
            return Ok(());
        }
    };
    tracing::debug!(%address, user = opened.session.principal().name, "a PostgreSQL client logged in");
    // The connection's state machine is large; on the heap it costs the task only a pointer.
    Box::pin(Connection::new(opened, server.frontend.clone(), &server.settings).run(stop)).await
}

#[cfg(test)]
mod tests;
