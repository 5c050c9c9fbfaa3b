//! The engine's own state as tables: what is connected, delivered, imported and done.
//!
//! Whoever may see every connected account as an operator sees the state in full, with the accounts that are ignored. For
//! everybody else the tables hold what their scope holds, counted over visible rows alone.

pub(crate) mod caches;
mod columns;
mod deliveries;
mod exports;
mod months;
pub(crate) mod rows;
mod setup;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};

use super::{SystemTable, SystemView, sees_all};
use crate::account::detect::Detection;
use crate::account::run::ProcedureRun;
use crate::account::{PermissionChecks, coverage, shown_key_id};
use crate::catalog::{Account, AccountKind};
use crate::error::Result;
use crate::history::History;
use crate::id::{AccountId, BillingPeriod};
use crate::ingest::ImportRun;
use crate::limit::Limits;
use crate::money::{Amount, PRECISION, SCALE};
use crate::port::SecretVault;
use crate::principal::Role;
use crate::snapshot::Snapshot;
use columns::ExportColumns;
use deliveries::Deliveries;
use exports::Exports;
use months::Months;
use rows::{Cell, batch, schema};
use setup::{ExportCandidates, PermissionChecksTable};

/// What the tables are made from, apart from the catalog.
pub struct SystemSources {
    /// The import runs.
    pub imports: Arc<History<ImportRun>>,
    /// The procedure runs.
    pub procedure_runs: Arc<History<ProcedureRun>>,
    /// What looks at accounts found.
    pub detections: Arc<History<Detection>>,
    /// What checks of permissions found.
    pub permission_checks: Arc<History<PermissionChecks>>,
    /// The names of secrets.
    pub vault: Arc<dyn SecretVault>,
    /// The bounds.
    pub limits: Limits,
}

/// All tables of the schema `system`.
pub fn system_tables(sources: SystemSources) -> Vec<Arc<dyn SystemTable>> {
    vec![
        Arc::new(Accounts),
        Arc::new(AccountCoverage),
        Arc::new(Deliveries),
        Arc::new(ExportCandidates(Arc::clone(&sources.detections))),
        Arc::new(ExportColumns),
        Arc::new(Exports {
            imports: Arc::clone(&sources.imports),
            detections: sources.detections,
        }),
        Arc::new(Imports(Arc::clone(&sources.imports))),
        Arc::new(LimitsTable(sources.limits)),
        Arc::new(Months(sources.imports)),
        Arc::new(PermissionChecksTable(sources.permission_checks)),
        Arc::new(ProcedureRuns(sources.procedure_runs)),
        Arc::new(Secrets(sources.vault)),
        Arc::new(Snapshots),
    ]
}

fn operates(view: &SystemView) -> bool {
    view.principal.role >= Role::Operator
}

pub(crate) const TEXT: DataType = DataType::Utf8;
pub(crate) const COUNT: DataType = DataType::Int64;
const FLAG: DataType = DataType::Boolean;
pub(crate) const MONEY: DataType = DataType::Decimal128(PRECISION, SCALE);
pub(crate) const INSTANT: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// Rows of a snapshot that the reader sees.
fn visible_rows(snapshot: &Snapshot, view: &SystemView) -> u64 {
    if sees_all(view) {
        return snapshot.rows();
    }
    snapshot
        .files
        .iter()
        .flat_map(|file| &file.owners)
        .filter(|t| view.scope.sees(t.owner))
        .map(|t| t.rows)
        .sum()
}

/// `system.accounts`: the connected accounts.
struct Accounts;

