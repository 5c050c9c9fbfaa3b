//! The sample organisation: a believable AWS organisation and its export, generated from a seed: CUR 2.0, or the same costs as
//! a legacy report or as FOCUS.
//!
//! [`SampleSpec`] says how large it is and how it is delivered; [`deliver`] writes it month by month into an object
//! store that is rooted at the bucket, data files first and manifest last; [`deliver_restated`] delivers one month again
//! with late credits and corrected usage. Both answer with [`ControlTotals`], counted in integers from the same numbers
//! that become the files' doubles.
//!
//! How it works. A model of resources with births and deaths is built once, in memory that grows with the number of
//! resources and not with the number of rows. It is cut into blocks (one kind of resource in one account and
//! region); a month's rows are its blocks in shuffled order, dealt into files. Every number of a row is a function of the
//! seed and the row's place, so files are generated in parallel and come out the same for any number of threads. Rows
//! leave in batches of some thousands into Parquet row groups, and these leave in parts of eight mebibytes to the store:
//! a file holds at most one unfinished row group and four parts in memory.
//!
//! Amounts of money are whole numbers of 1e-10 dollars below 1e15. A double holds such an amount so that its shortest
//! decimal form is the amount again, and sums can be checked to the last digit.

mod blocks;
mod calendar;
mod catalogue;
mod charges;
mod classes;
mod columns;
mod commitments;
mod delivery;
mod emit;
mod file;
mod focus;
mod labels;
mod model;
mod organisation;
mod parquet_file;
mod random;
mod rows;
mod shape;
mod totals;
mod upload;

#[cfg(test)]
mod tests;

pub use calendar::YearMonth;
pub use columns::{COLUMNS, Column, ColumnKind};
pub use delivery::{deliver, deliver_restated};
pub use focus::FOCUS_COLUMNS;
pub use organisation::{Account, Organisation};
pub use totals::{ControlTotals, CostSums, ExactAmount};

/// Length of the time that a usage row covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// One hour.
    Hourly,
    /// One day.
    Daily,
}

/// Physical type of the timestamp columns in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampEncoding {
    /// INT64, milliseconds, adjusted to UTC.
    Int64Millis,
    /// INT96, as seen in real deliveries.
    Int96,
}

/// What a new delivery of a month does to the former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Files are replaced in place.
    Overwrite,
    /// Every delivery has a folder of its own, and a manifest of its own beside the latest one.
    CreateNew,
}

/// As what kind of export the costs are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// AWS Data Exports, CUR 2.0.
    Cur2,
    /// The legacy Cost and Usage Report in Parquet, with Athena's column names and folders.
    LegacyParquet,
    /// AWS Data Exports, FOCUS 1.2 with AWS columns: fewer rows, and the same sums of net and net amortised cost by account,
    /// month and service.
    Focus,
}

/// Which delivery of a month is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The first one.
    First,
    /// A later one, with late credits and corrected usage.
    Restated,
}

/// The size, the seed and the place of a sample export. Fields may be changed after [`SampleSpec::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSpec {
    /// Everything random depends on it.
    pub seed: u64,
    /// Twelve-digit id of the management account, which pays.
    pub payer: String,
    /// Number of linked accounts, 1 to 5000.
    pub linked_accounts: u32,
    /// Number of months, 1 to 120.
    pub months: u32,
    /// Last month, inclusive. It is open: its rows have no invoice yet.
    pub end: YearMonth,
    /// Hours or days.
    pub granularity: Granularity,
    /// Rows over all months, approximately: it sets the number of resources. As every kind of resource occurs, an export has
    /// at least about a hundred rows for each hour or day and a hundred for each month, whatever is asked for.
    pub rows: u64,
    /// Rows of a file, approximately. AWS splits at about a million.
    pub rows_per_file: u64,
    /// Physical type of timestamps.
    pub timestamps: TimestampEncoding,
    /// Kind of export.
    pub form: ExportForm,
    /// Overwrite or create new.
    pub overwrite: DeliveryMode,
    /// Bucket name, for the manifest's URIs.
    pub bucket: String,
    /// Prefix of all keys, without a slash at either end; may be empty.
    pub prefix: String,
    /// Name of the export.
    pub export_name: String,
    /// Number of files generated at a time.
    pub threads: usize,
}

/// Most rows for an hour or day. Resources are kept in memory, some hundred bytes each, and fees of a plan grow with them.
const MOST_ROWS_AT_A_TIME: u64 = 3_000_000;

