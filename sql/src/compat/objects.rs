//! What a session can see, numbered as PostgreSQL numbers it: schemas, relations with columns, procedures, roles.
//!
//! OIDs are computed from qualified names, so that they are the same on every server and after every start.

use std::collections::BTreeSet;

use farthing_engine::costs;
use farthing_engine::principal::Role;
use farthing_engine::session::BoundSession;

use super::shape::{INFORMATION_SCHEMA, PG_CATALOG, SHAPES};
use super::types;
use crate::frontend::CATALOG;
use crate::procedure::{ArgumentKind, Procedure, procedures};

/// The role that owns everything; PostgreSQL gives its first role this OID. Nobody can log in as it.
pub(super) const OWNER: i64 = 10;
/// The owner's name.
pub(super) const OWNER_NAME: &str = CATALOG;
/// The OIDs of the catalogs that descriptions refer to.
pub(super) const CLASS_OF_RELATIONS: i64 = 1259;
pub(super) const CLASS_OF_PROCEDURES: i64 = 1255;
pub(super) const CLASS_OF_SCHEMAS: i64 = 2615;
/// The only tablespace, with PostgreSQL's OID.
pub(super) const TABLESPACE: i64 = 1663;
/// `void`.
pub(super) const VOID: i64 = 2278;

/// A schema.
#[derive(Debug)]
pub(super) struct Namespace {
    pub oid: i64,
    pub name: String,
    pub about: Option<&'static str>,
}

/// A column.
#[derive(Debug)]
pub(super) struct Attribute {
    pub name: String,
    /// The OID of its type.
    pub type_oid: i64,
    /// Precision and scale of a NUMERIC, or -1.
    pub modifier: i64,
    pub about: Option<&'static str>,
}

/// A table or view.
#[derive(Debug)]
pub(super) struct Relation {
    pub oid: i64,
    pub schema: String,
    pub name: String,
    /// `r` or `v`.
    pub kind: &'static str,
    pub about: Option<&'static str>,
    pub columns: Vec<Attribute>,
}

/// A procedure.
pub(super) struct Routine {
    pub oid: i64,
    pub procedure: &'static Procedure,
}

/// A role.
#[derive(Debug)]
pub(super) struct RoleEntry {
    pub oid: i64,
    pub name: String,
    pub can_login: bool,
    pub creates_roles: bool,
}

/// Everything.
pub(super) struct Objects {
    pub namespaces: Vec<Namespace>,
    pub relations: Vec<Relation>,
    pub routines: Vec<Routine>,
    pub roles: Vec<RoleEntry>,
}

/// Deals out OIDs above those that PostgreSQL keeps for itself, by name. Two names that fall on one number are rare; the
/// second one asked for gets the next of its own row of numbers.
#[derive(Default)]
struct Oids(BTreeSet<i64>);

impl Oids {
    fn of(&mut self, class: &str, name: &str) -> i64 {
        const FIRST: u64 = 16_384;
        const PAST: u64 = 1 << 31;
        // FNV-1a, 64 bits: the same on every machine.
        let hash = |salt: u64| {
            let bytes = class.bytes().chain([0]).chain(name.bytes());
            bytes.fold(0xcbf2_9ce4_8422_2325_u64 ^ salt, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
        };
        (0..)
            .map(|salt| i64::try_from(FIRST + hash(salt) % (PAST - FIRST)).unwrap_or(i64::MAX))
            .find(|oid| self.0.insert(*oid))
            .unwrap_or(i64::MAX)
    }
}

impl Objects {
    /// What the session sees.
    pub(super) fn of(bound: &BoundSession, user: &str, role: Role) -> Self {
        let mut oids = Oids::default();
        let relations = relations(bound, &mut oids);
        let namespaces = [
            (PG_CATALOG, 11, None),
            (INFORMATION_SCHEMA, 0, None),
            ("public", 2200, Some("Costs of all connected accounts")),
            (
                "exports",
                0,
                Some("One table for each export, with its columns as delivered"),
            ),
            ("system", 0, Some("What is connected, delivered and imported")),
        ]
        .into_iter()
        .map(|(name, oid, about)| Namespace {
            oid: if oid == 0 { oids.of("schema", name) } else { oid },
            name: name.to_owned(),
            about,
        })
        .collect();
        let routines = procedures()
            .iter()
            .map(|procedure| Routine {
                oid: oids.of("procedure", procedure.name),
                procedure,
            })
            .collect();
        // Whoever manages roles sees all of them; everybody else sees no other.
        let logins = bound.lease().document.logins.values();
        let mut known: Vec<(String, Role)> = logins
            .filter(|_| role == Role::Admin)
            .map(|login| (login.name.clone(), login.role))
            .collect();
        if known.iter().all(|(name, _)| name != user) {
            known.push((user.to_owned(), role));
        }
        let mut roles: Vec<RoleEntry> = known
            .into_iter()
            .map(|(name, role)| RoleEntry {
                oid: if name == OWNER_NAME {
                    OWNER
                } else {
                    oids.of("role", &name)
                },
                name,
                can_login: true,
                creates_roles: role == Role::Admin,
            })
            .collect();
        if roles.iter().all(|role| role.oid != OWNER) {
            roles.push(RoleEntry {
                oid: OWNER,
                name: OWNER_NAME.to_owned(),
                can_login: false,
                creates_roles: false,
            });
        }
        Self {
            namespaces,
            relations,
            routines,
            roles,
        }
    }

