//! From AWS's answers to engine errors: one table from AWS error codes to kind, sentence and advice.
//!
//! The kinds of `object_store` are not trusted: it reports a refused list as "generic", and a clock that is off as
//! "permission denied". The S3 code in the answer's body decides. The body itself is never kept, since AWS repeats
//! signed headers in some of them.

mod call;
mod setup;

use std::error::Error as StdError;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use farthing_engine::error::{Error, ErrorKind, Retry};
use object_store::client::{HttpError, HttpErrorKind};
use serde_json::json;

pub use self::call::AwsCall;

/// Characters of an AWS message that are shown; AWS's own stay below it.
const MESSAGE_LIMIT: usize = 400;

/// Why there is no answer of AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Silence {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Connection(String),
    /// The request could not be made.
    Request(String),
}

/// A call that failed: what AWS answered, or why it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    message: Option<String>,
    /// What AWS finds wrong with single members of the request, `member: why`.
    pub(crate) members: Vec<String>,
    request_id: Option<String>,
    /// The bucket's Region, which S3 names when another one was asked.
    pub(crate) region: Option<String>,
    silence: Option<Silence>,
}

impl Failure {
    /// A failure of an SDK call.
    pub(crate) fn of_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let mut failure = Self::default();
        if let Some(response) = error.raw_response() {
            let header = |name| response.headers().get(name).map(str::to_owned);
            failure.status = Some(response.status().as_u16());
            failure.region = header("x-amz-bucket-region");
            failure.request_id = header("x-amz-request-id").or_else(|| header("x-amzn-requestid"));
        }
        match error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                failure.code = meta.code().map(str::to_owned);
                failure.message = meta.message().map(str::to_owned);
            }
            SdkError::TimeoutError(_) => failure.silence = Some(Silence::Timeout),
            SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => failure.silence = Some(Silence::Timeout),
            SdkError::DispatchFailure(dispatch) => {
                let text = dispatch.as_connector_error().map(|error| root_cause(error));
                failure.silence = Some(Silence::Connection(text.unwrap_or_default()));
            }
            SdkError::ResponseError(_) => {
                failure.silence = Some(Silence::Connection("the answer broke off".to_owned()));
            }
            other => failure.silence = Some(Silence::Request(root_cause(other))),
        }
        failure
    }

    /// A failure of an `object_store` call. The code comes from the body, which is only to be had as text.
    pub(crate) fn of_object_store(error: &object_store::Error) -> Self {
        let text = error.to_string();
        let mut failure = Self {
            status: status_in(&text),
            code: element(&text, "Code"),
            message: element(&text, "Message"),
            members: Vec::new(),
            request_id: element(&text, "RequestId"),
            region: element(&text, "Region"),
            silence: None,
        };
        if failure.code.is_some() || failure.status.is_some() {
            return failure;
        }
        if text.contains("redirect without LOCATION") {
            failure.code = Some("PermanentRedirect".to_owned());
            failure.status = Some(301);
            return failure;
        }
        match error {
            object_store::Error::NotFound { .. } => failure.status = Some(404),
            object_store::Error::Precondition { .. } => failure.status = Some(412),
            object_store::Error::NotModified { .. } => failure.status = Some(304),
            _ => failure.silence = Some(silence_of(error)),
        }
        failure
    }

    /// A body that broke off while it was read; the head of the answer was good.
    pub(crate) fn broken_body(error: &(dyn StdError + 'static)) -> Self {
        Self {
            status: Some(200),
            silence: Some(Silence::Connection(root_cause(error))),
            ..Self::default()
        }
    }

    /// Whether the bucket lies in another Region than the one asked.
    pub(crate) fn is_wrong_region(&self) -> bool {
        match self.code.as_deref() {
            Some(code) => matches!(
                code,
                "PermanentRedirect"
                    | "TemporaryRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException"
            ),
            // Answers to HEAD have no body, and thus no code; a Region in a refusal is the bucket's.
            None => matches!(self.status, Some(301 | 307)) || (self.status == Some(400) && self.region.is_some()),
        }
    }

    /// Whether AWS gave no answer at all.
    pub(crate) fn is_silence(&self) -> bool {
        self.silence.is_some()
    }

    /// The code, or the one that the status stands for where S3 sends no body (answers to HEAD).
    fn effective_code(&self) -> &str {
        match (self.code.as_deref(), self.status) {
            (Some("NotFound"), _) | (None, Some(404)) => "NoSuchKey",
            (Some("Forbidden"), _) | (None, Some(401 | 403)) => "AccessDenied",
            (Some(code), _) => code,
            (None, Some(301 | 307)) => "PermanentRedirect",
            (None, Some(412)) => "PreconditionFailed",
            (None, Some(416)) => "InvalidRange",
            (None, Some(429 | 503)) => "SlowDown",
            (None, _) => "",
        }
    }

    /// The engine's error for this failure of `call`.
    pub(crate) fn into_error(self, call: &AwsCall) -> Error {
        if let Some(silence) = &self.silence {
            return unreachable(silence, call);
        }
        let error = match self.effective_code() {
            "NoSuchBucket" => no_bucket(call),
            "NoSuchKey" if call.on_bucket() => no_bucket(call),
            "NoSuchKey" => Error::new(ErrorKind::Missing, format!("{} does not exist", call.object))
                .with_hint("Check bucket, prefix and export name, and whether AWS has delivered yet."),
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AllAccessDisabled"
            | "AccountProblem" => self.refused(call),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => self.wrong_region(call),
            "PreconditionFailed" | "ConditionalRequestConflict" => Error::new(
                ErrorKind::SnapshotReplaced,
                format!("AWS replaced {} while it was in use", call.object),
            )
            .with_hint("Run the statement again: it will read the new delivery."),
            "InvalidRange" => Error::new(
                ErrorKind::BrokenDelivery,
                format!("{} is shorter than the snapshot says", call.object),
            )
            .with_hint("Refresh the export; if it stays, ask AWS Support to deliver the period again."),
            "InvalidObjectState" => Error::new(
                ErrorKind::AwsRefused,
                format!(
                    "{} is archived, and AWS does not hand out archived objects",
                    call.object
                ),
            )
            .with_hint("Restore it from S3 Glacier, and keep lifecycle rules away from the export's prefix."),
            "ValidationException" => self.invalid(call),
            "DuplicateReportNameException" => call.taken(),
            "ResourceNotFoundException" => {
                Error::new(ErrorKind::Missing, format!("{} does not exist", call.object)).with_hint(call.advice)
            }
            "ServiceQuotaExceededException" | "ReportLimitReachedException" => self.over_quota(call),
            code if code.starts_with("KMS.") => self.unusable_key(call),
            "InvalidBucketName" => Error::new(
                ErrorKind::BadValue,
                format!("{} is not a bucket that can exist", call.object),
            )
            .with_hint("Check the bucket name."),
            code => credential_error(code, self.message.as_deref(), call)
                .or_else(|| overloaded(code, self.status, call))
                .unwrap_or_else(|| self.other(call)),
        };
        error.with_detail(self.facts())
    }

    fn refused(&self, call: &AwsCall) -> Error {
        let text = self.shown_message();
        if let Some(error) = text.as_deref().and_then(|reason| self.refusal(call, reason)) {
            return error;
        }
        // KMS and service control policies refuse other actions than the one asked; AWS then names them.
        let named = text.as_deref().and_then(named_refusal);
        let (action, arn, grant_on) = match &named {
            Some((action, arn)) if action != call.action => (action.as_str(), arn.as_str(), json!(arn)),
            // One action may need several resources; AWS names the one that is missing.
            Some((_, arn)) if call.grant_on.len() > 1 || call.arn.contains(":*:") => {
                (call.action, arn.as_str(), call.resource())
            }
            _ => (call.action, call.arn.as_str(), call.resource()),
        };
        let mut message = format!("AWS refused {action} on {arn}");
        if let Some(text) = text {
            message = format!("{message}: {text}");
        }
        let mut hint = format!(
            "Allow it to the user of the access key: {{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \
             {grant_on}}}."
        );
        if action.starts_with("kms:") {
            hint.push_str(
                " The key's own policy has to let the account use it too, with this statement or by trusting the account's IAM \
                 policies (KMS console, Key policy).",
            );
        }
        if action == "s3:GetObject" {
            hint.push_str(" Without s3:ListBucket, AWS also answers like this for an object that does not exist.");
        }
        Error::new(ErrorKind::AwsRefused, message).with_hint(hint)
    }

    fn wrong_region(&self, call: &AwsCall) -> Error {
        let bucket = call.bucket.as_deref().unwrap_or("?");
        match &self.region {
            Some(region) => Error::new(
                ErrorKind::AwsRefused,
                format!("bucket \"{bucket}\" lies in the Region {region}, and another one was asked"),
            )
            .with_hint(format!("Connect the export again, with region => '{region}'.")),
            None => Error::new(
                ErrorKind::AwsRefused,
                format!("bucket \"{bucket}\" lies in another Region than the one asked"),
            )
            .with_hint("Give the bucket's Region, as the S3 console shows it."),
        }
    }

    fn invalid(&self, call: &AwsCall) -> Error {
        let mut message = format!("AWS does not accept {}", call.object);
        match self.shown_message() {
            Some(text) => message = format!("{message}: {text}"),
            // So it does for settings of a legacy report that do not go together.
            None => message.push_str(", and does not say why"),
        }
        Error::new(ErrorKind::BadValue, message).with_hint(call.advice)
    }

    fn over_quota(&self, call: &AwsCall) -> Error {
        let mut message = format!("AWS's quota leaves no room for {}", call.object);
        if let Some(text) = self.shown_message() {
            message = format!("{message}: {text}");
        }
        Error::new(ErrorKind::Limit, message).with_hint(
            "Connect an export that exists, delete one that is not needed, or ask AWS Support for a higher quota.",
        )
    }

    /// The key that S3 would decrypt with is disabled, to be deleted, or gone (S3 API reference, "Replication, tagging, and KMS
    /// error codes": `KMS.DisabledException`, `KMS.InvalidStateException`, `KMS.NotFoundException`).
    fn unusable_key(&self, call: &AwsCall) -> Error {
        let mut message = format!("AWS cannot use the KMS key that {} is encrypted with", call.object);
        if let Some(text) = self.shown_message() {
            message = format!("{message}: {text}");
        }
        Error::new(ErrorKind::AwsRefused, message).with_hint(
            "Enable the key in the KMS console, or cancel its deletion; what it encrypted cannot be read without it.",
        )
    }

    fn other(&self, call: &AwsCall) -> Error {
        let mut message = format!("AWS refused {} on {}", call.action, call.arn);
        if let Some(text) = self.shown_message() {
            message = format!("{message}: {text}");
        }
        Error::new(ErrorKind::AwsRefused, message).with_hint("The detail has AWS's error code and request id.")
    }

    /// AWS's code, status and request id in one line.
    pub(crate) fn facts(&self) -> String {
        let mut facts = Vec::new();
        if let Some(code) = &self.code {
            facts.push(format!("AWS error code {}", shown(code)));
        }
        if let Some(status) = self.status {
            facts.push(format!("HTTP status {status}"));
        }
        if let Some(id) = &self.request_id {
            facts.push(format!("request id {}", shown(id)));
        }
        facts.extend(self.members.iter().map(|member| shown(member)));
        match &self.silence {
            Some(Silence::Timeout) => facts.push("no answer in time".to_owned()),
            Some(Silence::Connection(text) | Silence::Request(text)) => facts.push(text.clone()),
            None => {}
        }
        facts.join(", ")
    }

    fn shown_message(&self) -> Option<String> {
        let text = self.message.as_deref().map(shown)?;
        (!text.is_empty()).then_some(text)
    }
}

