//! Prepared statements and the values bound to them.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use datafusion::scalar::ScalarValue;
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::{Frontend, Prepared, Session};
use futures::{Stream, TryStreamExt};
use tonic::Status;

use super::error::{defect, refuse, status};
use super::ticket::acts;
use super::token::FlightSession;

/// The values of all runs of a statement: one row for each run, one value for each parameter.
pub(super) type Binding = Arc<[Vec<ScalarValue>]>;

/// A prepared statement of a session. Its handle never changes, as some clients ignore a new one.
pub(super) struct PreparedStatement {
    /// The session that prepared it, and in which it runs.
    pub(super) owner: Arc<FlightSession>,
    /// The statement.
    pub(super) prepared: Prepared,
    bound: Mutex<Option<Binding>>,
}

impl PreparedStatement {
    pub(super) fn new(owner: Arc<FlightSession>, prepared: Prepared) -> Self {
        Self {
            owner,
            prepared,
            bound: Mutex::default(),
        }
    }

    /// Keeps values for the runs to come.
    pub(super) fn bind(&self, binding: Binding) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = Some(binding);
    }

    /// The values to run with now. Those of a statement that acts are good for one run, as they may hold a secret.
    ///
    /// # Errors
    /// `BadValue` if the statement has parameters and nothing was bound.
    pub(super) fn binding(&self) -> Result<Binding> {
        if self.prepared.parameters.is_empty() {
            return Ok(no_values());
        }
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = if acts(&self.prepared) {
            bound.take()
        } else {
            bound.clone()
        };
        bound.ok_or_else(|| unbound(self.prepared.parameters.len()))
    }

    /// The parameters as a schema: one field for each `$n`.
    pub(super) fn parameter_schema(&self) -> Schema {
        let fields = self.prepared.parameters.iter().enumerate();
        Schema::new(
            fields
                .map(|(index, kind)| Field::new(format!("${}", index + 1), kind.clone(), true))
                .collect::<Vec<_>>(),
        )
    }
}

/// One run without values.
pub(super) fn no_values() -> Binding {
    Arc::from([Vec::new()])
}

/// What a statement with parameters says when it is run without values.
pub(super) fn unbound(parameters: usize) -> Error {
    Error::new(
        ErrorKind::BadValue,
        format!("the statement takes {parameters} parameters, and no values are bound"),
    )
    .with_hint("prepare the statement and bind a value for each $n")
}

/// What the one statement of a text takes and gives. Executes nothing.
pub(super) async fn prepare(frontend: &Frontend, session: &Session, sql: &str) -> Result<Prepared> {
    let mut statements = frontend.parse(session, sql)?.into_iter();
    let Some(statement) = statements.next() else {
        return Err(Error::new(ErrorKind::Syntax, "the text holds no statement").with_hint("send one statement"));
    };
    if statements.next().is_some() {
        return Err(
            Error::new(ErrorKind::Unsupported, "the text holds more than one statement")
                .with_hint("Flight SQL runs one statement at a time; send each by itself"),
        );
    }
    frontend.prepare(session, statement, &[]).await
}

/// How much a client may bind.
#[derive(Debug, Clone, Copy)]
pub(super) struct BindingBounds {
    /// Rows, which are runs.
    pub(super) rows: usize,
    /// Bytes of all messages.
    pub(super) bytes: usize,
}

/// Reads the values that a DoPut carries; `None` if it carries no columns, as drivers send for statements without
/// parameters or after binding by another call.
pub(super) async fn read_binding(
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
    parameters: &[DataType],
    bounds: BindingBounds,
) -> Result<Option<Binding>, Status> {
    let mut bytes = 0_usize;
    let counted = messages
        // The first message may hold the command alone.
        .try_filter(|message| futures::future::ready(!message.data_header.is_empty()))
        .and_then(move |message| {
            bytes = bytes.saturating_add(message.data_body.len());
            futures::future::ready(if bytes > bounds.bytes {
                Err(status(&too_much("bytes", bounds.bytes)))
            } else {
                Ok(message)
            })
        })
        .map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(counted);
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        if batch.num_columns() == 0 {
            continue;
        }
        if rows.len() + batch.num_rows() > bounds.rows {
            return Err(status(&too_much("rows", bounds.rows)));
        }
        append_rows(&batch, parameters, &mut rows).map_err(|error| status(&error))?;
    }
    match batches.schema() {
        Some(schema) if !schema.fields().is_empty() => Ok(Some(rows.into())),
        _ => Ok(None),
    }
}

/// Casts each column to its parameter's type and takes the rows out.
fn append_rows(batch: &RecordBatch, parameters: &[DataType], rows: &mut Vec<Vec<ScalarValue>>) -> Result<()> {
    if batch.num_columns() != parameters.len() {
        return Err(Error::new(
            ErrorKind::BadValue,
            format!(
                "{} values are bound in each row, and the statement takes {}",
                batch.num_columns(),
                parameters.len()
            ),
        )
        .with_hint("bind one column for each $n, in order"));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut columns = Vec::with_capacity(parameters.len());
    for (index, (column, wanted)) in batch.columns().iter().zip(parameters).enumerate() {
        let cast = cast_with_options(column, wanted, &options).map_err(|error| {
            Error::new(
                ErrorKind::WrongType,
                format!(
                    "the values bound to ${} are of type {} and do not fit {wanted}",
                    index + 1,
                    column.data_type()
                ),
            )
            .with_hint("bind values of the announced type, or write a cast such as $1::bigint")
            .with_source(error)
        })?;
        columns.push(cast);
    }
    for row in 0..batch.num_rows() {
        let values = columns
            .iter()
            .map(|column| ScalarValue::try_from_array(column, row))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| defect("a bound value cannot be taken out of its column", error))?;
        rows.push(values);
    }
    Ok(())
}

fn too_much(what: &str, limit: usize) -> Error {
    Error::new(ErrorKind::Limit, format!("more than {limit} {what} are bound at once"))
        .with_hint("bind in smaller portions")
}

fn unreadable(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        _ => refuse(
            ErrorKind::BadValue,
            "the bound values are not a readable Arrow stream",
            "send a schema message and record batches of it",
        ),
    }
}
