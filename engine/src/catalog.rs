//! Numbered, immutable documents: which accounts are connected, which exports exist, and the snapshot of each period.
//!
//! Publishing writes document n+1 if it is absent and only then swaps the pointer in this process; a lost race reloads and
//! applies the change again. The documents are the only coordination between servers that share a state store. A document
//! names snapshots that are already durable, so a crash between the two leaves an unnamed snapshot and never a missing one.

pub mod archive;
pub mod authority;
pub mod document;
pub mod past;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, CatalogVersion, ExportId, SnapshotId};
use crate::port::Clock;
use crate::snapshot::Snapshot;
use crate::snapshot::derived::{self, Derived};
use crate::snapshot::services::ServiceTotals;
pub use archive::Archive;
pub use document::{Account, AccountKind, CatalogDocument, Change, DerivedRef, Export, ExportKind, KeptExport};
pub use past::{KnownDelivery, PastDelivery, PastFiles};

/// Documents older than so many versions are removed: statements live for minutes, and a busy server publishes a few
/// versions an hour.
const KEPT_DOCUMENTS: u64 = 1_000;

/// How often a lost race is run again before the store is called broken.
const PUBLISH_TRIES: usize = 32;

/// One catalog version with its snapshots in memory. Immutable.
#[derive(Debug, Clone)]
pub struct CatalogState {
    /// The document.
    pub document: CatalogDocument,
    /// The snapshots that the document names.
    pub snapshots: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Snapshot>>>,
    /// What was made of them for speed, where it can be read and this Farthing knows its form.
    pub derived: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Derived>>>,
}

impl CatalogState {
    /// What was made of this snapshot, if something was.
    pub fn derived_of(&self, snapshot: &Snapshot) -> Option<&Arc<Derived>> {
        let made = self.derived.get(&snapshot.export)?.get(&snapshot.period)?;
        (made.of == snapshot.id).then_some(made)
    }

    /// The snapshot in the form that is read fastest: the same rows.
    pub fn readable(&self, snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
        let clustered = self.derived_of(snapshot).and_then(|made| made.clustered.as_ref());
        Arc::clone(clustered.unwrap_or(snapshot))
    }
}

/// A reader's hold on one catalog version: whatever is published meanwhile, the reader keeps seeing this one.
pub type Lease = Arc<CatalogState>;

/// The catalog of one state store.
pub struct Catalog {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    current: ArcSwap<CatalogState>,
    /// Publishes of this process queue here instead of racing each other.
    publishing: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// Reads the newest version of the state store. An empty store is an empty catalog.
    pub async fn open(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Result<Self> {
        let document = match newest_version(&store).await? {
            0 => CatalogDocument::empty(clock.now()),
            version => read_document(&store, version).await?,
        };
        let state = load_state(&store, document, None).await?;
        Ok(Self {
            store,
            clock,
            current: ArcSwap::from_pointee(state),
            publishing: tokio::sync::Mutex::new(()),
        })
    }

    /// The store that the catalog lies in.
    pub fn state_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// A hold on the current version.
    pub fn lease(&self) -> Lease {
        self.current.load_full()
    }

    /// Looks for versions that another server published, and makes the newest one current.
    pub async fn refresh(&self) -> Result<()> {
        let _guard = self.publishing.lock().await;
        self.reload().await
    }

    async fn reload(&self) -> Result<()> {
        let current = self.current.load_full();
        let newest = newest_version(&self.store).await?;
        if newest > current.document.version {
            let document = read_document(&self.store, newest).await?;
            let state = load_state(&self.store, document, Some(&current)).await?;
            self.current.store(Arc::new(state));
        }
        Ok(())
    }

    /// Makes the snapshot durable. It is not visible before a change names it.
    pub async fn write_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        let path = snapshot_path(&snapshot.export, snapshot.period, &snapshot.id);
        let bytes =
            serde_json::to_vec(snapshot).map_err(|e| Error::defect("a snapshot cannot be written").with_source(e))?;
        self.store
            .put(&path, PutPayload::from(bytes))
            .await
            .map_err(|e| state_error("write", &path, e))?;
        Ok(())
    }

    /// Makes what was made of a snapshot durable. It is not used before a change names it.
    pub async fn write_derived(&self, derived: &Derived) -> Result<()> {
        let path = derived_path(&derived.export, derived.period, &derived.of, &derived.id);
        let bytes = serde_json::to_vec(derived)
            .map_err(|e| Error::defect("what was made of a snapshot cannot be written").with_source(e))?;
        self.store
            .put(&path, PutPayload::from(bytes))
            .await
            .map_err(|e| state_error("write", &path, e))?;
        Ok(())
    }

