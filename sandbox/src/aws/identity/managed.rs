//! What IAM's own API makes: users with paths, customer managed policies, and access keys of users.
//!
//! Quotas: IAM user guide, "IAM and AWS STS quotas".

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::key::{AccessKey, Credential, KeyOwner, KeyRecord, new_access_key};
use super::{Identities, Principal, State, User, unique_id};
use crate::aws::policy::PolicyDocument;

/// Access keys that a user may have, inactive ones included.
pub(crate) const KEYS_PER_USER: usize = 2;
/// Managed policies that may be attached to a user.
pub(crate) const POLICIES_PER_USER: usize = 10;

/// A customer managed policy.
#[derive(Clone, Debug)]
pub(crate) struct ManagedPolicy {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `/` or `/division/team/`.
    pub(crate) path: String,
    pub(crate) arn: String,
    pub(crate) created: DateTime<Utc>,
    /// As it was given.
    pub(crate) text: String,
    pub(crate) document: Arc<PolicyDocument>,
}

/// What IAM tells of a user.
#[derive(Clone, Debug)]
pub(crate) struct UserFacts {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created: DateTime<Utc>,
}

/// What IAM tells of an access key after it has been made.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts {
    pub(crate) access_key_id: String,
    pub(crate) active: bool,
    pub(crate) created: DateTime<Utc>,
}

/// Why IAM does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IamFailure {
    UserExists(String),
    PolicyExists(String),
    NoUser(String),
    NoPolicy(String),
    /// The policy's ARN, and the version that it does not have.
    NoVersion(String, String),
    /// The quota's name and size.
    Quota(&'static str, usize),
}

impl Identities {
    /// How long keys of [`Identities::issue_key`] stay unknown to the services.
    pub(crate) fn set_key_delay(&self, delay: Duration) {
        self.write(|state| state.key_delay = delay);
    }

    pub(crate) fn create_user_at(&self, account: &str, path: &str, name: &str) -> Result<UserFacts, IamFailure> {
        let user = User::new(path, self.clock.now());
        self.write(|state| {
            let users = &mut state.accounts.get_mut(account).ok_or_else(|| no_user(name))?.users;
            // IAM keeps the case of names, and takes names that differ in case alone for the same.
            if users.keys().any(|present| present.eq_ignore_ascii_case(name)) {
                return Err(IamFailure::UserExists(name.to_owned()));
            }
            let facts = user.facts(account, name);
            users.insert(name.to_owned(), user);
            Ok(facts)
        })
    }

    pub(crate) fn user_facts(&self, account: &str, name: &str) -> Result<UserFacts, IamFailure> {
        self.read(|state| Ok(user(state, account, name)?.facts(account, name)))
    }

    pub(crate) fn create_managed_policy(
        &self,
        account: &str,
        path: &str,
        name: &str,
        text: &str,
        document: PolicyDocument,
    ) -> Result<ManagedPolicy, IamFailure> {
        let policy = ManagedPolicy {
            id: unique_id("ANPA"),
            name: name.to_owned(),
            path: path.to_owned(),
            arn: format!("arn:aws:iam::{account}:policy{path}{name}"),
            created: self.clock.now(),
            text: text.to_owned(),
            document: Arc::new(document),
        };
        self.write(|state| {
            let missing = || IamFailure::NoPolicy(policy.arn.clone());
            let managed = &mut state.accounts.get_mut(account).ok_or_else(missing)?.managed;
            // A name is taken for all paths.
            if managed.values().any(|present| present.name.eq_ignore_ascii_case(name)) {
                return Err(IamFailure::PolicyExists(name.to_owned()));
            }
            managed.insert(policy.arn.clone(), policy.clone());
            Ok(policy)
        })
    }

    /// The policy and how many users it is attached to.
    pub(crate) fn managed_policy(&self, account: &str, arn: &str) -> Result<(ManagedPolicy, usize), IamFailure> {
        self.read(|state| {
            let missing = || IamFailure::NoPolicy(arn.to_owned());
            let account = state.accounts.get(account).ok_or_else(missing)?;
            let policy = account.managed.get(arn).ok_or_else(missing)?;
            let attached = account.users.values().filter(|user| user.attached.contains(arn));
            Ok((policy.clone(), attached.count()))
        })
    }

