//! What clients ask, as they send it: `psql.sql` was recorded from psql 15 (`-E`), `sqlalchemy.sql` from SQLAlchemy 2.1 over
//! psycopg 3, `pgjdbc.sql` from pgJDBC 42.5.

#![allow(clippy::unwrap_used, clippy::panic)]
// These statements run in real time.
#![allow(clippy::disallowed_methods)]

mod answers;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::object_store::ObjectStore;
use datafusion::object_store::memory::InMemory;
use datafusion::sql::parser::Statement as PlannedStatement;
use farthing_engine::ErrorKind;
use farthing_engine::catalog::{Account, AccountKind, Catalog, Change, Export, ExportKind};
use farthing_engine::execute::LocalExecutor;
use farthing_engine::id::BillingPeriod;
use farthing_engine::limit::Limits;
use farthing_engine::port::{
    Clock, Credential, DeliveryLayout, ExportLocation, ExportSource, ListedManifest, LocationReport, LocationRoot,
    ManifestAnswer,
};
use farthing_engine::principal::{Grant, Login, Principal};
use farthing_engine::session::{QuerySettings, SessionBuilder};
use farthing_engine::snapshot::{ColumnType, Form, Snapshot, SnapshotColumn};
use farthing_engine::store::ExportStores;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::session::{Origin, Protocol};
use crate::{builtin, edge, names, statement};

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

/// No catalog reads a file.
struct NoFiles;

fn no_files() -> Error {
    Error::new(ErrorKind::AwsUnreachable, "a catalog reads no files")
}

#[async_trait]
impl ExportSource for NoFiles {
    async fn list_manifests(
        &self,
        _: &ExportLocation,
        _: &Credential,
        _: usize,
    ) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>> {
        Ok(None)
    }

    async fn probe(&self, _: &ExportLocation, _: &Credential) -> Result<LocationReport> {
        Err(no_files())
    }

    async fn fetch_manifest(
        &self,
        _: &ExportLocation,
        _: &Credential,
        _: BillingPeriod,
        _: Option<&str>,
    ) -> Result<ManifestAnswer> {
        Err(no_files())
    }

    async fn open(&self, _: &ExportLocation, _: &Credential) -> Result<Arc<dyn ObjectStore>> {
        Err(no_files())
    }
}

const PAYER: &str = "111122223333";

/// An engine with one export, `exports.main`, and the logins ann (admin) and bob (reader).
struct World {
    catalog: Catalog,
    sessions: SessionBuilder,
    executor: LocalExecutor,
    limits: Limits,
    _spill: Spill,
}

struct Spill(std::path::PathBuf);

impl Drop for Spill {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn login(name: &str, role: Role) -> Login {
    Login {
        name: name.to_owned(),
        role,
        grant: Grant::AllConnected,
        verifier: "not-a-real-secret".to_owned(),
    }
}

fn export(now: DateTime<Utc>) -> Export {
    Export {
        id: "main".parse().unwrap(),
        account: PAYER.parse().unwrap(),
        kind: ExportKind::Cur2,
        location: ExportLocation {
            root: LocationRoot::Bucket {
                name: "bucket".to_owned(),
                region: None,
            },
            prefix: String::new(),
            export_name: "main".to_owned(),
            layout: DeliveryLayout::default(),
        },
        connected_at: now,
    }
}

fn snapshot(now: DateTime<Utc>) -> Snapshot {
    let column = |name: &str, kind| SnapshotColumn {
        name: name.to_owned(),
        r#type: kind,
    };
    Snapshot {
        format_version: farthing_engine::snapshot::FORMAT_VERSION,
        id: "s1".parse().unwrap(),
        export: "main".parse().unwrap(),
        period: "2026-07".parse().unwrap(),
        form: Form::Delivered,
        manifest_key: "m".to_owned(),
        manifest_e_tag: "e".to_owned(),
        delivered_at: now,
        execution_id: None,
        columns: vec![
            column("bill_payer_account_id", ColumnType::Text),
            column("line_item_usage_account_id", ColumnType::Text),
            column("line_item_usage_start_date", ColumnType::Timestamp),
            column("line_item_unblended_cost", ColumnType::Double),
            column("resource_tags", ColumnType::TextMap),
        ],
        has_net_costs: false,
        listed: false,
        data_through: None,
        files: Vec::new(),
        clustered: None,
    }
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let now = clock.now();
        let catalog = Catalog::open(Arc::new(InMemory::new()), Arc::clone(&clock))
            .await
            .unwrap();
        let snapshot = snapshot(now);
        catalog.write_snapshot(&snapshot).await.unwrap();
        let account = Account {
            id: PAYER.parse().unwrap(),
            kind: AccountKind::Root,
            name: None,
            arn: None,
            access_key_id: None,
            secret: None,
            ambient: None,
            role: None,
            connected_at: now,
            updated_at: now,
        };
        catalog
            .publish(&[
                Change::PutAccount(account),
                Change::PutExport(export(now)),
                Change::PutSnapshot {
                    export: snapshot.export.clone(),
                    period: snapshot.period,
                    snapshot: snapshot.id,
                },
                Change::PutLogin(login("ann", Role::Admin)),
                Change::PutLogin(login("bob", Role::Reader)),
            ])
            .await
            .unwrap();
        let limits = Limits::for_machine(2, 1 << 30);
        let spill = Spill(std::env::temp_dir().join(format!("farthing-{}", uuid::Uuid::new_v4())));
        let stores = Arc::new(ExportStores::new(Arc::new(NoFiles), Arc::new(InMemory::new())));
        Self {
            catalog,
            sessions: SessionBuilder::try_new(&limits, stores, Vec::new(), &spill.0).unwrap(),
            executor: LocalExecutor::new(&limits, tokio::runtime::Handle::current(), clock),
            limits,
            _spill: spill,
        }
    }

