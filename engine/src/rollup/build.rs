//! One pass over the rows of a snapshot, and all its rollups.
//!
//! The values of the dimensions of a row are one tuple of small numbers, and a month has few tuples. Rows are summed by tuple
//! and instant at the finest levels that stay small; the coarser levels are summed from those at the end. A level that would
//! come to too many rows to be worth anything is given up as soon as that shows, and what it has is handed down.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, RecordBatch};
use arrow::datatypes::{Decimal128Type, TimestampMillisecondType};
use datafusion::common::hash_utils::RandomState;

use super::intern::Values;
use super::level::{Key, Sums};
use crate::costs::calendar::span::Span;
use crate::error::{Error, Result};
use crate::snapshot::derived::{Grain, Level};

/// A dimension that takes more values in a month is left out: what groups by it gains little.
const DIMENSION_VALUES: usize = 20_000;
/// More tuples than this, and maps lose their widest keys until there are fewer.
const TUPLES: usize = 60_000;

/// A dimension.
pub struct Dimension {
    /// The name of its column in the rollup.
    pub name: String,
    /// Other names of the same.
    pub also: Vec<String>,
    /// Whether the overview has it.
    pub overview: bool,
    pub(super) values: Values,
    /// Whether it is left out since it takes too many values.
    pub(super) left_out: bool,
}

/// What kind of values a dimension has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// An instant.
    Instant,
    /// A map of text to text.
    Map,
}

impl Dimension {
    /// A dimension of which nothing is known yet.
    pub fn new(name: impl Into<String>, kind: Kind, overview: bool) -> Self {
        Self {
            name: name.into(),
            also: Vec::new(),
            overview,
            values: match kind {
                Kind::Text => Values::text(),
                Kind::Instant => Values::instant(),
                Kind::Map => Values::map(),
            },
            left_out: false,
        }
    }
}

/// How the columns of the batches lie: dimensions first, then when the charge begins, the resource id, and the sums.
pub struct Builder {
    pub(super) dimensions: Vec<Dimension>,
    has_resource: bool,
    sums: usize,
    /// For each sum, the number of the first one that had NULL in the same rows so far.
    alike: Vec<u32>,
    tuples: Tuples,
    /// The number of the overview's tuple for each tuple, as far as it was asked for.
    overview: Vec<u32>,
    pub(super) resources: Values,
    /// Levels that rows are added to.
    open: BTreeMap<Level, Sums>,
    given_up: Vec<Level>,
    /// The most rows that a level may have.
    most: usize,
    rows: u64,
    /// Whether any charge began at another instant than midnight, and than the first of a month.
    uncut: [bool; 2],
}

/// The distinct tuples of the values of all dimensions.
#[derive(Default)]
struct Tuples {
    numbers: HashMap<Box<[u32]>, u32, RandomState>,
    tuples: Vec<Box<[u32]>>,
}

impl Tuples {
    fn number(&mut self, tuple: &[u32]) -> u32 {
        if let Some(number) = self.numbers.get(tuple) {
            return *number;
        }
        let number = u32::try_from(self.tuples.len()).unwrap_or(u32::MAX);
        self.tuples.push(Box::from(tuple));
        self.numbers.insert(Box::from(tuple), number);
        number
    }
}

/// Rollups in memory.
pub struct Built {
    pub(super) dimensions: Vec<Dimension>,
    pub(super) resources: Values,
    pub(super) tuples: Vec<Box<[u32]>>,
    pub(super) levels: BTreeMap<Level, Sums>,
    /// For each sum, the number of the first one that has NULL in the same rows.
    pub(super) alike: Vec<u32>,
    /// Whether the instants of a day level, and of a month level, are those of the rows.
    pub(super) whole: [bool; 2],
    /// Rows that were summed.
    pub rows: u64,
}

