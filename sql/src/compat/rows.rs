//! The rows of `pg_catalog`.

mod standard;

use datafusion::sql::sqlparser::keywords::{ALL_KEYWORDS, RESERVED_FOR_COLUMN_ALIAS};

use super::Catalogue;
use super::cell::{Cell, Row, count, row};
use super::objects::{
    CLASS_OF_PROCEDURES, CLASS_OF_RELATIONS, CLASS_OF_SCHEMAS, OWNER, OWNER_NAME, Objects, TABLESPACE, VOID,
    argument_type,
};
use super::shape::{INFORMATION_SCHEMA, PG_CATALOG};
use super::types::{self, TYPES};
use crate::frontend::CATALOG;

/// Makes the rows of one relation.
type Rows = fn(&Catalogue) -> Vec<Row>;

/// The relations that can have rows; all others are always empty.
const FILLED: &[(&str, &str, Rows)] = &[
    (PG_CATALOG, "pg_namespace", namespaces),
    (PG_CATALOG, "pg_class", classes),
    (PG_CATALOG, "pg_attribute", attributes),
    (PG_CATALOG, "pg_type", types),
    (PG_CATALOG, "pg_proc", procedures),
    (PG_CATALOG, "pg_description", descriptions),
    (PG_CATALOG, "pg_database", databases),
    (PG_CATALOG, "pg_tablespace", tablespaces),
    (PG_CATALOG, "pg_roles", roles),
    (PG_CATALOG, "pg_user", users),
    (PG_CATALOG, "pg_settings", settings),
    (PG_CATALOG, "pg_tables", tables),
    (PG_CATALOG, "pg_views", views),
    (PG_CATALOG, "pg_get_keywords", keywords),
    (
        INFORMATION_SCHEMA,
        "information_schema_catalog_name",
        standard::catalog_name,
    ),
    (INFORMATION_SCHEMA, "character_sets", standard::character_sets),
    (INFORMATION_SCHEMA, "schemata", standard::schemata),
    (INFORMATION_SCHEMA, "tables", standard::tables),
    (INFORMATION_SCHEMA, "views", standard::views),
    (INFORMATION_SCHEMA, "columns", standard::columns),
    (INFORMATION_SCHEMA, "routines", standard::routines),
    (INFORMATION_SCHEMA, "parameters", standard::parameters),
    (INFORMATION_SCHEMA, "enabled_roles", standard::enabled_roles),
];

/// Whether the relation can have rows.
pub(super) fn is_filled(schema: &str, name: &str) -> bool {
    FILLED.iter().any(|(s, n, _)| *s == schema && *n == name)
}

/// The rows of a relation.
pub(super) fn of(catalogue: &Catalogue, schema: &str, name: &str) -> Vec<Row> {
    let rows = FILLED.iter().find(|(s, n, _)| *s == schema && *n == name);
    rows.map_or_else(Vec::new, |(_, _, rows)| rows(catalogue))
}

fn namespaces(catalogue: &Catalogue) -> Vec<Row> {
    let namespaces = catalogue.objects().namespaces.iter();
    namespaces
        .map(|namespace| row! { oid: namespace.oid, nspname: &namespace.name, nspowner: OWNER })
        .collect()
}

fn classes(catalogue: &Catalogue) -> Vec<Row> {
    let objects: &Objects = catalogue.objects();
    objects
        .relations
        .iter()
        .map(|relation| {
            row! {
                oid: relation.oid,
                relname: &relation.name,
                relnamespace: objects.namespace(&relation.schema),
                reltype: 0, reloftype: 0, relowner: OWNER, relam: 0, relfilenode: 0, reltablespace: 0,
                relpages: 0, reltuples: -1, relallvisible: 0, reltoastrelid: 0,
                relhasindex: false, relisshared: false,
                relpersistence: "p",
                relkind: relation.kind,
                relnatts: count(relation.columns.len()),
                relchecks: 0,
                relhasrules: false, relhastriggers: false, relhassubclass: false,
                relrowsecurity: false, relforcerowsecurity: false, relispopulated: true,
                relreplident: if relation.kind == "r" { "d" } else { "n" },
                relispartition: false,
                relrewrite: 0, relfrozenxid: 0, relminmxid: 0,
            }
        })
        .collect()
}

