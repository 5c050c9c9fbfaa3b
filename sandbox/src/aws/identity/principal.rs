//! Callers, with the policies that bind them at the moment of the call.

use std::sync::Arc;

use super::Account;
use crate::aws::policy::PolicyDocument;

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
    /// What the organisation denies to the account.
    pub(crate) service_control: Vec<Arc<PolicyDocument>>,
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
            service_control: Vec::new(),
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

impl Account {
    pub(super) fn root_principal(&self, account: &str) -> Principal {
        Principal {
            kind: PrincipalKind::Root,
            account: account.to_owned(),
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.to_owned(),
            organization: self.organization.clone(),
            ..Principal::anonymous()
        }
    }

    pub(super) fn user_principal(&self, account: &str, name: &str) -> Option<Principal> {
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

    pub(super) fn session_principal(
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
            policies: record.policies.values().cloned().collect(),
            session_policy: policy,
            ..Principal::anonymous()
        })
    }
}
