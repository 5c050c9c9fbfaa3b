//! The one place where a DataFusion session is built: names resolve in one leased catalog version, seen through one scope.
//!
//! A template holds functions, rules and limits, once per process. [`SessionBuilder::bind`] copies it for a statement and
//! adds what the statement may see. [`BoundSession::plan`] takes queries alone; what it returns is the only thing that
//! executors accept.

mod checked;
mod cooperate;
mod currency;
mod distinctly;
mod doubles;
mod functions;
mod internal;
mod names;

mod optimizer;
mod query;
mod repeat;
mod rollup;
mod safe_first;
mod shredded;
mod sum_of_sums;
mod switch;
mod tagged;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::config::Dialect;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionState;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::Analyzer;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::aggregate_statistics::AggregateStatistics;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::prelude::SessionConfig;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use self::checked::{Checked, NotDistinct};
use self::currency::CurrencyRule;
use self::doubles::DoublesRule;
use crate::account::policy;
use crate::cache::disk::RangeCache;
use crate::cache::result::{Meaning, ResultCache};
use crate::cache::{Bound, CacheInfo, Counters};
use crate::catalog::{Archive, Lease};
use crate::costs::owners::KnownOwners;
use crate::costs::tag;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::datafusion_error;
use crate::limit::Limits;
use crate::principal::Principal;
use crate::resource;
use crate::scope::AccountScope;
use crate::scope::check::ScopeCheck;
use crate::scope::rule::ScopeRule;
use crate::store::ExportStores;
use crate::system::tables::caches::{CACHES, Caches};
use crate::system::{SystemTable, SystemView};
use crate::table::{ColumnCache, EXPORT_SCHEME, Files, FooterCache};
pub use query::BoundQuery;
pub use switch::Switch;

/// The name of the database.
pub const CATALOG: &str = "farthing";

/// Functions that say something about files: where rows lie, and how many others lie before them.
const WITHHELD_FUNCTIONS: [&str; 2] = ["input_file_name", "file_row_index"];

/// Longer `IN` lists are not used to prune row groups, since each value is compared with each row group's statistics.
const PRUNED_LIST: usize = 100;

/// What a connection sets and a statement obeys.
#[derive(Debug, Clone)]
pub struct QuerySettings {
    /// The time zone that timestamps with time zone are shown in, as IANA name or offset.
    pub time_zone: String,
    /// Into how many partitions work is cut.
    pub target_partitions: usize,
    /// The longest a statement may run, to its last row.
    pub statement_timeout: Duration,
    /// Schemas that unqualified names are looked up in, in order.
    pub search_path: Vec<String>,
    /// Whether a rollup may answer for the rows that it sums up.
    pub rollup: Switch,
    /// Whether a former result may be given again.
    pub result_cache: Switch,
    /// What `now()` is for the whole statement.
    pub now: DateTime<Utc>,
}

impl QuerySettings {
    /// The settings of a connection that set nothing.
    pub fn new(limits: &Limits, now: DateTime<Utc>) -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            target_partitions: limits.query_slots,
            statement_timeout: limits.statement_timeout,
            search_path: vec!["public".to_owned()],
            rollup: Switch::On,
            result_cache: Switch::On,
            now,
        }
    }
}

/// Builds sessions. One per process: its memory pool, spill space and footer cache are shared by all statements.
pub struct SessionBuilder {
    template: SessionState,
    files: Files,
    system: Arc<[Arc<dyn SystemTable>]>,
    owners: KnownOwners,
    archive: Arc<Archive>,
    results: ResultCache,
    plans: CacheInfo,
}

impl std::fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBuilder").finish_non_exhaustive()
    }
}

impl SessionBuilder {
    /// A builder within `limits` whose statements spill into `spill_directory`. Error: `Disk` if that cannot be used.
    pub fn try_new(
        limits: &Limits,
        stores: Arc<ExportStores>,
        mut system: Vec<Arc<dyn SystemTable>>,
        spill_directory: &Path,
    ) -> Result<Self> {
        let runtime = runtime(limits, spill_directory)
            .map_err(|error| Error::new(ErrorKind::Disk, "the spill directory cannot be used").with_source(error))?;
        let footers = FooterCache::new(limits.footer_cache_bytes);
        let results = ResultCache::new(limits.result_cache_bytes);
        let plans = CacheInfo {
            name: "plans",
            bound: Bound::Entries(limits.plan_cache_entries as u64),
            counters: Arc::<Counters>::default(),
        };
        let columns = ColumnCache::new(limits.rollup_cache_bytes);
        let caches = vec![footers.info(), plans.clone(), results.info(), columns.info()];
        system.push(Arc::new(Caches(caches)));
        Ok(Self {
            template: template(runtime),
            archive: Arc::new(Archive::new(stores.own())),
            results,
            plans,
            files: Files {
                stores,
                footers,
                columns,
                ranges: None,
            },
            system: system.into(),
            owners: KnownOwners::default(),
        })
    }

