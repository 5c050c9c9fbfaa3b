//! From a statement to a bound query: only queries pass, and only bound queries run.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

use super::names::SEARCH_PATH;
use super::repeat::{Findings, examine, settle, without_sources};
use super::{BoundSession, CATALOG, tagged};
use crate::cache::result::{KeptRows, Recording, ResultKey};
use crate::catalog::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::execute::datafusion_error;
use crate::principal::Role;
use crate::scope::AccountScope;

/// A planned query with everything that it was planned under: catalog version, scope, settings. Executors take nothing
/// else, and only [`BoundSession::plan`] makes one.
#[derive(Clone)]
pub struct BoundQuery {
    session: BoundSession,
    /// Analysed, unless parameters are missing or it is an `EXPLAIN`.
    plan: LogicalPlan,
    analyzed: bool,
    /// What `now()` is when it runs.
    now: DateTime<Utc>,
    /// What was found out about the plan, once for all copies of it.
    known: Arc<Known>,
}

/// What is found out about a plan.
struct Known {
    findings: Findings,
    optimized: OnceLock<LogicalPlan>,
    key: OnceLock<Option<Arc<ResultKey>>>,
    /// What the plan became when it was settled last.
    settled: Mutex<Option<Settled>>,
}

/// A plan in which `now()` and its like are values.
#[derive(Clone)]
struct Settled {
    moments: Vec<ScalarValue>,
    plan: LogicalPlan,
    known: Arc<Known>,
}

impl Known {
    fn of(plan: &LogicalPlan) -> DataFusionResult<Arc<Self>> {
        Ok(Arc::new(Self {
            findings: examine(plan)?,
            optimized: OnceLock::new(),
            key: OnceLock::new(),
            settled: Mutex::default(),
        }))
    }
}

impl fmt::Debug for BoundQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundQuery").finish_non_exhaustive()
    }
}

pub(super) async fn plan(session: &BoundSession, mut statement: Statement) -> DataFusionResult<BoundQuery> {
    require_query(&statement)?;
    tagged::name_maps(&mut statement)?;
    require_tables(session, &statement)?;
    let mut plan = session.state.statement_to_plan(statement.clone()).await?;
    // Table functions say what they need when they are called, and get it at the second pass.
    if session.names.recall.read_wanted().await? {
        plan = session.state.statement_to_plan(statement).await?;
    }
    let options = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    options
        .verify_plan(&plan)
        .map_err(|_| unsupported("only queries can be run"))?;
    if matches!(plan, LogicalPlan::Analyze(_)) && session.names.view.principal.role < Role::Admin {
        return Err(
            Error::new(ErrorKind::NoPrivilege, "EXPLAIN ANALYZE needs the role admin")
                .with_hint("EXPLAIN without ANALYZE shows the plan.")
                .into(),
        );
    }
    bind(session.clone(), plan, session.names.view.now)
}

pub(super) fn bind(session: BoundSession, plan: LogicalPlan, now: DateTime<Utc>) -> DataFusionResult<BoundQuery> {
    let explains = matches!(plan, LogicalPlan::Explain(_));
    let analyzed = !explains && plan.get_parameter_names()?.is_empty();
    let plan = if analyzed {
        let state = &session.state;
        state
            .analyzer()
            .execute_and_check(plan, state.config_options(), |_, _| {})?
    } else {
        plan
    };
    Ok(BoundQuery {
        known: Known::of(&plan)?,
        session,
        plan,
        analyzed,
        now,
    })
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
        .with_hint("Farthing reads cost exports; it takes SELECT, WITH, VALUES and EXPLAIN.")
}

/// Refuses everything but queries before it is planned: planning may already reach for paths and locations.
fn require_query(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Explain(explain) => require_query(&explain.statement),
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(query) => require_select(&query.body),
            ast::Statement::Explain { statement, .. } => require_query(&Statement::Statement(statement.clone())),
            _ => Err(unsupported("only queries can be run")),
        },
        _ => Err(unsupported("only queries can be run")),
    }
}

