//! Statements in process: the same front end as the protocols use, without a socket in between.

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::scalar::ScalarValue;
use farthing_engine::principal::{Grant, Principal, Role};
use farthing_engine::{Error, ErrorKind, Result};
use farthing_sql::{Control, Frontend, Notice, Origin, Protocol, Response, Rows, Session, Statement};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notices that wait to be printed; more are dropped.
const NOTICE_QUEUE: usize = 64;

/// One session of the person who owns the data directory.
pub struct Client {
    frontend: Frontend,
    session: Session,
}

impl Client {
    /// A session as administrator. Whoever can read the data directory can read everything in it, so no password is asked.
    pub fn local(frontend: Frontend) -> Self {
        let principal = Principal {
            name: "local".to_owned(),
            role: Role::Admin,
            grant: Grant::AllConnected,
        };
        let origin = Origin {
            protocol: Protocol::InProcess,
            address: None,
            application: "farthing".to_owned(),
        };
        let session = frontend.open_session(principal, origin);
        Self { frontend, session }
    }

    /// The statements of a text.
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>> {
        self.frontend.parse(&self.session, sql)
    }

    /// Starts a statement with values for its parameters. Dropping the answer cancels it.
    pub async fn start(
        &self,
        statement: Statement,
        values: Vec<ScalarValue>,
        cancel: CancellationToken,
        notices: Option<mpsc::Sender<Notice>>,
    ) -> Result<Response> {
        let hints: Vec<Option<DataType>> = values.iter().map(|value| Some(value.data_type())).collect();
        let prepared = self.frontend.prepare(&self.session, statement, &hints).await?;
        let control = Control { cancel, notices };
        self.frontend.execute(&self.session, &prepared, values, control).await
    }

    /// Runs one statement to its end, telling `notice` what it says meanwhile, and answers with its rows. Only for
    /// statements whose rows are few: procedures and metadata.
    pub async fn call(
        &self,
        sql: &str,
        values: Vec<ScalarValue>,
        mut notice: impl FnMut(Notice),
    ) -> Result<Vec<RecordBatch>> {
        let mut statements = self.parse(sql)?;
        let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::defect("an internal statement is not exactly one"));
        };
        let (sender, mut receiver) = mpsc::channel(NOTICE_QUEUE);
        let run = async {
            match self
                .start(statement, values, CancellationToken::new(), Some(sender))
                .await?
            {
                Response::Rows(rows) => gather(rows).await,
                Response::Done { .. } => Ok(Vec::new()),
            }
        };
        tokio::pin!(run);
        loop {
            tokio::select! {
                done = &mut run => {
                    while let Ok(said) = receiver.try_recv() {
                        notice(said);
                    }
                    return done;
                }
                Some(said) = receiver.recv() => notice(said),
            }
        }
    }
}

async fn gather(mut rows: Rows) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.batches.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// The values of some columns of result rows as text, row by row; NULL is empty.
///
/// # Errors
///
/// `Defect` if a column is missing.
pub fn text_columns<const N: usize>(batches: &[RecordBatch], names: [&str; N]) -> Result<Vec<[String; N]>> {
    let mut rows = Vec::new();
    for batch in batches {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = batch
                .schema()
                .index_of(name)
                .map_err(|_| Error::new(ErrorKind::Defect, format!("a result has no column {name}")))?;
        }
        for row in crate::pg::text_cells(batch)? {
            rows.push(places.map(|place| row.get(place).cloned().flatten().unwrap_or_default()));
        }
    }
    Ok(rows)
}
