//! What the files of a table hold beside the delivered columns: what `costs` and map look-ups read instead of computing it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};

use crate::costs::mapping::{self, COLUMNS};
use crate::snapshot::Snapshot;
use crate::snapshot::clustered::{Clustered, key_column};

/// Where the value of a map's key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// In this column of the files.
    Column(String),
    /// In no row.
    Nowhere,
}

/// What all snapshots of a table have. Nothing, unless every one of them is clustered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    snapshots: Vec<Arc<Snapshot>>,
    costs: BTreeMap<&'static str, String>,
    never_blank: BTreeSet<String>,
}

impl Stored {
    /// What these snapshots have in common.
    pub fn of(snapshots: &[Arc<Snapshot>]) -> Self {
        let rewritten: Option<Vec<(&Snapshot, &Clustered)>> = snapshots
            .iter()
            .map(|snapshot| Some((snapshot.as_ref(), snapshot.clustered.as_ref()?)))
            .collect();
        let Some(rewritten) = rewritten.filter(|rewritten| !rewritten.is_empty()) else {
            return Self::default();
        };
        // Months are mostly alike, and this is asked for every statement.
        let alike = rewritten.windows(2).all(|pair| pair[0].1.costs == pair[1].1.costs);
        let asked = match alike {
            true => &rewritten[..1],
            false => &rewritten[..],
        };
        let current = rewritten
            .iter()
            .all(|(_, clustered)| clustered.mapping == mapping::VERSION);
        let of_costs = COLUMNS
            .iter()
            .filter(|_| current)
            .filter_map(|column| Some((column.name, costs_place(asked, column.name)?)));
        Self {
            snapshots: snapshots.to_vec(),
            costs: of_costs.collect(),
            never_blank: never_blank(&rewritten),
        }
    }

    /// The column of the files that has a column of `costs`.
    pub fn costs_column(&self, column: &str) -> Option<&str> {
        self.costs.get(column).map(String::as_str)
    }

    /// The column of `costs` that a column of the files has.
    pub fn costs_column_of(&self, stored: &str) -> Option<&'static str> {
        let mut known = self.costs.iter();
        known.find(|(_, place)| *place == stored).map(|(column, _)| *column)
    }

    /// Whether a delivered column of text has no blank text in any row; NULL it may have.
    pub fn is_never_blank(&self, column: &str) -> bool {
        self.never_blank.contains(column)
    }

    /// The fields of the columns that `costs` reads.
    pub fn costs_fields(&self) -> Vec<Field> {
        let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
        for (column, stored) in &self.costs {
            if let Some(r#type) = mapping::type_of(column) {
                fields.insert(stored, Field::new(stored, r#type, true));
            }
        }
        fields.into_values().collect()
    }

    /// Where the values of a key are; `None` where that is not known of every snapshot, so that the map has to be read.
    pub fn key(&self, map: &str, key: &str) -> Option<KeyPlace> {
        let mut place = KeyPlace::Nowhere;
        if self.snapshots.is_empty() {
            return None;
        }
        for snapshot in &self.snapshots {
            if !snapshot.columns.iter().any(|column| column.name == map) {
                // The map itself is NULL there.
                continue;
            }
            let keys = snapshot.clustered.as_ref()?.maps.get(map)?;
            if keys.stored.contains(key) {
                place = KeyPlace::Column(key_column(map, key));
            } else if keys.all.as_ref()?.contains(key) {
                return None;
            }
        }
        Some(place)
    }

    /// Whether anything is known of keys.
    pub fn has_keys(&self) -> bool {
        !self.snapshots.is_empty()
    }

    /// Every key that occurs in a map; `None` where that is not known of every snapshot.
    pub fn keys(&self, map: &str) -> Option<BTreeSet<&str>> {
        if self.snapshots.is_empty() {
            return None;
        }
        let mut keys = BTreeSet::new();
        for snapshot in &self.snapshots {
            if snapshot.columns.iter().any(|column| column.name == map) {
                let known = snapshot.clustered.as_ref()?.maps.get(map)?;
                keys.extend(known.all.as_ref()?.iter().map(String::as_str));
            }
        }
        Some(keys)
    }

    /// The field of a column of keys.
    pub fn key_field(name: &str) -> Field {
        Field::new(name, DataType::Utf8View, true)
    }
}

/// The column that all snapshots have a column of `costs` in. One that lacks it reads as NULL, so it may lack it where
/// all its values are NULL.
fn costs_place(rewritten: &[(&Snapshot, &Clustered)], column: &str) -> Option<String> {
    let mut place: Option<&String> = None;
    for (_, clustered) in rewritten {
        match clustered.costs.get(column) {
            Some(stored) if place.is_none_or(|known| known == stored) => place = Some(stored),
            Some(_) => return None,
            None if clustered.absent.contains(column) => {}
            None => return None,
        }
    }
    place.cloned()
}

fn never_blank(rewritten: &[(&Snapshot, &Clustered)]) -> BTreeSet<String> {
    let Some(((_, first), others)) = rewritten.split_first() else {
        return BTreeSet::new();
    };
    let never = first.never_blank.iter().filter(|name| {
        others.iter().all(|(snapshot, clustered)| {
            // A column that a month lacks is NULL there.
            clustered.never_blank.contains(*name) || !snapshot.columns.iter().any(|column| column.name == **name)
        })
    });
    never.cloned().collect()
}
