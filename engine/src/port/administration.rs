//! What set-up needs of AWS beyond reading exports: which exports, buckets and accounts there are, and making what is missing.
//!
//! Values are AWS's own words (`PARQUET`, `OVERWRITE_REPORT`, `HEALTHY`), so that nothing is lost in between; what they mean
//! is decided by `account`. Reads are read to the last page. Writes are named so, and each is one change in AWS.
//!
//! Source of the shapes: the models of bcm-data-exports 2023-11-26, cur 2017-01-06, organizations 2016-11-28, iam 2010-05-08
//! and s3 2006-03-01.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AccessKey, Credential};
use crate::error::Result;
use crate::id::AccountId;

/// Which service delivers an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportService {
    /// AWS Data Exports: CUR 2.0, FOCUS and others.
    DataExports,
    /// The legacy Cost and Usage Report.
    Cur,
}

/// Where and how files are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    /// The account that owns it, where it is another one than the export's.
    pub bucket_owner: Option<AccountId>,
    /// The key prefix, as AWS has it; it may begin or end with slashes, or be empty.
    pub prefix: String,
    /// The bucket's Region.
    pub region: String,
    /// `PARQUET` or `TEXT_OR_CSV`; `Parquet` or `textORcsv` of a legacy report.
    pub format: String,
    /// `PARQUET` or `GZIP`; `Parquet`, `GZIP` or `ZIP` of a legacy report.
    pub compression: String,
    /// `OVERWRITE_REPORT` or `CREATE_NEW_REPORT`.
    pub overwrite: String,
    /// Data Exports: `CUSTOM`, or `ATHENA` or `REDSHIFT` for files that come with set-up for these. Legacy: empty.
    #[serde(default)]
    pub output_type: String,
    /// Legacy: what AWS adds for other services, of `ATHENA`, `REDSHIFT` and `QUICKSIGHT`; `ATHENA` also changes the folders
    /// that files are delivered to. Data Exports: empty.
    #[serde(default)]
    pub artifacts: Vec<String>,
}

/// What an export is to contain, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportDefinition {
    /// Who delivers it.
    pub service: ExportService,
    /// Its name.
    pub name: String,
    /// Words for people; empty for none.
    pub description: String,
    /// Data Exports: the query. Legacy: empty.
    pub query: String,
    /// Data Exports: the table of the query and its configuration, such as `INCLUDE_RESOURCES` to `TRUE`. Legacy: the table
    /// `COST_AND_USAGE_REPORT` with the same keys for its schema elements and time unit.
    pub table_configurations: BTreeMap<String, BTreeMap<String, String>>,
    /// Where and how files are delivered.
    pub destination: Destination,
}

/// How an export fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHealth {
    /// `HEALTHY` or `UNHEALTHY`; `SUCCESS`, `ERROR_PERMISSIONS` or `ERROR_NO_BUCKET` of a legacy report.
    pub status: Option<String>,
    /// Why it is not healthy, for example `INSUFFICIENT_PERMISSION`.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// When it was delivered last.
    pub last_delivery: Option<DateTime<Utc>>,
}

/// An export that an account has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentExport {
    /// `arn:aws:bcm-data-exports:us-east-1:<account>:export/<name>-<uuid>`; of a legacy report, which has none in answers,
    /// `arn:aws:cur:us-east-1:<account>:definition/<name>`.
    pub arn: String,
    /// What it contains and where it goes.
    pub definition: ExportDefinition,
    /// How it fares.
    pub health: ExportHealth,
}

/// A run of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// `QUERY_QUEUED`, `QUERY_IN_PROCESS`, `DELIVERY_SUCCESS`, `DELIVERY_FAILURE` and so on.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// A bucket that the credential may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentBucket {
    /// Its Region.
    pub region: String,
    /// Its policy, as JSON, if it has one.
    pub policy: Option<String>,
    /// How it encrypts new objects.
    pub encryption: BucketEncryption,
}

/// How a bucket encrypts new objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketEncryption {
    /// With keys of S3, whose use needs no permission (SSE-S3).
    S3,
    /// With a key of AWS KMS (SSE-KMS, DSSE-KMS): readers need `kms:Decrypt` on it, and services that deliver
    /// `kms:GenerateDataKey`.
    Kms {
        /// The key's ARN, id or alias as the bucket names it; `None` for the key `aws/s3` that AWS manages, which no other
        /// account can be let use.
        key: Option<String>,
    },
    /// The credential may not see it (`s3:GetEncryptionConfiguration`).
    Unknown,
}

/// The organization of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// `o-...`
    pub id: String,
    /// The account that pays.
    pub management_account: AccountId,
}

/// An account of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationAccount {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// `ACTIVE`, `SUSPENDED`, `CLOSED` and so on.
    pub state: String,
}

/// What AWS's policy simulator says of one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// The action, `s3:GetObject`.
    pub action: String,
    /// The resource's ARN, or `*`.
    pub resource: String,
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub decision: String,
}

