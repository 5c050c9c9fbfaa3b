//! Cells of results in a form that all peers' values come to, and their comparison.
//!
//! Farthing's money is decimal, its peers' sums over the same files are sums of doubles. So numbers are equal within
//! [`RELATIVE`] of the larger one or within [`ABSOLUTE`]: differences of large sums are near zero in doubles where they are
//! zero in decimals. Instants at midnight are written as dates, since peers differ in whether `date_trunc` gives a date.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use serde_json::Value;

use crate::{Failure, Outcome};

/// Numbers may differ by this part of the larger one.
pub const RELATIVE: f64 = 1e-9;
/// Numbers may differ by this much: a millionth of a dollar.
pub const ABSOLUTE: f64 = 1e-6;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A truth value.
    Truth(bool),
    /// Text, dates and instants.
    Text(String),
    /// Any number.
    Number(f64),
}

impl Cell {
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => {
                let apart = (one - two).abs();
                one == two || apart <= ABSOLUTE || apart <= RELATIVE * one.abs().max(two.abs())
            }
            _ => self == other,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Truth(_) => 1,
            Self::Text(_) => 2,
            Self::Number(_) => 3,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Truth(one), Self::Truth(two)) => one.cmp(two),
            (Self::Text(one), Self::Text(two)) => one.cmp(two),
            (Self::Number(one), Self::Number(two)) => one.total_cmp(two),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// The first difference between a result and DuckDB's as a sentence; `None` if they hold the same rows in any order.
pub fn difference(rows: &[Vec<Cell>], duckdb: &[Vec<Cell>]) -> Option<String> {
    if rows.len() != duckdb.len() {
        return Some(format!("it has {} rows, DuckDB {}", rows.len(), duckdb.len()));
    }
    let (rows, duckdb) = (sorted(rows), sorted(duckdb));
    for (one, two) in rows.iter().zip(&duckdb) {
        let same = one.len() == two.len() && one.iter().zip(*two).all(|(one, two)| one.equals(two));
        if !same {
            return Some(format!("it has ({}), DuckDB ({})", line(one), line(two)));
        }
    }
    None
}

/// The cells of a row, separated by commas.
pub fn line(row: &[Cell]) -> String {
    row.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Numbers may differ in their last digits, so they decide about the order only where all other cells are equal.
fn sorted(rows: &[Vec<Cell>]) -> Vec<&Vec<Cell>> {
    let by = |one: &[Cell], two: &[Cell], numbers: bool| {
        one.iter()
            .zip(two)
            .filter(|(cell, _)| matches!(cell, Cell::Number(_)) == numbers)
            .map(|(one, two)| one.order(two))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let mut rows: Vec<&Vec<Cell>> = rows.iter().collect();
    rows.sort_by(|one, two| by(one, two, false).then_with(|| by(one, two, true)));
    rows
}

/// A cell of a peer in a child process: what `benches/peer.py` writes.
pub fn of_json(value: &Value) -> Outcome<Cell> {
    let unknown = || Failure::from(format!("the peer answered with a value of no known kind: {value}"));
    Ok(match value {
        Value::Null => Cell::Null,
        Value::Bool(truth) => Cell::Truth(*truth),
        Value::Number(number) => Cell::Number(number.as_f64().ok_or_else(unknown)?),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => return Err(unknown()),
    })
}

/// The rows of Farthing's batches.
pub fn of_batches(batches: &[RecordBatch]) -> Outcome<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(of_column)
            .collect::<Outcome<Vec<Vec<Cell>>>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok(rows)
}

fn of_column(column: &std::sync::Arc<dyn Array>) -> Outcome<Vec<Cell>> {
    let cells = match column.data_type() {
        DataType::Null => vec![Cell::Null; column.len()],
        DataType::Boolean => {
            let truths = column.as_boolean().iter();
            truths.map(|truth| truth.map_or(Cell::Null, Cell::Truth)).collect()
        }
        kind if kind.is_numeric() => {
            let numbers = cast(column, &DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>().iter();
            numbers.map(|number| number.map_or(Cell::Null, Cell::Number)).collect()
        }
        kind => {
            let plain = match kind {
                DataType::Timestamp(..) => cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
                _ => column.clone(),
            };
            let texts = cast(&plain, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>().iter();
            texts
                .map(|text| text.map_or(Cell::Null, |text| Cell::Text(without_midnight(text))))
                .collect()
        }
    };
    Ok(cells)
}

/// `2026-10-01T00:00:00` is `2026-10-01`.
fn without_midnight(text: &str) -> String {
    text.strip_suffix("T00:00:00").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests;
