//! From an engine credential to an AWS access key, and from an access key to the identity behind it.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, AccountConnector, AssumedRole, Credential, Identity};
use farthing_engine::secret::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::administration::AwsAdmin;
use super::error::{AwsCall, Failure};
use super::export::AwsExportSource;
use super::session::{Session, SessionOf};
use super::{AwsClients, AwsSettings};
use crate::vault::KeyFileVault;

/// Signs in to AWS accounts with access keys.
pub struct AwsConnector {
    pub(crate) clients: Arc<AwsClients>,
}

impl AwsConnector {
    /// A connector that takes stored keys from `vault`. No request is made. Errors: `BadValue` for settings that are not
    /// allowed.
    pub fn try_new(settings: AwsSettings, vault: Arc<KeyFileVault>) -> Result<Self> {
        Ok(Self {
            clients: Arc::new(AwsClients::try_new(settings, vault)?),
        })
    }

    /// The administration of AWS that shares this connector's settings, vault and connections.
    pub fn administration(&self) -> AwsAdmin {
        AwsAdmin::new(Arc::clone(&self.clients))
    }

    /// A source of exports that shares this connector's settings, vault and connections.
    pub fn export_source(&self) -> AwsExportSource {
        AwsExportSource::new(Arc::clone(&self.clients))
    }
}

impl std::fmt::Debug for AwsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsConnector")
            .field("settings", &self.clients.settings)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AccountConnector for AwsConnector {
    async fn identify(&self, credential: &Credential) -> Result<Identity> {
        let key = self.clients.access_key(credential).await?;
        self.clients.identity(&key).await
    }

    fn read_access_key(&self, text: &SecretString) -> Result<AccessKey> {
        parse_access_key(text, "credentials_csv")
    }
}

impl AwsClients {
    /// Who the key belongs to: `GetCallerIdentity`, which needs no permission.
    pub(crate) async fn identity(&self, key: &AccessKey) -> Result<Identity> {
        let call = AwsCall::identify(key);
        let request = self.sts(key).get_caller_identity();
        let answer = self
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?
            .map_err(|failure| failure.into_error(&call))?;
        let (Some(account), Some(arn)) = (answer.account(), answer.arn()) else {
            return Err(Error::new(
                ErrorKind::AwsUnreachable,
                "AWS answered sts:GetCallerIdentity without an account or an ARN",
            ));
        };
        Ok(Identity {
            account: account.parse()?,
            arn: arn.to_owned(),
        })
    }

    /// The access key that `credential` stands for.
    pub(crate) async fn access_key(&self, credential: &Credential) -> Result<AccessKey> {
        match credential {
            Credential::Inline(key) => {
                check_key(key, "the credentials of this call")?;
                Ok(key.clone())
            }
            Credential::Stored(secret) => {
                let text = self.vault.reveal(secret).await?;
                parse_access_key(&text, &format!("the secret \"{}\"", secret.name))
            }
            Credential::Ambient(ambient) => self.ambient_key(ambient).await,
            Credential::Assumed { role, base } => self.session_key(role, base).await,
            Credential::Absent => Err(Error::new(
                ErrorKind::BadCredentials,
                "AWS needs an access key, and none was given",
            )
            .with_hint("Give access_key_id and secret_access_key, or the name of a stored secret.")),
        }
    }
}

impl AwsClients {
    /// The temporary key of a role, from STS or from before.
    async fn session_key(&self, role: &AssumedRole, base: &Credential) -> Result<AccessKey> {
        let key = Box::pin(self.access_key(base)).await?;
        let asked = RoleAsked {
            arn: &role.arn,
            external_id: Some(&role.external_id),
            session_name: "farthing",
        };
        let session = match base {
            Credential::Stored(secret) => SessionOf::Stored(role.clone(), secret.clone()),
            Credential::Ambient(ambient) => SessionOf::Assumed(role.clone(), ambient.clone()),
            _ => return Ok(self.assume(asked, key).await?.key),
        };
        let session = self.sessions.try_get_with(session, self.assume(asked, key)).await;
        session.map(|session| session.key).map_err(|shared| shared.duplicate())
    }

    /// One STS `AssumeRole`, for an hour, which every role allows.
    pub(crate) async fn assume(&self, role: RoleAsked<'_>, key: AccessKey) -> Result<Session> {
        let call = AwsCall::assume(role.arn);
        let request = self
            .sts(&key)
            .assume_role()
            .role_arn(role.arn)
            .role_session_name(role.session_name)
            .set_external_id(role.external_id.map(str::to_owned));
        let answer = self
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?
            .map_err(|failure| failure.into_error(&call))?;
        let session = answer
            .credentials()
            .ok_or_else(|| call.answered_without("credentials"))?;
        Ok(Session::until(
            AccessKey {
                access_key_id: session.access_key_id().to_owned(),
                secret_access_key: SecretString::new(session.secret_access_key()),
                session_token: Some(SecretString::new(session.session_token())),
            },
            SystemTime::try_from(*session.expiration()).ok(),
        ))
    }
}

/// What `AssumeRole` is asked.
pub(crate) struct RoleAsked<'a> {
    pub(crate) arn: &'a str,
    pub(crate) external_id: Option<&'a str>,
    /// The session's name, which is in the ARN of each call in CloudTrail.
    pub(crate) session_name: &'a str,
}

