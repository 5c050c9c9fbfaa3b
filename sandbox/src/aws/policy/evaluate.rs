//! The decision (IAM user guide, "Policy evaluation logic"): an explicit deny wins; inside one account either the
//! identity or the resource may allow; across accounts both must.

use std::sync::Arc;

use super::{Clause, Context, PolicyDocument, Principals, Statement, matches, matches_ignoring_case};
use crate::aws::identity::{Principal, PrincipalKind};

/// One question: may this principal do this to that?
pub(crate) struct Authorization<'a> {
    pub(crate) principal: &'a Principal,
    /// For example `s3:GetObject`.
    pub(crate) action: &'a str,
    /// The ARN, or `*` where the action has no resource.
    pub(crate) resource: &'a str,
    /// The account that owns the resource; `None` where the action concerns the caller's own account.
    pub(crate) resource_account: Option<&'a str>,
    pub(crate) resource_policy: Option<&'a PolicyDocument>,
    pub(crate) context: &'a Context,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    Denied(Denial),
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    /// A `Deny` statement matched; otherwise nothing allowed it.
    pub(crate) explicit: bool,
    pub(crate) by: DeniedBy,
}

/// The kind of policy that refused or did not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeniedBy {
    Identity,
    Resource,
    Session,
    ServiceControl,
}

/// Whether a trust policy lets a principal assume its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrustDecision {
    /// The policy names the principal itself: inside its account nothing more is needed.
    Direct,
    /// The policy names the principal's account, which must itself allow the principal.
    ThroughAccount,
    Denied,
    ExplicitlyDenied,
}

/// How far a resource policy goes for a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    None,
    ThroughAccount,
    Direct,
}

impl Authorization<'_> {
    /// Decides.
    pub(crate) fn decide(&self) -> Decision {
        let identity = self.principal.policies.iter().map(Arc::as_ref);
        let denied = |explicit, by| Decision::Denied(Denial { explicit, by });
        let mut service_control = self.principal.service_control.iter();
        if service_control.any(|policy| self.matches_any(policy, false)) {
            return denied(true, DeniedBy::ServiceControl);
        }
        if identity.clone().any(|policy| self.matches_any(policy, false)) {
            return denied(true, DeniedBy::Identity);
        }
        if self.resource_policy.is_some_and(|policy| self.resource_denies(policy)) {
            return denied(true, DeniedBy::Resource);
        }
        if let Some(session) = &self.principal.session_policy {
            if self.matches_any(session, false) {
                return denied(true, DeniedBy::Session);
            }
            if !self.matches_any(session, true) {
                return denied(false, DeniedBy::Session);
            }
        }
        let grant = self.resource_policy.map_or(Grant::None, |policy| self.grant(policy));
        // Anonymous callers and services have no identity policies: only the resource can allow them.
        if matches!(self.principal.kind, PrincipalKind::Anonymous | PrincipalKind::Service) {
            return match grant {
                Grant::Direct => Decision::Allowed,
                _ => denied(false, DeniedBy::Resource),
            };
        }
        let identity_allows =
            self.principal.kind == PrincipalKind::Root || identity.clone().any(|policy| self.matches_any(policy, true));
        let same_account = self
            .resource_account
            .is_none_or(|owner| owner == self.principal.account);
        match (same_account, identity_allows, grant) {
            (true, true, _) | (true, false, Grant::Direct) => Decision::Allowed,
            (false, true, Grant::Direct | Grant::ThroughAccount) => Decision::Allowed,
            (_, false, _) => denied(false, DeniedBy::Identity),
            (false, true, Grant::None) => denied(false, DeniedBy::Resource),
        }
    }

    /// Whether an identity policy has a statement of this effect that applies.
    fn matches_any(&self, policy: &PolicyDocument, allow: bool) -> bool {
        policy
            .statements
            .iter()
            .any(|statement| statement.allow == allow && self.applies(statement))
    }

    fn resource_denies(&self, policy: &PolicyDocument) -> bool {
        policy.statements.iter().any(|statement| {
            !statement.allow
                && statement
                    .principals
                    .as_ref()
                    .is_some_and(|named| named.grant(self.principal) != Grant::None)
                && self.applies(statement)
        })
    }

    fn grant(&self, policy: &PolicyDocument) -> Grant {
        let mut best = Grant::None;
        for statement in policy
            .statements
            .iter()
            .filter(|statement| statement.allow && self.applies(statement))
        {
            match statement
                .principals
                .as_ref()
                .map_or(Grant::None, |named| named.grant(self.principal))
            {
                Grant::Direct => return Grant::Direct,
                Grant::ThroughAccount => best = Grant::ThroughAccount,
                Grant::None => {}
            }
        }
        best
    }

    /// Everything but the principal.
    fn applies(&self, statement: &Statement) -> bool {
        statement
            .actions
            .covers(|pattern| matches_ignoring_case(pattern, self.action))
            && statement.resources.as_ref().is_none_or(|resources| {
                resources.covers(|pattern| {
                    self.context
                        .substitute(pattern)
                        .is_some_and(|pattern| matches(&pattern, self.resource))
                })
            })
            && statement
                .conditions
                .iter()
                .all(|condition| condition.holds(self.context))
    }
}

impl Clause {
    fn covers(&self, matches: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern)) != self.negated
    }
}

impl Principals {
    fn grant(&self, principal: &Principal) -> Grant {
        let named = self.named(principal);
        match (self.negated, named) {
            (false, named) => named,
            (true, Grant::None) => Grant::Direct,
            (true, _) => Grant::None,
        }
    }

    fn named(&self, principal: &Principal) -> Grant {
        if principal.kind == PrincipalKind::Service {
            let by_name = self.services.contains(&principal.arn);
            return if by_name || self.anyone {
                Grant::Direct
            } else {
                Grant::None
            };
        }
        if self.anyone {
            return Grant::Direct;
        }
        if principal.kind == PrincipalKind::Anonymous {
            return Grant::None;
        }
        let root = format!("arn:aws:iam::{}:root", principal.account);
        let mut best = Grant::None;
        for name in &self.aws {
            if *name == principal.arn || principal.role_arn.as_deref() == Some(name) {
                return Grant::Direct;
            }
            if *name == root || *name == principal.account {
                best = Grant::ThroughAccount;
            }
        }
        best
    }
}

impl PolicyDocument {
    /// Evaluates a role's trust policy for `sts:AssumeRole`.
    pub(crate) fn trusts(&self, principal: &Principal, action: &str, context: &Context) -> TrustDecision {
        let mut decision = TrustDecision::Denied;
        for statement in &self.statements {
            let applies = statement
                .actions
                .covers(|pattern| matches_ignoring_case(pattern, action))
                && statement.conditions.iter().all(|condition| condition.holds(context));
            let grant = statement
                .principals
                .as_ref()
                .map_or(Grant::None, |named| named.grant(principal));
            if !applies || grant == Grant::None {
                continue;
            }
            if !statement.allow {
                return TrustDecision::ExplicitlyDenied;
            }
            match grant {
                Grant::Direct => decision = TrustDecision::Direct,
                _ if decision == TrustDecision::Denied => decision = TrustDecision::ThroughAccount,
                _ => {}
            }
        }
        decision
    }
}