    fn session(&self, name: &str) -> Session {
        let principal: Principal = self.catalog.lease().document.logins[name].principal();
        Session::new(
            principal,
            Origin {
                protocol: Protocol::InProcess,
                address: None,
                application: String::new(),
            },
        )
    }

    /// The names of the columns, and the rows with `|` between values; NULL is `-`.
    async fn answer(&self, session: &Session, sql: &str) -> Result<(Vec<String>, Vec<String>)> {
        let parsed = statement::parse(sql, 1 << 20)?.remove(0);
        let mut settings = QuerySettings::new(&self.limits, Utc::now());
        settings.search_path = schemas_of(&session.state()?.value("search_path"));
        let lease = self.catalog.lease();
        let bound = self.sessions.bind(lease, session.principal(), &settings).await?;
        let mut tree = (*parsed.tree).clone();
        builtin::replace(&mut tree, &session.principal().name, "public")?;
        let bound = extend(bound, session, &mut tree)?;
        let mut query = bound.plan(PlannedStatement::Statement(Box::new(tree))).await?;
        let types = query.parameter_types()?;
        if placeholders(&parsed.tree) > 0 {
            let mut values = vec![datafusion::scalar::ScalarValue::Utf8(None); placeholders(&parsed.tree)];
            for (name, kind) in types {
                let at: usize = name.trim_start_matches('$').parse().unwrap();
                values[at - 1] = datafusion::scalar::ScalarValue::try_from(kind.unwrap_or(DataType::Utf8)).unwrap();
            }
            query = query.with_parameters(values)?;
        }
        let inner = query.schema();
        let named = names::of(&parsed.tree).filter(|names| names.len() == inner.fields().len());
        let schema = edge::edge_schema(&inner, named.as_deref());
        let cancel = CancellationToken::new();
        let mut batches = self.executor.execute(query, cancel, Duration::from_secs(60)).await?;
        let mut rows = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = edge::edge_batch(&batch?, &schema)?;
            for row in 0..batch.num_rows() {
                let values: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| match column.is_null(row) {
                        true => "-".to_owned(),
                        false => array_value_to_string(column, row).unwrap(),
                    })
                    .collect();
                rows.push(values.join("|"));
            }
        }
        let columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        Ok((columns, rows))
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        let session = self.session("ann");
        match self.answer(&session, sql).await {
            Ok((_, rows)) => rows,
            Err(error) => panic!("{sql}\n{error}"),
        }
    }

    /// One number, as text.
    async fn number(&self, sql: &str) -> String {
        self.rows(sql).await.remove(0)
    }
}

/// The statements of a file: name and text.
fn recorded(file: &'static str) -> Vec<(&'static str, &'static str)> {
    file.split("\n;\n")
        .filter_map(|block| block.strip_prefix("-- ")?.split_once('\n'))
        .collect()
}
