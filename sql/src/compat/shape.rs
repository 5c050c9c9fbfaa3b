//! The relations of `pg_catalog` and `information_schema` with their columns, so that statements that name any of them are
//! planned.
//!
//! `relations.tsv` lists PostgreSQL 15's, with the columns that PostgreSQL 16 added to those that have rows here: schema,
//! name, OID (0 where PostgreSQL has no fixed one), kind and `column:type` for each column.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};

use super::types;

/// The schema that needs no qualification.
pub(super) const PG_CATALOG: &str = "pg_catalog";
/// The schema of the SQL standard.
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";
/// Both, the one that needs no qualification first.
pub(super) const SCHEMAS: [&str; 2] = [PG_CATALOG, INFORMATION_SCHEMA];

/// A relation of the catalogs.
#[derive(Debug)]
pub(super) struct Shape {
    pub schema: &'static str,
    pub name: &'static str,
    /// PostgreSQL's fixed OID, or 0.
    pub oid: i64,
    /// `r`, `v`, or `f` for a function that is called as a table.
    pub kind: &'static str,
    /// Names and PostgreSQL types.
    pub columns: Vec<(&'static str, &'static str)>,
}

impl Shape {
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (schema, name) = (fields.next()?, fields.next()?);
        let oid = fields.next()?.parse().ok()?;
        let kind = fields.next()?;
        let columns = fields.next()?.split(' ').filter_map(|c| c.split_once(':')).collect();
        Some(Self {
            schema,
            name,
            oid,
            kind,
            columns,
        })
    }

    /// The PostgreSQL type of a column.
    pub(super) fn column_type(&self, column: &str) -> Option<&'static str> {
        let (_, kind) = self.columns.iter().find(|(name, _)| *name == column)?;
        Some(kind)
    }

    /// The columns in Arrow types.
    pub(super) fn arrow(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|(name, kind)| Field::new(*name, types::arrow_of_column(kind), true))
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// All of them, by schema and name.
pub(super) static SHAPES: LazyLock<Vec<Shape>> =
    LazyLock::new(|| include_str!("relations.tsv").lines().filter_map(Shape::parse).collect());

/// Whether the name is one of a function that is called as a table.
pub(super) fn is_function(name: &str) -> bool {
    find(PG_CATALOG, name).is_some_and(|shape| shape.kind == "f")
}

/// The relation of a name.
pub(super) fn find(schema: &str, name: &str) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.schema == schema && shape.name == name)
}
