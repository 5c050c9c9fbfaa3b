//! Where the cases run: an account with an administrator, a member account with one, and an organization around them.

#![allow(clippy::disallowed_methods, reason = "the endpoint is named by the environment")]

use std::env;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use farthing_engine::port::{AccountConnector, AwsAdministration, Credential};
use farthing_sandbox::aws::{Sandbox, SandboxSpec};
use object_store::memory::InMemory;
use tempfile::TempDir;

use super::super::access_key;
use crate::aws::AwsClients;
use crate::{AwsAdmin, AwsConnector, AwsExportSource, AwsSettings, KeyFileVault};

pub(super) const ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const PAYER: &str = "012345678901";
/// More than a page of ListAccounts holds.
const MEMBERS: usize = 24;

/// An AWS with two accounts.
pub(super) struct Ground {
    /// Who implements it: `sandbox`, or what the environment says.
    pub(super) implementation: String,
    pub(super) connector: AwsConnector,
    pub(super) source: AwsExportSource,
    pub(super) admin: AwsAdmin,
    /// May do everything in the management account.
    pub(super) owner: Credential,
    pub(super) account: String,
    /// May do everything in a member account.
    pub(super) other: Credential,
    pub(super) other_account: String,
    sandbox: Option<Sandbox>,
    clients: AwsClients,
    _keys: TempDir,
}

fn variable(name: &str) -> String {
    let name = format!("FARTHING_CONFORMANCE_{name}");
    env::var(&name).unwrap_or_else(|_| panic!("{name} is not set; tests/emulators/run sets it"))
}

impl Ground {
    /// The AWS of `FARTHING_CONFORMANCE_ENDPOINT`, or a sandbox of its own.
    pub(super) async fn open() -> Self {
        match env::var("FARTHING_CONFORMANCE_ENDPOINT") {
            Ok(endpoint) => {
                let keys = ["", "OTHER_"].map(|whose| {
                    let id = variable(&format!("{whose}ACCESS_KEY_ID"));
                    Credential::Inline(access_key(&id, &variable(&format!("{whose}SECRET_ACCESS_KEY"))))
                });
                Self::new(variable("IMPLEMENTATION"), &endpoint, keys, None).await
            }
            Err(_) => {
                let sandbox = Sandbox::start(SandboxSpec::in_memory()).await.unwrap();
                sandbox.create_account(PAYER, "payer").unwrap();
                let members: Vec<String> = (0..MEMBERS).map(|number| format!("2000000000{number:02}")).collect();
                for (number, id) in members.iter().enumerate() {
                    sandbox.create_account(id, &format!("member-{number}")).unwrap();
                }
                let ids: Vec<&str> = members.iter().map(String::as_str).collect();
                sandbox.create_organization(PAYER, &ids).unwrap();
                let keys = [PAYER, ids[0]].map(|account| {
                    sandbox.create_user(account, "admin").unwrap();
                    sandbox.put_user_policy(account, "admin", "all", ALL).unwrap();
                    let key = sandbox.create_access_key(account, "admin").unwrap();
                    Credential::Inline(access_key(&key.access_key_id, &key.secret_access_key))
                });
                Self::new("sandbox".to_owned(), &sandbox.endpoint_text(), keys, Some(sandbox)).await
            }
        }
    }

    async fn new(implementation: String, endpoint: &str, keys: [Credential; 2], sandbox: Option<Sandbox>) -> Self {
        let folder = TempDir::new().unwrap();
        let vault = KeyFileVault::open(Arc::new(InMemory::new()), &folder.path().join("key"))
            .await
            .unwrap();
        let vault = Arc::new(vault);
        let settings = AwsSettings {
            call_timeout: Duration::from_secs(20),
            max_attempts: 2,
            ..AwsSettings::new(Some(endpoint.parse().unwrap()))
        };
        let connector = AwsConnector::try_new(settings.clone(), Arc::clone(&vault)).unwrap();
        let [owner, other] = keys;
        let account = connector.identify(&owner).await.unwrap().account.to_string();
        let other_account = connector.identify(&other).await.unwrap().account.to_string();
        Self {
            source: connector.export_source(),
            admin: connector.administration(),
            clients: AwsClients::try_new(settings, vault).unwrap(),
            implementation,
            connector,
            owner,
            account,
            other,
            other_account,
            sandbox,
            _keys: folder,
        }
    }

