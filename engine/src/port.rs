//! What the engine needs from outside: traits that `connectors` implements and `server` injects.
//!
//! Each method states its deadline, whether repeating it is safe, and its errors. None returns an AWS type.

mod administration;
mod ambient;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{AccountId, BillingPeriod};
use crate::secret::SecretString;

pub use administration::{
    AwsAdministration, BucketEncryption, Destination, Execution, ExportDefinition, ExportHealth, ExportService,
    Organization, OrganizationAccount, PresentBucket, PresentExport, Simulated,
};
pub use ambient::Ambient;

/// An AWS access key as it comes from a user. Holds secrets, so it is never stored or printed.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// `AKIA...` or `ASIA...`; not secret, and still shown only with its middle left out.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// Where a stored secret lies in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// The secret's name: `aws/<account id>` for the key of a connection, `named/<name>` for one of `put_secret`.
    pub name: String,
    /// Counts up with each new value.
    pub version: u32,
}

/// A role that is assumed with STS `AssumeRole`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AssumedRole {
    /// `arn:aws:iam::<account>:role/<name>`.
    pub arn: String,
    /// What the role's trust policy demands as `sts:ExternalId`: made by Farthing, so that nobody can point it at a role
    /// that trusts somebody else.
    pub external_id: String,
}

/// How to sign in to AWS for one connection.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Given in the call, not stored yet.
    Inline(AccessKey),
    /// Stored in the vault.
    Stored(SecretRef),
    /// The server's machine has it: looked up there for each use, kept nowhere.
    Ambient(Ambient),
    /// A role that another credential assumes.
    Assumed {
        /// The role.
        role: AssumedRole,
        /// Who assumes it: a key that is stored or given, or one of the server's machine.
        base: Box<Credential>,
    },
    /// Nothing to sign in to: a folder on this machine.
    Absent,
}

impl Credential {
    /// The role that is assumed, if there is one.
    pub fn role(&self) -> Option<&AssumedRole> {
        match self {
            Credential::Assumed { role, .. } => Some(role),
            _ => None,
        }
    }
}

/// Who AWS says that a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account that owns the user or role.
    pub account: AccountId,
    /// The ARN of the user or role.
    pub arn: String,
}

/// How deliveries lie below an [`ExportLocation`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryLayout {
    /// AWS Data Exports: `data/` and `metadata/`, each with a folder for every partition.
    #[default]
    DataExports,
    /// The legacy Cost and Usage Report: a folder `YYYYMMDD-YYYYMMDD/` for every period, and with Athena integration the data
    /// in `<report>/year=YYYY/month=M/`.
    LegacyReport,
    /// A legacy report whose folders of periods lie directly below the prefix, in no folder of its own.
    LegacyReportInPrefix,
    /// Data files without manifests, in a folder for every period: a copy of the data alone. Nothing proves that the files
    /// of a folder are one whole delivery.
    FilesAlone,
}

impl DeliveryLayout {
    fn is_data_exports(&self) -> bool {
        *self == Self::DataExports
    }
}

/// Where an export is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExportLocation {
    /// The bucket or the folder that the keys below are relative to.
    pub root: LocationRoot,
    /// The key prefix between the root and the export name, as AWS keeps it; may be empty.
    pub prefix: String,
    /// The export's name in AWS.
    pub export_name: String,
    /// How deliveries lie below it. Until one was seen, that of Data Exports is assumed.
    #[serde(default, skip_serializing_if = "DeliveryLayout::is_data_exports")]
    pub layout: DeliveryLayout,
}

/// The bucket or folder of an [`ExportLocation`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationRoot {
    /// An S3 bucket.
    Bucket {
        /// The bucket's name.
        name: String,
        /// Its Region, once known.
        region: Option<String>,
    },
    /// A folder on this machine, absolute.
    Folder(PathBuf),
}

impl ExportLocation {
    /// The key below which everything of the export lies: prefix and export name, or the prefix alone where the layout has
    /// no folder of the export's name. Empty for the root itself.
    pub fn base_key(&self) -> String {
        match (self.layout, self.prefix.is_empty()) {
            (DeliveryLayout::LegacyReportInPrefix, _) => self.prefix.clone(),
            (_, true) => self.export_name.clone(),
            (_, false) => format!("{}/{}", self.prefix, self.export_name),
        }
    }

    /// `name` below [`ExportLocation::base_key`], without a slash at the end of either.
    pub fn key_below(&self, name: &str) -> String {
        match self.base_key() {
            base if base.is_empty() => name.to_owned(),
            base => format!("{base}/{name}"),
        }
    }

    /// Notes the bucket's Region.
    pub(crate) fn set_region(&mut self, found: &str) {
        if let LocationRoot::Bucket { region, .. } = &mut self.root {
            *region = Some(found.to_owned());
        }
    }

    /// The location as a URI, as users write it.
    pub fn uri(&self) -> String {
        match &self.root {
            LocationRoot::Bucket { name, .. } => format!("s3://{name}/{}", self.base_key()),
            LocationRoot::Folder(path) => format!("file://{}/{}", path.display(), self.base_key()),
        }
    }
}

/// What a look at a location found, before anything is connected.
#[derive(Debug, Clone)]
pub struct LocationReport {
    /// The bucket's Region where AWS names it.
    pub region: Option<String>,
    /// How the deliveries lie that were found; that of the location where there are none.
    pub layout: DeliveryLayout,
    /// The periods that have a manifest, in ascending order.
    pub periods: Vec<BillingPeriod>,
    /// Where there is none: the folders one level up, so that a wrong prefix can be told from an early connection.
    pub folders_nearby: Vec<String>,
}

