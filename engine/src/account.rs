//! Connects accounts, step by step: each step is idempotent, recorded before and after, and a repeated call resumes.
//!
//! The order of effects is fixed: secret, then account and export in one catalog version, then the import. A crash between
//! the first two leaves an unreferenced secret and never an account without one. Only procedures that are named for it write to
//! AWS: `create_aws_export` and `setup_aws_iam_user`.

mod aws_write;
mod check_access;
mod connect_linked;
mod connect_linked_all;
mod connect_root;
mod create_export;
pub mod detect;
pub(crate) mod diagnose;
mod disconnect;
pub mod location;
pub mod policy;
mod refresh;
mod role;
pub mod run;
mod setup_guide;
mod setup_user;
mod update_credentials;
mod update_export;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::catalog::{Account, Catalog, CatalogState, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::history::History;
use crate::id::{AccountId, BillingPeriod};
use crate::ingest::{ImportProgress, ImportSummary, Importer, PeriodEvent, PeriodOutcome};
use crate::money::Amount;
use crate::port::{
    AccessKey, AccountConnector, Ambient, AssumedRole, AwsAdministration, Clock, Credential, ExportSource,
    LocationRoot, SecretRef, SecretVault,
};
use crate::secret::SecretString;
pub use check_access::{CheckAccess, PermissionCheck, PermissionChecks};
pub use connect_linked::ConnectLinked;
pub use connect_linked_all::ConnectLinkedAll;
pub use connect_root::ConnectRoot;
pub use create_export::CreateExport;
use detect::Detection;
pub use diagnose::Diagnose;
pub use disconnect::Disconnect;
pub use refresh::{Deliveries, Refresh};
use run::{Action, ProcedureRun, Run, RunOutcome, RunState, Status, Step};
pub use setup_guide::SetupGuide;
pub use setup_user::SetupUser;
pub use update_credentials::UpdateCredentials;
pub use update_export::{Turn, UpdateExport};

/// Takes a sentence for the person who waits for a call.
pub trait Notify: Send + Sync {
    /// Passes a sentence on; must not block.
    fn notify(&self, message: &str);
}

/// How the caller proves that it may use an account.
#[derive(Debug, Clone)]
pub enum GivenCredential {
    /// A key in the call.
    Key(AccessKey),
    /// The text of the CSV file that the AWS console offers for a new key.
    Csv(SecretString),
    /// A role, and who assumes it; the connected root if that is absent.
    Role {
        /// `arn:aws:iam::<account>:role/<name>`.
        arn: String,
        /// The key that assumes it.
        base: Box<GivenCredential>,
    },
    /// A secret stored under this name by `put_secret`, or a credential of the server's machine as [`Ambient`] is written.
    Named(String),
    /// A key that set-up stored a moment ago.
    Kept {
        /// Where.
        secret: SecretRef,
        /// Its id, if it is known.
        access_key_id: Option<String>,
    },
    /// None.
    Absent,
}

/// Who asks, and how the run is watched and stopped.
pub struct Caller<'a> {
    /// The login name.
    pub principal: &'a str,
    /// The procedure's name.
    pub procedure: &'static str,
    /// The statement with its literals replaced.
    pub statement: &'a str,
    /// Takes progress.
    pub notify: &'a dyn Notify,
    /// Stops at the next step.
    pub cancel: CancellationToken,
}

/// The connected accounts, and the ports that connecting takes.
pub struct Connections {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) connector: Arc<dyn AccountConnector>,
    pub(crate) source: Arc<dyn ExportSource>,
    pub(crate) vault: Arc<dyn SecretVault>,
    pub(crate) importer: Arc<Importer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) administration: Arc<dyn AwsAdministration>,
    pub(crate) runs: Arc<History<ProcedureRun>>,
    pub(crate) detections: Arc<History<Detection>>,
    pub(crate) permission_checks: Arc<History<PermissionChecks>>,
    /// The run that holds each locked object, by the object's name.
    locks: Mutex<BTreeMap<String, String>>,
}

/// What [`Connections`] is made of.
pub struct ConnectionsParts {
    /// Where accounts and exports are published.
    pub catalog: Arc<Catalog>,
    /// Signs in to AWS.
    pub connector: Arc<dyn AccountConnector>,
    /// Looks at locations.
    pub source: Arc<dyn ExportSource>,
    /// Keeps the keys.
    pub vault: Arc<dyn SecretVault>,
    /// Imports what was connected.
    pub importer: Arc<Importer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Looks at exports, buckets, organization and IAM, and makes what is missing.
    pub administration: Arc<dyn AwsAdministration>,
    /// The run history.
    pub runs: Arc<History<ProcedureRun>>,
    /// What looks at accounts found.
    pub detections: Arc<History<Detection>>,
    /// What checks of permissions found.
    pub permission_checks: Arc<History<PermissionChecks>>,
}

