//! The sample export in a folder, made once and kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use farthing_sandbox::sample::{ControlTotals, SampleSpec, Silent, YearMonth, deliver};
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};

use crate::{Failure, Outcome};

/// The name of the export.
pub const EXPORT: &str = "dashboard";
/// Linked accounts, the last ones, that are not connected.
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
            return Ok(Self { spec, folder, made });
        }
        std::fs::create_dir_all(&folder)?;
        let store = LocalFileSystem::new_with_prefix(&folder)?;
        let totals = deliver(&spec, Arc::new(store), &Silent).await?;
        let made = Made { rows, months, totals };
        std::fs::write(&mark, serde_json::to_vec(&made)?)?;
        Ok(Self { spec, folder, made })
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
        let (mut files, mut bytes) = (0, 0);
        for month in std::fs::read_dir(self.folder.join(EXPORT).join("data"))? {
            for file in std::fs::read_dir(month?.path())? {
                files += 1;
                bytes += file?.metadata()?.len();
            }
        }
        Ok((files, bytes))
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
        let count = linked.len().saturating_sub(LEFT_OUT);
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