/// The engine's error for a failed call of `object_store` on S3: decided by the S3 code in the answer. The error of
/// `object_store` is not kept as source, because its text repeats the answer.
#[must_use]
pub fn object_store_error(error: &object_store::Error, call: &AwsCall) -> Error {
    // Where there is no key to sign with, that is the engine's error already.
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<Error>() {
            return own.duplicate();
        }
        cause = current.source();
    }
    Failure::of_object_store(error).into_error(call)
}

fn no_bucket(call: &AwsCall) -> Error {
    let bucket = call.bucket.as_deref().unwrap_or("?");
    Error::new(ErrorKind::Missing, format!("bucket \"{bucket}\" does not exist"))
        .with_hint("Check the bucket name as the S3 console or the export's settings show it.")
}

/// Wrong, unknown or expired keys, each in its own words. AWS's message is left out on purpose: for a wrong signature it
/// repeats the signed headers.
fn credential_error(code: &str, message: Option<&str>, call: &AwsCall) -> Option<Error> {
    let skewed =
        message.is_some_and(|text| text.contains("Signature expired") || text.contains("Signature not yet current"));
    // What is wrong is not the key; the caller tells of the message.
    if message.is_some_and(|text| text.contains("scoped to a valid")) {
        return None;
    }
    let (text, hint) = match code {
        "RequestTimeTooSkewed" => clock_is_off(),
        // STS has no code of its own for a clock that is off.
        "SignatureDoesNotMatch" | "InvalidSignatureException" if skewed => clock_is_off(),
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" | "AuthFailure" => (
            "AWS does not know the access key id, or it has been deactivated",
            "Check the access key id in the IAM console: it may be deleted, inactive, or a temporary key without its session \
             token.",
        ),
        "SignatureDoesNotMatch" | "InvalidSignatureException" => (
            "the secret access key does not belong to the access key id",
            "Copy the secret access key again; AWS shows it only once, so make a new key if it is lost.",
        ),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => (
            "the session token has expired",
            "Temporary credentials end by themselves: give new ones, or use a key of an IAM user.",
        ),
        "InvalidToken" => (
            "the session token is not valid for this access key",
            "Give access key id, secret access key and session token as they were issued together.",
        ),
        "OptInRequired" | "NotSignedUp" => (
            "the AWS account of the access key is not ready for use",
            "Finish signing up, or check whether AWS has suspended the account.",
        ),
        _ => return None,
    };
    Some(Error::new(ErrorKind::BadCredentials, format!("{text} ({})", call.object)).with_hint(hint))
}

