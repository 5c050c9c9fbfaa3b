//! Running a statement and sending its rows as they come.
//!
//! One batch is held at a time, and the next is asked for when the client has taken the last: a slow client slows the
//! statement down instead of filling memory. Dropping what runs cancels it.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::scalar::ScalarValue;
use farthing_sql::{Control, Frontend, Notice, Prepared, Response, Rows, Session};
use futures::StreamExt;
use futures::stream::BoxStream;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::RowDescription;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::encode::BatchRows;
use super::error::{Break, PgError};
use super::types::PgType;
use super::wire::Writer;

/// Notices that wait for the client; more are dropped.
const NOTICE_QUEUE: usize = 64;

/// The form that a client wants each column in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formats {
    /// All columns alike.
    All { binary: bool },
    /// Each column its own.
    Each(Arc<[bool]>),
}

impl Formats {
    pub(super) const TEXT: Self = Self::All { binary: false };

    /// From Bind's result formats for so many columns.
    pub(super) fn of(codes: &[i16], columns: usize) -> Result<Self, PgError> {
        match codes {
            [] => Ok(Self::TEXT),
            [code] => Ok(Self::All {
                binary: is_binary(*code)?,
            }),
            codes if codes.len() == columns => Ok(Self::Each(
                codes.iter().map(|code| is_binary(*code)).collect::<Result<_, _>>()?,
            )),
            codes => Err(PgError::new(
                "08P01",
                format!(
                    "bind message has {} result formats but query has {columns} columns",
                    codes.len()
                ),
            )),
        }
    }

    pub(super) fn binary(&self, column: usize) -> bool {
        match self {
            Self::All { binary } => *binary,
            Self::Each(binary) => binary.get(column).copied().unwrap_or_default(),
        }
    }
}

/// Reads a format code.
pub(super) fn is_binary(code: i16) -> Result<bool, PgError> {
    match code {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(PgError::new("22023", format!("unsupported format code: {code}"))),
    }
}

/// The description of a result's columns.
pub(super) fn describe(schema: &Schema, formats: &Formats) -> PgWireBackendMessage {
    let fields = schema.fields().iter().enumerate();
    let fields =
        fields.map(|(index, field)| PgType::of(field.data_type()).describe(field.name(), formats.binary(index)));
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.collect()))
}

/// What a statement became once it was started.
pub(super) enum Started {
    /// Its rows are coming.
    Rows(Running),
    /// It is done; the command tag.
    Done(String),
}

/// A statement whose rows are coming.
pub(super) struct Running {
    tag: &'static str,
    batches: BoxStream<'static, farthing_engine::Result<RecordBatch>>,
    notices: mpsc::Receiver<Notice>,
    formats: Formats,
    columns: i16,
    batch: Option<BatchRows>,
    ended: bool,
    /// Whether rows were dropped because the statement ended while the client did not read.
    cut: bool,
    /// The statement's own token. The front end cancels it too, when the statement is past its deadline.
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
}

/// Where sending stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Rows sent by this call.
    pub(super) rows: u64,
    /// Whether the last row is sent.
    pub(super) ended: bool,
}

/// Sends what has gathered, unless the statement is cancelled meanwhile: a client that does not read must not keep a
/// statement alive that was cancelled.
async fn flush(writer: &mut Writer, cancelled: &CancellationToken) -> Result<(), Break> {
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Err(PgError::cancelled().into()),
        flushed = writer.flush() => Ok(flushed?),
    }
}

/// Starts a statement. Notices go out while it starts.
pub(super) async fn start(
    frontend: &Frontend,
    session: &Session,
    prepared: &Prepared,
    values: Vec<ScalarValue>,
    formats: Formats,
    writer: &mut Writer,
    cancelled: &CancellationToken,
) -> Result<Started, Break> {
    let (sender, mut notices) = mpsc::channel(NOTICE_QUEUE);
    let cancel = CancellationToken::new();
    // Whatever ends the start early cancels the statement as well.
    let guard = cancel.clone().drop_guard();
    let control = Control {
        cancel: cancel.clone(),
        notices: Some(sender),
    };
    let mut execution = std::pin::pin!(frontend.execute(session, prepared, values, control));
    let response = loop {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => return Err(PgError::cancelled().into()),
            Some(notice) = notices.recv() => {
                writer.put_notice(notice)?;
                flush(writer, cancelled).await?;
            }
            response = &mut execution => break response?,
        }
    };
    match response {
        Response::Done { tag } => {
            put_waiting(&mut notices, writer)?;
            Ok(Started::Done(tag))
        }
        Response::Rows(rows) => Ok(Started::Rows(Running::new(rows, notices, formats, guard, cancel)?)),
    }
}

