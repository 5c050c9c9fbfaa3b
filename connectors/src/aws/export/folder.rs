//! A folder of this machine that holds a copy of an export.
//!
//! Everything goes through `LocalFileSystem` rooted at the folder; its paths have no `..`, so nothing outside is reached
//! by name. A symbolic link inside the folder is followed: whoever may write there decides what is in the export.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use farthing_engine::error::{Error, ErrorKind, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore};

use super::read_only::{Explain, ReadOnlyStore};
use super::{Content, DeliveryRoot, ListedObject, Listing, Read, incomplete};
use crate::aws::manifest;

pub(super) struct FolderRoot {
    folder: PathBuf,
    store: Arc<LocalFileSystem>,
}

impl FolderRoot {
    /// The folder, which must exist.
    pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
        if !folder.is_absolute() {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("{} is not an absolute path", folder.display()),
            )
            .with_hint("Give the whole path: file:///folder/export."));
        }
        let canonical = folder.canonicalize().map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                format!("the folder {} cannot be opened: {error}", folder.display()),
            )
            .with_hint("Check the path, and that the server may read the folder.")
        })?;
        if !canonical.is_dir() {
            return Err(
                Error::new(ErrorKind::Missing, format!("{} is not a folder", folder.display()))
                    .with_hint("Give the folder that has the export's data/ and metadata/ folders."),
            );
        }
        let store = LocalFileSystem::new_with_prefix(&canonical).map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                format!("the folder {} cannot be opened", folder.display()),
            )
            .with_source(error)
        })?;
        Ok(Self {
            folder: canonical,
            store: Arc::new(store),
        })
    }

    fn path(&self, key: &str) -> Result<Path> {
        Path::parse(key).map_err(|error| {
            Error::new(
                ErrorKind::BadValue,
                format!("\"{key}\" is not a path inside {}", self.folder.display()),
            )
            .with_source(error)
        })
    }

    fn explain(&self) -> Explain {
        let root = self.folder.clone();
        Arc::new(move |error, key| file_error(error, &root.join(key.unwrap_or_default())))
    }
}

/// The engine's error for a failed read of a file.
fn file_error(error: &object_store::Error, path: &std::path::Path) -> Error {
    let path = path.display();
    match error {
        object_store::Error::NotFound { .. } => Error::new(ErrorKind::Missing, format!("{path} does not exist"))
            .with_hint("Copy the whole export: its data and its metadata folder."),
        object_store::Error::Precondition { .. } => Error::new(
            ErrorKind::SnapshotReplaced,
            format!("{path} was replaced while it was in use"),
        )
        .with_hint("Run the statement again: it will read the new file."),
        object_store::Error::PermissionDenied { .. } => {
            Error::new(ErrorKind::AwsRefused, format!("{path} may not be read by the server"))
                .with_hint("Give the server's user the right to read it.")
        }
        other => Error::new(ErrorKind::AwsUnreachable, format!("{path} cannot be read: {other}"))
            .with_hint("Check the disk or the network share."),
    }
}

#[async_trait]
impl DeliveryRoot for FolderRoot {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        let path = self.path(prefix)?;
        let listed = self.store.list_with_delimiter(Some(&path)).await;
        let listed = match listed {
            Err(object_store::Error::NotFound { .. }) => return Ok(Listing::default()),
            other => other.map_err(|error| file_error(&error, &self.folder.join(prefix)))?,
        };
        Ok(Listing {
            folders: listed
                .common_prefixes
                .iter()
                .map(|folder| format!("{folder}/"))
                .collect(),
            objects: listed
                .objects
                .into_iter()
                .map(|object| ListedObject {
                    key: object.location.to_string(),
                    size: object.size,
                    e_tag: object.e_tag,
                    last_modified: object.last_modified,
                })
                .collect(),
        })
    }

    /// Reading a manifest of this machine costs no request, so nothing is gained by listing.
    async fn list_all(&self, _: &str, _: usize) -> Result<Option<Vec<ListedObject>>> {
        Ok(None)
    }

    async fn read(&self, key: &str, known_e_tag: Option<&str>) -> Result<Read> {
        let path = self.path(key)?;
        let options = GetOptions {
            if_none_match: known_e_tag.map(str::to_owned),
            ..GetOptions::default()
        };
        let failed = |error: &object_store::Error| file_error(error, &self.folder.join(key));
        let result = match self.store.get_opts(&path, options).await {
            Ok(result) => result,
            Err(object_store::Error::NotModified { .. }) => return Ok(Read::Unchanged),
            Err(object_store::Error::NotFound { .. }) => return Ok(Read::Absent),
            Err(error) => return Err(failed(&error)),
        };
        let e_tag = result.meta.e_tag.clone().ok_or_else(|| incomplete(&self.uri(key)))?;
        let (size, last_modified) = (result.meta.size, result.meta.last_modified);
        if usize::try_from(size).map_or(true, |size| size > manifest::MAX_BYTES) {
            return Err(manifest::too_large(&self.uri(key)));
        }
        let body = result.bytes().await.map_err(|error| failed(&error))?;
        Ok(Read::Found(Box::new(Content {
            body,
            e_tag,
            last_modified,
            kms_key: None,
        })))
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>> {
        let store: Arc<dyn ObjectStore> = Arc::<LocalFileSystem>::clone(&self.store);
        Ok(Arc::new(ReadOnlyStore::new(
            store,
            format!("file://{}", self.folder.display()),
            self.explain(),
        )))
    }

    fn region(&self) -> Option<String> {
        None
    }

    fn bucket(&self) -> Option<&str> {
        None
    }

    fn uri(&self, key: &str) -> String {
        format!("file://{}/{key}", self.folder.display())
    }
}
