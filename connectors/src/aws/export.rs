//! Reads exports where AWS delivers them: an S3 bucket, or a folder that holds a copy.
//!
//! Which files are data is read from manifests. Listing finds which periods have been delivered, in the folders
//! of the form `<base>/metadata/BILLING_PERIOD=YYYY-MM/`, or `<base>/YYYYMMDD-YYYYMMDD/` of a legacy report. Which of the two
//! it is, the folders say; the location's own layout is looked for first. Only where there is no manifest at all are
//! files taken from listings, in a layout of its own that marks them.

mod alone;
pub(crate) mod bucket;
mod folder;
mod layout;
mod places;
mod read_only;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::id::BillingPeriod;
use farthing_engine::port::{
    Credential, DeliveredManifest, DeliveryLayout, ExportLocation, ExportSource, ListedManifest, LocationReport,
    LocationRoot, ManifestAnswer, SecretRef,
};
use object_store::ObjectStore;

use self::bucket::{BucketRoot, RegionMemory};
use self::folder::FolderRoot;
use super::AwsClients;
use super::manifest::{self, Origin};

/// Entries that each of the memories below may have before it starts anew. They save requests and decide nothing.
const MEMORY_ENTRIES: usize = 4_096;
/// Executions of one period that are looked at: AWS delivers a month some times a day for some weeks.
const MAX_EXECUTIONS: usize = 1_000;
/// Folders that a report names where nothing was found.
const FOLDERS_NEARBY: usize = 50;

/// Exports in S3 buckets and in folders of this machine. Only ever reads.
pub struct AwsExportSource {
    clients: Arc<AwsClients>,
    regions: Arc<RegionMemory>,
    /// The manifest's key of a location and period, where it is known: the common case needs no listing then.
    manifest_keys: Memory<(String, DeliveryLayout, BillingPeriod), String>,
    /// Locations in which each delivery comes in a new folder.
    moving: Memory<(String, DeliveryLayout), ()>,
    /// Stores that are open for a stored key, so that connections are kept between statements.
    stores: Memory<(String, Option<String>, SecretRef), Arc<dyn ObjectStore>>,
}

impl AwsExportSource {
    pub(crate) fn new(clients: Arc<AwsClients>) -> Self {
        Self {
            clients,
            regions: Arc::new(RegionMemory::default()),
            manifest_keys: Memory::default(),
            moving: Memory::default(),
            stores: Memory::default(),
        }
    }

    async fn root(&self, location: &ExportLocation, credential: &Credential) -> Result<Box<dyn DeliveryRoot>> {
        layout::check(location)?;
        match &location.root {
            LocationRoot::Folder(path) => Ok(Box::new(FolderRoot::open(path)?)),
            LocationRoot::Bucket { name, region } => {
                let key = self.clients.access_key(credential).await?;
                Ok(Box::new(BucketRoot::new(
                    Arc::clone(&self.clients),
                    Arc::clone(&self.regions),
                    key,
                    credential,
                    name,
                    region.as_deref(),
                    &location.base_key(),
                )?))
            }
        }
    }

    /// The manifest object of `period`, found with as few requests as possible: where it was last time, where AWS puts
    /// it, and only then by listing.
    async fn find_manifest(
        &self,
        root: &dyn DeliveryRoot,
        location: &ExportLocation,
        period: BillingPeriod,
        known_e_tag: Option<&str>,
    ) -> Result<Option<(String, Read)>> {
        let place = (location.uri(), location.layout);
        let memory_key = (place.0.clone(), location.layout, period);
        let mut likely = match self.moving.get(&place) {
            Some(()) => Vec::new(),
            None => layout::manifest_keys(location, period),
        };
        if let Some(known) = self.manifest_keys.get(&memory_key) {
            likely.retain(|key| *key != known);
            likely.insert(0, known);
        }
        for key in likely {
            match root.read(&key, known_e_tag).await? {
                Read::Absent => {}
                answer => {
                    self.manifest_keys.put(memory_key, key.clone());
                    return Ok(Some((key, answer)));
                }
            }
        }
        let places = places::find(root, location).await?;
        if places.moving {
            self.moving.put(place, ());
        }
        for folder in places.folders.get(&period).into_iter().flatten() {
            let objects = root.list(folder).await?.objects;
            let Some(key) = layout::choose_manifest(location, folder, &objects).map(|object| object.key.clone()) else {
                continue;
            };
            // Written and removed again between the listing and this read: not delivered.
            match root.read(&key, known_e_tag).await? {
                Read::Absent => {}
                answer => {
                    if !places.moving {
                        self.manifest_keys.put(memory_key, key.clone());
                    }
                    return Ok(Some((key, answer)));
                }
            }
        }
        Ok(None)
    }

