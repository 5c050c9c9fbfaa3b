//! What a demo remembers between two starts: the size of the sample, the sandbox's keys, the password.
//!
//! The keys open nothing but the sandbox on this machine; the file is the owner's alone all the same.

use std::path::PathBuf;

use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sandbox::sample::{ControlTotals, SampleSpec, YearMonth};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::private_file;

/// Months of the sample unless asked otherwise: a year, and the present month.
const MONTHS: u32 = 13;
/// Rows of the sample unless asked otherwise.
const ROWS: u64 = 1_000_000;
/// Everything random in the sample follows from it, so that all demos of one size and month are equal.
const SEED: u64 = 20_240;

/// The bucket of the payer.
pub const BUCKET: &str = "example-corp-billing";
/// The prefix of the export.
pub const PREFIX: &str = "exports";
/// The export's name in the sandbox, and of its table.
pub const EXPORT: &str = "cur2";

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rows, if given.
    pub rows: Option<u64>,
    /// Months, if given.
    pub months: Option<u32>,
    /// The last month, if given.
    pub end: Option<YearMonth>,
}

impl Size {
    /// The sample of this size; `present` is the month to end with if none was given.
    pub fn spec(&self, present: YearMonth) -> SampleSpec {
        let (rows, months) = (self.rows.unwrap_or(ROWS), self.months.unwrap_or(MONTHS));
        SampleSpec::new(SEED, rows, months, self.end.unwrap_or(present), BUCKET, PREFIX, EXPORT)
    }
}

/// One account of the sandbox and the key of its user.
#[derive(Clone, Serialize, Deserialize)]
pub struct DemoAccount {
    /// Twelve digits.
    pub id: String,
    /// The account's name.
    pub name: String,
    /// The user's access key id.
    pub access_key_id: String,
    /// The user's secret access key.
    pub secret_access_key: String,
}

/// The document.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    /// Rows that were asked for.
    pub rows: u64,
    /// Months of the sample.
    pub months: u32,
    /// Its last month.
    pub end: YearMonth,
    /// The login.
    pub user: String,
    password: String,
    /// The payer.
    pub payer: DemoAccount,
    /// The linked accounts.
    pub linked: Vec<DemoAccount>,
    /// What the sample adds up to.
    pub totals: ControlTotals,
    /// Whether the accounts were connected; from then on their connections are the user's affair.
    pub connected: bool,
}

impl Record {
    /// The record of a sample that was just delivered.
    pub fn new(
        spec: &SampleSpec,
        payer: DemoAccount,
        linked: Vec<DemoAccount>,
        totals: ControlTotals,
        password: &SecretString,
    ) -> Self {
        Self {
            rows: spec.rows,
            months: spec.months,
            end: spec.end,
            user: "demo".to_owned(),
            password: password.open().to_owned(),
            payer,
            linked,
            totals,
            connected: false,
        }
    }

    /// The login's password.
    pub fn password(&self) -> SecretString {
        SecretString::new(&*self.password)
    }

    /// The payer and the linked accounts.
    pub fn accounts(&self) -> impl Iterator<Item = &DemoAccount> {
        std::iter::once(&self.payer).chain(&self.linked)
    }

    /// The record in the data directory, if a demo was there before.
    pub fn read(config: &Config) -> Result<Option<Self>> {
        let path = path(config);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(private_file::refused("read", &path, &error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|_| {
            Error::new(
                ErrorKind::State,
                format!("{} is damaged, or of another version", path.display()),
            )
            .with_hint("Remove the data directory, or choose another one with --data-dir.")
        })
    }

    /// Writes the record, and the control totals beside it.
    pub fn write(&self, config: &Config) -> Result<()> {
        let failed = |error: serde_json::Error| Error::defect("the demo's record cannot be written").with_source(error);
        let totals = serde_json::to_vec_pretty(&self.totals).map_err(failed)?;
        private_file::replace(&totals_path(config), &totals)?;
        private_file::replace(&path(config), &serde_json::to_vec_pretty(self).map_err(failed)?)
    }

    /// A sample is not made again at another size under the connections that lie over it.
    pub fn check_size(&self, size: &Size) -> Result<()> {
        let same = size.rows.is_none_or(|rows| rows == self.rows)
            && size.months.is_none_or(|months| months == self.months)
            && size.end.is_none_or(|end| end == self.end);
        if same {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::BadValue,
            format!(
                "the data directory holds a demo of another size: {} rows, {} months to {}",
                self.rows, self.months, self.end
            ),
        )
        .with_hint("Leave --rows, --months and --end out, or choose another --data-dir."))
    }
}

fn path(config: &Config) -> PathBuf {
    config.data_dir.join("demo.json")
}

/// Where the control totals lie.
pub fn totals_path(config: &Config) -> PathBuf {
    config.data_dir.join("demo-totals.json")
}
