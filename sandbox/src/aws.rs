//! AWS on loopback.
//!
//! [`Sandbox::start`] opens one endpoint that speaks S3, STS, IAM, Organizations, AWS Data Exports and legacy Cost and Usage
//! Reports (further services: see `control`) to any AWS client: signatures are checked, IAM and bucket policies are
//! evaluated per call, errors carry AWS's codes in AWS's shapes.
//! A test then turns the clock, counts requests and switches faults on.
//!
//! ```no_run
//! # use farthing_sandbox::aws::{Sandbox, SandboxError, SandboxSpec};
//! # async fn example() -> Result<(), SandboxError> {
//! let sandbox = Sandbox::start(SandboxSpec::in_memory()).await?;
//! sandbox.create_account("111122223333", "payer")?;
//! sandbox.create_user("111122223333", "reader")?;
//! let key = sandbox.create_access_key("111122223333", "reader")?;
//! sandbox.create_bucket("111122223333", "billing", "us-east-1")?;
//! let endpoint = sandbox.endpoint();
//! # let _ = (key, endpoint);
//! # Ok(())
//! # }
//! ```

mod bucket;
mod clock;
mod cloud;
mod control;
mod cur;
mod data_exports;
mod delivery_runs;
mod fault;
mod iam;
mod identity;
mod log;
mod multipart;
mod object;
mod organizations;
mod policy;
mod s3;
mod s3_access;
mod s3_error;
mod server;
mod signature;
mod store;
mod sts;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::bucket::{Bucket, Buckets, Encryption};
use self::cloud::Cloud;
use self::cur::Reports;
use self::data_exports::Exports;
use self::fault::Faults;
use self::identity::Identities;
use self::identity::key::new_access_key;
use self::server::Endpoint;
use self::store::BucketStore;

pub use self::clock::Clock;
pub use self::cur::ReportSpec;
pub use self::data_exports::DataExportSpec;
pub use self::fault::{Fault, FaultHandle, FaultKind};
pub use self::identity::key::{AccessKey, SessionCredentials};
pub use self::identity::organization::AccountState;
pub use self::log::{RequestLog, RequestRecord};
pub use self::policy::PolicyError;
pub use self::s3::WrongRegion;

/// Where buckets and objects are kept. Accounts, users, keys and exports live as long as the process in either case: whoever
/// starts a sandbox again registers them again ([`Sandbox::register_access_key`] takes known keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this folder, which is created if needed; a sandbox started on it later finds buckets and objects again.
    Directory(PathBuf),
    /// In memory.
    Memory,
}

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct SandboxSpec {
    /// Where buckets and objects are kept.
    pub storage: Storage,
    /// Where to listen: a loopback address, port 0 for any free port.
    pub listen: SocketAddr,
    /// The organisation's home Region, for example `us-east-1`.
    pub region: String,
    /// How S3 answers requests that were signed for another Region than the bucket's.
    pub wrong_region: WrongRegion,
}

impl SandboxSpec {
    /// In memory, on any free loopback port, in us-east-1.
    pub fn in_memory() -> Self {
        Self {
            storage: Storage::Memory,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            region: "us-east-1".to_owned(),
            wrong_region: WrongRegion::default(),
        }
    }

    /// The same, with buckets and objects kept in a folder.
    pub fn in_directory(folder: impl Into<PathBuf>) -> Self {
        Self {
            storage: Storage::Directory(folder.into()),
            ..Self::in_memory()
        }
    }
}

/// Why the sandbox cannot do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox would be reachable from other machines.
    #[error("the sandbox listens on loopback only, not on {0}; use 127.0.0.1 or ::1")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port, or 0 for any free one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Files of buckets or objects cannot be read or written.
    #[error("cannot use {path} for the sandbox's objects: {source}")]
    Storage {
        /// The file or folder.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Not twelve digits.
    #[error("'{0}' is not an AWS account id: it must have twelve digits")]
    InvalidAccountId(String),
    /// S3 would not accept the bucket's name.
    #[error("'{0}' is not a bucket name: S3 allows 3 to 63 lower case letters, digits, dots and hyphens")]
    InvalidBucketName(String),
    /// The thing to make is there already.
    #[error("{0} already exists in the sandbox")]
    AlreadyExists(String),
    /// The thing to use is not there.
    #[error("{0} does not exist in the sandbox")]
    NotFound(String),
    /// IAM's `MalformedPolicyDocument`, S3's `MalformedPolicy`.
    #[error("{0}")]
    MalformedPolicyDocument(#[from] PolicyError),
}

impl SandboxError {
    fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage {
            path: path.display().to_string(),
            source,
        }
    }
}

