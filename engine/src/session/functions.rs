//! The table functions: `costs_as_of`, `cost_changes`, `reconcile`.
//!
//! They resolve under the lease and scope of their session, like the names of tables. What they need of the state store is
//! not in memory, and planning cannot wait for it: a first pass notes the documents that the calls of a statement want, they
//! are read, and the statement is planned again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, stream};

use super::names::Names;
use crate::catalog::{Archive, KnownDelivery};
use crate::costs::as_of::{self, COSTS_AS_OF};
use crate::costs::changes::{self, COST_CHANGES};
use crate::costs::reconcile::{self, Lines, RECONCILE};
use crate::costs::{Lost, in_costs, mapping};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{BillingPeriod, ExportId, SnapshotId};
use crate::snapshot::Snapshot;
use crate::snapshot::services::ServiceTotals;
use crate::system::sees_all;

/// Documents read at the same time.
const READS: usize = 16;

/// A table function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    CostsAsOf,
    CostChanges,
    Reconcile,
}

impl Function {
    pub const ALL: [Self; 3] = [Self::CostsAsOf, Self::CostChanges, Self::Reconcile];

    pub fn name(self) -> &'static str {
        match self {
            Self::CostsAsOf => COSTS_AS_OF,
            Self::CostChanges => COST_CHANGES,
            Self::Reconcile => RECONCILE,
        }
    }

    fn signature(self) -> &'static str {
        match self {
            Self::CostsAsOf => "costs_as_of('<timestamp>')",
            Self::CostChanges => "cost_changes('<YYYY-MM>' [, '<from timestamp>' [, '<to timestamp>']])",
            Self::Reconcile => "reconcile('<YYYY-MM>')",
        }
    }
}

type Document = (ExportId, BillingPeriod, SnapshotId);

/// The documents that the functions of one session's statements want, and those that were read.
pub(super) struct Recall {
    archive: Arc<Archive>,
    state: Mutex<State>,
    called: AtomicBool,
}

#[derive(Default)]
struct State {
    wanted_snapshots: BTreeSet<Document>,
    wanted_totals: BTreeSet<Document>,
    snapshots: BTreeMap<Document, Arc<Snapshot>>,
    totals: BTreeMap<Document, Option<Arc<ServiceTotals>>>,
}

impl Recall {
    pub fn new(archive: Arc<Archive>) -> Self {
        Self {
            archive,
            state: Mutex::default(),
            called: AtomicBool::new(false),
        }
    }

    /// Whether a table function was called in the session.
    pub fn was_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot, if it was read; else it is wanted from now on.
    fn snapshot(&self, document: Document) -> Option<Arc<Snapshot>> {
        let mut state = self.state();
        let found = state.snapshots.get(&document).cloned();
        if found.is_none() {
            state.wanted_snapshots.insert(document);
        }
        found
    }

    /// The totals by service of a snapshot, if they were looked for; else they are wanted from now on.
    fn totals(&self, document: Document) -> Option<Option<Arc<ServiceTotals>>> {
        let mut state = self.state();
        let found = state.totals.get(&document).cloned();
        if found.is_none() {
            state.wanted_totals.insert(document);
        }
        found
    }

    /// Reads what is wanted. Whether anything was. Error: `State`.
    pub async fn read_wanted(&self) -> Result<bool> {
        let (snapshots, totals) = {
            let mut state = self.state();
            (
                std::mem::take(&mut state.wanted_snapshots),
                std::mem::take(&mut state.wanted_totals),
            )
        };
        let any = !snapshots.is_empty() || !totals.is_empty();
        let archive = &self.archive;
        let snapshots: Vec<_> = stream::iter(snapshots)
            .map(|document| async move {
                let read = archive.snapshot(&document.0, document.1, &document.2).await?;
                Ok::<_, Error>((document, read))
            })
            .buffered(READS)
            .try_collect()
            .await?;
        let totals: Vec<_> = stream::iter(totals)
            .map(|document| async move {
                let read = archive.totals(&document.0, document.1, &document.2).await?;
                Ok::<_, Error>((document, read))
            })
            .buffered(READS)
            .try_collect()
            .await?;
        let mut state = self.state();
        state.snapshots.extend(snapshots);
        state.totals.extend(totals);
        Ok(any)
    }
}