fn require_select(body: &ast::SetExpr) -> Result<()> {
    match body {
        ast::SetExpr::Select(select) if select.into.is_some() => Err(unsupported("SELECT INTO is not offered")),
        ast::SetExpr::Select(_) | ast::SetExpr::Values(_) | ast::SetExpr::Table(_) => Ok(()),
        ast::SetExpr::Query(query) => require_select(&query.body),
        ast::SetExpr::SetOperation { left, right, .. } => {
            require_select(left)?;
            require_select(right)
        }
        _ => Err(unsupported("only queries can be run")),
    }
}

/// Names unknown tables before planning, which would describe them in DataFusion's words.
fn require_tables(session: &BoundSession, statement: &Statement) -> DataFusionResult<()> {
    for reference in session.state.resolve_table_references(statement)? {
        let resolved = reference.clone().resolve(CATALOG, SEARCH_PATH);
        let known = *resolved.catalog == *CATALOG && session.names.knows(&resolved.schema, &resolved.table);
        // A name with parentheses is a function, which resolves elsewhere.
        let function = matches!(&reference, TableReference::Bare { table }
            if session.state.table_functions().contains_key(table.as_ref()));
        if !known && !function {
            return Err(unknown_table(session, &reference).into());
        }
    }
    Ok(())
}

fn unknown_table(session: &BoundSession, reference: &TableReference) -> Error {
    let error = Error::new(
        ErrorKind::UnknownTable,
        format!("relation \"{reference}\" does not exist"),
    );
    let tables = session.names.entries();
    match tables.iter().find(|entry| entry.name == reference.table()) {
        Some(entry) => error.with_hint(format!("There is {}.{}.", entry.schema, entry.name)),
        None => error.with_hint(
            "The schemas are public (costs, costs_daily, costs_monthly), exports (one table per export) and system.",
        ),
    }
}

