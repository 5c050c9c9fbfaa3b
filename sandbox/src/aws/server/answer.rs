//! The body of an answer on its way out: counted, and spoiled where a fault asks for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use s3s::{Body, StdError};
use tokio::time::Sleep;

use super::connection::ResetSwitch;
use crate::aws::fault::FaultKind;
use crate::aws::log::Exchange;

/// How long the bytes before a cut have to reach the client. Without a pause they would stay in hyper's buffer and be lost
/// with the connection.
const BEFORE_THE_CUT: Duration = Duration::from_millis(30);

pub(super) struct AnswerBody {
    inner: Body,
    exchange: Arc<Exchange>,
    sent: u64,
    /// Positions in the body.
    flips: Vec<u64>,
    cut: Option<Cut>,
    reset: ResetSwitch,
}

struct Cut {
    after: u64,
    reset: bool,
    pause: Option<Pin<Box<Sleep>>>,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, exchange: Arc<Exchange>, reset: ResetSwitch) -> Self {
        let mut flips = Vec::new();
        let mut cut = None;
        for fault in exchange.faults() {
            let (after, is_reset) = match fault {
                FaultKind::ResetMidBody { after_bytes } => (after_bytes, true),
                FaultKind::Truncate { after_bytes } => (after_bytes, false),
                FaultKind::FlipByte { offset } => {
                    flips.push(offset);
                    continue;
                }
                _ => continue,
            };
            cut = Some(Cut {
                after,
                reset: is_reset,
                pause: None,
            });
        }
        Self {
            inner,
            exchange,
            sent: 0,
            flips,
            cut,
            reset,
        }
    }

    /// Whether the body ends here by a fault.
    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(cut) = &mut self.cut else {
            return Poll::Ready(false);
        };
        if self.sent < cut.after {
            return Poll::Ready(false);
        }
        let pause = cut
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(BEFORE_THE_CUT)));
        ready!(pause.as_mut().poll(cx));
        if cut.reset {
            self.reset.turn();
        }
        Poll::Ready(true)
    }

    fn spoil(&mut self, mut chunk: Bytes) -> Bytes {
        if let Some(cut) = &self.cut {
            let left = cut.after.saturating_sub(self.sent);
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let here = self.sent..self.sent + chunk.len() as u64;
        let flips = self.flips.iter().filter(|offset| here.contains(offset));
        let flips: Vec<usize> = flips
            .filter_map(|offset| usize::try_from(offset - here.start).ok())
            .collect();
        if !flips.is_empty() {
            let mut spoiled = BytesMut::from(chunk.as_ref());
            for position in flips {
                spoiled[position] ^= 1;
            }
            chunk = spoiled.freeze();
        }
        chunk
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = self.get_mut();
        if ready!(this.poll_cut(cx)) {
            return Poll::Ready(Some(Err("the answer was cut off by an injected fault".into())));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(chunk) => {
                    let chunk = this.spoil(chunk);
                    this.sent += chunk.len() as u64;
                    this.exchange.sent(chunk.len());
                    Frame::data(chunk)
                }
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        // With a cut to come, hyper must ask once more even when the content itself is used up.
        self.cut.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