    /// The periods that are delivered in the location's layout.
    async fn periods(&self, root: &dyn DeliveryRoot, location: &ExportLocation) -> Result<Vec<BillingPeriod>> {
        if location.layout == DeliveryLayout::FilesAlone {
            return alone::periods(root, location).await;
        }
        let mut periods: Vec<BillingPeriod> = places::find(root, location).await?.folders.into_keys().collect();
        // The newest manifest is read, so that a key that may list and not read is told now and not at the first import.
        while let Some(newest) = periods.last() {
            if self.find_manifest(root, location, *newest, None).await?.is_some() {
                break;
            }
            periods.pop();
        }
        Ok(periods)
    }
}

impl std::fmt::Debug for AwsExportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsExportSource")
            .field("settings", &self.clients.settings)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ExportSource for AwsExportSource {
    async fn probe(&self, location: &ExportLocation, credential: &Credential) -> Result<LocationReport> {
        let root = self.root(location, credential).await?;
        root.check().await?;
        let mut layouts = layout::WITH_MANIFESTS.to_vec();
        // What was found before is looked for first; files alone count only where no manifest is.
        layouts.sort_by_key(|layout| *layout != location.layout);
        layouts.push(DeliveryLayout::FilesAlone);
        let (mut found, mut periods) = (location.layout, Vec::new());
        for layout in layouts {
            let there = ExportLocation {
                layout,
                ..location.clone()
            };
            periods = self.periods(root.as_ref(), &there).await?;
            if !periods.is_empty() {
                found = layout;
                break;
            }
        }
        let folders_nearby = if periods.is_empty() {
            folders_nearby(root.as_ref(), location).await
        } else {
            Vec::new()
        };
        Ok(LocationReport {
            region: root.region(),
            layout: found,
            periods,
            folders_nearby,
        })
    }

    async fn fetch_manifest(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        period: BillingPeriod,
        known_e_tag: Option<&str>,
    ) -> Result<ManifestAnswer> {
        let root = self.root(location, credential).await?;
        if location.layout == DeliveryLayout::FilesAlone {
            return alone::manifest(root.as_ref(), location, period, known_e_tag).await;
        }
        let Some((key, answer)) = self.find_manifest(root.as_ref(), location, period, known_e_tag).await? else {
            return Ok(ManifestAnswer::Absent);
        };
        match answer {
            Read::Unchanged => Ok(ManifestAnswer::Unchanged),
            Read::Absent => Ok(ManifestAnswer::Absent),
            Read::Found(found) => Ok(ManifestAnswer::Found(delivered(root.as_ref(), location, key, *found)?)),
        }
    }

    async fn list_executions(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        period: BillingPeriod,
    ) -> Result<Vec<String>> {
        let root = self.root(location, credential).await?;
        let mut keys = Vec::new();
        if location.layout == DeliveryLayout::FilesAlone {
            return Ok(keys);
        }
        let places = places::find(root.as_ref(), location).await?;
        // Where each delivery comes in a folder of its own day or model, none is another one's past.
        for folder in places
            .folders
            .get(&period)
            .into_iter()
            .flatten()
            .filter(|_| !places.moving)
        {
            let executions = root.list(folder).await?.folders.into_iter();
            keys.extend(executions.map(|execution| layout::manifest_in(location, &execution)));
        }
        // Names begin with the time, in text order; older legacy reports are named by UUIDs, and have no order.
        keys.sort_unstable_by(|one, other| other.cmp(one));
        keys.truncate(MAX_EXECUTIONS);
        Ok(keys)
    }

    async fn fetch_execution(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        key: &str,
    ) -> Result<Option<Box<DeliveredManifest>>> {
        let root = self.root(location, credential).await?;
        match root.read(key, None).await? {
            Read::Unchanged | Read::Absent => Ok(None),
            Read::Found(found) => delivered(root.as_ref(), location, key.to_owned(), *found).map(Some),
        }
    }

    async fn list_manifests(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        pages: usize,
    ) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>> {
        if location.layout == DeliveryLayout::FilesAlone {
            return Ok(None);
        }
        let root = self.root(location, credential).await?;
        let objects = root.list_all(&layout::periods_prefix(location), pages).await?;
        match objects {
            Some(objects) => places::newest_manifests(location, &objects).await,
            None => Ok(None),
        }
    }

    async fn open(&self, location: &ExportLocation, credential: &Credential) -> Result<Arc<dyn ObjectStore>> {
        let root = self.root(location, credential).await?;
        let Credential::Stored(secret) = credential else {
            return root.open();
        };
        // A stored secret's version never changes its value, and the vault has just handed it out again.
        let cache_key = (location.uri(), root.region(), secret.clone());
        if let Some(store) = self.stores.get(&cache_key) {
            return Ok(store);
        }
        let store = root.open()?;
        self.stores.put(cache_key, Arc::clone(&store));
        Ok(store)
    }
}

