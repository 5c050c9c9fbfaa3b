//! Statements and plans that were made before: a statement that is asked again is not parsed, resolved and analysed again.
//!
//! A plan is found under the statement's tree, compared and not only by its hash, the catalog version, the whole principal and
//! every setting that planning looks at. Only plans that say everything are kept ([`BoundQuery::is_reusable`]): system tables,
//! PostgreSQL's catalogs and table functions are looked at anew each time. `now()` is a value only when a plan runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use farthing_engine::cache::{Bound, CacheInfo, CountedCache, Counters};
use farthing_engine::catalog::Lease;
use farthing_engine::principal::Principal;
use farthing_engine::session::{BoundQuery, QuerySettings, Switch};

use super::Plan;
use crate::statement::Statement;

/// Longer texts are parsed each time: they are made by programs and seldom come again.
const KEPT_TEXT: usize = 16 << 10;

/// What a plan was made of.
pub(super) struct PlanKey {
    hash: u64,
    tree: Arc<ast::Statement>,
    /// Held, so that the same address is the same version.
    lease: Lease,
    principal: Principal,
    time_zone: String,
    target_partitions: usize,
    /// The schemas in order, and before them the one that `current_schema` names.
    search_path: Vec<String>,
    rollup: Switch,
    result_cache: Switch,
    /// The values of its parameters; none if they are not set.
    values: Vec<ScalarValue>,
}

impl PlanKey {
    /// The key of a statement of `principal`. `schema` is the one that `current_schema` names.
    pub(super) fn new(
        statement: &Statement,
        lease: &Lease,
        principal: &Principal,
        settings: &QuerySettings,
        schema: String,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        statement.tree.hash(&mut hasher);
        lease.document.version.hash(&mut hasher);
        principal.name.hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            tree: Arc::clone(&statement.tree),
            lease: Arc::clone(lease),
            principal: principal.clone(),
            time_zone: settings.time_zone.clone(),
            target_partitions: settings.target_partitions,
            search_path: std::iter::once(schema).chain(settings.search_path.clone()).collect(),
            rollup: settings.rollup,
            result_cache: settings.result_cache,
            values: Vec::new(),
        }
    }

    /// The key of the same with values for its parameters.
    pub(super) fn with(&self, values: &[ScalarValue]) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.hash, values).hash(&mut hasher);
        Self {
            hash: hasher.finish(),
            tree: Arc::clone(&self.tree),
            lease: Arc::clone(&self.lease),
            principal: self.principal.clone(),
            time_zone: self.time_zone.clone(),
            search_path: self.search_path.clone(),
            values: values.to_vec(),
            ..*self
        }
    }
}

impl PartialEq for PlanKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && Arc::ptr_eq(&self.lease, &other.lease)
            && self.principal == other.principal
            && self.time_zone == other.time_zone
            && self.target_partitions == other.target_partitions
            && self.search_path == other.search_path
            && self.rollup == other.rollup
            && self.result_cache == other.result_cache
            && same_values(&self.values, &other.values)
            && (Arc::ptr_eq(&self.tree, &other.tree) || self.tree == other.tree)
    }
}

impl Eq for PlanKey {}

/// Equal values of equal types: a NULL of one type is planned otherwise than one of another.
fn same_values(one: &[ScalarValue], other: &[ScalarValue]) -> bool {
    one == other && one.iter().zip(other).all(|(a, b)| a.data_type() == b.data_type())
}

impl Hash for PlanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Statements and plans of one front end.
pub(super) struct Plans {
    /// Queries by their text.
    statements: CountedCache<String, Statement>,
    plans: CountedCache<Arc<PlanKey>, Plan>,
}

impl Plans {
    /// Within the bound that `info` says, and counted there.
    pub(super) fn new(info: &CacheInfo) -> Self {
        Self {
            statements: CountedCache::new(info.bound, Arc::<Counters>::default()),
            plans: CountedCache::new(info.bound, Arc::clone(&info.counters)),
        }
    }

    /// The statement of a text that was parsed before.
    pub(super) fn statement(&self, sql: &str) -> Option<Statement> {
        (sql.len() <= KEPT_TEXT).then(|| self.statements.get(sql)).flatten()
    }

    /// Keeps what a text was parsed to, if it is one query.
    pub(super) fn keep_statement(&self, sql: &str, statements: &[Statement]) {
        if let [statement] = statements
            && sql.len() <= KEPT_TEXT
            && matches!(*statement.tree, ast::Statement::Query(_))
        {
            self.statements
                .insert(sql.to_owned(), statement.clone(), sql.len() as u64);
        }
    }

    pub(super) fn get(&self, key: &PlanKey) -> Option<Plan> {
        self.plans.get(key)
    }

    /// Keeps a plan, if it may be used again.
    pub(super) fn keep(&self, key: Arc<PlanKey>, plan: &Plan) {
        if plan.query.is_reusable() {
            self.plans.insert(key, plan.clone(), 0);
        }
    }

    /// The query of a plan with values for its parameters, made before or now.
    pub(super) fn with_values(&self, plan: Plan, values: Vec<ScalarValue>) -> farthing_engine::Result<BoundQuery> {
        let Some(key) = plan.key.as_ref().map(|key| key.with(&values)) else {
            return plan.query.with_parameters(values);
        };
        if let Some(known) = self.get(&key) {
            return Ok(known.query);
        }
        let bound = Plan {
            query: plan.query.with_parameters(values)?,
            ..plan
        };
        self.keep(Arc::new(key), &bound);
        Ok(bound.query)
    }
}

/// No plans are kept where the bound is nothing.
pub(super) fn keeps_any(info: &CacheInfo) -> bool {
    !matches!(info.bound, Bound::Entries(0))
}
