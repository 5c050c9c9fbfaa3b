//! Buckets: their settings and their index of objects, kept in memory and, with a directory, on disk.
//!
//! Layout of the directory: `buckets/<name>/bucket.json` (owner, Region, policy), `buckets/<name>/objects/` (contents, one
//! file per version), `buckets/<name>/meta/` (one sidecar per object). A version counts from the moment that its
//! sidecar is renamed into place; files without a sidecar are removed at the next start.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::SandboxError;
use super::multipart::Uploads;
use super::object::{
    Content, ContentFile, ContentWriter, Object, ObjectAttributes, Sidecar, StoredHeaders, Written, content_file_name,
    sidecar_name, write_atomically,
};
use super::policy::{PolicyDocument, PolicyKind};

/// The four switches of S3 Block Public Access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicAccessBlock {
    pub(crate) block_public_acls: bool,
    pub(crate) ignore_public_acls: bool,
    pub(crate) block_public_policy: bool,
    pub(crate) restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// All on, as for every new bucket since April 2023 (AWS news blog).
    pub(crate) const ALL: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };
}

/// How S3 encrypts new objects where a request says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    /// `AES256` or `aws:kms`.
    pub(crate) algorithm: String,
    pub(crate) kms_key: Option<String>,
    pub(crate) bucket_key: bool,
}

impl Default for Encryption {
    /// S3's own keys, as for every bucket since January 2023 (S3 user guide, "Setting default server-side encryption").
    fn default() -> Self {
        Self {
            algorithm: "AES256".to_owned(),
            kms_key: None,
            bucket_key: false,
        }
    }
}

/// What `bucket.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    name: String,
    owner: String,
    region: String,
    created: DateTime<Utc>,
    policy: Option<String>,
    public_access_block: Option<PublicAccessBlock>,
    #[serde(default)]
    encryption: Encryption,
}

