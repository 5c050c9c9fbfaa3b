//! Who calls: Handshake, and the credentials that come with every other call.
//!
//! A client logs in once with Handshake and sends the bearer token from then on, or sends `authorization: Basic` with
//! every call. Both name a session. No answer tells an unknown name from a wrong password, in text or in time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use farthing_engine::principal::Login;
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use futures::Stream;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use zeroize::Zeroizing;

use super::Logins;
use super::error::{refuse, status, undecodable};
use super::token::{FlightSession, Opened, Peer, Tokens};

/// The header that HTTP and Flight use for credentials, in requests and in Handshake's response.
const AUTHORIZATION: &str = "authorization";
/// The header in which Flight's older clients (`ClientAuthHandler`) send the token of Handshake's payload.
const AUTH_TOKEN_BIN: &str = "auth-token-bin";
/// Go's Flight client, and so ADBC, leaves the padding out.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How long a client may take to send the payload of Handshake.
const PAYLOAD_WAIT: Duration = Duration::from_secs(10);
/// Characters of a client's name for itself that are kept.
const APPLICATION_CHARACTERS: usize = 64;
/// Handshake's answer.
pub(super) type HandshakeStream = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send + 'static>>;

/// What a call says about its caller.
enum Credentials {
    Token(Zeroizing<String>),
    Basic { name: String, password: SecretString },
}

/// A session that lets a call in, and the one that had to end so that it could begin.
pub(super) struct Admitted {
    pub(super) session: Arc<FlightSession>,
    pub(super) ended: Option<Arc<FlightSession>>,
}

/// Lets calls in.
pub(super) struct Gate {
    logins: Arc<dyn Logins>,
    tokens: Tokens,
}