fn clock_is_off() -> (&'static str, &'static str) {
    (
        "the clock of this machine differs from AWS's by more than AWS accepts",
        "Set the clock of this machine (for example with NTP); AWS accepts a difference of 15 minutes at most.",
    )
}

fn overloaded(code: &str, status: Option<u16>, call: &AwsCall) -> Option<Error> {
    let throttled = matches!(
        code,
        "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
    );
    let unwell = matches!(
        code,
        "ServiceUnavailable"
            | "InternalError"
            | "InternalFailure"
            | "InternalServerException"
            | "InternalErrorException"
            | "RequestTimeout"
    );
    if throttled {
        return Some(
            Error::new(
                ErrorKind::AwsUnreachable,
                format!("AWS throttles {} on {}", call.action, call.object),
            )
            .with_hint(match call.bucket {
                Some(_) => "Try again later; other clients of the bucket may be using up its request rate.",
                None => "Try again later; other clients of the account may be using up its request rate.",
            })
            .with_retry(Retry::After(Duration::from_secs(5))),
        );
    }
    if unwell || status.is_some_and(|status| status >= 500) {
        return Some(
            Error::new(
                ErrorKind::AwsUnreachable,
                format!("AWS failed to answer {} on {}", call.action, call.object),
            )
            .with_hint("Try again later; the AWS Health Dashboard tells of outages."),
        );
    }
    None
}

