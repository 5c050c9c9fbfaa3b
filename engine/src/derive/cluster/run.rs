//! Rows that are sorted together.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Schema};
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::format::Format;

/// What kind of line it is: conditions on charge categories, commitments and credits come down to it.
const KINDS: [&str; 2] = ["line_item_line_item_type", "ChargeCategory"];
/// When the usage begins, in the formats that have it.
const STARTS: [&str; 2] = ["line_item_usage_start_date", "ChargePeriodStart"];
/// The resource.
pub(super) const RESOURCES: [&str; 2] = ["line_item_resource_id", "ResourceId"];

/// What rows are sorted by: usage account, service, kind of line, resource, begin of the usage; those of them that there are.
#[derive(Debug, Clone)]
pub(super) struct Order {
    columns: Vec<usize>,
    types: Vec<DataType>,
}

impl Order {
    /// The order of rows with this schema.
    pub fn of(schema: &Schema, format: &Format) -> Result<Self> {
        let service: Vec<&str> = format.service.into_iter().collect();
        let accounts = [format.accounts.usage];
        let keys: [&[&str]; 5] = [&accounts, &service, &KINDS, &RESOURCES, &STARTS];
        let columns: Vec<usize> = keys
            .iter()
            .filter_map(|names| names.iter().find_map(|name| schema.index_of(name).ok()))
            .collect();
        let types = columns.iter().map(|column| schema.field(*column).data_type().clone());
        Ok(Self {
            types: types.collect(),
            columns,
        })
    }
}

impl Order {
    /// The columns by name.
    pub fn names<'s>(&'s self, schema: &'s Schema) -> impl Iterator<Item = &'s str> {
        self.columns.iter().map(|column| schema.field(*column).name().as_str())
    }
}

/// Batches whose rows are sorted together.
#[derive(Default)]
pub(super) struct Run {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    /// Buffers that were counted: batches share those of long texts.
    counted: HashSet<usize>,
}

impl Run {
    pub fn push(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        for column in batch.columns() {
            self.bytes += match column.data_type() {
                DataType::Utf8View => {
                    let buffers = column.as_string_view().data_buffers();
                    let new = buffers
                        .iter()
                        .filter(|buffer| self.counted.insert(buffer.data_ptr().as_ptr() as usize));
                    column.len() * size_of::<u128>() + new.map(|buffer| buffer.capacity()).sum::<usize>()
                }
                _ => column.to_data().get_slice_memory_size().unwrap_or_default(),
            };
        }
        self.batches.push(batch);
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A column, batch by batch.
    pub fn column(&self, column: usize) -> impl Iterator<Item = &ArrayRef> {
        self.batches.iter().map(move |batch| batch.column(column))
    }

    /// The rows in order, as pairs of batch and row.
    pub fn sorted(&self, order: &Order) -> Result<Vec<(usize, usize)>> {
        let mut places = Vec::with_capacity(self.rows);
        for (n, batch) in self.batches.iter().enumerate() {
            places.extend((0..batch.num_rows()).map(|row| (n, row)));
        }
        if order.columns.is_empty() {
            return Ok(places);
        }
        let fields = order.types.iter().cloned().map(SortField::new).collect();
        let converter = RowConverter::new(fields).map_err(unsorted)?;
        let mut keys = converter.empty_rows(self.rows, 0);
        for batch in &self.batches {
            let columns: Vec<ArrayRef> = order
                .columns
                .iter()
                .map(|at| ArrayRef::clone(batch.column(*at)))
                .collect();
            converter.append(&mut keys, &columns).map_err(unsorted)?;
        }
        let mut rows: Vec<usize> = (0..self.rows).collect();
        // Stable, so that equal rows stay in the order of delivery and the files are the same each time.
        rows.sort_by(|one, other| keys.row(*one).cmp(&keys.row(*other)));
        Ok(rows.into_iter().map(|row| places[row]).collect())
    }

    /// A column of some of the rows, in their order.
    pub fn take(&self, column: usize, places: &[(usize, usize)]) -> Result<ArrayRef> {
        let arrays: Vec<&dyn Array> = self.column(column).map(AsRef::as_ref).collect();
        // A third of the columns of a report are empty in most months.
        if let Some(first) = arrays.first()
            && arrays.iter().all(|array| array.null_count() == array.len())
        {
            return Ok(new_null_array(first.data_type(), places.len()));
        }
        interleave(&arrays, places).map_err(unsorted)
    }
}

fn unsorted(error: arrow::error::ArrowError) -> Error {
    Error::defect("rows of a snapshot could not be sorted").with_source(error)
}
