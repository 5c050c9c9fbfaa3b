//! What went wrong: a kind that code branches on, a sentence for a person, and what to do next.
//!
//! Code branches on [`ErrorKind`], never on text. Messages state a present fact and name the object; the hint says what
//! to do. No message holds a secret or names an account outside the reader's scope.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use datafusion::error::DataFusionError;

/// The result of everything in the engine that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is; `sql::sqlstate` maps each to one SQLSTATE and one gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The statement is not SQL that Farthing reads.
    Syntax,
    /// No relation of that name.
    UnknownTable,
    /// No column of that name.
    UnknownColumn,
    /// No function or procedure of that name and arguments.
    UnknownFunction,
    /// A name fits more than one column.
    AmbiguousColumn,
    /// A value of the wrong type for its place.
    WrongType,
    /// A value of the right type that is not allowed.
    BadValue,
    /// Text that is no date or time.
    BadInstant,
    /// NULL where a value is required.
    NullNotAllowed,
    /// Division by zero in a statement.
    DivisionByZero,
    /// A number leaves the range of its type.
    OutOfRange,
    /// Amounts of more than one currency are to be added or compared.
    MixedCurrencies,
    /// The object exists already.
    Duplicate,
    /// The object does not exist.
    Missing,
    /// The principal may not do this.
    NoPrivilege,
    /// The password, token or key is wrong.
    BadCredentials,
    /// A write in a read-only transaction.
    ReadOnly,
    /// Understood, and not offered.
    Unsupported,
    /// AWS replaced a delivered file while the statement ran.
    SnapshotReplaced,
    /// The export exists, and AWS has not delivered it yet.
    NotDelivered,
    /// The client cancelled the statement.
    Cancelled,
    /// The statement ran into its deadline.
    Deadline,
    /// The server is stopping.
    ShuttingDown,
    /// The server is not ready yet.
    Starting,
    /// A statement needs more memory than it may have.
    Memory,
    /// The spill directory or the state directory is full.
    Disk,
    /// No slot became free within the admission wait.
    Admission,
    /// A configured limit was reached.
    Limit,
    /// Another run holds the object.
    Locked,
    /// A statement in a transaction that failed before.
    TransactionAborted,
    /// A command that needs a transaction, outside one.
    NoTransaction,
    /// AWS answered, and refused.
    AwsRefused,
    /// AWS did not answer, or throttles.
    AwsUnreachable,
    /// Delivered data breaks its contract.
    BrokenDelivery,
    /// The state store cannot be read or written.
    State,
    /// A defect of Farthing.
    Defect,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// The same call may work at once.
    Now,
    /// The same call may work after this time.
    After(Duration),
}

struct Body {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    retry: Retry,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The engine's error: kind, message, optional detail and hint, advice on retrying, and what caused it.
pub struct Error(Box<Body>);

impl Error {
    /// An error of `kind` that says `message`: a present fact that names the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::AwsUnreachable | ErrorKind::Locked | ErrorKind::Admission => {
                Retry::After(Duration::from_secs(1))
            }
            ErrorKind::SnapshotReplaced => Retry::Now,
            _ => Retry::Never,
        };
        Self(Box::new(Body {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            retry,
            source: None,
        }))
    }

    /// A defect of Farthing: something that its own code should have made impossible.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Defect, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds facts for a second look, such as AWS's error code and request id.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets whether trying again can help.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The same error once more, without its source: for one failure that several waiters share.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Box::new(Body {
            kind: self.0.kind,
            message: self.0.message.clone(),
            detail: self.0.detail.clone(),
            hint: self.0.hint.clone(),
            retry: self.0.retry,
            source: None,
        }))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Facts for a second look.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What to do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("detail", &self.0.detail)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source.as_ref().map(ToString::to_string))
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

impl From<Error> for DataFusionError {
    /// Errors cross DataFusion as `External` and are recovered by downcast.
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}
