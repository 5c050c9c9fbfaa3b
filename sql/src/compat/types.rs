//! PostgreSQL's types as its catalogs list them: names, OIDs and sizes, and the type that an Arrow column has on the wire.
//!
//! The rows of `types.tsv` are those of PostgreSQL 15's `pg_type` for the types that Farthing sends or that its catalogs
//! are made of. The wire encoder's table of the server names the same types for the same Arrow types.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

use crate::edge::edge_type;

/// A row of `pg_type`.
#[derive(Debug)]
pub(super) struct PgType {
    pub oid: i64,
    pub name: &'static str,
    /// The name that SQL has for it: `timestamp without time zone`.
    pub sql_name: &'static str,
    /// Bytes, or -1 for a varying length.
    pub len: i64,
    pub by_value: bool,
    /// `b` for a base type, `p` for a pseudo-type.
    pub kind: &'static str,
    pub category: &'static str,
    pub preferred: bool,
    /// The element's OID, or 0.
    pub elem: i64,
    /// The OID of the array of it, or 0.
    pub array: i64,
    /// Names of the functions: input, output, receive, send, typmodin, typmodout.
    pub functions: [&'static str; 6],
    pub align: &'static str,
    pub storage: &'static str,
    pub collation: i64,
}

impl PgType {
    fn parse(line: &'static str) -> Option<Self> {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let text = |at: usize| fields.get(at).copied();
        let number = |at: usize| text(at)?.parse().ok();
        let flag = |at: usize| text(at).map(|value| value == "t");
        Some(Self {
            oid: number(0)?,
            name: text(1)?,
            sql_name: text(2)?,
            len: number(3)?,
            by_value: flag(4)?,
            kind: text(5)?,
            category: text(6)?,
            preferred: flag(7)?,
            elem: number(8)?,
            array: number(9)?,
            functions: [text(10)?, text(11)?, text(12)?, text(13)?, text(14)?, text(15)?],
            align: text(16)?,
            storage: text(17)?,
            collation: number(18)?,
        })
    }

    /// Whether its values are arrays, as opposed to types such as `name` that merely have elements.
    pub(super) fn is_array(&self) -> bool {
        self.category == "A"
    }
}

/// All types, in order of their OIDs.
pub(super) static TYPES: LazyLock<Vec<PgType>> =
    LazyLock::new(|| include_str!("types.tsv").lines().filter_map(PgType::parse).collect());

/// The type of an OID.
pub(super) fn by_oid(oid: i64) -> Option<&'static PgType> {
    TYPES.iter().find(|kind| kind.oid == oid)
}

/// The type of a name, either PostgreSQL's short one or the one of SQL, with or without `pg_catalog.` and `[]`.
pub(super) fn by_name(name: &str) -> Option<&'static PgType> {
    let name = name.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    if let Some(element) = name.strip_suffix("[]") {
        return by_name(element).and_then(|element| by_oid(element.array));
    }
    let name = name.split('(').next().unwrap_or(name).trim();
    let folded = name.to_ascii_lowercase();
    let plain = match folded.as_str() {
        "int" => "int4",
        "decimal" => "numeric",
        "float" => "float8",
        other => other,
    };
    TYPES
        .iter()
        .find(|kind| kind.name == name || kind.name == plain || kind.sql_name == plain)
}

/// The OID of the type that columns of an Arrow type have on the wire, and the type modifier.
pub(super) fn of_arrow(arrow: &DataType) -> (i64, i64) {
    let name = match edge_type(arrow) {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 => "int2",
        DataType::Int32 => "int4",
        DataType::Int64 => "int8",
        DataType::Float32 => "float4",
        DataType::Float64 => "float8",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => return (1700, numeric_modifier(precision, scale)),
        DataType::Utf8 => "text",
        DataType::Binary | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            let (item, modifier) = of_arrow(item.data_type());
            return match by_oid(item) {
                Some(item) if !item.is_array() && item.name != "json" => (item.array, modifier),
                _ => (114, -1),
            };
        }
        _ => "json",
    };
    (by_name(name).map_or(25, |kind| kind.oid), -1)
}

/// `atttypmod` of a NUMERIC: precision and scale behind a header of 4 bytes.
fn numeric_modifier(precision: u8, scale: i8) -> i64 {
    ((i64::from(precision) << 16) | (i64::from(scale) & 0x7ff)) + 4
}

/// Precision and scale that a type modifier of NUMERIC means.
pub(super) fn numeric_parts(modifier: i64) -> Option<(i64, i64)> {
    let packed = modifier - 4;
    // The scale has 11 bits in two's complement.
    (modifier >= 4).then(|| ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// `format_type(oid, typmod)`: the type's name in SQL.
pub(super) fn format(oid: i64, modifier: i64) -> String {
    match by_oid(oid) {
        None if oid == 0 => "-".to_owned(),
        None => "???".to_owned(),
        Some(kind) => {
            let numeric = kind.name == "numeric" || kind.name == "_numeric";
            match numeric_parts(modifier).filter(|_| numeric) {
                Some((precision, scale)) if kind.is_array() => format!("numeric({precision},{scale})[]"),
                Some((precision, scale)) => format!("numeric({precision},{scale})"),
                None => kind.sql_name.to_owned(),
            }
        }
    }
}

/// The Arrow type that a column of a catalog has here, by the name of its PostgreSQL type. OIDs are 64-bit integers, so
/// that they compare with numbers and numerals; names of functions are text.
pub(super) fn arrow_of_column(name: &str) -> DataType {
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" | "oid" | "xid" | "cid" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "oidvector" | "_oid" => list(DataType::Int64),
        "int2vector" | "_int2" => list(DataType::Int16),
        "_text" | "_name" | "_char" | "_aclitem" | "_regtype" | "anyarray" => list(DataType::Utf8),
        "_float4" | "_float8" => list(DataType::Float64),
        "_bool" => list(DataType::Boolean),
        _ => DataType::Utf8,
    }
}
