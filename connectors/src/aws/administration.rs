//! Set-up in AWS: the engine's port [`AwsAdministration`] over the AWS SDK, one file for each service.

mod bucket;
mod exports;
mod iam;
mod organization;
mod reports;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use farthing_engine::error::Result;
use farthing_engine::port::{
    AccessKey, AwsAdministration, Credential, Execution, ExportDefinition, ExportService, Organization,
    OrganizationAccount, PresentBucket, PresentExport, Simulated,
};

use super::AwsClients;

/// Pages of one answer that are read before something must be wrong.
const MAX_PAGES: usize = 10_000;

/// Looks at, and makes, what set-up needs in AWS.
pub struct AwsAdmin {
    clients: Arc<AwsClients>,
}

impl AwsAdmin {
    pub(crate) fn new(clients: Arc<AwsClients>) -> Self {
        Self { clients }
    }
}

impl std::fmt::Debug for AwsAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsAdmin")
            .field("settings", &self.clients.settings)
            .finish_non_exhaustive()
    }
}

/// The service that the ARN of an export is of.
fn service_of(export_arn: &str) -> ExportService {
    if export_arn.split(':').nth(2) == Some("cur") {
        ExportService::Cur
    } else {
        ExportService::DataExports
    }
}

#[async_trait]
impl AwsAdministration for AwsAdmin {
    async fn list_exports(&self, credential: &Credential) -> Result<Vec<PresentExport>> {
        let key = self.clients.access_key(credential).await?;
        exports::list(&self.clients, &key).await
    }

    async fn list_reports(&self, credential: &Credential) -> Result<Vec<PresentExport>> {
        let key = self.clients.access_key(credential).await?;
        reports::list(&self.clients, &key).await
    }

    async fn list_executions(&self, credential: &Credential, export_arn: &str) -> Result<Vec<Execution>> {
        let key = self.clients.access_key(credential).await?;
        exports::executions(&self.clients, &key, export_arn).await
    }

    async fn table_columns(
        &self,
        credential: &Credential,
        table: &str,
        configuration: &BTreeMap<String, String>,
    ) -> Result<Vec<String>> {
        let key = self.clients.access_key(credential).await?;
        exports::table_columns(&self.clients, &key, table, configuration).await
    }

    async fn create_export(&self, credential: &Credential, definition: &ExportDefinition) -> Result<String> {
        let key = self.clients.access_key(credential).await?;
        match definition.service {
            ExportService::DataExports => exports::create(&self.clients, &key, definition).await,
            ExportService::Cur => reports::create(&self.clients, &key, definition).await,
        }
    }

    async fn update_export(
        &self,
        credential: &Credential,
        export_arn: &str,
        definition: &ExportDefinition,
    ) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        match service_of(export_arn) {
            ExportService::DataExports => exports::update(&self.clients, &key, export_arn, definition).await,
            ExportService::Cur => reports::update(&self.clients, &key, export_arn, definition).await,
        }
    }

    async fn delete_export(&self, credential: &Credential, export_arn: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        match service_of(export_arn) {
            ExportService::DataExports => exports::delete(&self.clients, &key, export_arn).await,
            ExportService::Cur => reports::delete(&self.clients, &key, export_arn).await,
        }
    }

    async fn bucket(&self, credential: &Credential, name: &str) -> Result<Option<PresentBucket>> {
        let key = self.clients.access_key(credential).await?;
        bucket::look(&self.clients, &key, name).await
    }

    async fn create_bucket(&self, credential: &Credential, name: &str, region: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        bucket::create(&self.clients, &key, name, region).await
    }

    async fn secure_bucket(&self, credential: &Credential, name: &str, region: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        bucket::secure(&self.clients, &key, name, region).await
    }

    async fn put_bucket_policy(&self, credential: &Credential, name: &str, region: &str, policy: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        bucket::put_policy(&self.clients, &key, name, region, policy).await
    }

    async fn organization(&self, credential: &Credential) -> Result<Option<Organization>> {
        let key = self.clients.access_key(credential).await?;
        organization::describe(&self.clients, &key).await
    }

    async fn organization_accounts(&self, credential: &Credential) -> Result<Vec<OrganizationAccount>> {
        let key = self.clients.access_key(credential).await?;
        organization::accounts(&self.clients, &key).await
    }

    async fn simulate(
        &self,
        credential: &Credential,
        arn: &str,
        actions: &[&str],
        resource: &str,
    ) -> Result<Vec<Simulated>> {
        let key = self.clients.access_key(credential).await?;
        iam::simulate(&self.clients, &key, arn, actions, resource).await
    }

    async fn create_policy(&self, credential: &Credential, name: &str, document: &str) -> Result<String> {
        let key = self.clients.access_key(credential).await?;
        iam::create_policy(&self.clients, &key, name, document).await
    }

    async fn policy_document(&self, credential: &Credential, policy_arn: &str) -> Result<String> {
        let key = self.clients.access_key(credential).await?;
        iam::policy_document(&self.clients, &key, policy_arn).await
    }

    async fn create_user(&self, credential: &Credential, name: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        iam::create_user(&self.clients, &key, name).await
    }

    async fn attach_user_policy(&self, credential: &Credential, user: &str, policy_arn: &str) -> Result<()> {
        let key = self.clients.access_key(credential).await?;
        iam::attach_user_policy(&self.clients, &key, user, policy_arn).await
    }

    async fn create_access_key(&self, credential: &Credential, user: &str) -> Result<AccessKey> {
        let key = self.clients.access_key(credential).await?;
        iam::create_access_key(&self.clients, &key, user).await
    }
}
