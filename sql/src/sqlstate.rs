//! The one table from error kinds to SQLSTATEs (PostgreSQL 16, appendix A) and gRPC codes.

use farthing_engine::{Error, ErrorKind};

/// A five-character SQLSTATE and the number of the gRPC status code that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlState {
    /// The SQLSTATE.
    pub code: &'static str,
    /// The gRPC status code (`google.rpc.Code`).
    pub grpc: i32,
}

impl SqlState {
    /// The state of an error.
    pub fn of(error: &Error) -> Self {
        Self::of_kind(error.kind())
    }

    /// The state of a kind of error.
    pub fn of_kind(kind: ErrorKind) -> Self {
        const CANCELLED: i32 = 1;
        const INVALID_ARGUMENT: i32 = 3;
        const NOT_FOUND: i32 = 5;
        const ALREADY_EXISTS: i32 = 6;
        const PERMISSION_DENIED: i32 = 7;
        const RESOURCE_EXHAUSTED: i32 = 8;
        const FAILED_PRECONDITION: i32 = 9;
        const ABORTED: i32 = 10;
        const UNIMPLEMENTED: i32 = 12;
        const INTERNAL: i32 = 13;
        const UNAVAILABLE: i32 = 14;
        const DATA_LOSS: i32 = 15;
        const UNAUTHENTICATED: i32 = 16;
        let (code, grpc) = match kind {
            ErrorKind::Syntax => ("42601", INVALID_ARGUMENT),
            ErrorKind::UnknownTable => ("42P01", INVALID_ARGUMENT),
            ErrorKind::UnknownColumn => ("42703", INVALID_ARGUMENT),
            ErrorKind::UnknownFunction => ("42883", INVALID_ARGUMENT),
            ErrorKind::AmbiguousColumn => ("42702", INVALID_ARGUMENT),
            ErrorKind::WrongType => ("42804", INVALID_ARGUMENT),
            ErrorKind::BadValue => ("22023", INVALID_ARGUMENT),
            ErrorKind::BadInstant => ("22007", INVALID_ARGUMENT),
            ErrorKind::NullNotAllowed => ("22004", INVALID_ARGUMENT),
            ErrorKind::DivisionByZero => ("22012", INVALID_ARGUMENT),
            ErrorKind::OutOfRange => ("22003", INVALID_ARGUMENT),
            ErrorKind::MixedCurrencies => ("22000", INVALID_ARGUMENT),
            ErrorKind::Duplicate => ("42710", ALREADY_EXISTS),
            ErrorKind::Missing => ("42704", NOT_FOUND),
            ErrorKind::NoPrivilege => ("42501", PERMISSION_DENIED),
            ErrorKind::BadCredentials => ("28P01", UNAUTHENTICATED),
            ErrorKind::ReadOnly => ("25006", FAILED_PRECONDITION),
            ErrorKind::Unsupported => ("0A000", UNIMPLEMENTED),
            ErrorKind::SnapshotReplaced => ("40001", ABORTED),
            ErrorKind::NotDelivered => ("55000", FAILED_PRECONDITION),
            ErrorKind::Cancelled => ("57014", CANCELLED),
            ErrorKind::Deadline => ("57014", CANCELLED),
            ErrorKind::ShuttingDown => ("57P01", UNAVAILABLE),
            ErrorKind::Starting => ("57P03", UNAVAILABLE),
            ErrorKind::Memory => ("53200", RESOURCE_EXHAUSTED),
            ErrorKind::Disk => ("53100", RESOURCE_EXHAUSTED),
            ErrorKind::Admission => ("53300", RESOURCE_EXHAUSTED),
            ErrorKind::Limit => ("53400", RESOURCE_EXHAUSTED),
            ErrorKind::Locked => ("55P03", ABORTED),
            ErrorKind::TransactionAborted => ("25P02", FAILED_PRECONDITION),
            ErrorKind::NoTransaction => ("25P01", FAILED_PRECONDITION),
            ErrorKind::AwsRefused => ("HV000", FAILED_PRECONDITION),
            ErrorKind::AwsUnreachable => ("HV00N", UNAVAILABLE),
            ErrorKind::BrokenDelivery => ("XX001", DATA_LOSS),
            ErrorKind::State => ("58030", INTERNAL),
            ErrorKind::Defect => ("XX000", INTERNAL),
        };
        Self { code, grpc }
    }
}
