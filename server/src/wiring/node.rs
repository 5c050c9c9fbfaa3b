//! One engine over one data directory.

use std::sync::Arc;
use std::time::Duration;

use farthing_connectors::{AwsConnector, AwsSettings, KeyFileVault};
use farthing_engine::account::run::ProcedureRun;
use farthing_engine::account::{Connections, ConnectionsParts};
use farthing_engine::cache::disk::RangeCache;
use farthing_engine::catalog::Catalog;
use farthing_engine::derive::Deriver;
use farthing_engine::execute::LocalExecutor;
use farthing_engine::history::History;
use farthing_engine::ingest::{ImportRun, Importer, OpenStore, Scratch};
use farthing_engine::port::{AccountConnector, Clock, ExportSource, SecretVault};
use farthing_engine::session::SessionBuilder;
use farthing_engine::store::ExportStores;
use farthing_engine::system::tables::{SystemSources, system_tables};
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::Frontend;
use farthing_sql::frontend::FrontendParts;
use futures::FutureExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SystemClock;
use crate::config::Config;
use crate::private_file;
use crate::runtime::Runtimes;

/// Where the runs of imports are recorded in the state store.
const IMPORT_RUNS: &str = "runs/imports";
/// Where the runs of procedures are recorded.
const PROCEDURE_RUNS: &str = "runs/procedures";
/// Where looks at the exports of accounts are recorded.
const DETECTIONS: &str = "runs/detections";
/// Where checks of permissions are recorded.
const PERMISSION_CHECKS: &str = "runs/permission-checks";