/// Looks at, and makes, what set-up needs in AWS.
///
/// All methods are bounded by the AWS call timeout for each request. Errors: `AwsRefused` naming the missing action and
/// resource, `Missing` for what does not exist, `BadCredentials`, `AwsUnreachable`, `Duplicate` for names that are taken,
/// `Limit` for AWS's quotas,
/// `BadValue` for what AWS finds invalid, with its reason. Reads are safe to repeat; each write says what repeating does.
#[async_trait]
pub trait AwsAdministration: Send + Sync {
    /// All exports of Data Exports, each with its definition: `ListExports`, then `GetExport` for each.
    async fn list_exports(&self, credential: &Credential) -> Result<Vec<PresentExport>>;

    /// All legacy reports: `DescribeReportDefinitions` in us-east-1, the only Region that serves it.
    async fn list_reports(&self, credential: &Credential) -> Result<Vec<PresentExport>>;

    /// The newest executions of an export, newest first: `ListExecutions`, the first page.
    async fn list_executions(&self, credential: &Credential, export_arn: &str) -> Result<Vec<Execution>>;

    /// The columns that a table has under a configuration, in order: `GetTable`.
    async fn table_columns(
        &self,
        credential: &Credential,
        table: &str,
        configuration: &BTreeMap<String, String>,
    ) -> Result<Vec<String>>;

    /// Creates an export, `CreateExport`, or a legacy report, `PutReportDefinition`. Returns its ARN. `Duplicate` if the name
    /// is taken.
    async fn create_export(&self, credential: &Credential, definition: &ExportDefinition) -> Result<String>;

    /// Replaces the definition of an export, `UpdateExport`, or of a legacy report, `ModifyReportDefinition`. AWS keeps the
    /// name, the table, the billing view, and `OVERWRITE_REPORT`; `BadValue` for a definition that changes these, `Missing` for
    /// an export that does not exist. Repeating changes nothing.
    async fn update_export(
        &self,
        credential: &Credential,
        export_arn: &str,
        definition: &ExportDefinition,
    ) -> Result<()>;

    /// Deletes an export, `DeleteExport`, or a legacy report, `DeleteReportDefinition`. What is delivered stays in the bucket.
    /// Deleting one that is gone succeeds.
    async fn delete_export(&self, credential: &Credential, export_arn: &str) -> Result<()>;

    /// The bucket, or `None` if there is none of that name. `HeadBucket`, `GetBucketPolicy`, `GetBucketEncryption`.
    async fn bucket(&self, credential: &Credential, name: &str) -> Result<Option<PresentBucket>>;

    /// Creates a bucket: `CreateBucket`. Repeating succeeds if the caller's account owns it there; `Duplicate` if another
    /// account owns it, or the caller's in another Region.
    async fn create_bucket(&self, credential: &Credential, name: &str, region: &str) -> Result<()>;

    /// Blocks public access (`PutPublicAccessBlock`, all four settings) and encrypts with S3's keys (`PutBucketEncryption`,
    /// `AES256`). Repeating changes nothing.
    async fn secure_bucket(&self, credential: &Credential, name: &str, region: &str) -> Result<()>;

    /// Replaces the bucket's policy: `PutBucketPolicy`. The caller merges.
    async fn put_bucket_policy(&self, credential: &Credential, name: &str, region: &str, policy: &str) -> Result<()>;

    /// The organization of the caller's account; `None` for an account without one: `DescribeOrganization`.
    async fn organization(&self, credential: &Credential) -> Result<Option<Organization>>;

    /// The accounts of the organization: `ListAccounts`, all pages. `Missing` for an account without an organization,
    /// `AwsRefused` for a member that does not manage it.
    async fn organization_accounts(&self, credential: &Credential) -> Result<Vec<OrganizationAccount>>;

    /// What IAM's simulator says of the actions on the resource: `SimulatePrincipalPolicy` for the user or role `arn`; of a
    /// role's session, for the role. Bucket policies and condition keys do not count. `BadValue` for a root user, which
    /// has no policies.
    async fn simulate(
        &self,
        credential: &Credential,
        arn: &str,
        actions: &[&str],
        resource: &str,
    ) -> Result<Vec<Simulated>>;

    /// Creates a managed policy: `CreatePolicy`. Returns its ARN. If the account has one of that name its ARN is returned
    /// and nothing changes, whatever its document says. `Limit` for more than 6,144 characters.
    async fn create_policy(&self, credential: &Credential, name: &str, document: &str) -> Result<String>;

    /// The document of a managed policy as JSON, in the version that is in force: `GetPolicy`, `GetPolicyVersion`. `Missing`
    /// if there is no such policy.
    async fn policy_document(&self, credential: &Credential, policy_arn: &str) -> Result<String>;

    /// Creates a user: `CreateUser`. Repeating changes nothing.
    async fn create_user(&self, credential: &Credential, name: &str) -> Result<()>;

    /// Attaches a policy to a user: `AttachUserPolicy`. Repeating changes nothing.
    async fn attach_user_policy(&self, credential: &Credential, user: &str, policy_arn: &str) -> Result<()>;

    /// Creates an access key of a user: `CreateAccessKey`. Repeating makes another, so it is asked once only, even where no
    /// answer comes; `Limit` for more than two. AWS may need some seconds until the key works.
    async fn create_access_key(&self, credential: &Credential, user: &str) -> Result<AccessKey>;
}
