//! Queries and EXPLAIN: lease, bind, plan, execute, and the way out in edge types.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as PlannedStatement;
use datafusion::sql::sqlparser::ast;
use farthing_engine::catalog::Lease;
use farthing_engine::execute::RowStream;
use farthing_engine::ingest::{ImportProgress, PeriodEvent};
use farthing_engine::principal::Role;
use farthing_engine::session::{BoundQuery, QuerySettings, Switch};
use farthing_engine::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};

use super::plans::{self, PlanKey};
use super::{CATALOG, Control, Frontend, Plan, Prepared, Relation, RelationKind, Response, Rows, call};
use crate::session::Session;
use crate::statement::Statement;
use crate::{builtin, compat, edge, names, setting};

/// How long a statement waits for the import of a delivery that replaced the one it was reading.
const REPLACED_IMPORT_WAIT: Duration = Duration::from_secs(60);

struct Silent;

impl ImportProgress for Silent {
    fn period(&self, _: &PeriodEvent) {}
}

impl Frontend {
    /// The lease that a statement of this session runs under, and whether a transaction holds it.
    fn lease(&self, session: &Session) -> Result<(Lease, bool)> {
        let mut state = session.state()?;
        match &mut state.transaction {
            None => Ok((self.0.catalog.lease(), false)),
            Some(transaction) => Ok((
                Arc::clone(transaction.lease.get_or_insert_with(|| self.0.catalog.lease())),
                true,
            )),
        }
    }

    fn settings(&self, session: &Session) -> Result<QuerySettings> {
        let state = session.state()?;
        let threads = state.value("farthing.threads").parse::<usize>().unwrap_or(0);
        let search_path = state
            .value("search_path")
            .split(',')
            .map(|schema| schema.trim().trim_matches('"').to_owned())
            .filter(|schema| !schema.is_empty() && schema != "$user")
            .collect();
        let limit = self.0.limits.statement_timeout;
        let asked = setting::milliseconds(&state.value("statement_timeout")).unwrap_or(0);
        Ok(QuerySettings {
            time_zone: state.value("TimeZone"),
            target_partitions: if threads == 0 {
                self.0.limits.query_slots
            } else {
                threads
            },
            statement_timeout: if asked == 0 {
                limit
            } else {
                limit.min(Duration::from_millis(asked))
            },
            search_path,
            rollup: Switch::of_value(&state.value("farthing.rollup")),
            result_cache: Switch::of_value(&state.value("farthing.result_cache")),
            now: self.0.clock.now(),
        })
    }

    async fn plan(&self, session: &Session, lease: &Lease, statement: &Statement) -> Result<Plan> {
        let (generation, search_path, kept) = {
            let state = session.state()?;
            let kept = Switch::of_value(&state.value("farthing.plan_cache"));
            (state.generation, state.value("search_path"), kept)
        };
        let settings = self.settings(session)?;
        let schema = search_path.split(',').next().unwrap_or("public").trim().to_owned();
        let principal = session.principal();
        let kept = kept.is_on() && plans::keeps_any(self.0.sessions.plans()) && !is_explain(&statement.tree);
        let key = kept.then(|| Arc::new(PlanKey::new(statement, lease, principal, &settings, schema.clone())));
        if let Some(known) = key.as_ref().and_then(|key| self.1.get(key)) {
            return Ok(Plan { generation, ..known });
        }
        let bound = self.0.sessions.bind(Arc::clone(lease), principal, &settings).await?;
        let mut tree = ast::Statement::clone(&statement.tree);
        builtin::replace(&mut tree, &principal.name, &schema)?;
        let bound = compat::extend(bound, session, &mut tree)?;
        let query = bound.plan(PlannedStatement::Statement(Box::new(tree))).await?;
        // A parameter that the plan does not need is still bound by the client.
        let mut parameters = vec![DataType::Utf8; compat::placeholders(&statement.tree)];
        for (name, data_type) in query.parameter_types()? {
            let number = parameter_number(&name)?;
            if parameters.len() < number {
                parameters.resize(number, DataType::Utf8);
            }
            if let (Some(slot), Some(data_type)) = (parameters.get_mut(number - 1), data_type) {
                *slot = edge::edge_type(&data_type);
            }
        }
        let plan = Plan {
            schema: schema_of(&query, &statement.tree),
            query,
            parameters,
            version: lease.document.version,
            generation,
            key,
        };
        if let Some(key) = &plan.key {
            self.1.keep(Arc::clone(key), &plan);
        }
        Ok(plan)
    }

