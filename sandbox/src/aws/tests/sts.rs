//! STS, with the AWS SDK and by hand.

use std::time::Duration;

use aws_sdk_sts::error::ProvideErrorMetadata;

use super::raw::Raw;
use super::{BUCKET, FULL_ACCESS, LINKED, Organisation, PAYER, user};
use crate::aws::{AccessKey, Sandbox};

fn client(sandbox: &Sandbox, key: &AccessKey) -> aws_sdk_sts::Client {
    let config = sdk_config!(aws_sdk_sts, sandbox, key, "us-east-1");
    aws_sdk_sts::Client::from_conf(config.build())
}

const MAY_ASSUME: &str = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
const DENY_ALL: &str = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},
    "Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"farthing-7"}}}}"#;
const ROLE: &str = "arn:aws:iam::111122223333:role/reader";

#[tokio::test]
async fn caller_identity() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let denied = user(&sandbox, LINKED, "denied", Some(DENY_ALL));
    let identity = client(&sandbox, &denied).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(LINKED));
    assert_eq!(identity.arn(), Some("arn:aws:iam::444455556666:user/denied"));
    assert!(identity.user_id().unwrap().starts_with("AIDA"));
    let root = sandbox.create_root_access_key(PAYER).unwrap();
    let identity = client(&sandbox, &root).get_caller_identity().send().await.unwrap();
    assert_eq!(
        (identity.arn(), identity.user_id()),
        (Some("arn:aws:iam::111122223333:root"), Some(PAYER))
    );
    let wrong = AccessKey {
        secret_access_key: "not-a-real-secret".into(),
        ..denied
    };
    let error = client(&sandbox, &wrong).get_caller_identity().send().await.unwrap_err();
    assert_eq!(error.code(), Some("SignatureDoesNotMatch"));
    assert_eq!(sandbox.requests().of("GetCallerIdentity").last().unwrap().status, 403);
}

#[tokio::test]
async fn assume_role_with_external_id() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_object(BUCKET, "k", "content").await.unwrap();
    sandbox.create_role(PAYER, "reader", TRUST).unwrap();
    sandbox.put_role_policy(PAYER, "reader", "inline", FULL_ACCESS).unwrap();
    let caller = user(&sandbox, LINKED, "caller", Some(MAY_ASSUME));
    let powerless = user(&sandbox, LINKED, "powerless", None);
    let assume = |key: &AccessKey, external_id: Option<&str>| {
        let request = client(&sandbox, key)
            .assume_role()
            .role_arn(ROLE)
            .role_session_name("session");
        request
            .set_external_id(external_id.map(str::to_owned))
            .duration_seconds(900)
            .send()
    };
    for (key, external_id) in [
        (&caller, None),
        (&caller, Some("another")),
        (&powerless, Some("farthing-7")),
    ] {
        let error = assume(key, external_id).await.unwrap_err();
        assert_eq!(error.code(), Some("AccessDenied"));
        assert!(
            error
                .message()
                .unwrap()
                .contains("is not authorized to perform: sts:AssumeRole on resource: ")
        );
    }
    let assumed = assume(&caller, Some("farthing-7")).await.unwrap();
    let session = assumed.credentials().unwrap();
    let key = AccessKey {
        access_key_id: session.access_key_id().to_owned(),
        secret_access_key: session.secret_access_key().to_owned(),
    };
    let token = session.session_token();
    let get = || Raw::s3("GET", format!("/{BUCKET}/k"));
    assert_eq!(get().token(token).send(&sandbox, &key).await.text(), "content");
    assert_eq!(get().send(&sandbox, &key).await.code(), "InvalidToken");
    let who = Raw::sts("Action=GetCallerIdentity&Version=2011-06-15")
        .token(token)
        .send(&sandbox, &key)
        .await;
    assert_eq!(
        who.element("Arn"),
        "arn:aws:sts::111122223333:assumed-role/reader/session"
    );
    sandbox.advance(Duration::from_secs(901));
    let expired = get().token(token).send(&sandbox, &key).await;
    assert_eq!((expired.status, expired.code().as_str()), (400, "ExpiredToken"));
    let expired = Raw::sts("Action=GetCallerIdentity&Version=2011-06-15")
        .token(token)
        .send(&sandbox, &key)
        .await;
    assert_eq!((expired.status, expired.code().as_str()), (403, "ExpiredToken"));
}

#[tokio::test]
async fn bad_calls() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let send = |form: &str| {
        let request = Raw::sts(form);
        let (sandbox, admin) = (&sandbox, &admin);
        async move {
            let reply = request.send(sandbox, admin).await;
            (reply.status, reply.code())
        }
    };
    assert_eq!(
        send("Action=Unheard&Version=2011-06-15").await,
        (400, "InvalidAction".into())
    );
    assert_eq!(
        send("Action=AssumeRole&RoleArn=x&RoleSessionName=abc").await,
        (400, "ValidationError".into())
    );
    assert_eq!(
        send("Action=AssumeRole&RoleSessionName=abc").await,
        (400, "ValidationError".into())
    );
    let nowhere = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fnone&RoleSessionName=abc";
    assert_eq!(send(nowhere).await, (403, "AccessDenied".into()));
    let mut other = Raw::sts("Action=ListUsers");
    other.service = "ec2";
    let reply = other.send(&sandbox, &admin).await;
    assert_eq!((reply.status, reply.code().as_str()), (501, "NotImplemented"));
}
