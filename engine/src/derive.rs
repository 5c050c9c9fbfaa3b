//! What is made of published snapshots for speed, in the background of statements.
//!
//! A month is published as it was delivered, and everything can be asked of it at once. Then its rows are rewritten
//! ([`cluster`]) and summed ([`crate::rollup`]), and the catalog names what was made beside the snapshot. If AWS replaces the delivery
//! meanwhile, what was made is dropped. A month that something goes wrong with stays as it was published: slower, not wrong.

mod check;
pub mod cluster;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use self::cluster::{Clusterer, Layout};
use crate::catalog::{Catalog, Change, DerivedRef, Export, Lease};
use crate::error::{Error, Result};
use crate::execute::datafusion_error;
use crate::history::Ids;
use crate::id::SnapshotId;
use crate::ingest::{Scratch, stored_folder};
use crate::limit::Limits;
use crate::port::Clock;
use crate::rollup::{plan, store};
use crate::scope::AccountScope;
use crate::session::SessionBuilder;
use crate::snapshot::Snapshot;
use crate::snapshot::derived::{Derived, FORMAT_VERSION, Rollup};
use crate::table::Audience;

/// How often the catalog is looked at for snapshots that nothing was made of.
const LOOK: Duration = Duration::from_millis(500);

/// A level of a rollup with more rows than this part of the rows is worth little: reading it takes as long.
const WORTHWHILE: u64 = 3;
/// Small months have rollups of any size.
const SMALL_ROWS: u64 = 2_000;

/// Makes rollups of published snapshots.
pub struct Deriver {
    catalog: Arc<Catalog>,
    sessions: Arc<SessionBuilder>,
    clusterer: Clusterer,
    clock: Arc<dyn Clock>,
    limits: Limits,
    ids: Ids,
    /// Snapshots that something went wrong with: not tried again before the next start.
    failed: Mutex<BTreeSet<SnapshotId>>,
    /// Snapshots that are worked on.
    in_hand: Mutex<BTreeSet<SnapshotId>>,
}

/// A snapshot that is worked on, until this is dropped.
struct InHand<'a> {
    all: &'a Mutex<BTreeSet<SnapshotId>>,
    id: SnapshotId,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl std::fmt::Debug for Deriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deriver").finish_non_exhaustive()
    }
}

impl Deriver {
    /// Reads through `sessions`, keeps what is under way in `scratch`, and publishes into `catalog`. So many months as are worked
    /// on at once, by as many calls of [`Self::run`], share the memory of one.
    pub fn new(
        catalog: Arc<Catalog>,
        sessions: Arc<SessionBuilder>,
        scratch: Scratch,
        clock: Arc<dyn Clock>,
        limits: Limits,
        at_once: usize,
    ) -> Self {
        let clusterer = Clusterer::new(Arc::clone(&sessions), scratch);
        Self {
            catalog,
            clusterer: clusterer.with_layout(Layout::default().shared(at_once)),
            sessions,
            clock,
            limits,
            ids: Ids::default(),
            failed: Mutex::default(),
            in_hand: Mutex::default(),
        }
    }

