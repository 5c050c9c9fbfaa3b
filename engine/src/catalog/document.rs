//! The catalog document and the changes that make the next one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use super::past::{self, PastDeliveries, PastDelivery};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, BillingPeriod, CatalogVersion, ExportId, SnapshotId};
use crate::port::{Ambient, AssumedRole, Credential, DeliveryLayout, ExportLocation, SecretRef};
use crate::principal::Login;

/// The version of the document's form.
pub const FORMAT_VERSION: u32 = 1;

/// How an account is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// As a payer, with an export of its own.
    Root,
    /// As a member, whose costs come through a root's export.
    Linked,
}

/// A connected account: its rows are visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// How it is connected.
    pub kind: AccountKind,
    /// The name given at connection, if any.
    pub name: Option<String>,
    /// The ARN that the credential signed in as; `None` for an account declared without keys.
    pub arn: Option<String>,
    /// The id of the access key, which is no secret; an equal one means an equal key.
    pub access_key_id: Option<String>,
    /// The credential in the vault, if there is one. With a role it is the key that assumes the role, which may be another
    /// account's.
    pub secret: Option<SecretRef>,
    /// The credential of the server's machine that is used in place of a stored one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Ambient>,
    /// The role that is assumed with it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<AssumedRole>,
    /// When it was first connected.
    pub connected_at: DateTime<Utc>,
    /// When its connection last changed.
    pub updated_at: DateTime<Utc>,
}

impl Account {
    /// How to sign in as the account.
    pub fn credential(&self) -> Credential {
        let base = self.base();
        match (&base, &self.role) {
            (Credential::Absent, _) | (_, None) => base,
            (_, Some(role)) => Credential::Assumed {
                role: role.clone(),
                base: Box::new(base),
            },
        }
    }

    /// What signs in, or assumes the role where there is one.
    pub fn base(&self) -> Credential {
        match (&self.secret, &self.ambient) {
            (Some(secret), _) => Credential::Stored(secret.clone()),
            (None, Some(ambient)) => Credential::Ambient(ambient.clone()),
            (None, None) => Credential::Absent,
        }
    }
}

/// Which kind of export it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportKind {
    /// AWS Data Exports, table `COST_AND_USAGE_REPORT`.
    Cur2,
    /// The legacy Cost and Usage Report.
    Cur,
    /// AWS Data Exports, tables `FOCUS_1_0_AWS` and `FOCUS_1_2_AWS`.
    Focus,
    /// AWS Data Exports, table `COST_OPTIMIZATION_RECOMMENDATIONS`.
    CostOptimization,
    /// AWS Data Exports, table `CARBON_EMISSIONS`.
    Carbon,
}

impl ExportKind {
    /// The kind of export that is taken to be delivered in this layout until its columns are seen.
    pub fn of_layout(layout: DeliveryLayout) -> Self {
        match layout {
            DeliveryLayout::DataExports | DeliveryLayout::FilesAlone => Self::Cur2,
            DeliveryLayout::LegacyReport | DeliveryLayout::LegacyReportInPrefix => Self::Cur,
        }
    }

    /// The word in `system.exports`, and in the argument `kind` of procedures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cur2 => "cur2",
            Self::Cur => "cur",
            Self::Focus => "focus",
            Self::CostOptimization => "cost_optimization",
            Self::Carbon => "carbon",
        }
    }
}

/// An export: one stream of billing files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its id and table name.
    pub id: ExportId,
    /// The root account that connected it.
    pub account: AccountId,
    /// Which kind.
    pub kind: ExportKind,
    /// Where it is delivered.
    pub location: ExportLocation,
    /// When it was connected.
    pub connected_at: DateTime<Utc>,
}

impl Export {
    /// What the columns of the same export have told stands where months of it are `imported`, and against a kind that is
    /// only taken from the layout.
    fn keep_kind_of(&mut self, known: &Self, imported: bool) {
        let taken_for = ExportKind::of_layout(self.location.layout);
        let same_place =
            known.location.uri() == self.location.uri() && ExportKind::of_layout(known.location.layout) == taken_for;
        let assumed = self.kind == taken_for;
        if same_place && known.account == self.account && (imported || assumed) {
            self.kind = known.kind;
        }
    }
}

/// What was imported of an export that is not connected any more, kept so that connecting it again needs no import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptExport {
    /// The export as it was connected.
    pub export: Export,
    /// Its snapshots.
    pub snapshots: BTreeMap<BillingPeriod, SnapshotId>,
    /// Its past deliveries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub past: PastDeliveries,
}

