//! Bearer tokens and the sessions behind them.
//!
//! A token is 256 random bits. The server keeps its SHA-256 alone: the hash of that many random bits cannot be inverted,
//! and a lookup by hash tells nothing about a token through its timing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use farthing_engine::Result;
use farthing_engine::principal::Login;
use farthing_engine::secret::SecretString;
use farthing_sql::{Frontend, Origin, Protocol, Session};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::FlightLimits;
use super::session_options::OptionValue;
use super::store::{Bounds, Key, Store, WhenFull, random_key};

/// One session of a Flight client: what its token stands for.
pub(super) struct FlightSession {
    /// Tells sessions apart.
    pub(super) id: u64,
    /// The login as it was when the session began.
    pub(super) login: Login,
    /// The SQL session.
    pub(super) session: Session,
    /// Cancels what reads in the session.
    pub(super) cancel: CancellationToken,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
    /// The options that the client set and that are not read back from the SQL session.
    pub(super) options: Mutex<BTreeMap<String, OptionValue>>,
    key: Key,
}

/// What a client is known to be before it logs in.
pub(super) struct Peer {
    /// Its address, where the transport knows it.
    pub(super) address: Option<SocketAddr>,
    /// What it calls itself (`user-agent`); may be empty.
    pub(super) application: String,
}

/// The sessions by the hash of their token.
pub(super) struct Tokens {
    frontend: Frontend,
    store: Store<String, FlightSession>,
    /// Keys the hashes of Basic credentials, so that a memory image gives no fast way to try passwords without it.
    basic_key: Key,
    stop: CancellationToken,
    next_id: AtomicU64,
}

impl Tokens {
    pub(super) fn new(
        frontend: Frontend,
        ttl: Duration,
        limits: &FlightLimits,
        stop: CancellationToken,
    ) -> Result<Self> {
        let bounds = Bounds {
            what: "sessions",
            total: limits.sessions,
            per_owner: limits.sessions_per_login,
            when_full: WhenFull::DropIdlest,
            idle: ttl,
        };
        Ok(Self {
            frontend,
            store: Store::new(bounds),
            basic_key: random_key()?,
            stop,
            next_id: AtomicU64::new(1),
        })
    }

    /// Begins a session and gives the token for it, in the form that the `authorization` header takes after `Bearer`.
    pub(super) fn issue(&self, login: Login, peer: Peer) -> Result<(String, Opened)> {
        let token = BASE64_URL_SAFE_NO_PAD.encode(random_key()?);
        let opened = self.open(hash_of(&token), login, peer)?;
        Ok((token, opened))
    }

    /// The session of a token.
    pub(super) fn session_of(&self, token: &str) -> Option<Arc<FlightSession>> {
        self.store.get(&hash_of(token))
    }

    /// The session of credentials that come with every call instead of a token.
    pub(super) fn session_of_basic(&self, name: &str, password: &SecretString) -> Option<Arc<FlightSession>> {
        self.store.get(&self.basic_hash(name, password))
    }

    /// Begins the session of such credentials, once they are checked.
    pub(super) fn open_basic(&self, login: Login, password: &SecretString, peer: Peer) -> Result<Opened> {
        let key = self.basic_hash(&login.name, password);
        self.open(key, login, peer)
    }

    fn open(&self, key: Key, login: Login, peer: Peer) -> Result<Opened> {
        let origin = Origin {
            protocol: Protocol::FlightSql,
            address: peer.address,
            application: peer.application,
        };
        let session = Arc::new(FlightSession {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            session: self.frontend.open_session(login.principal(), origin),
            cancel: self.stop.child_token(),
            stop: self.stop.clone(),
            options: Mutex::default(),
            key,
            login,
        });
        let ended = self.store.insert(key, session.login.name.clone(), session.clone())?;
        Ok(Opened { session, ended })
    }

    /// Ends a session: its token is worth nothing any more, and what reads in it is cancelled.
    pub(super) fn end(&self, session: &FlightSession) {
        self.store.remove(&session.key);
        session.cancel.cancel();
    }

    /// Takes out the sessions that expired.
    pub(super) fn sweep(&self) -> Vec<Arc<FlightSession>> {
        self.store.sweep()
    }

    #[allow(clippy::disallowed_methods, reason = "the password becomes a keyed hash")]
    fn basic_hash(&self, name: &str, password: &SecretString) -> Key {
        Sha256::new()
            .chain_update(self.basic_key)
            .chain_update((name.len() as u64).to_le_bytes())
            .chain_update(name)
            .chain_update(password.open())
            .finalize()
            .into()
    }
}

/// A session that began, and the one that had to end for it.
pub(super) struct Opened {
    pub(super) session: Arc<FlightSession>,
    pub(super) ended: Option<Arc<FlightSession>>,
}

fn hash_of(token: &str) -> Key {
    Sha256::digest(token.as_bytes()).into()
}