    pub(crate) fn attach_policy(&self, account: &str, name: &str, arn: &str) -> Result<(), IamFailure> {
        self.write(|state| {
            let account = state.accounts.get_mut(account).ok_or_else(|| no_user(name))?;
            let user = account.users.get_mut(name).ok_or_else(|| no_user(name))?;
            if !account.managed.contains_key(arn) {
                return Err(IamFailure::NoPolicy(arn.to_owned()));
            }
            if !user.attached.contains(arn) && user.attached.len() == POLICIES_PER_USER {
                return Err(IamFailure::Quota("PoliciesPerUser", POLICIES_PER_USER));
            }
            user.attached.insert(arn.to_owned());
            Ok(())
        })
    }

    /// The managed policies of a user, by ARN.
    pub(crate) fn attached_policies(&self, account: &str, name: &str) -> Result<Vec<ManagedPolicy>, IamFailure> {
        self.read(|state| {
            let attached = &user(state, account, name)?.attached;
            let managed = &state.accounts.get(account).ok_or_else(|| no_user(name))?.managed;
            Ok(attached.iter().filter_map(|arn| managed.get(arn)).cloned().collect())
        })
    }

    /// Makes a key of a user, which works after the delay of [`Identities::set_key_delay`].
    pub(crate) fn issue_key(&self, account: &str, name: &str) -> Result<(AccessKey, KeyFacts), IamFailure> {
        let key = new_access_key();
        let now = self.clock.now();
        self.write(|state| {
            user(state, account, name)?;
            if state.keys_of(account, name).count() >= KEYS_PER_USER {
                return Err(IamFailure::Quota("AccessKeysPerUser", KEYS_PER_USER));
            }
            let record = KeyRecord {
                credential: Credential {
                    secret: key.secret_access_key.clone(),
                    session: None,
                    owner: KeyOwner::User {
                        account: account.to_owned(),
                        user: name.to_owned(),
                    },
                },
                active: true,
                created: now,
                usable_from: now + state.key_delay,
            };
            let facts = record.facts(&key.access_key_id);
            state.keys.insert(key.access_key_id.clone(), record);
            Ok((key, facts))
        })
    }

    /// The keys of a user, oldest first.
    pub(crate) fn keys_of(&self, account: &str, name: &str) -> Result<Vec<KeyFacts>, IamFailure> {
        self.read(|state| {
            user(state, account, name)?;
            let mut keys: Vec<KeyFacts> = state
                .keys_of(account, name)
                .map(|(id, record)| record.facts(id))
                .collect();
            keys.sort_by(|a, b| (a.created, &a.access_key_id).cmp(&(b.created, &b.access_key_id)));
            Ok(keys)
        })
    }

    /// The user or role of an IAM ARN as it would call: with its present policies. `None` for what does not exist.
    pub(crate) fn principal_at(&self, arn: &str) -> Option<Principal> {
        let (account, resource) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
        let (kind, name) = resource.split_once('/')?;
        self.read(|state| {
            let record = state.accounts.get(account)?;
            match kind {
                "user" => record.user_principal(account, record.user_at(name)?.0),
                "role" => record.session_principal(account, name, "simulated", None),
                _ => None,
            }
        })
    }
}

impl State {
    fn keys_of(&self, account: &str, name: &str) -> impl Iterator<Item = (&String, &KeyRecord)> {
        self.keys
            .iter()
            .filter(move |(_, record)| match &record.credential.owner {
                KeyOwner::User { account: of, user } => of == account && user == name,
                _ => false,
            })
    }
}

impl User {
    fn facts(&self, account: &str, name: &str) -> UserFacts {
        UserFacts {
            name: name.to_owned(),
            path: self.path.clone(),
            id: self.id.clone(),
            arn: self.arn(account, name),
            created: self.created,
        }
    }
}

impl KeyRecord {
    fn facts(&self, access_key_id: &str) -> KeyFacts {
        KeyFacts {
            access_key_id: access_key_id.to_owned(),
            active: self.active,
            created: self.created,
        }
    }
}

fn user<'a>(state: &'a State, account: &str, name: &str) -> Result<&'a User, IamFailure> {
    let account = state.accounts.get(account).ok_or_else(|| no_user(name))?;
    account.users.get(name).ok_or_else(|| no_user(name))
}

fn no_user(name: &str) -> IamFailure {
    IamFailure::NoUser(name.to_owned())
}
