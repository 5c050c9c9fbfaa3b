//! What was asked of the sandbox: tests count requests and bytes here.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::fault::FaultKind;

/// The log keeps this many requests; older ones are forgotten, so that a demo may run for weeks.
const KEPT: usize = 100_000;

/// One request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestRecord {
    /// When it arrived, on the sandbox's clock.
    pub time: DateTime<Utc>,
    /// The signing name: `s3`, `sts`.
    pub service: String,
    /// The API operation, for example `GetObject`. Empty when the request failed before it was known.
    pub operation: String,
    /// The caller's account; `None` when the signature did not check.
    pub account: Option<String>,
    /// The caller's ARN; `None` when the signature did not check.
    pub principal: Option<String>,
    /// The access key id as sent.
    pub access_key_id: Option<String>,
    /// S3: the bucket.
    pub bucket: Option<String>,
    /// S3: the object key.
    pub key: Option<String>,
    /// S3 listings: the prefix.
    pub prefix: Option<String>,
    /// The `Range` header as sent.
    pub range: Option<String>,
    /// The `If-Match` header as sent.
    pub if_match: Option<String>,
    /// The `If-None-Match` header as sent.
    pub if_none_match: Option<String>,
    /// HTTP status; 0 while the request is being served.
    pub status: u16,
    /// The AWS error code of a refused request.
    pub error_code: Option<String>,
    /// Length of the request's body in bytes, as declared.
    pub bytes_received: u64,
    /// Bytes of the response's body handed to the connection so far.
    pub bytes_sent: u64,
}

/// All requests since the start or the last [`RequestLog::clear`]. Clones share one log.
#[derive(Clone, Debug, Default)]
pub struct RequestLog {
    exchanges: Arc<Mutex<VecDeque<Arc<Exchange>>>>,
}

impl RequestLog {
    /// All requests, oldest first.
    pub fn all(&self) -> Vec<RequestRecord> {
        self.matching(|_| true)
    }

    /// The requests for one operation, oldest first.
    pub fn of(&self, operation: &str) -> Vec<RequestRecord> {
        self.matching(|record| record.operation == operation)
    }

    /// The requests that satisfy a condition, oldest first.
    pub fn matching(&self, wanted: impl Fn(&RequestRecord) -> bool) -> Vec<RequestRecord> {
        let exchanges = self.lock();
        exchanges
            .iter()
            .map(|exchange| exchange.record())
            .filter(|record| wanted(record))
            .collect()
    }

    /// How many requests there were for one operation.
    pub fn count(&self, operation: &str) -> usize {
        self.of(operation).len()
    }

    /// Body bytes sent in answer to one operation.
    pub fn bytes_sent(&self, operation: &str) -> u64 {
        self.of(operation).iter().map(|record| record.bytes_sent).sum()
    }

    /// Forgets everything so far.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn push(&self, exchange: Arc<Exchange>) {
        let mut exchanges = self.lock();
        if exchanges.len() == KEPT {
            exchanges.pop_front();
        }
        exchanges.push_back(exchange);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Exchange>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request while it is served: what is known of it, and the faults that its answer will suffer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request_id: String,
    pub(crate) peer: IpAddr,
    /// The Region in the credential scope.
    pub(crate) scope_region: Option<String>,
    pub(crate) path: String,
    record: Mutex<RequestRecord>,
    bytes_sent: AtomicU64,
    faults: Mutex<Vec<FaultKind>>,
}

impl Exchange {
    pub(crate) fn new(record: RequestRecord, peer: IpAddr, path: &str, scope_region: Option<String>) -> Self {
        Self {
            request_id: uuid::Uuid::new_v4().simple().to_string()[..16].to_ascii_uppercase(),
            peer,
            scope_region,
            path: path.to_owned(),
            record: Mutex::new(record),
            bytes_sent: AtomicU64::new(0),
            faults: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn record(&self) -> RequestRecord {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        record.bytes_sent = self.bytes_sent.load(Ordering::Relaxed);
        record
    }

    pub(crate) fn update(&self, act: impl FnOnce(&mut RequestRecord)) {
        act(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn suffer(&self, fault: FaultKind) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    pub(crate) fn faults(&self) -> Vec<FaultKind> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
