//! AWS's own codes for what is refused, over the wire.

use std::time::Duration;

use chrono::TimeDelta;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};

use super::raw::{Raw, Reply};
use super::{BUCKET, FULL_ACCESS, LINKED, Organisation, PAYER, user};
use crate::aws::{AccessKey, Clock, SandboxSpec, WrongRegion};

fn list() -> Raw {
    Raw::s3("GET", format!("/{BUCKET}?list-type=2"))
}

fn identity() -> Raw {
    Raw::sts("Action=GetCallerIdentity&Version=2011-06-15")
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn signatures() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let wrong = AccessKey {
        secret_access_key: "not-a-real-secret".into(),
        ..admin.clone()
    };
    let unknown = AccessKey {
        access_key_id: "AKIAFARTHINGEXAMPLE1".into(),
        ..admin.clone()
    };
    assert_eq!(list().send(&sandbox, &admin).await.status, 200);
    assert_eq!(identity().send(&sandbox, &admin).await.status, 200);
    let s3 = |raw: Raw, key: AccessKey| {
        let sandbox = &sandbox;
        async move { refused(&raw.send(sandbox, &key).await) }
    };
    assert_eq!(s3(list(), wrong.clone()).await, refusal(403, "SignatureDoesNotMatch"));
    assert_eq!(s3(identity(), wrong).await, refusal(403, "SignatureDoesNotMatch"));
    assert_eq!(s3(list(), unknown.clone()).await, refusal(403, "InvalidAccessKeyId"));
    assert_eq!(s3(identity(), unknown).await, refusal(403, "InvalidClientTokenId"));
    let late = TimeDelta::minutes(16);
    assert_eq!(
        s3(list().signed_ago(late), admin.clone()).await,
        refusal(403, "RequestTimeTooSkewed")
    );
    assert_eq!(
        s3(identity().signed_ago(late), admin.clone()).await,
        refusal(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        list()
            .signed_ago(TimeDelta::minutes(14))
            .send(&sandbox, &admin)
            .await
            .status,
        200
    );
    assert_eq!(
        s3(list().token("made-up"), admin.clone()).await,
        refusal(400, "InvalidToken")
    );
    assert_eq!(
        s3(identity().token("made-up"), admin.clone()).await,
        refusal(403, "InvalidClientTokenId")
    );
    assert_eq!(
        refused(&list().send_unsigned(&sandbox).await),
        refusal(403, "AccessDenied")
    );
    assert_eq!(
        refused(&identity().send_unsigned(&sandbox).await),
        refusal(403, "MissingAuthenticationToken")
    );
    sandbox.deactivate_access_key(&admin.access_key_id).unwrap();
    assert_eq!(s3(list(), admin.clone()).await, refusal(403, "InvalidAccessKeyId"));
    assert_eq!(
        s3(identity(), admin.clone()).await,
        refusal(403, "InvalidClientTokenId")
    );
    sandbox.activate_access_key(&admin.access_key_id).unwrap();
    assert_eq!(list().send(&sandbox, &admin).await.status, 200);
}

#[tokio::test]
async fn a_body_that_differs_from_its_checksum_is_refused() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let put = Raw::s3("PUT", format!("/{BUCKET}/k")).body("body");
    assert_eq!(put.clone().send(&sandbox, &admin).await.status, 200);
    let spoiled = put
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .send(&sandbox, &admin)
        .await;
    assert_eq!(refused(&spoiled), refusal(400, "BadDigest"));
    assert_eq!(
        sandbox.requests().of("PutObject").last().unwrap().error_code.as_deref(),
        Some("BadDigest")
    );
    for (digest, code) in [("AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"), ("short", "InvalidDigest")] {
        let put = Raw::s3("PUT", format!("/{BUCKET}/k"))
            .header("content-md5", digest)
            .body("body");
        assert_eq!(refused(&put.send(&sandbox, &admin).await), refusal(400, code));
    }
    let kept = Raw::s3("GET", format!("/{BUCKET}/k")).send(&sandbox, &admin).await;
    assert_eq!(kept.text(), "body");
}