    /// The same with ranges of buckets kept on disk.
    pub fn with_ranges(mut self, ranges: RangeCache) -> Self {
        let caches = vec![
            self.files.footers.info(),
            self.plans.clone(),
            ranges.info(),
            self.results.info(),
            self.files.columns.info(),
        ];
        let mut system: Vec<_> = self
            .system
            .iter()
            .filter(|table| table.name() != CACHES)
            .cloned()
            .collect();
        system.push(Arc::new(Caches(caches)));
        self.system = system.into();
        self.files.ranges = Some(ranges);
        self
    }

    /// Where whoever keeps plans of statements counts them.
    pub fn plans(&self) -> &CacheInfo {
        &self.plans
    }

    /// A session for statements of `principal` in the catalog version of `lease`. Makes no request.
    pub async fn bind(&self, lease: Lease, principal: &Principal, settings: &QuerySettings) -> Result<BoundSession> {
        let scope = AccountScope::of(&lease, principal);
        let currencies = CurrencyRule::needed(self.owners.of(&lease).currencies(&scope));
        let view = SystemView {
            lease,
            principal: principal.clone(),
            scope,
            archive: Arc::clone(&self.archive),
            now: settings.now,
        };
        self.session(view, settings, currencies)
    }

    /// The session of what `view` shows.
    fn session(
        &self,
        view: SystemView,
        settings: &QuerySettings,
        currencies: Option<CurrencyRule>,
    ) -> Result<BoundSession> {
        let scope = view.scope.clone();
        let owners = self.owners.of(&view.lease);
        let names = Arc::new(names::Names {
            view,
            files: self.files.clone(),
            system: Arc::clone(&self.system),
            search_path: settings.search_path.clone(),
            owners,
            further: None,
            recall: Arc::new(functions::Recall::new(Arc::clone(&self.archive))),
        });
        let mut builder = SessionStateBuilder::new_from_existing(self.template.clone());
        let mut config = builder
            .config()
            .take()
            .unwrap_or_default()
            .with_target_partitions(settings.target_partitions.max(1));
        settings
            .time_zone
            .parse::<arrow::array::timezone::Tz>()
            .map_err(|_| bad_time_zone(&settings.time_zone))?;
        config.options_mut().execution.time_zone = Some(settings.time_zone.clone());
        let mut rules = self.template.physical_optimizers().to_vec();
        let mut analyzer = self.template.analyzer().rules.clone();
        if let Some(rule) = currencies {
            // Last: what it adds has its types already.
            analyzer.push(Arc::new(rule));
        }
        rules.push(Arc::new(ScopeCheck::new(scope)));
        let mut state = builder
            .with_config(config)
            .with_analyzer_rules(analyzer)
            .with_optimizer_rules(match settings.rollup {
                Switch::On => self.template.optimizers().to_vec(),
                Switch::Off => optimizer::rules(Switch::Off),
            })
            .with_catalog_list(Arc::new(names::OneCatalog(Arc::clone(&names))))
            .with_physical_optimizer_rules(rules)
            .build();
        state.execution_props_mut().query_execution_start_time = Some(settings.now);
        for function in functions::Function::ALL {
            let names = Arc::clone(&names);
            state.register_udtf(function.name(), Arc::new(functions::Call { function, names }));
        }
        Ok(BoundSession {
            state: Arc::new(state),
            names,
            results: (settings.result_cache.is_on() && self.results.holds_any()).then(|| self.results.clone()),
            meaning: Meaning {
                time_zone: settings.time_zone.clone(),
                target_partitions: settings.target_partitions,
                rollup: settings.rollup,
            },
        })
    }
}

fn bad_time_zone(name: &str) -> Error {
    Error::new(ErrorKind::BadValue, format!("\"{name}\" is not a time zone"))
        .with_hint("Use a name such as 'UTC' or 'Europe/Berlin', or an offset such as '+02:00'.")
}

fn runtime(limits: &Limits, spill_directory: &Path) -> DataFusionResult<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill_directory.to_path_buf()]))
        .with_max_temp_directory_size(limits.spill_bytes);
    // DataFusion's own caches know neither the bucket nor the ETag of what they hold.
    let caches = CacheManagerConfig::default()
        .with_file_statistics_cache_limit(0)
        .with_list_files_cache_limit(0)
        .with_metadata_cache_limit(0);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.query_memory)))
        .with_disk_manager_builder(disk)
        .with_cache_manager(caches)
        .with_object_store_registry(Arc::new(NoStores(Arc::new(InMemory::new()))))
        .build_arc()
}

/// DataFusion asks its registry for a store before a leaf opens. This one has nothing in it and takes nothing in: files
/// are read by pinned readers alone, and no URL of a statement leads anywhere.
#[derive(Debug)]
struct NoStores(Arc<InMemory>);

