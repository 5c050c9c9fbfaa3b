//! The commands that list catalogs, schemas, tables, types and facts about the server.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::{Command, CommandGetTables};
use farthing_engine::Result;
use farthing_sql::frontend::CATALOG;
use farthing_sql::{Frontend, Relation, RelationKind, Session};

use super::FlightLimits;
use super::error::defect;
use super::sql_info::sql_info;
use super::xdbc::xdbc_types;

/// What `table_types` calls a table besides `TABLE`: the SQL standard's word, which some tools send.
const BASE_TABLE: &str = "BASE TABLE";

static PRIMARY_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
});

/// One schema for imported keys, exported keys and cross references.
static FOREIGN_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
});

/// What does not change while the server runs.
pub(super) struct Facts {
    sql_info: SqlInfoData,
    xdbc_types: XdbcTypeInfoData,
}

impl Facts {
    pub(super) fn new(limits: &FlightLimits) -> Result<Self> {
        Ok(Self {
            sql_info: sql_info(limits)?,
            xdbc_types: xdbc_types()?,
        })
    }

    /// The schema of a metadata command's rows; `None` for any other command.
    pub(super) fn schema_of(&self, command: &Command) -> Option<SchemaRef> {
        Some(match command {
            Command::CommandGetCatalogs(command) => command.into_builder().schema(),
            Command::CommandGetDbSchemas(command) => command.clone().into_builder().schema(),
            Command::CommandGetTables(command) => command.clone().into_builder().schema(),
            Command::CommandGetTableTypes(command) => command.into_builder().schema(),
            Command::CommandGetSqlInfo(_) => self.sql_info.schema(),
            Command::CommandGetXdbcTypeInfo(_) => self.xdbc_types.schema(),
            Command::CommandGetPrimaryKeys(_) => PRIMARY_KEYS.clone(),
            Command::CommandGetImportedKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetCrossReference(_) => FOREIGN_KEYS.clone(),
            _ => return None,
        })
    }

    /// The rows of a metadata command, as the session may see them; `None` for any other command.
    pub(super) async fn rows_of(
        &self,
        command: &Command,
        frontend: &Frontend,
        session: &Session,
    ) -> Result<Option<RecordBatch>> {
        let rows = match command {
            Command::CommandGetDbSchemas(_) | Command::CommandGetTables(_) => {
                relation_rows(command, &frontend.relations(session).await?)
            }
            Command::CommandGetCatalogs(command) => {
                let mut builder = command.into_builder();
                builder.append(CATALOG);
                builder.build()
            }
            Command::CommandGetTableTypes(command) => {
                let mut builder = command.into_builder();
                for kind in [RelationKind::Table, RelationKind::View, RelationKind::SystemTable] {
                    builder.append(type_name(kind));
                }
                builder.build()
            }
            Command::CommandGetSqlInfo(command) => command.clone().into_builder(&self.sql_info).build(),
            Command::CommandGetXdbcTypeInfo(command) => command.into_builder(&self.xdbc_types).build(),
            // Exports declare no keys.
            _ => return Ok(self.schema_of(command).map(RecordBatch::new_empty)),
        };
        rows.map(Some)
            .map_err(|error| defect("a list of metadata cannot be built", error))
    }
}

/// The rows of GetDbSchemas and GetTables over these relations. A filter that is absent filters nothing.
fn relation_rows(command: &Command, relations: &[Relation]) -> Result<RecordBatch, FlightError> {
    match command {
        Command::CommandGetTables(command) => tables(command, relations),
        Command::CommandGetDbSchemas(command) => {
            let mut builder = command.clone().into_builder();
            let names: BTreeSet<&str> = relations.iter().map(|relation| relation.schema.as_str()).collect();
            for name in names {
                builder.append(CATALOG, name);
            }
            builder.build()
        }
        other => Err(FlightError::protocol(other.type_url())),
    }
}

fn tables(command: &CommandGetTables, relations: &[Relation]) -> Result<RecordBatch, FlightError> {
    let mut command = command.clone();
    for asked in &mut command.table_types {
        *asked = asked.to_uppercase();
        if asked == BASE_TABLE {
            *asked = type_name(RelationKind::Table).to_owned();
        }
    }
    let mut builder = command.into_builder();
    for relation in relations {
        let kind = type_name(relation.kind);
        builder.append(CATALOG, &relation.schema, &relation.name, kind, &relation.columns)?;
    }
    builder.build()
}

fn type_name(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table => "TABLE",
        RelationKind::View => "VIEW",
        RelationKind::SystemTable => "SYSTEM TABLE",
    }
}