/// A column as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestColumn {
    /// The column's name in the files.
    pub name: String,
    /// The type as the manifest words it: `string`, `double`, `timestamp`, `map` ...; empty where it names none.
    pub r#type: String,
}

/// What a manifest says, whatever its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// AWS's id of the run that delivered it.
    pub execution_id: Option<String>,
    /// Keys of the data files, relative to the root of the location.
    pub files: Vec<String>,
    /// The bucket that the manifest names where that is not the connected one (a replicated bucket).
    pub foreign_bucket: Option<String>,
    /// The columns in delivery order.
    pub columns: Vec<ManifestColumn>,
    /// Whether the files were found by listing, because there is no manifest: then nothing proves that they are one whole
    /// delivery.
    pub listed: bool,
}

/// A manifest and the object it came from.
#[derive(Debug, Clone)]
pub struct DeliveredManifest {
    /// The content.
    pub manifest: Manifest,
    /// The manifest's key.
    pub key: String,
    /// The manifest's ETag.
    pub e_tag: String,
    /// When AWS wrote it, to the second.
    pub last_modified: DateTime<Utc>,
    /// The ARN of the KMS key that it is encrypted with, and that reading it took `kms:Decrypt` on.
    pub kms_key: Option<String>,
}

/// A manifest as a listing names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedManifest {
    /// Its key.
    pub key: String,
    /// Its ETag.
    pub e_tag: String,
}

/// The answer to a conditional read of a manifest.
#[derive(Debug, Clone)]
pub enum ManifestAnswer {
    /// Still the one whose ETag was given.
    Unchanged,
    /// Not delivered (any more).
    Absent,
    /// A new one.
    Found(Box<DeliveredManifest>),
}

/// Reads exports where they are delivered. Never writes.
#[async_trait]
pub trait ExportSource: Send + Sync {
    /// Looks at a location: is the root reachable, which periods are delivered. Safe to repeat. Bounded by the AWS call
    /// timeout for each request and by the page limit. Errors: `AwsRefused` naming the missing action and resource,
    /// `Missing` for a bucket or folder that does not exist, `AwsUnreachable`, `BadCredentials`.
    async fn probe(&self, location: &ExportLocation, credential: &Credential) -> Result<LocationReport>;

    /// The manifest of one period, unless it still has `known_e_tag`. One request. Safe to repeat. Errors as `probe`, and
    /// `BrokenDelivery` for a manifest that cannot be understood.
    async fn fetch_manifest(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        period: BillingPeriod,
        known_e_tag: Option<&str>,
    ) -> Result<ManifestAnswer>;

    /// The newest manifest of every period, by listing alone, in at most `pages` requests; `None` where that does not
    /// suffice, or where a listing tells no ETags. Safe to repeat. Errors as `probe`.
    async fn list_manifests(
        &self,
        location: &ExportLocation,
        credential: &Credential,
        pages: usize,
    ) -> Result<Option<BTreeMap<BillingPeriod, ListedManifest>>>;

    /// The keys of the manifests of single executions of one period, the newest execution first, where AWS gives each a folder
    /// of its own; none elsewhere. At most a thousand. One listing for each page of a thousand. Safe to repeat. Errors as
    /// `probe`. A source that keeps no executions needs not implement it.
    async fn list_executions(
        &self,
        _location: &ExportLocation,
        _credential: &Credential,
        _period: BillingPeriod,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The manifest of an execution at a key of [`Self::list_executions`]; `None` if none is there. One request. Safe to
    /// repeat. Errors as `fetch_manifest`.
    async fn fetch_execution(
        &self,
        _location: &ExportLocation,
        _credential: &Credential,
        _key: &str,
    ) -> Result<Option<Box<DeliveredManifest>>> {
        Ok(None)
    }

    /// The root of the location as a read-only object store. No request is made.
    async fn open(&self, location: &ExportLocation, credential: &Credential) -> Result<Arc<dyn ObjectStore>>;
}

/// Signs in to AWS accounts.
#[async_trait]
pub trait AccountConnector: Send + Sync {
    /// Who the credential is: one STS `GetCallerIdentity`, which AWS allows to every valid key. Safe to repeat. Errors:
    /// `BadCredentials` saying whether the key is unknown, the secret wrong or the token expired; `AwsUnreachable`.
    async fn identify(&self, credential: &Credential) -> Result<Identity>;

    /// Reads an access key as people have it: the console's CSV file, JSON with `access_key_id` and `secret_access_key`, or
    /// `id:secret`. No request is made. Errors: `BadCredentials`, never with the text.
    fn read_access_key(&self, text: &SecretString) -> Result<AccessKey>;
}

/// Keeps secrets, encrypted at rest.
#[async_trait]
pub trait SecretVault: Send + Sync {
    /// Stores a new version of the secret `name`, durable on return. Repeating stores another version.
    async fn put(&self, name: &str, secret: &SecretString) -> Result<SecretRef>;

    /// Stores an access key as a new version of the secret `name`, durable on return.
    async fn put_access_key(&self, name: &str, key: &AccessKey) -> Result<SecretRef>;

    /// The newest version of the secret `name`. `Missing` if there is none.
    async fn newest(&self, name: &str) -> Result<SecretRef>;

    /// Removes a version. Removing one that is gone succeeds.
    async fn retire(&self, secret: &SecretRef) -> Result<()>;

    /// Names of the secrets and their newest version, without values, in order of name.
    async fn list(&self) -> Result<Vec<SecretRef>>;
}

/// Time. Tests turn it by hand.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;

    /// Returns after `duration`.
    async fn sleep(&self, duration: std::time::Duration);
}
