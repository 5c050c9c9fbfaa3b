//! Accounts, users, access keys, roles and their sessions.

mod inventory;
pub(crate) mod managed;
pub(crate) mod organization;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use self::managed::ManagedPolicy;
use self::organization::{AccountState, Organization};
use super::SandboxError;
use super::clock::Clock;
use super::policy::{PolicyDocument, PolicyKind};

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
pub(crate) struct SessionCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expiration: DateTime<Utc>,
    /// `AROA...:session-name`
    pub(crate) assumed_role_id: String,
    pub(crate) arn: String,
}

/// Who calls, with the policies that bind them at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) kind: PrincipalKind,
    /// Empty for anonymous callers and services.
    pub(crate) account: String,
    /// For a service its name, for example `bcm-data-exports.amazonaws.com`.
    pub(crate) arn: String,
    /// The role behind a session.
    pub(crate) role_arn: Option<String>,
    /// What `GetCallerIdentity` calls `UserId`.
    pub(crate) user_id: String,
    /// What `aws:PrincipalOrgID` reports, for accounts in an organisation.
    pub(crate) organization: Option<String>,
    /// `aws:username`, for users only.
    pub(crate) user_name: Option<String>,
    pub(crate) policies: Vec<Arc<PolicyDocument>>,
    pub(crate) session_policy: Option<Arc<PolicyDocument>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalKind {
    Root,
    User,
    AssumedRole,
    Service,
    Anonymous,
}

impl Principal {
    pub(crate) fn anonymous() -> Self {
        Self {
            kind: PrincipalKind::Anonymous,
            account: String::new(),
            arn: "anonymous".to_owned(),
            role_arn: None,
            user_id: "ANONYMOUS_PRINCIPAL".to_owned(),
            organization: None,
            user_name: None,
            policies: Vec::new(),
            session_policy: None,
        }
    }

    /// An AWS service acting for a customer, for example the one that delivers exports.
    pub(crate) fn service(name: &str) -> Self {
        Self {
            kind: PrincipalKind::Service,
            arn: name.to_owned(),
            user_id: name.to_owned(),
            ..Self::anonymous()
        }
    }

    /// `aws:PrincipalType`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.kind {
            PrincipalKind::Root => "Account",
            PrincipalKind::User => "User",
            PrincipalKind::AssumedRole => "AssumedRole",
            PrincipalKind::Service => "Service",
            PrincipalKind::Anonymous => "Anonymous",
        }
    }
}

/// What an access key id stands for.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) secret: String,
    pub(crate) session: Option<SessionToken>,
    owner: KeyOwner,
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

