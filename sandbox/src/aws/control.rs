//! Services other than S3: who answers, and how answers and errors look in each of AWS's protocols.
//!
//! This is where further services are added: implement [`ControlApi`] and name it in [`ControlApis::new`].

mod json;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request};
use quick_xml::escape::escape;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::cloud::{Cloud, Target};
use super::cur::CostAndUsageReports;
use super::data_exports::DataExports;
use super::fault::FaultKind;
use super::iam::Iam;
use super::identity::Principal;
use super::log::Exchange;
use super::organizations::Organizations;
use super::policy::Context;
use super::signature::{SignatureFailure, authenticate};
use super::sts::Sts;

pub(crate) use json::unknown_operation;

/// The wire protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Form fields in, XML out; the namespace of the service's XML.
    Query(&'static str),
    /// JSON 1.1: one JSON object in, one out; the operation is in `X-Amz-Target` behind this prefix and a dot.
    Json(&'static str),
}

/// A refused or failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    /// JSON 1.1: what the error's body holds besides its type and message.
    pub(crate) members: Map<String, Value>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            members: Map::new(),
        }
    }

    /// The same with another member in its body (JSON 1.1).
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// 400
    pub(crate) fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `AccessDeniedException`, as services of the JSON protocol refuse.
    pub(crate) fn access_denied_exception(message: impl Into<String>) -> Self {
        Self::invalid("AccessDeniedException", message)
    }

    /// 403 `AccessDenied`, as services of the query protocol refuse.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }
}

/// An authenticated call.
pub(crate) struct Call<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) exchange: &'a Exchange,
    pub(crate) caller: Principal,
    pub(crate) operation: &'a str,
    /// The form fields of the query protocol.
    pub(crate) fields: &'a BTreeMap<String, String>,
    /// The object of the JSON protocol.
    pub(crate) input: &'a Value,
}

impl Call<'_> {
    /// Asks the policies whether the caller may do `action` on `arn` (`*` for an action without a resource), which belongs
    /// to the caller's account. A refusal reads as services of the JSON protocol say it.
    pub(crate) fn allow(&self, action: &str, arn: &str) -> Result<(), ApiError> {
        let target = Target { arn, ..Target::ANY };
        self.cloud
            .authorize(&self.caller, action, &target, self.exchange, Context::default())
            .map_err(|refusal| ApiError::access_denied_exception(refusal.message))
    }

    /// Reads the JSON protocol's object as the operation's input.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        T::deserialize(self.input).map_err(|error| ApiError::invalid("ValidationException", error.to_string()))
    }
}

/// One service behind the endpoint.
#[async_trait]
pub(crate) trait ControlApi: Send + Sync {
    /// The service's name in credential scopes.
    fn signing_name(&self) -> &'static str;

    fn protocol(&self) -> Protocol;

    /// The one Region that serves it; `None` for all. The sandbox is one endpoint, so a request for another Region is
    /// known by its credential scope.
    fn only_region(&self) -> Option<&'static str> {
        None
    }

    /// Answers one operation with the result element's content, or with a JSON object.
    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError>;
}

/// All services but S3.
pub(crate) struct ControlApis {
    apis: Vec<Arc<dyn ControlApi>>,
}

impl ControlApis {
    pub(crate) fn new() -> Self {
        Self {
            apis: vec![
                Arc::new(Sts),
                Arc::new(Iam),
                Arc::new(Organizations),
                Arc::new(DataExports),
                Arc::new(CostAndUsageReports),
            ],
        }
    }

    pub(crate) fn get(&self, signing_name: &str) -> Option<Arc<dyn ControlApi>> {
        self.apis.iter().find(|api| api.signing_name() == signing_name).cloned()
    }
}

/// Authenticates, applies faults, calls and renders.
pub(crate) async fn serve(
    cloud: &Cloud,
    api: &dyn ControlApi,
    exchange: &Exchange,
    head: &request::Parts,
    body: &[u8],
) -> Response<Bytes> {
    let protocol = api.protocol();
    let mut asked = Asked::read(protocol, head, body);
    exchange.update(|record| record.operation.clone_from(&asked.operation));
    let result = match authenticate_for(cloud, api, exchange, head, body) {
        Ok(caller) => {
            exchange.update(|record| {
                record.account = Some(caller.account.clone());
                record.principal = Some(caller.arn.clone());
            });
            match cloud.suffer(exchange).await {
                Some(fault) => Err(protocol.fault(&fault)),
                None => match asked.error.take() {
                    Some(error) => Err(error),
                    None => {
                        let call = Call {
                            cloud,
                            exchange,
                            caller,
                            operation: &asked.operation,
                            fields: &asked.fields,
                            input: &asked.input,
                        };
                        api.call(&call).await
                    }
                },
            }
        }
        Err(failure) => Err(protocol.signature_failure(&failure)),
    };
    match result {
        Ok(content) => protocol.answer(&asked.operation, &content, exchange),
        Err(error) => {
            exchange.update(|record| record.error_code = Some(error.code.clone()));
            protocol.error(&error, exchange)
        }
    }
}

