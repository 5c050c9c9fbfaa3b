//! Reading an object by offset, without ever holding more than two chunks of it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::JoinHandle;

use super::{Content, ContentFile};

/// Large enough that a system call and a thread change per chunk cost nothing beside the copy.
const CHUNK: u64 = 512 * 1024;

/// A range of an object's bytes, in chunks. For files, the next chunk is read while the present one is sent.
pub(crate) struct ContentStream {
    source: Source,
    remaining: u64,
}

enum Source {
    Memory(Bytes),
    File {
        file: Arc<File>,
        /// Keeps a replaced version's file until this stream is done.
        _lease: Arc<ContentFile>,
        /// Start of what has not been asked for yet.
        next: u64,
        end: u64,
        ahead: Option<JoinHandle<io::Result<Bytes>>>,
    },
}

impl ContentStream {
    /// Opens `range` of the content, which must lie inside it.
    pub(crate) async fn open(content: &Content, range: Range<u64>) -> io::Result<Self> {
        let remaining = range.end - range.start;
        let source = match content {
            Content::Memory(bytes) => Source::Memory(bytes.slice(as_usize(range.start)?..as_usize(range.end)?)),
            Content::File(lease) => {
                let path = lease.path().to_owned();
                let file = tokio::task::spawn_blocking(move || File::open(path))
                    .await
                    .map_err(io::Error::other)??;
                let mut source = Source::File {
                    file: Arc::new(file),
                    _lease: Arc::clone(lease),
                    next: range.start,
                    end: range.end,
                    ahead: None,
                };
                source.read_ahead();
                source
            }
        };
        Ok(Self { source, remaining })
    }
}

impl Source {
    fn read_ahead(&mut self) {
        if let Self::File {
            file, next, end, ahead, ..
        } = self
            && *next < *end
        {
            let (from, length) = (*next, CHUNK.min(*end - *next));
            *next += length;
            let file = Arc::clone(file);
            *ahead = Some(tokio::task::spawn_blocking(move || read_at(&file, from, length)));
        }
    }
}

impl Stream for ContentStream {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = match &mut self.source {
            Source::Memory(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Source::Memory(bytes) => {
                let length = bytes.len().min(CHUNK as usize);
                bytes.split_to(length)
            }
            Source::File { ahead, .. } => {
                let Some(reading) = ahead else {
                    return Poll::Ready(None);
                };
                let read = ready!(Pin::new(reading).poll(cx));
                *ahead = None;
                match read.map_err(io::Error::other).and_then(|read| read) {
                    Ok(chunk) => chunk,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                }
            }
        };
        self.source.read_ahead();
        self.remaining -= chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl ByteStream for ContentStream {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.remaining).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(unix)]
fn read_at(file: &File, from: u64, length: u64) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = vec![0; as_usize(length)?];
    file.read_exact_at(&mut buffer, from)?;
    Ok(buffer.into())
}

#[cfg(windows)]
fn read_at(file: &File, from: u64, length: u64) -> io::Result<Bytes> {
    use std::os::windows::fs::FileExt as _;
    let mut buffer = vec![0; as_usize(length)?];
    let mut filled = 0;
    while filled < buffer.len() {
        match file.seek_read(&mut buffer[filled..], from + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(buffer.into())
}

fn as_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}
