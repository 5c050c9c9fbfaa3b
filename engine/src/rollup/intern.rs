//! Small numbers for the distinct values of a column.

use std::collections::{BTreeSet, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, MapArray};
use arrow::datatypes::TimestampMillisecondType;
use datafusion::common::hash_utils::RandomState;

use crate::error::{Error, Result};

/// Entries of a map, in order; `None` for a value that is NULL.
pub(super) type Entries = Box<[(Box<str>, Option<Box<str>>)]>;

/// The distinct values of a dimension. Number 0 is NULL; the others count up from 1.
pub(super) enum Values {
    Text {
        numbers: HashMap<Box<str>, u32, RandomState>,
        values: Vec<Box<str>>,
    },
    Instant {
        numbers: HashMap<i64, u32, RandomState>,
        values: Vec<i64>,
    },
    Map {
        numbers: HashMap<Entries, u32, RandomState>,
        values: Vec<Entries>,
        without: BTreeSet<String>,
    },
}

impl Values {
    pub fn text() -> Self {
        Self::Text {
            numbers: HashMap::default(),
            values: Vec::new(),
        }
    }

    pub fn instant() -> Self {
        Self::Instant {
            numbers: HashMap::default(),
            values: Vec::new(),
        }
    }

    pub fn map() -> Self {
        Self::Map {
            numbers: HashMap::default(),
            values: Vec::new(),
            without: BTreeSet::new(),
        }
    }

    /// How many there are, NULL not counted.
    pub fn len(&self) -> usize {
        match self {
            Self::Text { values, .. } => values.len(),
            Self::Instant { values, .. } => values.len(),
            Self::Map { values, .. } => values.len(),
        }
    }

    /// The numbers of the values of a batch.
    pub fn numbers_of(&mut self, array: &ArrayRef, numbers_of_rows: &mut Vec<u32>) -> Result<()> {
        numbers_of_rows.clear();
        match self {
            Self::Text { numbers, values } => texts(array, numbers, values, numbers_of_rows),
            Self::Instant { numbers, values } => instants(array, numbers, values, numbers_of_rows),
            Self::Map {
                numbers,
                values,
                without,
            } => maps(array, (numbers, values, without), numbers_of_rows),
        }
    }

    /// The keys of a map's entries, if they can be columns of their own: not more than `most`, and none twice in one map.
    pub fn keys(&self, most: usize) -> Option<BTreeSet<&str>> {
        let Self::Map { values, .. } = self else {
            return None;
        };
        let mut keys: BTreeSet<&str> = BTreeSet::new();
        for entries in values {
            for (at, (key, _)) in entries.iter().enumerate() {
                if entries[..at].iter().any(|(other, _)| other == key) {
                    return None;
                }
                keys.insert(key);
            }
            if keys.len() > most {
                return None;
            }
        }
        Some(keys)
    }

    /// Leaves out the entries with the key that has most values. Answers with the new number of each old one; `None` if there
    /// is no key left.
    pub fn leave_out_a_key(&mut self) -> Option<Vec<u32>> {
        let Self::Map {
            numbers,
            values,
            without,
        } = self
        else {
            return None;
        };
        let mut distinct: HashMap<&str, BTreeSet<Option<&str>>> = HashMap::new();
        for (key, value) in values.iter().flatten() {
            distinct.entry(key).or_default().insert(value.as_deref());
        }
        let widest = distinct.iter().max_by_key(|(key, values)| (values.len(), **key))?;
        let key = (*widest.0).to_owned();
        let mut fewer: HashMap<Entries, u32, RandomState> = HashMap::default();
        let mut kept: Vec<Entries> = Vec::new();
        let mut moved = vec![0; values.len() + 1];
        for (old, entries) in (1..).zip(std::mem::take(values)) {
            let entries: Entries = entries.into_iter().filter(|(name, _)| **name != *key).collect();
            moved[old] = number(&mut fewer, &mut kept, entries);
        }
        without.insert(key);
        (*numbers, *values) = (fewer, kept);
        Some(moved)
    }
}