/// An engine with its SQL front end, over the state store of one data directory.
///
/// Several nodes, in one process or in several, may share a data directory: the numbered documents of the catalog are their
/// only coordination.
pub struct Node {
    frontend: Frontend,
    catalog: Arc<Catalog>,
    connector: Arc<dyn AccountConnector>,
    source: Arc<dyn ExportSource>,
    importer: Arc<Importer>,
    deriver: Arc<Deriver>,
    /// Decoding is computing, so imports run where queries do.
    query: Handle,
    threads: usize,
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
        let aws = AwsConnector::try_new(aws_settings(config, runtimes), Arc::clone(&vault))?;
        let vault: Arc<dyn SecretVault> = vault;
        let source: Arc<dyn ExportSource> = Arc::new(aws.export_source());
        let administration = Arc::new(aws.administration());
        let connector: Arc<dyn AccountConnector> = Arc::new(aws);
        let catalog = Arc::new(Catalog::open(Arc::clone(&store), Arc::clone(&clock)).await?);
        let limits = &config.limits;
        let imports = History::<ImportRun>::open(Arc::clone(&store), IMPORT_RUNS, limits.history_entries).await?;
        let imports = Arc::new(imports);
        let runs = History::<ProcedureRun>::open(Arc::clone(&store), PROCEDURE_RUNS, limits.history_entries).await?;
        let runs = Arc::new(runs);
        let detections = History::open(Arc::clone(&store), DETECTIONS, limits.history_entries).await?;
        let detections = Arc::new(detections);
        let permission_checks = History::open(Arc::clone(&store), PERMISSION_CHECKS, limits.history_entries).await?;
        let permission_checks = Arc::new(permission_checks);
        let stores = Arc::new(ExportStores::new(Arc::clone(&source), store));
        let spill = config.data_dir.join("spill");
        private_file::create_folder(&spill)?;
        let importer = Arc::new(Importer::new(
            Arc::clone(&catalog),
            Arc::clone(&source),
            shared_stores(Arc::clone(&stores)),
            Scratch::new(spill.clone()),
            Arc::clone(&clock),
            limits.clone(),
            Arc::clone(&imports),
        ));
        let connections = Arc::new(Connections::new(ConnectionsParts {
            catalog: Arc::clone(&catalog),
            connector: Arc::clone(&connector),
            source: Arc::clone(&source),
            vault: Arc::clone(&vault),
            importer: Arc::clone(&importer),
            clock: Arc::clone(&clock),
            administration,
            runs: Arc::clone(&runs),
            detections: Arc::clone(&detections),
            permission_checks: Arc::clone(&permission_checks),
        }));
        let system = system_tables(SystemSources {
            imports,
            procedure_runs: runs,
            detections,
            permission_checks,
            vault,
            limits: limits.clone(),
        });
        let mut sessions = SessionBuilder::try_new(limits, stores, system, &spill)?;
        if limits.disk_cache_bytes > 0 {
            let folder = config.data_dir.join("cache");
            private_file::create_folder(&folder)?;
            sessions = sessions.with_ranges(RangeCache::open(&folder, limits.disk_cache_bytes).await?);
        }
        let sessions = Arc::new(sessions);
        let deriver = Arc::new(Deriver::new(
            Arc::clone(&catalog),
            Arc::clone(&sessions),
            Scratch::new(spill.clone()),
            Arc::clone(&clock),
            limits.clone(),
            config.threads,
        ));
        let frontend = Frontend::new(FrontendParts {
            catalog: Arc::clone(&catalog),
            sessions,
            executor: Arc::new(LocalExecutor::new(limits, runtimes.query().clone(), Arc::clone(&clock))),
            connections,
            importer: Arc::clone(&importer),
            clock,
            limits: limits.clone(),
            query_runtime: runtimes.query().clone(),
        });
        Ok(Self {
            frontend,
            catalog,
            connector,
            source,
            importer,
            deriver,
            query: runtimes.query().clone(),
            threads: config.threads,
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
    pub fn connector(&self) -> &Arc<dyn AccountConnector> {
        &self.connector
    }

    /// Reads exports where they are delivered, for checks.
    pub fn source(&self) -> &Arc<dyn ExportSource> {
        &self.source
    }

    /// Imports deliveries. Call it on the runtime for queries.
    pub fn importer(&self) -> &Arc<Importer> {
        &self.importer
    }

    /// Makes rollups of published months. Call it on the runtime for queries.
    pub fn deriver(&self) -> &Arc<Deriver> {
        &self.deriver
    }

    /// Starts rewriting and summing every month that is published, until the node is closed. Half of the cores work on it:
    /// statements come first.
    pub fn start_deriving(&self) {
        for _ in 0..(self.threads / 2).max(1) {
            let (deriver, stop) = (Arc::clone(&self.deriver), self.stop.clone());
            self.tasks.spawn_on(async move { deriver.run(stop).await }, &self.query);
        }
    }

    /// Rewrites and sums every month that waits, on all cores, and calls `made` after each. Dropping the future ends it.
    pub async fn derive_all(&self, made: impl Fn() + Clone + Send + 'static) {
        let mut tasks = JoinSet::new();
        for _ in 0..self.threads {
            let (deriver, made) = (Arc::clone(&self.deriver), made.clone());
            let work = async move {
                while deriver.derive_next().await {
                    made();
                }
            };
            tasks.spawn_on(work, &self.query);
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Starts looking for new deliveries every `every`, until the node is closed.
    pub fn start_schedule(&self, every: Duration) {
        let (importer, stop) = (Arc::clone(&self.importer), self.stop.clone());
        self.tasks
            .spawn_on(async move { importer.run_schedule(every, stop).await }, &self.query);
    }

    /// Stops what the node started, and returns when it has ended: an import under way ends at its next step. Statements end
    /// when their streams are dropped. Everything acknowledged is durable already, so there is nothing left to write.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Imports read through the stores that statements have open, with their connections.
fn shared_stores(stores: Arc<ExportStores>) -> OpenStore {
    Arc::new(move |lease, export| {
        let stores = Arc::clone(&stores);
        async move { stores.open(&lease, &export).await }.boxed()
    })
}

fn aws_settings(config: &Config, runtimes: &Runtimes) -> AwsSettings {
    let mut settings = AwsSettings::new(config.aws_endpoint_url.clone());
    settings.region.clone_from(&config.aws_region);
    // One attempt gets a third of what the whole call may take, so that at least two more fit in.
    settings.call_timeout = config.limits.aws_call_timeout / 3;
    settings.environment = config.host_environment.clone();
    settings.io_runtime = Some(runtimes.io().clone());
    settings
}

/// The state store of a data directory; its folder is made if it is missing.
///
/// # Errors
///
/// `State` if it cannot be made or opened.
pub fn open_state_store(config: &Config) -> Result<Arc<dyn ObjectStore>> {
    let folder = config.state_dir();
    private_file::create_folder(&folder)?;
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
