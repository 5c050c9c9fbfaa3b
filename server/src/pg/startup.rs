//! From an accepted socket to a session: TLS, the start-up packet, SCRAM, the first settings.

use std::io::ErrorKind;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use farthing_engine::principal::Principal;
use farthing_sql::frontend::CATALOG;
use farthing_sql::{Origin, Protocol, Session};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion, ParameterStatus};
use pgwire::tokio::server::MaybeTls;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;

use super::cancel::CancelKey;
use super::error::{Break, PgError};
use super::wire::frontend::{FrontendMessage, Opening, parse_sasl_initial};
use super::wire::{Reader, Writer, read_opening};
use super::{Server, TlsUse};
use crate::auth::random_bytes;
use crate::auth::scram::{self, ScramError};
use crate::tls::POSTGRESQL_ALPN;

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// The newest minor version of protocol 3 that is spoken.
const NEWEST_MINOR: u16 = 2;
/// Negotiations before the start-up packet: one for TLS and one for GSSAPI, with room for repetition.
const MAX_NEGOTIATIONS: usize = 4;

/// An authenticated connection.
pub(super) struct Opened {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) session: Session,
    pub(super) cancel: CancelKey,
    /// Counts the connection while it lives.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What the start-up packet asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    user: String,
    database: Option<String>,
    application: String,
    /// Settings for the session, in order.
    settings: Vec<(String, String)>,
    /// Protocol options that are not known here.
    unknown_options: Vec<String>,
}

/// Takes a client in. `None` where it only wanted to cancel, or was refused and told so.
pub(super) async fn open(socket: TcpStream, address: SocketAddr, server: &Server) -> Result<Option<Opened>, Break> {
    let _ = socket.set_nodelay(true);
    let (mut stream, opening) = match negotiate(socket, server).await? {
        Some(negotiated) => negotiated,
        None => return Ok(None),
    };
    let refused = match opening {
        Ok((minor, parameters)) => {
            let secure = matches!(stream, MaybeTls::Tls(_));
            let (read, write) = tokio::io::split(stream);
            let mut entrance = Entrance {
                server,
                address,
                secure,
                reader: Reader::new(read),
                writer: Writer::new(write),
            };
            match entrance.admit(minor, parameters).await {
                Ok((session, cancel, permit)) => {
                    let Entrance { mut reader, writer, .. } = entrance;
                    reader.set_max_message_bytes(server.settings.max_message_bytes);
                    return Ok(Some(Opened {
                        reader,
                        writer,
                        session,
                        cancel,
                        permit,
                    }));
                }
                Err(Break::Lost(error)) => return Err(Break::Lost(error)),
                Err(Break::Fatal(error) | Break::Statement(error)) => {
                    entrance.writer.put_error(error)?;
                    entrance.writer.close().await?;
                    return Ok(None);
                }
            }
        }
        Err(error) => error,
    };
    let mut out = bytes::BytesMut::new();
    PgWireBackendMessage::ErrorResponse(refused.into_fields().into())
        .encode(&mut out)
        .map_err(std::io::Error::other)?;
    stream.write_all(&out).await?;
    stream.shutdown().await?;
    Ok(None)
}

type Parameters = (u16, Vec<(String, String)>);

/// Answers requests for encryption until the start-up packet is there. `None` after a cancel request.
async fn negotiate(
    socket: TcpStream,
    server: &Server,
) -> Result<Option<(MaybeTls, Result<Parameters, PgError>)>, Break> {
    let acceptor = server
        .settings
        .tls
        .as_ref()
        .map(|tls| TlsAcceptor::from(tls.config().clone()));
    let mut first = [0];
    let direct = socket.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE;
    let mut stream = MaybeTls::Plain(socket);
    if direct {
        // Without a certificate there is no way to answer in a form that the client reads.
        let Some(acceptor) = &acceptor else {
            return Ok(None);
        };
        stream = secure(stream, acceptor).await?;
        let named = match &stream {
            MaybeTls::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(POSTGRESQL_ALPN),
            _ => false,
        };
        if !named {
            let error = PgError::protocol("received direct SSL connection request without ALPN protocol");
            return Ok(Some((stream, Err(error))));
        }
    }
    for _ in 0..MAX_NEGOTIATIONS {
        let opening = match read_opening(&mut stream).await {
            Err(Break::Fatal(error) | Break::Statement(error)) => return Ok(Some((stream, Err(error)))),
            opening => opening?,
        };
        match (opening, &acceptor) {
            (Opening::Tls, Some(acceptor)) if matches!(stream, MaybeTls::Plain(_)) => {
                stream.write_all(b"S").await?;
                stream = secure(stream, acceptor).await?;
            }
            (Opening::Tls | Opening::Gss, _) => {
                stream.write_all(b"N").await?;
                stream.flush().await?;
            }
            (Opening::Cancel { pid, secret }, _) => {
                server.cancels.cancel(pid, &secret);
                stream.shutdown().await?;
                return Ok(None);
            }
            (Opening::Startup { minor, parameters }, _) => return Ok(Some((stream, Ok((minor, parameters))))),
        }
    }
    Ok(Some((stream, Err(PgError::protocol("too many encryption requests")))))
}