/// Everything that a statement may have to know, as one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogDocument {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its number.
    pub version: CatalogVersion,
    /// When it was written.
    pub written_at: DateTime<Utc>,
    /// The connected accounts.
    pub accounts: BTreeMap<AccountId, Account>,
    /// The exports.
    pub exports: BTreeMap<ExportId, Export>,
    /// The snapshot of each period of each export.
    pub snapshots: BTreeMap<ExportId, BTreeMap<BillingPeriod, SnapshotId>>,
    /// What was made of those snapshots for speed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derived: BTreeMap<ExportId, BTreeMap<BillingPeriod, DerivedRef>>,
    /// Deliveries that are not the published ones of their months, and of which something is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub past: BTreeMap<ExportId, PastDeliveries>,
    /// What is kept of exports that were disconnected. No statement sees it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<ExportId, KeptExport>,
    /// Who may log in.
    pub logins: BTreeMap<String, Login>,
    /// The external id that roles trust, once one was asked for: one for all, since one organization deploys its roles from
    /// one template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Which export counts for an account from which month on, where somebody has said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authority: BTreeMap<AccountId, Authority>,
}

/// Names what was made of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedRef {
    /// The snapshot.
    pub of: SnapshotId,
    /// The id of the document.
    pub id: SnapshotId,
}

/// A change to the catalog, small enough to be applied again after a lost race.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds an account or replaces its entry.
    PutAccount(Account),
    /// Disconnects an account.
    RemoveAccount(AccountId),
    /// Adds an export or replaces its entry. What is kept of it comes back; what is kept of another export of this name is
    /// forgotten. What its columns told of its kind before stands while it lies at the same place.
    PutExport(Export),
    /// Notes what an export turned out to be when AWS delivered it first. One that is gone stays gone.
    SetKind {
        /// The export.
        export: ExportId,
        /// Its kind.
        kind: ExportKind,
        /// How its deliveries lie.
        layout: DeliveryLayout,
    },
    /// Removes an export and what it imported, and what is kept of it.
    RemoveExport(ExportId),
    /// Disconnects an export and keeps what it imported.
    KeepExport(ExportId),
    /// Makes a snapshot the one of its period.
    PutSnapshot {
        /// The export.
        export: ExportId,
        /// The month.
        period: BillingPeriod,
        /// The snapshot, already written.
        snapshot: SnapshotId,
    },
    /// Names what was made of a snapshot. Nothing happens where another snapshot is the one of the month by now.
    PutDerived {
        /// The export.
        export: ExportId,
        /// The month.
        period: BillingPeriod,
        /// What, already written.
        derived: DerivedRef,
    },
    /// Keeps a delivery that is not the published one of its month.
    PutPast {
        /// The export.
        export: ExportId,
        /// The month.
        period: BillingPeriod,
        /// The delivery, whose snapshot is written.
        delivery: PastDelivery,
        /// How many are kept of the month.
        limit: usize,
    },
    /// Adds a login or replaces it.
    PutLogin(Login),
    /// Removes a login.
    RemoveLogin(String),
    /// From `period` on, `to` counts in `costs` where until now `from` did, which is the same account's.
    CutOver {
        /// The account of both exports.
        account: AccountId,
        /// The export that counts before.
        from: ExportId,
        /// The export that counts from then on.
        to: ExportId,
        /// The first month of the new one.
        period: BillingPeriod,
    },
    /// Takes a cut-over back.
    GiveBack {
        /// The account of both exports.
        account: AccountId,
        /// The export that counts again.
        from: ExportId,
        /// The export that does not any more.
        to: ExportId,
    },
    /// Keeps the external id of roles. One that is kept already stays.
    PutExternalId(String),
}

impl KeptExport {
    /// Whether it is what was imported of this export: the same account's, kind and place. The Region is part of no place.
    fn is_of(&self, export: &Export) -> bool {
        self.export.account == export.account
            && self.export.kind == export.kind
            && self.export.location.uri() == export.location.uri()
    }
}

