//! The simple protocol: a text of any number of statements, each answered in turn, to the first that fails.

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::EmptyQueryResponse;

use super::connection::Exchange;
use super::error::{Break, PgError};
use super::rows::{self, Formats, Started};

impl Exchange {
    pub(super) async fn query(&mut self, text: &str) -> Result<(), Break> {
        // A simple query ends the unnamed statement and the unnamed portal.
        self.statements.remove("");
        self.portals.remove("");
        let working = self.working();
        let statements = self.frontend.parse(&self.session, text)?;
        if statements.is_empty() {
            self.writer
                .put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()))?;
        }
        for statement in statements {
            let prepared = tokio::select! {
                biased;
                () = working.cancelled() => return Err(PgError::cancelled().into()),
                prepared = self.frontend.prepare(&self.session, statement, &[]) => prepared?,
            };
            if !prepared.parameters.is_empty() {
                return Err(PgError::new("42P02", "there is no parameter $1")
                    .with_hint("bind parameters with the extended protocol (psql: \\bind), or write the value")
                    .into());
            }
            let started = rows::start(
                &self.frontend,
                &self.session,
                &prepared,
                Vec::new(),
                Formats::TEXT,
                &mut self.writer,
                &working,
            )
            .await?;
            let tag = match started {
                Started::Done(tag) => tag,
                Started::Rows(mut running) => {
                    if let Some(schema) = &prepared.schema {
                        self.writer.put(rows::describe(schema, &Formats::TEXT))?;
                    }
                    let sent = running.send(0, &mut self.writer, &working).await?;
                    running.tag(sent.rows)
                }
            };
            self.complete(tag)?;
        }
        Ok(self.ready().await?)
    }
}
