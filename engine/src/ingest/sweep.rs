//! Removes files of Farthing's own that no statement can read any more.
//!
//! A snapshot that is replaced stays readable for statements that began before. They live for minutes; its files stay for a
//! day. Files of imports that did not come to an end stay for a day too, since another server may still be writing them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use uuid::Uuid;

use super::{Importer, rewrite};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, ExportId, SnapshotId};

/// How long files stay that nothing names.
const KEPT: TimeDelta = TimeDelta::hours(24);

impl Importer {
    /// Removes the stored files of an export whose snapshot is not named and was not until a day ago. Returns how many.
    /// Errors: `State`.
    pub(super) async fn sweep(&self, export: &ExportId) -> Result<usize> {
        let lease = self.catalog.lease();
        let named: BTreeMap<BillingPeriod, &SnapshotId> = lease.document.snapshots_of(export).collect();
        let before = self.clock.now() - KEPT;
        // A name that is no snapshot's is nobody's to remove.
        let old = |id: &str| made_at(id).is_some_and(|made| made < before);
        self.remove_files(export, |period, id| match named.get(&period) {
            Some(current) if current.as_str() == id => false,
            // Replaced when the current one was made.
            Some(current) => old(id) && old(current.as_str()),
            None => old(id),
        })
        .await
    }

    /// Removes every stored file of an export that no snapshot names. Errors: `State`.
    pub(super) async fn remove_stored_files(&self, export: &ExportId) -> Result<usize> {
        let lease = self.catalog.lease();
        let named: Vec<&str> = lease.document.snapshots_of(export).map(|(_, id)| id.as_str()).collect();
        self.remove_files(export, |_, id| !named.contains(&id)).await
    }

    async fn remove_files(&self, export: &ExportId, remove: impl Fn(BillingPeriod, &str) -> bool) -> Result<usize> {
        let folder = rewrite::folder_of(export);
        let failed = |error: object_store::Error| {
            Error::new(
                ErrorKind::State,
                format!("{folder} could not be cleared in the state store"),
            )
            .with_source(error)
        };
        let listed: Vec<Path> = match self
            .own
            .list(Some(&folder))
            .map_ok(|object| object.location)
            .try_collect()
            .await
        {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            listed => listed.map_err(failed)?,
        };
        let doomed: Vec<_> = listed
            .into_iter()
            .filter(|path| {
                let parts: Vec<_> = path.parts().collect();
                // data/<export>/<period>/<snapshot>/<file>
                let [_, _, period, id, _] = parts.as_slice() else {
                    return false;
                };
                period.as_ref().parse().is_ok_and(|period| remove(period, id.as_ref()))
            })
            .map(Ok)
            .collect();
        let removed = self.own.delete_stream(futures::stream::iter(doomed).boxed());
        let removed: Vec<Path> = removed.try_collect().await.map_err(failed)?;
        Ok(removed.len())
    }
}

/// When a snapshot's id was made: ids are version 7 UUIDs (RFC 9562, section 5.7).
fn made_at(id: &str) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