impl CatalogDocument {
    /// The catalog before anything was published.
    pub fn empty(now: DateTime<Utc>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            version: 0,
            written_at: now,
            accounts: BTreeMap::new(),
            exports: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            derived: BTreeMap::new(),
            past: BTreeMap::new(),
            kept: BTreeMap::new(),
            logins: BTreeMap::new(),
            external_id: None,
            authority: BTreeMap::new(),
        }
    }

    /// Every snapshot that is named of an export: those of its months, those of past deliveries, and those that are kept of
    /// it.
    pub fn snapshots_of(&self, export: &ExportId) -> impl Iterator<Item = (BillingPeriod, &SnapshotId)> {
        let kept = self.kept.get(export);
        let named = [self.snapshots.get(export), kept.map(|kept| &kept.snapshots)];
        let past = [self.past.get(export), kept.map(|kept| &kept.past)];
        let past = past.into_iter().flatten().flatten();
        let past = past.flat_map(|(period, past)| past.iter().map(move |past| (period, &past.snapshot)));
        let named = named.into_iter().flatten().flatten().chain(past);
        named.map(|(period, id)| (*period, id))
    }

    /// Applies one change. Removing what is gone is no error; a snapshot of an export that is gone is, and so is a cut-over.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::PutAccount(account) => {
                self.accounts.insert(account.id, account.clone());
            }
            Change::RemoveAccount(id) => {
                self.accounts.remove(id);
            }
            Change::PutExport(export) => {
                let mut export = export.clone();
                let kept = self.kept.get(&export.id).map(|kept| &kept.export);
                if let Some(known) = self.exports.get(&export.id).or(kept) {
                    let imported = self.snapshots_of(&export.id).next().is_some();
                    export.keep_kind_of(known, imported);
                }
                self.exports.insert(export.id.clone(), export.clone());
                if let Some(kept) = self.kept.remove(&export.id).filter(|kept| kept.is_of(&export)) {
                    self.snapshots.entry(export.id.clone()).or_insert(kept.snapshots);
                    if !kept.past.is_empty() {
                        self.past.entry(export.id.clone()).or_insert(kept.past);
                    }
                }
            }
            Change::SetKind { export, kind, layout } => {
                if let Some(export) = self.exports.get_mut(export) {
                    export.kind = *kind;
                    export.location.layout = *layout;
                }
            }
            Change::RemoveExport(id) => {
                self.exports.remove(id);
                self.snapshots.remove(id);
                self.derived.remove(id);
                self.past.remove(id);
                self.kept.remove(id);
                self.authority.retain(|_, authority| authority.forget(id));
            }
            Change::KeepExport(id) => {
                if let Some(export) = self.exports.remove(id) {
                    // Made again when the export comes back.
                    self.derived.remove(id);
                    let snapshots = self.snapshots.remove(id).unwrap_or_default();
                    let past = self.past.remove(id).unwrap_or_default();
                    let kept = KeptExport {
                        export,
                        snapshots,
                        past,
                    };
                    self.kept.insert(id.clone(), kept);
                }
            }
            Change::PutSnapshot {
                export,
                period,
                snapshot,
            } => {
                self.still_there(export)?;
                self.snapshots
                    .entry(export.clone())
                    .or_default()
                    .insert(*period, snapshot.clone());
                let derived = self.derived.get_mut(export);
                if let Some(periods) =
                    derived.filter(|periods| periods.get(period).is_some_and(|made| made.of != *snapshot))
                {
                    periods.remove(period);
                }
            }
            Change::PutDerived {
                export,
                period,
                derived,
            } => {
                let current = self.snapshots.get(export).and_then(|periods| periods.get(period));
                if current == Some(&derived.of) {
                    let periods = self.derived.entry(export.clone()).or_default();
                    periods.insert(*period, derived.clone());
                }
            }
            Change::PutPast {
                export,
                period,
                delivery,
                limit,
            } => {
                self.still_there(export)?;
                let periods = self.past.entry(export.clone()).or_default();
                past::add(periods.entry(*period).or_default(), delivery, *limit);
                periods.retain(|_, past| !past.is_empty());
                if periods.is_empty() {
                    self.past.remove(export);
                }
            }
            Change::PutLogin(login) => {
                self.logins.insert(login.name.clone(), login.clone());
            }
            Change::RemoveLogin(name) => {
                self.logins.remove(name);
            }
            Change::CutOver {
                account,
                from,
                to,
                period,
            } => {
                self.still_there(from)?;
                self.still_there(to)?;
                self.authority.entry(*account).or_default().cut_over(from, to, *period);
            }
            Change::GiveBack { account, from, to } => {
                self.still_there(from)?;
                if let Some(authority) = self.authority.get_mut(account) {
                    authority.give_back(from, to);
                }
            }
            Change::PutExternalId(external_id) => {
                self.external_id.get_or_insert_with(|| external_id.clone());
            }
        }
        Ok(())
    }

    fn still_there(&self, export: &ExportId) -> Result<()> {
        match self.exports.contains_key(export) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Missing,
                format!("the export {export} was removed meanwhile"),
            )),
        }
    }
}