fn attributes(catalogue: &Catalogue) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in &catalogue.objects().relations {
        for (at, column) in relation.columns.iter().enumerate() {
            let kind = types::by_oid(column.type_oid);
            rows.push(row! {
                attrelid: relation.oid,
                attname: &column.name,
                atttypid: column.type_oid,
                attstattarget: -1,
                attlen: kind.map_or(-1, |kind| kind.len),
                attnum: count(at + 1),
                attndims: i64::from(kind.is_some_and(|kind| kind.is_array())),
                attcacheoff: -1,
                atttypmod: column.modifier,
                attbyval: kind.is_some_and(|kind| kind.by_value),
                attalign: kind.map_or("i", |kind| kind.align),
                attstorage: kind.map_or("x", |kind| kind.storage),
                attcompression: "",
                attnotnull: false, atthasdef: false, atthasmissing: false,
                attidentity: "", attgenerated: "",
                attisdropped: false, attislocal: true, attinhcount: 0,
                attcollation: kind.map_or(0, |kind| kind.collation),
            });
        }
    }
    rows
}

fn types(catalogue: &Catalogue) -> Vec<Row> {
    let namespace = catalogue.objects().namespace(PG_CATALOG);
    TYPES
        .iter()
        .map(|kind| {
            let [input, output, receive, send, modin, modout] = kind.functions;
            row! {
                oid: kind.oid, typname: kind.name, typnamespace: namespace, typowner: OWNER,
                typlen: kind.len, typbyval: kind.by_value, typtype: kind.kind, typcategory: kind.category,
                typispreferred: kind.preferred, typisdefined: true, typdelim: ",", typrelid: 0,
                typsubscript: if kind.is_array() { "array_subscript_handler" } else { "-" },
                typelem: kind.elem, typarray: kind.array,
                typinput: input, typoutput: output, typreceive: receive, typsend: send,
                typmodin: modin, typmodout: modout, typanalyze: "-",
                typalign: kind.align, typstorage: kind.storage, typnotnull: false,
                typbasetype: 0, typtypmod: -1, typndims: 0, typcollation: kind.collation,
            }
        })
        .collect()
}

fn procedures(catalogue: &Catalogue) -> Vec<Row> {
    let objects = catalogue.objects();
    let namespace = objects.namespace("public");
    objects
        .routines
        .iter()
        .map(|routine| {
            let parameters = routine.procedure.parameters;
            row! {
                oid: routine.oid,
                proname: routine.procedure.name,
                pronamespace: namespace, proowner: OWNER, prolang: 0, procost: 1, prorows: 0, provariadic: 0,
                prosupport: "-", prokind: "p",
                prosecdef: false, proleakproof: false, proisstrict: false, proretset: false,
                provolatile: "v", proparallel: "u",
                pronargs: count(parameters.len()),
                pronargdefaults: count(parameters.iter().filter(|p| !p.required).count()),
                prorettype: VOID,
                proargtypes: Cell::Numbers(parameters.iter().map(|p| argument_type(p.kind)).collect()),
                proargnames: Cell::Texts(parameters.iter().map(|p| p.name.to_owned()).collect()),
            }
        })
        .collect()
}

