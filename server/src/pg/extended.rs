//! The extended protocol: prepared statements and portals, whose rows may be fetched in parts.

use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use farthing_sql::{Prepared, TransactionStatus};
use pgwire::api::Type;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::Exchange;
use super::error::{Break, PgError};
use super::parameters;
use super::rows::{self, Formats, Running, Started, is_binary};
use super::types::{PgType, announced};
use super::wire::frontend::Target;

/// A prepared statement.
#[derive(Clone)]
pub(super) enum StoredStatement {
    /// A text without a statement.
    Empty,
    /// A statement and the types that its parameters have on the wire.
    Prepared { prepared: Box<Prepared>, kinds: Vec<Type> },
}

/// A statement with its values, and how far it has run.
pub(super) enum Portal {
    /// A text without a statement.
    Empty,
    /// Not run yet.
    Bound {
        prepared: Box<Prepared>,
        values: Vec<ScalarValue>,
        formats: Formats,
    },
    /// Rows are coming, or have all been sent.
    Running {
        prepared: Box<Prepared>,
        running: Box<Running>,
        formats: Formats,
    },
    /// Run, and gave no rows: cannot run again.
    Done,
}

impl Exchange {
    /// Prepares a statement.
    pub(super) async fn parse(&mut self, name: String, query: &str, types: &[u32]) -> Result<(), Break> {
        let working = self.working();
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            return Err(PgError::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        if self.statements.len() >= self.max_statements {
            return Err(PgError::new("53400", "too many prepared statements")
                .with_detail(format!("the limit is {} in one session", self.max_statements))
                .with_hint("close prepared statements that are no longer needed, or raise prepared_statements")
                .into());
        }
        let mut statements = self.frontend.parse(&self.session, query)?;
        if statements.len() > 1 {
            return Err(PgError::new("42601", "cannot insert multiple commands into a prepared statement").into());
        }
        let stored = match statements.pop() {
            None => StoredStatement::Empty,
            Some(statement) => {
                let given = types
                    .iter()
                    .map(|oid| given_type(*oid))
                    .collect::<Result<Vec<_>, _>>()?;
                let hints: Vec<_> = types.iter().map(|oid| announced(*oid)).collect();
                let prepared = tokio::select! {
                    biased;
                    () = working.cancelled() => return Err(PgError::cancelled().into()),
                    prepared = self.frontend.prepare(&self.session, statement, &hints) => prepared?,
                };
                let kinds = prepared.parameters.iter().enumerate().map(|(index, arrow)| {
                    let given = given.get(index).cloned().flatten();
                    given.unwrap_or_else(|| PgType::of(arrow).kind)
                });
                StoredStatement::Prepared {
                    kinds: kinds.collect(),
                    prepared: Box::new(prepared),
                }
            }
        };
        self.statements.insert(name, stored);
        Ok(self
            .writer
            .put(PgWireBackendMessage::ParseComplete(ParseComplete::new()))?)
    }

    /// Binds values to a prepared statement.
    pub(super) fn bind(
        &mut self,
        portal: String,
        statement: &str,
        parameter_formats: &[i16],
        parameters: &[Option<Bytes>],
        result_formats: &[i16],
    ) -> Result<(), Break> {
        let _ = self.working();
        if portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&portal) {
            return Err(PgError::new("42P03", format!("cursor \"{portal}\" already exists")).into());
        }
        if self.portals.len() >= self.max_portals {
            return Err(PgError::new("53400", "too many portals")
                .with_detail(format!("the limit is {} in one session", self.max_portals))
                .with_hint("close portals that are no longer needed, or raise portals")
                .into());
        }
        let bound = match self.statement(statement)? {
            StoredStatement::Empty if parameters.is_empty() => Portal::Empty,
            StoredStatement::Empty => return Err(wrong_count(parameters.len(), statement, 0).into()),
            StoredStatement::Prepared { prepared, kinds } => {
                if parameters.len() != kinds.len() {
                    return Err(wrong_count(parameters.len(), statement, kinds.len()).into());
                }
                let columns = prepared.schema.as_ref().map_or(0, |schema| schema.fields().len());
                Portal::Bound {
                    values: bind_values(prepared, kinds, parameter_formats, parameters)?,
                    // A statement without rows has no use for formats, and drivers send them all the same.
                    formats: match &prepared.schema {
                        Some(_) => Formats::of(result_formats, columns)?,
                        None => Formats::TEXT,
                    },
                    prepared: prepared.clone(),
                }
            }
        };
        self.portals.insert(portal, bound);
        Ok(self
            .writer
            .put(PgWireBackendMessage::BindComplete(BindComplete::new()))?)
    }