    pub(super) async fn prepare_query(
        &self,
        session: &Session,
        statement: Statement,
        hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        check_explain(session, &statement.tree)?;
        if let Some((procedure, call)) = call::explained(&statement.tree) {
            let parameters = crate::procedure::arguments::parameter_types(procedure, &call)?;
            let schema = Some(crate::procedure::result_schema());
            return Ok(Prepared {
                statement,
                parameters,
                schema,
                plan: None,
            });
        }
        let (lease, _) = self.lease(session)?;
        let plan = self.plan(session, &lease, &statement).await?;
        let parameters = plan
            .parameters
            .iter()
            .enumerate()
            .map(|(at, inferred)| hints.get(at).cloned().flatten().unwrap_or_else(|| inferred.clone()))
            .collect();
        Ok(Prepared {
            statement,
            parameters,
            schema: Some(Arc::clone(&plan.schema)),
            plan: Some(plan),
        })
    }

    pub(super) async fn query(
        &self,
        session: &Session,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        control: Control,
    ) -> Result<Response> {
        let schema = prepared
            .schema
            .clone()
            .ok_or_else(|| Error::defect("a query without a schema"))?;
        let (lease, pinned) = self.lease(session)?;
        let settings = self.settings(session)?;
        let generation = session.state()?.generation;
        let reusable = prepared
            .plan
            .as_ref()
            .filter(|p| p.version == lease.document.version && p.generation == generation);
        let plan = match reusable {
            Some(plan) => plan.clone(),
            None => self.plan(session, &lease, &prepared.statement).await?,
        };
        let first = self.start(plan, &values, &control, &settings).await;
        let started = match first {
            Err(error) if error.kind() == ErrorKind::SnapshotReplaced && !pinned => {
                // No row has left, and no transaction pins the version: import what AWS delivered meanwhile, and run again.
                self.import_replaced(&lease, &control).await;
                let (lease, _) = self.lease(session)?;
                let plan = self.plan(session, &lease, &prepared.statement).await?;
                self.start(plan, &values, &control, &settings).await
            }
            other => other,
        };
        let rows = started?;
        let explain = is_explain(&prepared.statement.tree);
        let out = Arc::clone(&schema);
        let session = session.clone();
        let batches = rows.map(move |batch| {
            let batch = batch.and_then(|batch| {
                if explain {
                    explain_batch(&batch, &out)
                } else {
                    edge::edge_batch(&batch, &out)
                }
            });
            batch.inspect_err(|_| session.fail_transaction())
        });
        Ok(Response::Rows(Rows {
            schema,
            tag: if explain { "EXPLAIN" } else { "SELECT" },
            batches: batches.boxed(),
        }))
    }

    /// Starts a plan and waits for its first batch, so that a replaced delivery is seen before any row leaves.
    async fn start(
        &self,
        plan: Plan,
        values: &[ScalarValue],
        control: &Control,
        settings: &QuerySettings,
    ) -> Result<RowStream> {
        let query = if plan.parameters.is_empty() {
            plan.query
        } else {
            let values = values
                .iter()
                .zip(&plan.parameters)
                .enumerate()
                .map(|(at, (value, wanted))| cast_value(at + 1, value, wanted))
                .collect::<Result<Vec<_>>>()?;
            self.1.with_values(plan, values)?
        };
        let (query, timeout) = (query.at(settings.now), settings.statement_timeout);
        let mut rows = self.0.executor.execute(query, control.cancel.clone(), timeout).await?;
        match rows.next().await {
            None => Ok(stream::empty().boxed()),
            Some(first) => Ok(stream::iter([Ok(first?)]).chain(rows).boxed()),
        }
    }

