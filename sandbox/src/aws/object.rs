//! Objects: their content in memory or in files, and what S3 says about them.

mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use read::ContentStream;
pub(crate) use write::{ContentWriter, Written};

/// One version of one object. Never changed: a new version is a new `Object`.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) content: Content,
    pub(crate) attributes: ObjectAttributes,
}

/// What is stored beside the content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectAttributes {
    pub(crate) size: u64,
    /// Without quotes: the MD5 of the content, or `<MD5 of the parts' MD5s>-<parts>` after a multipart upload.
    pub(crate) etag: String,
    pub(crate) last_modified: DateTime<Utc>,
    #[serde(default)]
    pub(crate) headers: StoredHeaders,
}

/// Headers that S3 stores at upload and returns at download.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredHeaders {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    File(Arc<ContentFile>),
}

impl Content {
    /// Marks the content as no longer needed: its file goes when the last reader is done.
    pub(crate) fn discard(&self) {
        if let Self::File(file) = self {
            file.obsolete.store(true, Ordering::Release);
        }
    }
}

/// A file that holds one version of an object. Each version has its own file, so that replacing an object cannot change
/// what an answer under way delivers, and a crash leaves either version whole.
#[derive(Debug)]
pub(crate) struct ContentFile {
    path: PathBuf,
    obsolete: AtomicBool,
}

impl ContentFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            obsolete: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn keep(&self) {
        self.obsolete.store(false, Ordering::Release);
    }
}

impl Drop for ContentFile {
    fn drop(&mut self) {
        if *self.obsolete.get_mut()
            && let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the file of a replaced object");
        }
    }
}

/// The sidecar of a stored object: everything but its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) key: String,
    /// Relative to the bucket's `objects` folder, with `/` between the parts.
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) attributes: ObjectAttributes,
}

/// The sidecar's file name: any key, whatever its characters and length, on any file system.
pub(crate) fn sidecar_name(key: &str) -> String {
    format!("{}.json", hex::encode(Sha256::digest(key)))
}

/// Where a new version's bytes go, relative to the bucket's `objects` folder: the key's own folders, then a name that
/// no other version has. Folder names never contain `~` and file names always do, so `a` and `a/b` do not collide.
pub(crate) fn content_file_name(key: &str) -> String {
    let mut parts: Vec<&str> = key.split('/').collect();
    let leaf = parts.pop().unwrap_or_default();
    let version = &uuid::Uuid::new_v4().simple().to_string()[..12];
    let mut path = String::new();
    for part in parts {
        path.push_str(&file_name_of(part));
        path.push('/');
    }
    format!("{path}{version}~{}", file_name_of(leaf))
}

/// One segment of a key as a file name: letters, digits, `-`, `_`, `=` and inner `.` stay readable.
fn file_name_of(segment: &str) -> String {
    const LONGEST: usize = 150;
    if segment.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(segment.len());
    for (position, byte) in segment.bytes().enumerate() {
        let plain =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=') || (byte == b'.' && position > 0);
        if plain {
            name.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > LONGEST {
        let digest = hex::encode(&Sha256::digest(segment)[..16]);
        name.truncate(LONGEST - digest.len());
        name.push_str(&digest);
    }
    name
}

/// Writes a small file so that readers and crashes see either the old or the new text.
pub(crate) fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4().simple()));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}
