//! Rows on their way to a file: columns of numbers, and keys into tables of text that are built once.
//!
//! Text that repeats is never copied per row. A row names its class, account, resource, label set, interval and invoice;
//! each text column is a dictionary array over one of these six tables, so all columns of a table share one array of keys.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int32Array, MapArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use arrow::error::ArrowError;

use super::columns::{COLUMNS, position};

/// Money of a row, in 1e-10 dollars.
#[derive(Clone, Copy, Debug, Default)]
pub struct Money {
    /// `line_item_unblended_cost`.
    pub unblended: i64,
    /// `line_item_net_unblended_cost`.
    pub net: i64,
    /// Amortised cost by the formula.
    pub amortized: i64,
    /// Net amortised cost by the formula.
    pub net_amortized: i64,
    /// `line_item_blended_cost`; blank on discount rows.
    pub blended: Option<i64>,
    /// `pricing_public_on_demand_cost`.
    pub public: Option<i64>,
    /// Discounts in the row's net cost, not negative: bundled, private rate, enterprise.
    pub discounts: [i64; 3],
}

impl Money {
    /// An amount that is the same in all views of cost and has no public price.
    pub fn plain(amount: i64) -> Self {
        Self {
            unblended: amount,
            net: amount,
            amortized: amount,
            net_amortized: amount,
            blended: Some(amount),
            ..Self::default()
        }
    }
}

/// What a row is about: positions in the tables of text.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Class: line item type, product, price, commitment.
    pub class: i32,
    /// Account.
    pub account: usize,
    /// Resource, 0 for none.
    pub resource: i32,
    /// Tags and cost categories.
    pub label: i32,
    /// Start and end.
    pub interval: i32,
}

/// 1e-10 dollars as a double: the nearest one to the decimal amount, since both operands are exact and division rounds
/// correctly.
pub fn dollars(units: i64) -> f64 {
    // Larger amounts than a double holds to the unit are fees in whole millionths of a dollar.
    const EXACT: u64 = 1 << 53;
    if units.unsigned_abs() < EXACT {
        units as f64 / 1e10
    } else {
        (units / 10_000) as f64 / 1e6
    }
}

/// A batch of rows.
#[derive(Debug)]
pub struct RowBuffer {
    /// Keys into the class table.
    pub class: Vec<i32>,
    /// Keys into the account table.
    pub account: Vec<i32>,
    /// Keys into the resource table.
    pub resource: Vec<i32>,
    /// Keys into the label table.
    pub label: Vec<i32>,
    /// Keys into the interval table.
    pub interval: Vec<i32>,
    usage: Vec<f64>,
    money: [Vec<f64>; 4],
    effective: Vec<f64>,
    blended: Vec<Option<f64>>,
    public: Vec<Option<f64>>,
    discounts: Vec<(u32, [f64; 2])>,
    sparse: Vec<Vec<(u32, f64)>>,
}

/// Kinds of discounts that are not bundled.
pub const DISCOUNTS: [&str; 2] = ["private_rate_discount", "edp_discount"];

const UNBLENDED: usize = 0;
const NET: usize = 1;
const BUNDLED: usize = 2;
const TOTAL: usize = 3;

impl Default for RowBuffer {
    fn default() -> Self {
        Self {
            class: Vec::new(),
            account: Vec::new(),
            resource: Vec::new(),
            label: Vec::new(),
            interval: Vec::new(),
            usage: Vec::new(),
            money: Default::default(),
            effective: Vec::new(),
            blended: Vec::new(),
            public: Vec::new(),
            discounts: Vec::new(),
            sparse: vec![Vec::new(); COLUMNS.len()],
        }
    }
}