fn unreachable(silence: &Silence, call: &AwsCall) -> Error {
    let asked = format!("{} on {}", call.action, call.object);
    match silence {
        Silence::Timeout => Error::new(ErrorKind::AwsUnreachable, format!("AWS did not answer {asked} in time"))
            .with_hint("Check the network and the firewall between this machine and AWS."),
        Silence::Connection(text) => Error::new(
            ErrorKind::AwsUnreachable,
            format!("AWS could not be reached for {asked}: {text}"),
        )
        .with_hint("Check the network, DNS and the firewall between this machine and AWS."),
        Silence::Request(text) => Error::new(
            ErrorKind::BadValue,
            format!("{asked} could not be asked of AWS: {text}"),
        )
        .with_hint("Check bucket, prefix, export name and Region."),
    }
}

fn silence_of(error: &object_store::Error) -> Silence {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(http) = current.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Timeout => Silence::Timeout,
                _ => Silence::Connection(root_cause(http)),
            };
        }
        cause = current.source();
    }
    match error {
        object_store::Error::InvalidPath { .. } => Silence::Request("the key is not allowed".to_owned()),
        // Unknown text might repeat an answer, so only its sort is told.
        _ => Silence::Connection("the request or its answer broke off".to_owned()),
    }
}

/// The innermost cause of a transport error, such as "Connection refused (os error 111)".
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    shown(&innermost.to_string())
}

/// AWS's text on one line and of bounded length.
fn shown(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_LIMIT)
        .collect();
    line.trim().to_owned()
}

/// The action and resource that AWS's own message names: "... is not authorized to perform: kms:Decrypt on resource: arn..."
fn named_refusal(message: &str) -> Option<(String, String)> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action = rest.split_whitespace().next()?;
    let (_, resource) = rest.split_once("on resource: ")?;
    let arn = resource.split_whitespace().next()?.trim_matches(['"', ',', '.']);
    (action.contains(':') && !arn.is_empty()).then(|| (action.to_owned(), arn.to_owned()))
}

/// The text of the first element `name` of an XML error body.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    // The five entities of XML, `&amp;` last so that nothing is replaced twice.
    let value = value
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    Some(value)
}

/// The HTTP status in the text of an `object_store` error.
fn status_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests;