impl Builder {
    /// For batches with these dimensions and so many sums, and with or without resource ids. No level gets more than `most`
    /// rows.
    pub fn new(dimensions: Vec<Dimension>, has_resource: bool, sums: usize, most: usize) -> Self {
        let finest = match has_resource {
            true => Level::DayResource,
            false => Level::Day,
        };
        Self {
            dimensions,
            has_resource,
            sums,
            alike: vec![0; sums],
            tuples: Tuples::default(),
            overview: Vec::new(),
            resources: Values::text(),
            open: BTreeMap::from([(finest, Sums::new(sums))]),
            given_up: Vec::new(),
            most,
            rows: 0,
            uncut: [false; 2],
        }
    }

    /// Adds the rows of a batch.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let tuples = self.tuples_of(batch)?;
        let mut column = self.dimensions.len();
        let mut next = || {
            column += 1;
            batch
                .columns()
                .get(column - 1)
                .ok_or_else(|| Error::defect("a rollup lacks a column"))
        };
        let starts: &ArrayRef = next()?;
        let starts = starts
            .as_primitive_opt::<TimestampMillisecondType>()
            .ok_or_else(|| Error::defect("a rollup's instants are none"))?;
        let mut resources = Vec::with_capacity(batch.num_rows());
        let ids = self.has_resource.then(&mut next).transpose()?;
        match ids.filter(|_| self.open.keys().any(|level| level.has_resource())) {
            Some(ids) => self.resources.numbers_of(ids, &mut resources)?,
            None => {
                self.resources = Values::text();
                resources.resize(batch.num_rows(), 0);
            }
        }
        let sums: Vec<Decimal128Array> = (0..self.sums)
            .map(|_| {
                let sums = next()?.as_primitive_opt::<Decimal128Type>();
                sums.cloned()
                    .ok_or_else(|| Error::defect("a rollup's sums are no decimals"))
            })
            .collect::<Result<_>>()?;
        self.alike = still_alike(&self.alike, &sums);
        let (days, months) = (self.cut(starts, Grain::Day)?, self.cut(starts, Grain::Month)?);
        let mut places = Vec::with_capacity(batch.num_rows());
        if self.open.contains_key(&Level::DayOverview) {
            self.extend_overview();
        }
        let overview = &self.overview;
        for (level, into) in &mut self.open {
            let starts = match level.grain() {
                Grain::Day => &days,
                Grain::Month => &months,
            };
            places.clear();
            let mut last: Option<(Key, u32)> = None;
            for row in 0..batch.num_rows() {
                let key = Key {
                    tuple: match level {
                        Level::DayOverview => overview[tuples[row] as usize],
                        _ => tuples[row],
                    },
                    start: starts[row],
                    resource: if level.has_resource() { resources[row] } else { 0 },
                };
                let place = match last {
                    Some((known, place)) if known == key => place,
                    _ => into.place(key),
                };
                last = Some((key, place));
                places.push(place);
            }
            into.add(&places, &sums);
        }
        self.rows += batch.num_rows() as u64;
        self.give_up();
        Ok(())
    }

    fn tuples_of(&mut self, batch: &RecordBatch) -> Result<Vec<u32>> {
        let rows = batch.num_rows();
        let width = self.dimensions.len();
        let mut all = vec![0; rows * width];
        let mut numbers = Vec::with_capacity(rows);
        for at in 0..width {
            let dimension = &mut self.dimensions[at];
            if dimension.left_out {
                continue;
            }
            dimension.values.numbers_of(batch.column(at), &mut numbers)?;
            for (row, number) in numbers.iter().enumerate() {
                all[row * width + at] = *number;
            }
            if dimension.values.len() > DIMENSION_VALUES && !matches!(dimension.values, Values::Map { .. }) {
                self.leave_out(at);
                for row in 0..rows {
                    all[row * width + at] = 0;
                }
            }
        }
        let mut tuples: Vec<u32> = Vec::with_capacity(rows);
        for row in 0..rows {
            let tuple = &all[row * width..(row + 1) * width];
            let same = row > 0 && tuple == &all[(row - 1) * width..row * width];
            let number = match tuples.last() {
                Some(last) if same => *last,
                _ => self.tuples.number(tuple),
            };
            tuples.push(number);
        }
        while self.tuples.tuples.len() > TUPLES {
            let moved = self.fewer_tuples();
            let Some(moved) = moved else { break };
            for tuple in &mut tuples {
                *tuple = moved[*tuple as usize];
            }
        }
        Ok(tuples)
    }

    /// Leaves a dimension out.
    fn leave_out(&mut self, at: usize) {
        self.dimensions[at].left_out = true;
        self.dimensions[at].values = Values::text();
        self.renumber(at, |_| 0);
    }

    /// Leaves a key of a map out, or a dimension, whichever has most values. Answers with the new number of each tuple; `None`
    /// if nothing is left that may go.
    fn fewer_tuples(&mut self) -> Option<Vec<u32>> {
        let candidates = self.dimensions.iter().enumerate();
        let widest = candidates
            .filter(|(_, dimension)| !dimension.overview && !dimension.left_out && dimension.values.len() > 1)
            .max_by_key(|(_, dimension)| dimension.values.len())?;
        let at = widest.0;
        match self.dimensions[at].values.leave_out_a_key() {
            Some(moved) => Some(self.renumber(at, |old| moved.get(old as usize).copied().unwrap_or(0))),
            None => {
                self.dimensions[at].left_out = true;
                self.dimensions[at].values = Values::text();
                Some(self.renumber(at, |_| 0))
            }
        }
    }

    /// Gives the values of a dimension other numbers; tuples that are equal then become one. Answers with the new number of
    /// each tuple.
    fn renumber(&mut self, at: usize, renumbered: impl Fn(u32) -> u32) -> Vec<u32> {
        let before = std::mem::take(&mut self.tuples);
        self.overview.clear();
        let moved: Vec<u32> = before
            .tuples
            .into_iter()
            .map(|mut tuple| {
                tuple[at] = renumbered(tuple[at]);
                self.tuples.number(&tuple)
            })
            .collect();
        for sums in self.open.values_mut() {
            let mut merged = Sums::new(self.sums);
            merged.add_level(sums, |key| Key {
                tuple: moved[key.tuple as usize],
                ..*key
            });
            *sums = merged;
        }
        moved
    }

    fn cut(&mut self, starts: &arrow::array::TimestampMillisecondArray, grain: Grain) -> Result<Vec<Option<i64>>> {
        let (span, place) = match grain {
            Grain::Day => (Span::Day, 0),
            Grain::Month => (Span::Month, 1),
        };
        let mut last: Option<(i64, i64)> = None;
        let mut cut = Vec::with_capacity(starts.len());
        for start in starts {
            let Some(start) = start else {
                cut.push(None);
                continue;
            };
            let first = match last {
                Some((known, first)) if known == start => first,
                _ => span
                    .start(start)
                    .ok_or_else(|| Error::defect("an instant lies beyond the calendar"))?,
            };
            self.uncut[place] |= first != start;
            last = Some((start, first));
            cut.push(Some(first));
        }
        Ok(cut)
    }

    /// Hands levels that have become too large down to coarser ones.
    fn give_up(&mut self) {
        while let Some((level, sums)) = self.open.iter().find(|(_, sums)| sums.keys.len() > self.most) {
            let (level, keys) = (*level, sums.keys.len());
            tracing::debug!(level = level.as_str(), keys, "a level of a rollup is given up");
            let Some(sums) = self.open.remove(&level) else { return };
            self.given_up.push(level);
            for coarser in coarser_than(level) {
                if self.given_up.contains(coarser) || self.open.contains_key(coarser) {
                    continue;
                }
                let made = self.coarsened(&sums, *coarser);
                self.open.insert(*coarser, made);
            }
        }
    }

    fn coarsened(&mut self, finer: &Sums, level: Level) -> Sums {
        let mut sums = Sums::new(self.sums);
        if level == Level::DayOverview {
            self.extend_overview();
        }
        let overview = &self.overview;
        sums.add_level(finer, |key| Key {
            tuple: match level {
                Level::DayOverview => overview[key.tuple as usize],
                _ => key.tuple,
            },
            start: match level.grain() {
                Grain::Day => key.start,
                Grain::Month => key.start.and_then(|start| Span::Month.start(start)),
            },
            resource: if level.has_resource() { key.resource } else { 0 },
        });
        sums
    }

    /// Makes the overview's tuples of all that have none yet.
    fn extend_overview(&mut self) {
        let kept: Vec<bool> = self.dimensions.iter().map(|dimension| dimension.overview).collect();
        // What is added for the last of them are tuples of the overview, whose own are they themselves.
        while let Some(tuple) = self.tuples.tuples.get(self.overview.len()) {
            let cut = tuple.iter().zip(&kept);
            let cut: Vec<u32> = cut.map(|(number, kept)| if *kept { *number } else { 0 }).collect();
            self.overview.push(self.tuples.number(&cut));
        }
    }

    /// The rollups of everything that was added.
    pub fn finish(mut self) -> Built {
        // From fine to coarse, each level from the smallest one that has all it takes.
        for level in [Level::MonthResource, Level::Day, Level::DayOverview, Level::Month] {
            if self.open.contains_key(&level)
                || self.given_up.contains(&level)
                || level.has_resource() && !self.has_resource
            {
                continue;
            }
            let finer = self.open.iter().filter(|(finer, _)| coarser_of(**finer, level));
            let Some(finer) = finer.min_by_key(|(_, sums)| sums.keys.len()).map(|(finer, _)| *finer) else {
                continue;
            };
            let Some(source) = self.open.remove(&finer) else {
                continue;
            };
            let made = self.coarsened(&source, level);
            self.open.insert(finer, source);
            if made.keys.len() <= self.most {
                self.open.insert(level, made);
            }
        }
        // An overview that is as large as what it is an overview of is none.
        let rows = |level: &Level| self.open.get(level).map(|sums| sums.keys.len());
        if let (Some(overview), Some(day)) = (rows(&Level::DayOverview), rows(&Level::Day))
            && overview * 10 > day * 8
        {
            self.open.remove(&Level::DayOverview);
        }
        Built {
            dimensions: self.dimensions,
            resources: self.resources,
            tuples: self.tuples.tuples,
            levels: self.open,
            alike: self.alike,
            whole: self.uncut.map(|uncut| !uncut),
            rows: self.rows,
        }
    }
}

