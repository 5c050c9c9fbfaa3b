//! `check_aws_access`: every permission that a connection needs, tried; and rights that it holds and does not need.
//!
//! What can be done without a trace is done; what cannot (rights to write, discovery in other services) is asked of IAM's
//! policy simulator, if the credential may ask it. A simulated answer is a hint, a tried one is proof; each row says which.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::catalog::{Account, AccountKind, CatalogState, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{Credential, LocationRoot, ManifestAnswer};

/// What `check_aws_access` is given.
#[derive(Debug, Clone, Copy)]
pub struct CheckAccess {
    /// The account; all connected ones by default.
    pub account_id: Option<AccountId>,
}

/// How a permission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Held.
    Allowed,
    /// Needed, and refused.
    Denied,
    /// Held, and not needed.
    Excess,
    /// Not to be found out.
    Unknown,
}

impl Outcome {
    /// The word in `system.permission_checks`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Excess => "excess",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One permission of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionCheck {
    /// What it is for: `import`, `detection`, `discovery`, `organization`; `nothing` for rights that are not needed.
    pub needed_for: String,
    /// The IAM action.
    pub action: String,
    /// The ARN or URI it was checked on.
    pub resource: String,
    /// How it stands.
    pub outcome: Outcome,
    /// Whether it was done, or asked of the simulator.
    pub simulated: bool,
    /// What AWS said.
    pub message: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What a check of one account found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionChecks {
    /// The account.
    pub account: AccountId,
    /// When.
    pub checked_at: DateTime<Utc>,
    /// The permissions.
    pub checks: Vec<PermissionCheck>,
}

/// What resource discovery reads (the onboarding guide's Resource Discovery Policy). Of `ec2:Describe*` and
/// `elasticloadbalancing:Describe*` the most used stand for the others.
const DISCOVERY: &[&str] = &[
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "ec2:DescribeSnapshots",
    "elasticloadbalancing:DescribeLoadBalancers",
    "s3:ListAllMyBuckets",
    "s3:GetBucketLocation",
    "s3:GetBucketTagging",
    "s3:GetBucketAcl",
    "s3:GetBucketPolicyStatus",
    "s3:GetBucketPublicAccessBlock",
    "iam:ListUsers",
    "iam:ListAccessKeys",
    "iam:GetAccessKeyLastUsed",
    "iam:GetLoginProfile",
    "cloudwatch:GetMetricStatistics",
];

/// Rights that a reader of bills must not need.
const EXCESS: &[&str] = &[
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:PutBucketPolicy",
    "iam:CreateAccessKey",
    "iam:AttachUserPolicy",
    "ec2:TerminateInstances",
    "bcm-data-exports:DeleteExport",
];

impl Connections {
    /// Tries the permissions of one connection or of all, and keeps the result for `system.permission_checks`.
    pub async fn check_access(&self, request: &CheckAccess, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_checks(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_checks(&self, request: &CheckAccess, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let lease = self.catalog.lease();
        let accounts: Vec<&Account> = lease
            .document
            .accounts
            .values()
            .filter(|account| request.account_id.is_none_or(|id| id == account.id))
            .collect();
        if accounts.is_empty() {
            return Err(match request.account_id {
                Some(id) => Error::new(ErrorKind::Missing, format!("account {id} is not connected")),
                None => Error::new(ErrorKind::Missing, "no account is connected"),
            }
            .with_hint("CALL connect_aws_root(...) connects one."));
        }
        for account in accounts {
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the check was cancelled"));
            }
            caller.notify.notify(&format!("Checking account {}.", account.id));
            let checks = PermissionChecks {
                account: account.id,
                checked_at: self.clock.now(),
                checks: self.checks_of(account, &lease).await?,
            };
            for check in &checks.checks {
                run.push(check_step(account.id, check));
            }
            let id = format!("{}-{}", run.id, account.id);
            self.permission_checks.put(&id, &checks).await?;
        }
        Ok(())
    }

    pub(super) async fn checks_of(&self, account: &Account, state: &CatalogState) -> Result<Vec<PermissionCheck>> {
        let credential = account.credential();
        if matches!(credential, Credential::Absent) {
            return Ok(vec![PermissionCheck {
                needed_for: "import".to_owned(),
                action: "none".to_owned(),
                resource: format!("account {}", account.id),
                outcome: Outcome::Allowed,
                simulated: false,
                message: Some("Declared without keys: its costs come from a folder.".to_owned()),
                remedy: None,
            }]);
        }
        let identity = tried(
            "import",
            "sts:GetCallerIdentity",
            "*",
            self.connector.identify(&credential).await.map(drop),
        )?;
        let usable = identity.outcome == Outcome::Allowed;
        let mut checks = vec![identity];
        if !usable {
            return Ok(checks);
        }
        if account.kind == AccountKind::Root {
            for export in state.document.exports.values().filter(|e| e.account == account.id) {
                checks.extend(self.reading(export, &credential).await?);
            }
            let exports = self.administration.list_exports(&credential).await.map(drop);
            checks.push(tried("detection", "bcm-data-exports:ListExports", "*", exports)?);
            let reports = self.administration.list_reports(&credential).await.map(drop);
            checks.push(tried("detection", "cur:DescribeReportDefinitions", "*", reports)?);
        }
        let organization = self.administration.organization(&credential).await.map(drop);
        checks.push(tried(
            "organization",
            "organizations:DescribeOrganization",
            "*",
            organization,
        )?);
        checks.extend(self.simulated(account, &credential).await?);
        Ok(checks)
    }

    /// Listing the bucket, and reading the newest manifest.
    async fn reading(&self, export: &Export, credential: &Credential) -> Result<Vec<PermissionCheck>> {
        if matches!(export.location.root, LocationRoot::Folder(_)) {
            return Ok(Vec::new());
        }
        let uri = export.location.uri();
        let report = self.source.probe(&export.location, credential).await;
        let newest = report.as_ref().ok().and_then(|report| report.periods.last().copied());
        let mut checks = vec![tried("import", "s3:ListBucket", &uri, report.map(drop))?];
        if let Some(period) = newest {
            let manifest = self
                .source
                .fetch_manifest(&export.location, credential, period, None)
                .await;
            let manifest = manifest.map(|answer| match answer {
                ManifestAnswer::Found(_) | ManifestAnswer::Unchanged | ManifestAnswer::Absent => (),
            });
            checks.push(tried("import", "s3:GetObject", &format!("{uri}/*"), manifest)?);
        }
        Ok(checks)
    }

    /// What IAM's simulator says of discovery, and of rights that are not needed.
    pub(super) async fn simulated(&self, account: &Account, credential: &Credential) -> Result<Vec<PermissionCheck>> {
        let Some(arn) = &account.arn else {
            return Ok(Vec::new());
        };
        let asked: Vec<&str> = DISCOVERY.iter().chain(EXCESS).copied().collect();
        let answers = match self
            .administration
            .simulate(credential, &principal_arn(arn), &asked, "*")
            .await
        {
            Ok(answers) => answers,
            Err(error) if refused(&error) => {
                return Ok(vec![PermissionCheck {
                    needed_for: "discovery".to_owned(),
                    action: "iam:SimulatePrincipalPolicy".to_owned(),
                    resource: arn.clone(),
                    outcome: Outcome::Unknown,
                    simulated: false,
                    message: Some(format!(
                        "Rights to discover resources and rights that are not needed cannot be looked at: {}",
                        error.message()
                    )),
                    remedy: error.hint().map(str::to_owned),
                }]);
            }
            Err(error) => return Err(error),
        };
        Ok(answers
            .into_iter()
            .map(|answer| {
                let (allowed, excess) = (answer.decision == "allowed", EXCESS.contains(&answer.action.as_str()));
                let (outcome, remedy) = match (allowed, excess) {
                    (true, true) => (
                        Outcome::Excess,
                        Some(format!("Farthing never needs {}: take it from the user's policies.", answer.action)),
                    ),
                    (true, false) | (false, true) => (Outcome::Allowed, None),
                    (false, false) => (
                        Outcome::Denied,
                        Some(format!(
                            "Allow it to the user of the access key: {{\"Effect\": \"Allow\", \"Action\": \"{}\", \"Resource\": \"*\"}}.",
                            answer.action
                        )),
                    ),
                };
                PermissionCheck {
                    needed_for: if excess { "nothing" } else { "discovery" }.to_owned(),
                    action: answer.action,
                    resource: answer.resource,
                    outcome,
                    simulated: true,
                    message: Some(match (allowed, excess) {
                        (false, true) => "Not held, as it should be.".to_owned(),
                        _ => format!("The policy simulator says {}.", answer.decision),
                    }),
                    remedy,
                }
            })
            .collect())
    }
}

/// The ARN that the simulator takes: of a session, its role.
fn principal_arn(arn: &str) -> String {
    match arn.split_once(":assumed-role/") {
        Some((head, rest)) => {
            let role = rest.split('/').next().unwrap_or(rest);
            format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1))
        }
        None => arn.to_owned(),
    }
}

