//! Append-only records of what was done: import runs, procedure runs, audit records.
//!
//! Each record is one JSON document `<prefix>/<id>.json` in the state store. Ids are UUID v7 text, so their text order is
//! their order in time. The newest records are held in memory too, where `system` tables read them; the number kept is
//! bounded in both places. A record that cannot be read is left out with a warning: a history never stops a server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::{ContextV7, Timestamp, Uuid};

use crate::error::{Error, ErrorKind, Result};

/// Records read at the same time when a history is opened.
const OPEN_READS: usize = 16;

/// The records under one prefix of the state store.
pub struct History<T> {
    store: Arc<dyn ObjectStore>,
    prefix: &'static str,
    limit: usize,
    entries: Mutex<BTreeMap<String, Arc<T>>>,
}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync> History<T> {
    /// Reads the newest `limit` records below `prefix`, such as `runs/imports`. Older ones are removed. A damaged record is
    /// left out with a warning. Errors: `State` if the store cannot be listed or read.
    pub async fn open(store: Arc<dyn ObjectStore>, prefix: &'static str, limit: usize) -> Result<Self> {
        let mut ids = listed_ids(&store, prefix).await?;
        ids.sort_unstable();
        let kept = ids.split_off(ids.len().saturating_sub(limit));
        let loaded: Vec<Option<(String, Arc<T>)>> = stream::iter(kept)
            .map(|id| read_entry(&store, prefix, id))
            .buffered(OPEN_READS)
            .try_collect()
            .await?;
        let history = Self {
            store,
            prefix,
            limit: limit.max(1),
            entries: Mutex::new(loaded.into_iter().flatten().collect()),
        };
        for id in ids {
            history.remove(&id).await;
        }
        Ok(history)
    }

    /// Writes the record `id`, replacing the one that has this id; durable on return. The oldest records beyond the limit
    /// are removed. `id` is UUID v7 text, for example from [`Ids`]. Errors: `State` if the store refuses the write; the
    /// record is then not in memory either.
    pub async fn put(&self, id: &str, entry: &T) -> Result<()> {
        let path = entry_path(self.prefix, id);
        let bytes = serde_json::to_vec(entry)
            .map_err(|e| Error::defect(format!("a record of {} cannot be written", self.prefix)).with_source(e))?;
        self.store
            .put(&path, PutPayload::from(bytes))
            .await
            .map_err(|e| state_error("write", &path, e))?;
        let oldest: Vec<String> = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.insert(id.to_owned(), Arc::new(entry.clone()));
            let beyond = entries.len().saturating_sub(self.limit);
            let oldest: Vec<String> = entries.keys().take(beyond).cloned().collect();
            for id in &oldest {
                entries.remove(id);
            }
            oldest
        };
        for id in oldest {
            self.remove(&id).await;
        }
        Ok(())
    }

    /// The records with their ids, oldest first.
    pub fn entries(&self) -> Vec<(String, Arc<T>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .map(|(id, entry)| (id.clone(), Arc::clone(entry)))
            .collect()
    }

    /// The newest record that `matches` accepts.
    pub fn newest(&self, matches: impl Fn(&T) -> bool) -> Option<(String, Arc<T>)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.iter().rev().find(|(_, entry)| matches(entry));
        found.map(|(id, entry)| (id.clone(), Arc::clone(entry)))
    }

    /// Removes the records that `matches` accepts, from memory and from the store.
    pub async fn forget(&self, matches: impl Fn(&T) -> bool) {
        let forgotten: Vec<String> = {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let forgotten: Vec<String> = entries
                .iter()
                .filter(|(_, entry)| matches(entry))
                .map(|(id, _)| id.clone())
                .collect();
            for id in &forgotten {
                entries.remove(id);
            }
            forgotten
        };
        for id in forgotten {
            self.remove(&id).await;
        }
    }

    async fn remove(&self, id: &str) {
        let path = entry_path(self.prefix, id);
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            // It costs a few hundred bytes and is tried again at the next start.
            Err(error) => tracing::debug!(%path, %error, "an old record stays"),
        }
    }
}

async fn listed_ids(store: &Arc<dyn ObjectStore>, prefix: &'static str) -> Result<Vec<String>> {
    let path = Path::from(prefix);
    let listed = store
        .list(Some(&path))
        .try_fold(Vec::new(), |mut ids, object| async move {
            let id = object.location.filename().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.map(str::to_owned));
            Ok(ids)
        })
        .await;
    match listed {
        Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
        other => other.map_err(|e| state_error("list", &path, e)),
    }
}

async fn read_entry<T: DeserializeOwned>(
    store: &Arc<dyn ObjectStore>,
    prefix: &'static str,
    id: String,
) -> Result<Option<(String, Arc<T>)>> {
    let path = entry_path(prefix, &id);
    let got = match store.get(&path).await {
        Ok(got) => got,
        // Another server removed it after the listing.
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(state_error("read", &path, error)),
    };
    let bytes = got.bytes().await.map_err(|e| state_error("read", &path, e))?;
    match serde_json::from_slice(&bytes) {
        Ok(entry) => Ok(Some((id, Arc::new(entry)))),
        Err(error) => {
            tracing::warn!(%path, %error, "a damaged record is left out of the history");
            Ok(None)
        }
    }
}

fn entry_path(prefix: &str, id: &str) -> Path {
    Path::from(format!("{prefix}/{id}.json"))
}

fn state_error(what: &str, path: &Path, error: object_store::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("cannot {what} {path} in the state store: {error}"),
    )
    .with_hint("Check that the state directory or bucket exists, is writable and has space.")
    .with_source(error)
}

/// Makes UUID v7 ids whose text order is the order in which they were made, even within one millisecond.
#[derive(Debug, Default)]
pub struct Ids(Mutex<ContextV7>);

impl Ids {
    /// The next id, made at `now`.
    pub fn next(&self, now: DateTime<Utc>) -> String {
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos())).to_string()
    }
}

/// When an id was made: ids are version 7 UUIDs (RFC 9562, section 5.7). `None` for a name that is no id.
pub(crate) fn made_at(id: &str) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

#[cfg(test)]
mod tests;
