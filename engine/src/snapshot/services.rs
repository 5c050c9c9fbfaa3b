//! Totals of a delivery by owner, service and currency: what tells two deliveries of a month apart when the files of one
//! are gone. A document of its own beside the snapshot's, since most statements never need it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RowOwner;
use crate::id::{AccountId, BillingPeriod, ExportId, SnapshotId};
use crate::money::Amount;

/// The version of the document's form.
pub const FORMAT_VERSION: u32 = 1;

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// Whose rows.
    #[serde(flatten)]
    pub owner: RowOwner,
    /// The service's code, `x_service_code` of `costs`; `None` where it is blank or null.
    pub service: Option<String>,
    /// The currency code; `None` where it is blank or null.
    pub currency: Option<String>,
}

/// Rows and their exact cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSum {
    /// Rows.
    pub rows: u64,
    /// Sum of the unblended cost; rows without one add nothing.
    pub cost: Amount,
}

/// One line of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLine {
    /// What it is about.
    #[serde(flatten)]
    pub key: ServiceKey,
    /// What it comes to.
    #[serde(flatten)]
    pub sum: ServiceSum,
}

/// The totals of one delivery, each key once, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTotals {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The export.
    pub export: ExportId,
    /// The month.
    pub period: BillingPeriod,
    /// The snapshot of the delivery.
    pub snapshot: SnapshotId,
    /// The names that accounts have in the delivery.
    pub account_names: BTreeMap<AccountId, String>,
    /// The lines.
    pub lines: Vec<ServiceLine>,
}