async fn secure(stream: MaybeTls, acceptor: &TlsAcceptor) -> Result<MaybeTls, Break> {
    match stream {
        MaybeTls::Plain(socket) => Ok(MaybeTls::Tls(Box::new(acceptor.accept(socket).await?))),
        other => Ok(other),
    }
}

/// A client on its way in.
struct Entrance<'a> {
    server: &'a Server,
    address: SocketAddr,
    secure: bool,
    reader: Reader,
    writer: Writer,
}

impl Entrance<'_> {
    /// Checks who the client is and opens its session.
    async fn admit(
        &mut self,
        minor: u16,
        parameters: Vec<(String, String)>,
    ) -> Result<(Session, CancelKey, OwnedSemaphorePermit), Break> {
        let server = self.server;
        if server.tls_use == TlsUse::Required && !self.secure {
            return Err(PgError::fatal("28000", "the server accepts only encrypted connections")
                .with_hint("connect with TLS: sslmode=require, or verify-full with the server's certificate")
                .into());
        }
        let request = Request::read(parameters)?;
        if minor > NEWEST_MINOR || !request.unknown_options.is_empty() {
            let version = 3 << 16 | i32::from(minor.min(NEWEST_MINOR));
            let message = NegotiateProtocolVersion::new(version, request.unknown_options.clone());
            self.writer
                .put(PgWireBackendMessage::NegotiateProtocolVersion(message))?;
        }
        let Ok(permit) = server.connections.clone().try_acquire_owned() else {
            return Err(PgError::fatal("53300", "sorry, too many clients already")
                .with_detail(format!("the limit is {} connections", server.settings.max_connections))
                .with_hint("close idle connections, use a connection pool, or raise max_connections")
                .into());
        };
        let principal = self.authenticate(&request.user).await?;
        let unknown = |name: &&String| *name != CATALOG && **name != request.user;
        if let Some(database) = request.database.as_ref().filter(unknown) {
            return Err(
                PgError::fatal("3D000", format!("database \"{database}\" does not exist"))
                    .with_hint(format!("there is one database: {CATALOG}"))
                    .into(),
            );
        }
        let origin = Origin {
            protocol: Protocol::Postgres,
            address: Some(self.address),
            application: request.application.clone(),
        };
        let session = server.frontend.open_session(principal, origin);
        for (name, value) in &request.settings {
            session.apply_startup_setting(name, value);
        }
        let cancel = server.cancels.register(minor).map_err(PgError::from)?;
        self.writer
            .put(PgWireBackendMessage::Authentication(Authentication::Ok))?;
        for (name, value) in reported(&request, session.reported_settings()) {
            let status = ParameterStatus::new(name, value);
            self.writer.put(PgWireBackendMessage::ParameterStatus(status))?;
        }
        self.writer
            .put(PgWireBackendMessage::BackendKeyData(cancel.message()))?;
        Ok((session, cancel, permit))
    }

    /// Runs the SCRAM exchange. A wrong password and an unknown user end it at the same point with the same words.
    async fn authenticate(&mut self, user: &str) -> Result<Principal, Break> {
        let authenticator = &self.server.settings.authenticator;
        let address = Some(self.address.ip());
        authenticator.wait(address).await;
        let end_point = self
            .server
            .settings
            .tls
            .as_ref()
            .filter(|_| self.secure)
            .and_then(|tls| tls.end_point());
        let mut mechanisms = vec![scram::PLAIN.to_owned()];
        if end_point.is_some() {
            mechanisms.insert(0, scram::PLUS.to_owned());
        }
        self.ask(Authentication::SASL(mechanisms.clone())).await?;
        let (mechanism, first) = parse_sasl_initial(self.answer().await?)?;
        if !mechanisms.contains(&mechanism) {
            return Err(PgError::protocol("client selected an invalid SASL authentication mechanism").into());
        }
        let candidate = authenticator.candidate(user);
        let nonce = STANDARD.encode(random_bytes::<18>().map_err(PgError::from)?);
        let (server_first, pending) = scram::begin(candidate.verifier(), &mechanism, &first, end_point, &nonce)
            .map_err(|error| refusal(error, user))?;
        self.ask(Authentication::SASLContinue(server_first.into())).await?;
        let outcome = pending.finish(&self.answer().await?);
        let principal = outcome.and_then(|server_final| {
            let principal = candidate.into_principal().ok_or(ScramError::WrongPassword)?;
            Ok((principal, server_final))
        });
        match principal {
            Ok((principal, server_final)) => {
                authenticator.succeeded(address);
                self.writer
                    .put(PgWireBackendMessage::Authentication(Authentication::SASLFinal(
                        server_final.into(),
                    )))?;
                Ok(principal)
            }
            Err(error) => {
                authenticator.failed(address);
                tracing::warn!(user, %self.address, ?error, "a login failed");
                Err(refusal(error, user).into())
            }
        }
    }

    async fn ask(&mut self, message: Authentication) -> Result<(), Break> {
        self.writer.put(PgWireBackendMessage::Authentication(message))?;
        Ok(self.writer.flush().await?)
    }

    async fn answer(&mut self) -> Result<Bytes, Break> {
        match self.reader.next().await? {
            Some(FrontendMessage::Authentication(body)) => Ok(body),
            Some(_) => Err(PgError::protocol("expected SASL response").into()),
            None => Err(Break::Lost(ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn refusal(error: ScramError, user: &str) -> PgError {
    match error {
        ScramError::WrongPassword => {
            PgError::fatal("28P01", format!("password authentication failed for user \"{user}\""))
        }
        ScramError::Malformed(how) => PgError::protocol("malformed SCRAM message").with_detail(how),
    }
}

impl Request {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, PgError> {
        let mut request = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "user" => request.user = value,
                "database" => request.database = Some(value).filter(|name| !name.is_empty()),
                "options" => request.settings.extend(read_options(&value)?),
                "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                    return Err(PgError::fatal("0A000", "replication connections are not offered"));
                }
                "replication" => {}
                _ if name.starts_with("_pq_.") => request.unknown_options.push(name),
                _ => request.settings.push((name, value)),
            }
        }
        if request.user.is_empty() {
            return Err(PgError::fatal(
                "28000",
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        for (name, value) in &request.settings {
            if name.eq_ignore_ascii_case("client_encoding") && !is_utf8(value) {
                return Err(PgError::fatal(
                    "22023",
                    format!("invalid value for parameter \"client_encoding\": \"{value}\""),
                )
                .with_hint("the server speaks UTF8 only: set client_encoding to UTF8"));
            }
            if name.eq_ignore_ascii_case("application_name") {
                request.application.clone_from(value);
            }
        }
        Ok(request)
    }
}

/// PostgreSQL ignores case and everything that is neither letter nor digit in names of encodings.
fn is_utf8(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|char| char.to_ascii_lowercase())
        .collect();
    matches!(name.as_str(), "utf8" | "unicode")
}

/// The settings in `options`: `-c name=value`, `-cname=value` or `--name=value`, with backslashes before blanks that
/// belong to a value.
fn read_options(options: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut words = Vec::new();
    let mut word = None;
    let mut chars = options.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => word.get_or_insert_with(String::new).extend(chars.next()),
            char if char.is_ascii_whitespace() => words.extend(word.take()),
            char => word.get_or_insert_with(String::new).push(char),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(setting) => Some(setting.to_owned()),
            None => None,
        };
        let Some((name, value)) = setting.as_ref().and_then(|setting| setting.split_once('=')) else {
            return Err(
                PgError::fatal("42601", "invalid command-line argument for server process")
                    .with_hint("give settings in options as -c name=value"),
            );
        };
        // As PostgreSQL does, so that a name can be written in one word of a shell.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// What ParameterStatus tells at the start: the session's settings, and whose session it is.
fn reported(request: &Request, mut settings: Vec<(String, String)>) -> Vec<(String, String)> {
    settings.push(("session_authorization".to_owned(), request.user.clone()));
    settings
}

#[cfg(test)]
mod tests;
