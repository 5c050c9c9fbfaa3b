//! Buckets that exports are delivered to: looking, making, securing, and their policy.

use std::sync::Arc;

use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, ServerSideEncryption,
    ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, BucketEncryption, Credential, PresentBucket};

use crate::aws::AwsClients;
use crate::aws::error::{AwsCall, Failure};
use crate::aws::export::bucket::BucketRoot;

/// Looks with HeadBucket, whose answer names the Region, and reads the policy there.
pub(super) async fn look(clients: &Arc<AwsClients>, key: &AccessKey, name: &str) -> Result<Option<PresentBucket>> {
    let root = root(clients, key, name, None)?;
    let Some(region) = head(&root, name).await? else {
        return Ok(None);
    };
    root.learn_region(&region);
    let bucket = name.to_owned();
    let answer = root
        .ask(move |client| {
            let request = client.get_bucket_policy().bucket(bucket.clone());
            async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
        })
        .await?;
    let policy = match answer {
        Ok(answer) => answer.policy,
        Err(failure) if failure.code.as_deref() == Some("NoSuchBucketPolicy") => None,
        Err(failure) => {
            return Err(failure.into_setup_error(&AwsCall::bucket("s3:GetBucketPolicy", name, &region)));
        }
    };
    Ok(Some(PresentBucket {
        encryption: encryption(&root, name).await?,
        region,
        policy,
    }))
}

/// How the bucket encrypts. That needs a permission of its own, which few have: any refusal leaves it unknown.
async fn encryption(root: &BucketRoot, name: &str) -> Result<BucketEncryption> {
    let bucket = name.to_owned();
    let answer = root
        .ask(move |client| {
            let request = client.get_bucket_encryption().bucket(bucket.clone());
            async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
        })
        .await?;
    let rules = match answer {
        Ok(answer) => answer.server_side_encryption_configuration.map(|all| all.rules),
        // Every bucket has had S3's keys at least since January 2023; endpoints other than AWS may know none.
        Err(failure) if failure.code.as_deref() == Some("ServerSideEncryptionConfigurationNotFoundError") => {
            return Ok(BucketEncryption::S3);
        }
        Err(_) => return Ok(BucketEncryption::Unknown),
    };
    let default = rules
        .unwrap_or_default()
        .into_iter()
        .find_map(|rule| rule.apply_server_side_encryption_by_default);
    Ok(match default {
        None => BucketEncryption::S3,
        Some(default) => match default.sse_algorithm {
            ServerSideEncryption::Aes256 => BucketEncryption::S3,
            ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse => BucketEncryption::Kms {
                key: default.kms_master_key_id,
            },
            _ => BucketEncryption::Unknown,
        },
    })
}

/// The Region of a bucket; `None` if there is no such bucket.
async fn head(root: &BucketRoot, name: &str) -> Result<Option<String>> {
    let bucket = name.to_owned();
    let answer = root
        .ask(move |client| {
            let request = client.head_bucket().bucket(bucket.clone());
            async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
        })
        .await?;
    match answer {
        // S3 names the Region in every answer; other endpoints may leave it out, and then it is the one that was asked.
        Ok(answer) => Ok(Some(answer.bucket_region.unwrap_or_else(|| root.likely_region()))),
        Err(failure) if failure.status == Some(404) => Ok(None),
        // Answers to HEAD have no body, so that a missing permission and a bad key look alike.
        Err(failure) if matches!(failure.status, Some(400..=403)) => list_one(root, name).await,
        Err(failure) => Err(failure.into_setup_error(&AwsCall::list(name, &root.likely_region()))),
    }
}

/// Asks what needs the same permission as HeadBucket and is refused with a reason.
async fn list_one(root: &BucketRoot, name: &str) -> Result<Option<String>> {
    let bucket = name.to_owned();
    let answer = root
        .ask(move |client| {
            let request = client.list_objects_v2().bucket(bucket.clone()).max_keys(1);
            async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
        })
        .await?;
    let failure = match answer {
        Ok(_) => return Ok(Some(root.likely_region())),
        Err(failure) => failure,
    };
    let error = failure.into_setup_error(&AwsCall::list(name, &root.likely_region()));
    if error.kind() != ErrorKind::AwsRefused {
        return Err(error);
    }
    let hint = error.hint().unwrap_or_default().to_owned();
    Err(error.with_hint(format!(
        "{hint} AWS also answers like this for a bucket of another account: then choose another name."
    )))
}

