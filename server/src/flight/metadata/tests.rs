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
