//! Cancel requests: they come on a connection of their own and name another by its number and secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use farthing_engine::Result;
use pgwire::messages::startup::{BackendKeyData, SecretKey};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use crate::auth::random_bytes;

struct Entry {
    secret: Vec<u8>,
    /// What the connection works on now; `None` between statements, when there is nothing to cancel.
    running: Mutex<Option<CancellationToken>>,
}

/// The connections that can be cancelled, by number.
#[derive(Default)]
pub(super) struct Cancels {
    connections: Mutex<HashMap<i32, Arc<Entry>>>,
}

/// One connection's entry; dropping it removes the connection.
pub(super) struct CancelKey {
    cancels: Arc<Cancels>,
    pid: i32,
    entry: Arc<Entry>,
}

impl Cancels {
    /// Gives a connection a free random number and a random secret of the length that its protocol version has.
    pub(super) fn register(self: &Arc<Self>, minor: u16) -> Result<CancelKey> {
        let secret: [u8; 32] = random_bytes()?;
        // Protocol 3.0 has room for 4 bytes only.
        let length = if minor >= 2 { 32 } else { 4 };
        let entry = Arc::new(Entry {
            secret: secret[..length].to_vec(),
            running: Mutex::new(None),
        });
        loop {
            // Positive, as clients show it like a process number.
            let pid = i32::from_be_bytes(random_bytes()?) & i32::MAX;
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            if pid != 0 && !connections.contains_key(&pid) {
                connections.insert(pid, entry.clone());
                drop(connections);
                return Ok(CancelKey {
                    cancels: self.clone(),
                    pid,
                    entry,
                });
            }
        }
    }

    /// Cancels what the connection runs, if the secret is right. Nobody is told whether it was.
    pub(super) fn cancel(&self, pid: i32, secret: &[u8]) {
        let entry = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&pid)
            .cloned();
        let Some(entry) = entry else {
            tracing::debug!(pid, "a cancel request names no connection");
            return;
        };
        if !bool::from(entry.secret.as_slice().ct_eq(secret)) {
            tracing::warn!(pid, "a cancel request has a wrong secret");
            return;
        }
        if let Some(running) = &*entry.running.lock().unwrap_or_else(PoisonError::into_inner) {
            running.cancel();
        }
    }
}

impl CancelKey {
    /// The message that tells the client its number and secret.
    pub(super) fn message(&self) -> BackendKeyData {
        let secret = match <[u8; 4]>::try_from(self.entry.secret.as_slice()) {
            Ok(short) => SecretKey::I32(i32::from_be_bytes(short)),
            Err(_) => SecretKey::Bytes(self.entry.secret.clone().into()),
        };
        BackendKeyData::new(self.pid, secret)
    }

    /// Work begins; the token tells when it is cancelled.
    pub(super) fn start(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.entry.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        token
    }

    /// Work ends; a request that comes now cancels nothing.
    pub(super) fn finish(&self) {
        *self.entry.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.cancels
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.pid);
    }
}

#[cfg(test)]
mod tests;
