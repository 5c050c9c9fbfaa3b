//! The rows of one file: from keys and numbers to Parquet, with the sums of what was written.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use parquet::errors::Result;

use super::Delivery;
use super::calendar::{YearMonth, instant};
use super::columns::{COLUMNS, Column, ColumnKind, position};
use super::model::Model;
use super::parquet_file::{ParquetFile, SCHEMA, Values};
use super::random::{DIGITS, Stream, at, text};
use super::rows::{Keys, Money, RowBuffer, by_key};
use super::totals::{CostSums, ExactAmount};

/// Rows of a batch, at least; the rows of one meter of one resource stay together.
const BATCH: usize = 8192;
/// Units of control totals in one unit of the files' amounts.
const EXACT: i128 = 100;

/// Months since when AWS delivers capacity reservation columns and IAM principals.
const CAPACITY_SINCE: (i32, u32) = (2025, 11);
const PRINCIPALS_SINCE: (i32, u32) = (2026, 4);

/// Takes the rows of a file.
pub struct FileRows<'m, W: Write + Send> {
    /// The organisation.
    pub model: &'m Model,
    /// Number of the month.
    pub month: usize,
    /// Which delivery.
    pub delivery: Delivery,
    /// Time units of the month.
    pub units: Range<i32>,
    buffer: RowBuffer,
    intervals: Vec<(i64, i64)>,
    others: HashMap<(i64, i64), i32>,
    invoices: ArrayRef,
    ids: Stream,
    sums: Vec<CostSums>,
    progress: Box<dyn FnMut(u64) + 'm>,
    file: ParquetFile<W>,
}

impl<'m, W: Write + Send> FileRows<'m, W> {
    /// Starts the file with the number `file` of a month.
    pub fn new(
        model: &'m Model,
        (month, file, delivery): (usize, usize, Delivery),
        out: W,
        progress: Box<dyn FnMut(u64) + 'm>,
    ) -> Result<Self> {
        let units = model.calendar.units(month);
        let seconds = model.calendar.unit_seconds;
        let intervals = units
            .clone()
            .map(|unit| model.calendar.unit_start(unit))
            .map(|start| (start, start + seconds));
        // Line item ids differ between deliveries, as AWS's do.
        let seed = at(model.spec.seed, &[71, month as u64, file as u64, delivery as u64]);
        Ok(Self {
            model,
            month,
            delivery,
            units,
            buffer: RowBuffer::default(),
            intervals: intervals.collect(),
            others: HashMap::new(),
            invoices: invoices(model, month),
            ids: Stream::new(seed),
            sums: vec![CostSums::default(); model.accounts.len()],
            progress,
            file: ParquetFile::new(out, model.spec.timestamps, Arc::clone(&model.shape))?,
        })
    }

    /// Key of a time unit of the month.
    pub fn unit(&self, unit: i32) -> i32 {
        unit - self.units.start
    }

    /// Key of any other interval, in seconds since 1970.
    pub fn interval(&mut self, start: i64, end: i64) -> i32 {
        let next = self.intervals.len() as i32;
        let key = *self.others.entry((start, end)).or_insert(next);
        if key == next {
            self.intervals.push((start, end));
        }
        key
    }

    /// The month.
    pub fn period(&self) -> YearMonth {
        self.model.calendar.months[self.month]
    }

    /// Adds a row and its sums.
    pub fn push(&mut self, keys: Keys, usage: f64, money: &Money) {
        self.buffer.push(keys, usage, money);
        let sums = &mut self.sums[keys.account];
        sums.rows += 1;
        add(&mut sums.unblended, money.unblended);
        add(&mut sums.net_unblended, money.net);
        add(&mut sums.amortized, money.amortized);
        add(&mut sums.net_amortized, money.net_amortized);
    }

    /// Gives the last row a quantity in a column that is empty in most rows.
    pub fn set(&mut self, column: usize, value: f64) {
        self.buffer.set(column, value);
    }

    /// Gives the last row an amount in a column that is empty in most rows.
    pub fn set_amount(&mut self, column: usize, units: i64) {
        self.buffer.set_amount(column, units);
    }

    /// Marks a place where the rows may be handed on.
    pub fn pause(&mut self) -> Result<()> {
        if self.buffer.len() >= BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        let rows = self.buffer.len();
        if rows == 0 {
            return Ok(());
        }
        let columns = self.columns()?;
        self.file.write(rows, columns)?;
        self.buffer.clear();
        (self.progress)(rows as u64);
        Ok(())
    }

    /// The columns of CUR 2.0, and the net amortised cost after them.
    fn columns(&mut self) -> Result<Vec<Values>> {
        let class = Int32Array::from(self.buffer.class.clone());
        let account = Int32Array::from(self.buffer.account.clone());
        let resource = Int32Array::from(self.buffer.resource.clone());
        let interval = Int32Array::from(self.buffer.interval.clone());
        let invoice: Int32Array = self
            .buffer
            .class
            .iter()
            .map(|&class| self.model.invoices[class as usize])
            .collect::<Vec<i32>>()
            .into();
        let spans = self
            .intervals
            .iter()
            .map(|&(start, end)| Some(format!("{}/{}", instant(start), instant(end))));
        let spans: ArrayRef = Arc::new(StringArray::from_iter(spans));
        let keys = TextKeys {
            class,
            account,
            resource,
            interval,
            invoice,
            spans,
        };
        let mut columns: Vec<Values> = COLUMNS
            .iter()
            .enumerate()
            .map(|(index, column)| self.column(&keys, index, column))
            .collect::<Result<_>>()?;
        columns.push(Values::Array(self.buffer.effective()));
        Ok(columns)
    }