impl Connections {
    /// Puts the parts together.
    pub fn new(parts: ConnectionsParts) -> Self {
        Self {
            catalog: parts.catalog,
            connector: parts.connector,
            source: parts.source,
            vault: parts.vault,
            importer: parts.importer,
            clock: parts.clock,
            administration: parts.administration,
            runs: parts.runs,
            detections: parts.detections,
            permission_checks: parts.permission_checks,
            locks: Mutex::new(BTreeMap::new()),
        }
    }

    /// Stores `value` as a new version of the named secret.
    pub async fn put_secret(
        &self,
        name: &str,
        value: &crate::secret::SecretString,
        caller: &Caller<'_>,
    ) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let secret_name = self.check(&mut run, named_secret(name)).await?;
        let stored = self.vault.put(&secret_name, value).await;
        let stored = self.check(&mut run, stored).await?;
        run.push(
            Step::new(
                if stored.version == 1 {
                    Action::Create
                } else {
                    Action::Update
                },
                format!("secret:{name}"),
                Status::Ok,
            )
            .detail(format!("Stored, encrypted, as version {}.", stored.version)),
        );
        self.finish(run).await
    }

    /// Removes every version of the named secret that no connection uses.
    pub async fn drop_secret(&self, name: &str, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let secret_name = self.check(&mut run, named_secret(name)).await?;
        let newest = self.newest_named(name).await;
        let newest = self.check(&mut run, newest).await?;
        let lease = self.catalog.lease();
        let used_by = lease
            .document
            .accounts
            .values()
            .find(|a| a.secret.as_ref().is_some_and(|s| s.name == secret_name));
        if let Some(account) = used_by {
            let error = Error::new(
                ErrorKind::Locked,
                format!("the secret {name} is the credential of account {}", account.id),
            )
            .with_hint("Give that account another credential first.");
            return Err(self.fail(run, error).await);
        }
        for version in 1..=newest.version {
            let retired = self
                .vault
                .retire(&SecretRef {
                    name: secret_name.clone(),
                    version,
                })
                .await;
            self.check(&mut run, retired).await?;
        }
        run.push(
            Step::new(Action::Delete, format!("secret:{name}"), Status::Ok).detail("Removed with all its versions."),
        );
        self.finish(run).await
    }

    /// The run history, oldest first.
    pub fn runs(&self) -> Vec<(String, Arc<ProcedureRun>)> {
        self.runs.entries()
    }

    // ---- runs -----------------------------------------------------------------------------------------------------

    /// Records the intent, durable before any effect.
    pub(crate) async fn begin(&self, caller: &Caller<'_>) -> Result<Run> {
        let run = Run::begin(caller, self.clock.now());
        self.runs.put(&run.id, &run.record).await?;
        Ok(run)
    }

    /// Passes an outcome on; a failure is recorded first.
    pub(crate) async fn check<T>(&self, run: &mut Run, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                self.record_end(run, RunState::Failed, Some(&error)).await;
                Err(error)
            }
        }
    }

    /// Records a failure and gives the error back.
    pub(crate) async fn fail(&self, mut run: Run, error: Error) -> Error {
        self.record_end(&mut run, RunState::Failed, Some(&error)).await;
        error
    }

    /// Records success and gives the steps back.
    pub(crate) async fn finish(&self, mut run: Run) -> Result<RunOutcome> {
        let state = if run.record.dry_run {
            RunState::Planned
        } else {
            RunState::Succeeded
        };
        self.record_end(&mut run, state, None).await;
        Ok(RunOutcome {
            run_id: run.id,
            steps: run.record.steps,
        })
    }

    async fn record_end(&self, run: &mut Run, state: RunState, error: Option<&Error>) {
        run.end(self.clock.now(), state, error);
        // The effects are done and durable; a history that cannot be written must not turn them into an error.
        if let Err(error) = self.runs.put(&run.id, &run.record).await {
            tracing::warn!(run = %run.id, %error, "the outcome of a procedure run is not recorded");
        }
    }

    /// Holds `object` for the run, or says which run holds it.
    pub(crate) fn lock(&self, object: String, run: &Run) -> Result<Held<'_>> {
        let mut locks = self
            .locks
            .lock()
            .map_err(|_| Error::defect("the lock table is poisoned"))?;
        if let Some(holder) = locks.get(&object) {
            return Err(Error::new(ErrorKind::Locked, format!("another call works on {object}"))
                .with_detail(format!("Run {holder} holds it."))
                .with_hint("Wait for that run: it is in system.procedure_runs."));
        }
        locks.insert(object.clone(), run.id.clone());
        Ok(Held {
            connections: self,
            object,
        })
    }

    /// The newest version of a secret by the name that users gave it.
    async fn newest_named(&self, name: &str) -> Result<SecretRef> {
        let newest = self.vault.newest(&named_secret(name)?).await;
        newest.map_err(|error| match error.kind() {
            ErrorKind::Missing => Error::new(ErrorKind::Missing, format!("there is no secret {name}"))
                .with_hint("SELECT name FROM system.secrets lists them; CALL put_secret(...) stores one."),
            _ => error,
        })
    }

    // ---- credentials ----------------------------------------------------------------------------------------------

    /// What is signed in with, and its key id where it is known.
    pub(crate) async fn resolve(&self, given: &GivenCredential) -> Result<(Credential, Option<String>)> {
        match given {
            GivenCredential::Key(key) => Ok((Credential::Inline(key.clone()), Some(key.access_key_id.clone()))),
            GivenCredential::Csv(text) => {
                let key = self.connector.read_access_key(text)?;
                let id = key.access_key_id.clone();
                Ok((Credential::Inline(key), Some(id)))
            }
            // No secret's name has a colon.
            GivenCredential::Named(name) => Ok(match Ambient::parse(name)? {
                Some(ambient) => (Credential::Ambient(ambient), None),
                None => (Credential::Stored(self.newest_named(name).await?), None),
            }),
            GivenCredential::Kept { secret, access_key_id } => {
                Ok((Credential::Stored(secret.clone()), access_key_id.clone()))
            }
            GivenCredential::Role { arn, base } => {
                let (base, key_id) = Box::pin(self.resolve_base(base)).await?;
                let role = self.role(arn)?;
                let base = Box::new(base);
                Ok((Credential::Assumed { role, base }, key_id))
            }
            GivenCredential::Absent => Ok((Credential::Absent, None)),
        }
    }

    /// Makes the credential one that the catalog can name: a key of the call is stored, unless the account has it already.
    pub(crate) async fn keep(
        &self,
        account: AccountId,
        credential: &Credential,
        key_id: Option<&str>,
        former: Option<&Account>,
        run: &mut Run,
    ) -> Result<Kept> {
        match credential {
            Credential::Absent => Ok(former.map(Kept::of).unwrap_or_default()),
            Credential::Stored(secret) => Ok(Kept::stored(secret.clone())),
            Credential::Ambient(ambient) => Ok(Kept {
                secret: None,
                ambient: Some(ambient.clone()),
            }),
            Credential::Assumed { base, .. } => Box::pin(self.keep(account, base, key_id, former, run)).await,
            Credential::Inline(key) => {
                let object = format!("credential of account {account}");
                let same_key = former.filter(|f| key.session_token.is_none() && f.access_key_id.as_deref() == key_id);
                if let Some(secret) = same_key.and_then(|account| account.secret.clone()) {
                    run.push(
                        Step::new(Action::Reuse, object, Status::Ok).detail("The same access key is stored already."),
                    );
                    return Ok(Kept::stored(secret));
                }
                let secret = self.vault.put_access_key(&format!("aws/{account}"), key).await?;
                let action = if former.is_some_and(|f| f.secret.is_some()) {
                    Action::Update
                } else {
                    Action::Create
                };
                run.push(Step::new(action, object, Status::Ok).detail(format!(
                    "Access key {} is stored, encrypted, as version {}.",
                    shown_key_id(&key.access_key_id),
                    secret.version
                )));
                Ok(Kept::stored(secret))
            }
        }
    }

    /// Imports one export and reports each period as it is done.
    pub(crate) async fn import(&self, export: &Export, run: &mut Run, caller: &Caller<'_>) -> Result<ImportSummary> {
        let progress = Progress { notify: caller.notify };
        let summary = self
            .importer
            .import_export(&export.id, &progress, &caller.cancel)
            .await?;
        run.push(import_step(export, &summary, &self.catalog.lease()));
        Ok(summary)
    }
}

