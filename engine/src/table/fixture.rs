//! A small world for tests: exports written with the Arrow writer into a store in memory, imported by hand.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder};
use arrow::array::{Float64Builder, TimestampMillisecondArray};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tokio_util::sync::CancellationToken;

use crate::catalog::{Account, AccountKind, Catalog, Change, Export, ExportKind};
use crate::error::{Error, ErrorKind, Result};
use crate::execute::LocalExecutor;
use crate::id::{AccountId, BillingPeriod, ExportId};
use crate::limit::Limits;
use crate::money::Amount;
use crate::port::{
    Clock, Credential, DeliveryLayout, ExportLocation, ExportSource, ListedManifest, LocationReport, LocationRoot,
    ManifestAnswer,
};
use crate::principal::{Grant, Principal, Role};
use crate::session::{BoundQuery, BoundSession, QuerySettings, SessionBuilder};
use crate::snapshot::{ColumnType, Form, OwnerTotals, PinnedFile, RowOwner, Snapshot, SnapshotColumn};
use crate::store::ExportStores;

pub(crate) const PAYER: &str = "000000000001";
pub(crate) const ANN: &str = "000000000011";
pub(crate) const BOB: &str = "000000000012";
pub(crate) const HIDDEN: &str = "999999999999";

/// A value of a delivered row.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(&'static str),
    Double(f64),
    Millis(i64),
    Map(Vec<(&'static str, &'static str)>),
    DoubleMap(Vec<(&'static str, f64)>),
}

/// A delivered row; absent columns are NULL.
pub(crate) type Row = BTreeMap<&'static str, Cell>;

/// A row with these columns.
pub(crate) fn row<const N: usize>(cells: [(&'static str, Cell); N]) -> Row {
    BTreeMap::from(cells)
}

/// A usage row of an account, paid by [`PAYER`].
pub(crate) fn usage(account: &'static str, cost: f64) -> Row {
    row([
        ("line_item_usage_account_id", Cell::Text(account)),
        ("bill_payer_account_id", Cell::Text(PAYER)),
        ("line_item_line_item_type", Cell::Text("Usage")),
        ("line_item_currency_code", Cell::Text("USD")),
        ("line_item_unblended_cost", Cell::Double(cost)),
    ])
}

/// A file's rows as a batch: columns in order of name.
pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().copied()).collect();
    let columns: Vec<(&str, ArrayRef)> = names.into_iter().map(|name| (name, array(rows, name))).collect();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn array(rows: &[Row], name: &str) -> ArrayRef {
    let cells = || rows.iter().map(|row| row.get(name).cloned());
    let names = MapFieldNames {
        entry: "entries".to_owned(),
        key: "keys".to_owned(),
        value: "values".to_owned(),
    };
    match cells().flatten().next().unwrap() {
        Cell::Text(_) => Arc::new(StringArray::from_iter(cells().map(|cell| match cell {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }))),
        Cell::Double(_) => Arc::new(Float64Array::from_iter(cells().map(|cell| match cell {
            Some(Cell::Double(double)) => Some(double),
            _ => None,
        }))),
        Cell::Millis(_) => Arc::new(
            TimestampMillisecondArray::from_iter(cells().map(|cell| match cell {
                Some(Cell::Millis(millis)) => Some(millis),
                _ => None,
            }))
            .with_timezone("UTC"),
        ),
        Cell::Map(_) => {
            let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
            for cell in cells() {
                let Some(Cell::Map(entries)) = cell else {
                    builder.append(false).unwrap();
                    continue;
                };
                for (key, value) in entries {
                    builder.keys().append_value(key);
                    builder.values().append_value(value);
                }
                builder.append(true).unwrap();
            }
            Arc::new(builder.finish())
        }
        Cell::DoubleMap(_) => {
            let mut builder = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
            for cell in cells() {
                let Some(Cell::DoubleMap(entries)) = cell else {
                    builder.append(false).unwrap();
                    continue;
                };
                for (key, value) in entries {
                    builder.keys().append_value(key);
                    builder.values().append_value(value);
                }
                builder.append(true).unwrap();
            }
            Arc::new(builder.finish())
        }
    }
}

fn column_type(cell: &Cell) -> ColumnType {
    match cell {
        Cell::Text(_) => ColumnType::Text,
        Cell::Double(_) => ColumnType::Double,
        Cell::Millis(_) => ColumnType::Timestamp,
        Cell::Map(_) => ColumnType::TextMap,
        Cell::DoubleMap(_) => ColumnType::DoubleMap,
    }
}

/// A Parquet file of the rows, five to a row group.
pub(crate) fn parquet(rows: &[Row]) -> Vec<u8> {
    let batch = batch(rows);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(5)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn owner(row: &Row) -> RowOwner {
    let id = |names: [&str; 3]| {
        let mut cells = names.into_iter().filter_map(|name| row.get(name));
        cells.find_map(|cell| match cell {
            Cell::Text(text) => AccountId::delivered(text).ok(),
            _ => None,
        })
    };
    RowOwner {
        usage_account: id(["line_item_usage_account_id", "SubAccountId", "account_id"]),
        payer: id(["bill_payer_account_id", "BillingAccountId", "payer_account_id"]),
    }
}

#[derive(Debug)]
struct OneStore(Arc<InMemory>);

#[async_trait]
impl ExportSource for OneStore {
    async fn list_manifests(
        &self,
        _: &ExportLocation,
        _: &Credential,
        _: usize,
    ) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>> {
        Ok(None)
    }

    async fn probe(&self, _: &ExportLocation, _: &Credential) -> Result<LocationReport> {
        Err(Error::new(ErrorKind::Unsupported, "not in this test"))
    }

    async fn fetch_manifest(
        &self,
        _: &ExportLocation,
        _: &Credential,
        _: BillingPeriod,
        _: Option<&str>,
    ) -> Result<ManifestAnswer> {
        Err(Error::new(ErrorKind::Unsupported, "not in this test"))
    }

    async fn open(&self, _: &ExportLocation, _: &Credential) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.0) as _)
    }
}

