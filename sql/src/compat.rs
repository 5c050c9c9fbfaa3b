//! The catalogs that clients look around in: `pg_catalog` and `information_schema` of what a session can see, and the
//! functions that they are read with.
//!
//! They are put in front of a statement only if it names them. Statements that read nothing else are also rewritten where
//! the engine lacks PostgreSQL's notation; a statement that names any other relation is never changed.

mod cell;
mod functions;
mod objects;
mod rewrite;
mod rows;
mod shape;
mod types;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast;
use farthing_engine::principal::Role;
use farthing_engine::session::{BoundSession, SchemaSource};
use farthing_engine::{Error, Result};

use crate::session::Session;
use crate::setting::{self, Values};
use objects::Objects;
pub(crate) use rewrite::references::placeholders;

/// A setting with its present value.
struct SettingValue {
    name: &'static str,
    value: String,
    default: &'static str,
    about: &'static str,
    fixed: bool,
}

/// The catalogs of one statement of one session.
struct Catalogue {
    /// The session without the catalogs; what it sees is looked up when a catalog is read.
    bound: BoundSession,
    objects: OnceLock<Objects>,
    session: Session,
    user: String,
    role: Role,
    search_path: Vec<String>,
    settings: Vec<SettingValue>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").finish_non_exhaustive()
    }
}

impl Catalogue {
    fn new(bound: BoundSession, session: &Session) -> Result<Self> {
        let state = session.state()?;
        let settings =
            setting::SETTINGS
                .iter()
                .map(|setting| SettingValue {
                    name: setting.name,
                    value: state.value(setting.name),
                    default: setting.default,
                    about: setting.about,
                    fixed: matches!(setting.values, Values::Fixed),
                })
                .chain(CONSTANTS.iter().filter(|(name, ..)| setting::find(name).is_none()).map(
                    |(name, value, about)| SettingValue {
                        name,
                        value: (*value).to_owned(),
                        default: value,
                        about,
                        fixed: true,
                    },
                ))
                .collect();
        let search_path = schemas_of(&state.value("search_path"));
        drop(state);
        Ok(Self {
            bound,
            objects: OnceLock::new(),
            session: session.clone(),
            user: session.principal().name.clone(),
            role: session.principal().role,
            search_path,
            settings,
        })
    }

    fn objects(&self) -> &Objects {
        self.objects
            .get_or_init(|| Objects::of(&self.bound, &self.user, self.role))
    }
}

/// Settings that clients ask for and that nobody can set.
const CONSTANTS: &[(&str, &str, &str)] = &[
    (
        "default_table_access_method",
        "heap",
        "There are no other access methods.",
    ),
    ("max_identifier_length", "63", "The longest name in bytes."),
    ("max_index_keys", "32", "There are no indexes."),
];

/// The schemas of a search path that exist.
fn schemas_of(search_path: &str) -> Vec<String> {
    search_path
        .split(',')
        .map(|schema| schema.trim().trim_matches('"').to_owned())
        .filter(|schema| {
            ["public", "exports", "system"].contains(&schema.as_str()) || shape::SCHEMAS.contains(&schema.as_str())
        })
        .collect()
}

/// Tables by schema and name.
type Tables = BTreeMap<(&'static str, &'static str), Arc<dyn TableProvider>>;

/// What a source of schemas is to the engine.
#[derive(Debug)]
struct Source {
    catalogue: Arc<Catalogue>,
    /// Planning asks for a table several times; all times it gets the same rows.
    tables: Mutex<Tables>,
}

impl SchemaSource for Source {
    fn schemas(&self) -> &'static [&'static str] {
        &shape::SCHEMAS
    }

    fn knows(&self, schema: &str, name: &str) -> bool {
        shape::find(schema, name).is_some()
    }

    fn table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(shape) = shape::find(schema, name) else {
            return Ok(None);
        };
        let mut tables = self
            .tables
            .lock()
            .map_err(|_| Error::defect("the catalogs are unusable after a failure"))?;
        if let Some(table) = tables.get(&(shape.schema, shape.name)) {
            return Ok(Some(Arc::clone(table)));
        }
        let batch = cell::batch(shape, &rows::of(&self.catalogue, schema, name))?;
        let table: Arc<dyn TableProvider> = Arc::new(
            MemTable::try_new(batch.schema(), vec![vec![batch]])
                .map_err(|error| Error::defect(format!("{schema}.{name}: {error}")))?,
        );
        tables.insert((shape.schema, shape.name), Arc::clone(&table));
        Ok(Some(table))
    }

    fn functions(&self) -> Vec<Arc<ScalarUDF>> {
        functions::all(&self.catalogue)
    }
}

/// Gives a session the catalogs if the statement names them, and fits the statement to the engine if it reads nothing else.
pub(crate) fn extend(bound: BoundSession, session: &Session, tree: &mut ast::Statement) -> Result<BoundSession> {
    let found = rewrite::references::of(tree);
    if !found.concerns_catalogs() {
        return Ok(bound);
    }
    let catalogue = Arc::new(Catalogue::new(bound.clone(), session)?);
    if !found.others {
        rewrite::statement(tree, &catalogue.search_path, found.ctes);
    }
    bound.with_schemas(Arc::new(Source {
        catalogue,
        tables: Mutex::default(),
    }))
}

#[cfg(test)]
mod tests;