/// The form in which an access key lies in the vault.
#[derive(Serialize)]
struct WrittenKey<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_token: Option<&'a str>,
}

/// The forms in which an access key is read: Farthing's own, and with AWS's spelling as the AWS CLI prints it.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct ReadKey {
    #[serde(alias = "AccessKeyId")]
    access_key_id: String,
    #[serde(alias = "SecretAccessKey")]
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    session_token: Option<String>,
}

/// The text that [`parse_access_key`] reads back.
#[expect(clippy::disallowed_methods, reason = "the text goes to the vault")]
pub(crate) fn write_access_key(key: &AccessKey) -> Result<SecretString> {
    let written = WrittenKey {
        access_key_id: &key.access_key_id,
        secret_access_key: key.secret_access_key.open(),
        session_token: key.session_token.as_ref().map(SecretString::open),
    };
    // The error of a serializer may quote what it was given.
    let text =
        serde_json::to_string(&written).map_err(|_| Error::defect("an access key could not be written as JSON"))?;
    Ok(SecretString::new(text))
}

/// Reads an access key: JSON with `access_key_id` and `secret_access_key`, the two lines of the CSV file that the AWS
/// console offers, or `id:secret`. `origin` names the text in errors, which never quote it.
#[expect(clippy::disallowed_methods, reason = "what is read is an access key, secret again")]
pub(crate) fn parse_access_key(text: &SecretString, origin: &str) -> Result<AccessKey> {
    let clear = text.open().trim_start_matches('\u{feff}').trim();
    let key = if clear.starts_with('{') {
        parse_json(clear)
    } else if clear.contains(['\n', '\r']) {
        parse_csv(clear)
    } else {
        clear
            .split_once(':')
            .map(|(id, secret)| access_key(id.trim(), secret.trim(), None))
    };
    let key =
        key.ok_or_else(|| {
            Error::new(ErrorKind::BadCredentials, format!("{origin} does not hold an AWS access key")).with_hint(
            "Store it as JSON {\"access_key_id\": ..., \"secret_access_key\": ...}, as access key id, colon and secret \
             access key, or as the CSV file that the AWS console offers for download.",
        )
        })?;
    check_key(&key, origin)?;
    Ok(key)
}

fn parse_json(text: &str) -> Option<AccessKey> {
    let key: ReadKey = serde_json::from_str(text).ok()?;
    Some(access_key(
        key.access_key_id.trim(),
        key.secret_access_key.trim(),
        key.session_token
            .as_deref()
            .map(str::trim)
            .filter(|token| !token.is_empty()),
    ))
}

fn parse_csv(text: &str) -> Option<AccessKey> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (header, row) = (lines.next()?, lines.next()?);
    let column = |name: &str| {
        header
            .split(',')
            .position(|cell| cell.trim().trim_matches('"').eq_ignore_ascii_case(name))
    };
    let cells: Zeroizing<Vec<String>> = Zeroizing::new(
        row.split(',')
            .map(|cell| cell.trim().trim_matches('"').to_owned())
            .collect(),
    );
    let id = cells.get(column("Access key ID")?)?;
    let secret = cells.get(column("Secret access key")?)?;
    Some(access_key(id, secret, None))
}

fn access_key(id: &str, secret: &str, token: Option<&str>) -> AccessKey {
    AccessKey {
        access_key_id: id.to_owned(),
        secret_access_key: SecretString::new(secret),
        session_token: token.map(SecretString::new),
    }
}

/// Refuses what AWS would refuse anyway, and what could not be sent as a header.
#[expect(clippy::disallowed_methods, reason = "its characters are looked at, never shown")]
pub(crate) fn check_key(key: &AccessKey, origin: &str) -> Result<()> {
    let bad = |what: &str, hint: &str| {
        Err(Error::new(ErrorKind::BadCredentials, format!("{what} in {origin}")).with_hint(hint))
    };
    let id = &key.access_key_id;
    // 16 to 128 word characters: AccessKeyId in the IAM API reference.
    if !(16..=128).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return bad(
            "no valid access key id",
            "An access key id has at least 16 letters and digits, and starts with AKIA, or with ASIA if it is temporary.",
        );
    }
    let visible = |text: &SecretString| !text.is_empty() && text.open().bytes().all(|b| b.is_ascii_graphic());
    if !visible(&key.secret_access_key) {
        return bad(
            "no valid secret access key",
            "A secret access key has 40 visible characters and no spaces.",
        );
    }
    if key.session_token.as_ref().is_some_and(|token| !visible(token)) {
        return bad(
            "no valid session token",
            "A session token has no spaces or line breaks.",
        );
    }
    if id.starts_with("ASIA") && key.session_token.is_none() {
        return bad(
            "a temporary access key without its session token",
            "Give session_token too, or use a key of an IAM user (it starts with AKIA).",
        );
    }
    Ok(())
}

/// An access key id with its middle left out, for messages.
pub(crate) fn masked(access_key_id: &str) -> String {
    let characters: Vec<char> = access_key_id.chars().collect();
    if characters.len() < 12 {
        return "...".to_owned();
    }
    let head: String = characters.iter().take(4).collect();
    let tail: String = characters.iter().skip(characters.len() - 4).collect();
    format!("{head}...{tail}")
}

#[cfg(test)]
mod tests;
