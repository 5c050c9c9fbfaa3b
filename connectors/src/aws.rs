//! AWS: settings, and the one HTTP client that every call of the process shares.

pub mod administration;
pub mod ambient;
pub mod credential;
pub mod error;
pub mod export;
pub mod manifest;
mod session;

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::operation::assume_role_with_web_identity::builders::AssumeRoleWithWebIdentityFluentBuilder;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::AccessKey;
use farthing_engine::secret::SecretString;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use url::{Host, Url};

use self::ambient::HostEnvironment;
use self::session::{Sessions, sessions};
use crate::vault::KeyFileVault;

/// The Region that is asked while a bucket's own is not known, and where AWS serves its billing APIs.
pub const DEFAULT_REGION: &str = "us-east-1";

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// Where S3 (path-style) and STS answer instead of AWS itself: the sandbox, or a private endpoint. `https`, or
    /// `http` on a loopback address.
    pub endpoint_url: Option<Url>,
    /// The Region of STS, and of buckets until theirs is known.
    pub region: String,
    /// How long one attempt of one call may take. Reads of data files may take three times as long, since they carry
    /// more.
    pub call_timeout: Duration,
    /// Attempts per call, the first included; at least 1.
    pub max_attempts: u32,
    /// The runtime that sockets are polled on; the caller's if there is none.
    pub io_runtime: Option<Handle>,
    /// The variables that credentials of this machine are looked up in: none, unless set.
    pub environment: HostEnvironment,
}

impl AwsSettings {
    /// The settings of a server: `us-east-1`, ten seconds per attempt, five attempts.
    pub fn new(endpoint_url: Option<Url>) -> Self {
        Self {
            endpoint_url,
            region: DEFAULT_REGION.to_owned(),
            call_timeout: Duration::from_secs(10),
            max_attempts: 5,
            io_runtime: None,
            environment: HostEnvironment::of([]),
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(url) = &self.endpoint_url {
            check_endpoint(url)?;
        }
        if self.region.is_empty()
            || !self
                .region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(
                Error::new(ErrorKind::BadValue, format!("\"{}\" is not an AWS Region", self.region))
                    .with_hint("Give a Region such as 'us-east-1'."),
            );
        }
        if self.max_attempts == 0 || self.call_timeout.is_zero() {
            return Err(Error::new(
                ErrorKind::BadValue,
                "AWS calls need at least one attempt and a timeout above zero",
            ));
        }
        Ok(())
    }
}

/// Signed requests in clear would show session tokens and data to the network, so `http` stays on this machine.
fn check_endpoint(url: &Url) -> Result<()> {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "" | "/");
    if safe && plain && url.has_host() {
        return Ok(());
    }
    // The URL is not repeated: a mistyped one may hold a password.
    Err(
        Error::new(ErrorKind::BadValue, "the AWS endpoint URL is not allowed").with_hint(
            "Give scheme, host and port alone: 'https://host:port', or 'http://127.0.0.1:port' on this machine.",
        ),
    )
}

/// What all calls share: settings, the HTTP client with its connections, and the vault that keys come from.
pub(crate) struct AwsClients {
    pub(crate) settings: AwsSettings,
    pub(crate) vault: Arc<KeyFileVault>,
    http: SharedHttpClient,
    sessions: Sessions,
    /// The metadata of the EC2 instance, with its token, once it was asked for.
    instance: OnceLock<Arc<ImdsCredentialsProvider>>,
}

impl AwsClients {
    pub(crate) fn try_new(settings: AwsSettings, vault: Arc<KeyFileVault>) -> Result<Self> {
        settings.check()?;
        // ring, because the rest of the process uses it: rustls refuses to guess where two providers are present.
        let http = HttpClientBuilder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        Ok(Self {
            settings,
            vault,
            http,
            sessions: sessions(),
            instance: OnceLock::new(),
        })
    }

