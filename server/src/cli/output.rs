//! What the command line prints: results on standard output, everything else on standard error.
//!
//! Nothing else in the crate prints. A reader that has seen enough (`farthing query ... | head`) closes the pipe; that is
//! no error, and [`Output::closed`] tells long outputs to stop.

use std::io::{self, ErrorKind as IoErrorKind, Write};

use farthing_engine::{Error, ErrorKind, Result};

/// The process's output.
#[derive(Debug, Default)]
pub struct Output {
    closed: bool,
}

impl Output {
    /// Prints a line of a result.
    ///
    /// # Errors
    ///
    /// `Disk` if standard output cannot be written; not if its reader has gone.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Prints bytes of a result.
    ///
    /// # Errors
    ///
    /// As [`Output::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == IoErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Error::new(
                ErrorKind::Disk,
                format!("standard output cannot be written: {error}"),
            )),
        }
    }

    /// Whether nobody reads the results any more.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Tells the person at the terminal something that is no result.
    pub fn note(&mut self, text: impl AsRef<str>) {
        // Where even standard error is gone, there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Tells the person at the terminal what went wrong.
    pub fn error(&mut self, error: &Error) {
        self.note(format!("error: {}", error.message()));
        if let Some(detail) = error.detail() {
            self.note(format!("  detail: {detail}"));
        }
        if let Some(hint) = error.hint() {
            self.note(format!("  hint: {hint}"));
        }
    }
}
