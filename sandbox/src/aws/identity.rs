//! Accounts, and the users and roles in them.

mod inventory;
pub(crate) mod key;
pub(crate) mod managed;
pub(crate) mod organization;
mod principal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use self::key::{Credential, KeyOwner, KeyRecord};
use self::managed::ManagedPolicy;
use self::organization::{AccountState, Organization};
use super::SandboxError;
use super::clock::Clock;
use super::policy::{PolicyDocument, PolicyKind};

pub(crate) use self::principal::{Principal, PrincipalKind};

struct Account {
    name: String,
    users: BTreeMap<String, User>,
    roles: BTreeMap<String, Role>,
    /// Customer managed policies by ARN.
    managed: BTreeMap<String, ManagedPolicy>,
    /// The id of the organisation that it belongs to.
    organization: Option<String>,
    /// Service control policies besides `FullAWSAccess`, which AWS attaches to every account.
    service_control: Vec<Arc<PolicyDocument>>,
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
                service_control: Vec::new(),
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

    /// The caller behind a credential, with its present policies; `None` when it has been deleted meanwhile.
    pub(crate) fn principal(&self, credential: &Credential) -> Option<Principal> {
        self.read(|state| {
            let owner = &credential.owner;
            let record = state.accounts.get(owner.account())?;
            let mut principal = match owner {
                KeyOwner::Root { account } => Some(record.root_principal(account)),
                KeyOwner::User { account, user } => record.user_principal(account, user),
                KeyOwner::Session {
                    account,
                    role,
                    session,
                    policy,
                } => record.session_principal(account, role, session, policy.clone()),
            }?;
            principal.service_control = state.service_control(owner.account());
            Some(principal)
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

/// The canonical user id that S3 shows as an account's owner id.
pub(crate) fn canonical_user_id(account: &str) -> String {
    hex::encode(Sha256::digest(format!("canonical-user/{account}")))
}