impl RowBuffer {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.class.len()
    }

    /// Adds a row.
    pub fn push(&mut self, keys: Keys, usage: f64, money: &Money) {
        let row = self.class.len() as u32;
        self.class.push(keys.class);
        self.account.push(keys.account as i32);
        self.resource.push(keys.resource);
        self.label.push(keys.label);
        self.interval.push(keys.interval);
        self.usage.push(usage);
        self.money[UNBLENDED].push(dollars(money.unblended));
        self.money[NET].push(dollars(money.net));
        self.effective.push(dollars(money.net_amortized));
        let [bundled, private, edp] = money.discounts;
        self.money[BUNDLED].push(dollars(-bundled));
        self.money[TOTAL].push(dollars(-(bundled + private + edp)));
        self.blended.push(money.blended.map(dollars));
        self.public.push(money.public.map(dollars));
        if private != 0 || edp != 0 {
            self.discounts.push((row, [dollars(-private), dollars(-edp)]));
        }
    }

    /// Gives the last row a value in a column that is empty in most rows.
    pub fn set(&mut self, column: usize, value: f64) {
        let row = self.class.len() as u32 - 1;
        self.sparse[column].push((row, value));
    }

    /// Gives the last row an amount in a column that is empty in most rows.
    pub fn set_amount(&mut self, column: usize, units: i64) {
        self.set(column, dollars(units));
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.class.clear();
        self.account.clear();
        self.resource.clear();
        self.label.clear();
        self.interval.clear();
        self.usage.clear();
        self.money.iter_mut().for_each(Vec::clear);
        self.effective.clear();
        self.blended.clear();
        self.public.clear();
        self.discounts.clear();
        self.sparse.iter_mut().for_each(Vec::clear);
    }

    /// The net amortised cost of each row, which CUR 2.0 has no column for.
    pub fn effective(&self) -> ArrayRef {
        Arc::new(Float64Array::from(self.effective.clone()))
    }

    /// The array of a column of doubles; `None` if it has no value in this batch.
    pub fn doubles(&self, column: usize) -> Option<ArrayRef> {
        const USAGE: usize = position("line_item_usage_amount");
        const UNBLENDED_COST: usize = position("line_item_unblended_cost");
        const NET_COST: usize = position("line_item_net_unblended_cost");
        const BLENDED_COST: usize = position("line_item_blended_cost");
        const PUBLIC_COST: usize = position("pricing_public_on_demand_cost");
        const BUNDLED_DISCOUNT: usize = position("discount_bundled_discount");
        const TOTAL_DISCOUNT: usize = position("discount_total_discount");
        let dense = |values: &Vec<f64>| -> Option<ArrayRef> { Some(Arc::new(Float64Array::from(values.clone()))) };
        match column {
            USAGE => dense(&self.usage),
            UNBLENDED_COST => dense(&self.money[UNBLENDED]),
            NET_COST => dense(&self.money[NET]),
            BUNDLED_DISCOUNT => dense(&self.money[BUNDLED]),
            TOTAL_DISCOUNT => dense(&self.money[TOTAL]),
            BLENDED_COST => Some(Arc::new(Float64Array::from(self.blended.clone()))),
            PUBLIC_COST => Some(Arc::new(Float64Array::from(self.public.clone()))),
            _ if self.sparse[column].is_empty() => None,
            _ => {
                let mut values = vec![None; self.len()];
                for &(row, value) in &self.sparse[column] {
                    values[row as usize] = Some(value);
                }
                Some(Arc::new(Float64Array::from(values)))
            }
        }
    }

    /// The `discount` map: the discounts that are not bundled, by kind.
    pub fn discount_map(&self, field: &Field) -> Result<ArrayRef, ArrowError> {
        let mut offsets = Vec::with_capacity(self.len() + 1);
        let mut present = vec![false; self.len()];
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let mut rows = self.discounts.iter().peekable();
        offsets.push(0);
        for (row, present) in present.iter_mut().enumerate() {
            if let Some((_, amounts)) = rows.next_if(|(at, _)| *at as usize == row) {
                *present = true;
                for (key, &amount) in amounts.iter().enumerate().filter(|(_, amount)| **amount != 0.0) {
                    keys.push(key as i32);
                    values.push(amount);
                }
            }
            offsets.push(keys.len() as i32);
        }
        let names: ArrayRef = Arc::new(StringArray::from(DISCOUNTS.to_vec()));
        let keys = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), names)?;
        map_array(
            field,
            offsets,
            Arc::new(keys),
            Arc::new(Float64Array::from(values)),
            present,
        )
    }
}