/// What the catalog names of a credential: where its secret is, or which one of the server's machine it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) secret: Option<SecretRef>,
    pub(crate) ambient: Option<Ambient>,
}

impl Kept {
    fn stored(secret: SecretRef) -> Self {
        Self {
            secret: Some(secret),
            ambient: None,
        }
    }

    pub(crate) fn of(account: &Account) -> Self {
        Self {
            secret: account.secret.clone(),
            ambient: account.ambient.clone(),
        }
    }
}

/// That the credential belongs to the account that the call names, if it names one. `hint` says what to do otherwise.
fn check_account(account: AccountId, expected: Option<AccountId>, hint: &str) -> Result<()> {
    match expected.filter(|expected| *expected != account) {
        None => Ok(()),
        Some(expected) => Err(Error::new(
            ErrorKind::BadCredentials,
            format!("the credential belongs to account {account}, and account_id says {expected}"),
        )
        .with_hint(hint)),
    }
}

/// The name in the vault of a secret that users name.
fn named_secret(name: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 128 || !name.chars().all(allowed) {
        return Err(Error::new(ErrorKind::BadValue, "the secret's name is not allowed")
            .with_hint("Use 1 to 128 characters of A-Z, a-z, 0-9, _ and -."));
    }
    Ok(format!("named/{name}"))
}

