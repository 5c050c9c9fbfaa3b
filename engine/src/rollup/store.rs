//! Rollups as Parquet files in the state store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int32Array, Int64Array, MapBuilder, MapFieldNames, RecordBatch,
    StringArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::build::{Built, Dimension};
use super::intern::{Entries, Values};
use super::level::Sums;
use super::owner::Owners;
use super::plan::Sum;
use crate::error::{Error, ErrorKind, Result};
use crate::format::AccountColumns;
use crate::money::{PRECISION, SCALE};
use crate::snapshot::clustered::key_column;
use crate::snapshot::derived::{Grain, Level, ROWS, Role, Rollup, RollupColumn};
use crate::snapshot::{ColumnType, OwnerTotals, PinnedFile, RowOwner};

/// Rows of a row group: enough for two threads to share a file, and for accounts to prune.
const GROUP_ROWS: usize = 32 << 10;
/// A map with more keys than this has none as columns.
const KEYS: usize = 48;
/// Digits of decimals that are kept as 64-bit integers, where they fit: half the bytes, and read faster.
const SMALL_PRECISION: u8 = 18;

/// Names that the columns of all rollups of a snapshot need.
pub struct Naming<'a> {
    /// The columns that say whose a row is.
    pub accounts: AccountColumns,
    /// The columns with the start of charges and with resource ids.
    pub instants: [Option<&'static str>; 2],
    /// The sums.
    pub sums: &'a [Sum],
}

/// Writes every level to a file in `folder`. Errors: `State`.
pub async fn write(
    built: &Built,
    naming: &Naming<'_>,
    store: &Arc<dyn ObjectStore>,
    folder: &Path,
) -> Result<Vec<Rollup>> {
    let mut rollups = Vec::with_capacity(built.levels.len());
    for (level, sums) in &built.levels {
        let (columns, bytes, owners) = encoded(built, *level, sums, naming)?;
        let path = folder.clone().join(format!("{}.parquet", level.as_str()));
        let size = bytes.len() as u64;
        let failed = |error: object_store::Error| {
            Error::new(
                ErrorKind::State,
                format!("{path} could not be written to the state store"),
            )
            .with_source(error)
        };
        store.put(&path, PutPayload::from(bytes)).await.map_err(failed)?;
        let written = store.head(&path).await.map_err(failed)?;
        let e_tag = written
            .e_tag
            .ok_or_else(|| Error::new(ErrorKind::State, format!("the state store names no ETag for {path}")))?;
        rollups.push(Rollup {
            level: *level,
            columns,
            file: PinnedFile {
                key: path.to_string(),
                size,
                e_tag,
                last_modified: written.last_modified,
                source: None,
                rows: sums.keys.len() as u64,
                owners,
            },
        });
    }
    Ok(rollups)
}

type Encoded = (Vec<RollupColumn>, Vec<u8>, Vec<OwnerTotals>);

fn encoded(built: &Built, level: Level, sums: &Sums, naming: &Naming<'_>) -> Result<Encoded> {
    let (order, owners) = ordered(built, sums, naming.accounts)?;
    let columns = described(built, level, sums, naming);
    let small: Vec<bool> = sums
        .columns
        .iter()
        .map(|column| {
            let limit = 10_i128.pow(u32::from(SMALL_PRECISION));
            (0..sums.keys.len()).all(|group| column.get(group).is_none_or(|sum| sum.abs() < limit))
        })
        .collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    let mut schema: Option<SchemaRef> = None;
    let mut pieces: Vec<&[usize]> = order.chunks(GROUP_ROWS).collect();
    if pieces.is_empty() {
        // A month without rows has a rollup without rows.
        pieces.push(&[]);
    }
    for piece in pieces {
        let arrays = arrays(built, level, sums, piece, &small)?;
        let schema = schema.get_or_insert_with(|| {
            let fields = columns.iter().zip(&arrays);
            let fields = fields.map(|(column, array)| Field::new(&column.name, array.data_type().clone(), true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        });
        let batch = RecordBatch::try_new(Arc::clone(schema), arrays).map_err(unwritable)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(
                ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options.clone())
                    .map_err(unwritable)?,
            ),
        };
        writer.write(&batch).map_err(unwritable)?;
    }
    let bytes = match writer {
        Some(writer) => writer.into_inner().map_err(unwritable)?,
        None => Vec::new(),
    };
    Ok((columns, bytes, owners))
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::defect("a rollup cannot be encoded").with_source(error)
}