impl ObjectStoreRegistry for NoStores {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        if url.scheme() == EXPORT_SCHEME {
            Ok(Arc::clone(&self.0) as _)
        } else {
            Err(Error::new(ErrorKind::Unsupported, "statements cannot read files by their path").into())
        }
    }
}

fn template(runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, names::SEARCH_PATH)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.collect_spans = false;
    options.sql_parser.default_null_ordering = "nulls_max".to_owned();
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.collect_statistics = false;
    options.execution.parquet.pushdown_filters = false;
    options.execution.parquet.max_in_list_size = PRUNED_LIST;
    options.explain.logical_plan_only = false;
    options.explain.show_sizes = false;
    let functions = SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .filter(|function| !WITHHELD_FUNCTIONS.contains(&function.name()))
        .chain(policy::scalar_functions())
        .chain(resource::function::scalar_functions())
        .chain(tag::scalar_functions())
        .collect();
    let mut analyzer = Analyzer::new();
    // First, so that no coercion casts an account id before it is compared as text.
    analyzer.rules.insert(0, Arc::new(ScopeRule));
    analyzer.rules.insert(1, Arc::new(DoublesRule));
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_analyzer_rules(analyzer.rules)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(functions)
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_optimizer_rules(optimizer::rules(Switch::On))
        .with_physical_optimizer_rules(physical_rules())
        .build()
}

fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    for rule in &mut rules {
        if rule.name() == ProjectionPushdown::new().name() {
            *rule = Arc::new(Checked(Arc::clone(rule)));
        } else if rule.name() == AggregateStatistics::new().name() {
            *rule = Arc::new(NotDistinct(Arc::clone(rule)));
        }
    }
    rules.push(Arc::new(safe_first::SafeFirst));
    rules.push(Arc::new(distinctly::DistinctTexts));
    rules.push(Arc::new(cooperate::YieldingJoins));
    rules
}

/// What kind of relation a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Delivered rows.
    Table,
    /// Derived from others, or the engine's own state.
    View,
}

/// A relation that statements can name.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
    /// Its columns.
    pub columns: SchemaRef,
}

/// Schemas and functions that a bound session has besides the engine's own: catalogs that clients look around in.
///
/// Its tables hold rows in memory. They are not listed by [`BoundSession::tables`].
pub trait SchemaSource: std::fmt::Debug + Send + Sync {
    /// The schemas. Unqualified names are looked up in the first one before the search path.
    fn schemas(&self) -> &'static [&'static str];

    /// Whether there is a table of that name, without looking at its rows.
    fn knows(&self, schema: &str, name: &str) -> bool;

    /// The table of that name, if there is one.
    fn table(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>>;

    /// Scalar functions, by their names without schema.
    fn functions(&self) -> Vec<Arc<ScalarUDF>>;
}

/// A session bound to one catalog version, principal and scope.
#[derive(Clone)]
pub struct BoundSession {
    state: Arc<SessionState>,
    names: Arc<names::Names>,
    /// Results of former statements, unless they are not to be used.
    results: Option<ResultCache>,
    meaning: Meaning,
}

impl std::fmt::Debug for BoundSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundSession").finish_non_exhaustive()
    }
}

impl BoundSession {
    /// The accounts that its statements see.
    pub fn scope(&self) -> &AccountScope {
        &self.names.view.scope
    }

    /// The catalog version that its statements see.
    pub fn lease(&self) -> &Lease {
        &self.names.view.lease
    }

    /// All relations, by schema and name. A relation whose columns cannot be determined is left out; naming it in a
    /// statement says why.
    pub fn tables(&self) -> Vec<TableEntry> {
        self.names.entries()
    }

    /// The session with the schemas and functions of `source`. What a statement sees of billing files does not change.
    /// Error: `Defect` if a function cannot be registered.
    pub fn with_schemas(self, source: Arc<dyn SchemaSource>) -> Result<Self> {
        let mut state = SessionState::clone(&self.state);
        for function in source.functions() {
            state.register_udf(function).map_err(datafusion_error)?;
        }
        let mut names = names::Names::clone(&self.names);
        names.further = Some(source);
        let names = Arc::new(names);
        state.register_catalog_list(Arc::new(names::OneCatalog(Arc::clone(&names))));
        Ok(Self {
            state: Arc::new(state),
            names,
            ..self
        })
    }

    /// Plans one statement: a query, or `EXPLAIN` of one. Reads nothing but documents of the state store. Errors: `Unsupported` for every other
    /// statement, `NoPrivilege` for `EXPLAIN ANALYZE` without the role admin, and what is wrong with the statement.
    pub async fn plan(&self, statement: datafusion::sql::parser::Statement) -> Result<BoundQuery> {
        query::plan(self, statement).await.map_err(datafusion_error)
    }
}

#[cfg(test)]
mod tests;
