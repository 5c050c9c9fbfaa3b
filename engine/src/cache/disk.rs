//! Ranges of delivered files on this machine's disk, so that a bucket is asked for them once.
//!
//! A range is one file under a name that is a hash of bucket, key, ETag and bounds: what AWS delivers anew has another ETag and
//! so another name, and nothing is ever out of date. Who is refused by the bucket has no pinned reader and comes no further
//! than to it. What lies there holds rows of hidden accounts, as the bucket does, so folder and files are closed to everybody
//! but their owner. It survives a restart; a file that is damaged, cut off or gone is fetched again.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use moka::notification::RemovalCause;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{Bound, CacheInfo, Counters};
use crate::error::{Error, ErrorKind, Result};

/// The form of a file: this, the checksum and the length of the range as little-endian numbers, the range.
const MAGIC: [u8; 8] = *b"FRTHRNG1";
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8;

/// One range takes at most this part of the space.
const LARGEST_SHARE: u64 = 16;

/// A hash of what a range is of.
type Name = [u8; 32];

/// A range of one version of one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectRange<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub e_tag: &'a str,
    pub start: u64,
    pub end: u64,
}

impl ObjectRange<'_> {
    fn name(&self) -> Name {
        let mut hash = Sha256::new();
        for text in [self.bucket, self.key, self.e_tag] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        hash.update(self.start.to_le_bytes());
        hash.update(self.end.to_le_bytes());
        hash.finalize().into()
    }

    fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Ranges of objects in a folder, within a bound of bytes. Cheap to clone.
#[derive(Clone)]
pub struct RangeCache {
    folder: Arc<Path>,
    /// The files in the folder, with their sizes.
    ranges: moka::future::Cache<Name, u64>,
    most: u64,
    counters: Arc<Counters>,
}

impl fmt::Debug for RangeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeCache").finish_non_exhaustive()
    }
}

impl RangeCache {
    /// The cache in a folder that is there and private, of at most so many bytes. What lies in it from before is used again;
    /// what does not belong there is removed. Error: `Disk` if the folder cannot be read.
    pub async fn open(folder: &Path, bytes: u64) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let folder: Arc<Path> = folder.into();
        let (gone, place) = (Arc::clone(&counters), Arc::clone(&folder));
        let ranges = moka::future::Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, size: &u64| u32::try_from(*size).unwrap_or(u32::MAX))
            .eviction_listener(move |name: Arc<Name>, size, cause| {
                gone.removed(size, cause);
                if cause != RemovalCause::Replaced {
                    // One that cannot be removed is taken up or removed at the next start.
                    let _ = fs::remove_file(path_of(&place, &name));
                }
            })
            .build();
        let cache = Self {
            folder,
            ranges,
            most: bytes,
            counters,
        };
        let listed = Arc::clone(&cache.folder);
        let found = blocking(move || former(&listed)).await.map_err(|error| {
            Error::new(ErrorKind::Disk, "the folder of the disk cache cannot be read").with_source(error)
        })?;
        for (name, size) in found {
            cache.counters.added(size);
            cache.ranges.insert(name, size).await;
        }
        Ok(cache)
    }

    /// What it holds.
    pub(crate) fn info(&self) -> CacheInfo {
        CacheInfo {
            name: "ranges",
            bound: Bound::Bytes(self.most),
            counters: Arc::clone(&self.counters),
        }
    }

    /// The bytes of a range: from disk, or by `fetch`, which gives exactly them and is then kept. Whoever asks for a range
    /// while another fetches it waits for that. Errors: those of `fetch`; a disk that fails is no error.
    pub(crate) async fn read<F, R>(&self, range: ObjectRange<'_>, fetch: F) -> object_store::Result<Bytes>
    where
        F: Fn() -> R + Send + Sync,
        R: Future<Output = object_store::Result<Bytes>> + Send,
    {
        if range.len() > self.most / LARGEST_SHARE {
            return fetch().await;
        }
        let name = range.name();
        // A second time, if what lay there was no good.
        for _ in 0..2 {
            let mut fetched = None;
            let stored = self.ranges.try_get_with(name, async {
                let answer = fetch().await;
                let bytes = answer
                    .as_ref()
                    .ok()
                    .filter(|bytes| bytes.len() as u64 == range.len())
                    .cloned();
                fetched = Some(answer);
                self.store(name, bytes.ok_or(())?).await
            });
            let stored = stored.await;
            if let Some(answer) = fetched {
                self.counters.missed();
                return answer;
            }
            if stored.is_err() {
                // Another's fetch failed, for reasons of its own.
                break;
            }
            let (path, length) = (path_of(&self.folder, &name), range.len());
            if let Ok(bytes) = blocking(move || load(&path, length)).await {
                self.counters.hit();
                return Ok(bytes);
            }
            self.ranges.invalidate(&name).await;
        }
        self.counters.missed();
        fetch().await
    }

    /// Writes a range; its size on disk.
    async fn store(&self, name: Name, bytes: Bytes) -> Result<u64, ()> {
        let (folder, path) = (Arc::clone(&self.folder), path_of(&self.folder, &name));
        let written = blocking(move || store(&folder, &path, &bytes)).await;
        match written {
            Ok(size) => {
                self.counters.added(size);
                Ok(size)
            }
            Err(error) => {
                tracing::warn!(%error, "a range cannot be kept on disk");
                Err(())
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

fn path_of(folder: &Path, name: &Name) -> PathBuf {
    use fmt::Write;
    let mut text = String::with_capacity(2 * name.len());
    for byte in name {
        // Text takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    folder.join(text)
}

fn name_of(path: &Path) -> Option<Name> {
    let text = path.file_name()?.to_str()?;
    let mut name = Name::default();
    if text.len() != 2 * name.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in name.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    (path_of(path.parent()?, &name) == path).then_some(name)
}

/// The files that lie in the folder from before. Others (half-written ones) are removed.
fn former(folder: &Path) -> io::Result<Vec<(Name, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        match name_of(&path) {
            Some(name) if metadata.is_file() => found.push((name, metadata.len())),
            _ if metadata.is_file() => fs::remove_file(&path)?,
            _ => {}
        }
    }
    Ok(found)
}

fn store(folder: &Path, path: &Path, bytes: &Bytes) -> io::Result<u64> {
    // Open to its owner alone, and under its name only once it is whole.
    let mut file = tempfile::Builder::new().prefix("new-").tempfile_in(folder)?;
    file.write_all(&MAGIC)?;
    file.write_all(&crc32fast::hash(bytes).to_le_bytes())?;
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok((HEADER_BYTES + bytes.len()) as u64)
}

fn load(path: &Path, length: u64) -> io::Result<Bytes> {
    let file = Bytes::from(fs::read(path)?);
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    if file.len() < HEADER_BYTES || (file.len() - HEADER_BYTES) as u64 != length {
        return Err(damaged());
    }
    let (header, bytes) = (file.slice(..HEADER_BYTES), file.slice(HEADER_BYTES..));
    let mut expected = MAGIC.to_vec();
    expected.extend(crc32fast::hash(&bytes).to_le_bytes());
    expected.extend(length.to_le_bytes());
    match header == expected {
        true => Ok(bytes),
        false => Err(damaged()),
    }
}

#[cfg(test)]
mod tests;
