//! The listeners of both protocols: bound with clear errors, and started with the right certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;
use tokio::net::TcpListener;
use tonic::transport::Identity;

use crate::auth::Authenticator;
use crate::config::Config;
use crate::flight::FlightSettings;
use crate::pg::PgSettings;
use crate::private_file::refused;
use crate::shutdown::Servers;
use crate::tls::ServerTls;
use crate::wiring::SharedLogins;
use crate::{flight, pg};

/// Listens on an address. `option` is the command line option that changes it.
///
/// # Errors
///
/// `BadValue` if the port is taken or the address is not one of this machine.
pub async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let (message, hint) = match error.kind() {
            std::io::ErrorKind::AddrInUse => (
                format!("something else listens on {address}"),
                format!("Stop it, or choose another port with {option} (port 0 takes any free one)."),
            ),
            std::io::ErrorKind::PermissionDenied => (
                format!("this user may not listen on {address}"),
                format!("Choose a port above 1023 with {option}."),
            ),
            _ => (
                format!("cannot listen on {address}: {error}"),
                format!("Choose an address of this machine with {option}."),
            ),
        };
        Error::new(ErrorKind::BadValue, message).with_hint(hint)
    })
}

/// The address that a listener got.
///
/// # Errors
///
/// `State` if the system does not tell.
pub fn address_of(listener: &TcpListener) -> Result<SocketAddr> {
    listener
        .local_addr()
        .map_err(|error| Error::new(ErrorKind::State, "the listener has no address").with_source(error))
}

/// Starts both servers on their listeners.
///
/// # Errors
///
/// `BadValue` for a listener that other machines reach and that has no certificate, or for a certificate or key that
/// cannot be used.
pub fn start(
    servers: &mut Servers,
    config: &Config,
    frontend: &Frontend,
    pg_listener: TcpListener,
    flight_listener: TcpListener,
) -> Result<()> {
    let authenticator = Arc::new(Authenticator::try_new(frontend.clone())?);
    let mut settings = PgSettings::new(Arc::clone(&authenticator));
    if let Some((certificate, key)) = certificate(config, address_of(&pg_listener)?)? {
        settings.tls = Some(ServerTls::load(&certificate, &key)?);
    }
    settings.drain_timeout = config.shutdown_grace;
    settings.max_portals = config.limits.portals;
    settings.max_prepared_statements = config.limits.prepared_statements;
    let pg = pg::serve(pg_listener, frontend.clone(), settings, servers.stop_token());

    let mut settings = FlightSettings::default();
    if let Some((certificate, key)) = certificate(config, address_of(&flight_listener)?)? {
        // Read by the same rules as for PostgreSQL first, whose errors say what is wrong with which file.
        ServerTls::load(&certificate, &key)?;
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| refused("read", path, &error));
        let key = zeroize::Zeroizing::new(read(&key)?);
        settings.tls = Some(Identity::from_pem(read(&certificate)?, key.as_slice()));
    }
    settings.limits.drain = config.shutdown_grace;
    settings.limits.prepared_per_session = config.limits.prepared_statements;
    let logins = Arc::new(SharedLogins::new(frontend.clone(), authenticator));
    let flight = flight::serve(
        flight_listener,
        frontend.clone(),
        logins,
        settings,
        servers.stop_token(),
    );
    servers.start("PostgreSQL", pg);
    servers.start("Flight SQL", flight);
    Ok(())
}

/// The certificate and key for a listener, where it needs them.
fn certificate(config: &Config, address: SocketAddr) -> Result<Option<(PathBuf, PathBuf)>> {
    let Some((certificate, key)) = config.certificate_for(address) else {
        return Ok(None);
    };
    let configured = config.tls_certificate.is_some();
    if !(configured || certificate.exists() && key.exists()) {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!("the listener {address} is reachable from other machines, and there is no certificate"),
        )
        .with_hint("Give tls_certificate and tls_key, run `farthing init` to make a pair, or listen on 127.0.0.1."));
    }
    Ok(Some((certificate, key)))
}