fn number<T: Clone + Eq + std::hash::Hash>(
    numbers: &mut HashMap<T, u32, RandomState>,
    values: &mut Vec<T>,
    value: T,
) -> u32 {
    if let Some(number) = numbers.get(&value) {
        return *number;
    }
    values.push(value.clone());
    let number = u32::try_from(values.len()).unwrap_or(u32::MAX);
    numbers.insert(value, number);
    number
}

fn texts(
    array: &ArrayRef,
    numbers: &mut HashMap<Box<str>, u32, RandomState>,
    values: &mut Vec<Box<str>>,
    rows: &mut Vec<u32>,
) -> Result<()> {
    let texts = array.as_string_view_opt().ok_or_else(unexpected)?;
    // Equal views within one array are equal texts: most rows need no look at their text.
    let mut seen: HashMap<u128, u32, RandomState> = HashMap::default();
    let mut last: Option<(u128, u32)> = None;
    for (row, view) in texts.views().iter().enumerate() {
        if texts.is_null(row) {
            rows.push(0);
            continue;
        }
        let known = match last {
            Some((known, number)) if known == *view => number,
            _ => match seen.get(view) {
                Some(number) => *number,
                None => {
                    let text = texts.value(row);
                    let number = match numbers.get(text) {
                        Some(number) => *number,
                        None => number(numbers, values, Box::from(text)),
                    };
                    seen.insert(*view, number);
                    number
                }
            },
        };
        last = Some((*view, known));
        rows.push(known);
    }
    Ok(())
}

fn instants(
    array: &ArrayRef,
    numbers: &mut HashMap<i64, u32, RandomState>,
    values: &mut Vec<i64>,
    rows: &mut Vec<u32>,
) -> Result<()> {
    let instants = array
        .as_primitive_opt::<TimestampMillisecondType>()
        .ok_or_else(unexpected)?;
    rows.extend(instants.iter().map(|instant| match instant {
        None => 0,
        Some(instant) => number(numbers, values, instant),
    }));
    Ok(())
}

fn maps(
    array: &ArrayRef,
    (numbers, values, without): (
        &mut HashMap<Entries, u32, RandomState>,
        &mut Vec<Entries>,
        &BTreeSet<String>,
    ),
    rows: &mut Vec<u32>,
) -> Result<()> {
    let maps: &MapArray = array.as_map_opt().ok_or_else(unexpected)?;
    let keys = maps.keys().as_string_opt::<i32>().ok_or_else(unexpected)?;
    let texts = maps.values().as_string_opt::<i32>().ok_or_else(unexpected)?;
    let offsets = maps.value_offsets();
    let same = |one: usize, other: usize| {
        let (one, other) = (offsets[one]..offsets[one + 1], offsets[other]..offsets[other + 1]);
        one.len() == other.len()
            && one.zip(other).all(|(one, other)| {
                let (one, other) = (one as usize, other as usize);
                keys.value(one) == keys.value(other)
                    && texts.is_valid(one) == texts.is_valid(other)
                    && (texts.is_null(one) || texts.value(one) == texts.value(other))
            })
    };
    let mut last: Option<(usize, u32)> = None;
    for row in 0..maps.len() {
        if maps.is_null(row) {
            rows.push(0);
            continue;
        }
        let known = match last {
            Some((before, number)) if same(before, row) => number,
            _ => {
                let places = offsets[row] as usize..offsets[row + 1] as usize;
                let entries: Entries = places
                    .filter(|at| !without.contains(keys.value(*at)))
                    .map(|at| {
                        let value = texts.is_valid(at).then(|| Box::from(texts.value(at)));
                        (Box::from(keys.value(at)), value)
                    })
                    .collect();
                number(numbers, values, entries)
            }
        };
        last = Some((row, known));
        rows.push(known);
    }
    Ok(())
}

fn unexpected() -> Error {
    Error::defect("a column of a rollup came as another type than asked")
}
