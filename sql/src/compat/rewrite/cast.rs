//! Casts to types that the engine does not have: OIDs in their many forms, and PostgreSQL's own names of types.

use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, CastKind, DataType, Expr, SelectItem, SetExpr, Value};

use super::references::parts;
use super::{call, string, take};
use crate::compat::{functions, shape};

/// The alias type (`regclass` ...) of a type, if it is one.
fn alias_type(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Regclass => Some("regclass".to_owned()),
        DataType::Custom(..) => custom(data_type).filter(|name| name.starts_with("reg") && name != "regexp"),
        _ => None,
    }
}

/// The name of a type that the parser does not know, without `pg_catalog`.
fn custom(data_type: &DataType) -> Option<String> {
    let DataType::Custom(name, _) = data_type else {
        return None;
    };
    match parts(name)?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if shape::SCHEMAS.contains(&schema.as_str()) => Some(name.clone()),
        _ => None,
    }
}

/// The engine's type for one that it has no name for.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    if let DataType::Array(ArrayElemTypeDef::SquareBracket(item, size)) = data_type {
        return Some(DataType::Array(ArrayElemTypeDef::SquareBracket(
            Box::new(plain_type(item)?),
            *size,
        )));
    }
    Some(match custom(data_type)?.as_str() {
        "text" | "name" | "char" | "varchar" | "bpchar" | "sql_identifier" | "character_data" | "yes_or_no"
        | "pg_node_tree" | "cstring" => DataType::Text,
        "bool" => DataType::Boolean,
        "int2" => DataType::SmallInt(None),
        "int4" | "cardinal_number" => DataType::Integer(None),
        "int8" | "oid" | "xid" | "cid" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        _ => return None,
    })
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Text | DataType::Varchar(_))
        || custom(data_type).is_some_and(|name| name == "text" || name == "varchar")
}

fn to(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// Rewrites a cast whose inner expression is rewritten already.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Cast {
        expr: inner, data_type, ..
    } = expr
    else {
        return;
    };
    if let Some(kind) = alias_type(data_type) {
        let inner = take(inner);
        *expr = match (kind.as_str(), inner) {
            // The catalogs hold names of functions as text.
            ("regproc" | "regprocedure", Expr::Value(value)) => match &value.value {
                Value::SingleQuotedString(name) => string(name.strip_prefix("pg_catalog.").unwrap_or(name).to_owned()),
                _ => to(Expr::Value(value), DataType::Text),
            },
            ("regproc" | "regprocedure", inner) => to(inner, DataType::Text),
            (_, inner) => call(functions::OBJECT_OID, vec![string(kind), inner]),
        };
        return;
    }
    if is_text(data_type)
        && let Expr::Function(function) = inner.as_mut()
        && parts(&function.name).as_deref() == Some(&[functions::OBJECT_OID.to_owned()])
    {
        function.name = match call(functions::OBJECT_NAME, Vec::new()) {
            Expr::Function(named) => named.name,
            _ => return,
        };
        *expr = take(inner);
        return;
    }
    if let Some(plain) = plain_type(data_type) {
        *data_type = plain;
    }
}

/// Columns of the result in an alias type show names: they are cast to text.
pub(super) fn show_names(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && matches!(&*expr, Expr::Cast { data_type, .. } if alias_type(data_type).is_some())
                {
                    let cast = take(expr);
                    *expr = to(cast, DataType::Text);
                }
            }
        }
        SetExpr::Query(query) => show_names(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            show_names(left);
            show_names(right);
        }
        _ => {}
    }
}