/// The dimensions that a level has.
fn dimensions(built: &Built, level: Level) -> impl Iterator<Item = (usize, &Dimension)> {
    let dimensions = built.dimensions.iter().enumerate();
    dimensions.filter(move |(_, dimension)| !dimension.left_out && (level != Level::DayOverview || dimension.overview))
}

fn described(built: &Built, level: Level, sums: &Sums, naming: &Naming<'_>) -> Vec<RollupColumn> {
    let column = |name: &str, r#type, role| RollupColumn {
        name: name.to_owned(),
        also: Vec::new(),
        r#type,
        role,
    };
    let mut columns: Vec<RollupColumn> = Vec::new();
    for (_, dimension) in dimensions(built, level) {
        let (r#type, role) = match &dimension.values {
            Values::Text { .. } => (ColumnType::Text, Role::Dimension),
            Values::Instant { .. } => (ColumnType::Timestamp, Role::Dimension),
            Values::Map { without, .. } => {
                let keys = dimension.values.keys(KEYS);
                let role = Role::Map {
                    without: without.clone(),
                    keys: keys.map(|keys| keys.into_iter().map(str::to_owned).collect()),
                };
                (ColumnType::TextMap, role)
            }
        };
        columns.push(RollupColumn {
            also: dimension.also.clone(),
            ..column(&dimension.name, r#type, role)
        });
        for key in dimension.values.keys(KEYS).into_iter().flatten() {
            columns.push(column(
                &key_column(&dimension.name, key),
                ColumnType::Text,
                Role::Dimension,
            ));
        }
    }
    let [start, resource] = naming.instants;
    if let Some(start) = start {
        let whole = match level.grain() {
            Grain::Day => built.whole[0],
            Grain::Month => built.whole[1],
        };
        columns.push(column(start, ColumnType::Timestamp, Role::Instant { whole }));
    }
    if let Some(resource) = resource.filter(|_| level.has_resource()) {
        columns.push(column(resource, ColumnType::Text, Role::Dimension));
    }
    for ((sum, values), alike) in naming.sums.iter().zip(&sums.columns).zip(&built.alike) {
        let nulls = (values.nulls > 0).then_some(*alike);
        columns.push(RollupColumn {
            also: sum.also.clone(),
            ..column(&sum.name, ColumnType::Money, Role::Sum { nulls })
        });
    }
    columns.push(column(ROWS, ColumnType::Integer, Role::Rows));
    columns
}

/// The groups in the order of the file, and how many each owner has: those of one account lie together.
fn ordered(built: &Built, sums: &Sums, accounts: AccountColumns) -> Result<(Vec<usize>, Vec<OwnerTotals>)> {
    let owners = Owners::of(built, accounts)?;
    let mut order: Vec<usize> = (0..sums.keys.len()).collect();
    order.sort_by_cached_key(|group| {
        let key = &sums.keys[*group];
        (owners.usage_text(key.tuple), key.start, key.tuple, key.resource)
    });
    let mut counted: BTreeMap<RowOwner, u64> = BTreeMap::new();
    for key in &sums.keys {
        *counted.entry(owners.owner(key.tuple)?).or_default() += 1;
    }
    let owners = counted.into_iter().map(|(owner, rows)| OwnerTotals {
        owner,
        account_name: None,
        rows,
        unblended: BTreeMap::new(),
    });
    Ok((order, owners.collect()))
}