#[derive(Clone)]
enum KeyOwner {
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

struct KeyRecord {
    credential: Credential,
    active: bool,
    created: DateTime<Utc>,
    /// From when on the key is known everywhere.
    usable_from: DateTime<Utc>,
}

struct Account {
    name: String,
    users: BTreeMap<String, User>,
    roles: BTreeMap<String, Role>,
    /// Customer managed policies by ARN.
    managed: BTreeMap<String, ManagedPolicy>,
    /// The id of the organisation that it belongs to.
    organization: Option<String>,
    state: AccountState,
}

struct User {
    id: String,
    /// `/` or `/division/team/`.
    path: String,
    created: DateTime<Utc>,
    policies: BTreeMap<String, Arc<PolicyDocument>>,
    /// ARNs of managed policies.
    attached: BTreeSet<String>,
}

struct Role {
    id: String,
    trust: Arc<PolicyDocument>,
    policies: BTreeMap<String, Arc<PolicyDocument>>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, Account>,
    keys: HashMap<String, KeyRecord>,
    organizations: BTreeMap<String, Organization>,
    /// How long a key that IAM hands out stays unknown to the services.
    key_delay: Duration,
}

/// All identities of the sandbox.
#[derive(Default)]
pub(crate) struct Identities {
    state: RwLock<State>,
    clock: Clock,
}

impl Identities {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            state: RwLock::default(),
            clock,
        }
    }

    pub(crate) fn create_account(&self, id: &str, name: &str) -> Result<(), SandboxError> {
        if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SandboxError::InvalidAccountId(id.to_owned()));
        }
        self.write(|state| {
            if state.accounts.contains_key(id) {
                return Err(SandboxError::AlreadyExists(format!("account {id}")));
            }
            let account = Account {
                name: name.to_owned(),
                users: BTreeMap::new(),
                roles: BTreeMap::new(),
                managed: BTreeMap::new(),
                organization: None,
                state: AccountState::Active,
            };
            state.accounts.insert(id.to_owned(), account);
            Ok(())
        })
    }

    pub(crate) fn has_account(&self, id: &str) -> bool {
        self.read(|state| state.accounts.contains_key(id))
    }

    /// Account ids and names, in order of id.
    pub(crate) fn accounts(&self) -> Vec<(String, String)> {
        self.read(|state| {
            state
                .accounts
                .iter()
                .map(|(id, account)| (id.clone(), account.name.clone()))
                .collect()
        })
    }

    /// Whether an IAM ARN in a policy names something that exists. Accounts outside the sandbox cannot be checked.
    pub(crate) fn principal_exists(&self, name: &str) -> bool {
        let mut parts = name.splitn(6, ':');
        let (Some("iam"), _, Some(account), Some(resource)) = (parts.nth(2), parts.next(), parts.next(), parts.next())
        else {
            return true;
        };
        self.read(|state| match (state.accounts.get(account), resource.split_once('/')) {
            (Some(account), Some(("user", user))) => account.user_at(user).is_some(),
            (Some(account), Some(("role", role))) => account.roles.contains_key(role),
            _ => true,
        })
    }

    pub(crate) fn create_user(&self, account: &str, user: &str) -> Result<(), SandboxError> {
        let record = User::new("/", self.clock.now());
        self.in_account(account, |account| {
            if account.users.contains_key(user) {
                return Err(SandboxError::AlreadyExists(format!("user {user}")));
            }
            account.users.insert(user.to_owned(), record);
            Ok(())
        })
    }

    pub(crate) fn put_user_policy(
        &self,
        account: &str,
        user: &str,
        policy_name: &str,
        text: &str,
    ) -> Result<(), SandboxError> {
        let policy = Arc::new(PolicyDocument::parse(text, PolicyKind::Identity)?);
        self.in_account(account, |account| {
            account.user(user)?.policies.insert(policy_name.to_owned(), policy);
            Ok(())
        })
    }

    pub(crate) fn delete_user_policy(&self, account: &str, user: &str, policy_name: &str) -> Result<(), SandboxError> {
        self.in_account(account, |account| {
            match account.user(user)?.policies.remove(policy_name) {
                Some(_) => Ok(()),
                None => Err(SandboxError::NotFound(format!("policy {policy_name} of user {user}"))),
            }
        })
    }

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

    pub(crate) fn create_role(&self, account: &str, role: &str, trust: &str) -> Result<(), SandboxError> {
        let trust = Arc::new(PolicyDocument::parse(trust, PolicyKind::Trust)?);
        self.in_account(account, |account| {
            if account.roles.contains_key(role) {
                return Err(SandboxError::AlreadyExists(format!("role {role}")));
            }
            let record = Role {
                id: unique_id("AROA"),
                trust,
                policies: BTreeMap::new(),
            };
            account.roles.insert(role.to_owned(), record);
            Ok(())
        })
    }

    pub(crate) fn put_role_policy(
        &self,
        account: &str,
        role: &str,
        policy_name: &str,
        text: &str,
    ) -> Result<(), SandboxError> {
        let policy = Arc::new(PolicyDocument::parse(text, PolicyKind::Identity)?);
        self.in_account(account, |account| match account.roles.get_mut(role) {
            Some(role) => {
                role.policies.insert(policy_name.to_owned(), policy);
                Ok(())
            }
            None => Err(SandboxError::NotFound(format!("role {role}"))),
        })
    }

    /// The trust policy of a role.
    pub(crate) fn role_trust(&self, account: &str, role: &str) -> Option<Arc<PolicyDocument>> {
        self.read(|state| Some(Arc::clone(&state.accounts.get(account)?.roles.get(role)?.trust)))
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

    /// The caller behind a credential, with its present policies; `None` when it has been deleted meanwhile.
    pub(crate) fn principal(&self, credential: &Credential) -> Option<Principal> {
        self.read(|state| match &credential.owner {
            KeyOwner::Root { account } => Some(Principal {
                kind: PrincipalKind::Root,
                account: account.clone(),
                arn: format!("arn:aws:iam::{account}:root"),
                user_id: account.clone(),
                organization: state.accounts.get(account)?.organization.clone(),
                ..Principal::anonymous()
            }),
            KeyOwner::User { account, user } => state.accounts.get(account)?.user_principal(account, user),
            KeyOwner::Session {
                account,
                role,
                session,
                policy,
            } => state
                .accounts
                .get(account)?
                .session_principal(account, role, session, policy.clone()),
        })
    }

    fn in_account<R>(
        &self,
        id: &str,
        act: impl FnOnce(&mut Account) -> Result<R, SandboxError>,
    ) -> Result<R, SandboxError> {
        self.write(|state| match state.accounts.get_mut(id) {
            Some(account) => act(account),
            None => Err(SandboxError::NotFound(format!("account {id}"))),
        })
    }

    fn read<R>(&self, act: impl FnOnce(&State) -> R) -> R {
        act(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        act(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Account {
    fn user(&mut self, name: &str) -> Result<&mut User, SandboxError> {
        self.users
            .get_mut(name)
            .ok_or_else(|| SandboxError::NotFound(format!("user {name}")))
    }

    /// The user whose ARN ends in `user/<path and name>`.
    fn user_at(&self, path_and_name: &str) -> Option<(&str, &User)> {
        let name = path_and_name.rsplit('/').next()?;
        let (name, user) = self.users.get_key_value(name)?;
        (format!("{}{name}", user.path) == format!("/{path_and_name}")).then_some((name, user))
    }

    fn user_principal(&self, account: &str, name: &str) -> Option<Principal> {
        let user = self.users.get(name)?;
        let attached = user.attached.iter().filter_map(|arn| self.managed.get(arn));
        let attached = attached.map(|policy| Arc::clone(&policy.document));
        Some(Principal {
            kind: PrincipalKind::User,
            account: account.to_owned(),
            arn: user.arn(account, name),
            user_id: user.id.clone(),
            organization: self.organization.clone(),
            user_name: Some(name.to_owned()),
            policies: user.policies.values().cloned().chain(attached).collect(),
            ..Principal::anonymous()
        })
    }

    fn session_principal(
        &self,
        account: &str,
        role: &str,
        session: &str,
        policy: Option<Arc<PolicyDocument>>,
    ) -> Option<Principal> {
        let record = self.roles.get(role)?;
        Some(Principal {
            kind: PrincipalKind::AssumedRole,
            account: account.to_owned(),
            arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            role_arn: Some(format!("arn:aws:iam::{account}:role/{role}")),
            user_id: format!("{}:{session}", record.id),
            organization: self.organization.clone(),
            user_name: None,
            policies: record.policies.values().cloned().collect(),
            session_policy: policy,
        })
    }
}

impl User {
    fn new(path: &str, created: DateTime<Utc>) -> Self {
        Self {
            id: unique_id("AIDA"),
            path: path.to_owned(),
            created,
            policies: BTreeMap::new(),
            attached: BTreeSet::new(),
        }
    }

    fn arn(&self, account: &str, name: &str) -> String {
        format!("arn:aws:iam::{account}:user{}{name}", self.path)
    }
}

/// A fresh pair of keys.
pub(crate) fn new_access_key() -> AccessKey {
    AccessKey {
        access_key_id: unique_id("AKIA"),
        secret_access_key: random_secret(),
    }
}

/// A 20 character id with the prefix that AWS gives to its kind.
fn unique_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(uuid::Uuid::new_v4().as_bytes());
    let tail = digest
        .iter()
        .take(16)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    prefix.chars().chain(tail).collect()
}

fn random_secret() -> String {
    let digest = Sha256::digest([*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat());
    hex::encode(&digest[..20])
}

/// The canonical user id that S3 shows as an account's owner id.
pub(crate) fn canonical_user_id(account: &str) -> String {
    hex::encode(Sha256::digest(format!("canonical-user/{account}")))
}