impl SampleSpec {
    /// A daily export of `rows` rows over `months` months up to `end`, for one payer and twelve linked accounts, in
    /// overwrite mode with int64 timestamps, generated by as many threads as the machine has cores.
    pub fn new(
        seed: u64,
        rows: u64,
        months: u32,
        end: YearMonth,
        bucket: &str,
        prefix: &str,
        export_name: &str,
    ) -> Self {
        Self {
            seed,
            payer: "111122223333".to_owned(),
            linked_accounts: 12,
            months,
            end,
            granularity: Granularity::Daily,
            rows,
            rows_per_file: 1_000_000,
            timestamps: TimestampEncoding::Int64Millis,
            form: ExportForm::Cur2,
            overwrite: DeliveryMode::Overwrite,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            export_name: export_name.to_owned(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }

    /// The same with another length of rows.
    pub fn with_granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// The same with another physical type of timestamps.
    pub fn with_timestamps(mut self, timestamps: TimestampEncoding) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// The same in another delivery mode.
    pub fn with_mode(mut self, mode: DeliveryMode) -> Self {
        self.overwrite = mode;
        self
    }

    /// The same costs as another kind of export.
    pub fn with_form(mut self, form: ExportForm) -> Self {
        self.form = form;
        self
    }

    /// The same with another number of rows per file.
    pub fn with_rows_per_file(mut self, rows: u64) -> Self {
        self.rows_per_file = rows;
        self
    }

    /// The same with another number of linked accounts.
    pub fn with_linked_accounts(mut self, accounts: u32) -> Self {
        self.linked_accounts = accounts;
        self
    }

    /// The same with another number of threads.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The payer and the linked accounts.
    pub fn organisation(&self) -> Organisation {
        Organisation::new(self)
    }

    /// Names the first field whose value cannot be used.
    pub fn check(&self) -> Result<(), SampleError> {
        let twelve_digits = self.payer.len() == 12 && self.payer.bytes().all(|b| b.is_ascii_digit());
        let plain =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let whole_prefix = self.prefix.is_empty() || self.prefix.split('/').all(|part| !part.is_empty());
        let units = u64::from(self.months)
            * if self.granularity == Granularity::Hourly {
                672
            } else {
                28
            };
        let problem = if !twelve_digits {
            format!("payer '{}' is no account id: give twelve digits", self.payer)
        } else if !(1..=5000).contains(&self.linked_accounts) {
            format!("{} linked accounts: give 1 to 5000", self.linked_accounts)
        } else if !(1..=120).contains(&self.months) {
            format!("{} months: give 1 to 120", self.months)
        } else if self.rows == 0 {
            "0 rows: give at least 1".to_owned()
        } else if self.rows / units > MOST_ROWS_AT_A_TIME {
            format!(
                "{} rows: with so few months, give {} at most",
                self.rows,
                units * MOST_ROWS_AT_A_TIME
            )
        } else if !(1000..=100_000_000).contains(&self.rows_per_file) {
            format!("{} rows per file: give 1000 to 100,000,000", self.rows_per_file)
        } else if self.threads == 0 {
            "0 threads: give at least 1".to_owned()
        } else if !plain(&self.bucket) {
            format!("bucket '{}': give a bucket name", self.bucket)
        } else if !plain(&self.export_name) {
            format!(
                "export name '{}': give letters, digits, '-', '_' or '.'",
                self.export_name
            )
        } else if self.form == ExportForm::LegacyParquet
            && (self.overwrite == DeliveryMode::CreateNew || self.prefix.is_empty())
        {
            // AWS offers Parquet with the Athena integration alone, which overwrites and needs a prefix.
            "a legacy report in Parquet: give a prefix and overwrite mode".to_owned()
        } else if !whole_prefix {
            format!(
                "prefix '{}': leave out the slash at its start or end, and empty parts",
                self.prefix
            )
        } else {
            return Ok(());
        };
        Err(SampleError::Spec(problem))
    }
}

/// Hears how a delivery goes on. Called from the task that awaits the delivery.
pub trait Progress: Sync {
    /// The work is planned: about so many rows, in exactly so many files.
    fn planned(&self, _rows: u64, _files: u64) {}
    /// So many more rows are generated.
    fn advanced(&self, _rows: u64) {}
    /// An object is written, data file or manifest.
    fn written(&self, _key: &str) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {}

/// Why a sample could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A field of the specification cannot be used.
    #[error("the sample cannot be generated: {0}")]
    Spec(String),
    /// The object store refused.
    #[error(
        "the sample's object {key} could not be written: {source}; look at the store's access and free space, then deliver again"
    )]
    Store {
        /// Key of the object.
        key: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// A file could not be encoded.
    #[error("the sample's file {key} could not be encoded: {reason}")]
    Encode {
        /// Key of the object.
        key: String,
        /// What the encoder said.
        reason: String,
    },
}