#[async_trait]
impl SystemTable for Accounts {
    fn name(&self) -> &str {
        "accounts"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("account_id", TEXT),
            ("account_name", TEXT),
            ("kind", TEXT),
            ("arn", TEXT),
            ("access_key", TEXT),
            ("credential", TEXT),
            ("connected_at", INSTANT),
            ("updated_at", INSTANT),
            ("status", TEXT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let names = coverage(&view.lease);
        let full = operates(view);
        let rows = view
            .lease
            .document
            .accounts
            .values()
            .filter(|account| view.scope.accounts().contains(&account.id))
            .map(|a| {
                let name = a
                    .name
                    .clone()
                    .or_else(|| names.get(&a.id).and_then(|c| c.account_name.clone()));
                let credential = match (&a.secret, &a.ambient, &a.role) {
                    (_, _, Some(_)) => "role".to_owned(),
                    (None, None, None) => "none".to_owned(),
                    // What the operator's machine calls its profiles is the operators' to know.
                    (None, Some(ambient), None) if full => ambient.to_string(),
                    (None, Some(_), None) => "ambient".to_owned(),
                    (Some(secret), _, None) if secret.name.starts_with("named/") => "secret".to_owned(),
                    (Some(_), _, None) => "access key".to_owned(),
                };
                vec![
                    Cell::text(a.id.as_str()),
                    Cell::maybe_text(name),
                    Cell::text(match a.kind {
                        AccountKind::Root => "root",
                        AccountKind::Linked => "linked",
                    }),
                    Cell::maybe_text(a.arn.clone().filter(|_| full)),
                    Cell::maybe_text(a.access_key_id.as_deref().filter(|_| full).map(shown_key_id)),
                    Cell::text(&credential),
                    Cell::instant(a.connected_at),
                    Cell::instant(a.updated_at),
                    Cell::text(match names.contains_key(&a.id) {
                        true => "active",
                        false if awaits_delivery(view, a) => "waiting_first_delivery",
                        // No export that is connected has a row of it.
                        false => "no_billing_source",
                    }),
                ]
            });
        batch(self.schema(), rows)
    }
}

/// Whether an export that the account connected has not delivered yet.
fn awaits_delivery(view: &SystemView, account: &Account) -> bool {
    let mut exports = view.lease.document.exports.values();
    exports.any(|export| export.account == account.id && !view.lease.snapshots.contains_key(&export.id))
}

/// `system.account_coverage`: every account that occurs in the data, connected or ignored (feature F4).
struct AccountCoverage;

#[async_trait]
impl SystemTable for AccountCoverage {
    fn name(&self) -> &str {
        "account_coverage"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("account_id", TEXT),
            ("account_name", TEXT),
            ("payer_account_ids", TEXT),
            ("status", TEXT),
            ("months", COUNT),
            ("first_month", TEXT),
            ("last_month", TEXT),
            ("rows", COUNT),
            ("currency", TEXT),
            ("unblended_cost", MONEY),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for (id, found) in coverage(&view.lease) {
            if !sees_all(view) && !view.scope.accounts().contains(&id) {
                continue;
            }
            let connected = view.lease.document.accounts.contains_key(&id);
            let told = |payer: &&AccountId| sees_all(view) || view.scope.accounts().contains(*payer);
            let payers: Vec<&str> = found.payers.iter().filter(told).map(AccountId::as_str).collect();
            let payers = payers.join(", ");
            let month = |period: Option<&BillingPeriod>| Cell::maybe_text(period.map(ToString::to_string));
            let amounts: Vec<(Option<String>, Amount)> = if found.unblended.is_empty() {
                vec![(None, Amount::ZERO)]
            } else {
                found
                    .unblended
                    .iter()
                    .map(|(currency, amount)| (Some(currency.clone()), *amount))
                    .collect()
            };
            for (currency, amount) in amounts {
                rows.push(vec![
                    Cell::text(id.as_str()),
                    Cell::maybe_text(found.account_name.clone()),
                    Cell::maybe_text(Some(payers.clone()).filter(|payers| !payers.is_empty())),
                    Cell::text(if connected { "connected" } else { "ignored" }),
                    Cell::count(found.periods.len() as u64),
                    month(found.periods.first()),
                    month(found.periods.last()),
                    Cell::count(found.rows),
                    Cell::maybe_text(currency),
                    Cell::Money(Some(amount)),
                ]);
            }
        }
        batch(self.schema(), rows.into_iter())
    }
}

/// `system.snapshots`: the snapshot of each period.
struct Snapshots;

#[async_trait]
impl SystemTable for Snapshots {
    fn name(&self) -> &str {
        "snapshots"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("export_id", TEXT),
            ("billing_period", TEXT),
            ("snapshot_id", TEXT),
            ("form", TEXT),
            ("delivered_at", INSTANT),
            ("execution_id", TEXT),
            ("manifest_key", TEXT),
            ("files", COUNT),
            ("rows", COUNT),
            ("bytes", COUNT),
            ("columns", COUNT),
            ("has_net_costs", FLAG),
            ("data_through", INSTANT),
            ("counts_in_costs", FLAG),
            ("verified", FLAG),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let full = sees_all(view);
        let excluded = crate::costs::excluded(&view.lease);
        let rows = view
            .lease
            .snapshots
            .values()
            .flat_map(|periods| periods.values())
            .map(|snapshot| {
                vec![
                    Cell::text(snapshot.export.as_str()),
                    Cell::text(&snapshot.period.to_string()),
                    Cell::text(snapshot.id.as_str()),
                    Cell::text(snapshot.form.as_str()),
                    Cell::instant(snapshot.delivered_at),
                    Cell::maybe_text(snapshot.execution_id.clone()),
                    Cell::maybe_text(full.then(|| snapshot.manifest_key.clone())),
                    Cell::Count(full.then_some(snapshot.files.len() as u64)),
                    Cell::count(visible_rows(snapshot, view)),
                    Cell::Count(full.then(|| snapshot.bytes())),
                    Cell::count(snapshot.columns.len() as u64),
                    Cell::Flag(full.then_some(snapshot.has_net_costs)),
                    Cell::Instant(snapshot.data_through.filter(|_| full)),
                    Cell::Flag(full.then(|| crate::costs::counts(&excluded, snapshot))),
                    Cell::Flag(Some(!snapshot.listed)),
                ]
            });
        batch(self.schema(), rows)
    }
}

/// `system.imports`: what each import did, and why one failed. For operators.
struct Imports(Arc<History<ImportRun>>);

#[async_trait]
impl SystemTable for Imports {
    fn name(&self) -> &str {
        "imports"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("import_id", TEXT),
            ("export_id", TEXT),
            ("billing_period", TEXT),
            ("state", TEXT),
            ("started_at", INSTANT),
            ("finished_at", INSTANT),
            ("files", COUNT),
            ("rows", COUNT),
            ("bytes", COUNT),
            ("snapshot_id", TEXT),
            ("catalog_version", COUNT),
            ("message", TEXT),
            ("hint", TEXT),
            ("next_try_at", INSTANT),
            ("delivered_at", INSTANT),
            ("delivery", TEXT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let entries = if sees_all(view) { self.0.entries() } else { Vec::new() };
        let rows = entries.iter().map(|(id, run)| {
            vec![
                Cell::text(id),
                Cell::text(run.export.as_str()),
                Cell::maybe_text(run.period.map(|period| period.to_string())),
                Cell::text(run.state.as_str()),
                Cell::instant(run.started_at),
                Cell::Instant(run.finished_at),
                Cell::count(run.files),
                Cell::count(run.rows),
                Cell::count(run.bytes),
                Cell::maybe_text(run.snapshot.as_ref().map(ToString::to_string)),
                Cell::Count(run.catalog_version),
                Cell::maybe_text(run.message.clone()),
                Cell::maybe_text(run.hint.clone()),
                Cell::Instant(run.next_try_at),
                Cell::Instant(run.delivered_at),
                Cell::text(if run.past { "past" } else { "latest" }),
            ]
        });
        batch(self.schema(), rows)
    }
}

/// `system.procedure_runs`: what was called, and what it did. For operators.
struct ProcedureRuns(Arc<History<ProcedureRun>>);

#[async_trait]
impl SystemTable for ProcedureRuns {
    fn name(&self) -> &str {
        "procedure_runs"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[
            ("run_id", TEXT),
            ("procedure", TEXT),
            ("principal", TEXT),
            ("state", TEXT),
            ("dry_run", FLAG),
            ("started_at", INSTANT),
            ("finished_at", INSTANT),
            ("statement", TEXT),
            ("steps", TEXT),
            ("error", TEXT),
        ])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let entries = if sees_all(view) { self.0.entries() } else { Vec::new() };
        let rows = entries.iter().map(|(id, run)| {
            vec![
                Cell::text(id),
                Cell::text(&run.procedure),
                Cell::text(&run.principal),
                Cell::text(run.state.as_str()),
                Cell::Flag(Some(run.dry_run)),
                Cell::instant(run.started_at),
                Cell::Instant(run.finished_at),
                Cell::text(&run.statement),
                Cell::maybe_text(serde_json::to_string(&run.steps).ok()),
                Cell::maybe_text(run.error.clone()),
            ]
        });
        batch(self.schema(), rows)
    }
}

/// `system.secrets`: names and versions of stored secrets, never values. For operators.
struct Secrets(Arc<dyn SecretVault>);

#[async_trait]
impl SystemTable for Secrets {
    fn name(&self) -> &str {
        "secrets"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[("name", TEXT), ("version", COUNT), ("used_by_account", TEXT)])
    }