fn arrays(built: &Built, level: Level, sums: &Sums, groups: &[usize], small: &[bool]) -> Result<Vec<ArrayRef>> {
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (at, dimension) in dimensions(built, level) {
        let numbers = groups.iter().map(|group| {
            let tuple = sums.keys[*group].tuple;
            built.tuples[tuple as usize][at].checked_sub(1)
        });
        arrays.push(match &dimension.values {
            Values::Text { values, .. } => texts(values, numbers)?,
            Values::Instant { values, .. } => {
                let instants = numbers.map(|number| number.and_then(|at| values.get(at as usize)).copied());
                Arc::new(instants.collect::<TimestampMillisecondArray>())
            }
            Values::Map { values, .. } => maps(values, numbers)?,
        });
        for key in dimension.values.keys(KEYS).into_iter().flatten() {
            arrays.push(values_of(key, &dimension.values, sums, built, at, groups));
        }
    }
    let starts = groups.iter().map(|group| sums.keys[*group].start);
    arrays.push(Arc::new(starts.collect::<TimestampMillisecondArray>()));
    if level.has_resource()
        && let Values::Text { values, .. } = &built.resources
    {
        arrays.push(texts(
            values,
            groups.iter().map(|group| sums.keys[*group].resource.checked_sub(1)),
        )?);
    }
    for (column, small) in sums.columns.iter().zip(small) {
        let values: Decimal128Array = groups.iter().map(|group| column.get(*group)).collect();
        let precision = if *small { SMALL_PRECISION } else { PRECISION };
        arrays.push(Arc::new(
            values.with_precision_and_scale(precision, SCALE).map_err(unwritable)?,
        ));
    }
    let rows: Int64Array = groups.iter().map(|group| Some(sums.rows[*group])).collect();
    arrays.push(Arc::new(rows));
    Ok(arrays)
}

/// A column of text by the numbers of its values: only the values that occur are written.
fn texts(values: &[Box<str>], numbers: impl Iterator<Item = Option<u32>>) -> Result<ArrayRef> {
    let mut places: HashMap<u32, i32> = HashMap::new();
    let mut occurring: Vec<&str> = Vec::new();
    let keys: Int32Array = numbers
        .map(|number| {
            number.map(|number| {
                *places.entry(number).or_insert_with(|| {
                    occurring.push(values.get(number as usize).map_or("", AsRef::as_ref));
                    i32::try_from(occurring.len() - 1).unwrap_or(i32::MAX)
                })
            })
        })
        .collect();
    let occurring = Arc::new(StringArray::from(occurring));
    Ok(Arc::new(DictionaryArray::try_new(keys, occurring).map_err(unwritable)?))
}

/// The values of one key of a map.
fn values_of(key: &str, values: &Values, sums: &Sums, built: &Built, at: usize, groups: &[usize]) -> ArrayRef {
    let Values::Map { values, .. } = values else {
        return Arc::new(StringArray::new_null(groups.len()));
    };
    let of_entries = |entries: &Entries| entries.iter().position(|(name, _)| **name == *key);
    let places: Vec<Option<usize>> = values.iter().map(of_entries).collect();
    let texts = groups.iter().map(|group| {
        let number = built.tuples[sums.keys[*group].tuple as usize][at].checked_sub(1)? as usize;
        values.get(number)?[places.get(number).copied().flatten()?].1.as_deref()
    });
    Arc::new(texts.collect::<StringArray>())
}

fn maps(values: &[Entries], numbers: impl Iterator<Item = Option<u32>>) -> Result<ArrayRef> {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(Field::new("key", DataType::Utf8, false));
    for number in numbers {
        let entries = number.and_then(|number| values.get(number as usize));
        for (key, value) in entries.into_iter().flat_map(|entries| entries.iter()) {
            maps.keys().append_value(key);
            maps.values().append_option(value.as_deref());
        }
        maps.append(entries.is_some()).map_err(unwritable)?;
    }
    Ok(Arc::new(maps.finish()))
}