/// A table function in one session.
pub(super) struct Call {
    pub function: Function,
    pub names: Arc<Names>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl TableFunctionImpl for Call {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> DataFusionResult<Arc<dyn TableProvider>> {
        self.names.recall.called.store(true, Ordering::Relaxed);
        let arguments = Arguments {
            function: self.function,
            values: args.exprs(),
        };
        let provider = match self.function {
            Function::CostsAsOf => self.costs_as_of(&arguments),
            Function::CostChanges => self.cost_changes(&arguments),
            Function::Reconcile => self.reconcile(&arguments),
        };
        Ok(provider?)
    }
}

/// Stands for the table until the documents are read. Whoever runs a plan with it gets an error and never an empty answer.
#[derive(Debug)]
struct NotRead(SchemaRef);

#[async_trait]
impl TableProvider for NotRead {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Err(Error::defect("a table function was planned before its documents were read").into())
    }
}

impl Call {
    fn costs_as_of(&self, arguments: &Arguments<'_>) -> Result<Arc<dyn TableProvider>> {
        arguments.take(1, 1)?;
        let instant = arguments.instant(0)?;
        let (lease, scope) = (&self.names.view.lease, &self.names.view.scope);
        let mut snapshots: BTreeMap<ExportId, BTreeMap<BillingPeriod, Arc<Snapshot>>> = BTreeMap::new();
        let (mut lost, mut all_read) = (Lost::new(), true);
        for (export, period, delivery) in as_of::deliveries_at(lease, instant) {
            let Some(snapshot) = self.snapshot(&export, period, &delivery) else {
                all_read = false;
                continue;
            };
            if !delivery.readable {
                lost.entry(export.clone()).or_default().insert(period);
            }
            snapshots.entry(export).or_default().insert(period, snapshot);
        }
        if !all_read {
            return Ok(Arc::new(NotRead(mapping::schema())));
        }
        let names = self.names.account_names();
        let plan = as_of::plan(lease, snapshots, &lost, scope, (&self.names.files, &names))?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }

    /// The snapshot of a delivery: in memory for the published ones, else read.
    fn snapshot(&self, export: &ExportId, period: BillingPeriod, delivery: &KnownDelivery) -> Option<Arc<Snapshot>> {
        if delivery.current {
            return self.names.view.lease.snapshots.get(export)?.get(&period).cloned();
        }
        let document = (export.clone(), period, delivery.snapshot.clone());
        self.names.recall.snapshot(document)
    }

    fn cost_changes(&self, arguments: &Arguments<'_>) -> Result<Arc<dyn TableProvider>> {
        arguments.take(1, 3)?;
        let period = arguments.period(0)?;
        let from = (arguments.count() > 1).then(|| arguments.instant(1)).transpose()?;
        let to = (arguments.count() > 2).then(|| arguments.instant(2)).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            return Err(Error::new(
                ErrorKind::BadValue,
                "the first instant of cost_changes is after the second",
            )
            .with_hint(format!("Call {}.", arguments.function.signature())));
        }
        let view = &self.names.view;
        let (mut rows, mut all_read) = (Vec::new(), true);
        for pair in changes::pairs(&view.lease, period, from, to) {
            let totals = |delivery: &KnownDelivery| {
                let document = (pair.export.clone(), period, delivery.snapshot.clone());
                let found = self.names.recall.totals(document)?;
                Some(found.ok_or_else(|| without_totals(&pair.export, period, delivery)))
            };
            let before = pair.from.as_ref().map(&totals);
            let (Some(after), Some(before)) = (totals(&pair.to), before.map_or(Some(None), |before| before.map(Some)))
            else {
                all_read = false;
                continue;
            };
            let (before, after) = (before.transpose()?, after?);
            rows.extend(changes::rows_of(&pair, period, before.as_deref(), &after, &view.scope));
        }
        if !all_read {
            return Ok(Arc::new(NotRead(changes::columns())));
        }
        let (columns, batch) = changes::table(rows)?;
        let table = MemTable::try_new(columns, vec![vec![batch]]);
        Ok(Arc::new(table.map_err(|error| {
            Error::defect("changes do not fit their columns").with_source(error)
        })?))
    }

    fn reconcile(&self, arguments: &Arguments<'_>) -> Result<Arc<dyn TableProvider>> {
        arguments.take(1, 1)?;
        let period = arguments.period(0)?;
        let view = &self.names.view;
        let (mut delivered, mut all_read) = (Vec::new(), true);
        for (export, periods) in &view.lease.snapshots {
            let in_costs = view.lease.document.exports.get(export).is_some_and(in_costs);
            let Some(snapshot) = periods.get(&period).filter(|_| in_costs) else {
                continue;
            };
            match self.names.recall.totals((export.clone(), period, snapshot.id.clone())) {
                Some(totals) => delivered.push((Arc::clone(snapshot), totals)),
                None => all_read = false,
            }
        }
        let lines = match sees_all(view) {
            true => Lines::All,
            false => Lines::Visible,
        };
        let plan = reconcile::plan(&view.lease, period, &delivered, lines, &view.scope, &self.names.files)?;
        if !all_read {
            return Ok(Arc::new(NotRead(Arc::clone(plan.schema().inner()))));
        }
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

fn without_totals(export: &ExportId, period: BillingPeriod, delivery: &KnownDelivery) -> Error {
    Error::new(
        ErrorKind::NotDelivered,
        format!(
            "no totals by service are kept of the delivery of {} UTC of {period} of the export {export}",
            delivery.delivered_at.format("%Y-%m-%d %H:%M:%S")
        ),
    )
    .with_hint(
        "It was imported by an older Farthing, or has too many lines. Name two later deliveries of system.deliveries.",
    )
}

/// The arguments of a call: constants.
struct Arguments<'a> {
    function: Function,
    values: &'a [Expr],
}