#[tokio::test]
async fn the_clock_turns() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let clock: &Clock = sandbox.clock();
    let before = clock.now();
    sandbox.advance(Duration::from_secs(25 * 3600));
    assert!(clock.now() - before >= TimeDelta::hours(25));
    // The date moves for client and server alike: signatures stay good, and new objects carry the new date.
    let put = Raw::s3("PUT", format!("/{BUCKET}/later"))
        .body("x")
        .send(&sandbox, &admin)
        .await;
    assert_eq!(put.status, 200);
    let tomorrow = clock.now().format("%d %b %Y").to_string();
    let head = Raw::s3("HEAD", format!("/{BUCKET}/later")).send(&sandbox, &admin).await;
    assert!(head.headers["last-modified"].contains(&tomorrow));
    clock.set_skew(TimeDelta::minutes(20));
    assert_eq!(
        refused(&list().send(&sandbox, &admin).await),
        refusal(403, "RequestTimeTooSkewed")
    );
    clock.set_skew(TimeDelta::zero());
    assert_eq!(list().send(&sandbox, &admin).await.status, 200);
}

#[tokio::test]
async fn denials_are_worded_as_by_aws() {
    let organisation = Organisation::start().await;
    let sandbox = &organisation.sandbox;
    sandbox.put_object(BUCKET, "k", "x").await.unwrap();
    let lister = user(
        sandbox,
        PAYER,
        "lister",
        Some(r#"{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::billing-exports"}}"#),
    );
    let reply = Raw::s3("GET", format!("/{BUCKET}/k")).send(sandbox, &lister).await;
    assert_eq!(refused(&reply), refusal(403, "AccessDenied"));
    assert_eq!(
        reply.element("Message"),
        "User: arn:aws:iam::111122223333:user/lister is not authorized to perform: s3:GetObject on resource: \
         \"arn:aws:s3:::billing-exports/k\" because no identity-based policy allows the s3:GetObject action"
    );
    let store = organisation.store_with(&lister);
    let error = store.get(&Path::from("k")).await.unwrap_err();
    assert!(matches!(&error, Error::PermissionDenied { .. }), "{error}");
    sandbox
        .put_bucket_policy(
            BUCKET,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::billing-exports/*"}}"#,
        )
        .unwrap();
    let reply = Raw::s3("GET", format!("/{BUCKET}/k"))
        .send(sandbox, &organisation.admin)
        .await;
    assert!(
        reply
            .element("Message")
            .ends_with("with an explicit deny in a resource-based policy"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn a_missing_key_is_hidden_from_who_may_not_list() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let reader = user(
        &sandbox,
        PAYER,
        "reader",
        Some(r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::billing-exports/*"}}"#),
    );
    let get = || Raw::s3("GET", format!("/{BUCKET}/missing"));
    assert_eq!(refused(&get().send(&sandbox, &admin).await), refusal(404, "NoSuchKey"));
    let hidden = get().send(&sandbox, &reader).await;
    assert_eq!(refused(&hidden), refusal(403, "AccessDenied"));
    assert!(
        hidden
            .element("Message")
            .contains("s3:ListBucket on resource: \"arn:aws:s3:::billing-exports\"")
    );
    assert_eq!(
        Raw::s3("HEAD", format!("/{BUCKET}/missing"))
            .send(&sandbox, &reader)
            .await
            .status,
        403
    );
    let nowhere = Raw::s3("GET", "/no-such-bucket-here?list-type=2")
        .send(&sandbox, &admin)
        .await;
    assert_eq!(refused(&nowhere), refusal(404, "NoSuchBucket"));
    assert_eq!(
        Raw::s3("HEAD", "/no-such-bucket-here")
            .send(&sandbox, &admin)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn across_accounts_both_sides_must_allow() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_object(BUCKET, "k", "x").await.unwrap();
    let stranger = user(&sandbox, LINKED, "stranger", Some(FULL_ACCESS));
    let powerless = user(&sandbox, LINKED, "powerless", None);
    let get = || Raw::s3("GET", format!("/{BUCKET}/k"));
    let without = get().send(&sandbox, &stranger).await;
    assert!(
        without
            .element("Message")
            .ends_with("because no resource-based policy allows the s3:GetObject action")
    );
    for principal in [
        r#""444455556666""#,
        r#""arn:aws:iam::444455556666:root""#,
        r#"["arn:aws:iam::444455556666:user/stranger"]"#,
    ] {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":{principal}}},"Action":"s3:GetObject",
                "Resource":"arn:aws:s3:::billing-exports/*"}}}}"#
        );
        sandbox.put_bucket_policy(BUCKET, &policy).unwrap();
        assert_eq!(get().send(&sandbox, &stranger).await.status, 200, "{principal}");
        assert_eq!(get().send(&sandbox, &powerless).await.status, 403, "{principal}");
    }
    let owner_check = get()
        .header("x-amz-expected-bucket-owner", LINKED)
        .send(&sandbox, &stranger)
        .await;
    assert_eq!(refused(&owner_check), refusal(403, "AccessDenied"));
    // Inside the account a policy that names the user is enough.
    let plain = user(&sandbox, PAYER, "plain", None);
    assert_eq!(get().send(&sandbox, &plain).await.status, 403);
    sandbox
        .put_bucket_policy(
            BUCKET,
            r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/plain"},
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::billing-exports/*"}}"#,
        )
        .unwrap();
    assert_eq!(get().send(&sandbox, &plain).await.status, 200);
}

#[tokio::test]
async fn bucket_policies_are_checked_when_put() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let put = |policy: &str| {
        let request = Raw::s3("PUT", format!("/{BUCKET}?policy")).body(policy.as_bytes());
        let (sandbox, admin) = (&sandbox, &admin);
        async move { request.send(sandbox, admin).await }
    };
    let get = || Raw::s3("GET", format!("/{BUCKET}?policy")).send(&sandbox, &admin);
    assert_eq!(refused(&get().await), refusal(404, "NoSuchBucketPolicy"));
    let statement = |principal: &str, action: &str, resource: &str| {
        format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"{action}","Resource":"{resource}"}}]}}"#
        )
    };
    let service = r#"{"Service":"bcm-data-exports.amazonaws.com"}"#;
    for (policy, part) in [
        ("{".to_owned(), "invalid Json"),
        (
            statement(service, "s3:PutObject", "arn:aws:s3:::another-bucket/*"),
            "invalid resource",
        ),
        (
            statement(service, "ec2:RunInstances", "arn:aws:s3:::billing-exports/*"),
            "invalid action",
        ),
        (
            statement(
                r#"{"AWS":"arn:aws:iam::111122223333:user/ghost"}"#,
                "s3:GetObject",
                "arn:aws:s3:::billing-exports/*",
            ),
            "Invalid principal",
        ),
        (r#"{"Statement":[]}"#.to_owned(), "Statement"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#.to_owned(),
            "Principal",
        ),
    ] {
        let reply = put(&policy).await;
        assert_eq!(refused(&reply), refusal(400, "MalformedPolicy"), "{policy}");
        assert!(reply.element("Message").contains(part), "{}", reply.text());
    }
    let public = put(&statement(r#""*""#, "s3:GetObject", "arn:aws:s3:::billing-exports/*")).await;
    assert_eq!(refused(&public), refusal(403, "AccessDenied"));
    assert!(public.element("Message").contains("BlockPublicPolicy"));
    let good = statement(service, "s3:PutObject", "arn:aws:s3:::billing-exports/*");
    assert_eq!(put(&good).await.status, 204);
    assert_eq!(get().await.text(), good);
    assert_eq!(
        Raw::s3("DELETE", format!("/{BUCKET}?policy"))
            .send(&sandbox, &admin)
            .await
            .status,
        204
    );
    assert_eq!(refused(&get().await), refusal(404, "NoSuchBucketPolicy"));
}

#[tokio::test]
async fn anonymous_reads_need_a_public_bucket() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_object(BUCKET, "k", "x").await.unwrap();
    let policy = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::billing-exports/*"}}"#;
    sandbox.put_bucket_policy(BUCKET, policy).unwrap();
    let get = || Raw::s3("GET", format!("/{BUCKET}/k"));
    assert_eq!(
        refused(&get().send_unsigned(&sandbox).await),
        refusal(403, "AccessDenied")
    );
    sandbox.allow_public_access(BUCKET).unwrap();
    assert_eq!(get().send_unsigned(&sandbox).await.status, 200);
}

#[tokio::test]
async fn another_region_sends_away() {
    for (wrong_region, status, code) in [
        (WrongRegion::PermanentRedirect, 301, "PermanentRedirect"),
        (
            WrongRegion::AuthorizationHeaderMalformed,
            400,
            "AuthorizationHeaderMalformed",
        ),
    ] {
        let spec = SandboxSpec {
            wrong_region,
            ..SandboxSpec::in_memory()
        };
        let Organisation { sandbox, .. } = Organisation::with(spec).await;
        let root = sandbox.create_root_access_key(PAYER).unwrap();
        sandbox.create_bucket(PAYER, "frankfurt", "eu-central-1").unwrap();
        let reply = Raw::s3("GET", "/frankfurt?list-type=2").send(&sandbox, &root).await;
        assert_eq!(refused(&reply), refusal(status, code));
        assert_eq!(reply.headers["x-amz-bucket-region"], "eu-central-1");
        assert!(!reply.headers.contains_key("location"));
        let right = Raw::s3("GET", "/frankfurt?list-type=2")
            .region("eu-central-1")
            .send(&sandbox, &root)
            .await;
        assert_eq!(right.status, 200);
        let location = Raw::s3("GET", "/frankfurt?location").send(&sandbox, &root).await;
        assert!(location.text().contains(">eu-central-1<"));
        let home = Raw::s3("GET", format!("/{BUCKET}?location"))
            .send(&sandbox, &root)
            .await;
        assert!(!home.text().contains("us-east-1"), "{}", home.text());
    }
}

#[tokio::test]
async fn buckets_are_created_as_in_aws() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let (root, other) = (
        sandbox.create_root_access_key(PAYER).unwrap(),
        sandbox.create_root_access_key(LINKED).unwrap(),
    );
    let constraint = |region: &str| {
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}\
             </LocationConstraint></CreateBucketConfiguration>"
        )
    };
    let create = |name: &str, endpoint: &str, body: String, key: &AccessKey| {
        let request = Raw::s3("PUT", format!("/{name}")).region(endpoint).body(body);
        let (sandbox, key) = (&sandbox, key.clone());
        async move {
            let reply = request.send(sandbox, &key).await;
            if reply.status == 200 {
                (200, String::new())
            } else {
                refused(&reply)
            }
        }
    };
    let done = (200, String::new());
    assert_eq!(create("first-bucket", "us-east-1", String::new(), &root).await, done);
    assert_eq!(create("first-bucket", "us-east-1", String::new(), &root).await, done);
    assert_eq!(
        create("first-bucket", "us-east-1", String::new(), &other).await,
        refusal(409, "BucketAlreadyExists")
    );
    assert_eq!(
        create("paris-bucket", "us-east-1", constraint("eu-west-3"), &root).await,
        done
    );
    assert_eq!(
        create("paris-bucket", "us-east-1", constraint("eu-west-3"), &root).await,
        refusal(409, "BucketAlreadyOwnedByYou")
    );
    let illegal = refusal(400, "IllegalLocationConstraintException");
    assert_eq!(
        create("no-constraint", "eu-west-1", String::new(), &root).await,
        illegal
    );
    assert_eq!(
        create("no-constraint", "eu-west-1", constraint("eu-west-3"), &root).await,
        illegal
    );
    assert_eq!(
        create("Bad_Name", "us-east-1", String::new(), &root).await,
        refusal(400, "InvalidBucketName")
    );
    let list = Raw::s3("GET", "/").send(&sandbox, &root).await.text();
    for name in [BUCKET, "first-bucket", "paris-bucket"] {
        assert!(list.contains(&format!("<Name>{name}</Name>")), "{list}");
    }
    let block = Raw::s3("GET", "/first-bucket?publicAccessBlock")
        .send(&sandbox, &root)
        .await;
    assert_eq!(block.text().matches(">true<").count(), 4);
}