    async fn import_replaced(&self, lease: &Lease, control: &Control) {
        for export in lease.document.exports.keys() {
            let import = self.0.importer.import_export(export, &Silent, &control.cancel);
            match tokio::time::timeout(REPLACED_IMPORT_WAIT, import).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%export, %error, "a replaced delivery cannot be imported yet"),
                Err(_) => tracing::warn!(%export, "a replaced delivery is still being imported"),
            }
        }
    }

    /// The relations that the session can name, in order of schema and name.
    pub async fn relations(&self, session: &Session) -> Result<Vec<Relation>> {
        let (lease, _) = self.lease(session)?;
        let settings = self.settings(session)?;
        let bound = self.0.sessions.bind(lease, session.principal(), &settings).await?;
        let mut relations: Vec<Relation> = bound
            .tables()
            .into_iter()
            .map(|table| Relation {
                kind: match table.schema.as_str() {
                    "system" => RelationKind::SystemTable,
                    "public" => RelationKind::View,
                    _ => RelationKind::Table,
                },
                columns: edge::edge_schema(&table.columns, None),
                schema: table.schema,
                name: table.name,
            })
            .collect();
        relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
        Ok(relations)
    }

    /// The schemas of the only catalog.
    pub fn catalog_name(&self) -> &'static str {
        CATALOG
    }
}

fn parameter_number(name: &str) -> Result<usize> {
    name.trim_start_matches('$')
        .parse()
        .ok()
        .filter(|number| (1..=65_535).contains(number))
        .ok_or_else(|| {
            Error::new(ErrorKind::Syntax, format!("{name} is not a parameter")).with_hint("Write $1, $2 ...")
        })
}

fn cast_value(number: usize, value: &ScalarValue, wanted: &DataType) -> Result<ScalarValue> {
    value.cast_to(wanted).map_err(|_| {
        Error::new(
            ErrorKind::BadValue,
            format!("the value of ${number} is not a valid {wanted}"),
        )
    })
}

/// What the rows of a statement look like outside.
fn schema_of(query: &BoundQuery, tree: &ast::Statement) -> SchemaRef {
    if is_explain(tree) {
        return explain_schema();
    }
    let inner = query.schema();
    let named = names::of(tree).filter(|names| names.len() == inner.fields().len());
    edge::edge_schema(&inner, named.as_deref())
}

fn is_explain(tree: &ast::Statement) -> bool {
    matches!(tree, ast::Statement::Explain { .. })
}

/// What EXPLAIN ANALYZE shows of storage is counted over rows that the scope hides, too.
fn check_explain(session: &Session, tree: &ast::Statement) -> Result<()> {
    let ast::Statement::Explain {
        analyze,
        options,
        statement,
        ..
    } = tree
    else {
        return Ok(());
    };
    let analyzes = *analyze
        || options
            .iter()
            .flatten()
            .any(|option| option.name.value.eq_ignore_ascii_case("analyze"));
    if analyzes && session.principal().role < Role::Admin {
        return Err(
            Error::new(ErrorKind::NoPrivilege, "permission denied for EXPLAIN ANALYZE")
                .with_hint("It counts rows that your grant hides; an admin can run it. EXPLAIN alone is allowed."),
        );
    }
    match statement.as_ref() {
        ast::Statement::Query(_) | ast::Statement::Call(_) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "EXPLAIN is offered for queries and CALL",
        )),
    }
}

fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, true)]))
}

/// One row for each line, as PostgreSQL gives plans.
fn explain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let text = |at: usize| {
        cast(batch.column(at), &DataType::Utf8).map_err(|e| Error::defect(format!("a plan that is no text: {e}")))
    };
    let (kinds, plans) = (text(0)?, text(1)?);
    let (kinds, plans) = (kinds.as_string::<i32>(), plans.as_string::<i32>());
    let mut lines: Vec<String> = Vec::new();
    for row in 0..batch.num_rows() {
        lines.push(format!("{}:", kinds.value(row).replace('_', " ")));
        lines.extend(plans.value(row).lines().map(|line| format!("  {line}")));
    }
    let array: Arc<dyn Array> = Arc::new(StringArray::from(lines));
    RecordBatch::try_new(Arc::clone(schema), vec![array]).map_err(|e| Error::defect(format!("EXPLAIN: {e}")))
}
