//! The manifest-pinned list of files of one delivery of one period, with exact account sets and control totals.
//!
//! A snapshot is immutable: it is written once, as one JSON document, and read by every statement whose catalog version
//! names it. Whatever is in it about accounts is computed from the files at import, never estimated.

pub mod derived;
pub mod clustered;
pub mod services;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, BillingPeriod, ExportId, SnapshotId};
use crate::money::Amount;
use clustered::Clustered;

/// The version of the document's form; raised with every change, and every older form keeps a reader.
pub const FORMAT_VERSION: u32 = 1;

/// Whose rows a group of rows is: the usage account, or for rows without one (some taxes and fees) the payer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowOwner {
    /// `line_item_usage_account_id`; `None` where it is blank or null.
    pub usage_account: Option<AccountId>,
    /// `bill_payer_account_id`; `None` where it is blank or null.
    pub payer: Option<AccountId>,
}

/// Exact control totals of the rows of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerTotals {
    /// Whose rows.
    pub owner: RowOwner,
    /// The account name that the rows carry, the last one seen.
    pub account_name: Option<String>,
    /// Rows.
    pub rows: u64,
    /// Sum of `line_item_unblended_cost` by currency code.
    pub unblended: BTreeMap<String, Amount>,
}

/// One data file, pinned to the bytes that the manifest meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedFile {
    /// The object's key, relative to the root of the export's location; of a stored file, relative to the state store.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The ETag that every read is conditional on.
    pub e_tag: String,
    /// When it was written.
    pub last_modified: DateTime<Utc>,
    /// What a stored file was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceFile>,
    /// Rows in the file.
    pub rows: u64,
    /// The exact owners of its rows: a file whose owners are all in scope needs no row filter, one without any is skipped.
    pub owners: Vec<OwnerTotals>,
}

impl PinnedFile {
    /// The file that AWS delivered: this one, or what it was made of.
    fn delivered(&self) -> SourceFile {
        self.source.clone().unwrap_or_else(|| SourceFile {
            key: self.key.clone(),
            size: self.size,
            e_tag: self.e_tag.clone(),
        })
    }
}

/// The delivered file that a stored one was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The object's key, relative to the root of the export's location.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The ETag of the bytes that were read.
    pub e_tag: String,
}

/// What form the files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As AWS delivered them, in the export's bucket.
    Delivered,
    /// As Parquet that Farthing made of them, in the state store.
    Stored,
    /// Rewritten by Farthing in the order that questions look for rows in, with columns of `costs` and of map keys beside the
    /// delivered ones, in the state store.
    Clustered,
}

impl Form {
    /// The word for it in `system.snapshots`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Stored => "stored",
            Self::Clustered => "clustered",
        }
    }
}

/// A column of the snapshot, normalised to one of the engine's types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotColumn {
    /// The name as delivered.
    pub name: String,
    /// Its type.
    pub r#type: ColumnType,
}

/// Digits after the point of [`ColumnType::Decimal`]. AWS prints up to eleven; the rest is room, with twenty digits before
/// the point.
pub const EXACT_SCALE: i8 = 18;

/// The types that billing columns have after normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// IEEE 754 double.
    Double,
    /// The decimal that a text said, [`EXACT_SCALE`] digits after the point: amounts and quantities of CSV deliveries.
    Decimal,
    /// An amount that Farthing made exact: [`crate::money`]. Never delivered.
    Money,
    /// 64-bit integer.
    Integer,
    /// True or false.
    Boolean,
    /// UTC instant in milliseconds, shown without zone.
    Timestamp,
    /// Map of text to text.
    TextMap,
    /// Map of text to double.
    DoubleMap,
}