/// A manifest that was read, parsed. Error: `BrokenDelivery`.
fn delivered(
    root: &dyn DeliveryRoot,
    location: &ExportLocation,
    key: String,
    found: Content,
) -> Result<Box<DeliveredManifest>> {
    let origin = Origin {
        uri: &root.uri(&key),
        bucket: root.bucket(),
        base_key: &location.base_key(),
    };
    let manifest = manifest::parse(&found.body, &origin)?;
    Ok(Box::new(DeliveredManifest {
        manifest,
        key,
        e_tag: found.e_tag,
        last_modified: found.last_modified,
        kms_key: found.kms_key,
    }))
}

/// The folders beside the place where the export should be, or beside the nearest one above it that exists. Best effort:
/// it may need a wider permission than the export itself.
async fn folders_nearby(root: &dyn DeliveryRoot, location: &ExportLocation) -> Vec<String> {
    let mut level = location.prefix.as_str();
    loop {
        let prefix = if level.is_empty() {
            String::new()
        } else {
            format!("{level}/")
        };
        let Ok(listing) = root.list(&prefix).await else {
            return Vec::new();
        };
        if !listing.folders.is_empty() || level.is_empty() {
            let names = listing.folders.iter().take(FOLDERS_NEARBY);
            return names
                .map(|folder| folder.strip_suffix('/').unwrap_or(folder).to_owned())
                .collect();
        }
        level = level.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

/// A bucket or a folder: what an export source asks of either.
#[async_trait]
trait DeliveryRoot: Send + Sync {
    /// Whether the root exists and can be reached.
    async fn check(&self) -> Result<()>;
    /// Folders and objects directly below `prefix`, which is empty or ends with a slash. All pages.
    async fn list(&self, prefix: &str) -> Result<Listing>;
    /// All objects whose keys begin with `prefix`, if that takes at most so many requests; `None` otherwise.
    async fn list_all(&self, prefix: &str, pages: usize) -> Result<Option<Vec<ListedObject>>>;
    /// An object's content, unless it still has `known_e_tag`. Bounded by the size that a manifest may have.
    async fn read(&self, key: &str, known_e_tag: Option<&str>) -> Result<Read>;
    /// The root as a read-only store.
    fn open(&self) -> Result<Arc<dyn ObjectStore>>;
    /// The Region, once known.
    fn region(&self) -> Option<String>;
    /// The bucket's name, where it is one.
    fn bucket(&self) -> Option<&str>;
    /// The URI of a key.
    fn uri(&self, key: &str) -> String;
}

/// One level of a listing.
#[derive(Debug, Default)]
struct Listing {
    /// Keys with a slash at the end.
    folders: Vec<String>,
    objects: Vec<ListedObject>,
}

#[derive(Debug, Clone)]
struct ListedObject {
    key: String,
    size: u64,
    e_tag: Option<String>,
    last_modified: DateTime<Utc>,
}

/// The answer to a conditional read.
enum Read {
    Unchanged,
    Absent,
    Found(Box<Content>),
}

struct Content {
    body: Bytes,
    e_tag: String,
    last_modified: DateTime<Utc>,
    /// The ARN of the KMS key that S3 decrypted it with.
    kms_key: Option<String>,
}

/// A bounded map behind a lock that is never held across an await. Losing an entry costs a request and nothing else.
pub(crate) struct Memory<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: std::hash::Hash + Eq, V: Clone> Memory<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: K, value: V) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MEMORY_ENTRIES && !map.contains_key(&key) {
            map.clear();
        }
        match map.entry(key) {
            Entry::Occupied(mut entry) => {
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
        }
    }
}

/// The error for an answer that lacks what S3 always sends.
fn incomplete(uri: &str) -> Error {
    Error::new(
        ErrorKind::AwsUnreachable,
        format!("the answer for {uri} has no ETag or no Last-Modified header"),
    )
    .with_hint("Check whether a proxy between this machine and AWS removes headers.")
}

#[cfg(test)]
mod tests;