fn authenticate_for(
    cloud: &Cloud,
    api: &dyn ControlApi,
    exchange: &Exchange,
    head: &request::Parts,
    body: &[u8],
) -> Result<Principal, SignatureFailure> {
    let caller = authenticate(cloud, head, body)?;
    match api.only_region() {
        Some(region) if exchange.scope_region.as_deref() != Some(region) => Err(SignatureFailure::WrongRegion),
        _ => Ok(caller),
    }
}

/// What a request asks for, taken out of its protocol.
struct Asked {
    operation: String,
    fields: BTreeMap<String, String>,
    input: Value,
    /// Why its body cannot be read.
    error: Option<ApiError>,
}

impl Asked {
    fn read(protocol: Protocol, head: &request::Parts, body: &[u8]) -> Self {
        match protocol {
            Protocol::Query(_) => {
                let mut fields: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
                if let Some(query) = head.uri.query() {
                    fields.extend(url::form_urlencoded::parse(query.as_bytes()).into_owned());
                }
                Self {
                    operation: fields.get("Action").cloned().unwrap_or_default(),
                    fields,
                    input: Value::Null,
                    error: None,
                }
            }
            Protocol::Json(prefix) => {
                let input = json::input(body);
                Self {
                    operation: json::operation(prefix, head),
                    fields: BTreeMap::new(),
                    error: input.as_ref().err().cloned(),
                    input: input.unwrap_or_default(),
                }
            }
        }
    }
}

impl Protocol {
    fn answer(self, operation: &str, content: &str, exchange: &Exchange) -> Response<Bytes> {
        let Self::Query(namespace) = self else {
            return json::answer(content);
        };
        let id = &exchange.request_id;
        let text = format!(
            "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{content}</{operation}Result>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
        );
        xml(StatusCode::OK, text)
    }

    /// Renders an error in the service's protocol.
    pub(crate) fn error(self, error: &ApiError, exchange: &Exchange) -> Response<Bytes> {
        let Self::Query(namespace) = self else {
            return json::error(error);
        };
        let kind = if error.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        let text = format!(
            "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error>\
             <RequestId>{}</RequestId></ErrorResponse>",
            escape(error.code.as_str()),
            escape(error.message.as_str()),
            exchange.request_id,
        );
        xml(error.status, text)
    }

    /// The service's error for a signature that is not accepted.
    fn signature_failure(self, failure: &SignatureFailure) -> ApiError {
        if let Self::Json(_) = self {
            return json::signature_failure(failure);
        }
        let forbidden = |code: &str, message: &str| ApiError::new(StatusCode::FORBIDDEN, code, message);
        match failure {
            SignatureFailure::Missing => {
                forbidden("MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            SignatureFailure::Incomplete(what) => ApiError::invalid("IncompleteSignature", what.clone()),
            SignatureFailure::UnknownKey | SignatureFailure::InvalidToken => forbidden(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            SignatureFailure::WrongSecret => forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.",
            ),
            SignatureFailure::Skewed => forbidden(
                "SignatureDoesNotMatch",
                "Signature expired: the request's time is more than 15 minutes away.",
            ),
            SignatureFailure::WrongRegion => forbidden(
                "SignatureDoesNotMatch",
                "Credential should be scoped to a valid region.",
            ),
            SignatureFailure::ExpiredToken => {
                forbidden("ExpiredToken", "The security token included in the request is expired")
            }
        }
    }

    /// The service's error for an injected fault.
    fn fault(self, fault: &FaultKind) -> ApiError {
        match fault {
            FaultKind::SlowDown if matches!(self, Self::Json(_)) => json::throttled(),
            FaultKind::SlowDown => ApiError::invalid("Throttling", "Rate exceeded"),
            FaultKind::ExpiredToken => self.signature_failure(&SignatureFailure::ExpiredToken),
            _ => ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
        }
    }
}

fn xml(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}