    /// How many accounts the organization has besides the management account, at least.
    pub(super) fn members(&self) -> usize {
        MEMBERS
    }

    pub(super) async fn put(&self, bucket: &str, key: &str, body: &str) {
        let Credential::Inline(owner) = &self.owner else {
            unreachable!()
        };
        let body = ByteStream::from(body.as_bytes().to_vec());
        let put = self
            .clients
            .s3(owner, "us-east-1")
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(body);
        put.send().await.unwrap();
    }

    /// A bucket of the management account.
    pub(super) async fn bucket(&self, name: &str) {
        self.admin.create_bucket(&self.owner, name, "us-east-1").await.unwrap();
    }

    /// Manifest and data of a month at `p/e` in a bucket.
    pub(super) async fn deliver(&self, bucket: &str, month: &str, run: &str, rows: &str) {
        let data = super::super::data_key(month);
        self.put(bucket, &data, rows).await;
        let manifest = format!(
            "{{\"executionId\": \"{run}\", \"dataFiles\": [\"s3://{bucket}/{data}\"], \
             \"columns\": [{{\"name\": \"c\", \"type\": \"string\"}}]}}"
        );
        self.put(bucket, &super::super::manifest_key(month), &manifest).await;
    }

    /// A user of the management account with a managed policy, and its key, all through the connector.
    pub(super) async fn user(&self, name: &str, policy: &str) -> Credential {
        // Without white space: moto signs `+` where AWS, and our client, sign `%20`.
        let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
        let policy = policy.to_string();
        let arn = self.admin.create_policy(&self.owner, name, &policy).await.unwrap();
        self.admin.create_user(&self.owner, name).await.unwrap();
        self.admin.attach_user_policy(&self.owner, name, &arn).await.unwrap();
        Credential::Inline(self.admin.create_access_key(&self.owner, name).await.unwrap())
    }

    /// A role of the member account that may do everything. The sandbox has no API for it; others have IAM's.
    pub(super) async fn role(&self, name: &str, trust: &str) -> String {
        match &self.sandbox {
            Some(sandbox) => {
                sandbox.create_role(&self.other_account, name, trust).unwrap();
                sandbox.put_role_policy(&self.other_account, name, "all", ALL).unwrap();
            }
            None => {
                let Credential::Inline(other) = &self.other else {
                    unreachable!()
                };
                let iam = self.clients.iam(other);
                let role = iam.create_role().role_name(name).assume_role_policy_document(trust);
                role.send().await.unwrap();
                let policy = iam
                    .put_role_policy()
                    .role_name(name)
                    .policy_name("all")
                    .policy_document(ALL);
                policy.send().await.unwrap();
            }
        }
        format!("arn:aws:iam::{}:role/{name}", self.other_account)
    }

    /// Makes a key of a user of the management account inactive.
    pub(super) async fn deactivate(&self, user: &str, key: &Credential) {
        let Credential::Inline(key) = key else { unreachable!() };
        match &self.sandbox {
            Some(sandbox) => sandbox.deactivate_access_key(&key.access_key_id).unwrap(),
            None => {
                let Credential::Inline(owner) = &self.owner else {
                    unreachable!()
                };
                let update = self.clients.iam(owner).update_access_key().user_name(user);
                let update = update.access_key_id(&key.access_key_id);
                let update = update.status(aws_sdk_iam::types::StatusType::Inactive);
                update.send().await.unwrap();
            }
        }
    }
}