/// Whether AWS's answer is about rights, so that it is a finding and not a failure of the check.
fn refused(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AwsRefused | ErrorKind::BadCredentials | ErrorKind::Missing
    )
}

fn tried(needed_for: &str, action: &str, resource: &str, outcome: Result<()>) -> Result<PermissionCheck> {
    let (outcome, message, remedy) = match outcome {
        Ok(()) => (Outcome::Allowed, None, None),
        Err(error) if refused(&error) => (
            Outcome::Denied,
            Some(error.message().to_owned()),
            error.hint().map(str::to_owned),
        ),
        Err(error) => return Err(error),
    };
    Ok(PermissionCheck {
        needed_for: needed_for.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        outcome,
        simulated: false,
        message,
        remedy,
    })
}

fn check_step(account: AccountId, check: &PermissionCheck) -> Step {
    let essential = check.needed_for == "import";
    let status = match (check.outcome, essential) {
        (Outcome::Allowed, _) => Status::Ok,
        (Outcome::Denied, true) => Status::Failed,
        _ => Status::Warning,
    };
    let detail = match &check.message {
        Some(message) => message.clone(),
        None => format!("{} is allowed.", check.action),
    };
    Step::new(Action::Check, format!("{} on {}", check.action, check.resource), status)
        .detail(detail)
        .evidence(serde_json::json!({
            "account_id": account, "needed_for": check.needed_for, "outcome": check.outcome,
            "simulated": check.simulated, "remedy": check.remedy,
        }))
}

#[cfg(test)]
mod tests {
    use super::principal_arn;

    #[test]
    fn sessions_are_simulated_as_their_role() {
        assert_eq!(
            principal_arn("arn:aws:sts::111122223333:assumed-role/reader/farthing"),
            "arn:aws:iam::111122223333:role/reader"
        );
        let user = "arn:aws-cn:iam::111122223333:user/bill-reader";
        assert_eq!(principal_arn(user), user);
    }
}
