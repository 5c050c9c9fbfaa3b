//! Making and securing buckets, with the AWS SDK.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::sdk::{client, client_in};
use super::{LINKED, Organisation, PAYER, user};
use crate::aws::{AccessKey, Sandbox, SandboxSpec};

/// What setting a bucket up needs, on one bucket.
const SET_UP: &[&str] = &[
    "s3:CreateBucket",
    "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketPublicAccessBlock",
    "s3:PutEncryptionConfiguration",
    "s3:GetEncryptionConfiguration",
    "s3:PutBucketPolicy",
    "s3:GetBucketPolicy",
];
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Deliver","Effect":"Allow",
    "Principal":{"Service":"bcm-data-exports.amazonaws.com"},"Action":"s3:PutObject",
    "Resource":"arn:aws:s3:::new-bucket/*"}]}"#;

fn allowing(actions: &[&str], resource: &str) -> String {
    let actions = serde_json::to_string(actions).unwrap();
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Action\":{actions},\"Resource\":\"{resource}\"}}]}}"
    )
}

async fn create(sandbox: &Sandbox, key: &AccessKey, name: &str, region: &'static str) -> Result<(), String> {
    let request = client_in(sandbox, key, region).create_bucket().bucket(name);
    let constraint = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region));
    let request = match region {
        "us-east-1" => request,
        _ => request.create_bucket_configuration(constraint.build()),
    };
    let answer = request.send().await;
    answer
        .map(|_| ())
        .map_err(|error| format!("{} {}", error.raw_response().unwrap().status(), error.code().unwrap()))
}

#[tokio::test]
async fn buckets_are_created_once_and_by_one() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let policy = allowing(&["s3:CreateBucket"], "arn:aws:s3:::*");
    let mine = user(&sandbox, PAYER, "mine", Some(&policy));
    let other = user(&sandbox, LINKED, "other", Some(&policy));
    create(&sandbox, &mine, "at-home", "us-east-1").await.unwrap();
    create(&sandbox, &mine, "abroad", "eu-central-1").await.unwrap();
    // The exception of us-east-1: repeating succeeds there, and nowhere else.
    create(&sandbox, &mine, "at-home", "us-east-1").await.unwrap();
    let owned = Err("409 BucketAlreadyOwnedByYou".to_owned());
    let taken = Err("409 BucketAlreadyExists".to_owned());
    assert_eq!(create(&sandbox, &mine, "abroad", "eu-central-1").await, owned);
    assert_eq!(create(&sandbox, &mine, "at-home", "eu-central-1").await, owned);
    assert_eq!(create(&sandbox, &other, "abroad", "eu-central-1").await, taken);
    assert_eq!(create(&sandbox, &other, "at-home", "us-east-1").await, taken);
    let nowhere = create(&sandbox, &mine, "nowhere", "moon-1").await;
    assert_eq!(nowhere, Err("400 InvalidLocationConstraint".to_owned()));
}

#[tokio::test]
async fn each_action_is_needed() {
    for missing in SET_UP {
        let Organisation { sandbox, .. } = Organisation::start().await;
        let rest: Vec<&str> = SET_UP.iter().filter(|action| *action != missing).copied().collect();
        let key = user(
            &sandbox,
            PAYER,
            "setup",
            Some(&allowing(&rest, "arn:aws:s3:::new-bucket")),
        );
        let refusals = set_up(&sandbox, &key).await;
        assert_eq!(refusals.len(), 1, "{missing}: {refusals:?}");
        let expected =
            format!("perform: {missing} on resource: \"arn:aws:s3:::new-bucket\" because no identity-based policy");
        assert!(refusals[0].contains(&expected), "{}", refusals[0]);
    }
    let Organisation { sandbox, .. } = Organisation::start().await;
    let key = user(
        &sandbox,
        PAYER,
        "setup",
        Some(&allowing(SET_UP, "arn:aws:s3:::new-bucket")),
    );
    assert_eq!(set_up(&sandbox, &key).await, Vec::<String>::new());
    assert!(
        sandbox
            .service_may_deliver("bcm-data-exports.amazonaws.com", "new-bucket", "p", PAYER, "arn:x")
            .unwrap()
    );
}

