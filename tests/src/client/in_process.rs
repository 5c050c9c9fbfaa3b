//! The front end without a protocol, as `farthing query` and programs that embed Farthing use it.

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use farthing_engine::principal::Principal;
use farthing_sql::{Control, Frontend, Notice, Origin, Protocol, Response, Session};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Answer, Client, Param, Refusal, Way};
use crate::render;

/// A session of its own.
pub struct InProcess {
    frontend: Frontend,
    session: Session,
    /// Cancels what runs, and everything after it.
    pub cancel: CancellationToken,
    /// The notices of the last statement.
    pub notices: Vec<Notice>,
}

impl InProcess {
    /// A session of `principal`.
    pub fn open(frontend: Frontend, principal: Principal) -> Self {
        let origin = Origin {
            protocol: Protocol::InProcess,
            address: None,
            application: "tests".to_owned(),
        };
        Self {
            session: frontend.open_session(principal, origin),
            frontend,
            cancel: CancellationToken::new(),
            notices: Vec::new(),
        }
    }

    /// Runs one statement and gives its batches, or `None` for a statement without rows.
    pub async fn batches(
        &mut self,
        sql: &str,
        params: &[Param],
    ) -> farthing_engine::Result<Option<(arrow::datatypes::SchemaRef, Vec<RecordBatch>)>> {
        let (sender, mut notices) = mpsc::channel(10_000);
        let control = Control {
            cancel: self.cancel.clone(),
            notices: Some(sender),
        };
        let mut statements = self.frontend.parse(&self.session, sql)?;
        assert_eq!(statements.len(), 1, "one statement at a time: {sql}");
        let prepared = self.frontend.prepare(&self.session, statements.remove(0), &[]).await?;
        let values = params
            .iter()
            .zip(&prepared.parameters)
            .map(|(param, wanted)| {
                let value = match param {
                    Param::Text(text) => ScalarValue::from(text.as_str()),
                    Param::Int(number) => ScalarValue::from(*number),
                    Param::Bool(value) => ScalarValue::from(*value),
                    Param::Null => ScalarValue::Utf8(None),
                };
                value.cast_to(wanted)
            })
            .collect::<datafusion::error::Result<Vec<_>>>()
            .unwrap();
        let response = self.frontend.execute(&self.session, &prepared, values, control).await?;
        let rows = match response {
            Response::Done { .. } => None,
            Response::Rows(mut rows) => {
                let mut batches = Vec::new();
                while let Some(batch) = rows.batches.next().await {
                    let batch = batch?;
                    assert_eq!(batch.schema(), rows.schema, "a batch has the announced schema: {sql}");
                    batches.push(batch);
                }
                assert_eq!(
                    prepared.schema.as_ref(),
                    Some(&rows.schema),
                    "the rows have the prepared schema: {sql}"
                );
                Some((rows.schema, batches))
            }
        };
        self.notices.clear();
        while let Ok(notice) = notices.try_recv() {
            self.notices.push(notice);
        }
        Ok(rows)
    }
}

#[async_trait]
impl Client for InProcess {
    async fn run_with(&mut self, sql: &str, params: &[Param]) -> Result<Answer, Refusal> {
        match self.batches(sql, params).await {
            Ok(Some((schema, batches))) => Ok(render::answer(&schema, &batches)),
            Ok(None) => Ok(Answer::default()),
            Err(error) => Err(Refusal::of(&error)),
        }
    }

    fn way(&self) -> Way {
        Way::InProcess
    }
}
