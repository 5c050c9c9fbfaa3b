//! What was made of a snapshot for speed: the same rows summed, and the same rows in another order, in files of Farthing's own.
//!
//! Nothing here is needed for an answer, and nothing changes one. The document belongs to one snapshot and is named beside
//! it in the catalog; a snapshot that replaces that one starts without.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ColumnType, PinnedFile, Snapshot};
use crate::id::{BillingPeriod, ExportId, SnapshotId};

/// The version of the document's form and of what is in the files: a document of another version is made anew.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that was made of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Its id; the names of its files begin with it.
    pub id: SnapshotId,
    /// The export.
    pub export: ExportId,
    /// The month.
    pub period: BillingPeriod,
    /// The snapshot that it was made of.
    pub of: SnapshotId,
    /// The rollups, by level.
    pub rollups: Vec<Rollup>,
    /// The same snapshot with its rows rewritten. It has the id of the snapshot, since its rows are the same.
    pub clustered: Option<Arc<Snapshot>>,
}

/// What the rows of a rollup are sums by, besides its dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Month in which the charge begins; all dimensions.
    Month,
    /// Day in which the charge begins; few dimensions.
    DayOverview,
    /// Day; all dimensions.
    Day,
    /// Month and resource id; all dimensions.
    MonthResource,
    /// Day and resource id; all dimensions.
    DayResource,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 5] = [
        Level::Month,
        Level::DayOverview,
        Level::Day,
        Level::MonthResource,
        Level::DayResource,
    ];

    /// The word for it in plans, names of files and `system.rollups`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::DayOverview => "day_overview",
            Self::Day => "day",
            Self::MonthResource => "month_resource",
            Self::DayResource => "day_resource",
        }
    }

    /// To what its instants are cut.
    pub fn grain(self) -> Grain {
        match self {
            Self::Month | Self::MonthResource => Grain::Month,
            Self::DayOverview | Self::Day | Self::DayResource => Grain::Day,
        }
    }

    /// Whether its rows have the resource id.
    pub fn has_resource(self) -> bool {
        matches!(self, Self::MonthResource | Self::DayResource)
    }
}

/// To what an instant is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// The first instant of its day (UTC).
    Day,
    /// The first instant of its month (UTC).
    Month,
}

/// The rows of a snapshot, summed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// By what.
    pub level: Level,
    /// Its columns, in the order of the file.
    pub columns: Vec<RollupColumn>,
    /// Its file, in the state store. `rows` and `owners` count rows of the rollup; amounts by owner are left out.
    pub file: PinnedFile,
}

impl Rollup {
    /// The column of this name, or the one that holds the same.
    pub fn column(&self, name: &str) -> Option<&RollupColumn> {
        let mut columns = self.columns.iter();
        columns.find(|column| column.name == name || column.also.iter().any(|also| also == name))
    }
}

/// A column of a rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupColumn {
    /// Its name: that of the delivered column, [`COSTS_PREFIX`] and the name of a column of `costs`, [`EXACT_PREFIX`] and the
    /// name of a delivered column of numbers, or [`ROWS`].
    pub name: String,
    /// Other names of what it holds, of the same forms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Its type.
    pub r#type: ColumnType,
    /// What it is good for.
    pub role: Role,
}

/// What a column of a rollup is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Equal in all rows that a row sums.
    Dimension,
    /// A map, equal in all rows that a row sums but for the entries with these keys, which are left out.
    Map {
        /// The keys.
        without: BTreeSet<String>,
        /// The keys of all other entries, each of which has a column of its own (`snapshot::clustered::key_column`); `None`
        /// where there are none, since they are too many or one of them is twice in a map.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<BTreeSet<String>>,
    },
    /// An instant cut to the grain of the level; `whole` where none of the month had anything to cut.
    Instant {
        /// Whether the values are those of the rows.
        whole: bool,
    },
    /// An exact sum; NULL where all values are.
    Sum {
        /// `None` where no row of the snapshot has NULL. Sums with the same number have NULL in the same rows.
        nulls: Option<u32>,
    },
    /// How many rows a row sums.
    Rows,
}

/// How the names of columns that hold columns of `costs` begin.
pub const COSTS_PREFIX: &str = "costs.";
/// How the names of columns begin that hold exact sums of a delivered column of numbers.
pub const EXACT_PREFIX: &str = "sum.";
/// The column that counts rows.
pub const ROWS: &str = "rows.";
