#![allow(clippy::unwrap_used)]

use super::*;

fn failure(status: u16, code: &str, message: &str) -> Failure {
    Failure {
        status: Some(status),
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        ..Failure::default()
    }
}

#[test]
fn each_code_has_a_kind_and_says_what_to_do() {
    let user = AwsCall::user("iam:CreateUser", "reader", "us-east-1");
    let bucket = AwsCall::bucket("s3:CreateBucket", "billing", "us-east-1");
    for (call, status, code, kind, retried) in [
        (&user, 409, "EntityAlreadyExists", ErrorKind::Duplicate, false),
        (&user, 404, "NoSuchEntity", ErrorKind::Missing, false),
        (&user, 409, "LimitExceeded", ErrorKind::Limit, false),
        (&bucket, 400, "TooManyBuckets", ErrorKind::Limit, false),
        (&user, 400, "MalformedPolicyDocument", ErrorKind::BadValue, false),
        (&user, 400, "PolicyNotAttachable", ErrorKind::BadValue, false),
        (&user, 409, "ConcurrentModification", ErrorKind::Locked, true),
        (&bucket, 409, "OperationAborted", ErrorKind::Locked, true),
        // 500, and yet no outage.
        (&user, 500, "PolicyEvaluation", ErrorKind::AwsRefused, false),
        (&user, 500, "ServiceFailure", ErrorKind::AwsUnreachable, true),
        (&user, 400, "Throttling", ErrorKind::AwsUnreachable, true),
        (&user, 403, "InvalidClientTokenId", ErrorKind::BadCredentials, false),
        (&bucket, 409, "BucketAlreadyExists", ErrorKind::Duplicate, false),
        (
            &bucket,
            400,
            "IllegalLocationConstraintException",
            ErrorKind::BadValue,
            false,
        ),
    ] {
        let error = failure(status, code, "AWS's reason").into_setup_error(call);
        assert_eq!(error.kind(), kind, "{code}: {error:?}");
        assert_eq!(error.retry() != Retry::Never, retried, "{code}: {error:?}");
        assert!(error.hint().is_some_and(|hint| hint.len() > 20), "{code}: {error:?}");
        assert!(error.detail().unwrap().contains(code), "{error:?}");
    }
}

#[test]
fn the_account_that_aws_names_completes_the_statement() {
    let call = AwsCall::user("iam:CreateUser", "reader", "cn-north-1");
    let silent = failure(403, "AccessDenied", "no").into_setup_error(&call);
    assert!(
        silent.hint().unwrap().contains("\"arn:aws-cn:iam::*:user/reader\""),
        "{silent:?}"
    );
    let named = "User: arn:aws-cn:iam::111122223333:user/me is not authorized to perform: iam:CreateUser on resource: \
        arn:aws-cn:iam::111122223333:user/reader because no identity-based policy allows the iam:CreateUser action";
    let error = failure(403, "AccessDenied", named).into_setup_error(&call);
    let arn = "arn:aws-cn:iam::111122223333:user/reader";
    assert!(
        error
            .message()
            .starts_with(&format!("AWS refused iam:CreateUser on {arn}: User:")),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains(&format!("\"Resource\": \"{arn}\"")),
        "{error:?}"
    );
}
