#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;

use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::ErrorMetadata;
use farthing_engine::port::AccessKey;
use farthing_engine::secret::SecretString;

use super::*;

fn get() -> AwsCall {
    AwsCall::get("b", "us-east-1", "p/e/data/k.parquet", "p/e")
}

fn list() -> AwsCall {
    AwsCall::list("b", "us-east-1")
}

fn sign_in() -> AwsCall {
    AwsCall::identify(&AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPLE1".to_owned(),
        secret_access_key: SecretString::new("not-a-real-secret"),
        session_token: None,
    })
}

/// A failed SDK call whose answer has this status, code and message; an empty code is an answer without a body.
fn sdk(status: u16, code: &str, message: &str) -> SdkError<GetObjectError, HttpResponse> {
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
    response.headers_mut().insert("x-amz-request-id", "REQ123");
    let mut meta = ErrorMetadata::builder();
    if !code.is_empty() {
        meta = meta.code(code).message(message);
    }
    SdkError::service_error(GetObjectError::generic(meta.build()), response)
}

/// The same answer as `object_store` reports it: as text, under a kind that does not matter.
fn stored(status: &str, code: &str, message: &str) -> object_store::Error {
    let body = if code.is_empty() {
        String::new()
    } else {
        format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><RequestId>REQ123</RequestId>\
             <StringToSign>x-amz-security-token:not-a-real-token</StringToSign></Error>"
        )
    };
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(io::Error::other(format!(
            "Error performing GET http://h/b/k in 2ms - Server returned non-2xx status code: {status}: {body}"
        ))),
    }
}

#[test]
fn codes_have_one_kind_on_both_ways() {
    use ErrorKind::*;
    for (call, status, code, kind, text) in [
        (list(), 404, "NoSuchBucket", Missing, "bucket \"b\" does not exist"),
        (list(), 404, "", Missing, "bucket \"b\" does not exist"),
        (get(), 404, "NoSuchBucket", Missing, "bucket \"b\" does not exist"),
        (
            get(),
            404,
            "NoSuchKey",
            Missing,
            "s3://b/p/e/data/k.parquet does not exist",
        ),
        (get(), 404, "", Missing, "s3://b/p/e/data/k.parquet does not exist"),
        (
            get(),
            403,
            "AccessDenied",
            AwsRefused,
            "AWS refused s3:GetObject on arn:aws:s3:::b/p/e/data/k.parquet",
        ),
        (get(), 403, "", AwsRefused, "AWS refused s3:GetObject on"),
        (
            list(),
            403,
            "AccessDenied",
            AwsRefused,
            "AWS refused s3:ListBucket on arn:aws:s3:::b",
        ),
        (
            sign_in(),
            403,
            "InvalidClientTokenId",
            BadCredentials,
            "does not know the access key id",
        ),
        (
            get(),
            403,
            "InvalidAccessKeyId",
            BadCredentials,
            "does not know the access key id",
        ),
        (
            sign_in(),
            403,
            "SignatureDoesNotMatch",
            BadCredentials,
            "secret access key does not belong",
        ),
        (
            list(),
            403,
            "SignatureDoesNotMatch",
            BadCredentials,
            "secret access key does not belong",
        ),
        (get(), 400, "ExpiredToken", BadCredentials, "session token has expired"),
        (
            sign_in(),
            403,
            "ExpiredTokenException",
            BadCredentials,
            "session token has expired",
        ),
        (get(), 400, "InvalidToken", BadCredentials, "session token is not valid"),
        (
            get(),
            403,
            "RequestTimeTooSkewed",
            BadCredentials,
            "clock of this machine",
        ),
        (get(), 301, "PermanentRedirect", AwsRefused, "another Region"),
        (get(), 400, "AuthorizationHeaderMalformed", AwsRefused, "another Region"),
        (
            get(),
            412,
            "PreconditionFailed",
            SnapshotReplaced,
            "replaced s3://b/p/e/data/k.parquet",
        ),
        (get(), 412, "", SnapshotReplaced, "replaced"),
        (get(), 416, "InvalidRange", BrokenDelivery, "shorter"),
        (get(), 403, "InvalidObjectState", AwsRefused, "archived"),
        (get(), 503, "SlowDown", AwsUnreachable, "throttles s3:GetObject"),
        (sign_in(), 400, "Throttling", AwsUnreachable, "throttles"),
        (get(), 503, "", AwsUnreachable, "throttles"),
        (get(), 500, "InternalError", AwsUnreachable, "failed to answer"),
        (get(), 502, "", AwsUnreachable, "failed to answer"),
        (get(), 400, "SomethingNew", AwsRefused, "AWS refused s3:GetObject"),
    ] {
        let ways = [
            Failure::of_sdk(&sdk(status, code, "the words")),
            Failure::of_object_store(&stored(&format!("{status} Reason"), code, "the words")),
        ];
        for failure in ways {
            let error = failure.into_error(&call);
            assert_eq!(error.kind(), kind, "{status} {code}: {error:?}");
            assert!(error.message().contains(text), "{status} {code}: {error:?}");
            assert!(error.hint().is_some(), "{status} {code}");
            let detail = error.detail().unwrap();
            assert!(
                detail.contains(code) && detail.contains(&status.to_string()),
                "{detail}"
            );
            assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
        }
    }
}

