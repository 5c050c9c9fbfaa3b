//! SCRATCH wiring until the server's node is here.
#![allow(missing_docs, clippy::disallowed_methods)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use farthing_connectors::{AwsConnector, AwsSettings, KeyFileVault};
use farthing_engine::account::run::ProcedureRun;
use farthing_engine::account::{Connections, ConnectionsParts};
use farthing_engine::catalog::Catalog;
use farthing_engine::execute::LocalExecutor;
use farthing_engine::history::History;
use farthing_engine::ingest::{ImportRun, Importer, stores_of};
use farthing_engine::limit::Limits;
use farthing_engine::port::{AccountConnector, Clock, ExportSource, SecretVault};
use farthing_engine::session::SessionBuilder;
use farthing_engine::store::ExportStores;
use farthing_sql::{Frontend, FrontendParts};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::runtime::Handle;

use crate::Outcome;

pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub struct Machine;
impl Machine {
    pub fn detect() -> Self {
        Self
    }
}
pub struct Config {
    pub data_dir: PathBuf,
    pub threads: usize,
    pub limits: Limits,
}
impl Config {
    pub fn defaults(_: Machine) -> Self {
        Self {
            data_dir: PathBuf::new(),
            threads: 2,
            limits: Limits::for_machine(2, 16 << 30),
        }
    }
}
pub struct Runtimes {
    io: tokio::runtime::Runtime,
    query: tokio::runtime::Runtime,
}
impl Runtimes {
    pub fn try_new(threads: usize) -> Outcome<Self> {
        let make = |n: usize| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(n)
                .enable_all()
                .build()
        };
        Ok(Self {
            io: make(threads.max(2))?,
            query: make(threads)?,
        })
    }
    pub fn io(&self) -> &Handle {
        self.io.handle()
    }
    pub fn query(&self) -> &Handle {
        self.query.handle()
    }
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.io.block_on(work)
    }
}

pub struct Node {
    frontend: Frontend,
    catalog: Arc<Catalog>,
}
impl Node {
    pub async fn open(config: &Config, runtimes: &Runtimes) -> Outcome<Self> {
        let dir: &Path = &config.data_dir;
        std::fs::create_dir_all(dir.join("state"))?;
        std::fs::create_dir_all(dir.join("spill"))?;
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(dir.join("state"))?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let vault = Arc::new(KeyFileVault::open(Arc::clone(&store), &dir.join("master.key")).await?);
        let mut settings = AwsSettings::new(None);
        settings.io_runtime = Some(runtimes.io().clone());
        let aws = AwsConnector::try_new(settings, Arc::clone(&vault))?;
        let source: Arc<dyn ExportSource> = Arc::new(aws.export_source());
        let connector: Arc<dyn AccountConnector> = Arc::new(aws);
        let catalog = Arc::new(Catalog::open(Arc::clone(&store), Arc::clone(&clock)).await?);
        let imports = Arc::new(History::<ImportRun>::open(Arc::clone(&store), "runs/imports", 1000).await?);
        let procedures = Arc::new(History::<ProcedureRun>::open(store, "runs/procedures", 1000).await?);
        let importer = Arc::new(Importer::new(
            Arc::clone(&catalog),
            Arc::clone(&source),
            stores_of(Arc::clone(&source)),
            Arc::clone(&clock),
            config.limits.clone(),
            imports,
        ));
        let connections = Connections::new(ConnectionsParts {
            catalog: Arc::clone(&catalog),
            connector,
            source: Arc::clone(&source),
            vault: vault as Arc<dyn SecretVault>,
            importer: Arc::clone(&importer),
            clock: Arc::clone(&clock),
            runs: procedures,
        });
        let sessions = SessionBuilder::try_new(
            &config.limits,
            Arc::new(ExportStores::new(source)),
            vec![],
            &dir.join("spill"),
        )?;
        let executor = LocalExecutor::new(&config.limits, runtimes.query().clone(), Arc::clone(&clock));
        let frontend = Frontend::new(FrontendParts {
            catalog: Arc::clone(&catalog),
            sessions: Arc::new(sessions),
            executor: Arc::new(executor),
            connections: Arc::new(connections),
            importer,
            clock,
            limits: config.limits.clone(),
            query_runtime: runtimes.query().clone(),
        });
        Ok(Self { frontend, catalog })
    }
    pub fn frontend(&self) -> Frontend {
        self.frontend.clone()
    }
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
    pub async fn close(&self) {}
}
