//! The onboarding guide's policies, word for word, with only the two placeholders filled in.

use serde_json::Value;

use super::raw::Raw;
use super::{BUCKET, Organisation, PAYER, user};
use crate::aws::{AccessKey, Sandbox};

const BUCKET_POLICY: &str = include_str!("guide/bucket-policy.json");
const OPTION_1: &str = include_str!("guide/option-1.json");
const OPTION_2: &str = include_str!("guide/option-2.json");

fn filled(text: &str) -> String {
    text.replace("<bucket_name>", BUCKET).replace("<AWS_account_ID>", PAYER)
}

/// The "Resource Discovery Policy": the fourth statement of option 1, which the guide prints in one piece with the rest.
fn discovery() -> String {
    let option_1: Value = serde_json::from_str(&filled(OPTION_1)).unwrap();
    serde_json::json!({"Version": "2012-10-17", "Statement": [option_1["Statement"][3]]}).to_string()
}

#[tokio::test]
async fn each_option_allows_what_it_should() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.create_bucket(PAYER, "another-bucket", "us-east-1").unwrap();
    sandbox.put_bucket_policy(BUCKET, &filled(BUCKET_POLICY)).unwrap();
    let option_1 = user(&sandbox, PAYER, "option-1", Some(&filled(OPTION_1)));
    let option_2 = user(&sandbox, PAYER, "option-2", Some(&filled(OPTION_2)));
    sandbox
        .put_user_policy(PAYER, "option-2", "discovery", &discovery())
        .unwrap();
    let option_3 = user(&sandbox, PAYER, "option-3", Some(&discovery()));
    let nobody = user(&sandbox, PAYER, "nobody", None);
    let policy = filled(BUCKET_POLICY);
    let policy = policy.as_str();
    // Method, target, body, then: allowed for option 1, 2, 3, nobody.
    let table: &[(&'static str, &str, &str, [bool; 4])] = &[
        ("GET", "/", "", [true, true, true, false]),
        ("HEAD", "/billing-exports", "", [true, true, false, false]),
        ("GET", "/billing-exports?location", "", [true, true, true, false]),
        ("GET", "/billing-exports?list-type=2", "", [true, true, false, false]),
        ("GET", "/billing-exports/k", "", [true, true, false, false]),
        ("HEAD", "/billing-exports/k", "", [true, true, false, false]),
        ("GET", "/billing-exports?policy", "", [true, true, true, false]),
        (
            "GET",
            "/billing-exports?publicAccessBlock",
            "",
            [true, true, true, false],
        ),
        ("GET", "/billing-exports?versioning", "", [true, true, true, false]),
        ("PUT", "/billing-exports/new", "x", [false, false, false, false]),
        ("PUT", "/billing-exports?policy", policy, [false, true, false, false]),
        ("DELETE", "/billing-exports?policy", "", [false, false, false, false]),
        ("DELETE", "/billing-exports/k", "", [false, false, false, false]),
        ("PUT", "/created-bucket", "", [false, true, false, false]),
        ("DELETE", "/another-bucket", "", [false, false, false, false]),
        ("HEAD", "/another-bucket", "", [false, true, false, false]),
        ("GET", "/another-bucket?location", "", [true, true, true, false]),
        ("GET", "/another-bucket/k", "", [false, true, false, false]),
    ];
    for name in [BUCKET, "another-bucket"] {
        sandbox.put_object(name, "k", "x").await.unwrap();
    }
    let mut wrong = Vec::new();
    for (method, target, body, expected) in table {
        for (key, allowed) in [&option_1, &option_2, &option_3, &nobody].into_iter().zip(expected) {
            let reply = Raw::s3(method, *target).body(body.as_bytes()).send(&sandbox, key).await;
            let as_expected = if *allowed {
                reply.status < 300
            } else {
                reply.status == 403
            };
            if !as_expected {
                wrong.push(format!(
                    "{method} {target} {}: {}",
                    name_of(&sandbox, key).await,
                    reply.status
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for key in [&option_1, &option_2, &option_3, &nobody] {
        assert_eq!(identity(&sandbox, key).await.status, 200);
    }
}

async fn identity(sandbox: &Sandbox, key: &AccessKey) -> super::raw::Reply {
    Raw::sts("Action=GetCallerIdentity&Version=2011-06-15")
        .send(sandbox, key)
        .await
}

async fn name_of(sandbox: &Sandbox, key: &AccessKey) -> String {
    identity(sandbox, key).await.element("Arn")
}

#[tokio::test]
async fn the_bucket_policy_lets_the_services_deliver() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let may = |service: &str, account: &str, arn: &str| {
        sandbox
            .service_may_deliver(service, BUCKET, "prefix/export/data/x.parquet", account, arn)
            .unwrap()
    };
    let (exports, reports) = ("bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com");
    let export = "arn:aws:bcm-data-exports:us-east-1:111122223333:export/costs-0001";
    let report = "arn:aws:cur:us-east-1:111122223333:definition/legacy";
    assert!(!may(exports, PAYER, export), "no policy yet");
    sandbox.put_bucket_policy(BUCKET, &filled(BUCKET_POLICY)).unwrap();
    assert!(may(exports, PAYER, export));
    assert!(may(reports, PAYER, report));
    assert!(!may(exports, "444455556666", export));
    assert!(!may(
        exports,
        PAYER,
        "arn:aws:bcm-data-exports:us-east-1:444455556666:export/costs-0001"
    ));
    assert!(!may(
        exports,
        PAYER,
        "arn:aws:bcm-data-exports:eu-west-1:111122223333:export/costs-0001"
    ));
    assert!(!may("cloudtrail.amazonaws.com", PAYER, export));
}
