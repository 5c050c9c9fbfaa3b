//! Whether a delivery is whole: every file of the manifest is there, none is newer than the manifest, and each is known by
//! its ETag. Reference: `docs.aws.amazon.com/cur/latest/userguide/dataexports-export-delivery.html` (the manifest is
//! written after all files of a delivery; in overwrite mode files are replaced in place).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::pinned::{Stop, is_missing, store_stop};
use crate::error::{Error, ErrorKind};
use crate::port::{DeliveredManifest, LocationRoot};

/// Files looked up at the same time; a look-up is one small request.
const HEADS: usize = 16;

/// In a folder, copies may be older or newer than the manifest in any order. A file that has not changed for so long is
/// taken to be whole.
const FOLDER_SETTLED: TimeDelta = TimeDelta::minutes(1);

/// The same for a replicated bucket: AWS names 15 minutes as the time in which S3 replicates most objects.
const REPLICA_SETTLED: TimeDelta = TimeDelta::minutes(15);

/// One file of the delivery as it was found.
#[derive(Debug, Clone)]
pub(crate) struct DeliveredFile {
    pub(crate) key: String,
    pub(crate) path: Path,
    pub(crate) size: u64,
    pub(crate) e_tag: String,
    pub(crate) last_modified: DateTime<Utc>,
}

/// How a data file is encoded, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Parquet of any codec: read where it lies.
    Parquet,
    /// CSV, plain or in gzip or zip: it has to be made Parquet before anything else can read it.
    Csv,
}

impl Encoding {
    /// The encoding of the file at `key`. Whatever is not CSV by name shows by its footer that it is Parquet.
    pub(crate) fn of(key: &str) -> Self {
        let key = key.to_ascii_lowercase();
        match [".csv", ".csv.gz", ".csv.zip"].iter().any(|end| key.ends_with(end)) {
            true => Self::Csv,
            false => Self::Parquet,
        }
    }
}

/// The data files that the manifest names, each once, in its order. Errors: `Limit`, `BrokenDelivery`.
pub(super) fn named_files(delivered: &DeliveredManifest, limit: usize) -> Result<Vec<(String, Path)>, Error> {
    let mut files: Vec<(String, Path)> = Vec::with_capacity(delivered.manifest.files.len());
    let mut seen: HashMap<Path, &str> = HashMap::new();
    for key in &delivered.manifest.files {
        let path = Path::parse(key).map_err(|error| {
            Error::new(
                ErrorKind::BrokenDelivery,
                format!(
                    "{} names the file \"{key}\", which is no readable key: {error}",
                    delivered.key
                ),
            )
            .with_hint("An S3 prefix that starts or ends with a slash makes keys with empty parts: export without it.")
        })?;
        match seen.entry(path.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(key);
                files.push((key.clone(), path));
            }
            Entry::Occupied(entry) if *entry.get() == key => {}
            Entry::Occupied(entry) => {
                return Err(Error::new(
                    ErrorKind::BrokenDelivery,
                    format!(
                        "{} names one file as \"{}\" and as \"{key}\"",
                        delivered.key,
                        entry.get()
                    ),
                ));
            }
        }
    }
    if files.len() > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "{} names {} files, and the limit is {limit}",
                delivered.key,
                files.len()
            ),
        )
        .with_hint("Raise the setting snapshot_files."));
    }
    Ok(files)
}

/// Looks each file up. Errors: `BrokenDelivery` naming a file that is not there.
pub(super) async fn find_files(
    store: &Arc<dyn ObjectStore>,
    delivered: &DeliveredManifest,
    named: Vec<(String, Path)>,
) -> Result<Vec<DeliveredFile>, Stop> {
    stream::iter(named)
        .map(|(key, path)| async move {
            let found = store.head(&path).await.map_err(|error| {
                if is_missing(&error) {
                    Stop::Failed(
                        Error::new(
                            ErrorKind::BrokenDelivery,
                            format!("{} names the file {key}, which does not exist", delivered.key),
                        )
                        .with_hint(
                            "Someone or a lifecycle rule may have removed it; ask AWS Support to deliver the period again.",
                        ),
                    )
                } else {
                    store_stop(&key, &error)
                }
            })?;
            let e_tag = found.e_tag.ok_or_else(|| {
                Error::new(ErrorKind::AwsUnreachable, format!("the store names no ETag for {key}"))
                    .with_hint("Check whether a proxy between this machine and AWS removes headers.")
            })?;
            Ok(DeliveredFile {
                key,
                path,
                size: found.size,
                e_tag,
                last_modified: found.last_modified,
            })
        })
        .buffered(HEADS)
        .try_collect()
        .await
}

/// Stops if a file is newer than the manifest: then AWS is writing the next delivery over this one.
pub(super) fn check_times(
    root: &LocationRoot,
    delivered: &DeliveredManifest,
    files: &[DeliveredFile],
    now: DateTime<Utc>,
) -> Result<(), Stop> {
    // Where files were listed there is no manifest that follows them: they have to lie still for a while.
    if delivered.manifest.listed {
        return match now - delivered.last_modified < FOLDER_SETTLED {
            true => Err(Stop::UnderWay(format!(
                "files in {} are being written; there is no manifest to say when all are there",
                delivered.key
            ))),
            false => Ok(()),
        };
    }
    // Where AWS does not write itself, times tell less; only recent changes count there.
    let settled = match root {
        LocationRoot::Folder(_) => Some(FOLDER_SETTLED),
        LocationRoot::Bucket { .. } if delivered.manifest.foreign_bucket.is_some() => Some(REPLICA_SETTLED),
        LocationRoot::Bucket { .. } => None,
    };
    let newer = files
        .iter()
        // S3 tells times in whole seconds.
        .filter(|file| file.last_modified.timestamp() > delivered.last_modified.timestamp())
        .find(|file| settled.is_none_or(|settled| now - file.last_modified < settled));
    match newer {
        None => Ok(()),
        Some(file) => Err(Stop::UnderWay(format!(
            "a delivery is under way: {} is newer than its manifest",
            file.key
        ))),
    }
}