/// An access key id as people see it: enough to recognise, not enough to copy.
pub fn shown_key_id(id: &str) -> String {
    let tail = id.char_indices().rev().nth(3).map_or("", |(at, _)| &id[at..]);
    let head: String = id.chars().take(4).collect();
    format!("{head}...{tail}")
}

/// A hold on one object; released when dropped.
pub(crate) struct Held<'a> {
    connections: &'a Connections,
    object: String,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Ok(mut locks) = self.connections.locks.lock() {
            locks.remove(&self.object);
        }
    }
}

struct Progress<'a> {
    notify: &'a dyn Notify,
}

impl ImportProgress for Progress<'_> {
    fn period(&self, event: &PeriodEvent) {
        // One sentence for each period that ends; what lies between is in system.imports.
        if !event.state.is_final() {
            return;
        }
        let PeriodEvent {
            export,
            period,
            state,
            rows,
            message,
            ..
        } = event;
        let what = match message {
            Some(message) => format!("{}: {message}", state.as_str()),
            None => format!("{}, {rows} rows", state.as_str()),
        };
        self.notify.notify(&format!("{export} {period}: {what}"));
    }
}

/// The step that tells what an import did.
fn import_step(export: &Export, summary: &ImportSummary, state: &CatalogState) -> Step {
    let count = |wanted: fn(&PeriodOutcome) -> bool| summary.periods.iter().filter(|(_, o)| wanted(o)).count();
    let published = count(|o| matches!(o, PeriodOutcome::Published { .. }));
    let unchanged = count(|o| matches!(o, PeriodOutcome::Unchanged));
    let under_way = count(|o| matches!(o, PeriodOutcome::DeliveryUnderWay));
    let failed: Vec<&BillingPeriod> = summary
        .periods
        .iter()
        .filter(|(_, o)| matches!(o, PeriodOutcome::Failed(_)))
        .map(|(p, _)| p)
        .collect();
    let rows: u64 = state
        .snapshots
        .get(&export.id)
        .into_iter()
        .flat_map(BTreeMap::values)
        .map(|s| s.rows())
        .sum();
    let (status, detail) = if summary.periods.is_empty() {
        (
            Status::Pending,
            "AWS has not delivered anything yet. The first delivery can take 24 hours; Farthing looks every hour."
                .to_owned(),
        )
    } else if failed.is_empty() && under_way == 0 {
        (
            Status::Ok,
            format!("{published} periods imported, {unchanged} unchanged; {rows} rows in all."),
        )
    } else {
        let names: Vec<String> = failed.iter().map(ToString::to_string).collect();
        (
            Status::Warning,
            format!(
                "{published} periods imported, {unchanged} unchanged, {under_way} being delivered, {} failed ({}); {rows} \
                 rows in all. system.imports has the reasons.",
                failed.len(),
                names.join(", ")
            ),
        )
    };
    Step::new(Action::Create, format!("exports.{}", export.id), status).detail(detail).evidence(serde_json::json!({
        "published": published, "unchanged": unchanged, "delivery_under_way": under_way, "failed": failed, "rows": rows,
    }))
}