impl Gate {
    pub(super) fn new(logins: Arc<dyn Logins>, tokens: Tokens) -> Self {
        Self { logins, tokens }
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Answers Handshake: takes the credentials from the headers, or else from the payload, and gives a bearer token in
    /// the `authorization` header and as the payload. A token that is still valid is given back.
    pub(super) async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<(Response<HandshakeStream>, Admitted), Status> {
        let peer = peer_of(&request);
        let credentials = match credentials_of(request.metadata())? {
            Some(credentials) => credentials,
            None => payload_credentials(request.into_inner()).await?,
        };
        let (token, admitted) = match credentials {
            Credentials::Token(token) => {
                let session = self.session_of_token(&token)?;
                (token.to_string(), Admitted { session, ended: None })
            }
            Credentials::Basic { name, password } => {
                let login = self.check(name, password, &peer).await?;
                let (token, opened) = self.tokens.issue(login, peer).map_err(|error| status(&error))?;
                (token, admitted(opened))
            }
        };
        let answer = HandshakeResponse {
            protocol_version: 0,
            payload: token.clone().into(),
        };
        let stream: HandshakeStream = Box::pin(futures::stream::iter([Ok(answer)]));
        let mut response = Response::new(stream);
        let header = format!("Bearer {token}")
            .parse()
            .map_err(|_| status(&Error::defect("a token does not fit into a header")))?;
        response.metadata_mut().insert(AUTHORIZATION, header);
        Ok((response, admitted))
    }

    /// The session of any other call.
    pub(super) async fn admit<T>(&self, request: &Request<T>) -> Result<Admitted, Status> {
        let Some(credentials) = credentials_of(request.metadata())? else {
            return Err(refuse(
                ErrorKind::BadCredentials,
                "the call carries no credentials",
                "log in with Handshake and send its bearer token, or send `authorization: Basic`",
            ));
        };
        match credentials {
            Credentials::Token(token) => Ok(Admitted {
                session: self.session_of_token(&token)?,
                ended: None,
            }),
            Credentials::Basic { name, password } => {
                if let Some(session) = self.tokens.session_of_basic(&name, &password)
                    && self.still_valid(&session)
                {
                    return Ok(Admitted { session, ended: None });
                }
                let peer = peer_of(request);
                let login = self.check(name, password.clone(), &peer).await?;
                let opened = self
                    .tokens
                    .open_basic(login, &password, peer)
                    .map_err(|error| status(&error))?;
                Ok(admitted(opened))
            }
        }
    }

    fn session_of_token(&self, token: &str) -> Result<Arc<FlightSession>, Status> {
        self.tokens
            .session_of(token)
            .filter(|session| self.still_valid(session))
            .ok_or_else(|| {
                refuse(
                    ErrorKind::BadCredentials,
                    "the bearer token is unknown, expired or revoked",
                    "log in again with Handshake",
                )
            })
    }

    /// Whether the login still stands as it was; a new password, role or grant ends the sessions of the old one.
    fn still_valid(&self, session: &FlightSession) -> bool {
        let valid = self.logins.find(&session.login.name).as_ref() == Some(&session.login);
        if !valid {
            self.tokens.end(session);
        }
        valid
    }

    async fn check(&self, name: String, password: SecretString, peer: &Peer) -> Result<Login, Status> {
        let address = peer.address.map(|address| address.ip());
        // The login is read first: one that changes while the password is checked gives a session that ends at once.
        let login = self.logins.find(&name);
        let checked = self.logins.check_password(&name, password, address).await;
        checked
            .and_then(|()| login.ok_or_else(|| Error::new(ErrorKind::BadCredentials, "the login is gone")))
            .map_err(|error| status(&error))
    }
}

fn admitted(opened: Opened) -> Admitted {
    Admitted {
        session: opened.session,
        ended: opened.ended,
    }
}

fn peer_of<T>(request: &Request<T>) -> Peer {
    let application = request
        .metadata()
        .get("user-agent")
        .and_then(|agent| agent.to_str().ok())
        .map(|agent| agent.chars().take(APPLICATION_CHARACTERS).collect())
        .unwrap_or_default();
    Peer {
        address: request.remote_addr(),
        application,
    }
}

/// The credentials in the headers; `None` if there are none.
fn credentials_of(metadata: &MetadataMap) -> Result<Option<Credentials>, Status> {
    if let Some(value) = metadata.get(AUTHORIZATION) {
        let value = value.to_str().map_err(|_| bad_header())?;
        let (scheme, rest) = value.split_once(' ').ok_or_else(bad_header)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Credentials::Token(Zeroizing::new(rest.to_owned()))));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return basic(rest).map(Some);
        }
        return Err(bad_header());
    }
    let Some(value) = metadata.get_bin(AUTH_TOKEN_BIN) else {
        return Ok(None);
    };
    let token = value
        .to_bytes()
        .ok()
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
        .ok_or_else(bad_header)?;
    Ok(Some(Credentials::Token(Zeroizing::new(token))))
}

/// RFC 7617: base64 of `name:password`; the name holds no colon.
fn basic(encoded: &str) -> Result<Credentials, Status> {
    let decoded = Zeroizing::new(BASIC.decode(encoded).map_err(|_| bad_header())?);
    let text = std::str::from_utf8(&decoded).map_err(|_| bad_header())?;
    let (name, password) = text.split_once(':').ok_or_else(bad_header)?;
    Ok(Credentials::Basic {
        name: name.to_owned(),
        password: SecretString::new(password),
    })
}

fn bad_header() -> Status {
    refuse(
        ErrorKind::BadCredentials,
        "the authorization header is not readable",
        "send `Bearer <token>` or `Basic <base64 of name:password>`",
    )
}

/// The credentials in Handshake's first message: `BasicAuth` of Flight.proto.
async fn payload_credentials(mut messages: Streaming<HandshakeRequest>) -> Result<Credentials, Status> {
    let missing = || {
        refuse(
            ErrorKind::BadCredentials,
            "Handshake carries no credentials",
            "send `authorization: Basic`, or a BasicAuth message as the payload",
        )
    };
    let message = tokio::time::timeout(PAYLOAD_WAIT, messages.message())
        .await
        .map_err(|_| missing())??
        .filter(|message| !message.payload.is_empty())
        .ok_or_else(missing)?;
    let auth = BasicAuth::decode(message.payload).map_err(|_| undecodable("BasicAuth payload"))?;
    Ok(Credentials::Basic {
        name: auth.username,
        password: SecretString::new(auth.password),
    })
}
