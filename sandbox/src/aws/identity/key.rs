//! Access keys and sessions: what a request is signed with, and whose it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Identities, unique_id};
use crate::aws::SandboxError;
use crate::aws::policy::PolicyDocument;

/// A long-lived pair of keys. The secret is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA...`, 20 characters.
    pub access_key_id: String,
    /// The secret half; it opens nothing but this sandbox.
    pub secret_access_key: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Temporary credentials, as `AssumeRole` hands them out.
pub struct SessionCredentials {
    /// `ASIA...`, 20 characters.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// What must come with every request.
    pub session_token: String,
    /// When they end, by the sandbox's clock.
    pub expiration: DateTime<Utc>,
    /// `AROA...:session-name`
    pub(crate) assumed_role_id: String,
    pub(crate) arn: String,
}

impl fmt::Debug for SessionCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// What an access key id stands for.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) secret: String,
    pub(crate) session: Option<SessionToken>,
    pub(super) owner: KeyOwner,
}

#[derive(Clone)]
pub(crate) struct SessionToken {
    pub(crate) token: String,
    pub(crate) expiration: DateTime<Utc>,
}

/// Why the token that came with a request is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFailure {
    /// Missing, unknown, or sent with a long-lived key.
    Invalid,
    Expired,
}

impl Credential {
    /// Checks the session token of a request.
    pub(crate) fn check_token(&self, sent: Option<&str>, now: DateTime<Utc>) -> Result<(), TokenFailure> {
        match (&self.session, sent) {
            (None, None) => Ok(()),
            (Some(session), Some(sent)) if session.token == sent => {
                if now < session.expiration {
                    Ok(())
                } else {
                    Err(TokenFailure::Expired)
                }
            }
            _ => Err(TokenFailure::Invalid),
        }
    }
}

/// Whose a key is.
#[derive(Clone)]
pub(super) enum KeyOwner {
    Root {
        account: String,
    },
    User {
        account: String,
        user: String,
    },
    Session {
        account: String,
        role: String,
        session: String,
        policy: Option<Arc<PolicyDocument>>,
    },
}

impl KeyOwner {
    pub(super) fn account(&self) -> &str {
        match self {
            Self::Root { account } | Self::User { account, .. } | Self::Session { account, .. } => account,
        }
    }
}

pub(super) struct KeyRecord {
    pub(super) credential: Credential,
    pub(super) active: bool,
    pub(super) created: DateTime<Utc>,
    /// From when on the key is known everywhere.
    pub(super) usable_from: DateTime<Utc>,
}

impl Identities {
    /// Registers a pair of keys for a user, or for the account's root when `user` is `None`.
    pub(crate) fn add_key(&self, account: &str, user: Option<&str>, key: &AccessKey) -> Result<(), SandboxError> {
        self.in_account(account, |account| {
            user.map_or(Ok(()), |user| account.user(user).map(|_| ()))
        })?;
        let owner = match user {
            Some(user) => KeyOwner::User {
                account: account.to_owned(),
                user: user.to_owned(),
            },
            None => KeyOwner::Root {
                account: account.to_owned(),
            },
        };
        let credential = Credential {
            secret: key.secret_access_key.clone(),
            session: None,
            owner,
        };
        let now = self.clock.now();
        self.write(|state| {
            if state.keys.contains_key(&key.access_key_id) {
                return Err(SandboxError::AlreadyExists(format!("access key {}", key.access_key_id)));
            }
            let record = KeyRecord {
                credential,
                active: true,
                created: now,
                usable_from: now,
            };
            state.keys.insert(key.access_key_id.clone(), record);
            Ok(())
        })
    }

    pub(crate) fn set_key_active(&self, access_key_id: &str, active: bool) -> Result<(), SandboxError> {
        self.write(|state| match state.keys.get_mut(access_key_id) {
            Some(record) => {
                record.active = active;
                Ok(())
            }
            None => Err(SandboxError::NotFound(format!("access key {access_key_id}"))),
        })
    }

    /// Opens a session of a role; whether the caller may is decided before.
    pub(crate) fn open_session(
        &self,
        account: &str,
        role: &str,
        session: &str,
        policy: Option<Arc<PolicyDocument>>,
        now: DateTime<Utc>,
        lifetime: Duration,
    ) -> Option<SessionCredentials> {
        let role_id = self.read(|state| Some(state.accounts.get(account)?.roles.get(role)?.id.clone()))?;
        let credentials = SessionCredentials {
            access_key_id: unique_id("ASIA"),
            secret_access_key: random_secret(),
            session_token: format!("{}{}{}", random_secret(), random_secret(), random_secret()),
            expiration: now + lifetime,
            assumed_role_id: format!("{role_id}:{session}"),
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
        };
        let record = KeyRecord {
            credential: Credential {
                secret: credentials.secret_access_key.clone(),
                session: Some(SessionToken {
                    token: credentials.session_token.clone(),
                    expiration: credentials.expiration,
                }),
                owner: KeyOwner::Session {
                    account: account.to_owned(),
                    role: role.to_owned(),
                    session: session.to_owned(),
                    policy,
                },
            },
            active: true,
            created: now,
            usable_from: now,
        };
        self.write(|state| state.keys.insert(credentials.access_key_id.clone(), record));
        Some(credentials)
    }

    /// The credential behind an access key id; `None` for unknown, inactive and brand-new ones, which AWS does not tell
    /// apart.
    pub(crate) fn credential(&self, access_key_id: &str) -> Option<Credential> {
        let now = self.clock.now();
        self.read(|state| {
            state
                .keys
                .get(access_key_id)
                .filter(|record| record.active && record.usable_from <= now)
                .map(|r| r.credential.clone())
        })
    }
}

/// A fresh pair of keys.
pub(crate) fn new_access_key() -> AccessKey {
    AccessKey {
        access_key_id: unique_id("AKIA"),
        secret_access_key: random_secret(),
    }
}

fn random_secret() -> String {
    let digest = Sha256::digest([*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat());
    hex::encode(&digest[..20])
}