/// What the data says about one usage account.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// The name that the rows carry.
    pub account_name: Option<String>,
    /// Who pays for it, by the rows.
    pub payers: std::collections::BTreeSet<AccountId>,
    /// The months with rows.
    pub periods: std::collections::BTreeSet<BillingPeriod>,
    /// Rows.
    pub rows: u64,
    /// Unblended cost by currency.
    pub unblended: BTreeMap<String, Amount>,
    /// Whether a bucket delivers it, where keys have to prove the right to see it.
    pub in_bucket: bool,
    /// Whether a folder holds it.
    pub in_folder: bool,
}

/// Every account that occurs in the data of a catalog version: the usage account, or the payer of rows without one.
pub fn coverage(state: &CatalogState) -> BTreeMap<AccountId, Coverage> {
    let mut found: BTreeMap<AccountId, Coverage> = BTreeMap::new();
    let excluded = crate::costs::excluded(state);
    for (export_id, periods) in &state.snapshots {
        let root = state
            .document
            .exports
            .get(export_id)
            .map(|export| &export.location.root);
        for (period, snapshot) in periods {
            let theirs = excluded.get(export_id).and_then(|periods| periods.get(period));
            for totals in snapshot.owner_totals() {
                let Some(account) = totals.owner.usage_account.or(totals.owner.payer) else {
                    continue;
                };
                let entry = found.entry(account).or_default();
                match root {
                    Some(LocationRoot::Folder(_)) => entry.in_folder = true,
                    _ => entry.in_bucket = true,
                }
                if totals.owner.usage_account.is_some() && totals.account_name.is_some() {
                    entry.account_name = totals.account_name;
                }
                entry.periods.insert(*period);
                entry.payers.extend(totals.owner.payer);
                // What another export delivers too counts once, as in `costs`.
                if theirs.is_some_and(|theirs| theirs.contains(&totals.owner.payer)) {
                    continue;
                }
                entry.rows += totals.rows;
                for (currency, amount) in totals.unblended {
                    *entry.unblended.entry(currency).or_insert(Amount::ZERO) += amount;
                }
            }
        }
    }
    found
}

/// The step that says which accounts of the data stay invisible, or `None` where all are connected.
pub(crate) fn ignored_step(state: &CatalogState) -> Option<Step> {
    let ignored: Vec<(AccountId, Coverage)> = coverage(state)
        .into_iter()
        .filter(|(id, _)| !state.document.accounts.contains_key(id))
        .collect();
    let (first, coverage) = ignored.first()?;
    let listed: Vec<serde_json::Value> = ignored
        .iter()
        .map(|(id, c)| {
            serde_json::json!({ "account_id": id, "account_name": c.account_name, "rows": c.rows, "unblended_cost": c.unblended })
        })
        .collect();
    let detail = format!(
        "{} accounts occur in the data and are not connected: their costs are ignored. system.account_coverage lists them.",
        ignored.len()
    );
    // The number alone is enough where all the account's costs come from folders.
    let next = match coverage.in_bucket {
        true => format!(
            "CALL connect_aws_linked(access_key_id => '<key of account {first}>', secret_access_key => '<its secret>');"
        ),
        false => format!("CALL connect_aws_linked(account_id => {});", first.sql()),
    };
    Some(
        Step::new(Action::Check, "accounts in the data".to_owned(), Status::Warning)
            .detail(detail)
            .evidence(serde_json::json!({ "ignored_accounts": listed }))
            .next_sql(next),
    )
}

/// The entry of an account as it will be published.
pub(crate) fn account_entry(
    id: AccountId,
    kind: crate::catalog::AccountKind,
    former: Option<&Account>,
    name: Option<String>,
    arn: Option<String>,
    key: (Option<String>, Kept, Option<AssumedRole>),
    now: DateTime<Utc>,
) -> Account {
    let (access_key_id, kept, role) = key;
    // The id goes with the key: it stays only as long as that one does.
    let same = former.filter(|former| Kept::of(former) == kept);
    let mut entry = Account {
        id,
        kind,
        name: name.or_else(|| former.and_then(|f| f.name.clone())),
        arn: arn.or_else(|| former.and_then(|f| f.arn.clone())),
        access_key_id: access_key_id.or_else(|| same.and_then(|f| f.access_key_id.clone())),
        secret: kept.secret,
        ambient: kept.ambient,
        role,
        connected_at: former.map_or(now, |f| f.connected_at),
        updated_at: now,
    };
    // An entry that changes nothing keeps its time, so that repeating a call publishes no version.
    if let Some(former) = former {
        entry.updated_at = former.updated_at;
        if entry != *former {
            entry.updated_at = now;
        }
    }
    entry
}
