//! What a linked account's credential may look up, and whose the account is. Nothing here keeps an account from being
//! connected: its costs need no right at all.

use std::collections::BTreeMap;

use serde_json::json;

use crate::account::check_access::{Outcome, PermissionCheck};
use crate::account::run::{Action, Run, Status, Step};
use crate::account::{Connections, Coverage};
use crate::catalog::{Account, AccountKind, CatalogState};
use crate::error::ErrorKind;
use crate::id::AccountId;
use crate::port::{Credential, OrganizationAccount};

/// The features of discovery: the name that `aws_iam_policy` takes, the prefix of its actions, and what it is for.
const FEATURES: [(&str, &str, &str); 5] = [
    ("ec2", "ec2:", "instances, volumes and snapshots"),
    ("elb", "elasticloadbalancing:", "load balancers"),
    ("s3", "s3:", "buckets"),
    ("iam", "iam:", "users and the age of their keys"),
    ("cloudwatch", "cloudwatch:", "metrics"),
];

/// What the connected roots say of an account that the data does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// The organization of this root lists it.
    Of(AccountId, OrganizationAccount),
    /// Every root was asked, and none has it.
    Nobodys,
    /// Not every root may be asked: which, and why.
    Unknown(AccountId, String),
}

impl Connections {
    /// One row for each feature of discovery: allowed, denied, or unknown where IAM's simulator may not be asked.
    pub(super) async fn push_discovery(&self, account: &Account, credential: &Credential, run: &mut Run) {
        if matches!(credential, Credential::Absent) {
            return;
        }
        let simulated = self.simulated(account, credential).await;
        let (checks, unknown) = match simulated {
            Ok(checks) => {
                let unknown = checks.iter().find(|check| check.outcome == Outcome::Unknown);
                let unknown = unknown.and_then(|check| check.message.clone());
                (checks, unknown)
            }
            Err(error) => (Vec::new(), Some(error.message().to_owned())),
        };
        for (feature, prefix, what) in FEATURES {
            let of_feature =
                |check: &&PermissionCheck| check.needed_for == "discovery" && check.action.starts_with(prefix);
            let checks: Vec<&PermissionCheck> = checks
                .iter()
                .filter(of_feature)
                .filter(|check| check.outcome != Outcome::Unknown)
                .collect();
            run.push(feature_step((feature, what), account.id, &checks, unknown.as_deref()));
        }
    }

    /// Asks the organizations of the connected roots for an account.
    pub(super) async fn membership(&self, account: AccountId, state: &CatalogState) -> Membership {
        let mut unknown = None;
        let roots = state
            .document
            .accounts
            .values()
            .filter(|root| root.kind == AccountKind::Root);
        for root in roots {
            let credential = root.credential();
            if matches!(credential, Credential::Absent) {
                continue;
            }
            match self.administration.organization_accounts(&credential).await {
                Ok(listed) => {
                    if let Some(found) = listed.into_iter().find(|listed| listed.id == account) {
                        return Membership::Of(root.id, found);
                    }
                }
                // A root without an organization has no members.
                Err(error) if error.kind() == ErrorKind::Missing => {}
                Err(error) => unknown = Some((root.id, error.message().to_owned())),
            }
        }
        match unknown {
            Some((root, why)) => Membership::Unknown(root, why),
            None => Membership::Nobodys,
        }
    }
}

fn feature_step(
    (feature, what): (&str, &str),
    account: AccountId,
    checks: &[&PermissionCheck],
    unknown: Option<&str>,
) -> Step {
    let denied: Vec<&str> = checks
        .iter()
        .filter(|check| check.outcome == Outcome::Denied)
        .map(|check| check.action.as_str())
        .collect();
    let (outcome, status, detail) = match (checks, denied.as_slice()) {
        ([], _) => (
            Outcome::Unknown,
            Status::Ok,
            format!(
                "Whether the credential may look up {what} is not known: {}",
                unknown.unwrap_or("IAM's simulator does not say")
            ),
        ),
        (_, []) => (
            Outcome::Allowed,
            Status::Ok,
            format!("IAM's simulator says that the credential may look up {what}."),
        ),
        (_, denied) => (
            Outcome::Denied,
            Status::Warning,
            format!(
                "IAM's simulator says that the credential may not look up {what}: {}. Its costs are visible all the same.",
                denied.join(", ")
            ),
        ),
    };
    let actions: BTreeMap<&str, &str> = checks
        .iter()
        .map(|check| (check.action.as_str(), check.outcome.as_str()))
        .collect();
    let action = match outcome {
        Outcome::Unknown => Action::Skip,
        _ => Action::Check,
    };
    let step = Step::new(action, format!("discovery: {feature} of account {account}"), status)
        .detail(detail)
        .evidence(json!({ "feature": feature, "outcome": outcome, "actions": actions }));
    match outcome {
        Outcome::Denied => step.next_sql(format!(
            "SELECT aws_iam_policy(mode => 'linked', account_id => '{account}', features => '{feature}');"
        )),
        _ => step,
    }
}

/// Whether the data of the connected roots, or else their organizations, have the account.
pub(super) fn coverage_step(
    account: AccountId,
    found: Option<&Coverage>,
    membership: Option<&Membership>,
    state: &CatalogState,
) -> Step {
    let object = format!("account {account}");
    if let Some(found) = found {
        return Step::new(Action::Check, object, Status::Ok)
            .detail(format!(
                "The data holds {} rows of it in {} months.",
                found.rows,
                found.periods.len()
            ))
            .evidence(json!({
                "rows": found.rows, "periods": found.periods, "unblended_cost": found.unblended,
                "account_name": found.account_name,
            }));
    }
    if state.document.exports.is_empty() {
        return Step::new(Action::Check, object, Status::Pending)
            .detail("No root is connected yet, so there are no costs to see.")
            .next_sql("CALL connect_aws_root(location => 's3://<bucket>/<prefix>/<export>', access_key_id => '<key>', secret_access_key => '<secret>');");
    }
    match membership {
        Some(Membership::Of(root, listed)) => Step::new(Action::Check, object, Status::Ok)
            .detail(format!(
                "The data does not name it yet. The organization of root {root} has it as \"{}\", {}: its costs come with a \
                 later delivery, once it has some.",
                listed.name, listed.state
            ))
            .evidence(json!({ "root": root, "account_name": listed.name, "state": listed.state })),
        Some(Membership::Unknown(root, why)) => Step::new(Action::Check, object, Status::Warning)
            .detail(format!(
                "The data of the connected roots does not name this account: is it a member of another organization, or too new? \
                 The organization of root {root} cannot be asked: {why}"
            ))
            .evidence(json!({ "root": root })),
        Some(Membership::Nobodys) | None => Step::new(Action::Check, object, Status::Warning).detail(
            "Neither the data of the connected roots nor their organizations name this account: it is a member of another \
             organization, or of none.",
        ),
    }
}
