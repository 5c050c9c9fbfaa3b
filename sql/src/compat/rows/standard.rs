//! The rows of `information_schema`.

use crate::compat::Catalogue;
use crate::compat::cell::{Row, count, row};
use crate::compat::objects::{Attribute, OWNER_NAME, Routine, argument_type};
use crate::compat::types;
use crate::frontend::CATALOG;

/// The longest text in bytes, as PostgreSQL says it of `text`.
const TEXT_OCTETS: i64 = 1 << 30;

pub(super) fn catalog_name(_: &Catalogue) -> Vec<Row> {
    vec![row! { catalog_name: CATALOG }]
}

pub(super) fn character_sets(_: &Catalogue) -> Vec<Row> {
    vec![row! {
        character_set_name: "UTF8", character_repertoire: "UCS", form_of_use: "UTF8",
        default_collate_catalog: CATALOG, default_collate_schema: "pg_catalog", default_collate_name: "C",
    }]
}

pub(super) fn enabled_roles(catalogue: &Catalogue) -> Vec<Row> {
    vec![row! { role_name: &catalogue.user }]
}

pub(super) fn schemata(catalogue: &Catalogue) -> Vec<Row> {
    let namespaces = catalogue.objects().namespaces.iter();
    namespaces
        .map(|n| row! { catalog_name: CATALOG, schema_name: &n.name, schema_owner: OWNER_NAME })
        .collect()
}

pub(super) fn tables(catalogue: &Catalogue) -> Vec<Row> {
    let relations = catalogue.objects().relations.iter();
    relations
        .map(|relation| {
            row! {
                table_catalog: CATALOG, table_schema: &relation.schema, table_name: &relation.name,
                table_type: if relation.kind == "r" { "BASE TABLE" } else { "VIEW" },
                is_insertable_into: "NO", is_typed: "NO",
            }
        })
        .collect()
}

pub(super) fn views(catalogue: &Catalogue) -> Vec<Row> {
    let views = catalogue.objects().relations.iter().filter(|r| r.kind == "v");
    views
        .map(|view| {
            row! {
                table_catalog: CATALOG, table_schema: &view.schema, table_name: &view.name, check_option: "NONE",
                is_updatable: "NO", is_insertable_into: "NO", is_trigger_updatable: "NO",
                is_trigger_deletable: "NO", is_trigger_insertable_into: "NO",
            }
        })
        .collect()
}

/// Precision, its radix and scale of a type's numbers.
fn numbers(oid: i64, modifier: i64) -> (Option<i64>, Option<i64>, Option<i64>) {
    match types::by_oid(oid).map(|kind| kind.name) {
        Some("int2") => (Some(16), Some(2), Some(0)),
        Some("int4") => (Some(32), Some(2), Some(0)),
        Some("int8") => (Some(64), Some(2), Some(0)),
        Some("float4") => (Some(24), Some(2), None),
        Some("float8") => (Some(53), Some(2), None),
        Some("numeric") => match types::numeric_parts(modifier) {
            Some((precision, scale)) => (Some(precision), Some(10), Some(scale)),
            None => (None, Some(10), None),
        },
        _ => (None, None, None),
    }
}

fn column(schema: &str, table: &str, at: usize, column: &Attribute) -> Row {
    let kind = types::by_oid(column.type_oid);
    let name = kind.map_or("text", |kind| kind.name);
    let data_type = match kind {
        Some(kind) if kind.is_array() => "ARRAY",
        Some(kind) => kind.sql_name,
        None => "text",
    };
    let (precision, radix, scale) = numbers(column.type_oid, column.modifier);
    let datetime = match name {
        "date" => Some(0_i64),
        "time" | "timetz" | "timestamp" | "timestamptz" | "interval" => Some(6),
        _ => None,
    };
    row! {
        table_catalog: CATALOG, table_schema: schema, table_name: table, column_name: &column.name,
        ordinal_position: count(at + 1), is_nullable: "YES", data_type: data_type,
        character_octet_length: matches!(name, "text" | "varchar" | "bpchar").then_some(TEXT_OCTETS),
        numeric_precision: precision, numeric_precision_radix: radix, numeric_scale: scale,
        datetime_precision: datetime,
        udt_catalog: CATALOG, udt_schema: "pg_catalog", udt_name: name,
        dtd_identifier: (at + 1).to_string(), is_self_referencing: "NO", is_identity: "NO",
        identity_cycle: "NO", is_generated: "NEVER", is_updatable: "NO",
    }
}

pub(super) fn columns(catalogue: &Catalogue) -> Vec<Row> {
    let relations = catalogue.objects().relations.iter();
    relations
        .flat_map(|relation| {
            let columns = relation.columns.iter().enumerate();
            columns.map(|(at, each)| column(&relation.schema, &relation.name, at, each))
        })
        .collect()
}

fn specific_name(routine: &Routine) -> String {
    format!("{}_{}", routine.procedure.name, routine.oid)
}

pub(super) fn routines(catalogue: &Catalogue) -> Vec<Row> {
    let routines = catalogue.objects().routines.iter();
    routines
        .map(|routine| {
            row! {
                specific_catalog: CATALOG, specific_schema: "public", specific_name: specific_name(routine),
                routine_catalog: CATALOG, routine_schema: "public", routine_name: routine.procedure.name,
                routine_type: "PROCEDURE", routine_body: "EXTERNAL", parameter_style: "GENERAL",
                is_deterministic: "NO", sql_data_access: "MODIFIES", schema_level_routine: "YES",
                max_dynamic_result_sets: 0, security_type: "INVOKER", as_locator: "NO",
            }
        })
        .collect()
}

pub(super) fn parameters(catalogue: &Catalogue) -> Vec<Row> {
    let mut rows = Vec::new();
    for routine in &catalogue.objects().routines {
        for (at, parameter) in routine.procedure.parameters.iter().enumerate() {
            let kind = types::by_oid(argument_type(parameter.kind));
            rows.push(row! {
                specific_catalog: CATALOG, specific_schema: "public", specific_name: specific_name(routine),
                ordinal_position: count(at + 1), parameter_mode: "IN", is_result: "NO", as_locator: "NO",
                parameter_name: parameter.name, data_type: kind.map(|kind| kind.sql_name),
                udt_catalog: CATALOG, udt_schema: "pg_catalog", udt_name: kind.map(|kind| kind.name),
                dtd_identifier: (at + 1).to_string(),
                parameter_default: (!parameter.required).then_some("NULL"),
            });
        }
    }
    rows
}
