//! A TCP stream that can be made to end in a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Turns the end of its connection into a reset.
#[derive(Clone, Debug, Default)]
pub(super) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    pub(super) fn turn(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_turned(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The server's side of a connection.
pub(super) struct Connection {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> (Self, ResetSwitch) {
        let reset = ResetSwitch::default();
        let connection = Self {
            stream,
            reset: reset.clone(),
        };
        (connection, reset)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Closing with a linger time of zero makes the kernel send RST instead of FIN.
        if self.reset.is_turned()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::warn!(%error, "the connection ends in good order instead of in a reset");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A shutdown would send the FIN that a reset must not have.
        if self.reset.is_turned() {
            Poll::Ready(Ok(()))
        } else {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
