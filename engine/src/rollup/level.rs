//! The sums of one level while they grow.

use std::collections::HashMap;

use arrow::array::{Array, Decimal128Array};
use datafusion::common::hash_utils::RandomState;

/// What a group of rows has in common: the number of its dimensions' values, when it begins, and the number of its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub tuple: u32,
    /// In milliseconds, cut to the grain.
    pub start: Option<i64>,
    pub resource: u32,
}

/// The sums of a level.
pub(super) struct Sums {
    places: HashMap<Key, u32, RandomState>,
    pub keys: Vec<Key>,
    pub rows: Vec<i64>,
    pub columns: Vec<Column>,
}

/// The sums of one column by group. What is the same everywhere takes no memory.
#[derive(Default)]
pub(super) struct Column {
    /// Absent while all values are 0 or NULL.
    sums: Option<Vec<i128>>,
    /// Which groups have a value; absent while all rows have one, or none has.
    present: Option<Vec<bool>>,
    /// Rows with NULL and with a value so far.
    pub nulls: u64,
    values: u64,
    /// Groups when rows were added last.
    known: usize,
}

impl Sums {
    pub fn new(columns: usize) -> Self {
        Self {
            places: HashMap::default(),
            keys: Vec::new(),
            rows: Vec::new(),
            columns: (0..columns).map(|_| Column::default()).collect(),
        }
    }

    /// The group of a key.
    pub fn place(&mut self, key: Key) -> u32 {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        self.keys.push(key);
        self.rows.push(0);
        self.places.insert(key, place);
        place
    }

    /// Adds rows to their groups.
    pub fn add(&mut self, places: &[u32], columns: &[Decimal128Array]) {
        for place in places {
            self.rows[*place as usize] += 1;
        }
        let groups = self.keys.len();
        for (column, values) in self.columns.iter_mut().zip(columns) {
            column.add(groups, places, values);
        }
    }

    /// Adds all groups of a finer level, each to the group that `coarser` says.
    pub fn add_level(&mut self, finer: &Sums, mut coarser: impl FnMut(&Key) -> Key) {
        let places: Vec<u32> = finer.keys.iter().map(|key| self.place(coarser(key))).collect();
        for (place, rows) in places.iter().zip(&finer.rows) {
            self.rows[*place as usize] += rows;
        }
        let groups = self.keys.len();
        for (column, other) in self.columns.iter_mut().zip(&finer.columns) {
            column.add_column(groups, &places, other);
        }
    }
}

impl Column {
    /// The sum of a group; `None` where all values are NULL.
    pub fn get(&self, group: usize) -> Option<i128> {
        let present = match &self.present {
            Some(present) => present.get(group).copied().unwrap_or(false),
            None => self.values > 0,
        };
        let sum = || self.sums.as_ref().and_then(|sums| sums.get(group)).copied();
        present.then(|| sum().unwrap_or(0))
    }

    /// Makes room for `groups` before rows are added of which some have NULL, or a value.
    fn grow(&mut self, groups: usize, nulls: bool, values: bool) {
        let mixed = (self.nulls > 0 || nulls) && (self.values > 0 || values);
        if mixed && self.present.is_none() {
            // The groups so far have rows, and they were all of one sort.
            self.present = Some(vec![self.values > 0; self.known]);
        }
        if let Some(present) = &mut self.present {
            present.resize(groups, false);
        }
        self.known = groups;
    }

    fn add(&mut self, groups: usize, places: &[u32], values: &Decimal128Array) {
        let nulls = values.null_count();
        self.grow(groups, nulls > 0, nulls < values.len());
        self.nulls += nulls as u64;
        self.values += (values.len() - nulls) as u64;
        if let Some(present) = &mut self.present {
            for (row, place) in places.iter().enumerate() {
                present[*place as usize] |= values.is_valid(row);
            }
        }
        if self.sums.is_none() && values.iter().flatten().all(|value| value == 0) {
            return;
        }
        let sums = self.sums.get_or_insert_with(Vec::new);
        sums.resize(groups, 0);
        if nulls == 0 {
            for (place, value) in places.iter().zip(values.values()) {
                sums[*place as usize] += value;
            }
        } else {
            for (place, value) in places.iter().zip(values) {
                sums[*place as usize] += value.unwrap_or(0);
            }
        }
    }

    fn add_column(&mut self, groups: usize, places: &[u32], other: &Column) {
        let (nulls, values) = (other.nulls > 0, other.values > 0);
        self.grow(groups, nulls, values);
        self.nulls += other.nulls;
        self.values += other.values;
        if let Some(present) = &mut self.present {
            for (group, place) in places.iter().enumerate() {
                present[*place as usize] |= other.get(group).is_some();
            }
        }
        if let Some(added) = &other.sums {
            let sums = self.sums.get_or_insert_with(Vec::new);
            sums.resize(groups, 0);
            for (place, value) in places.iter().zip(added) {
                sums[*place as usize] += value;
            }
        }
    }
}
