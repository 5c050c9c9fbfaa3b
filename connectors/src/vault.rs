//! Keeps secrets encrypted in the state store.
//!
//! Each version of a secret is one document, `vault/<name>/<version>.json`, written once. It holds the secret encrypted
//! with AES-256-GCM under a data key of its own, and that data key encrypted under the master key, which lies in a file
//! apart from the state store. Name and version are authenticated with both, so a document that is changed or moved to
//! another name does not open.
//!
//! A secret in clear leaves this module only through `KeyFileVault::reveal`, which nothing outside this crate can call.

mod key_file;
mod seal;

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use farthing_engine::error::{Error, ErrorKind, Result, Retry};
use farthing_engine::port::{AccessKey, SecretRef, SecretVault};
use farthing_engine::secret::SecretString;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use self::key_file::MasterKey;
use self::seal::Record;
use crate::aws::credential::{parse_access_key, write_access_key};

/// Where the documents lie in the state store.
const PREFIX: &str = "vault";
/// Tries to find a free version while others write versions of the same name.
const PUT_ATTEMPTS: usize = 32;
/// Bytes that a secret may have; AWS session tokens stay below 4 KiB.
const MAX_SECRET_BYTES: usize = 64 * 1024;
/// Bytes that a document may have: base64 and JSON around the above.
const MAX_DOCUMENT_BYTES: u64 = 128 * 1024;

/// A vault whose master key lies in a file.
pub struct KeyFileVault {
    store: Arc<dyn ObjectStore>,
    master: MasterKey,
}

impl KeyFileVault {
    /// Opens the vault in the state store `store` with the master key in `key_file`. A key file that does not exist is
    /// made, readable by its owner alone, but only while the vault is empty: secrets that exist would stay closed to a new
    /// key. Errors: `State` for a key file that is missing, damaged or open to others, or a store that does not answer.
    pub async fn open(store: Arc<dyn ObjectStore>, key_file: &FilePath) -> Result<Self> {
        let path = key_file.to_owned();
        // A key file is a line of text; reading it in place holds nobody up.
        let master = match key_file::read(&path)? {
            Some(master) => master,
            None => {
                let prefix = Path::from(PREFIX);
                let mut listed = store.list(Some(&prefix));
                let first = listed
                    .try_next()
                    .await
                    .map_err(|error| store_error("list the vault", &error))?;
                if first.is_some() {
                    return Err(key_file::missing_for_existing_secrets(&path));
                }
                key_file::create(&path)?
            }
        };
        Ok(Self { store, master })
    }

    /// The secret in clear. Errors: `Missing` for a version that does not exist (any more), `State` for a document that
    /// was changed, or that another master key closed.
    pub(crate) async fn reveal(&self, secret: &SecretRef) -> Result<SecretString> {
        check_name(&secret.name)?;
        match self.load(secret).await? {
            Some(Record::Sealed(sealed)) => seal::open(&self.master, secret, &sealed),
            Some(Record::Retired { .. }) | None => {
                Err(no_secret(&secret.name)
                    .with_detail(format!("version {} was removed or never stored", secret.version)))
            }
        }
    }