    /// Works until cancelled, on the newest month first. Call it on the runtime for queries.
    pub async fn run(&self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            match cancel.run_until_cancelled(self.derive_next()).await {
                None | Some(true) => {}
                Some(false) => {
                    let _ = cancel.run_until_cancelled(self.clock.sleep(LOOK)).await;
                }
            }
        }
    }

    /// Works until nothing is left to do. Answers with the number of months.
    pub async fn derive_all(&self) -> usize {
        let mut months = 0;
        while self.derive_next().await {
            months += 1;
        }
        months
    }

    /// How many months wait.
    pub fn waiting(&self) -> usize {
        self.pending(&self.catalog.lease()).len()
    }

    /// Works on one month that nobody else works on; whether there was one.
    pub async fn derive_next(&self) -> bool {
        let lease = self.catalog.lease();
        let Some((export, snapshot, _in_hand)) = self.take(&lease) else {
            return false;
        };
        let begun = self.clock.now();
        match self.derive(&lease, &export, &snapshot).await {
            Ok(()) => {
                let took = self.clock.now() - begun;
                let (export, period) = (&export.id, snapshot.period);
                tracing::info!(%export, %period, rows = snapshot.rows(), ms = took.num_milliseconds(), "rollups made");
            }
            Err(error) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.insert(snapshot.id.clone());
                let (export, period) = (&export.id, snapshot.period);
                tracing::warn!(%export, %period, %error, "no rollups: statements read the rows");
            }
        }
        true
    }

    /// The newest month that waits and is in nobody's hand.
    fn take(&self, lease: &Lease) -> Option<(Export, Arc<Snapshot>, InHand<'_>)> {
        let mut in_hand = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending = self.pending(lease);
        pending.retain(|(_, snapshot)| !in_hand.contains(&snapshot.id));
        let (export, snapshot) = pending.pop()?;
        let id = snapshot.id.clone();
        in_hand.insert(id.clone());
        let in_hand = InHand { all: &self.in_hand, id };
        Some((export, snapshot, in_hand))
    }

    /// Snapshots that nothing was made of, the newest month last.
    fn pending(&self, lease: &Lease) -> Vec<(Export, Arc<Snapshot>)> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending: Vec<(Export, Arc<Snapshot>)> = Vec::new();
        for export in lease
            .document
            .exports
            .values()
            .filter(|export| export.kind.format().in_costs)
        {
            let snapshots = lease
                .snapshots
                .get(&export.id)
                .into_iter()
                .flat_map(|periods| periods.values());
            let waiting = snapshots.filter(|snapshot| lease.derived_of(snapshot).is_none());
            let waiting = waiting.filter(|snapshot| !failed.contains(&snapshot.id));
            pending.extend(waiting.map(|snapshot| (export.clone(), Arc::clone(snapshot))));
        }
        pending.sort_by_key(|(_, snapshot)| snapshot.period);
        pending
    }

    async fn derive(&self, lease: &Lease, export: &Export, snapshot: &Arc<Snapshot>) -> Result<()> {
        let id: SnapshotId = self.ids.next(self.clock.now()).parse()?;
        let clustered = self.clusterer.clustered(snapshot, lease, export, id.clone()).await?;
        // Its rows are the snapshot's, and so is its name.
        let clustered = Arc::new(Snapshot {
            id: snapshot.id.clone(),
            ..clustered
        });
        let rollups = self.rollups(lease, export, &clustered, &id).await?;
        let derived = Derived {
            format_version: FORMAT_VERSION,
            id: id.clone(),
            export: export.id.clone(),
            period: snapshot.period,
            of: snapshot.id.clone(),
            rollups,
            clustered: Some(clustered),
        };
        self.catalog.write_derived(&derived).await?;
        let change = Change::PutDerived {
            export: export.id.clone(),
            period: snapshot.period,
            derived: DerivedRef {
                of: snapshot.id.clone(),
                id,
            },
        };
        self.catalog.publish(&[change]).await?;
        Ok(())
    }

    /// Makes the rollups of a snapshot, in the folder of `id`.
    async fn rollups(
        &self,
        lease: &Lease,
        export: &Export,
        snapshot: &Arc<Snapshot>,
        id: &SnapshotId,
    ) -> Result<Vec<Rollup>> {
        let sessions = &self.sessions;
        let table = sessions.whole_snapshot(lease, export, snapshot, Audience::Costs)?;
        let session = sessions.internal(Arc::clone(lease), AccountScope::of_snapshot(snapshot))?;
        let worthwhile = (snapshot.rows() / WORTHWHILE).max(SMALL_ROWS);
        let most = usize::try_from(worthwhile)
            .unwrap_or(usize::MAX)
            .min(self.limits.rollup_rows);
        let Some(reading) = plan::reading(export, snapshot, table, most).map_err(datafusion_error)? else {
            return Ok(Vec::new());
        };
        let mut builder = reading.builder;
        let mut batches = session.bind_plan(reading.plan)?.stream().await?;
        while let Some(batch) = batches.next().await {
            builder.add(&batch.map_err(datafusion_error)?)?;
            // A batch takes some milliseconds, and others want the thread.
            tokio::task::yield_now().await;
        }
        let built = builder.finish();
        let naming = store::Naming {
            accounts: export.kind.format().accounts,
            instants: reading.instants,
            sums: &reading.sums,
        };
        check::totals(&built, &naming, export, snapshot)?;
        let folder = stored_folder(&export.id, snapshot.period, id);
        store::write(&built, &naming, &self.catalog.state_store(), &folder).await
    }
}

/// The error for sums that are not those of the snapshot.
fn off(message: String) -> Error {
    Error::defect(message)
}
