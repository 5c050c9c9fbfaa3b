//! The keys of maps: which occur, and which become columns of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::snapshot::clustered::{MapKeys, key_column};
use crate::table::text_map;

/// Keys of one map that become columns, at most.
const STORED: usize = 32;

/// A key becomes a column if one row in so many has it.
const FREQUENT: usize = 100;

/// Keys of one map that are listed, at most.
const LISTED: usize = 2_000;

/// One map of text to text.
struct Map {
    name: String,
    column: usize,
    numbers: HashMap<String, usize>,
    names: Vec<String>,
    /// Rows that have the key.
    counts: Vec<usize>,
    /// The row that had the key last, to find rows that have it twice.
    last: Vec<usize>,
    rows: usize,
    twice: bool,
    /// Numbers of the keys of the row before: rows of a kind have the same keys in the same order.
    before: Vec<usize>,
    stored: Vec<usize>,
}

impl Map {
    fn number(&mut self, place: usize, key: &str) -> usize {
        if let Some(number) = self.before.get(place)
            && self.names[*number] == key
        {
            return *number;
        }
        let number = match self.numbers.get(key) {
            Some(number) => *number,
            None => {
                self.names.push(key.to_owned());
                self.counts.push(0);
                self.last.push(usize::MAX);
                self.numbers.insert(key.to_owned(), self.names.len() - 1);
                self.names.len() - 1
            }
        };
        self.before.truncate(place);
        self.before.push(number);
        number
    }

    /// Whether its keys are worth looking at any more.
    fn ends(&self) -> bool {
        self.twice || self.names.len() > LISTED
    }

    fn note(&mut self, array: &MapArray) -> Result<()> {
        let (keys, _) = entries(array)?;
        let offsets = array.value_offsets();
        for row in 0..array.len() {
            let here = self.rows + row;
            if array.is_null(row) || self.ends() {
                continue;
            }
            for (place, at) in (offsets[row]..offsets[row + 1]).enumerate() {
                let number = self.number(place, keys.value(usize::try_from(at).unwrap_or_default()));
                self.twice |= self.last[number] == here;
                self.last[number] = here;
                self.counts[number] += 1;
            }
        }
        self.rows += array.len();
        Ok(())
    }

    /// Chooses by what was noted so far.
    fn choose(&mut self) {
        let mut frequent: Vec<usize> = (0..self.names.len())
            .filter(|key| !self.ends() && self.counts[*key] * FREQUENT >= self.rows)
            .collect();
        frequent.sort_by_key(|key| std::cmp::Reverse(self.counts[*key]));
        frequent.truncate(STORED);
        self.stored = frequent;
    }

    fn columns(&self, array: &MapArray) -> Result<Vec<ArrayRef>> {
        let (keys, values) = entries(array)?;
        let offsets = array.value_offsets();
        let arrays = self.stored.iter().map(|number| {
            let wanted = self.names[*number].as_str();
            let mut found = StringViewBuilder::with_capacity(array.len()).with_deduplicate_strings();
            // Where the row before had it.
            let mut hint = 0;
            for row in 0..array.len() {
                let (from, to) = match array.is_valid(row) {
                    true => (offsets[row], offsets[row + 1]),
                    false => (0, 0),
                };
                let places = usize::try_from(from).unwrap_or_default()..usize::try_from(to).unwrap_or_default();
                let hinted = places.start + hint;
                let place = match places.contains(&hinted) && keys.value(hinted) == wanted {
                    true => Some(hinted),
                    false => places.clone().find(|at| keys.value(*at) == wanted),
                };
                hint = place.map_or(hint, |place| place - places.start);
                found.append_option(place.filter(|at| values.is_valid(*at)).map(|at| values.value(at)));
            }
            Arc::new(found.finish()) as ArrayRef
        });
        Ok(arrays.collect())
    }

    fn into_keys(self) -> Option<(String, MapKeys)> {
        if self.twice {
            return None;
        }
        let stored = self.stored.iter().map(|number| self.names[*number].clone()).collect();
        let all: Option<BTreeSet<String>> = (self.names.len() <= LISTED).then(|| self.names.into_iter().collect());
        Some((self.name, MapKeys { stored, all }))
    }
}

fn entries(array: &MapArray) -> Result<(&StringArray, &StringArray)> {
    let text = |array: &dyn Array| array.data_type() == &DataType::Utf8;
    if !text(array.keys()) || !text(array.values()) {
        return Err(Error::defect("a map was read as another type than asked"));
    }
    Ok((array.keys().as_string(), array.values().as_string()))
}

/// The maps of text to text of a snapshot.
pub(super) struct MapNotes(Vec<Map>);

impl MapNotes {
    /// Nothing noted yet of rows with this schema.
    pub fn of(schema: &Schema) -> Self {
        let fields = schema.fields().iter().enumerate();
        let maps = fields.filter(|(_, field)| *field.data_type() == text_map());
        let map = |(column, field): (usize, &Arc<Field>)| Map {
            name: field.name().clone(),
            column,
            numbers: HashMap::new(),
            names: Vec::new(),
            counts: Vec::new(),
            last: Vec::new(),
            rows: 0,
            twice: false,
            before: Vec::new(),
            stored: Vec::new(),
        };
        Self(maps.map(map).collect())
    }

    pub fn note(&mut self, batch: &RecordBatch) -> Result<()> {
        for map in &mut self.0 {
            let array = batch.column(map.column).as_map_opt();
            map.note(array.ok_or_else(|| Error::defect("a map was read as another type than asked"))?)?;
        }
        Ok(())
    }

    /// Chooses the keys that become columns, by the rows noted so far.
    pub fn choose(&mut self) {
        self.0.iter_mut().for_each(Map::choose);
    }

    /// The columns of the chosen keys.
    pub fn fields(&self) -> Vec<Field> {
        let maps = self.0.iter().flat_map(|map| {
            let keys = map
                .stored
                .iter()
                .map(|number| key_column(&map.name, &map.names[*number]));
            keys.map(|name| Field::new(name, DataType::Utf8View, true))
        });
        maps.collect()
    }

    /// The values of the keys that were chosen of a column; none if it is no map.
    pub fn columns(&self, column: usize, values: &ArrayRef) -> Result<Vec<ArrayRef>> {
        match (self.0.iter().find(|map| map.column == column), values.as_map_opt()) {
            (Some(map), Some(values)) => map.columns(values),
            _ => Ok(Vec::new()),
        }
    }

    /// What is known of the maps, in the end.
    pub fn into_keys(self) -> BTreeMap<String, MapKeys> {
        self.0.into_iter().filter_map(Map::into_keys).collect()
    }
}
