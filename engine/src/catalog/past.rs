//! Deliveries of a month that others replaced, or that AWS made before the export was connected.
//!
//! The catalog names them and keeps nothing of them in memory; their documents are read by [`super::archive::Archive`] when
//! a statement asks. Whether their files can still be read is told apart from what they added up to, which stays.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::CatalogState;
use crate::id::{BillingPeriod, ExportId, SnapshotId};
use crate::snapshot::{Form, Snapshot};

/// What became of the files of a past delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastFiles {
    /// They stay: each delivery has a folder of its own, or Farthing made Parquet of them.
    Kept,
    /// A later delivery was written over them.
    Replaced,
}

/// A delivery of a month that is not the published one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastDelivery {
    /// Its snapshot, which is written.
    pub snapshot: SnapshotId,
    /// When AWS wrote its manifest.
    pub delivered_at: DateTime<Utc>,
    /// The ETag of its manifest.
    pub manifest_e_tag: String,
    /// AWS's id of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// Whether it can be read.
    pub files: PastFiles,
}

/// The past deliveries of an export by month, oldest first.
pub type PastDeliveries = BTreeMap<BillingPeriod, Vec<PastDelivery>>;

impl PastDelivery {
    /// A delivery that was made before the published one and whose files were just read.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            snapshot: snapshot.id.clone(),
            delivered_at: snapshot.delivered_at,
            manifest_e_tag: snapshot.manifest_e_tag.clone(),
            execution_id: snapshot.execution_id.clone(),
            files: PastFiles::Kept,
        }
    }

    /// The published delivery, as `newer` takes its place: in overwrite mode under the same keys.
    pub fn replaced(snapshot: &Snapshot, newer: &Snapshot) -> Self {
        let written: BTreeMap<&str, &str> = newer.delivered_files().collect();
        let gone = |(key, e_tag)| written.get(key).is_some_and(|now: &&str| *now != e_tag);
        let files = match snapshot.form {
            Form::Delivered if snapshot.delivered_files().any(gone) => PastFiles::Replaced,
            _ => PastFiles::Kept,
        };
        Self {
            files,
            ..Self::of(snapshot)
        }
    }
}

/// Adds a delivery to those of its month and keeps the newest `limit` of them.
pub(super) fn add(deliveries: &mut Vec<PastDelivery>, delivery: &PastDelivery, limit: usize) {
    deliveries.retain(|known| known.snapshot != delivery.snapshot);
    let place = deliveries.partition_point(|known| known.delivered_at <= delivery.delivered_at);
    deliveries.insert(place, delivery.clone());
    deliveries.drain(..deliveries.len().saturating_sub(limit));
}

/// A delivery of a month that is known, published or past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDelivery {
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// When AWS wrote its manifest.
    pub delivered_at: DateTime<Utc>,
    /// AWS's id of the run.
    pub execution_id: Option<String>,
    /// Whether it is the published one.
    pub current: bool,
    /// Whether its files can be read.
    pub readable: bool,
}

impl CatalogState {
    /// The known deliveries of a month in the order in which AWS made them; the published one is the last of its instant.
    pub fn deliveries(&self, export: &ExportId, period: BillingPeriod) -> Vec<KnownDelivery> {
        let past = self.document.past.get(export).and_then(|past| past.get(&period));
        let mut known: Vec<KnownDelivery> = past
            .into_iter()
            .flatten()
            .map(|past| KnownDelivery {
                snapshot: past.snapshot.clone(),
                delivered_at: past.delivered_at,
                execution_id: past.execution_id.clone(),
                current: false,
                readable: past.files == PastFiles::Kept,
            })
            .collect();
        if let Some(current) = self.snapshots.get(export).and_then(|periods| periods.get(&period)) {
            let place = known.partition_point(|known| known.delivered_at <= current.delivered_at);
            let current = KnownDelivery {
                snapshot: current.id.clone(),
                delivered_at: current.delivered_at,
                execution_id: current.execution_id.clone(),
                current: true,
                readable: true,
            };
            known.insert(place, current);
        }
        known
    }

    /// The months of an export of which any delivery is known.
    pub fn delivered_periods(&self, export: &ExportId) -> std::collections::BTreeSet<BillingPeriod> {
        let current = self.snapshots.get(export).into_iter().flat_map(BTreeMap::keys);
        let past = self.document.past.get(export).into_iter().flat_map(BTreeMap::keys);
        current.chain(past).copied().collect()
    }
}
