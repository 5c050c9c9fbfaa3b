//! Multipart uploads under way. They live as long as the process: S3 clients start over after a failure.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};

use super::object::{StoredHeaders, Written};

/// All parts but the last must be at least this large (S3: 5 MiB).
pub(crate) const SMALLEST_PART: u64 = 5 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) headers: StoredHeaders,
    parts: Mutex<BTreeMap<i32, Arc<Written>>>,
}

/// Why an upload cannot be completed, in S3's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompleteFailure {
    NoParts,
    InvalidPart,
    InvalidPartOrder,
    EntityTooSmall,
}

impl Upload {
    pub(crate) fn put_part(&self, number: i32, part: Written) {
        let replaced = self.lock().insert(number, Arc::new(part));
        if let Some(replaced) = replaced {
            replaced.content.discard();
        }
    }

    /// Part numbers with sizes and ETags, in order.
    pub(crate) fn parts(&self) -> Vec<(i32, u64, String)> {
        self.lock()
            .iter()
            .map(|(number, part)| (*number, part.size, hex::encode(part.md5)))
            .collect()
    }

    /// The chosen parts and the ETag of their whole.
    pub(crate) fn assemble(&self, chosen: &[(i32, String)]) -> Result<(Vec<Arc<Written>>, String), CompleteFailure> {
        if chosen.is_empty() {
            return Err(CompleteFailure::NoParts);
        }
        if chosen.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(CompleteFailure::InvalidPartOrder);
        }
        let stored = self.lock();
        let mut digest = Md5::new();
        let mut parts = Vec::with_capacity(chosen.len());
        for (number, etag) in chosen {
            match stored.get(number) {
                Some(part) if hex::encode(part.md5) == *etag => {
                    digest.update(part.md5);
                    parts.push(Arc::clone(part));
                }
                _ => return Err(CompleteFailure::InvalidPart),
            }
        }
        if parts.iter().rev().skip(1).any(|part| part.size < SMALLEST_PART) {
            return Err(CompleteFailure::EntityTooSmall);
        }
        let etag = format!("{}-{}", hex::encode(digest.finalize()), parts.len());
        Ok((parts, etag))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Arc<Written>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        for part in self.lock().values() {
            part.content.discard();
        }
    }
}

/// The uploads of one bucket.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    map: Mutex<HashMap<String, Arc<Upload>>>,
}

impl Uploads {
    /// Opens an upload and returns its id.
    pub(crate) fn open(&self, key: &str, headers: StoredHeaders) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let upload = Upload {
            key: key.to_owned(),
            headers,
            parts: Mutex::default(),
        };
        self.lock().insert(id.clone(), Arc::new(upload));
        id
    }

    pub(crate) fn get(&self, id: &str, key: &str) -> Option<Arc<Upload>> {
        self.lock().get(id).filter(|upload| upload.key == key).cloned()
    }

    pub(crate) fn close(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Upload>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