    /// The OID of a schema; 0 if there is none of the name.
    pub(super) fn namespace(&self, name: &str) -> i64 {
        self.namespaces.iter().find(|n| n.name == name).map_or(0, |n| n.oid)
    }

    /// The relation of an OID.
    pub(super) fn relation(&self, oid: i64) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }

    /// The relation that a name means, with or without its schema.
    pub(super) fn relation_named(&self, name: &str, search_path: &[String]) -> Option<&Relation> {
        let parts = identifiers(name);
        let named = |schema: &str, name: &str| self.relations.iter().find(|r| r.schema == schema && r.name == name);
        match parts.as_slice() {
            [name] => std::iter::once(PG_CATALOG)
                .chain(search_path.iter().map(String::as_str))
                .find_map(|schema| named(schema, name)),
            [schema, name] | [_, schema, name] => named(schema, name),
            _ => None,
        }
    }

    /// Whether the relation is found without its schema.
    pub(super) fn is_visible(&self, oid: i64, search_path: &[String]) -> bool {
        self.relation(oid).is_some_and(|relation| {
            let found = self.relation_named(&quoted(&relation.name), search_path);
            found.is_some_and(|found| found.oid == oid)
        })
    }
}

fn relations(bound: &BoundSession, oids: &mut Oids) -> Vec<Relation> {
    let mut relations = Vec::new();
    for table in bound.tables() {
        let public = table.schema == "public";
        let about_column = |name: &str| costs::about_column(&table.name, name).filter(|_| public);
        let columns = table.columns.fields().iter().map(|field| {
            let (type_oid, modifier) = types::of_arrow(field.data_type());
            Attribute {
                name: field.name().clone(),
                type_oid,
                modifier,
                about: about_column(field.name()),
            }
        });
        relations.push(Relation {
            oid: oids.of("relation", &format!("{}.{}", table.schema, table.name)),
            kind: if table.schema == "exports" { "r" } else { "v" },
            about: costs::about(&table.name).filter(|_| public),
            columns: columns.collect(),
            schema: table.schema,
            name: table.name,
        });
    }
    for shape in SHAPES.iter().filter(|shape| shape.kind != "f") {
        let name = format!("{}.{}", shape.schema, shape.name);
        let columns = shape.columns.iter().map(|(name, kind)| Attribute {
            name: (*name).to_owned(),
            type_oid: types::by_name(kind).map_or(25, |kind| kind.oid),
            modifier: -1,
            about: None,
        });
        relations.push(Relation {
            oid: if shape.oid == 0 {
                oids.of("relation", &name)
            } else {
                shape.oid
            },
            schema: shape.schema.to_owned(),
            name: shape.name.to_owned(),
            kind: shape.kind,
            about: None,
            columns: columns.collect(),
        });
    }
    relations
}

/// The OID of an argument's type.
pub(super) fn argument_type(kind: ArgumentKind) -> i64 {
    types::by_name(kind.sql_type()).map_or(25, |kind| kind.oid)
}

/// A procedure's arguments as `\df` and `information_schema` show them.
pub(super) fn arguments(procedure: &Procedure) -> String {
    let arguments: Vec<String> = procedure
        .parameters
        .iter()
        .map(|parameter| {
            let default = if parameter.required { "" } else { " DEFAULT NULL" };
            format!("IN {} {}{default}", parameter.name, parameter.kind.sql_type())
        })
        .collect();
    arguments.join(", ")
}

/// The identifiers of a qualified name: unquoted ones in lower case.
fn identifiers(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = name.trim().chars().peekable();
    while let Some(character) = characters.next() {
        let Some(last) = parts.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                last.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other if quoted => last.push(other),
            other => last.extend(other.to_lowercase()),
        }
    }
    parts
}

/// An identifier in quotes where it needs them.
pub(super) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