impl Arguments<'_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn take(&self, least: usize, most: usize) -> Result<()> {
        match (least..=most).contains(&self.values.len()) {
            true => Ok(()),
            false => Err(self.error(
                ErrorKind::UnknownFunction,
                format!("{} does not take {} arguments", self.function.name(), self.values.len()),
            )),
        }
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).with_hint(format!("Call {}.", self.function.signature()))
    }

    fn value(&self, at: usize) -> Result<&ScalarValue> {
        match self.values.get(at) {
            Some(Expr::Literal(value, _)) if value.is_null() => Err(self.error(
                ErrorKind::NullNotAllowed,
                format!("argument {} of {} is NULL", at + 1, self.function.name()),
            )),
            Some(Expr::Literal(value, _)) => Ok(value),
            _ => Err(self.error(
                ErrorKind::Unsupported,
                format!("argument {} of {} is not a constant", at + 1, self.function.name()),
            )),
        }
    }

    fn period(&self, at: usize) -> Result<BillingPeriod> {
        let value = self.value(at)?;
        match value.try_as_str().flatten() {
            Some(text) => text.parse(),
            None => Err(self.error(
                ErrorKind::WrongType,
                format!("argument {} of {} is not text", at + 1, self.function.name()),
            )),
        }
    }

    /// An instant: a timestamp, or text that is one. Without a zone it is UTC, as all times in tables are.
    fn instant(&self, at: usize) -> Result<DateTime<Utc>> {
        let value = self.value(at)?;
        let instant = match (value.try_as_str().flatten(), value.data_type()) {
            (Some(text), _) => parse_instant(text),
            (None, DataType::Timestamp(..) | DataType::Date32) => {
                let millis = value.cast_to(&DataType::Timestamp(TimeUnit::Millisecond, None));
                match millis {
                    Ok(ScalarValue::TimestampMillisecond(Some(millis), _)) => DateTime::from_timestamp_millis(millis),
                    _ => None,
                }
            }
            _ => {
                return Err(self.error(
                    ErrorKind::WrongType,
                    format!("argument {} of {} is no timestamp", at + 1, self.function.name()),
                ));
            }
        };
        instant.ok_or_else(|| {
            Error::new(
                ErrorKind::BadInstant,
                format!(
                    "invalid timestamp in argument {} of {}: {value}",
                    at + 1,
                    self.function.name()
                ),
            )
            .with_hint("Write '2026-07-04', '2026-07-04 05:00:09' (UTC) or '2026-07-04T05:00:09+02:00'.")
        })
    }
}

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let utc: Tz = "+00:00".parse().ok()?;
    string_to_datetime(&utc, text.trim())
        .ok()
        .map(|instant| instant.to_utc())
}
