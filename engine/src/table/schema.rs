//! The columns of an export's table: the union over its snapshots, in delivery order, then what Farthing adds.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::datasource::table_schema::TableSchema;

use super::stored::Stored;
use super::{Audience, BILLING_PERIOD, HAS_NET_COSTS};
use crate::catalog::Export;
use crate::error::{Error, ErrorKind, Result};
use crate::id::BillingPeriod;
use crate::money::PRECISION;
use crate::money::function::MONEY;
use crate::snapshot::{ColumnType, EXACT_SCALE, Snapshot};

/// The columns of one table.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// What the table shows.
    pub visible: SchemaRef,
    /// What the files hold, and the values that each file carries.
    pub table: TableSchema,
    audience: Audience,
}

impl Columns {
    pub fn try_new(export: &Export, snapshots: &[Arc<Snapshot>], stored: &Stored, audience: Audience) -> Result<Self> {
        let mut order: Vec<(String, ColumnType)> = Vec::new();
        let mut places: HashMap<String, (usize, BillingPeriod)> = HashMap::new();
        for snapshot in snapshots {
            for column in &snapshot.columns {
                if [BILLING_PERIOD, HAS_NET_COSTS].contains(&column.name.as_str()) {
                    // Farthing's own columns win over delivered ones of the same name.
                    continue;
                }
                match places.get(&column.name) {
                    None => {
                        places.insert(column.name.clone(), (order.len(), snapshot.period));
                        order.push((column.name.clone(), column.r#type));
                    }
                    Some((place, first)) => {
                        let known = order[*place].1;
                        order[*place].1 = known.widen(column.r#type).ok_or_else(|| {
                            changed(export, &column.name, (*first, known), (snapshot.period, column.r#type))
                        })?;
                    }
                }
            }
        }
        for name in export.kind.format().accounts.names() {
            match places.get(name) {
                // A delivery without it reads as NULL there, and a row without any belongs to nobody.
                None => order.push((name.to_owned(), ColumnType::Text)),
                Some((place, _)) if order[*place].1 == ColumnType::Text => {}
                Some(_) => {
                    return Err(Error::new(
                        ErrorKind::BrokenDelivery,
                        format!("the export {} delivers {name} as something else than text", export.id),
                    ));
                }
            }
        }
        let delivered = order
            .iter()
            .map(|(name, r#type)| Field::new(name, arrow_type(*r#type), true));
        let more = match audience {
            Audience::Statement => Vec::new(),
            Audience::Costs => stored.costs_fields(),
        };
        Ok(Self::of(delivered.chain(more).collect(), audience))
    }

    /// The columns with more columns of the files.
    pub fn with(&self, more: impl IntoIterator<Item = Field>) -> Self {
        let known = self.table.file_schema().fields().iter().cloned();
        let more = more.into_iter().map(Arc::new);
        Self::of(known.chain(more).collect(), self.audience)
    }

    fn of(file: Fields, audience: Audience) -> Self {
        let added: Vec<FieldRef> = vec![
            Arc::new(Field::new(BILLING_PERIOD, DataType::Utf8View, false)),
            Arc::new(Field::new(HAS_NET_COSTS, DataType::Boolean, false)),
        ];
        let shown = match audience {
            Audience::Statement => &added[..1],
            Audience::Costs => &added[..],
        };
        let visible: Fields = file.iter().chain(shown).cloned().collect();
        Self {
            visible: Arc::new(Schema::new(visible)),
            table: TableSchema::builder(Arc::new(Schema::new(file)))
                .with_table_partition_cols(added)
                .build(),
            audience,
        }
    }
}

fn changed(
    export: &Export,
    column: &str,
    (first, known): (BillingPeriod, ColumnType),
    (period, r#type): (BillingPeriod, ColumnType),
) -> Error {
    Error::new(
        ErrorKind::BrokenDelivery,
        format!(
            "the column {column} of the export {} is {known:?} since {first} and {:?} in {period}",
            export.id, r#type
        ),
    )
    .with_hint("Connect the export with the changed column as a new export.")
}

/// The Arrow type of a normalised column.
pub(crate) fn arrow_type(r#type: ColumnType) -> DataType {
    match r#type {
        ColumnType::Text => DataType::Utf8View,
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal => DataType::Decimal128(PRECISION, EXACT_SCALE),
        ColumnType::Money => MONEY,
        ColumnType::Integer => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
        ColumnType::TextMap => text_map(),
        ColumnType::DoubleMap => map_of(DataType::Float64),
    }
}

/// A map of text to text, with the field names of the Parquet format's `MAP`.
pub(crate) fn text_map() -> DataType {
    map_of(DataType::Utf8)
}

fn map_of(value: DataType) -> DataType {
    let entry = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}
