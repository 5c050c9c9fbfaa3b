//! A front end over an empty engine in memory, for tests of the protocols.

#![allow(clippy::unwrap_used)]
// Statements of these tests run in real time.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
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
use farthing_engine::ingest::{ImportRun, Importer, Scratch, stores_of};
use farthing_engine::limit::Limits;
use farthing_engine::port::{AccountConnector, Clock, ExportSource, SecretVault};
use farthing_engine::session::SessionBuilder;
use farthing_engine::store::ExportStores;
use farthing_engine::system::tables::{SystemSources, system_tables};
use farthing_sql::{Frontend, FrontendParts};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Handle;

struct WallClock;

#[async_trait]
impl Clock for WallClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The key file and the spill folder; they go with it.
pub(crate) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The front end, and the folder to hold as long as it is used. No account is connected; nothing asks AWS by itself.
pub(crate) async fn frontend() -> (Frontend, Folder) {
    let folder = std::env::temp_dir().join(format!("farthing-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let limits = Limits::for_machine(2, 1 << 30);
    let entries = limits.history_entries;
    let vault = KeyFileVault::open(store.clone(), &folder.join("master.key"))
        .await
        .unwrap();
    let vault = Arc::new(vault);
    let aws = AwsConnector::try_new(AwsSettings::new(None), vault.clone()).unwrap();
    let source: Arc<dyn ExportSource> = Arc::new(aws.export_source());
    let administration = Arc::new(aws.administration());
    let connector: Arc<dyn AccountConnector> = Arc::new(aws);
    let vault: Arc<dyn SecretVault> = vault;
    let catalog = Arc::new(Catalog::open(store.clone(), clock.clone()).await.unwrap());
    let imports = History::<ImportRun>::open(store.clone(), "runs/imports", entries);
    let imports = Arc::new(imports.await.unwrap());
    let runs = History::<ProcedureRun>::open(store.clone(), "runs/procedures", entries);
    let runs = Arc::new(runs.await.unwrap());
    let detections = Arc::new(History::open(store.clone(), "runs/detections", entries).await.unwrap());
    let checks = History::open(store.clone(), "runs/permission-checks", entries);
    let permission_checks = Arc::new(checks.await.unwrap());
    let importer = Arc::new(Importer::new(
        catalog.clone(),
        source.clone(),
        stores_of(source.clone()),
        Scratch::new(folder.clone()),
        clock.clone(),
        limits.clone(),
        imports.clone(),
    ));
    let system = system_tables(SystemSources {
        imports,
        procedure_runs: runs.clone(),
        detections: detections.clone(),
        permission_checks: permission_checks.clone(),
        vault: vault.clone(),
        limits: limits.clone(),
    });
    let stores = Arc::new(ExportStores::new(source.clone(), store));
    let sessions = SessionBuilder::try_new(&limits, stores, system, &folder.join("spill")).unwrap();
    let connections = Connections::new(ConnectionsParts {
        catalog: catalog.clone(),
        connector,
        source,
        vault,
        importer: importer.clone(),
        clock: clock.clone(),
        administration,
        runs,
        detections,
        permission_checks,
    });
    let frontend = Frontend::new(FrontendParts {
        catalog,
        sessions: Arc::new(sessions),
        executor: Arc::new(LocalExecutor::new(&limits, Handle::current(), clock.clone())),
        connections: Arc::new(connections),
        importer,
        clock,
        limits,
        query_runtime: Handle::current(),
    });
    (frontend, Folder(folder))
}