/// Does every step, and returns the messages of those that were refused.
async fn set_up(sandbox: &Sandbox, key: &AccessKey) -> Vec<String> {
    let s3 = client(sandbox, key);
    let mut refusals = Vec::new();
    let mut note = |code: Option<&str>, message: Option<&str>| {
        assert_eq!(code, Some("AccessDenied"), "{message:?}");
        refusals.push(message.unwrap().to_owned());
    };
    if let Err(error) = s3.create_bucket().bucket("new-bucket").send().await {
        note(error.code(), error.message());
        // So that the other steps have a bucket.
        sandbox.create_bucket(PAYER, "new-bucket", "us-east-1").unwrap();
    }
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_policy(true)
        .build();
    let put = s3.put_public_access_block().bucket("new-bucket");
    if let Err(error) = put.public_access_block_configuration(block).send().await {
        note(error.code(), error.message());
    }
    if let Err(error) = s3.get_public_access_block().bucket("new-bucket").send().await {
        note(error.code(), error.message());
    }
    let put = s3.put_bucket_encryption().bucket("new-bucket");
    if let Err(error) = put
        .server_side_encryption_configuration(encryption(ServerSideEncryption::Aes256))
        .send()
        .await
    {
        note(error.code(), error.message());
    }
    if let Err(error) = s3.get_bucket_encryption().bucket("new-bucket").send().await {
        note(error.code(), error.message());
    }
    if let Err(error) = s3.put_bucket_policy().bucket("new-bucket").policy(POLICY).send().await {
        note(error.code(), error.message());
        sandbox.put_bucket_policy("new-bucket", POLICY).unwrap();
    }
    match s3.get_bucket_policy().bucket("new-bucket").send().await {
        Ok(answer) => assert_eq!(answer.policy(), Some(POLICY)),
        Err(error) => note(error.code(), error.message()),
    }
    refusals
}

fn encryption(algorithm: ServerSideEncryption) -> ServerSideEncryptionConfiguration {
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(algorithm);
    let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default.build().unwrap());
    ServerSideEncryptionConfiguration::builder()
        .rules(rule.build())
        .build()
        .unwrap()
}

#[tokio::test]
async fn settings_are_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let all = allowing(&["s3:*"], "arn:aws:s3:::new-bucket");
    let algorithm = async |sandbox: &Sandbox, key: &AccessKey| {
        let answer = client(sandbox, key)
            .get_bucket_encryption()
            .bucket("new-bucket")
            .send()
            .await
            .unwrap();
        let rules = answer.server_side_encryption_configuration.unwrap().rules;
        rules[0]
            .apply_server_side_encryption_by_default
            .clone()
            .unwrap()
            .sse_algorithm
    };
    let organisation = Organisation::with(SandboxSpec::in_directory(folder.path())).await;
    let key = user(&organisation.sandbox, PAYER, "setup", Some(&all));
    let s3 = client(&organisation.sandbox, &key);
    s3.create_bucket().bucket("new-bucket").send().await.unwrap();
    // What every bucket has from the start.
    assert_eq!(
        algorithm(&organisation.sandbox, &key).await,
        ServerSideEncryption::Aes256
    );
    let put = s3.put_bucket_encryption().bucket("new-bucket");
    put.server_side_encryption_configuration(encryption(ServerSideEncryption::AwsKms))
        .send()
        .await
        .unwrap();
    organisation.sandbox.shutdown().await;

    let organisation = Organisation::with(SandboxSpec::in_directory(folder.path())).await;
    let key = user(&organisation.sandbox, PAYER, "setup", Some(&all));
    assert_eq!(
        algorithm(&organisation.sandbox, &key).await,
        ServerSideEncryption::AwsKms
    );
    let put = client(&organisation.sandbox, &key)
        .put_bucket_encryption()
        .bucket("new-bucket");
    let wrong = encryption(ServerSideEncryption::from("ROT13"));
    let error = put
        .server_side_encryption_configuration(wrong)
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some("MalformedXML"));
}
