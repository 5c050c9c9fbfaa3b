//! Names of things as types: parsing is the only way in.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Datelike, TimeZone, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, ErrorKind, Result};

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The longest account id, in bytes. Ids of other providers are resource paths of some eighty bytes.
const MAX_ACCOUNT_BYTES: usize = 128;
/// How many different ids that are not AWS's one process takes from deliveries.
const MAX_OTHER_ACCOUNTS: usize = 200_000;

/// An account id, kept as text because leading zeros matter: twelve digits for an account of AWS; in deliveries of other
/// origin whatever text stands there, up to 128 bytes without control characters.
///
/// Parsing takes accounts of AWS alone; [`AccountId::delivered`] takes both. Ids are compared, ordered and hashed as text.
#[derive(Clone, Copy)]
pub struct AccountId(AccountText);

/// Ids of AWS lie in place. The others are few, and kept once for the life of the process, so that ids are small and `Copy`:
/// lists of them are held for each file of each snapshot.
#[derive(Clone, Copy)]
enum AccountText {
    Digits([u8; 12]),
    Other(&'static str),
}

static OTHER_ACCOUNTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

impl AccountId {
    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Twelve ASCII digits by construction.
            AccountText::Digits(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            AccountText::Other(text) => text,
        }
    }

    /// The id that a delivery or a connected folder has. Errors: `BadValue` for text that is no id: blank, with blanks at an
    /// end, with control characters, or longer than 128 bytes; `Limit` for too many ids that are not AWS's.
    pub fn delivered(text: &str) -> Result<Self> {
        Self::of_text(text, MAX_OTHER_ACCOUNTS)
    }

    /// The id that a user names: an account of AWS, or one that some delivery or connection has. Keeps no text that is neither,
    /// for it may be a secret that was given in the wrong place. Error: `BadValue`.
    pub fn known(text: &str) -> Result<Self> {
        Self::find(text).ok_or_else(|| bad_account(text))
    }

    /// The id of this text, if it is an account of AWS or was taken from a delivery before.
    pub(crate) fn find(text: &str) -> Option<Self> {
        if let Some(digits) = twelve_digits(text) {
            return Some(Self(AccountText::Digits(digits)));
        }
        let known = OTHER_ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(text).copied().map(|text| Self(AccountText::Other(text)))
    }

    /// Whether it has the form of an account id of AWS.
    pub fn is_aws(&self) -> bool {
        matches!(self.0, AccountText::Digits(_))
    }

    /// Refuses an id that is no account of AWS. Error: `BadValue`.
    pub fn check_aws(&self) -> Result<()> {
        match self.is_aws() {
            true => Ok(()),
            false => Err(bad_account(self.as_str())),
        }
    }

    /// The id as a literal of SQL, for statements that people run next.
    pub fn sql(&self) -> String {
        format!("'{}'", self.as_str().replace('\'', "''"))
    }

    fn of_text(text: &str, limit: usize) -> Result<Self> {
        if let Some(digits) = twelve_digits(text) {
            return Ok(Self(AccountText::Digits(digits)));
        }
        if text.trim() != text || text.is_empty() || text.len() > MAX_ACCOUNT_BYTES || text.contains(char::is_control) {
            return Err(
                Error::new(ErrorKind::BadValue, format!("{} is not an account id", shown(text))).with_hint(format!(
                    "An account id has twelve digits, leading zeros included; in data that is not AWS's it is any text of 1 to \
                     {MAX_ACCOUNT_BYTES} bytes without control characters and without blanks at an end."
                )),
            );
        }
        let mut known = OTHER_ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = known.get(text).copied() {
            return Ok(Self(AccountText::Other(text)));
        }
        if known.len() >= limit {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("more than {limit} different account ids are not AWS's"),
            )
            .with_hint("Disconnect exports of other origin and restart the server."));
        }
        let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
        known.insert(kept);
        Ok(Self(AccountText::Other(kept)))
    }
}

impl FromStr for AccountId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match twelve_digits(text) {
            Some(digits) => Ok(Self(AccountText::Digits(digits))),
            None => Err(bad_account(text)),
        }
    }
}

fn twelve_digits(text: &str) -> Option<[u8; 12]> {
    let bytes: [u8; 12] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(u8::is_ascii_digit).then_some(bytes)
}

/// A longer text may be a secret that was given in the wrong place.
fn shown(text: &str) -> String {
    match text.len() {
        0..=16 => format!("\"{}\"", text.replace(char::is_control, " ")),
        longer => format!("a text of {longer} bytes"),
    }
}

fn bad_account(text: &str) -> Error {
    Error::new(ErrorKind::BadValue, format!("{} is not an AWS account id", shown(text)))
        .with_hint("An account id has twelve digits, leading zeros included, for example '012345678901'.")
}

impl PartialEq for AccountId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for AccountId {}

impl PartialOrd for AccountId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AccountId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for AccountId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Documents are Farthing's own and have what deliveries had, so nothing in them is one too many.
impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::of_text(&text, usize::MAX).map_err(serde::de::Error::custom)
    }
}

/// The name of an export inside Farthing, and of its table in the schema `exports`: the AWS export name in lower case,
/// every other character than `[a-z0-9_]` replaced by `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExportId(String);

impl ExportId {
    /// The id that an export called `name` in AWS gets.
    pub fn of_export_name(name: &str) -> Result<Self> {
        let text: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .collect();
        text.parse()
    }

    /// The text, which is also the table name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExportId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        // 128 characters are what Data Exports allows for a name.
        if text.is_empty() || text.len() > 128 || !text.chars().all(allowed) {
            return Err(
                Error::new(ErrorKind::BadValue, format!("\"{text}\" is not an export id"))
                    .with_hint("Use 1 to 128 characters of a-z, 0-9 and _."),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ExportId);

/// The name of one immutable snapshot: one delivery of one period of one export.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SnapshotId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("\"{text}\" is not a snapshot id"),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(SnapshotId);

/// One UTC calendar month, written `YYYY-MM`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BillingPeriod {
    year: i32,
    month: u32,
}

impl BillingPeriod {
    /// The month that holds this instant.
    pub fn of(instant: DateTime<Utc>) -> Self {
        Self {
            year: instant.year(),
            month: instant.month(),
        }
    }

    /// The first instant, inclusive.
    pub fn start(self) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(self.year, self.month, 1, 0, 0, 0)
            .single()
            .unwrap_or_default()
    }

    /// The first instant after it.
    pub fn end(self) -> DateTime<Utc> {
        self.next().start()
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self {
                year: self.year + 1,
                month: 1,
            }
        } else {
            Self {
                year: self.year,
                month: self.month + 1,
            }
        }
    }
}

impl FromStr for BillingPeriod {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorKind::BadValue, format!("\"{text}\" is not a billing period"))
                .with_hint("A billing period is a month, written YYYY-MM, for example '2026-07'.")
        };
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        if year.len() != 4 || month.len() != 2 || !text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Err(bad());
        }
        let (year, month) = (year.parse().map_err(|_| bad())?, month.parse().map_err(|_| bad())?);
        if (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(BillingPeriod);

/// The number of a catalog document; 0 is the empty catalog that no document holds.
pub type CatalogVersion = u64;

#[cfg(test)]
mod tests;
