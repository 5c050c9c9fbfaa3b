//! Organisations: which account manages and pays, and which accounts belong to it.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Identities, State};
use crate::aws::SandboxError;
use crate::aws::policy::{PolicyDocument, PolicyKind};

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Organization {
    /// `o-` and ten letters and digits.
    pub(crate) id: String,
    /// The account that manages and pays.
    pub(crate) management: String,
}

/// An account as its organisation lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: AccountState,
}

/// Where an account of an organisation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Invited or created, and not ready yet.
    PendingActivation,
    /// In use.
    Active,
    /// Suspended by AWS.
    Suspended,
    /// Its closing is under way.
    PendingClosure,
    /// Closed, and for 90 days still listed.
    Closed,
}

impl AccountState {
    /// `State` in the Organizations API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::PendingClosure => "PENDING_CLOSURE",
            Self::Closed => "CLOSED",
        }
    }

    /// `Status`, the older of the two, which has fewer words. An account that is not ready has none.
    pub(crate) fn older_name(self) -> Option<&'static str> {
        match self {
            Self::PendingActivation => None,
            Self::Active => Some("ACTIVE"),
            Self::PendingClosure => Some("PENDING_CLOSURE"),
            Self::Suspended | Self::Closed => Some("SUSPENDED"),
        }
    }
}

impl Identities {
    pub(crate) fn create_organization(&self, management: &str, members: &[&str]) -> Result<(), SandboxError> {
        let digest = hex::encode(Sha256::digest(format!("organization/{management}")));
        let id = format!("o-{}", &digest[..10]);
        self.write(|state| {
            let all = || std::iter::once(&management).chain(members);
            for account in all() {
                match state.accounts.get(*account) {
                    None => return Err(SandboxError::NotFound(format!("account {account}"))),
                    Some(record) if record.organization.is_some() => {
                        let text = format!("an organization with the account {account}");
                        return Err(SandboxError::AlreadyExists(text));
                    }
                    Some(_) => {}
                }
            }
            for account in all() {
                if let Some(record) = state.accounts.get_mut(*account) {
                    record.organization = Some(id.clone());
                }
            }
            let organization = Organization {
                id: id.clone(),
                management: management.to_owned(),
            };
            state.organizations.insert(id, organization);
            Ok(())
        })
    }

    pub(crate) fn set_account_state(&self, account: &str, to: AccountState) -> Result<(), SandboxError> {
        self.in_account(account, |account| {
            account.state = to;
            Ok(())
        })
    }

    pub(crate) fn attach_service_control_policy(&self, account: &str, text: &str) -> Result<(), SandboxError> {
        // A service control policy is written as an identity policy is: without principals.
        let policy = Arc::new(PolicyDocument::parse(text, PolicyKind::Identity)?);
        self.in_account(account, |record| match &record.organization {
            None => Err(SandboxError::NotFound(format!(
                "an organization with the account {account}"
            ))),
            Some(_) => {
                record.service_control.push(policy);
                Ok(())
            }
        })
    }

    pub(crate) fn detach_service_control_policies(&self, account: &str) -> Result<(), SandboxError> {
        self.in_account(account, |record| {
            record.service_control.clear();
            Ok(())
        })
    }

    /// The organisation that an account belongs to.
    pub(crate) fn organization_of(&self, account: &str) -> Option<Organization> {
        self.read(|state| {
            let id = state.accounts.get(account)?.organization.as_ref()?;
            state.organizations.get(id).cloned()
        })
    }

    /// The accounts of an organisation, in order of id.
    pub(crate) fn members(&self, organization: &str) -> Vec<Member> {
        self.read(|state| {
            let accounts = state.accounts.iter();
            let members = accounts.filter(|(_, account)| account.organization.as_deref() == Some(organization));
            members
                .map(|(id, account)| Member {
                    id: id.clone(),
                    name: account.name.clone(),
                    state: account.state,
                })
                .collect()
        })
    }
}

impl State {
    /// What the organisation denies to an account. The management account is bound by none (Organizations user guide,
    /// "Service control policies").
    pub(super) fn service_control(&self, account: &str) -> Vec<Arc<PolicyDocument>> {
        let Some(record) = self.accounts.get(account) else {
            return Vec::new();
        };
        let organization = record.organization.as_ref().and_then(|id| self.organizations.get(id));
        match organization {
            Some(organization) if organization.management != account => record.service_control.clone(),
            _ => Vec::new(),
        }
    }
}
