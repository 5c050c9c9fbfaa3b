//! Credentials of the machine that Farthing runs on: a profile of AWS's configuration files, environment variables, or the
//! role of an EC2 instance, a container or a Kubernetes service account.
//!
//! Each is looked at only when a connection names it: nothing is searched for, so that no connection changes its identity
//! because another source appears. Keys stay in memory, until shortly before they end.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".

mod profile;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, Ambient};
use farthing_engine::secret::SecretString;

use self::profile::{Base, ProfileRole};
use super::AwsClients;
use super::credential::{RoleAsked, check_key};
use super::error::{AwsCall, Failure, root_cause};
use super::session::{Session, SessionOf};

/// Where EC2 instances find their metadata (EC2 user guide, "Use the Instance Metadata Service").
const IMDS: &str = "http://169.254.169.254";
const IMDS_IPV6: &str = "http://[fd00:ec2::254]";
/// Attempts to reach the metadata, each of a second: elsewhere than on EC2 nothing answers.
const IMDS_ATTEMPTS: u32 = 2;
/// The session's name where the role of a service account or profile sets none; it is in the ARN of each call in CloudTrail.
const SESSION_NAME: &str = "farthing";

/// Environment variables, by name: those of the process, or those of a test.
#[derive(Clone)]
pub struct HostEnvironment(Arc<LookUp>);

/// The value of a variable, if it is set.
type LookUp = dyn Fn(&str) -> Option<String> + Send + Sync;

impl HostEnvironment {
    /// Variables as `look_up` finds them.
    pub fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// These variables and no others.
    pub fn of<const N: usize>(variables: [(&str, String); N]) -> Self {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self::new(move |name| variables.get(name).cloned())
    }

    /// The variable, where it is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for HostEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its values may be secrets.
        f.write_str("HostEnvironment")
    }
}

impl AwsClients {
    /// The present key of a credential of the machine.
    pub(crate) async fn ambient_key(&self, ambient: &Ambient) -> Result<AccessKey> {
        let session = self
            .sessions
            .try_get_with(SessionOf::Ambient(ambient.clone()), self.look_up(ambient))
            .await;
        session.map(|session| session.key).map_err(|shared| shared.duplicate())
    }

    async fn look_up(&self, ambient: &Ambient) -> Result<Session> {
        match ambient {
            Ambient::Environment => self.environment_key(),
            Ambient::Instance => self.instance_key().await,
            Ambient::Container => self.container_key().await,
            Ambient::WebIdentity => self.service_account_key().await,
            Ambient::Profile(name) => self.profile_key(name).await,
        }
    }

