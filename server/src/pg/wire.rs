//! Reading and writing of protocol messages (PostgreSQL 16, chapter 55).
//!
//! What comes in is read here and not by pgwire: its decoders trust the lengths inside a message and panic where they lie,
//! and it lets a client that has not logged in announce a message of one gigabyte. What goes out are pgwire's messages.

pub(super) mod frontend;

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use farthing_sql::Notice;
use pgwire::messages::PgWireBackendMessage;
use pgwire::tokio::server::MaybeTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use self::frontend::{FrontendMessage, Opening};
use super::error::{Break, PgError, notice_fields};

/// The longest message before the login, in bytes; PostgreSQL's limit for start-up packets.
pub(super) const MAX_OPENING_BYTES: usize = 10_000;
/// What is gathered before it is sent, in bytes.
const SEND_BYTES: usize = 64 << 10;
/// The least that one read makes room for, in bytes.
const READ_BYTES: usize = 8 << 10;
/// What is read ahead while a statement runs, in bytes.
const READ_AHEAD_BYTES: usize = 64 << 10;
/// A buffer that grew beyond this for one large message is given back, in bytes.
const KEEP_BYTES: usize = 1 << 20;

/// Reads a packet of the start-up phase, which has no type byte. Reads nothing beyond it, so no byte that was sent in
/// plain text can be taken for one that came over TLS (CVE-2021-23222's kind of mistake).
pub(super) async fn read_opening(stream: &mut MaybeTls) -> Result<Opening, Break> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or_default();
    if !(8..=MAX_OPENING_BYTES).contains(&length) {
        return Err(PgError::protocol("invalid length of startup packet").into());
    }
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await?;
    Ok(Opening::parse(&body)?)
}

/// The incoming half of a connection.
pub(super) struct Reader {
    half: ReadHalf<MaybeTls>,
    buffer: BytesMut,
    max_message_bytes: usize,
}

impl Reader {
    /// A reader that takes messages of the start-up phase.
    pub(super) fn new(half: ReadHalf<MaybeTls>) -> Self {
        Self {
            half,
            buffer: BytesMut::new(),
            max_message_bytes: MAX_OPENING_BYTES,
        }
    }

    /// Takes longer messages from now on.
    pub(super) fn set_max_message_bytes(&mut self, bytes: usize) {
        self.max_message_bytes = bytes;
    }

    /// The next message; `None` once the client has closed the connection. Loses nothing when dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Option<FrontendMessage>, Break> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            self.buffer.reserve(READ_BYTES);
            if self.half.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Result<Option<FrontendMessage>, PgError> {
        let Some((kind, length)) = self.buffer.first_chunk::<5>().map(|head| {
            let [kind, length @ ..] = *head;
            (kind, i32::from_be_bytes(length))
        }) else {
            return Ok(None);
        };
        // The length counts itself and not the type byte.
        let Some(body) = usize::try_from(length).ok().and_then(|length| length.checked_sub(4)) else {
            return Err(PgError::protocol("invalid message length"));
        };
        if body > self.max_message_bytes {
            return Err(PgError::fatal(
                "54000",
                format!(
                    "a message of {body} bytes is longer than {} bytes",
                    self.max_message_bytes
                ),
            )
            .with_hint("send shorter statements and fewer or shorter parameters"));
        }
        if self.buffer.len() < body + 5 {
            self.buffer.reserve(body + 5 - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(5);
        let body = self.buffer.split_to(body).freeze();
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::new();
        }
        FrontendMessage::parse(kind, body).map(Some)
    }

    /// Returns once the client is gone, reading ahead meanwhile as far as the bound allows. Loses nothing when dropped.
    pub(super) async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            self.buffer.reserve(READ_BYTES);
            match self.half.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        // The bound is reached: whether the client is still there shows when something is sent to it.
        std::future::pending().await
    }
}

/// The outgoing half of a connection.
pub(super) struct Writer {
    half: WriteHalf<MaybeTls>,
    buffer: BytesMut,
}

impl Writer {
    /// A writer with nothing to send.
    pub(super) fn new(half: WriteHalf<MaybeTls>) -> Self {
        Self {
            half,
            buffer: BytesMut::with_capacity(SEND_BYTES + 4096),
        }
    }

    /// Adds a message to what will be sent.
    pub(super) fn put(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        message.encode(&mut self.buffer).map_err(Into::into)
    }

    /// Adds an error.
    pub(super) fn put_error(&mut self, error: PgError) -> io::Result<()> {
        self.put(PgWireBackendMessage::ErrorResponse(error.into_fields().into()))
    }

    /// Adds a notice.
    pub(super) fn put_notice(&mut self, notice: Notice) -> io::Result<()> {
        self.put(PgWireBackendMessage::NoticeResponse(notice_fields(notice).into()))
    }

    /// Adds a row of `columns` values that `encode` writes, each with its length before it. A failed row leaves no trace.
    pub(super) fn put_row(
        &mut self,
        columns: i16,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        let start = self.buffer.len();
        self.buffer.put_u8(b'D');
        self.buffer.put_i32(0);
        self.buffer.put_i16(columns);
        let outcome = encode(&mut self.buffer).and_then(|()| {
            i32::try_from(self.buffer.len() - start - 1)
                .map_err(|_| PgError::new("54000", "a row is longer than the protocol allows"))
        });
        match outcome {
            Ok(length) => {
                self.buffer[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            Err(error) => {
                self.buffer.truncate(start);
                Err(error)
            }
        }
    }

    /// Whether enough has gathered to send it.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= SEND_BYTES
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Sends what has gathered. Sends nothing twice when dropped while it waits.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.half.write_all_buf(&mut self.buffer).await?;
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = BytesMut::with_capacity(SEND_BYTES + 4096);
        }
        self.half.flush().await
    }

    /// Sends what has gathered and closes the connection.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.half.shutdown().await
    }
}

#[cfg(test)]
pub(super) mod tests;
