//! Opens the bucket or folder of an export, once, with the credential of the account that connected it.
//!
//! Opening makes no request. A new version of the account's secret is a new key of the cache, so a rotated credential
//! takes effect with the next statement and nothing has to be invalidated.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::catalog::{CatalogState, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::port::{Ambient, AssumedRole, ExportLocation, ExportSource, SecretRef};

/// Opened locations kept; each is a few kilobytes and a connection pool.
const OPEN_LOCATIONS: u64 = 1_000;

/// The stores of all exports, by location and secret.
pub struct ExportStores {
    source: Arc<dyn ExportSource>,
    own: Arc<dyn ObjectStore>,
    opened: moka::future::Cache<OpenAs, Arc<dyn ObjectStore>>,
}

/// What a store is opened at and with.
#[derive(PartialEq, Eq, Hash)]
struct OpenAs {
    location: ExportLocation,
    secret: Option<SecretRef>,
    ambient: Option<Ambient>,
    role: Option<AssumedRole>,
}

impl ExportStores {
    /// Stores that `source` opens, beside the state store, in which Farthing's own files lie.
    pub fn new(source: Arc<dyn ExportSource>, own: Arc<dyn ObjectStore>) -> Self {
        Self {
            source,
            own,
            opened: moka::future::Cache::new(OPEN_LOCATIONS),
        }
    }

    /// The store of the files that Farthing made.
    pub fn own(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.own)
    }

    /// The store of an export, opened with the secret of the account that connected it. Errors: `Missing` if that
    /// account is no longer connected; those of [`ExportSource::open`].
    pub async fn open(&self, state: &CatalogState, export: &Export) -> Result<Arc<dyn ObjectStore>> {
        let account = state.document.accounts.get(&export.account).ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                format!(
                    "the export {} cannot be read: the account that connected it is no longer connected",
                    export.id
                ),
            )
            .with_hint("Connect that account again with connect_aws_root.")
        })?;
        let credential = account.credential();
        self.opened
            .try_get_with(
                OpenAs {
                    location: export.location.clone(),
                    secret: account.secret.clone(),
                    ambient: account.ambient.clone(),
                    role: account.role.clone(),
                },
                self.source.open(&export.location, &credential),
            )
            .await
            .map_err(|shared| shared.duplicate())
    }
}

impl fmt::Debug for ExportStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportStores").finish_non_exhaustive()
    }
}