impl ColumnType {
    /// The word for it in `system.export_columns`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::Money => "money",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::TextMap => "map of text",
            Self::DoubleMap => "map of doubles",
        }
    }

    /// The type that holds the values of both, if there is one: an integer is a double, and a map to doubles one to text, since
    /// AWS declares the map `discount` both ways (reference, section 2.8). Of a format that changed from CSV to Parquet, or
    /// back, both can be what Parquet delivers.
    pub fn widen(self, other: Self) -> Option<Self> {
        match (self, other) {
            _ if self == other => Some(self),
            (Self::Integer, Self::Double) | (Self::Double, Self::Integer) => Some(Self::Double),
            (Self::Decimal, Self::Double) | (Self::Double, Self::Decimal) => Some(Self::Double),
            (Self::DoubleMap, Self::TextMap) | (Self::TextMap, Self::DoubleMap) => Some(Self::TextMap),
            _ => None,
        }
    }
}

/// One delivery of one period, validated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its id.
    pub id: SnapshotId,
    /// The export.
    pub export: ExportId,
    /// The month.
    pub period: BillingPeriod,
    /// The form of the files.
    pub form: Form,
    /// The manifest's key.
    pub manifest_key: String,
    /// The manifest's ETag: an equal one means an equal delivery.
    pub manifest_e_tag: String,
    /// When AWS wrote the manifest.
    pub delivered_at: DateTime<Utc>,
    /// AWS's id of the run.
    pub execution_id: Option<String>,
    /// The columns of the files, the union over the files in delivery order.
    pub columns: Vec<SnapshotColumn>,
    /// Whether any row has a net cost other than zero. Without one, net equals gross: in CUR 2.0 the net columns are
    /// always there, and without a discount agreement they say nothing (reference, section 5.3).
    pub has_net_costs: bool,
    /// Whether its files were found by listing, as the export has no manifests: nothing proves that they are one whole
    /// delivery.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// The latest `line_item_usage_end_date`, capped at nothing: how far the data reaches.
    pub data_through: Option<DateTime<Utc>>,
    /// The files.
    pub files: Vec<PinnedFile>,
    /// What is more in the files of a clustered snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustered: Option<Clustered>,
}

impl Snapshot {
    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The keys of the files as AWS delivered them.
    pub fn delivered_keys(&self) -> impl Iterator<Item = &str> {
        self.delivered_files().map(|(key, _)| key)
    }

    /// The keys and ETags of the files as AWS delivered them.
    pub fn delivered_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let (rewritten, files): (&[SourceFile], &[PinnedFile]) = match &self.clustered {
            Some(clustered) => (&clustered.delivered, &[]),
            None => (&[], &self.files),
        };
        let files = files.iter().map(|file| {
            let source = file.source.as_ref();
            source.map_or((file.key.as_str(), file.e_tag.as_str()), |source| {
                (source.key.as_str(), source.e_tag.as_str())
            })
        });
        let rewritten = rewritten.iter().map(|file| (file.key.as_str(), file.e_tag.as_str()));
        rewritten.chain(files)
    }

    /// The files as AWS delivered them.
    pub fn sources(&self) -> Vec<SourceFile> {
        match &self.clustered {
            Some(clustered) => clustered.delivered.clone(),
            None => self.files.iter().map(PinnedFile::delivered).collect(),
        }
    }

    /// Totals by owner over all files, in order of owner.
    pub fn owner_totals(&self) -> Vec<OwnerTotals> {
        let mut totals: BTreeMap<RowOwner, OwnerTotals> = BTreeMap::new();
        for owner in self.files.iter().flat_map(|file| &file.owners) {
            match totals.get_mut(&owner.owner) {
                None => {
                    totals.insert(owner.owner, owner.clone());
                }
                Some(total) => {
                    total.rows += owner.rows;
                    for (currency, amount) in &owner.unblended {
                        *total.unblended.entry(currency.clone()).or_insert(Amount::ZERO) += *amount;
                    }
                    if owner.account_name.is_some() {
                        total.account_name.clone_from(&owner.account_name);
                    }
                }
            }
        }
        totals.into_values().collect()
    }
}
