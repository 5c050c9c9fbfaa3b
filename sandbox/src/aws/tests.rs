//! Tests over real sockets, with the clients that Farthing uses and with requests signed by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

/// The configuration of a client of the AWS SDK that is pointed at a sandbox, as a builder.
macro_rules! sdk_config {
    ($sdk:ident, $sandbox:expr, $key:expr, $region:expr) => {
        $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::v2026_01_12())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url($sandbox.endpoint_text())
            .region($sdk::config::Region::new($region))
            .credentials_provider($crate::aws::tests::credentials($key))
    };
}

mod billing;
mod buckets;
mod faults;
mod guide;
mod iam;
mod objects;
mod organizations;
mod raw;
mod refusals;
mod restart;
mod sdk;
mod sts;

use std::time::Duration;

use aws_credential_types::Credentials;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, RetryConfig};

use super::{AccessKey, Sandbox, SandboxSpec};

fn credentials(key: &AccessKey) -> Credentials {
    Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "test")
}

pub(super) const PAYER: &str = "111122223333";
pub(super) const LINKED: &str = "444455556666";
pub(super) const BUCKET: &str = "billing-exports";

/// Everything in one bucket.
pub(super) const FULL_ACCESS: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::billing-exports","arn:aws:s3:::billing-exports/*"]}]}"#;

/// Two accounts; in the first a bucket and a user who may do everything with it.
pub(super) struct Organisation {
    pub(super) sandbox: Sandbox,
    pub(super) admin: AccessKey,
}

impl Organisation {
    pub(super) async fn start() -> Self {
        Self::with(SandboxSpec::in_memory()).await
    }

    pub(super) async fn with(spec: SandboxSpec) -> Self {
        let sandbox = Sandbox::start(spec).await.unwrap();
        sandbox.create_account(PAYER, "payer").unwrap();
        sandbox.create_account(LINKED, "linked").unwrap();
        sandbox.create_bucket(PAYER, BUCKET, "us-east-1").unwrap();
        let admin = user(&sandbox, PAYER, "admin", Some(FULL_ACCESS));
        Self { sandbox, admin }
    }

    pub(super) fn store(&self) -> AmazonS3 {
        self.store_with(&self.admin)
    }

    pub(super) fn store_with(&self, key: &AccessKey) -> AmazonS3 {
        self.builder(key).build().unwrap()
    }

    pub(super) fn builder(&self, key: &AccessKey) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_endpoint(self.sandbox.endpoint_text())
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(BUCKET)
            .with_access_key_id(&key.access_key_id)
            .with_secret_access_key(&key.secret_access_key)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(5),
                    max_backoff: Duration::from_millis(20),
                    base: 2.0,
                },
                max_retries: 3,
                retry_timeout: Duration::from_secs(20),
            })
    }
}

/// A user, with one inline policy if given, and a pair of keys.
pub(super) fn user(sandbox: &Sandbox, account: &str, name: &str, policy: Option<&str>) -> AccessKey {
    sandbox.create_user(account, name).unwrap();
    if let Some(policy) = policy {
        sandbox.put_user_policy(account, name, "inline", policy).unwrap();
    }
    sandbox.create_access_key(account, name).unwrap()
}

#[tokio::test]
async fn listens_on_loopback_only() {
    let spec = SandboxSpec {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..SandboxSpec::in_memory()
    };
    let refused = Sandbox::start(spec).await.unwrap_err().to_string();
    assert!(refused.contains("loopback only"), "{refused}");
}

#[tokio::test]
async fn shutdown_closes_the_endpoint() {
    let organisation = Organisation::start().await;
    let address = organisation.sandbox.endpoint().socket_addrs(|| None).unwrap()[0];
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    organisation.sandbox.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let organisation = Organisation::start().await;
    let shown = format!("{:?} {:?}", organisation.admin, organisation.sandbox);
    assert!(!shown.contains(&organisation.admin.secret_access_key));
    assert!(shown.contains(&organisation.admin.access_key_id));
}

#[tokio::test]
async fn setting_up_what_cannot_be_is_refused() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let text = |result: Result<(), super::SandboxError>| result.unwrap_err().to_string();
    assert!(text(sandbox.create_account("12", "short")).contains("twelve digits"));
    assert!(text(sandbox.create_account(PAYER, "again")).contains("already exists"));
    assert!(text(sandbox.create_user("999999999999", "nobody")).contains("account 999999999999 does not exist"));
    assert!(text(sandbox.create_bucket(PAYER, "Bad_Name", "us-east-1")).contains("lower case"));
    assert!(text(sandbox.put_user_policy(PAYER, "admin", "p", "{")).contains("invalid Json"));
    assert!(text(sandbox.put_bucket_policy("none", "{}")).contains("bucket none does not exist"));
    // The same bucket again is what a later start does.
    sandbox.create_bucket(PAYER, BUCKET, "us-east-1").unwrap();
    assert!(text(sandbox.create_bucket(LINKED, BUCKET, "us-east-1")).contains("already exists"));
}