/// A running sandbox. Dropping it stops it.
pub struct Sandbox {
    cloud: Arc<Cloud>,
    address: SocketAddr,
    endpoint: Url,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts serving on the present runtime.
    pub async fn start(spec: SandboxSpec) -> Result<Self, SandboxError> {
        if !spec.listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(spec.listen));
        }
        let buckets = match &spec.storage {
            Storage::Directory(folder) => Buckets::open(folder)?,
            Storage::Memory => Buckets::in_memory(),
        };
        let listen = |source| SandboxError::Listen {
            address: spec.listen,
            source,
        };
        let listener = TcpListener::bind(spec.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let url = Url::parse(&format!("http://{address}")).map_err(|error| listen(io::Error::other(error)))?;
        let clock = Clock::default();
        let cloud = Arc::new(Cloud {
            identities: Identities::new(clock.clone()),
            clock,
            buckets,
            exports: Exports::default(),
            reports: Reports::default(),
            faults: Faults::default(),
            log: RequestLog::default(),
            region: spec.region,
            wrong_region: Mutex::new(spec.wrong_region),
        });
        let stop = CancellationToken::new();
        let endpoint = Arc::new(Endpoint::new(Arc::clone(&cloud)));
        let server = tokio::spawn(endpoint.run(listener, stop.clone()));
        Ok(Self {
            cloud,
            address,
            endpoint: url,
            stop,
            server: Some(server),
        })
    }

    /// The one endpoint of all services, for example `http://127.0.0.1:40123/`. S3 clients use path style, or virtual-hosted
    /// style through `<bucket>.localhost`.
    pub fn endpoint(&self) -> Url {
        self.endpoint.clone()
    }

    /// The endpoint without a trailing slash, as most clients want it in their settings.
    pub fn endpoint_text(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The clock inside the sandbox.
    pub fn clock(&self) -> &Clock {
        &self.cloud.clock
    }

    /// Sets the date inside the sandbox; see [`Clock`].
    pub fn set_time(&self, now: DateTime<Utc>) {
        self.cloud.clock.set_time(now);
    }

    /// Moves the date inside the sandbox forward; see [`Clock`].
    pub fn advance(&self, by: Duration) {
        self.cloud.clock.advance(by);
    }

    /// Creates an account with a twelve-digit id.
    pub fn create_account(&self, id: &str, name: &str) -> Result<(), SandboxError> {
        self.cloud.identities.create_account(id, name)
    }

    /// Account ids and names, in order of id.
    pub fn accounts(&self) -> Vec<(String, String)> {
        self.cloud.identities.accounts()
    }

    /// Creates an IAM user without rights.
    pub fn create_user(&self, account: &str, user: &str) -> Result<(), SandboxError> {
        self.cloud.identities.create_user(account, user)
    }

    /// Sets an inline policy of a user. Takes effect with the next request.
    pub fn put_user_policy(
        &self,
        account: &str,
        user: &str,
        policy_name: &str,
        json: &str,
    ) -> Result<(), SandboxError> {
        self.cloud.identities.put_user_policy(account, user, policy_name, json)
    }

    /// Removes an inline policy of a user.
    pub fn delete_user_policy(&self, account: &str, user: &str, policy_name: &str) -> Result<(), SandboxError> {
        self.cloud.identities.delete_user_policy(account, user, policy_name)
    }

    /// Creates a pair of keys for a user.
    pub fn create_access_key(&self, account: &str, user: &str) -> Result<AccessKey, SandboxError> {
        let key = new_access_key();
        self.cloud.identities.add_key(account, Some(user), &key)?;
        Ok(key)
    }

    /// Creates a pair of keys for an account's root user, who may do everything in the account.
    pub fn create_root_access_key(&self, account: &str) -> Result<AccessKey, SandboxError> {
        let key = new_access_key();
        self.cloud.identities.add_key(account, None, &key)?;
        Ok(key)
    }

    /// Gives a user a pair of keys that exists already, for example from an earlier start.
    pub fn register_access_key(&self, account: &str, user: &str, key: &AccessKey) -> Result<(), SandboxError> {
        self.cloud.identities.add_key(account, Some(user), key)
    }

    /// Makes a key inactive: requests with it are refused as with an unknown one.
    pub fn deactivate_access_key(&self, access_key_id: &str) -> Result<(), SandboxError> {
        self.cloud.identities.set_key_active(access_key_id, false)
    }

    /// Makes an inactive key active again.
    pub fn activate_access_key(&self, access_key_id: &str) -> Result<(), SandboxError> {
        self.cloud.identities.set_key_active(access_key_id, true)
    }

    /// Creates a role with its trust policy; the condition key `sts:ExternalId` is understood there.
    pub fn create_role(&self, account: &str, role: &str, trust_policy_json: &str) -> Result<(), SandboxError> {
        self.cloud.identities.create_role(account, role, trust_policy_json)
    }

    /// Sets an inline policy of a role.
    pub fn put_role_policy(
        &self,
        account: &str,
        role: &str,
        policy_name: &str,
        json: &str,
    ) -> Result<(), SandboxError> {
        self.cloud.identities.put_role_policy(account, role, policy_name, json)
    }

    /// Opens a session of a role past its trust policy, as if `AssumeRole` had been called before.
    pub fn open_session(
        &self,
        account: &str,
        role: &str,
        session: &str,
        lifetime: Duration,
    ) -> Result<SessionCredentials, SandboxError> {
        let now = self.cloud.clock.now();
        let opened = self
            .cloud
            .identities
            .open_session(account, role, session, None, now, lifetime);
        opened.ok_or_else(|| SandboxError::NotFound(format!("role {role} of account {account}")))
    }

    /// Changes how S3 answers requests that were signed for another Region than the bucket's.
    pub fn set_wrong_region(&self, answer: WrongRegion) {
        self.cloud.set_wrong_region(answer);
    }

    /// Creates a bucket. When it exists already with the same owner and Region (from an earlier start), nothing happens.
    pub fn create_bucket(&self, account: &str, name: &str, region: &str) -> Result<(), SandboxError> {
        if !self.cloud.identities.has_account(account) {
            return Err(SandboxError::NotFound(format!("account {account}")));
        }
        if !s3s::path::check_bucket_name(name) {
            return Err(SandboxError::InvalidBucketName(name.to_owned()));
        }
        match self.cloud.buckets.get(name) {
            Some(present) if present.owner == account && present.region == region => Ok(()),
            _ => self
                .cloud
                .buckets
                .create(name, account, region, self.cloud.clock.now())
                .map(|_| ()),
        }
    }

    /// Sets a bucket's policy, past permissions and Block Public Access.
    pub fn put_bucket_policy(&self, bucket: &str, json: &str) -> Result<(), SandboxError> {
        self.bucket(bucket)?.set_policy(Some(json))
    }

    /// Encrypts a bucket with a key of KMS, by its ARN: reading any of its objects then needs `kms:Decrypt` on the key, too.
    pub fn encrypt_bucket(&self, bucket: &str, key_arn: &str) -> Result<(), SandboxError> {
        self.bucket(bucket)?.set_encryption(Encryption {
            algorithm: "aws:kms".to_owned(),
            kms_key: Some(key_arn.to_owned()),
            bucket_key: true,
        })
    }

    /// Switches off S3 Block Public Access, which new buckets have on.
    pub fn allow_public_access(&self, bucket: &str) -> Result<(), SandboxError> {
        self.bucket(bucket)?.set_public_access_block(None)
    }

    /// Whether an AWS service may put objects below `prefix` into a bucket on behalf of `account` and `source_arn`: what
    /// decides over the delivery of an export.
    pub fn service_may_deliver(
        &self,
        service: &str,
        bucket: &str,
        prefix: &str,
        account: &str,
        source_arn: &str,
    ) -> Result<bool, SandboxError> {
        let bucket = self.bucket(bucket)?;
        let resource = format!("{}/{prefix}", bucket.arn());
        Ok(self
            .cloud
            .authorize_service(service, "s3:PutObject", &resource, &bucket, account, source_arn))
    }

    /// Gives an account an export of AWS Data Exports that was there before, past permissions, checks and quotas. Returns
    /// its ARN. Its files are not written: see [`crate::sample::deliver`].
    pub fn register_export(&self, account: &str, export: &DataExportSpec) -> Result<String, SandboxError> {
        export.register(&self.cloud, account)
    }

    /// Gives an account a legacy Cost and Usage Report that was there before, in the same way. Returns its ARN.
    pub fn register_report(&self, account: &str, report: &ReportSpec) -> Result<String, SandboxError> {
        report.register(&self.cloud, account)
    }

    /// A bucket's objects without HTTP and policies. Coherent with what S3 serves.
    pub fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, SandboxError> {
        let bucket = self.bucket(bucket)?;
        Ok(Arc::new(BucketStore::new(bucket, self.cloud.clock.clone())))
    }

    /// Stores one object without HTTP and policies, under any key that S3 allows. Returns its ETag, without quotes.
    pub async fn put_object(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> Result<String, SandboxError> {
        self.cloud.put_object(bucket, key, body.into()).await
    }

    /// Switches a fault on.
    pub fn inject(&self, fault: Fault) -> FaultHandle {
        self.cloud.faults.inject(fault)
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.cloud.faults.clear();
    }

    /// What was asked so far.
    pub fn requests(&self) -> RequestLog {
        self.cloud.log.clone()
    }

    /// Stops serving: requests under way are cut off. Returns when all connections are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take()
            && let Err(error) = server.await
        {
            tracing::warn!(%error, "the sandbox's server did not end in good order");
        }
    }

    fn bucket(&self, name: &str) -> Result<Arc<Bucket>, SandboxError> {
        self.cloud
            .buckets
            .get(name)
            .ok_or_else(|| SandboxError::NotFound(format!("bucket {name}")))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