/// The real time, for deadlines of milliseconds.
pub(crate) struct RealClock;

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// An engine over a store in memory.
pub(crate) struct World {
    pub store: Arc<InMemory>,
    pub catalog: Catalog,
    pub builder: Arc<SessionBuilder>,
    pub limits: Limits,
    pub executor: LocalExecutor,
    pub spill: std::path::PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.spill);
    }
}

impl World {
    /// A world with these connected accounts, the first as root.
    pub async fn with(accounts: &[&str]) -> Self {
        let mut limits = Limits::for_machine(2, 1 << 30);
        limits.admission_wait = Duration::from_millis(100);
        Self::limited(accounts, limits).await
    }

    pub async fn limited(accounts: &[&str], limits: Limits) -> Self {
        let store = Arc::new(InMemory::new());
        let catalog = Catalog::open(store.clone(), Arc::new(RealClock)).await.unwrap();
        let stores = Arc::new(ExportStores::new(Arc::new(OneStore(Arc::clone(&store))), store.clone()));
        let spill = std::env::temp_dir().join(format!("farthing-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&spill).unwrap();
        let builder = Arc::new(SessionBuilder::try_new(&limits, stores, Vec::new(), &spill).unwrap());
        let executor = LocalExecutor::new(&limits, tokio::runtime::Handle::current(), Arc::new(RealClock));
        let world = Self {
            store,
            catalog,
            builder,
            limits,
            executor,
            spill,
        };
        for (n, id) in accounts.iter().enumerate() {
            let kind = if n == 0 { AccountKind::Root } else { AccountKind::Linked };
            world.publish(Change::PutAccount(account(id, kind))).await;
        }
        world
    }

    pub async fn publish(&self, change: Change) {
        self.catalog.publish(&[change]).await.unwrap();
    }

    /// Connects an export of CUR 2.0; `day` orders connections.
    pub async fn export(&self, id: &str, root: &str, day: i64) {
        self.export_of(id, root, day, ExportKind::Cur2).await;
    }

    pub async fn export_of(&self, id: &str, root: &str, day: i64, kind: ExportKind) {
        self.publish(Change::PutExport(Export {
            id: id.parse().unwrap(),
            account: root.parse().unwrap(),
            kind,
            location: ExportLocation {
                root: LocationRoot::Bucket {
                    name: "costs-bucket".to_owned(),
                    region: None,
                },
                prefix: "p".to_owned(),
                export_name: id.to_owned(),
                layout: DeliveryLayout::default(),
            },
            connected_at: DateTime::from_timestamp(1_780_000_000 + day * 86_400, 0).unwrap(),
        }))
        .await;
    }

    /// Delivers a period: each element becomes one file.
    pub async fn deliver(&self, export: &str, period: &str, files: &[Vec<Row>]) {
        self.deliver_net(export, period, files, false).await;
    }

    pub async fn deliver_net(&self, export: &str, period: &str, files: &[Vec<Row>], has_net_costs: bool) {
        let written = files.iter().map(|rows| (parquet(rows), rows.clone())).collect();
        self.deliver_files(export, period, written, has_net_costs).await;
    }

    /// Delivers files that were written in another way, with the rows that they hold.
    pub async fn deliver_files(
        &self,
        export: &str,
        period: &str,
        files: Vec<(Vec<u8>, Vec<Row>)>,
        has_net_costs: bool,
    ) {
        let mut snapshot = self.snapshot_of(export, period, "", files).await;
        snapshot.has_net_costs = has_net_costs;
        self.put(snapshot).await;
    }

    /// Writes files into a folder of the period, and makes the snapshot that names them.
    pub async fn snapshot_of(
        &self,
        export: &str,
        period: &str,
        folder: &str,
        files: Vec<(Vec<u8>, Vec<Row>)>,
    ) -> Snapshot {
        let export: ExportId = export.parse().unwrap();
        let period: BillingPeriod = period.parse().unwrap();
        let mut columns: Vec<SnapshotColumn> = Vec::new();
        let mut pinned = Vec::new();
        for (n, (bytes, rows)) in files.into_iter().enumerate() {
            let key = format!("p/{export}/data/BILLING_PERIOD={period}/{folder}{export}-{n:05}.snappy.parquet");
            let size = bytes.len() as u64;
            let put = self
                .store
                .put(&Path::parse(&key).unwrap(), PutPayload::from(bytes))
                .await
                .unwrap();
            for (name, cell) in rows.iter().flatten() {
                if columns.iter().all(|column| column.name != *name) {
                    columns.push(SnapshotColumn {
                        name: (*name).to_owned(),
                        r#type: column_type(cell),
                    });
                }
            }
            let mut owners: BTreeMap<RowOwner, OwnerTotals> = BTreeMap::new();
            for row in &rows {
                let owner = owner(row);
                let totals = owners.entry(owner).or_insert_with(|| OwnerTotals {
                    owner,
                    account_name: None,
                    rows: 0,
                    unblended: BTreeMap::new(),
                });
                totals.rows += 1;
                if let Some(Cell::Text(name)) = row.get("line_item_usage_account_name") {
                    totals.account_name = Some((*name).to_owned());
                }
                if let (Some(Cell::Text(code)), Some(Cell::Double(cost))) =
                    (row.get("line_item_currency_code"), row.get("line_item_unblended_cost"))
                {
                    let units = crate::money::exact(*cost).unwrap_or_default();
                    *totals.unblended.entry((*code).to_owned()).or_default() += Amount::from_units(units);
                }
            }
            pinned.push(PinnedFile {
                key,
                size,
                e_tag: put.e_tag.unwrap(),
                last_modified: DateTime::from_timestamp(1_780_000_000, 0).unwrap(),
                source: None,
                rows: rows.len() as u64,
                owners: owners.into_values().collect(),
            });
        }
        Snapshot {
            format_version: crate::snapshot::FORMAT_VERSION,
            id: uuid::Uuid::new_v4().to_string().parse().unwrap(),
            export,
            period,
            form: Form::Delivered,
            manifest_key: "manifest".to_owned(),
            manifest_e_tag: "tag".to_owned(),
            delivered_at: DateTime::from_timestamp(1_780_000_000, 0).unwrap(),
            execution_id: None,
            columns,
            has_net_costs: false,
            listed: false,
            data_through: None,
            files: pinned,
            clustered: None,
        }
    }

    /// Makes a snapshot the one of its period.
    pub async fn put(&self, snapshot: Snapshot) {
        self.catalog.write_snapshot(&snapshot).await.unwrap();
        self.publish(Change::PutSnapshot {
            export: snapshot.export.clone(),
            period: snapshot.period,
            snapshot: snapshot.id.clone(),
        })
        .await;
    }

    pub async fn session(&self, principal: &Principal) -> BoundSession {
        let settings = QuerySettings::new(&self.limits, RealClock.now());
        self.builder
            .bind(self.catalog.lease(), principal, &settings)
            .await
            .unwrap()
    }

    pub async fn plan(&self, principal: &Principal, sql: &str) -> Result<BoundQuery> {
        self.session(principal).await.plan(parse(sql)).await
    }

    pub async fn run(&self, query: BoundQuery) -> Result<Vec<RecordBatch>> {
        let timeout = Duration::from_secs(60);
        let stream = self.executor.execute(query, CancellationToken::new(), timeout).await?;
        stream.try_collect().await
    }

    /// The rows of a query as text: fields joined by `|`, rows by a space, in the result's order.
    pub async fn rows(&self, principal: &Principal, sql: &str) -> Result<String> {
        let query = self.plan(principal, sql).await?;
        let batches = self.run(query).await?;
        let mut rows = Vec::new();
        for batch in &batches {
            for n in 0..batch.num_rows() {
                let fields: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| arrow::util::display::array_value_to_string(column, n).unwrap())
                    .collect();
                rows.push(fields.join("|"));
            }
        }
        Ok(rows.join(" "))
    }
}

pub(crate) fn account(id: &str, kind: AccountKind) -> Account {
    let at = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
    Account {
        id: id.parse().unwrap(),
        kind,
        name: None,
        arn: None,
        secret: None,
        ambient: None,
        role: None,
        access_key_id: None,
        connected_at: at,
        updated_at: at,
    }
}

/// Sees these accounts as far as they are connected; none given is all.
pub(crate) fn reader(accounts: &[&str]) -> Principal {
    let ids: BTreeSet<AccountId> = accounts.iter().map(|id| id.parse().unwrap()).collect();
    Principal {
        name: "ada".to_owned(),
        role: Role::Reader,
        grant: if ids.is_empty() {
            Grant::AllConnected
        } else {
            Grant::Accounts(ids)
        },
    }
}

pub(crate) fn parse(sql: &str) -> datafusion::sql::parser::Statement {
    DFParserBuilder::new(sql)
        .with_dialect(&PostgreSqlDialect {})
        .build()
        .unwrap()
        .parse_statement()
        .unwrap()
}
