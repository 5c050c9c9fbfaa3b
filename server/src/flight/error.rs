//! From Farthing's errors to gRPC statuses.

#[cfg(test)]
mod tests;

use arrow_flight::error::FlightError;
use farthing_engine::{Error, ErrorKind};
use farthing_sql::SqlState;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

/// The response metadata that carries the SQLSTATE.
pub(super) const SQLSTATE_KEY: &str = "x-farthing-sqlstate";
/// gRPC carries the message percent-encoded in one header, and peers refuse header lists above 8 KiB.
const MESSAGE_BYTES: usize = 2048;

/// The status of an error: the code of its kind, the message with detail and hint, and the SQLSTATE in the metadata.
///
/// A defect is logged under an incident id, and the client sees the id alone.
pub(super) fn status(error: &Error) -> Status {
    let state = SqlState::of(error);
    let mut text = if error.kind() == ErrorKind::Defect {
        let incident = uuid::Uuid::new_v4();
        tracing::error!(%incident, ?error, "defect while answering a Flight call");
        format!("internal error, incident {incident}\nHint: report the incident id; the server's log has the cause")
    } else {
        let mut text = error.message().to_owned();
        if let Some(detail) = error.detail() {
            text.push_str("\nDetail: ");
            text.push_str(detail);
        }
        if let Some(hint) = error.hint() {
            text.push_str("\nHint: ");
            text.push_str(hint);
        }
        text
    };
    if text.len() > MESSAGE_BYTES {
        let end = (0..=MESSAGE_BYTES)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
    let mut metadata = MetadataMap::new();
    metadata.insert(SQLSTATE_KEY, AsciiMetadataValue::from_static(state.code));
    Status::with_metadata(Code::from_i32(state.grpc), text, metadata)
}

/// A status of our own making: what happened, and what to do next.
pub(super) fn refuse(kind: ErrorKind, message: impl Into<String>, hint: &str) -> Status {
    status(&Error::new(kind, message).with_hint(hint))
}

/// A message that does not decode as the protobuf message it should be.
pub(super) fn undecodable(what: &str) -> Status {
    refuse(
        ErrorKind::BadValue,
        format!("the request does not hold a readable {what}"),
        "send the protobuf message that Arrow's Flight.proto and FlightSql.proto define for this call",
    )
}

/// A failure of Arrow's encoders or builders on our own data.
pub(super) fn defect(context: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::defect(context).with_source(error)
}

/// The status of what ended a stream of batches: ours passes, anything else is a defect of encoding.
pub(super) fn stream_status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => status(&defect("a batch cannot be encoded", other)),
    }
}