/// A bucket policy, as text and parsed.
#[derive(Clone, Debug)]
pub(crate) struct BucketPolicy {
    pub(crate) text: String,
    pub(crate) document: Arc<PolicyDocument>,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteCondition {
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`: the ETag without quotes, or `*`.
    Matches(String),
}

/// Why a conditional write did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The condition failed.
    #[error("the condition on the object's present version does not hold")]
    Precondition,
    /// `If-Match` on an object that does not exist.
    #[error("no such object")]
    Missing,
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    /// Account id.
    pub(crate) owner: String,
    pub(crate) region: String,
    pub(crate) created: DateTime<Utc>,
    root: Option<PathBuf>,
    policy: RwLock<Option<BucketPolicy>>,
    public_access_block: Mutex<Option<PublicAccessBlock>>,
    encryption: Mutex<Encryption>,
    objects: RwLock<BTreeMap<String, Arc<Object>>>,
    pub(crate) uploads: Uploads,
}

impl Bucket {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }

    pub(crate) fn object(&self, key: &str) -> Option<Arc<Object>> {
        self.objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Runs `act` over the index, which is ordered by the keys' UTF-8 bytes.
    pub(crate) fn with_objects<R>(&self, act: impl FnOnce(&BTreeMap<String, Arc<Object>>) -> R) -> R {
        act(&self.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A place for a new version's bytes.
    pub(crate) async fn writer(&self, key: &str) -> io::Result<ContentWriter> {
        match &self.root {
            Some(root) => ContentWriter::to_file(&root.join("objects"), content_file_name(key)).await,
            None => Ok(ContentWriter::in_memory()),
        }
    }

    /// Makes written bytes the object's present version, if the condition holds.
    pub(crate) fn commit(
        &self,
        key: &str,
        written: Written,
        etag: String,
        headers: StoredHeaders,
        last_modified: DateTime<Utc>,
        condition: &WriteCondition,
    ) -> Result<Arc<Object>, WriteError> {
        let object = Arc::new(Object {
            key: key.to_owned(),
            content: written.content,
            attributes: ObjectAttributes {
                size: written.size,
                etag,
                last_modified,
                headers,
            },
        });
        let stored = self.replace(key, Some((&object, &written.file)), condition);
        if stored.is_err() {
            object.content.discard();
        }
        stored.map(|()| object)
    }

    /// Removes an object; no error when there is none, as in S3.
    pub(crate) fn remove(&self, key: &str, condition: &WriteCondition) -> Result<(), WriteError> {
        self.replace(key, None, condition)
    }

    fn replace(
        &self,
        key: &str,
        new: Option<(&Arc<Object>, &str)>,
        condition: &WriteCondition,
    ) -> Result<(), WriteError> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let present = objects.get(key);
        match (condition, present) {
            (WriteCondition::None, _) | (WriteCondition::Absent, None) => {}
            (WriteCondition::Absent, Some(_)) => return Err(WriteError::Precondition),
            (WriteCondition::Matches(_), None) => return Err(WriteError::Missing),
            (WriteCondition::Matches(etag), Some(present)) => {
                if etag != "*" && *etag != present.attributes.etag {
                    return Err(WriteError::Precondition);
                }
            }
        }
        if let Some(root) = &self.root {
            let sidecar = root.join("meta").join(sidecar_name(key));
            match new {
                Some((object, file)) => {
                    let text = serde_json::to_vec(&Sidecar {
                        key: key.to_owned(),
                        file: file.to_owned(),
                        attributes: object.attributes.clone(),
                    });
                    write_atomically(&sidecar, &text.map_err(io::Error::other)?)?;
                }
                None if present.is_some() => fs::remove_file(sidecar)?,
                None => {}
            }
        }
        let replaced = match new {
            Some((object, _)) => objects.insert(key.to_owned(), Arc::clone(object)),
            None => objects.remove(key),
        };
        if let Some(replaced) = replaced {
            replaced.content.discard();
        }
        Ok(())
    }

    pub(crate) fn policy(&self) -> Option<BucketPolicy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or removes the bucket policy, which is checked as far as the bucket itself can.
    pub(crate) fn set_policy(&self, text: Option<&str>) -> Result<(), SandboxError> {
        let policy = text.map(|text| self.parse_policy(text)).transpose()?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        self.save()
    }

    pub(crate) fn parse_policy(&self, text: &str) -> Result<BucketPolicy, SandboxError> {
        let document = PolicyDocument::parse(text, PolicyKind::Resource)?;
        document.check_for_bucket(&self.name)?;
        Ok(BucketPolicy {
            text: text.to_owned(),
            document: Arc::new(document),
        })
    }

    pub(crate) fn public_access_block(&self) -> Option<PublicAccessBlock> {
        *self.public_access_block.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_public_access_block(&self, block: Option<PublicAccessBlock>) -> Result<(), SandboxError> {
        *self.public_access_block.lock().unwrap_or_else(PoisonError::into_inner) = block;
        self.save()
    }

    pub(crate) fn encryption(&self) -> Encryption {
        self.encryption.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_encryption(&self, encryption: Encryption) -> Result<(), SandboxError> {
        *self.encryption.lock().unwrap_or_else(PoisonError::into_inner) = encryption;
        self.save()
    }

    fn save(&self) -> Result<(), SandboxError> {
        let Some(root) = &self.root else {
            return Ok(());
        };
        let settings = Settings {
            name: self.name.clone(),
            owner: self.owner.clone(),
            region: self.region.clone(),
            created: self.created,
            policy: self.policy().map(|policy| policy.text),
            public_access_block: self.public_access_block(),
            encryption: self.encryption(),
        };
        let path = root.join("bucket.json");
        let text = serde_json::to_vec_pretty(&settings).map_err(io::Error::other);
        text.and_then(|text| write_atomically(&path, &text))
            .map_err(|source| SandboxError::storage(&path, source))
    }
}

/// All buckets; their names are unique over all accounts.
#[derive(Debug)]
pub(crate) struct Buckets {
    /// The `buckets` folder; `None` keeps everything in memory.
    root: Option<PathBuf>,
    map: RwLock<BTreeMap<String, Arc<Bucket>>>,
}

impl Buckets {
    pub(crate) fn in_memory() -> Self {
        Self {
            root: None,
            map: RwLock::default(),
        }
    }

    /// Opens the buckets kept under `folder`, creating it where it does not exist.
    pub(crate) fn open(folder: &Path) -> Result<Self, SandboxError> {
        let root = folder.join("buckets");
        fs::create_dir_all(&root).map_err(|source| SandboxError::storage(&root, source))?;
        let mut map = BTreeMap::new();
        for entry in fs::read_dir(&root).map_err(|source| SandboxError::storage(&root, source))? {
            let path = entry.map_err(|source| SandboxError::storage(&root, source))?.path();
            if path.join("bucket.json").is_file() {
                let bucket = load_bucket(&path)?;
                map.insert(bucket.name.clone(), Arc::new(bucket));
            }
        }
        Ok(Self {
            root: Some(root),
            map: RwLock::new(map),
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Bucket>> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The buckets of one account, by name.
    pub(crate) fn owned_by(&self, account: &str) -> Vec<Arc<Bucket>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().filter(|bucket| bucket.owner == account).cloned().collect()
    }

    /// Creates a bucket. The name's form is checked by the caller.
    pub(crate) fn create(
        &self,
        name: &str,
        owner: &str,
        region: &str,
        now: DateTime<Utc>,
    ) -> Result<Arc<Bucket>, SandboxError> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.contains_key(name) {
            return Err(SandboxError::AlreadyExists(format!("bucket {name}")));
        }
        let root = self.root.as_ref().map(|root| root.join(name));
        if let Some(root) = &root {
            for folder in [root.join("objects"), root.join("meta")] {
                fs::create_dir_all(&folder).map_err(|source| SandboxError::storage(&folder, source))?;
            }
        }
        let bucket = Arc::new(Bucket {
            name: name.to_owned(),
            owner: owner.to_owned(),
            region: region.to_owned(),
            created: now,
            root,
            policy: RwLock::new(None),
            public_access_block: Mutex::new(Some(PublicAccessBlock::ALL)),
            encryption: Mutex::default(),
            objects: RwLock::default(),
            uploads: Uploads::default(),
        });
        bucket.save()?;
        map.insert(name.to_owned(), Arc::clone(&bucket));
        Ok(bucket)
    }

    /// Deletes an empty bucket; whether there was one to delete. `Err` when it still holds objects.
    pub(crate) fn delete(&self, name: &str) -> Result<bool, SandboxError> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = map.get(name) else {
            return Ok(false);
        };
        if bucket.with_objects(|objects| !objects.is_empty()) {
            return Err(SandboxError::AlreadyExists(format!("objects in bucket {name}")));
        }
        if let Some(root) = &bucket.root {
            fs::remove_dir_all(root).map_err(|source| SandboxError::storage(root, source))?;
        }
        map.remove(name);
        Ok(true)
    }
}

fn load_bucket(root: &Path) -> Result<Bucket, SandboxError> {
    let path = root.join("bucket.json");
    let settings: Settings = read_json(&path).map_err(|source| SandboxError::storage(&path, source))?;
    let contents = root.join("objects");
    let mut objects = BTreeMap::new();
    let mut files = HashSet::new();
    let meta = root.join("meta");
    for entry in fs::read_dir(&meta).map_err(|source| SandboxError::storage(&meta, source))? {
        let path = entry.map_err(|source| SandboxError::storage(&meta, source))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            // A write that was cut off before its rename.
            let _ = fs::remove_file(&path);
            continue;
        }
        let sidecar: Sidecar = read_json(&path).map_err(|source| SandboxError::storage(&path, source))?;
        let file = sidecar
            .file
            .split('/')
            .fold(contents.clone(), |path, part| path.join(part));
        files.insert(file.clone());
        let object = Object {
            key: sidecar.key.clone(),
            content: Content::File(Arc::new(ContentFile::new(file))),
            attributes: sidecar.attributes,
        };
        objects.insert(sidecar.key, Arc::new(object));
    }
    remove_unreferenced(&contents, &files).map_err(|source| SandboxError::storage(&contents, source))?;
    let bucket = Bucket {
        name: settings.name,
        owner: settings.owner,
        region: settings.region,
        created: settings.created,
        root: Some(root.to_owned()),
        policy: RwLock::new(None),
        public_access_block: Mutex::new(settings.public_access_block),
        encryption: Mutex::new(settings.encryption),
        objects: RwLock::new(objects),
        uploads: Uploads::default(),
    };
    let policy = settings.policy.map(|text| bucket.parse_policy(&text)).transpose()?;
    *bucket.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    Ok(bucket)
}

/// Removes contents that no sidecar names: uploads that never finished and versions that were replaced at a crash.
fn remove_unreferenced(folder: &Path, files: &HashSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_unreferenced(&entry.path(), files)?;
        } else if !files.contains(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}