    async fn rows(&self, view: &SystemView) -> Result<RecordBatch> {
        let secrets = if sees_all(view) {
            self.0.list().await?
        } else {
            Vec::new()
        };
        let accounts = &view.lease.document.accounts;
        let rows = secrets.iter().map(|secret| {
            let user = accounts
                .values()
                .find(|a| a.secret.as_ref().is_some_and(|used| used.name == secret.name));
            vec![
                Cell::text(secret.name.strip_prefix("named/").unwrap_or(&secret.name)),
                Cell::count(u64::from(secret.version)),
                Cell::maybe_text(user.map(|account| account.id.to_string())),
            ]
        });
        batch(self.schema(), rows)
    }
}

/// `system.limits`: every bound with its unit.
struct LimitsTable(Limits);

#[async_trait]
impl SystemTable for LimitsTable {
    fn name(&self) -> &str {
        "limits"
    }

    fn schema(&self) -> SchemaRef {
        schema(&[("name", TEXT), ("value", COUNT), ("unit", TEXT), ("description", TEXT)])
    }

    async fn rows(&self, _: &SystemView) -> Result<RecordBatch> {
        let rows = self.0.describe().into_iter().map(|limit| {
            vec![
                Cell::text(limit.name),
                Cell::count(limit.value),
                Cell::text(limit.unit),
                Cell::text(limit.about),
            ]
        });
        batch(self.schema(), rows)
    }
}