    /// The endpoint without the slash that `Url` puts at its end.
    pub(crate) fn endpoint(&self) -> Option<String> {
        let url = self.settings.endpoint_url.as_ref()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    pub(crate) fn s3(&self, key: &AccessKey, region: &str) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_s3::config::Region::new(region.to_owned()))
            .retry_config(self.retries())
            .timeout_config(self.timeouts())
            .credentials_provider(sdk_credentials(key));
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) fn sts(&self, key: &AccessKey) -> aws_sdk_sts::Client {
        let config = self.sts_config().credentials_provider(sdk_credentials(key));
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// The one call of STS that no key signs: the token in it stands for one.
    #[expect(clippy::disallowed_methods, reason = "the AWS SDK sends it")]
    pub(crate) fn assume_with_web_identity(
        &self,
        role: &str,
        session_name: &str,
        token: &SecretString,
    ) -> AssumeRoleWithWebIdentityFluentBuilder {
        aws_sdk_sts::Client::from_conf(self.sts_config().build())
            .assume_role_with_web_identity()
            .role_arn(role)
            .role_session_name(session_name)
            .web_identity_token(token.open().trim())
    }

    fn sts_config(&self) -> aws_sdk_sts::config::Builder {
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_sts::config::Region::new(self.settings.region.clone()))
            .retry_config(self.retries())
            .timeout_config(self.timeouts());
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        config
    }

    /// AWS Data Exports, which signs for us-east-1 whatever the Region.
    pub(crate) fn data_exports(&self, key: &AccessKey) -> aws_sdk_bcmdataexports::Client {
        let mut config = aws_sdk_bcmdataexports::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_bcmdataexports::config::Region::new(DEFAULT_REGION))
            .retry_config(self.retries())
            .timeout_config(self.timeouts())
            .credentials_provider(sdk_credentials(key));
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_bcmdataexports::Client::from_conf(config.build())
    }

    /// The legacy Cost and Usage Report, which us-east-1 alone serves: clients of other Regions build a host that does not
    /// answer.
    pub(crate) fn cur(&self, key: &AccessKey) -> aws_sdk_costandusagereport::Client {
        let mut config = aws_sdk_costandusagereport::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_costandusagereport::config::Region::new(DEFAULT_REGION))
            .retry_config(self.retries())
            .timeout_config(self.timeouts())
            .credentials_provider(sdk_credentials(key));
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_costandusagereport::Client::from_conf(config.build())
    }

    /// IAM, which each partition serves from one Region.
    pub(crate) fn iam(&self, key: &AccessKey) -> aws_sdk_iam::Client {
        let mut config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_iam::config::Region::new(self.home_region()))
            .retry_config(self.retries())
            .timeout_config(self.timeouts())
            .credentials_provider(sdk_credentials(key));
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_iam::Client::from_conf(config.build())
    }

    /// AWS Organizations, which each partition serves from one Region.
    pub(crate) fn organizations(&self, key: &AccessKey) -> aws_sdk_organizations::Client {
        let mut config = aws_sdk_organizations::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http.clone())
            .region(aws_sdk_organizations::config::Region::new(self.home_region()))
            .retry_config(self.retries())
            .timeout_config(self.timeouts())
            .credentials_provider(sdk_credentials(key));
        if let Some(endpoint) = self.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        aws_sdk_organizations::Client::from_conf(config.build())
    }

    /// The Region that the partition of the settings' Region has its global services in.
    fn home_region(&self) -> &'static str {
        if self.settings.region.starts_with("cn-") {
            "cn-northwest-1"
        } else if self.settings.region.starts_with("us-gov-") {
            "us-gov-west-1"
        } else {
            DEFAULT_REGION
        }
    }

    /// Runs `call` on the runtime of sockets. Dropping the returned future stops the call.
    pub(crate) async fn on_io<F>(&self, call: F) -> Result<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(runtime) = &self.settings.io_runtime else {
            return Ok(call.await);
        };
        let mut task = JoinSet::new();
        task.spawn_on(call, runtime);
        match task.join_next().await {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) if error.is_cancelled() => Err(Error::new(
                ErrorKind::ShuttingDown,
                "the server stopped before AWS answered",
            )),
            Some(Err(_)) | None => Err(Error::defect("a call to AWS ended without a result")),
        }
    }

    fn retries(&self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.settings.max_attempts)
            .with_initial_backoff(Duration::from_millis(200))
            .with_max_backoff(Duration::from_secs(5))
    }

    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.settings.call_timeout.min(Duration::from_secs(5)))
            .operation_attempt_timeout(self.settings.call_timeout)
            .build()
    }
}

#[expect(clippy::disallowed_methods, reason = "the AWS SDK signs with it")]
fn sdk_credentials(key: &AccessKey) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(
        key.access_key_id.clone(),
        key.secret_access_key.open(),
        key.session_token.as_ref().map(|token| token.open().to_owned()),
        None,
        "farthing",
    ))
}

#[cfg(test)]
mod tests;
