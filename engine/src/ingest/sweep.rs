//! Removes files of Farthing's own that no statement can read any more.
//!
//! A snapshot that is replaced stays readable for statements that began before. They live for minutes; its files stay for a
//! day. Files of imports that did not come to an end stay for a day too, since another server may still be writing them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::{Importer, rewrite};
use crate::error::{Error, ErrorKind, Result};
use crate::history::made_at;
use crate::id::{BillingPeriod, ExportId};

/// How long files stay that nothing names.
const KEPT: TimeDelta = TimeDelta::hours(24);

impl Importer {
    /// Removes the stored files of an export whose snapshot is not named and was not until a day ago, as the published one or
    /// as a past delivery, and the documents of such snapshots. Returns how many files. Errors: `State`.
    pub(super) async fn sweep(&self, export: &ExportId) -> Result<usize> {
        let lease = self.catalog.lease();
        let mut named: BTreeMap<BillingPeriod, BTreeSet<&str>> = BTreeMap::new();
        for (period, id) in lease.document.snapshots_of(export) {
            named.entry(period).or_default().insert(id.as_str());
        }
        for (period, made) in lease.document.derived.get(export).into_iter().flatten() {
            named.entry(*period).or_default().insert(made.id.as_str());
        }
        let before = self.clock.now() - KEPT;
        // A name that is no snapshot's is nobody's to remove.
        let old = |id: &str| made_at(id).is_some_and(|made| made < before);
        let doomed = |period: BillingPeriod, id: &str| match named.get(&period) {
            Some(named) if named.contains(id) => false,
            // Replaced at the latest when the newest one was made.
            Some(named) => old(id) && named.iter().all(|named| old(named)),
            None => old(id),
        };
        let files = self.remove_files(export, doomed).await?;
        let of_document = |period: &str, id: &str| period.parse().is_ok_and(|period| doomed(period, id));
        let documents = self.catalog.remove_snapshots(export, of_document).await?;
        if documents > 0 {
            tracing::debug!(%export, documents, "snapshots that nothing names are removed");
        }
        Ok(files)
    }

    /// Removes every stored file of an export that no snapshot names. Errors: `State`.
    pub(super) async fn remove_stored_files(&self, export: &ExportId) -> Result<usize> {
        let lease = self.catalog.lease();
        let mut named: Vec<&str> = lease.document.snapshots_of(export).map(|(_, id)| id.as_str()).collect();
        let made = lease.document.derived.get(export).into_iter().flatten();
        named.extend(made.map(|(_, made)| made.id.as_str()));
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
