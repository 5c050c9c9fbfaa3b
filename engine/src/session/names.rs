//! What names mean: `public.costs`, `exports.<id>`, `system.<table>`, and the search path.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{LogicalPlan, TableType};

use super::functions::Recall;
use super::{CATALOG, SchemaSource, TableEntry, TableKind};
use crate::costs::calendar::span::Span;
use crate::costs::calendar::{self, COSTS_DAILY, COSTS_MONTHLY};
use crate::costs::owners::{AccountNames, Owners};
use crate::costs::{self, commitments, compare};
use crate::error::Result;
use crate::id::ExportId;
use crate::system::{SystemProvider, SystemTable, SystemView};
use crate::table::{Audience, Files, SnapshotTable};

/// The schema that DataFusion looks unqualified names up in; it stands for the search path and cannot be named.
pub(super) const SEARCH_PATH: &str = "\u{1}search_path";

/// The schemas, in the order in which they are listed.
const SCHEMAS: [&str; 3] = ["public", "exports", "system"];

/// Everything that a bound session can name.
#[derive(Clone)]
pub(super) struct Names {
    pub view: SystemView,
    pub files: Files,
    pub system: Arc<[Arc<dyn SystemTable>]>,
    pub search_path: Vec<String>,
    pub owners: Arc<Owners>,
    pub further: Option<Arc<dyn SchemaSource>>,
    pub recall: Arc<Recall>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    fn tables_of(&self, schema: &str) -> Vec<String> {
        match schema {
            "public" => [costs::COSTS, COSTS_DAILY, COSTS_MONTHLY].map(str::to_owned).to_vec(),
            "exports" => self
                .view
                .lease
                .document
                .exports
                .keys()
                .map(ToString::to_string)
                .collect(),
            "system" => {
                let mut names: Vec<String> = self.system.iter().map(|table| table.name().to_owned()).collect();
                names.extend([compare::MIGRATION_CHECK, commitments::SHARED_COMMITMENTS].map(str::to_owned));
                names.sort_unstable();
                names
            }
            _ => Vec::new(),
        }
    }

    /// Whether there is such a relation, without looking at its columns.
    pub(super) fn knows(&self, schema: &str, name: &str) -> bool {
        match schema {
            SEARCH_PATH => self
                .implicit_schema()
                .chain(self.search_path.iter().map(String::as_str))
                .any(|schema| schema != SEARCH_PATH && self.knows(schema, name)),
            schema => {
                self.tables_of(schema).iter().any(|known| known == name)
                    || self.further.as_ref().is_some_and(|further| further.knows(schema, name))
            }
        }
    }

    pub(super) fn table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match schema {
            SEARCH_PATH => self
                .implicit_schema()
                .chain(self.search_path.iter().map(String::as_str))
                .filter(|schema| *schema != SEARCH_PATH)
                .find_map(|schema| self.table(schema, name).transpose())
                .transpose(),
            "public" => {
                let plan = match name {
                    costs::COSTS => self.costs()?,
                    COSTS_DAILY => calendar::plan(self.costs()?, Span::Day)?,
                    COSTS_MONTHLY => calendar::plan(self.costs()?, Span::Month)?,
                    _ => return Ok(None),
                };
                Ok(Some(Arc::new(ViewTable::new(plan, None))))
            }
            "exports" => self.export(name),
            "system" if name == compare::MIGRATION_CHECK => {
                let plan = compare::plan(&self.view.lease, &self.view.scope, &self.files)?;
                Ok(Some(Arc::new(ViewTable::new(plan, None))))
            }
            "system" if name == commitments::SHARED_COMMITMENTS => {
                let plan = commitments::plan(&self.view.lease, &self.view.scope, &self.files)?;
                Ok(Some(Arc::new(ViewTable::new(plan, None))))
            }
            "system" => Ok(self.system.iter().find(|table| table.name() == name).map(|table| {
                Arc::new(SystemProvider {
                    table: Arc::clone(table),
                    view: self.view.clone(),
                }) as Arc<dyn TableProvider>
            })),
            _ => self
                .further
                .as_ref()
                .map_or(Ok(None), |further| further.table(schema, name)),
        }
    }

    fn costs(&self) -> Result<LogicalPlan> {
        let SystemView { lease, scope, .. } = &self.view;
        costs::plan(lease, scope, &self.files, &self.account_names())
    }

    /// Names of the accounts of the scope.
    pub(super) fn account_names(&self) -> AccountNames {
        self.owners.names(&self.view.scope)
    }

    /// The schema that is looked up before the search path.
    fn implicit_schema(&self) -> impl Iterator<Item = &str> {
        self.further
            .iter()
            .filter_map(|further| further.schemas().first().copied())
    }

    /// Whether there is a schema of this name, listed or not.
    fn has_schema(&self, name: &str) -> bool {
        name == SEARCH_PATH
            || SCHEMAS.contains(&name)
            || self
                .further
                .as_ref()
                .is_some_and(|further| further.schemas().contains(&name))
    }

    fn export(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let lease = &self.view.lease;
        let Some(export) = name
            .parse()
            .ok()
            .and_then(|id: ExportId| lease.document.exports.get(&id))
        else {
            return Ok(None);
        };
        let periods = lease.snapshots.get(&export.id);
        let snapshots = periods
            .into_iter()
            .flat_map(|periods| periods.values().map(|snapshot| lease.readable(snapshot)))
            .collect();
        let table = SnapshotTable::try_new(
            Arc::clone(lease),
            export.clone(),
            snapshots,
            self.view.scope.clone(),
            self.files.clone(),
            Audience::Statement,
        )?;
        Ok(Some(Arc::new(table)))
    }

    pub(super) fn entries(&self) -> Vec<TableEntry> {
        let mut entries = Vec::new();
        for schema in SCHEMAS {
            for name in self.tables_of(schema) {
                match self.table(schema, &name) {
                    Ok(Some(table)) => entries.push(TableEntry {
                        schema: schema.to_owned(),
                        name,
                        kind: match table.table_type() {
                            TableType::Base => TableKind::Table,
                            TableType::View | TableType::Temporary => TableKind::View,
                        },
                        columns: table.schema(),
                    }),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(schema, name, %error, "a table is not listed"),
                }
            }
        }
        entries
    }
}

/// The only catalog.
#[derive(Debug)]
pub(super) struct OneCatalog(pub Arc<Names>);

impl CatalogProviderList for OneCatalog {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(Schemas(Arc::clone(&self.0))) as _)
    }
}

#[derive(Debug)]
struct Schemas(Arc<Names>);

impl CatalogProvider for Schemas {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.map(str::to_owned).to_vec()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.0.has_schema(name).then(|| {
            Arc::new(Tables {
                names: Arc::clone(&self.0),
                schema: name.to_owned(),
            }) as _
        })
    }
}

#[derive(Debug)]
struct Tables {
    names: Arc<Names>,
    schema: String,
}

#[async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        self.names.tables_of(&self.schema)
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.names.table(&self.schema, name)?)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.names.knows(&self.schema, name)
    }
}