    /// Makes the totals by service of a snapshot durable.
    pub async fn write_totals(&self, totals: &ServiceTotals) -> Result<()> {
        let path = totals_path(&totals.export, totals.period, &totals.snapshot);
        let bytes = serde_json::to_vec(totals)
            .map_err(|e| Error::defect("the totals of a snapshot cannot be written").with_source(e))?;
        self.store
            .put(&path, PutPayload::from(bytes))
            .await
            .map_err(|e| state_error("write", &path, e))?;
        Ok(())
    }

    /// Deletes every snapshot of an export that the current version does not name. Returns how many. A statement that holds
    /// one has it in memory. Errors: `State`.
    pub async fn purge_snapshots(&self, export: &ExportId) -> Result<usize> {
        self.remove_snapshots(export, |_, _| true).await
    }

    /// Deletes the documents of an export's snapshots that the current version does not name and that are `doomed`, which is
    /// asked by the text of month and id. Returns how many snapshots. Errors: `State`.
    pub(crate) async fn remove_snapshots(
        &self,
        export: &ExportId,
        doomed: impl Fn(&str, &str) -> bool,
    ) -> Result<usize> {
        let lease = self.lease();
        let (document, prefix) = (&lease.document, Path::from(format!("snapshots/{export}")));
        let mut named: std::collections::BTreeSet<Path> = document
            .snapshots_of(export)
            .flat_map(|(period, id)| [snapshot_path(export, period, id), totals_path(export, period, id)])
            .collect();
        let made = document.derived.get(export).into_iter().flatten();
        named.extend(made.map(|(period, made)| derived_path(export, *period, &made.of, &made.id)));
        let listed: Vec<Path> = match self
            .store
            .list(Some(&prefix))
            .map_ok(|object| object.location)
            .try_collect()
            .await
        {
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            listed => listed.map_err(|e| state_error("list", &prefix, e))?,
        };
        let mut purged = 0;
        for path in listed.into_iter().filter(|path| !named.contains(path)) {
            let name = path.filename().unwrap_or_default();
            // Beside the snapshot's document may lie others, whose names go on after its id.
            let is_snapshot = name.split('.').count() == 2;
            let id = name.split('.').next();
            let period = path.parts().nth(2);
            if !doomed(period.as_ref().map_or("", AsRef::as_ref), id.unwrap_or(name)) {
                continue;
            }
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => purged += usize::from(is_snapshot),
                Err(error) => return Err(state_error("delete", &path, error)),
            }
        }
        Ok(purged)
    }

    /// Publishes the next version with these changes, applied in order, durable on return. All of them or none.
    pub async fn publish(&self, changes: &[Change]) -> Result<CatalogVersion> {
        let _guard = self.publishing.lock().await;
        for _ in 0..PUBLISH_TRIES {
            let current = self.current.load_full();
            let mut document = current.document.clone();
            for change in changes {
                document.apply(change)?;
            }
            if document == current.document {
                return Ok(document.version);
            }
            document.version += 1;
            document.written_at = self.clock.now();
            // Loaded before it is published, so that a version that cannot be read never becomes current.
            let state = load_state(&self.store, document, Some(&current)).await?;
            let path = document_path(state.document.version);
            let bytes = serde_json::to_vec_pretty(&state.document)
                .map_err(|e| Error::defect("a catalog document cannot be written").with_source(e))?;
            let create = PutOptions {
                mode: PutMode::Create,
                ..PutOptions::default()
            };
            match self.store.put_opts(&path, PutPayload::from(bytes), create).await {
                Ok(_) => {
                    let version = state.document.version;
                    self.current.store(Arc::new(state));
                    self.remove_old(version).await;
                    return Ok(version);
                }
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    self.reload().await?;
                }
                Err(error) => return Err(state_error("write", &path, error)),
            }
        }
        Err(Error::new(
            ErrorKind::Locked,
            "other servers kept publishing catalog versions first",
        )
        .with_hint("Try again; if it persists, look for a server that publishes without pause."))
    }

    async fn remove_old(&self, version: CatalogVersion) {
        if let Some(old) = version.checked_sub(KEPT_DOCUMENTS).filter(|old| *old > 0) {
            // Best effort: a document that stays costs a few kilobytes.
            if let Err(error) = self.store.delete(&document_path(old)).await {
                tracing::debug!(version = old, %error, "an old catalog document stays");
            }
        }
    }
}

async fn newest_version(store: &Arc<dyn ObjectStore>) -> Result<CatalogVersion> {
    let prefix = Path::from("catalog");
    let listed = store
        .list(Some(&prefix))
        .try_fold(0, |newest, object| async move {
            let number = object
                .location
                .filename()
                .and_then(|name| name.strip_suffix(".json")?.parse().ok());
            Ok(number.map_or(newest, |number: CatalogVersion| newest.max(number)))
        })
        .await;
    match listed {
        Err(object_store::Error::NotFound { .. }) => Ok(0),
        other => other.map_err(|e| state_error("list", &prefix, e)),
    }
}

