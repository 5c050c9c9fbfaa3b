//! Farthing in process: a node over a data directory, asked through the front end that the protocols use.

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

use crate::background::{self, Background};
use crate::cell::{self, Cell};
use crate::mode::Mode;
use crate::sample::{EXPORT, Sample};
use crate::{Answer, Outcome};

/// The longest wait for the import.
const IMPORT_WAIT: Duration = Duration::from_secs(1800);

/// A node.
pub struct Farthing {
    node: Node,
    threads: usize,
}

/// A session of a node, in a mode.
pub struct ModeSession {
    session: Session,
    /// The settings of the mode that this build does not know.
    pub unknown: Vec<&'static str>,
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
        Ok(Self {
            node: Node::open(config, runtimes).await?,
            threads: config.threads,
        })
    }

    /// Opens a session. A setting that this build does not know is passed over and told.
    pub async fn session(&self, mode: Mode) -> Outcome<ModeSession> {
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
        let mut session = ModeSession {
            session: self.node.frontend().open_session(principal, origin),
            unknown: Vec::new(),
        };
        self.batches(&session, &format!("SET farthing.threads = {}", self.threads))
            .await?;
        for (name, value) in mode.settings() {
            match self.batches(&session, &format!("SET {name} = {value}")).await {
                Ok(_) => {}
                Err(failure) if background::is_unknown(&failure) => session.unknown.push(name),
                Err(failure) => return Err(failure),
            }
        }
        Ok(session)
    }

    /// Connects the export at `location` (with `keys`, the further arguments of the call), and the linked accounts by the
    /// arguments that `linked` has for each; returns when every month is imported.
    pub async fn connect(&self, sample: &Sample, location: &str, keys: &str, linked: &[String]) -> Outcome<()> {
        let session = self.session(Mode::Default).await?;
        let location = location.replace('\'', "''");
        self.batches(
            &session,
            &format!("CALL connect_aws_root(location => '{location}'{keys})"),
        )
        .await?;
        for arguments in linked {
            self.batches(&session, &format!("CALL connect_aws_linked({arguments})"))
                .await?;
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

    /// The same for the sample in its folder.
    pub async fn connect_folder(&self, sample: &Sample) -> Outcome<()> {
        let linked: Vec<String> = sample
            .connected_linked()
            .iter()
            .map(|account| format!("account_id => '{account}'"))
            .collect();
        self.connect(sample, &sample.location(), "", &linked).await
    }

    /// Does the work of the background to the end, on all cores, as `farthing import` does; for at most `limit`.
    pub async fn settle(&self, limit: Duration) -> Outcome<Background> {
        let began = Instant::now();
        let ended = tokio::time::timeout(limit, self.node.derive_all(|| {})).await;
        let session = self.session(Mode::Default).await?;
        let answer = self.ask(&session, background::UNDONE).await?;
        let seconds = began.elapsed().as_secs_f64();
        match answer.rows.first().and_then(|row| row.first()) {
            Some(Cell::Number(undone)) if ended.is_ok() && *undone <= 0.0 => Ok(Background::Done(seconds)),
            Some(Cell::Number(undone)) => Ok(Background::Undone(seconds, *undone)),
            other => Err(format!("a count is expected, not {other:?}").into()),
        }
    }

    /// Runs a query to its last row. Turning batches into cells is not in the time.
    pub async fn ask(&self, session: &ModeSession, sql: &str) -> Outcome<Answer> {
        let began = Instant::now();
        let batches = self.batches(session, sql).await?;
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

    async fn batches(&self, session: &ModeSession, sql: &str) -> Outcome<Vec<RecordBatch>> {
        let (frontend, session) = (self.node.frontend(), &session.session);
        let mut batches = Vec::new();
        for statement in frontend.parse(session, sql)? {
            let prepared = frontend.prepare(session, statement, &[]).await?;
            let control = Control {
                cancel: CancellationToken::new(),
                notices: None,
            };
            match frontend.execute(session, &prepared, Vec::new(), control).await? {
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