    fn environment_key(&self) -> Result<Session> {
        let environment = &self.settings.environment;
        let id = environment.get("AWS_ACCESS_KEY_ID");
        let secret = environment.get("AWS_SECRET_ACCESS_KEY");
        let (Some(access_key_id), Some(secret)) = (id, secret) else {
            return Err(Error::new(
                ErrorKind::Missing,
                "the server's environment has no AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
            .with_hint(
                "Set both, and AWS_SESSION_TOKEN for a temporary key, where the server is started; or give another credential.",
            ));
        };
        let key = AccessKey {
            access_key_id,
            secret_access_key: SecretString::new(secret),
            session_token: environment.get("AWS_SESSION_TOKEN").map(SecretString::new),
        };
        check_key(&key, "the server's environment variables")?;
        Ok(Session::until(key, None))
    }

    async fn instance_key(&self) -> Result<Session> {
        let provider = match self.instance.get() {
            Some(provider) => Arc::clone(provider),
            None => {
                let made = Arc::new(self.instance_metadata()?);
                Arc::clone(self.instance.get_or_init(|| made))
            }
        };
        let answer = self.on_io(async move { provider.provide_credentials().await }).await?;
        let credentials = answer.map_err(|error| {
            unanswered(
                "the EC2 instance metadata gives no credentials",
                "This works on EC2 instances that a role is attached to, with IMDSv2 switched on; from within a container the \
                 hop limit must be 2 at least.",
                &error,
            )
        })?;
        session_of(&credentials, "the EC2 instance metadata")
    }

    fn instance_metadata(&self) -> Result<ImdsCredentialsProvider> {
        let environment = &self.settings.environment;
        let ipv6 = environment
            .get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")
            .is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
        let endpoint = environment
            .get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .unwrap_or_else(|| if ipv6 { IMDS_IPV6 } else { IMDS }.to_owned());
        let config = self.provider_config();
        let client = imds::Client::builder()
            .configure(&config)
            .max_attempts(IMDS_ATTEMPTS)
            .endpoint(endpoint)
            .map_err(|_| {
                Error::new(ErrorKind::BadValue, "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL")
                    .with_hint("Give scheme and host, such as http://169.254.169.254, or unset it.")
            })?;
        Ok(ImdsCredentialsProvider::builder()
            .configure(&config)
            .imds_client(client.build())
            .build())
    }

    /// The SDK reads the variables that the container's host sets (`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, `..._FULL_URI`,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`) from the process itself, and asks none but the addresses that AWS allows.
    async fn container_key(&self) -> Result<Session> {
        let config = self.provider_config();
        let provider = EcsCredentialsProvider::builder().configure(&config).build();
        let answer = self.on_io(async move { provider.provide_credentials().await }).await?;
        let credentials = answer.map_err(|error| {
            unanswered(
                "the container's credential endpoint gives no credentials",
                "This works in ECS tasks with a task role and in EKS pods with EKS Pod Identity, which set \
                 AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI.",
                &error,
            )
        })?;
        session_of(&credentials, "the container's credential endpoint")
    }

    fn provider_config(&self) -> ProviderConfig {
        ProviderConfig::without_region().with_http_client(self.http.clone())
    }

    async fn service_account_key(&self) -> Result<Session> {
        let environment = &self.settings.environment;
        let role = environment.get("AWS_ROLE_ARN");
        let file = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE");
        let (Some(role), Some(file)) = (role, file) else {
            return Err(Error::new(
                ErrorKind::Missing,
                "the server's environment has no AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
            )
            .with_hint("EKS sets both for pods whose service account has the annotation eks.amazonaws.com/role-arn."));
        };
        let name = environment.get("AWS_ROLE_SESSION_NAME");
        self.assume_with_token(&role, &file, name.as_deref()).await
    }

    async fn profile_key(&self, name: &str) -> Result<Session> {
        let chain = profile::read(&self.settings.environment, name).await?;
        let mut session = match chain.base {
            Base::Key(key) => {
                check_key(&key, &format!("the profile {name}"))?;
                Session::until(key, None)
            }
            // Not the cached one: what is cached here ends with it.
            Base::Source(source) => Box::pin(self.look_up(&source)).await?,
            Base::WebIdentity { role, file, session } => {
                self.assume_with_token(&role, &file, session.as_deref()).await?
            }
        };
        for ProfileRole {
            arn,
            external_id,
            session_name,
        } in chain.roles
        {
            let asked = RoleAsked {
                arn: &arn,
                external_id: external_id.as_deref(),
                session_name: session_name.as_deref().unwrap_or(SESSION_NAME),
            };
            session = self.assume(asked, session.key).await?;
        }
        Ok(session)
    }

    /// `AssumeRoleWithWebIdentity`, which the token in the file signs for. Kubernetes replaces it there, so it is read each time.
    async fn assume_with_token(&self, role: &str, file: &str, name: Option<&str>) -> Result<Session> {
        let token = std::fs::read_to_string(file).map(SecretString::new).map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                format!("the web identity token of {role} cannot be read: {}", error.kind()),
            )
            .with_hint("Check the file that AWS_WEB_IDENTITY_TOKEN_FILE or web_identity_token_file names, and who may read it.")
        })?;
        let call = AwsCall::on("sts:AssumeRoleWithWebIdentity", role, format!("role {role}"));
        let request = self.assume_with_web_identity(role, name.unwrap_or(SESSION_NAME), &token);
        let answer = self
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?
            .map_err(|failure| failure.into_error(&call))?;
        let given = answer
            .credentials()
            .ok_or_else(|| call.answered_without("credentials"))?;
        Ok(Session::until(
            AccessKey {
                access_key_id: given.access_key_id().to_owned(),
                secret_access_key: SecretString::new(given.secret_access_key()),
                session_token: Some(SecretString::new(given.session_token())),
            },
            SystemTime::try_from(*given.expiration()).ok(),
        ))
    }
}

/// What a provider of the SDK found.
fn session_of(credentials: &Credentials, origin: &str) -> Result<Session> {
    let key = AccessKey {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: SecretString::new(credentials.secret_access_key()),
        session_token: credentials.session_token().map(SecretString::new),
    };
    check_key(&key, origin)?;
    Ok(Session::until(key, credentials.expiry()))
}

/// The error where a source of the machine does not give credentials.
fn unanswered(what: &str, hint: &str, error: &CredentialsError) -> Error {
    let kind = match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => ErrorKind::Missing,
        _ => ErrorKind::AwsUnreachable,
    };
    let cause: &(dyn StdError + 'static) = error;
    Error::new(kind, format!("{what}: {}", root_cause(cause))).with_hint(hint)
}

#[cfg(test)]
mod tests;