    /// Tells what a statement takes and gives, or what a portal gives. Runs nothing.
    pub(super) fn describe(&mut self, target: Target, name: &str) -> Result<(), Break> {
        let (parameters, rows) = match target {
            Target::Statement => match self.statement(name)? {
                StoredStatement::Empty => (Some(Vec::new()), None),
                StoredStatement::Prepared { prepared, kinds } => (
                    Some(kinds.iter().map(Type::oid).collect()),
                    prepared
                        .schema
                        .as_ref()
                        .map(|schema| rows::describe(schema, &Formats::TEXT)),
                ),
            },
            Target::Portal => match self.portals.get(name).ok_or_else(|| no_portal(name))? {
                Portal::Empty | Portal::Done => (None, None),
                Portal::Bound { prepared, formats, .. } | Portal::Running { prepared, formats, .. } => (
                    None,
                    prepared.schema.as_ref().map(|schema| rows::describe(schema, formats)),
                ),
            },
        };
        if let Some(oids) = parameters {
            self.writer
                .put(PgWireBackendMessage::ParameterDescription(ParameterDescription::new(
                    oids,
                )))?;
        }
        Ok(self
            .writer
            .put(rows.unwrap_or(PgWireBackendMessage::NoData(NoData::new())))?)
    }

    /// Runs a portal, or goes on with it, for at most `limit` rows; 0 for all.
    pub(super) async fn execute(&mut self, name: &str, limit: u64) -> Result<(), Break> {
        let working = self.working();
        // The portal is taken out, so an error or a cancelled statement leaves none behind.
        let portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let before = self.session.transaction_status();
        let (prepared, mut running, formats) = match portal {
            Portal::Empty => {
                self.portals.insert(name.to_owned(), Portal::Empty);
                return Ok(self
                    .writer
                    .put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?);
            }
            Portal::Done => {
                self.portals.insert(name.to_owned(), Portal::Done);
                return Err(PgError::new("55000", format!("portal \"{name}\" cannot be run")).into());
            }
            Portal::Running {
                prepared,
                running,
                formats,
            } => (prepared, running, formats),
            Portal::Bound {
                prepared,
                values,
                formats,
            } => {
                let started = rows::start(
                    &self.frontend,
                    &self.session,
                    &prepared,
                    values,
                    formats.clone(),
                    &mut self.writer,
                    &working,
                );
                match started.await? {
                    Started::Rows(running) => (prepared, Box::new(running), formats),
                    Started::Done(tag) => {
                        self.portals.insert(name.to_owned(), Portal::Done);
                        if before != TransactionStatus::Idle {
                            self.end_portals_with_transaction();
                        }
                        return Ok(self.complete(tag)?);
                    }
                }
            }
        };
        let sent = running.send(limit, &mut self.writer, &working).await?;
        if sent.ended {
            self.complete(running.tag(sent.rows))?;
        } else {
            self.writer
                .put(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()))?;
        }
        let portal = Portal::Running {
            prepared,
            running,
            formats,
        };
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// Drops a statement or portal; one that does not exist is no error.
    pub(super) fn close(&mut self, target: Target, name: &str) -> Result<(), Break> {
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => drop(self.portals.remove(name)),
        }
        Ok(self
            .writer
            .put(PgWireBackendMessage::CloseComplete(CloseComplete::new()))?)
    }

    fn statement(&self, name: &str) -> Result<&StoredStatement, PgError> {
        self.statements.get(name).ok_or_else(|| {
            let shown = if name.is_empty() {
                "unnamed prepared statement".to_owned()
            } else {
                format!("prepared statement \"{name}\"")
            };
            PgError::new("26000", format!("{shown} does not exist"))
        })
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::new("34000", format!("portal \"{name}\" does not exist"))
}

fn wrong_count(given: usize, statement: &str, wanted: usize) -> PgError {
    PgError::new(
        "08P01",
        format!("bind message supplies {given} parameters, but prepared statement \"{statement}\" requires {wanted}"),
    )
}

/// The type that a client gives a parameter; `None` for 0 and `unknown`.
fn given_type(oid: u32) -> Result<Option<Type>, PgError> {
    match oid {
        0 => Ok(None),
        _ => match Type::from_oid(oid) {
            Some(Type::UNKNOWN) => Ok(None),
            Some(kind) => Ok(Some(kind)),
            None => Err(PgError::new("42704", format!("type with OID {oid} does not exist"))),
        },
    }
}

fn bind_values(
    prepared: &Prepared,
    kinds: &[Type],
    formats: &[i16],
    values: &[Option<Bytes>],
) -> Result<Vec<ScalarValue>, PgError> {
    let formats = match formats {
        [] => vec![false; values.len()],
        [format] => vec![is_binary(*format)?; values.len()],
        formats if formats.len() == values.len() => formats
            .iter()
            .map(|format| is_binary(*format))
            .collect::<Result<_, _>>()?,
        formats => {
            return Err(PgError::new(
                "08P01",
                format!(
                    "bind message has {} parameter formats but {} parameters",
                    formats.len(),
                    values.len()
                ),
            ));
        }
    };
    let typed = kinds.iter().zip(&prepared.parameters).zip(formats);
    values
        .iter()
        .zip(typed)
        .enumerate()
        .map(|(index, (value, ((kind, target), binary)))| {
            parameters::decode(index + 1, value.as_deref(), binary, kind, target)
        })
        .collect()
}