#[test]
fn a_refusal_names_the_statement_that_would_allow_it() {
    let error = Failure::of_sdk(&sdk(
        403,
        "AccessDenied",
        "User: arn:aws:iam::111122223333:user/x is not authorized",
    ))
    .into_error(&get());
    assert!(
        error
            .message()
            .ends_with(": User: arn:aws:iam::111122223333:user/x is not authorized"),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/p/e/*"}"#),
        "{hint}"
    );
    assert_eq!(
        error.detail(),
        Some("AWS error code AccessDenied, HTTP status 403, request id REQ123")
    );

    let kms = "User: arn:aws:iam::111122223333:user/x is not authorized to perform: kms:Decrypt on resource: \
               arn:aws:kms:us-east-1:111122223333:key/k because no policy allows it";
    let error = Failure::of_sdk(&sdk(403, "AccessDenied", kms)).into_error(&get());
    assert!(
        error
            .message()
            .starts_with("AWS refused kms:Decrypt on arn:aws:kms:us-east-1:111122223333:key/k"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("\"kms:Decrypt\""));

    let china = AwsCall::list("b", "cn-north-1");
    let error = Failure::of_sdk(&sdk(403, "AccessDenied", "no")).into_error(&china);
    assert!(error.message().contains("arn:aws-cn:s3:::b"), "{error}");
}

#[test]
fn a_clock_that_is_off_is_told_from_a_wrong_secret() {
    let text = "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z";
    let error = Failure::of_sdk(&sdk(403, "SignatureDoesNotMatch", text)).into_error(&sign_in());
    assert_eq!(error.kind(), ErrorKind::BadCredentials);
    assert!(error.message().contains("clock"), "{error}");
    assert!(error.message().contains("AKIA...PLE1"), "{error}");
}

#[test]
fn messages_of_aws_are_bounded_and_on_one_line() {
    let long = format!("line one\nline two {}", "x".repeat(5_000));
    let error = Failure::of_sdk(&sdk(403, "AccessDenied", &long)).into_error(&get());
    assert!(
        error.message().chars().count() < 600 && !error.message().contains('\n'),
        "{error}"
    );
    let signature = "The canonical string was: x-amz-security-token:not-a-real-token";
    let error = Failure::of_sdk(&sdk(403, "SignatureDoesNotMatch", signature)).into_error(&get());
    assert!(!format!("{error:?}").contains("not-a-real-token"), "{error:?}");
}

#[test]
fn silence_is_unreachable() {
    let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "Connection refused");
    let errors: [SdkError<GetObjectError, HttpResponse>; 3] = [
        SdkError::timeout_error(refused()),
        SdkError::dispatch_failure(ConnectorError::timeout(refused().into())),
        SdkError::dispatch_failure(ConnectorError::io(refused().into())),
    ];
    for error in &errors {
        let error = Failure::of_sdk(error).into_error(&get());
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable);
        assert!(matches!(error.retry(), Retry::After(_)));
    }
    let last = Failure::of_sdk(&errors[2]).into_error(&get());
    assert!(last.message().contains("Connection refused"), "{last}");
    for (kind, text) in [
        (HttpErrorKind::Timeout, "in time"),
        (HttpErrorKind::Connect, "Connection refused"),
    ] {
        let error = object_store::Error::Generic {
            store: "S3",
            source: Box::new(HttpError::new(kind, refused())),
        };
        let error = object_store_error(&error, &get());
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable);
        assert!(error.message().contains(text), "{error}");
    }
}

#[test]
fn a_bare_redirect_is_a_wrong_region() {
    let error = object_store::Error::Generic {
        store: "S3",
        source: Box::new(io::Error::other(
            "Received redirect without LOCATION, this normally indicates an incorrectly configured region",
        )),
    };
    assert!(Failure::of_object_store(&error).is_wrong_region());
    let mut failure = Failure::of_object_store(&stored("301 Moved", "PermanentRedirect", "x"));
    failure.region = Some("eu-west-1".to_owned());
    let error = failure.into_error(&get());
    assert!(error.message().contains("lies in the Region eu-west-1"), "{error}");
}

#[test]
fn xml_is_read_as_far_as_needed() {
    assert_eq!(
        element("<Code>A&amp;lt;B&lt;</Code>", "Code").as_deref(),
        Some("A&lt;B<")
    );
    assert_eq!(element("<Code>open", "Code"), None);
    assert_eq!(status_in("status code: 403 Forbidden"), Some(403));
    assert_eq!(status_in("status code: 9"), None);
    assert_eq!(status_in("status code: ä23"), None);
}

#[test]
fn a_signature_for_another_region_is_not_a_wrong_key() {
    let text = "Credential should be scoped to a valid region.";
    let error = Failure::of_sdk(&sdk(400, "InvalidSignatureException", text)).into_error(&sign_in());
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
    assert!(error.message().contains(text), "{error:?}");
}

#[test]
fn all_resources_of_an_action_are_in_the_statement() {
    let call = AwsCall::on("x:Create", "arn:aws:x:::thing/*", "thing")
        .granted_on(["arn:aws:x:::thing/*".to_owned(), "arn:aws:x:::other".to_owned()]);
    let text = "User: u is not authorized to perform: x:Create on resource: \"arn:aws:x:::other\" because";
    let error = Failure::of_sdk(&sdk(400, "AccessDeniedException", text)).into_error(&call);
    assert!(
        error.message().starts_with("AWS refused x:Create on arn:aws:x:::other"),
        "{error:?}"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("\"Resource\": [\"arn:aws:x:::thing/*\",\"arn:aws:x:::other\"]"),
        "{hint}"
    );
}
