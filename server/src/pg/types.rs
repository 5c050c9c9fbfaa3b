//! The one table between Arrow's types and PostgreSQL's: OID, size and type modifier of what is sent, and the Arrow type
//! of what a client announces for a parameter.
//!
//! OIDs, sizes and modifiers are those of PostgreSQL 16's `pg_type.dat` and `numerictypmodin`.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use pgwire::api::Type;
use pgwire::messages::data::FieldDescription;
use postgres_types::Kind;

/// How a column is described to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgType {
    /// The type, for its OID.
    pub(super) kind: Type,
    /// `pg_type.typlen`: bytes, or -1 for a type of varying length.
    pub(super) size: i16,
    /// `pg_attribute.atttypmod`: precision and scale of a NUMERIC; -1 for none.
    pub(super) modifier: i32,
}

impl PgType {
    const fn fixed(kind: Type, size: i16) -> Self {
        Self {
            kind,
            size,
            modifier: -1,
        }
    }

    const fn varying(kind: Type) -> Self {
        Self::fixed(kind, -1)
    }

    fn numeric(precision: u8, scale: i8) -> Self {
        Self {
            // The scale has 11 bits, in two's complement since PostgreSQL 15; the header's 4 bytes are added.
            modifier: (i32::from(precision) << 16 | (i32::from(scale) & 0x7ff)) + 4,
            ..Self::varying(Type::NUMERIC)
        }
    }

    /// What the values of an Arrow type are sent as.
    pub(super) fn of(arrow: &DataType) -> Self {
        use DataType as Arrow;
        match arrow {
            Arrow::Boolean => Self::fixed(Type::BOOL, 1),
            Arrow::Int8 | Arrow::Int16 | Arrow::UInt8 => Self::fixed(Type::INT2, 2),
            Arrow::Int32 | Arrow::UInt16 => Self::fixed(Type::INT4, 4),
            Arrow::Int64 | Arrow::UInt32 => Self::fixed(Type::INT8, 8),
            Arrow::UInt64 => Self::numeric(20, 0),
            Arrow::Float16 | Arrow::Float32 => Self::fixed(Type::FLOAT4, 4),
            Arrow::Float64 => Self::fixed(Type::FLOAT8, 8),
            Arrow::Decimal32(precision, scale)
            | Arrow::Decimal64(precision, scale)
            | Arrow::Decimal128(precision, scale)
            | Arrow::Decimal256(precision, scale) => Self::numeric(*precision, *scale),
            Arrow::Null | Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View => Self::varying(Type::TEXT),
            Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_) => {
                Self::varying(Type::BYTEA)
            }
            Arrow::Date32 | Arrow::Date64 => Self::fixed(Type::DATE, 4),
            Arrow::Time32(_) | Arrow::Time64(_) => Self::fixed(Type::TIME, 8),
            Arrow::Timestamp(_, None) => Self::fixed(Type::TIMESTAMP, 8),
            Arrow::Timestamp(_, Some(_)) => Self::fixed(Type::TIMESTAMPTZ, 8),
            Arrow::Interval(_) | Arrow::Duration(_) => Self::fixed(Type::INTERVAL, 16),
            Arrow::Dictionary(_, value) => Self::of(value),
            Arrow::RunEndEncoded(_, values) => Self::of(values.data_type()),
            Arrow::List(item)
            | Arrow::LargeList(item)
            | Arrow::FixedSizeList(item, _)
            | Arrow::ListView(item)
            | Arrow::LargeListView(item) => match Self::of(item.data_type()) {
                // Lists of lists may be ragged and lists of maps have no array type: both travel as JSON.
                item if matches!(item.kind.kind(), Kind::Array(_)) || item.kind == Type::JSON => {
                    Self::varying(Type::JSON)
                }
                item => Self {
                    kind: array_of(&item.kind),
                    size: -1,
                    modifier: item.modifier,
                },
            },
            Arrow::Map(..) | Arrow::Struct(_) | Arrow::Union(..) => Self::varying(Type::JSON),
        }
    }

    /// The description of a column of this type.
    pub(super) fn describe(&self, name: &str, binary: bool) -> FieldDescription {
        FieldDescription::new(
            name.to_owned(),
            0,
            0,
            self.kind.oid(),
            self.size,
            self.modifier,
            i16::from(binary),
        )
    }
}

/// The array type whose elements have the type.
fn array_of(item: &Type) -> Type {
    match *item {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        _ => Type::TEXT_ARRAY,
    }
}

/// The Arrow type that the encoder reads values of an Arrow type from, after a cast where they differ: one
/// representation for each PostgreSQL type keeps the encoder small.
pub(super) fn storage(arrow: &DataType) -> DataType {
    use DataType as Arrow;
    match arrow {
        Arrow::Int8 | Arrow::UInt8 => Arrow::Int16,
        Arrow::UInt16 => Arrow::Int32,
        Arrow::UInt32 => Arrow::Int64,
        Arrow::UInt64 => Arrow::Decimal128(20, 0),
        Arrow::Decimal32(precision, scale) | Arrow::Decimal64(precision, scale) => {
            Arrow::Decimal128(*precision, *scale)
        }
        Arrow::Float16 => Arrow::Float32,
        Arrow::Date64 => Arrow::Date32,
        Arrow::Time32(_) | Arrow::Time64(_) => Arrow::Time64(TimeUnit::Microsecond),
        Arrow::Timestamp(_, zone) => Arrow::Timestamp(TimeUnit::Microsecond, zone.clone()),
        Arrow::Interval(_) => Arrow::Interval(IntervalUnit::MonthDayNano),
        Arrow::Duration(_) => Arrow::Duration(TimeUnit::Microsecond),
        Arrow::Dictionary(_, value) => storage(value),
        Arrow::RunEndEncoded(_, values) => storage(values.data_type()),
        Arrow::List(item) | Arrow::LargeList(item) | Arrow::FixedSizeList(item, _) => {
            Arrow::List(Field::new("item", storage(item.data_type()), true).into())
        }
        other => other.clone(),
    }
}

/// The Arrow type of a parameter that a client announces by OID. `None` where the statement should decide: for no type,
/// `unknown`, NUMERIC (whose precision and scale only the statement knows) and types that Farthing does not know.
pub(super) fn announced(oid: u32) -> Option<DataType> {
    arrow_of(&Type::from_oid(oid)?)
}

fn arrow_of(kind: &Type) -> Option<DataType> {
    use DataType as Arrow;
    Some(match *kind {
        Type::BOOL => Arrow::Boolean,
        Type::INT2 => Arrow::Int16,
        Type::INT4 => Arrow::Int32,
        Type::INT8 | Type::OID => Arrow::Int64,
        Type::FLOAT4 => Arrow::Float32,
        Type::FLOAT8 => Arrow::Float64,
        Type::BYTEA => Arrow::Binary,
        Type::DATE => Arrow::Date32,
        Type::TIME => Arrow::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => Arrow::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => Arrow::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::INTERVAL => Arrow::Interval(IntervalUnit::MonthDayNano),
        Type::UUID | Type::JSON | Type::JSONB => Arrow::Utf8,
        _ if is_text(kind) => Arrow::Utf8,
        _ => match kind.kind() {
            Kind::Array(item) => Arrow::List(Field::new_list_field(arrow_of(item)?, true).into()),
            _ => return None,
        },
    })
}

/// Whether values of the type are plain text.
pub(super) fn is_text(kind: &Type) -> bool {
    matches!(
        *kind,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR
    )
}

#[cfg(test)]
mod tests;
