//! Farthing in process: a node over a temporary data directory, asked through the front end that the protocols use.

use std::path::Path;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use farthing_engine::id::ExportId;
use farthing_engine::principal::{Grant, Principal, Role};
use farthing_server::config::{Config, Machine};
use farthing_server::runtime::Runtimes;
use farthing_server::wiring::Node;
use farthing_sql::{Control, Origin, Protocol, Response, Session};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::sample::{EXPORT, Sample};
use crate::{Answer, Outcome, cell};

/// The longest wait for the import.
const IMPORT_WAIT: Duration = Duration::from_secs(1800);

/// A node with one session.
pub struct Farthing {
    node: Node,
    session: Session,
}

impl Farthing {
    /// The configuration of a node over `data_dir` with so many threads; all else as a user gets it.
    pub fn config(data_dir: &Path, threads: usize) -> Config {
        let mut config = Config::defaults(Machine::detect());
        config.data_dir = data_dir.to_path_buf();
        config.threads = threads;
        config
    }

    /// Opens a node whose queries run on so many threads.
    pub async fn open(config: &Config, runtimes: &Runtimes) -> Outcome<Self> {
        let node = Node::open(config, runtimes).await?;
        let principal = Principal {
            name: "bench".to_owned(),
            role: Role::Admin,
            grant: Grant::AllConnected,
        };
        let origin = Origin {
            protocol: Protocol::InProcess,
            address: None,
            application: "dashboard".to_owned(),
        };
        let session = node.frontend().open_session(principal, origin);
        let farthing = Self { node, session };
        let threads = config.threads;
        farthing.batches(&format!("SET farthing.threads = {threads}")).await?;
        Ok(farthing)
    }

    /// Connects the sample's export and its accounts but the ones left out; returns when every month is imported.
    pub async fn connect(&self, sample: &Sample) -> Outcome<()> {
        let location = sample.location().replace('\'', "''");
        self.batches(&format!("CALL connect_aws_root(location => '{location}')"))
            .await?;
        for account in sample.connected_linked() {
            let call = format!("CALL connect_aws_linked(account_id => '{account}')");
            self.batches(&call).await?;
        }
        let export = ExportId::of_export_name(EXPORT)?;
        let began = Instant::now();
        loop {
            let lease = self.node.catalog().lease();
            let months = lease.snapshots.get(&export).map_or(0, |periods| periods.len());
            if months >= sample.months() as usize {
                return Ok(());
            }
            if began.elapsed() > IMPORT_WAIT {
                return Err(format!("only {months} of {} months were imported", sample.months()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a query to its last row. Turning batches into cells is not in the time.
    pub async fn ask(&self, sql: &str) -> Outcome<Answer> {
        let began = Instant::now();
        let batches = self.batches(sql).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Answer {
            rows: cell::of_batches(&batches)?,
            seconds,
        })
    }

    /// Ends what the node started.
    pub async fn close(self) {
        self.node.close().await;
    }

    async fn batches(&self, sql: &str) -> Outcome<Vec<RecordBatch>> {
        let frontend = self.node.frontend();
        let mut batches = Vec::new();
        for statement in frontend.parse(&self.session, sql)? {
            let prepared = frontend.prepare(&self.session, statement, &[]).await?;
            let control = Control {
                cancel: CancellationToken::new(),
                notices: None,
            };
            match frontend.execute(&self.session, &prepared, Vec::new(), control).await? {
                Response::Done { .. } => {}
                Response::Rows(mut rows) => {
                    while let Some(batch) = rows.batches.next().await {
                        batches.push(batch?);
                    }
                }
            }
        }
        Ok(batches)
    }
}
