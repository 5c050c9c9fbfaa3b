//! The commands that list catalogs, schemas, tables, types and facts about the server.

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::AsArray;
    use arrow_flight::IpcMessage;
    use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys};

    use super::*;

    fn relations() -> Vec<Relation> {
        [
            ("exports", "cur_daily", RelationKind::Table),
            ("public", "costs", RelationKind::View),
            ("public", "costs_daily", RelationKind::View),
            ("system", "accounts", RelationKind::SystemTable),
        ]
        .map(|(schema, name, kind)| Relation {
            schema: schema.to_owned(),
            name: name.to_owned(),
            kind,
            columns: Arc::new(Schema::new(vec![
                Field::new("billed_cost", DataType::Decimal128(38, 15), true),
                Field::new("account", DataType::Utf8, false),
            ])),
        })
        .to_vec()
    }

    fn names(command: CommandGetTables) -> Vec<String> {
        let batch = relation_rows(&Command::CommandGetTables(command), &relations()).unwrap();
        let names = batch.column(2).as_string::<i32>();
        names.iter().flatten().map(str::to_owned).collect()
    }

    #[test]
    fn lists_all_without_filters() {
        assert_eq!(
            names(CommandGetTables::default()),
            ["cur_daily", "costs", "costs_daily", "accounts"]
        );
    }

    #[test]
    fn filters_tables() {
        let catalog = |name: &str| CommandGetTables {
            catalog: Some(name.to_owned()),
            ..CommandGetTables::default()
        };
        assert_eq!(names(catalog("farthing")).len(), 4);
        assert!(
            names(catalog("")).is_empty(),
            "an empty catalog asks for tables without one"
        );
        let pattern = |schema: &str, table: &str| CommandGetTables {
            db_schema_filter_pattern: Some(schema.to_owned()),
            table_name_filter_pattern: Some(table.to_owned()),
            ..CommandGetTables::default()
        };
        assert_eq!(names(pattern("p%", "costs_daily")), ["costs_daily"]);
        assert_eq!(names(pattern("%", "c%_daily")), ["cur_daily", "costs_daily"]);
        assert_eq!(names(pattern("%", r"costs\_daily")), ["costs_daily"]);
        assert_eq!(names(pattern("%", "cost_")), ["costs"]);
    }

    #[test]
    fn knows_the_types_by_their_other_names() {
        let types = |types: &[&str]| CommandGetTables {
            table_types: types.iter().map(|name| (*name).to_owned()).collect(),
            ..CommandGetTables::default()
        };
        assert_eq!(names(types(&["BASE TABLE", "table"])), ["cur_daily"]);
        assert_eq!(names(types(&["VIEW"])), ["costs", "costs_daily"]);
        assert!(names(types(&["SYNONYM"])).is_empty());
    }

    #[test]
    fn gives_the_schema_of_select_star() {
        let command = CommandGetTables {
            table_name_filter_pattern: Some("costs".to_owned()),
            include_schema: true,
            ..CommandGetTables::default()
        };
        let batch = relation_rows(&Command::CommandGetTables(command), &relations()).unwrap();
        let bytes = batch.column(4).as_binary::<i32>().value(0).to_vec();
        assert_eq!(
            Schema::try_from(IpcMessage(bytes.into())).unwrap(),
            *relations()[1].columns
        );
    }

    #[test]
    fn lists_each_schema_once() {
        let schemas = |pattern: Option<&str>| {
            let command = CommandGetDbSchemas {
                catalog: None,
                db_schema_filter_pattern: pattern.map(str::to_owned),
            };
            relation_rows(&Command::CommandGetDbSchemas(command), &relations())
                .unwrap()
                .num_rows()
        };
        assert_eq!(schemas(None), 3);
        assert_eq!(schemas(Some("s%")), 1);
    }

    #[test]
    fn announces_what_it_sends() {
        let facts = Facts::new(&FlightLimits::default()).unwrap();
        let info = Command::CommandGetSqlInfo(Default::default());
        let rows = facts.sql_info.record_batch([]).unwrap();
        assert_eq!(facts.schema_of(&info).unwrap(), rows.schema());
        let keys = Command::CommandGetPrimaryKeys(CommandGetPrimaryKeys::default());
        assert_eq!(facts.schema_of(&keys).unwrap().fields().len(), 6);
    }
}
