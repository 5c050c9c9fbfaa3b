//! AWS's JSON 1.1 protocol.
//!
//! Source: Smithy, "AWS JSON 1.1 protocol"; error names of requests that no service sees: "Common errors" in the API
//! references of the services that speak it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request};
use serde_json::Value;

use super::ApiError;
use crate::aws::signature::SignatureFailure;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// The operation that `X-Amz-Target` names; empty if the header is not one of this service's.
pub(super) fn operation(prefix: &str, head: &request::Parts) -> String {
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let named = target
        .and_then(|target| target.strip_prefix(prefix))
        .and_then(|rest| rest.strip_prefix('.'));
    named.unwrap_or_default().to_owned()
}

/// The request's object.
pub(super) fn input(body: &[u8]) -> Result<Value, ApiError> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(ApiError::invalid(
            "SerializationException",
            "The request body is not a JSON object.",
        )),
    }
}

/// An operation that the service does not have.
pub(crate) fn unknown_operation() -> ApiError {
    ApiError::invalid(
        "UnknownOperationException",
        "The requested operation is not recognized by the service.",
    )
}

pub(super) fn answer(content: &str) -> Response<Bytes> {
    response(StatusCode::OK, content.to_owned())
}

pub(super) fn error(error: &ApiError) -> Response<Bytes> {
    let mut body = error.members.clone();
    body.insert("__type".to_owned(), error.code.clone().into());
    body.insert("Message".to_owned(), error.message.clone().into());
    let mut response = response(error.status, Value::Object(body).to_string());
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}

/// The protocol's error for a signature that is not accepted. All are 400, unlike those of the query protocol.
pub(super) fn signature_failure(failure: &SignatureFailure) -> ApiError {
    match failure {
        SignatureFailure::Missing => {
            ApiError::invalid("MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        SignatureFailure::Incomplete(what) => ApiError::invalid("IncompleteSignatureException", what.clone()),
        SignatureFailure::UnknownKey | SignatureFailure::InvalidToken => ApiError::invalid(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        SignatureFailure::WrongSecret => ApiError::invalid(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ),
        SignatureFailure::WrongRegion => ApiError::invalid(
            "InvalidSignatureException",
            "Credential should be scoped to a valid region.",
        ),
        SignatureFailure::Skewed => ApiError::invalid(
            "InvalidSignatureException",
            "Signature expired: the request's time is more than 15 minutes away.",
        ),
        SignatureFailure::ExpiredToken => ApiError::invalid(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
    }
}

pub(super) fn throttled() -> ApiError {
    ApiError::invalid("ThrottlingException", "Rate exceeded")
}

fn response(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response
}
