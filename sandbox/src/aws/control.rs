//! Services other than S3: who answers, and how answers and errors look in each of AWS's protocols.
//!
//! This is where further services are added: implement [`ControlApi`] and name it in [`ControlApis::new`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request};
use quick_xml::escape::escape;

use super::cloud::Cloud;
use super::fault::FaultKind;
use super::identity::Principal;
use super::log::Exchange;
use super::signature::{SignatureFailure, authenticate};
use super::sts::Sts;

/// The wire protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Form fields in, XML out; the namespace of the service's XML.
    Query(&'static str),
}

/// A refused or failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// 400
    pub(crate) fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 403 `AccessDenied`
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
    pub(crate) fields: &'a BTreeMap<String, String>,
}

/// One service behind the endpoint.
#[async_trait]
pub(crate) trait ControlApi: Send + Sync {
    /// The service's name in credential scopes.
    fn signing_name(&self) -> &'static str;

    fn protocol(&self) -> Protocol;

    /// Answers one operation with the result element's content.
    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError>;
}

/// All services but S3.
pub(crate) struct ControlApis {
    apis: Vec<Arc<dyn ControlApi>>,
}

impl ControlApis {
    pub(crate) fn new() -> Self {
        Self {
            apis: vec![Arc::new(Sts)],
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
    let mut fields: BTreeMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
    if let Some(query) = head.uri.query() {
        fields.extend(url::form_urlencoded::parse(query.as_bytes()).into_owned());
    }
    let operation = fields.get("Action").cloned().unwrap_or_default();
    exchange.update(|record| record.operation.clone_from(&operation));
    let result = match authenticate(cloud, head, body) {
        Ok(caller) => {
            exchange.update(|record| {
                record.account = Some(caller.account.clone());
                record.principal = Some(caller.arn.clone());
            });
            match cloud.suffer(exchange).await {
                Some(fault) => Err(protocol.fault(&fault)),
                None => {
                    let call = Call {
                        cloud,
                        exchange,
                        caller,
                        operation: &operation,
                        fields: &fields,
                    };
                    api.call(&call).await
                }
            }
        }
        Err(failure) => Err(protocol.signature_failure(&failure)),
    };
    match result {
        Ok(content) => protocol.answer(&operation, &content, exchange),
        Err(error) => {
            exchange.update(|record| record.error_code = Some(error.code.clone()));
            protocol.error(&error, exchange)
        }
    }
}

impl Protocol {
    fn answer(self, operation: &str, content: &str, exchange: &Exchange) -> Response<Bytes> {
        let Self::Query(namespace) = self;
        let id = &exchange.request_id;
        let text = format!(
            "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{content}</{operation}Result>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{operation}Response>"
        );
        self.response(StatusCode::OK, text)
    }

    /// Renders an error in the service's protocol.
    pub(crate) fn error(self, error: &ApiError, exchange: &Exchange) -> Response<Bytes> {
        let Self::Query(namespace) = self;
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
        self.response(error.status, text)
    }

    fn response(self, status: StatusCode, text: String) -> Response<Bytes> {
        let Self::Query(_) = self;
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        response
    }

    /// The service's error for a signature that is not accepted.
    fn signature_failure(self, failure: &SignatureFailure) -> ApiError {
        let Self::Query(_) = self;
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
            SignatureFailure::ExpiredToken => {
                forbidden("ExpiredToken", "The security token included in the request is expired")
            }
        }
    }

    /// The service's error for an injected fault.
    fn fault(self, fault: &FaultKind) -> ApiError {
        let Self::Query(_) = self;
        match fault {
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
