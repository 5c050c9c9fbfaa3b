//! Documents that the catalog names and does not hold in memory: snapshots of past deliveries, and totals by service.

use std::fmt;
use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::de::DeserializeOwned;

use super::{damaged, read_json, snapshot_path, state_error, totals_path};
use crate::error::{Error, Result};
use crate::id::{BillingPeriod, ExportId, SnapshotId};
use crate::snapshot::Snapshot;
use crate::snapshot::services::ServiceTotals;

/// Documents of each kind kept in memory; all are immutable, so losing one costs a read.
const KEPT: u64 = 256;

/// Reads documents of the state store when a statement asks for them.
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    snapshots: moka::future::Cache<Path, Arc<Snapshot>>,
    totals: moka::future::Cache<Path, Option<Arc<ServiceTotals>>>,
}

impl Archive {
    /// The archive of a state store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            snapshots: moka::future::Cache::new(KEPT),
            totals: moka::future::Cache::new(KEPT),
        }
    }

    /// A snapshot that the catalog names. Error: `State`.
    pub async fn snapshot(&self, export: &ExportId, period: BillingPeriod, id: &SnapshotId) -> Result<Arc<Snapshot>> {
        let path = snapshot_path(export, period, id);
        let read = async { read_json::<Snapshot>(&self.store, &path).await.map(Arc::new) };
        let read = self.snapshots.try_get_with(path.clone(), read).await;
        read.map_err(|shared: Arc<Error>| shared.duplicate())
    }

    /// The totals by service of a delivery; `None` for one that was imported before there were any. Error: `State`.
    pub async fn totals(
        &self,
        export: &ExportId,
        period: BillingPeriod,
        id: &SnapshotId,
    ) -> Result<Option<Arc<ServiceTotals>>> {
        let path = totals_path(export, period, id);
        let read = async {
            read_if_there::<ServiceTotals>(&self.store, &path)
                .await
                .map(|found| found.map(Arc::new))
        };
        let read = self.totals.try_get_with(path.clone(), read).await;
        read.map_err(|shared: Arc<Error>| shared.duplicate())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}

async fn read_if_there<T: DeserializeOwned>(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Option<T>> {
    let got = match store.get(path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        got => got.map_err(|error| state_error("read", path, error))?,
    };
    let bytes = got.bytes().await.map_err(|error| state_error("read", path, error))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| damaged(path, &error))
}
