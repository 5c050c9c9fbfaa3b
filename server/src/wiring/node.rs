//! One engine over one data directory.

use std::sync::Arc;

use farthing_connectors::{AwsConnector, AwsExportSource, AwsSettings, KeyFileVault};
use farthing_engine::catalog::Catalog;
use farthing_engine::port::{AccountConnector, Clock, ExportSource};
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SystemClock;
use crate::config::Config;
use crate::runtime::Runtimes;

/// An engine with its SQL front end, over the state store of one data directory.
///
/// Several nodes, in one process or in several, may share a data directory: the numbered documents of the catalog are their
/// only coordination.
pub struct Node {
    frontend: Frontend,
    catalog: Arc<Catalog>,
    connector: Arc<AwsConnector>,
    source: Arc<AwsExportSource>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Node {
    /// Opens the engine. Makes the state directory and the master key if they are missing; makes no request to AWS and
    /// starts nothing.
    ///
    /// # Errors
    ///
    /// `State` for a state directory or key file that cannot be read, written or trusted; `BadValue` for settings that are
    /// not allowed.
    pub async fn open(config: &Config, runtimes: &Runtimes) -> Result<Self> {
        let store = open_state_store(config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let vault = Arc::new(KeyFileVault::open(Arc::clone(&store), &config.master_key_path()).await?);
        let mut settings = AwsSettings::new(config.aws_endpoint_url.clone());
        settings.region.clone_from(&config.aws_region);
        settings.io_runtime = Some(runtimes.io().clone());
        let connector = Arc::new(AwsConnector::try_new(settings, vault)?);
        let source = Arc::new(connector.export_source());
        let catalog = Arc::new(Catalog::open(store, clock).await?);
        Ok(Self {
            frontend: Frontend {},
            catalog,
            connector,
            source,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// The SQL front end: the way in for every protocol and for programs that embed Farthing.
    pub fn frontend(&self) -> Frontend {
        self.frontend.clone()
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Signs in to AWS accounts, for checks.
    pub fn connector(&self) -> Arc<dyn AccountConnector> {
        Arc::<AwsConnector>::clone(&self.connector)
    }

    /// Reads exports where they are delivered, for checks.
    pub fn source(&self) -> Arc<dyn ExportSource> {
        Arc::<AwsExportSource>::clone(&self.source)
    }

    /// Starts looking for new deliveries every `every`, until the node is closed.
    pub fn start_schedule(&self, _every: std::time::Duration) {}

    /// Stops what the node started, and returns when it has ended. Statements end when their streams are dropped.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The state store of a data directory; its folder is made if it is missing.
///
/// # Errors
///
/// `State` if it cannot be made or opened.
pub fn open_state_store(config: &Config) -> Result<Arc<dyn ObjectStore>> {
    let folder = config.state_dir();
    crate::private_file::create_folder(&folder)?;
    let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| {
        Error::new(
            ErrorKind::State,
            format!("the state directory {} cannot be opened: {error}", folder.display()),
        )
        .with_hint("Check the path and who may read and write there.")
        .with_source(error)
    })?;
    Ok(Arc::new(store))
}