fn descriptions(catalogue: &Catalogue) -> Vec<Row> {
    let objects = catalogue.objects();
    let mut rows = Vec::new();
    let mut describe = |oid: i64, class: i64, part: usize, about: Option<&str>| {
        if let Some(about) = about {
            rows.push(row! { objoid: oid, classoid: class, objsubid: count(part), description: about });
        }
    };
    for namespace in &objects.namespaces {
        describe(namespace.oid, CLASS_OF_SCHEMAS, 0, namespace.about);
    }
    for relation in &objects.relations {
        describe(relation.oid, CLASS_OF_RELATIONS, 0, relation.about);
        for (at, column) in relation.columns.iter().enumerate() {
            describe(relation.oid, CLASS_OF_RELATIONS, at + 1, column.about);
        }
    }
    for routine in &objects.routines {
        describe(routine.oid, CLASS_OF_PROCEDURES, 0, Some(routine.procedure.about));
    }
    rows
}

fn databases(_: &Catalogue) -> Vec<Row> {
    vec![row! {
        oid: 16_384, datname: CATALOG, datdba: OWNER, encoding: 6, datlocprovider: "c",
        datistemplate: false, datallowconn: true, datconnlimit: -1, datfrozenxid: 0, datminmxid: 0,
        dattablespace: TABLESPACE, datcollate: "C", datctype: "C",
    }]
}

fn tablespaces(_: &Catalogue) -> Vec<Row> {
    vec![row! { oid: TABLESPACE, spcname: "pg_default", spcowner: OWNER }]
}

fn roles(catalogue: &Catalogue) -> Vec<Row> {
    let roles = catalogue.objects().roles.iter();
    roles
        .map(|role| {
            row! {
                rolname: &role.name, rolsuper: false, rolinherit: true, rolcreaterole: role.creates_roles,
                rolcreatedb: false, rolcanlogin: role.can_login, rolreplication: false, rolconnlimit: -1,
                rolpassword: "********", rolbypassrls: false, oid: role.oid,
            }
        })
        .collect()
}

fn users(catalogue: &Catalogue) -> Vec<Row> {
    let roles = catalogue.objects().roles.iter().filter(|role| role.can_login);
    roles
        .map(|role| {
            row! {
                usename: &role.name, usesysid: role.oid, usecreatedb: false, usesuper: false, userepl: false,
                usebypassrls: false, passwd: "********",
            }
        })
        .collect()
}

fn settings(catalogue: &Catalogue) -> Vec<Row> {
    let settings = catalogue.settings.iter();
    settings
        .map(|setting| {
            row! {
                name: setting.name, setting: &setting.value, category: "Farthing", short_desc: setting.about,
                context: if setting.fixed { "internal" } else { "user" },
                vartype: "string",
                source: if setting.value == setting.default { "default" } else { "session" },
                boot_val: setting.default, reset_val: setting.default, pending_restart: false,
            }
        })
        .collect()
}

fn tables(catalogue: &Catalogue) -> Vec<Row> {
    let tables = catalogue.objects().relations.iter().filter(|r| r.kind == "r");
    tables
        .map(|table| {
            row! {
                schemaname: &table.schema, tablename: &table.name, tableowner: OWNER_NAME,
                hasindexes: false, hasrules: false, hastriggers: false, rowsecurity: false,
            }
        })
        .collect()
}

fn views(catalogue: &Catalogue) -> Vec<Row> {
    let views = catalogue.objects().relations.iter().filter(|r| r.kind == "v");
    views
        .map(|view| row! { schemaname: &view.schema, viewname: &view.name, viewowner: OWNER_NAME })
        .collect()
}

/// The words that the parser knows; reserved are those that cannot name a column.
fn keywords(_: &Catalogue) -> Vec<Row> {
    let reserved: Vec<String> = RESERVED_FOR_COLUMN_ALIAS
        .iter()
        .map(|word| format!("{word:?}"))
        .collect();
    ALL_KEYWORDS
        .iter()
        .map(|word| {
            let reserved = reserved.iter().any(|reserved| reserved == word);
            row! {
                word: word.to_ascii_lowercase(),
                catcode: if reserved { "R" } else { "U" },
                barelabel: !reserved,
                catdesc: if reserved { "reserved" } else { "unreserved" },
                baredesc: if reserved { "requires AS" } else { "can be bare label" },
            }
        })
        .collect()
}