/// The numbers of sums that had NULL in the same rows before, and have in these.
fn still_alike(before: &[u32], sums: &[Decimal128Array]) -> Vec<u32> {
    let mut seen: Vec<(u32, usize, u32)> = Vec::new();
    let mut alike = Vec::with_capacity(before.len());
    for ((at, sum), known) in sums.iter().enumerate().zip(before) {
        let same = |first: &Decimal128Array| match (first.null_count(), sum.null_count()) {
            (0, 0) => true,
            (one, other) => one == other && first.nulls() == sum.nulls(),
        };
        let found = seen
            .iter()
            .find(|(number, first, _)| number == known && same(&sums[*first]));
        let number = match found {
            Some((.., number)) => *number,
            None => {
                let number = u32::try_from(at).unwrap_or(u32::MAX);
                seen.push((*known, at, number));
                number
            }
        };
        alike.push(number);
    }
    alike
}

/// The levels that take over when one is given up.
fn coarser_than(level: Level) -> &'static [Level] {
    match level {
        Level::DayResource => &[Level::Day, Level::MonthResource],
        Level::Day => &[Level::DayOverview, Level::Month],
        Level::MonthResource => &[Level::Month],
        Level::Month | Level::DayOverview => &[],
    }
}

/// Whether a level can be summed from a finer one.
fn coarser_of(finer: Level, level: Level) -> bool {
    coarser_than(finer)
        .iter()
        .any(|coarser| *coarser == level || coarser_of(*coarser, level))
}
