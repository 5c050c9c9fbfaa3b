//! Faults that tests switch on, per call.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::log::RequestRecord;
use super::policy::{matches, matches_ignoring_case};

/// What goes wrong.
#[derive(Clone)]
pub enum FaultKind {
    /// The request waits this long before it is served.
    Slow(Duration),
    /// S3: 503 `SlowDown`; query protocol: 400 `Throttling`; JSON protocol: 400 `ThrottlingException`.
    SlowDown,
    /// 500 `InternalError`.
    InternalError,
    /// As if the session token had expired: S3 400, STS 403 `ExpiredToken`.
    ExpiredToken,
    /// The connection is reset after this many bytes of the body.
    ResetMidBody {
        /// Body bytes that still arrive.
        after_bytes: u64,
    },
    /// The connection is closed in good order after this many bytes of the body, short of the declared length.
    Truncate {
        /// Body bytes that still arrive.
        after_bytes: u64,
    },
    /// One byte of the body arrives with its lowest bit flipped; nothing else shows it.
    FlipByte {
        /// Position in the body of this answer (not in the object).
        offset: u64,
    },
    /// The object that the request names is replaced before it is served.
    ReplaceObject(Bytes),
    /// The bucket that the request names is made by this account before it is served.
    TakeBucket {
        /// The account that makes it.
        account: String,
        /// The Region that it makes it in.
        region: String,
    },
    /// The test does something before the request is served.
    Before(Arc<dyn Fn(&RequestRecord) + Send + Sync>),
    /// Requests that need this action (`*` and `?` allowed) are refused as by an explicit deny.
    Deny(String),
}

impl fmt::Debug for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(delay) => f.debug_tuple("Slow").field(delay).finish(),
            Self::SlowDown => f.write_str("SlowDown"),
            Self::InternalError => f.write_str("InternalError"),
            Self::ExpiredToken => f.write_str("ExpiredToken"),
            Self::ResetMidBody { after_bytes } => write!(f, "ResetMidBody({after_bytes})"),
            Self::Truncate { after_bytes } => write!(f, "Truncate({after_bytes})"),
            Self::FlipByte { offset } => write!(f, "FlipByte({offset})"),
            Self::ReplaceObject(bytes) => write!(f, "ReplaceObject({} bytes)", bytes.len()),
            Self::TakeBucket { account, region } => write!(f, "TakeBucket({account}, {region})"),
            Self::Before(_) => f.write_str("Before"),
            Self::Deny(action) => write!(f, "Deny({action})"),
        }
    }
}

/// A fault and the calls that it strikes: all of them, until narrowed.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: FaultKind,
    operation: Option<String>,
    bucket: Option<String>,
    key: Option<String>,
    account: Option<String>,
    after: u32,
    times: Option<u32>,
}

impl Fault {
    /// A fault that strikes every call, always.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            operation: None,
            bucket: None,
            key: None,
            account: None,
            after: 0,
            times: None,
        }
    }

    /// Only this API operation (`GetObject`, `ListObjectsV2`, `AssumeRole`); `*` and `?` allowed.
    pub fn operation(mut self, pattern: impl Into<String>) -> Self {
        self.operation = Some(pattern.into());
        self
    }

    /// Only this bucket; `*` and `?` allowed.
    pub fn bucket(mut self, pattern: impl Into<String>) -> Self {
        self.bucket = Some(pattern.into());
        self
    }

    /// Only these object keys; `*` and `?` allowed, and `*` crosses `/`.
    pub fn key(mut self, pattern: impl Into<String>) -> Self {
        self.key = Some(pattern.into());
        self
    }

    /// Only callers of this account.
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.account = Some(id.into());
        self
    }

    /// Lets this many matching calls through first.
    pub fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }

    /// Strikes this many times, then no more.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn matches(&self, record: &RequestRecord) -> bool {
        let covers = |pattern: &Option<String>, text: Option<&str>| match (pattern, text) {
            (None, _) => true,
            (Some(pattern), Some(text)) => matches(pattern, text),
            (Some(_), None) => false,
        };
        covers(&self.operation, Some(&record.operation))
            && covers(&self.bucket, record.bucket.as_deref())
            && covers(&self.key, record.key.as_deref())
            && covers(&self.account, record.account.as_deref())
    }
}

/// A fault that was injected. Dropping the handle leaves it in force.
#[derive(Debug)]
pub struct FaultHandle {
    injected: Arc<Injected>,
    faults: Faults,
}

impl FaultHandle {
    /// How often it has struck.
    pub fn hits(&self) -> u32 {
        self.injected.hits.load(Ordering::Relaxed)
    }

    /// Takes it back.
    pub fn remove(self) {
        self.faults.retain(|other| other.id != self.injected.id);
    }
}

#[derive(Debug)]
struct Injected {
    id: u64,
    fault: Fault,
    seen: AtomicU32,
    hits: AtomicU32,
}

impl Injected {
    /// Counts a matching call; whether the fault strikes it.
    fn strikes(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        let last = self.fault.times.map(|times| self.fault.after.saturating_add(times));
        let struck = seen >= self.fault.after && last.is_none_or(|last| seen < last);
        if struck {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        struck
    }
}

/// The faults in force. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    list: Arc<Mutex<Vec<Arc<Injected>>>>,
    next_id: Arc<AtomicU64>,
}

impl Faults {
    pub(crate) fn inject(&self, fault: Fault) -> FaultHandle {
        let injected = Arc::new(Injected {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            fault,
            seen: AtomicU32::new(0),
            hits: AtomicU32::new(0),
        });
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&injected));
        FaultHandle {
            injected,
            faults: self.clone(),
        }
    }

    pub(crate) fn clear(&self) {
        self.retain(|_| false);
    }

    /// The faults that strike this call, in the order of injection; each is counted. Denials are asked for separately.
    pub(crate) fn strike(&self, record: &RequestRecord) -> Vec<FaultKind> {
        self.struck(|fault| !matches!(fault.kind, FaultKind::Deny(_)) && fault.matches(record))
    }

    /// Whether a [`FaultKind::Deny`] strikes this call for this action.
    pub(crate) fn denies(&self, record: &RequestRecord, action: &str) -> bool {
        let denied = |fault: &Fault| match &fault.kind {
            FaultKind::Deny(pattern) => matches_ignoring_case(pattern, action) && fault.matches(record),
            _ => false,
        };
        !self.struck(denied).is_empty()
    }

    fn struck(&self, concerns: impl Fn(&Fault) -> bool) -> Vec<FaultKind> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let struck = list
            .into_iter()
            .filter(|injected| concerns(&injected.fault) && injected.strikes());
        struck.map(|injected| injected.fault.kind.clone()).collect()
    }

    fn retain(&self, keep: impl Fn(&Injected) -> bool) {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|injected| keep(injected));
    }
}
