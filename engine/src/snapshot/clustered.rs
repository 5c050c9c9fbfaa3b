//! What the files of a clustered snapshot hold beside the delivered columns, and what is known of those.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::SourceFile;
use crate::id::SnapshotId;

/// What columns of files are called that no export delivered begins so. A delivered column of such a name is not read.
pub const OWN_COLUMN: &str = "farthing:";

/// The column of a file that has what `costs` has as `column`.
pub fn costs_column(column: &str) -> String {
    format!("{OWN_COLUMN}costs.{column}")
}

/// The column of a file that has the values of one key of a map.
pub fn key_column(map: &str, key: &str) -> String {
    format!("{OWN_COLUMN}{map}['{key}']")
}

/// The keys of a map in all rows of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapKeys {
    /// Those whose values are a column of their own.
    pub stored: BTreeSet<String>,
    /// Every key that occurs; `None` where there are too many to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<BTreeSet<String>>,
}

/// Of a snapshot whose rows were rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clustered {
    /// The snapshot that has the same rows as they were delivered.
    pub base: SnapshotId,
    /// The files that AWS delivered.
    pub delivered: Vec<SourceFile>,
    /// The version of the mapping of `costs` by which its columns were computed. Those of another version are not read.
    pub mapping: u32,
    /// Columns of `costs` that are stored, and the columns of the files that have them: equal ones share one.
    pub costs: BTreeMap<String, String>,
    /// Columns of `costs` that are NULL in every row, since the snapshot lacks what they come from.
    pub absent: BTreeSet<String>,
    /// Delivered columns of text in which no row has blank text.
    pub never_blank: BTreeSet<String>,
    /// The keys of delivered maps of text in which no row has a key twice.
    pub maps: BTreeMap<String, MapKeys>,
}