fn map_array(
    field: &Field,
    offsets: Vec<i32>,
    keys: ArrayRef,
    values: ArrayRef,
    present: Vec<bool>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(entry, _) = field.data_type() else {
        return Err(ArrowError::SchemaError(format!("column {} is no map", field.name())));
    };
    let DataType::Struct(fields) = entry.data_type() else {
        return Err(ArrowError::SchemaError(format!(
            "entries of {} are no structs",
            field.name()
        )));
    };
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(MapArray::try_new(
        entry.clone(),
        offsets,
        entries,
        Some(NullBuffer::from(present)),
        false,
    )?))
}

/// Type of text that repeats.
pub fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Arrow type of a map whose entries have Parquet's own names.
pub fn map_type(value: DataType) -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", dictionary_type(), false),
        Field::new("value", value, true),
    ]);
    DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(entries), false)),
        false,
    )
}

/// A table of maps from text to text.
#[derive(Debug, Default)]
pub struct TextMaps {
    words: HashMap<String, i32>,
    list: Vec<String>,
    entries: Vec<(i32, i32)>,
    spans: Vec<Option<(u32, u32)>>,
    array: Option<ArrayRef>,
}

impl TextMaps {
    /// Adds a map; `None` is a missing one.
    pub fn push(&mut self, map: Option<&[(&str, &str)]>) {
        let start = self.entries.len() as u32;
        for (key, value) in map.unwrap_or_default() {
            let entry = (self.word(key), self.word(value));
            self.entries.push(entry);
        }
        self.spans.push(map.map(|_| (start, self.entries.len() as u32)));
    }

    fn word(&mut self, word: &str) -> i32 {
        if let Some(&key) = self.words.get(word) {
            return key;
        }
        let key = self.list.len() as i32;
        self.list.push(word.to_owned());
        self.words.insert(word.to_owned(), key);
        key
    }

    /// Ends the table.
    pub fn finish(&mut self) {
        self.array = Some(Arc::new(StringArray::from(std::mem::take(&mut self.list))));
        self.words = HashMap::new();
    }

    /// The keys that any map of the finished table has, in order.
    pub fn keys(&self) -> Vec<String> {
        let Some(words) = self.array.as_ref().and_then(|words| words.as_string_opt::<i32>()) else {
            return Vec::new();
        };
        let keys: BTreeSet<&str> = self.entries.iter().map(|(key, _)| words.value(*key as usize)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// The maps with the given numbers.
    pub fn gather(&self, field: &Field, rows: &[i32]) -> Result<ArrayRef, ArrowError> {
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        let (mut keys, mut values) = (Vec::with_capacity(rows.len() * 4), Vec::with_capacity(rows.len() * 4));
        let mut present = Vec::with_capacity(rows.len());
        offsets.push(0);
        for &row in rows {
            let span = self.spans[row as usize];
            present.push(span.is_some());
            if let Some((from, to)) = span {
                for &(key, value) in &self.entries[from as usize..to as usize] {
                    keys.push(key);
                    values.push(value);
                }
            }
            offsets.push(keys.len() as i32);
        }
        let words = self.array.clone().unwrap_or_else(|| Arc::new(StringArray::new_null(0)));
        let keys = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), words.clone())?;
        let values = DictionaryArray::<Int32Type>::try_new(Int32Array::from(values), words)?;
        map_array(field, offsets, Arc::new(keys), Arc::new(values), present)
    }
}

/// A column of text by keys into a table of values, which may hold nulls.
pub fn by_key(keys: &Int32Array, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if values.null_count() == values.len() {
        return Ok(Arc::new(StringArray::new_null(keys.len())));
    }
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(
        keys.clone(),
        values.clone(),
    )?))
}
