//! From a statement to a bound query: only queries pass, and only bound queries run.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
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
use super::{BoundSession, CATALOG, tagged};
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
    bind(session.clone(), plan)
}

pub(super) fn bind(session: BoundSession, plan: LogicalPlan) -> DataFusionResult<BoundQuery> {
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
        session,
        plan,
        analyzed,
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
        let set = |plan: LogicalPlan| bind(self.session, plan.with_param_values(values)?);
        set(self.plan).map_err(datafusion_error)
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
        let optimized = state.optimizer().optimize(self.plan.clone(), state, |_, _| {})?;
        state.query_planner().create_physical_plan(&optimized, state).await
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