/// Adds the notices that wait.
fn put_waiting(notices: &mut mpsc::Receiver<Notice>, writer: &mut Writer) -> Result<(), Break> {
    while let Ok(notice) = notices.try_recv() {
        writer.put_notice(notice)?;
    }
    Ok(())
}

impl Running {
    fn new(
        rows: Rows,
        notices: mpsc::Receiver<Notice>,
        formats: Formats,
        guard: DropGuard,
        cancel: CancellationToken,
    ) -> Result<Self, PgError> {
        let columns = i16::try_from(rows.schema.fields().len())
            .map_err(|_| PgError::new("54011", "the result has more columns than the protocol allows"))?;
        Ok(Self {
            tag: rows.tag,
            batches: rows.batches,
            notices,
            formats,
            columns,
            batch: None,
            ended: false,
            cut: false,
            cancel,
            _cancel_on_drop: guard,
        })
    }

    /// Sends rows until the limit (0 for none) or the last one.
    pub(super) async fn send(
        &mut self,
        limit: u64,
        writer: &mut Writer,
        cancelled: &CancellationToken,
    ) -> Result<Sent, Break> {
        let mut rows = 0;
        loop {
            if cancelled.is_cancelled() {
                return Err(PgError::cancelled().into());
            }
            let Some(batch) = &mut self.batch else {
                if self.ended || !self.next_batch(writer, cancelled).await? {
                    put_waiting(&mut self.notices, writer)?;
                    return Ok(Sent { rows, ended: true });
                }
                continue;
            };
            while !batch.is_done() && !writer.is_full() {
                if limit > 0 && rows == limit {
                    return Ok(Sent { rows, ended: false });
                }
                writer.put_row(self.columns, |out: &mut BytesMut| batch.write_next(out))?;
                rows += 1;
            }
            if batch.is_done() {
                self.batch = None;
                if limit > 0 && rows == limit {
                    return Ok(Sent { rows, ended: false });
                }
            }
            if writer.is_full() {
                tokio::select! {
                    biased;
                    // The statement ended while the client did not read: its stream says why.
                    () = self.cancel.cancelled() => {
                        self.batch = None;
                        self.cut = true;
                    }
                    flushed = flush(writer, cancelled) => flushed?,
                }
                // Encoding is computing, so others get their turn although the socket took everything at once.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits for the next batch. What has gathered is sent meanwhile, so a row never waits for a later one.
    async fn next_batch(&mut self, writer: &mut Writer, cancelled: &CancellationToken) -> Result<bool, Break> {
        loop {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(PgError::cancelled().into()),
                Some(notice) = self.notices.recv() => {
                    writer.put_notice(notice)?;
                    flush(writer, cancelled).await?;
                }
                batch = self.batches.next() => {
                    let Some(batch) = batch.transpose()? else {
                        if self.cut {
                            // Rows are missing, so this is no end.
                            return Err(PgError::cancelled().into());
                        }
                        self.ended = true;
                        return Ok(false);
                    };
                    if batch.num_rows() > 0 {
                        let formats = &self.formats;
                        self.batch = Some(BatchRows::open(&batch, |column| formats.binary(column))?);
                        return Ok(true);
                    }
                }
                flushed = writer.flush(), if !writer.is_empty() => flushed?,
            }
        }
    }

    /// The command tag after so many rows: only SELECT and FETCH tell them.
    pub(super) fn tag(&self, rows: u64) -> String {
        match self.tag {
            tag @ ("SELECT" | "FETCH") => format!("{tag} {rows}"),
            tag => tag.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
