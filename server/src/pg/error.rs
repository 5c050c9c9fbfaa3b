//! Errors and notices as PostgreSQL clients read them.

use std::io;

use farthing_engine::{Error, ErrorKind};
use farthing_sql::{Notice, Severity, SqlState};
use pgwire::error::ErrorInfo;
use uuid::Uuid;

/// An error on its way to a client.
#[derive(Debug)]
pub(super) struct PgError(Box<ErrorInfo>);

impl PgError {
    /// An error that ends the statement.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::with_severity("ERROR", code, message.into())
    }

    /// An error that ends the connection.
    pub(super) fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self::with_severity("FATAL", code, message.into())
    }

    /// The client breaks the protocol (08P01); the connection cannot go on.
    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::fatal("08P01", message)
    }

    /// The statement was cancelled (57014).
    pub(super) fn cancelled() -> Self {
        Self::new("57014", "canceling statement due to user request")
    }

    fn with_severity(severity: &str, code: &str, message: String) -> Self {
        let mut info = ErrorInfo::new(severity.to_owned(), code.to_owned(), message);
        info.severity_nonlocalized = Some(severity.to_owned());
        Self(Box::new(info))
    }

    /// Adds what to do next.
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds facts for a second look.
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The SQLSTATE.
    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.0.code
    }

    /// The message.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields of the message.
    pub(super) fn into_fields(self) -> ErrorInfo {
        *self.0
    }
}

impl From<Error> for PgError {
    /// Defects are masked: the log keeps what happened under an incident number, and the client gets the number.
    fn from(error: Error) -> Self {
        let state = SqlState::of(&error);
        if error.kind() == ErrorKind::Defect {
            let incident = Uuid::new_v4();
            tracing::error!(%incident, ?error, "a statement failed by a defect");
            return Self::new(state.code, format!("internal error (incident {incident})"))
                .with_hint("the server's log has the details under this number");
        }
        let mut own = Self::new(state.code, error.message());
        own.0.detail = error.detail().map(str::to_owned);
        own.0.hint = error.hint().map(str::to_owned);
        own
    }
}

/// A notice's fields.
pub(super) fn notice_fields(notice: Notice) -> ErrorInfo {
    // 00000 and 01000 are "successful completion" and "warning" of PostgreSQL's appendix A.
    let (severity, code) = match notice.severity {
        Severity::Notice => ("NOTICE", "00000"),
        Severity::Warning => ("WARNING", "01000"),
    };
    let mut info = ErrorInfo::new(severity.to_owned(), code.to_owned(), notice.message);
    info.severity_nonlocalized = Some(severity.to_owned());
    info.detail = notice.detail;
    info.hint = notice.hint;
    info
}

/// Why the handling of a message stopped.
#[derive(Debug)]
pub(super) enum Break {
    /// The client is told, and the connection goes on.
    Statement(PgError),
    /// The client is told, and the connection ends.
    Fatal(PgError),
    /// The connection is gone.
    Lost(io::Error),
}

impl From<PgError> for Break {
    fn from(error: PgError) -> Self {
        if error.0.is_fatal() {
            Self::Fatal(error)
        } else {
            Self::Statement(error)
        }
    }
}

impl From<Error> for Break {
    fn from(error: Error) -> Self {
        Self::Statement(error.into())
    }
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}