    async fn load(&self, secret: &SecretRef) -> Result<Option<Record>> {
        let result = match self.store.get(&document_path(secret)).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(store_error("read the vault", &error)),
        };
        if result.meta.size > MAX_DOCUMENT_BYTES {
            return Err(seal::damaged(secret));
        }
        let bytes = result
            .bytes()
            .await
            .map_err(|error| store_error("read the vault", &error))?;
        seal::parse(&bytes, secret).map(Some)
    }

    /// The versions that have a document, in ascending order.
    async fn versions(&self, name: &str) -> Result<Vec<u32>> {
        let folder = Path::from(format!("{PREFIX}/{name}"));
        let listed = match self.store.list_with_delimiter(Some(&folder)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(store_error("list the vault", &error)),
        };
        let files = listed.objects.iter().filter_map(|object| object.location.filename());
        let mut versions: Vec<u32> = files.filter_map(version_of_file).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The newest of `versions` that was not retired.
    async fn newest_of(&self, name: &str, versions: &[u32]) -> Result<Option<SecretRef>> {
        for version in versions.iter().rev() {
            let secret = SecretRef {
                name: name.to_owned(),
                version: *version,
            };
            if let Some(Record::Sealed(_)) = self.load(&secret).await? {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    async fn write(&self, secret: &SecretRef, record: &Record, mode: PutMode) -> object_store::Result<()> {
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        let payload = PutPayload::from(seal::write(record));
        self.store
            .put_opts(&document_path(secret), payload, options)
            .await
            .map(drop)
    }
}

impl std::fmt::Debug for KeyFileVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFileVault")
            .field("key_id", &self.master.id())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SecretVault for KeyFileVault {
    async fn put(&self, name: &str, secret: &SecretString) -> Result<SecretRef> {
        check_name(name)?;
        if secret.is_empty() || secret.len() > MAX_SECRET_BYTES {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("the value of the secret \"{name}\" is empty or longer than {MAX_SECRET_BYTES} bytes"),
            )
            .with_hint("Give the secret's text."));
        }
        let mut version = self.versions(name).await?.last().copied().unwrap_or(0);
        for _ in 0..PUT_ATTEMPTS {
            version = version
                .checked_add(1)
                .ok_or_else(|| Error::defect("the versions of a secret ran out"))?;
            let reference = SecretRef {
                name: name.to_owned(),
                version,
            };
            let record = Record::Sealed(seal::seal(&self.master, &reference, secret)?);
            match self.write(&reference, &record, PutMode::Create).await {
                Ok(()) => return Ok(reference),
                // Someone else took this version.
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(store_error("write to the vault", &error)),
            }
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("the secret \"{name}\" is being stored by many others at the same time"),
        )
        .with_hint("Try again.")
        .with_retry(Retry::Now))
    }

    async fn put_access_key(&self, name: &str, key: &AccessKey) -> Result<SecretRef> {
        let text = write_access_key(key)?;
        // What is stored must open again: a key of the wrong shape is refused here, not at its first use.
        parse_access_key(&text, "the access key")?;
        self.put(name, &text).await
    }

    async fn newest(&self, name: &str) -> Result<SecretRef> {
        check_name(name)?;
        let versions = self.versions(name).await?;
        self.newest_of(name, &versions).await?.ok_or_else(|| no_secret(name))
    }

    async fn retire(&self, secret: &SecretRef) -> Result<()> {
        check_name(&secret.name)?;
        let versions = self.versions(&secret.name).await?;
        if !versions.contains(&secret.version) {
            return Ok(());
        }
        let written = if versions.last() == Some(&secret.version) {
            // The highest version leaves a mark in its place, so that its number is never given to another value.
            self.write(secret, &seal::retired(secret), PutMode::Overwrite).await
        } else {
            self.store.delete(&document_path(secret)).await
        };
        match written {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(store_error("write to the vault", &error)),
        }
    }

    async fn list(&self) -> Result<Vec<SecretRef>> {
        let prefix = Path::from(PREFIX);
        let mut names = std::collections::BTreeMap::<String, Vec<u32>>::new();
        let mut listed = self.store.list(Some(&prefix));
        while let Some(object) = listed
            .try_next()
            .await
            .map_err(|error| store_error("list the vault", &error))?
        {
            let below = object
                .location
                .as_ref()
                .strip_prefix(PREFIX)
                .and_then(|rest| rest.strip_prefix('/'));
            let Some((name, file)) = below.and_then(|rest| rest.rsplit_once('/')) else {
                continue;
            };
            if let Some(version) = version_of_file(file) {
                names.entry(name.to_owned()).or_default().push(version);
            }
        }
        drop(listed);
        let mut secrets = Vec::with_capacity(names.len());
        for (name, mut versions) in names {
            versions.sort_unstable();
            secrets.extend(self.newest_of(&name, &versions).await?);
        }
        Ok(secrets)
    }
}

fn document_path(secret: &SecretRef) -> Path {
    Path::from(format!("{PREFIX}/{}/{}.json", secret.name, secret.version))
}

fn version_of_file(file: &str) -> Option<u32> {
    let number = file.strip_suffix(".json")?;
    // `+1` and `01` parse as numbers too, and are not names that this vault gives.
    let version: u32 = number.parse().ok()?;
    (version.to_string() == number).then_some(version)
}

/// Names become paths, so they may hold nothing that a path reads in its own way.
fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let good = |segment: &str| !segment.is_empty() && segment.len() <= 128 && segment.chars().all(allowed);
    if name.len() <= 256 && name.split('/').all(good) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BadValue,
        format!("\"{}\" cannot be the name of a secret", name.escape_default()),
    )
    .with_hint("Use 1 to 128 characters of a-z, A-Z, 0-9, '_' and '-'."))
}

fn no_secret(name: &str) -> Error {
    Error::new(ErrorKind::Missing, format!("there is no secret \"{name}\""))
        .with_hint("Store it with CALL put_secret(...), or connect the account again with its access key.")
}

/// The error for a state store that failed. Its text is not repeated: that of S3 may hold signed headers.
fn store_error(what: &str, error: &object_store::Error) -> Error {
    let facts = crate::aws::error::Failure::of_object_store(error).facts();
    Error::new(ErrorKind::State, format!("the state store refused to {what}"))
        .with_detail(facts)
        .with_hint("Check that the state directory or bucket exists, has room, and may be read and written.")
}

#[cfg(test)]
mod tests;
