//! The sample export in a folder, made once and kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use farthing_sandbox::sample::{ControlTotals, SampleSpec, Silent, YearMonth, deliver};
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};

use crate::peer::Source;
use crate::{Failure, Outcome};

/// The name of the export.
pub const EXPORT: &str = "dashboard";
/// Linked accounts, the last ones, that are not connected unless all are asked for.
const LEFT_OUT: usize = 3;
/// The last month. Fixed, so that figures of different days can be compared.
const END: (i32, u32) = (2026, 8);
const SEED: u64 = 2026;
/// Written last: a folder without it is not whole.
const MARK: &str = "sample.json";

/// A sample export that lies in a folder.
pub struct Sample {
    spec: SampleSpec,
    folder: PathBuf,
    made: Made,
    left_out: usize,
}

/// What is known of a sample once it is made.
#[derive(Serialize, Deserialize)]
struct Made {
    rows: u64,
    months: u32,
    totals: ControlTotals,
}

impl Sample {
    /// The sample of about `rows` rows over `months` months below `folder`, made now if it is not there yet.
    pub async fn prepare(folder: &Path, rows: u64, months: u32) -> Outcome<Self> {
        let end = YearMonth::new(END.0, END.1)?;
        let folder = std::path::absolute(folder)?.join(format!("{rows}-rows-{months}-months"));
        let spec = SampleSpec::new(SEED, rows, months, end, "farthing-sample", "", EXPORT);
        let mark = folder.join(MARK);
        if mark.exists() {
            let made: Made = serde_json::from_slice(&std::fs::read(&mark)?).map_err(|error| {
                Failure::from(format!("{} cannot be read: {error}; delete the folder", mark.display()))
            })?;
            return Ok(Self::of(spec, folder, made));
        }
        std::fs::create_dir_all(&folder)?;
        let store = LocalFileSystem::new_with_prefix(&folder)?;
        let totals = deliver(&spec, Arc::new(store), &Silent).await?;
        let made = Made { rows, months, totals };
        std::fs::write(&mark, serde_json::to_vec(&made)?)?;
        Ok(Self::of(spec, folder, made))
    }

    fn of(spec: SampleSpec, folder: PathBuf, made: Made) -> Self {
        Self {
            spec,
            folder,
            made,
            left_out: LEFT_OUT,
        }
    }

    /// The same with every linked account connected.
    pub fn with_all_accounts(mut self) -> Self {
        self.left_out = 0;
        self
    }

    /// What peers are opened over: the files, with the rows of the connected accounts; of all, without a condition.
    pub fn source(&self) -> Source {
        Source {
            files: self.files_glob(),
            accounts: (self.left_out > 0).then(|| self.connected()),
        }
    }

    /// The folder that stands for the bucket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it was generated from.
    pub fn spec(&self) -> &SampleSpec {
        &self.spec
    }

    /// `file:///folder/export`, as `connect_aws_root` takes it.
    pub fn location(&self) -> String {
        format!("file://{}", self.folder.join(EXPORT).display())
    }

    /// Every data file, as DuckDB's `read_parquet` takes it.
    pub fn files_glob(&self) -> String {
        let files = self.folder.join(EXPORT).join("data/BILLING_PERIOD=*/*.parquet");
        files.display().to_string()
    }

    /// Number of data files and their bytes.
    pub fn size(&self) -> Outcome<(u64, u64)> {
        files_below(&self.folder.join(EXPORT).join("data"))
    }

    /// Number of data files and their bytes in the last month.
    pub fn last_month_size(&self) -> Outcome<(u64, u64)> {
        let month = format!("BILLING_PERIOD={}", self.spec.end);
        files_below(&self.folder.join(EXPORT).join("data").join(month))
    }

    /// Number of rows, those of unconnected accounts included.
    pub fn rows(&self) -> u64 {
        self.made.totals.grand.rows
    }

    /// Number of rows of connected accounts.
    pub fn connected_rows(&self) -> u64 {
        let connected = self.connected();
        self.made.totals.of_accounts(connected.iter().map(String::as_str)).rows
    }

    /// Ids of the linked accounts that are connected.
    pub fn connected_linked(&self) -> Vec<String> {
        let linked = self.spec.organisation().linked;
        let count = linked.len().saturating_sub(self.left_out);
        linked.into_iter().take(count).map(|account| account.id).collect()
    }

    /// Ids of all connected accounts, the payer first.
    pub fn connected(&self) -> Vec<String> {
        std::iter::once(self.spec.payer.clone())
            .chain(self.connected_linked())
            .collect()
    }

    /// Number of accounts, connected or not.
    pub fn accounts(&self) -> usize {
        self.spec.organisation().accounts().count()
    }

    /// Number of months.
    pub fn months(&self) -> u32 {
        self.spec.months
    }

    /// The last month.
    pub fn last_month(&self) -> YearMonth {
        self.spec.end
    }
}

/// Number of files below a folder and their bytes.
pub fn files_below(folder: &Path) -> Outcome<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (more, size) = match entry.file_type()?.is_dir() {
            true => files_below(&entry.path())?,
            false => (1, entry.metadata()?.len()),
        };
        files += more;
        bytes += size;
    }
    Ok((files, bytes))
}