    fn column(&mut self, keys: &TextKeys, index: usize, column: &Column) -> Result<Values> {
        const PRODUCT: usize = position("product");
        const RESOURCE_TAGS: usize = position("resource_tags");
        const TAGS: usize = position("tags");
        let field = SCHEMA.field(index);
        let labels = &self.model.labels;
        let array = match column.kind {
            ColumnKind::Timestamp => return Ok(Values::Instants(self.instants(index))),
            ColumnKind::Text => self.text(keys, index)?,
            ColumnKind::Double => {
                let empty = || arrow::array::new_null_array(field.data_type(), self.buffer.len());
                self.buffer.doubles(index).unwrap_or_else(empty)
            }
            ColumnKind::DoubleMap => self.buffer.discount_map(field)?,
            ColumnKind::TextMap => match index {
                PRODUCT => self.model.products.gather(field, &self.buffer.class)?,
                RESOURCE_TAGS => labels.resource_tags.gather(field, &self.buffer.label)?,
                TAGS => labels.tags.gather(field, &self.buffer.label)?,
                _ => labels.cost_category.gather(field, &self.buffer.label)?,
            },
        };
        Ok(Values::Array(array))
    }

    fn text(&mut self, keys: &TextKeys, index: usize) -> Result<ArrayRef> {
        const ID: usize = position("identity_line_item_id");
        const INTERVAL: usize = position("identity_time_interval");
        const INVOICE: usize = position("bill_invoice_id");
        let period = (self.period().year(), self.period().month());
        let name = COLUMNS[index].name;
        let too_early = (name.starts_with("capacity_reservation") && period < CAPACITY_SINCE)
            || (name == "line_item_iam_principal" && period < PRINCIPALS_SINCE);
        let array = match index {
            _ if too_early => Arc::new(StringArray::new_null(self.buffer.len())),
            ID => self.line_item_ids(),
            INTERVAL => by_key(&keys.interval, &keys.spans)?,
            INVOICE => by_key(&keys.invoice, &self.invoices)?,
            _ => match (
                &self.model.resource_texts[index],
                &self.model.account_texts[index],
                &self.model.class_texts[index],
            ) {
                (Some(values), _, _) => by_key(&keys.resource, values)?,
                (_, Some(values), _) => by_key(&keys.account, values)?,
                (_, _, Some(values)) => by_key(&keys.class, values)?,
                _ => Arc::new(StringArray::new_null(self.buffer.len())),
            },
        };
        Ok(array)
    }

    fn instants(&self, index: usize) -> Vec<i64> {
        const BILL_START: usize = position("bill_billing_period_start_date");
        const BILL_END: usize = position("bill_billing_period_end_date");
        const START: usize = position("line_item_usage_start_date");
        let interval = |key: &i32| self.intervals[*key as usize];
        match index {
            BILL_START => vec![self.period().start() * 1000; self.buffer.len()],
            BILL_END => vec![self.period().end() * 1000; self.buffer.len()],
            START => self.buffer.interval.iter().map(|key| interval(key).0 * 1000).collect(),
            _ => self.buffer.interval.iter().map(|key| interval(key).1 * 1000).collect(),
        }
    }

    /// 52 characters for each row, as long as AWS's.
    fn line_item_ids(&mut self) -> ArrayRef {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        const LENGTH: usize = 52;
        let rows = self.buffer.len();
        let mut builder = arrow::array::StringBuilder::with_capacity(rows, rows * LENGTH);
        let mut id = String::with_capacity(LENGTH);
        for _ in 0..rows {
            id.clear();
            let mut word = 0;
            for place in 0..LENGTH {
                // Twelve characters of five bits leave a word.
                if place % 12 == 0 {
                    word = self.ids.next();
                }
                id.push(char::from(ALPHABET[(word & 31) as usize]));
                word >>= 5;
            }
            builder.append_value(&id);
        }
        Arc::new(builder.finish())
    }

    /// Ends the file: where it was written to, and the sums by account.
    pub fn finish(mut self) -> Result<(W, Vec<CostSums>)> {
        self.flush()?;
        Ok((self.file.finish()?, self.sums))
    }
}

fn add(sum: &mut ExactAmount, units: i64) {
    sum.0 += i128::from(units) * EXACT;
}

/// Keys of a batch into the tables of text.
struct TextKeys {
    class: Int32Array,
    account: Int32Array,
    resource: Int32Array,
    interval: Int32Array,
    invoice: Int32Array,
    spans: ArrayRef,
}

/// Invoice ids of a month, in the order of the kinds of invoices; blank in the open month.
fn invoices(model: &Model, month: usize) -> ArrayRef {
    let open = month + 1 == model.calendar.months.len();
    let ids = (0..4_u64).map(|kind| {
        if open {
            String::new()
        } else {
            text(at(model.spec.seed, &[72, month as u64, kind]), 10, DIGITS)
        }
    });
    Arc::new(StringArray::from_iter_values(ids))
}