impl BoundQuery {
    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.plan.schema().inner())
    }

    /// The accounts that it sees.
    pub fn scope(&self) -> &AccountScope {
        self.session.scope()
    }

    /// The catalog version that it sees.
    pub fn lease(&self) -> &Lease {
        self.session.lease()
    }

    /// The logical plan, with the account filter written into it unless parameters are missing.
    pub fn logical_plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The parameters `$1`, `$2` ... in order, with their types where the statement tells them.
    pub fn parameter_types(&self) -> Result<Vec<(String, Option<DataType>)>> {
        let mut types = self.plan.get_parameter_types().map_err(datafusion_error)?;
        // DataFusion infers nothing for LIMIT and OFFSET, which count rows.
        let counts = self.plan.apply_with_subqueries(|node| {
            if let LogicalPlan::Limit(limit) = node {
                for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                    if let Expr::Placeholder(parameter) = count.as_ref() {
                        types.insert(parameter.id.clone(), Some(DataType::Int64));
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        counts.map_err(datafusion_error)?;
        let mut types: Vec<_> = types.into_iter().collect();
        types.sort_by_key(|(name, _)| name.trim_start_matches('$').parse::<usize>().unwrap_or(usize::MAX));
        Ok(types)
    }

    /// The query with its parameters `$1`, `$2` ... set.
    pub fn with_parameters(self, values: Vec<ScalarValue>) -> Result<Self> {
        let set = |plan: LogicalPlan| bind(self.session, plan.with_param_values(values)?, self.now);
        set(self.plan).map_err(datafusion_error)
    }

    /// The query with another `now()`: a plan that is run again runs at another time.
    pub fn at(self, now: DateTime<Utc>) -> Self {
        Self { now, ..self }
    }

    /// Whether the plan says everything, so that it may be run at any time in the same catalog version, for the same principal
    /// and with the same settings: it reads nothing but billing files, and calls no function that was answered while planning.
    pub fn is_reusable(&self) -> bool {
        let names = &self.session.names;
        let explains = matches!(self.plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
        !explains && !self.known.findings.other_tables && names.further.is_none() && !names.recall.was_called()
    }

    /// The query with `now()` and its like replaced by their values, so that it is run as what its key says.
    pub(crate) fn settled(self) -> Result<Self> {
        if !self.analyzed || !self.known.findings.stable || !self.is_reusable() {
            return Ok(self);
        }
        let moments = self.known.findings.moments(&self.session.state, self.now);
        let last = || self.known.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let former = last()
            .clone()
            .filter(|former| moments.as_ref() == Some(&former.moments));
        if let Some(Settled { plan, known, .. }) = former {
            return Ok(Self { plan, known, ..self });
        }
        let settled = settle(self.plan.clone(), &self.session.state, self.now)
            .and_then(|plan| Ok((Known::of(&plan)?, plan)))
            .map_err(datafusion_error);
        let (known, plan) = settled?;
        *last() = moments.map(|moments| Settled {
            moments,
            plan: plan.clone(),
            known: Arc::clone(&known),
        });
        Ok(Self { plan, known, ..self })
    }

    /// What its rows depend on; `None` where they depend on more than can be named, or on nothing that is worth a key.
    fn key(&self) -> Option<Arc<ResultKey>> {
        let make = || {
            let Findings {
                volatile,
                stable,
                reads,
                ..
            } = &self.known.findings;
            if !self.analyzed || !self.is_reusable() || *volatile || *stable || reads.is_empty() {
                return None;
            }
            let plan = without_sources(self.plan.clone()).ok()?;
            let (scope, meaning) = (self.scope().clone(), self.session.meaning.clone());
            Some(Arc::new(ResultKey::new(plan, reads.clone(), scope, meaning)))
        };
        self.known.key.get_or_init(make).clone()
    }

    /// The rows that the same query gave before, or else what takes them down this time, if they can be kept.
    pub(crate) fn former_rows(&self) -> (Option<KeptRows>, Option<Recording>) {
        let Some((cache, key)) = self.session.results.as_ref().zip(self.key()) else {
            return (None, None);
        };
        match cache.get(&key) {
            Some(rows) => (Some(rows), None),
            None => (None, Some(cache.record(key))),
        }
    }

    /// The plan of the query as text: the logical plan with the account filter, and the physical one.
    pub async fn explain(&self) -> Result<String> {
        let logical = self.plan.display_indent().to_string();
        let physical = self.physical_plan().await.map_err(datafusion_error)?;
        let physical = datafusion::physical_plan::displayable(physical.as_ref())
            .indent(false)
            .to_string();
        Ok(format!("{logical}\n{physical}"))
    }

    /// Optimises and plans. The physical rules end with the check of the account filter.
    pub(crate) async fn physical_plan(&self) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let state = self.state();
        if !self.analyzed {
            let missing = self.plan.get_parameter_names()?;
            if !missing.is_empty() {
                return Err(Error::new(ErrorKind::BadValue, "the statement has parameters without values").into());
            }
            return state.create_physical_plan(&self.plan).await;
        }
        if let Some(optimized) = self.known.optimized.get() {
            return state.query_planner().create_physical_plan(optimized, state).await;
        }
        let optimized = state.optimizer().optimize(self.plan.clone(), state, |_, _| {})?;
        let physical = state.query_planner().create_physical_plan(&optimized, state).await?;
        if self.is_reusable() && !self.known.findings.stable {
            // Another thread may have come first with the same.
            let _ = self.known.optimized.set(optimized);
        }
        Ok(physical)
    }

    pub(crate) fn task_context(&self) -> Arc<TaskContext> {
        self.state().task_ctx()
    }

    fn state(&self) -> &SessionState {
        &self.session.state
    }

    /// Calls `visit` for every node of the logical plan, subqueries included: for callers that authorise by what a plan
    /// names.
    pub fn visit(&self, mut visit: impl FnMut(&LogicalPlan)) -> Result<()> {
        let mut each = |plan: &LogicalPlan| -> Result<TreeNodeRecursion, DataFusionError> {
            visit(plan);
            Ok(TreeNodeRecursion::Continue)
        };
        self.plan.apply_with_subqueries(&mut each).map_err(datafusion_error)?;
        Ok(())
    }
}