async fn read_document(store: &Arc<dyn ObjectStore>, version: CatalogVersion) -> Result<CatalogDocument> {
    let path = document_path(version);
    let document: CatalogDocument = read_json(store, &path).await?;
    if document.format_version > document::FORMAT_VERSION {
        return Err(Error::new(
            ErrorKind::State,
            format!(
                "the catalog has format {}, and this Farthing reads up to {}",
                document.format_version,
                document::FORMAT_VERSION
            ),
        )
        .with_hint("The state was written by a newer Farthing: start that one."));
    }
    Ok(document)
}

async fn load_state(
    store: &Arc<dyn ObjectStore>,
    document: CatalogDocument,
    former: Option<&CatalogState>,
) -> Result<CatalogState> {
    let wanted: Vec<_> = document
        .snapshots
        .iter()
        .flat_map(|(export, periods)| {
            periods
                .iter()
                .map(move |(period, id)| (export.clone(), *period, id.clone()))
        })
        .collect();
    let loaded: Vec<_> = stream::iter(wanted)
        .map(|(export, period, id)| async move {
            let known = former
                .and_then(|state| state.snapshots.get(&export)?.get(&period))
                .filter(|snapshot| snapshot.id == id);
            let snapshot = match known {
                Some(snapshot) => Arc::clone(snapshot),
                None => Arc::new(read_json::<Snapshot>(store, &snapshot_path(&export, period, &id)).await?),
            };
            Ok::<_, Error>((export, period, snapshot))
        })
        .buffered(16)
        .try_collect()
        .await?;
    let mut snapshots: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Snapshot>>> = BTreeMap::new();
    for (export, period, snapshot) in loaded {
        snapshots.entry(export).or_default().insert(period, snapshot);
    }
    let derived = load_derived(store, &document, former).await;
    Ok(CatalogState {
        document,
        snapshots,
        derived,
    })
}

/// What was made of the snapshots. Nothing depends on it, so what cannot be read is left out and made again.
async fn load_derived(
    store: &Arc<dyn ObjectStore>,
    document: &CatalogDocument,
    former: Option<&CatalogState>,
) -> BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Derived>>> {
    let mut named: Vec<(ExportId, BillingPeriod, DerivedRef)> = Vec::new();
    for (export, periods) in &document.derived {
        named.extend(
            periods
                .iter()
                .map(|(period, made)| (export.clone(), *period, made.clone())),
        );
    }
    let mut loaded = stream::iter(named)
        .map(|(export, period, made)| async move {
            let known = former
                .and_then(|state| state.derived.get(&export)?.get(&period))
                .filter(|known| known.id == made.id);
            if let Some(known) = known {
                return Some((export, period, Arc::clone(known)));
            }
            let path = derived_path(&export, period, &made.of, &made.id);
            match read_json::<Derived>(store, &path).await {
                Ok(read) if read.format_version == derived::FORMAT_VERSION => Some((export, period, Arc::new(read))),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(%path, %error, "what was made of a snapshot cannot be read and is made again");
                    None
                }
            }
        })
        .buffered(16);
    let mut derived: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Derived>>> = BTreeMap::new();
    while let Some(next) = loaded.next().await {
        if let Some((export, period, made)) = next {
            derived.entry(export).or_default().insert(period, made);
        }
    }
    derived
}

async fn read_json<T: serde::de::DeserializeOwned>(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<T> {
    let got = store.get(path).await.map_err(|e| state_error("read", path, e))?;
    let bytes = got.bytes().await.map_err(|e| state_error("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| damaged(path, &e))
}

fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("the state document {path} is damaged: {error}"),
    )
    .with_hint("Restore the state directory from a backup; the exports themselves are untouched.")
}

fn state_error(what: &str, path: &Path, error: object_store::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("cannot {what} {path} in the state store: {error}"),
    )
    .with_hint("Check that the state directory or bucket exists, is writable and has space.")
    .with_source(error)
}

fn document_path(version: CatalogVersion) -> Path {
    // Zero-padded, so that a listing in text order is one in number order.
    Path::from(format!("catalog/{version:020}.json"))
}

fn snapshot_path(export: &ExportId, period: BillingPeriod, id: &SnapshotId) -> Path {
    Path::from(format!("snapshots/{export}/{period}/{id}.json"))
}

fn derived_path(export: &ExportId, period: BillingPeriod, of: &SnapshotId, id: &SnapshotId) -> Path {
    Path::from(format!("snapshots/{export}/{period}/{of}.{id}.derived.json"))
}

/// How the name of a document of totals by service ends; it lies beside its snapshot's.
const TOTALS: &str = ".services.json";

fn totals_path(export: &ExportId, period: BillingPeriod, id: &SnapshotId) -> Path {
    Path::from(format!("snapshots/{export}/{period}/{id}{TOTALS}"))
}

#[cfg(test)]
mod tests;
