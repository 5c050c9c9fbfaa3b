//! S3's error document, completed: s3s writes the code and at most a message; AWS also names the resource and the request,
//! and always has a message.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use quick_xml::escape::{escape, unescape};
use s3s::{Body, S3Error};

use super::log::Exchange;

/// Error documents are small; anything longer is not one.
const LONGEST_DOCUMENT: usize = 64 * 1024;

/// Completes an error answer and notes its code in the log. Other answers pass untouched.
pub(crate) async fn complete(response: Response<Body>, exchange: &Exchange) -> Response<Body> {
    let status = response.status();
    if status.as_u16() < 300 {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = match http_body_util::Limited::new(body, LONGEST_DOCUMENT).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            tracing::warn!(%error, "an error answer could not be read");
            Bytes::new()
        }
    };
    let text = String::from_utf8_lossy(&text);
    let code = element(&text, "Code").unwrap_or_else(|| "InternalError".to_owned());
    exchange.update(|record| record.error_code = Some(code.clone()));
    if status == StatusCode::NOT_MODIFIED {
        return Response::from_parts(head, Body::empty());
    }
    let message = element(&text, "Message").unwrap_or_else(|| usual_message(&code).to_owned());
    let record = exchange.record();
    let mut extra = String::new();
    let region = head
        .headers
        .get("x-amz-bucket-region")
        .and_then(|value| value.to_str().ok());
    if let (Some(region), "AuthorizationHeaderMalformed") = (region, code.as_str()) {
        extra = format!("<Region>{region}</Region>");
    } else if let (Some(region), Some(bucket), "PermanentRedirect") = (region, &record.bucket, code.as_str()) {
        extra = format!(
            "<Endpoint>s3.{region}.amazonaws.com</Endpoint><Bucket>{}</Bucket>",
            escape(bucket.as_str())
        );
    } else if let (Some(key), "NoSuchKey") = (&record.key, code.as_str()) {
        extra = format!("<Key>{}</Key>", escape(key.as_str()));
    } else if let (Some(bucket), "NoSuchBucket" | "NoSuchBucketPolicy") = (&record.bucket, code.as_str()) {
        extra = format!("<BucketName>{}</BucketName>", escape(bucket.as_str()));
    } else if let (Some(id), "InvalidAccessKeyId") = (&record.access_key_id, code.as_str()) {
        extra = format!("<AWSAccessKeyId>{}</AWSAccessKeyId>", escape(id.as_str()));
    }
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{extra}<Resource>{}</Resource>\
         <RequestId>{}</RequestId><HostId>{}</HostId></Error>",
        escape(code.as_str()),
        escape(message.as_str()),
        escape(exchange.path.as_str()),
        exchange.request_id,
        exchange.request_id,
    );
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Response::from_parts(head, Body::from(document))
}

/// Renders an error that arose before s3s was asked.
pub(crate) fn render(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// The text of the first element of this name.
fn element(document: &str, name: &str) -> Option<String> {
    let start = document.find(&format!("<{name}>"))? + name.len() + 2;
    let end = document[start..].find(&format!("</{name}>"))? + start;
    unescape(&document[start..end]).ok().map(|text| text.into_owned())
}

/// AWS's messages for the codes that s3s raises without one (S3 API reference, "Error responses").
fn usual_message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long.",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NotImplemented" => "A header you provided implies functionality that is not implemented",
        "InternalError" => "We encountered an internal error. Please try again.",
        _ => "The request was refused.",
    }
}