pub(super) async fn create(clients: &Arc<AwsClients>, key: &AccessKey, name: &str, region: &str) -> Result<()> {
    let root = root(clients, key, name, Some(region))?;
    let call = AwsCall::bucket("s3:CreateBucket", name, region);
    let mut request = clients.s3(key, region).create_bucket().bucket(name);
    // us-east-1 is the Region that is meant where none is named, and cannot be named.
    if region != "us-east-1" {
        let there = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region));
        request = request.create_bucket_configuration(there.build());
    }
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    let failure = match answer {
        Ok(_) => return Ok(()),
        Err(failure) => failure,
    };
    if failure.code.as_deref() != Some("BucketAlreadyOwnedByYou") {
        return Err(failure.into_setup_error(&call));
    }
    // The caller wants it in this Region, and it may lie in another. Who may not look is told by the steps that follow.
    match head(&root, name).await {
        Ok(Some(actual)) if actual != region => Err(Error::new(
            ErrorKind::Duplicate,
            format!("bucket \"{name}\" exists already, in the Region {actual} and not in {region}"),
        )
        .with_hint(format!("Use it with region => '{actual}', or choose another name."))),
        _ => Ok(()),
    }
}

pub(super) async fn secure(clients: &Arc<AwsClients>, key: &AccessKey, name: &str, region: &str) -> Result<()> {
    let root = root(clients, key, name, Some(region))?;
    let block = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .ignore_public_acls(true)
        .block_public_policy(true)
        .restrict_public_buckets(true)
        .build();
    let bucket = name.to_owned();
    root.ask(move |client| {
        let request = client.put_public_access_block().bucket(bucket.clone());
        let request = request.public_access_block_configuration(block.clone());
        async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
    })
    .await?
    .map_err(|failure| failure.into_setup_error(&AwsCall::bucket("s3:PutBucketPublicAccessBlock", name, region)))?;

    let (encryption, bucket) = (s3_keys()?, name.to_owned());
    root.ask(move |client| {
        let request = client.put_bucket_encryption().bucket(bucket.clone());
        let request = request.server_side_encryption_configuration(encryption.clone());
        async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
    })
    .await?
    .map_err(|failure| failure.into_setup_error(&AwsCall::bucket("s3:PutEncryptionConfiguration", name, region)))?;
    Ok(())
}

/// Encryption with the keys of S3, which the services that deliver need no permission for.
fn s3_keys() -> Result<ServerSideEncryptionConfiguration> {
    let incomplete = |_| Error::defect("the encryption of a bucket lacks a setting");
    let default = ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::Aes256);
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(default.build().map_err(incomplete)?);
    ServerSideEncryptionConfiguration::builder()
        .rules(rule.build())
        .build()
        .map_err(incomplete)
}

pub(super) async fn put_policy(
    clients: &Arc<AwsClients>,
    key: &AccessKey,
    name: &str,
    region: &str,
    policy: &str,
) -> Result<()> {
    let root = root(clients, key, name, Some(region))?;
    let (bucket, policy) = (name.to_owned(), policy.to_owned());
    root.ask(move |client| {
        let request = client.put_bucket_policy().bucket(bucket.clone()).policy(policy.clone());
        async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
    })
    .await?
    .map_err(|failure| failure.into_setup_error(&AwsCall::bucket("s3:PutBucketPolicy", name, region)))?;
    Ok(())
}

/// The bucket as reading exports knows it: it follows S3 to the Region where the bucket lies.
fn root(clients: &Arc<AwsClients>, key: &AccessKey, name: &str, region: Option<&str>) -> Result<BucketRoot> {
    let credential = Credential::Inline(key.clone());
    BucketRoot::new(
        Arc::clone(clients),
        Arc::default(),
        key.clone(),
        &credential,
        name,
        region,
        "",
    )
}
