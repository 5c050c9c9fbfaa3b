//! `setup_aws_iam_user`: with an administrator's key, makes a policy, a user and an access key, and connects with that key.
//!
//! The administrator's key is used for this call and kept nowhere. Policy, user and attachment are found again by a repeated
//! call; an access key is made only while the account is not connected through the user, since AWS shows its secret once and
//! allows two for each user. What was made is listed, with the commands that remove it.

use std::time::Duration;

use super::connect_linked::ConnectLinked;
use super::connect_root::ConnectRoot;
use super::location::LocationParts;
use super::policy::{self, Mode, Names};
use super::role::partition_of;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{AccessKey, Credential, Identity, LocationRoot};

/// New users and keys are known everywhere in AWS after some seconds (IAM user guide, "Changes that I make are not always
/// immediately visible").
const KEY_TRIES: u32 = 20;
const KEY_WAIT: Duration = Duration::from_secs(1);

/// What `setup_aws_iam_user` is given.
#[derive(Debug, Clone)]
pub struct SetupUser {
    /// The administrator's key or stored secret.
    pub credential: GivenCredential,
    /// The account, where the caller wants it checked.
    pub account_id: Option<AccountId>,
    /// A name for people.
    pub account_name: Option<String>,
    /// The export that the user is to read; `None` for a linked account, whose user reads none.
    pub location: Option<LocationParts>,
    /// The user's name.
    pub user_name: String,
    /// Whether it only plans.
    pub dry_run: bool,
}

struct Plan {
    identity: Identity,
    admin: Credential,
    user_arn: String,
    policy_name: String,
    document: serde_json::Value,
}

impl Connections {
    /// Makes the user that reads bills, and connects its account.
    pub async fn setup_user(&self, request: &SetupUser, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_setup(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_setup(&self, request: &SetupUser, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let plan = self.plan_user(request, run).await?;
        let account = plan.identity.account;
        let lease = self.catalog.lease();
        let connected = lease.document.accounts.get(&account);
        if connected.is_some_and(|account| account.arn.as_deref() == Some(&plan.user_arn)) {
            run.push(
                Step::new(Action::Reuse, plan.user_arn, Status::Ok)
                    .detail(format!("Account {account} is connected through this user already.")),
            );
            return Ok(());
        }
        if request.dry_run {
            push_planned(request, &plan, run);
            return Ok(());
        }
        let held = self.lock(format!("user of account {account}"), run)?;
        let key = self.make_user(request, &plan, run, caller).await?;
        self.wait_for(&key, run, caller).await?;
        drop(held);
        self.connect_user(request, key, run, caller).await?;
        run.push(removal_step(request, &plan));
        Ok(())
    }

    /// Everything that only reads.
    async fn plan_user(&self, request: &SetupUser, run: &mut Run) -> Result<Plan> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        // IAM API reference, CreateUser.
        if !(1..=64).contains(&request.user_name.len()) || !request.user_name.chars().all(allowed) {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("\"{}\" cannot be the name of an IAM user", request.user_name),
            )
            .with_hint("AWS allows 1 to 64 characters of A-Z, a-z, 0-9 and +=,.@_-."));
        }
        let location = request.location.as_ref().map(LocationParts::resolve).transpose()?;
        let (admin, _) = self.resolve(&request.credential).await?;
        let identity = self.connector.identify(&admin).await?;
        run.push(super::connect_root::identity_step(&identity));
        let account = identity.account;
        if let Some(expected) = request.account_id.filter(|expected| *expected != account) {
            return Err(Error::new(
                ErrorKind::BadCredentials,
                format!("the credential belongs to account {account}, and account_id says {expected}"),
            )
            .with_hint("Use an administrator's key of the account that you name."));
        }
        let partition = partition_of(&identity.arn);
        let mut names = Names {
            partition,
            account: Some(account),
            ..Names::default()
        };
        let (mode, suffix) = match &location {
            None => (Mode::Linked, "discovery"),
            Some(location) => {
                let LocationRoot::Bucket { name, .. } = &location.root else {
                    return Err(
                        Error::new(ErrorKind::BadValue, "the export of a folder needs no IAM user")
                            .with_hint("CALL connect_aws_root(location => 'file:///...') connects it."),
                    );
                };
                names.bucket = Some(name.clone());
                names.prefix = Some(location.prefix.clone());
                names.export_name = Some(location.export_name.clone());
                (Mode::Detect, "billing")
            }
        };
        Ok(Plan {
            user_arn: format!("arn:{}:iam::{account}:user/{}", partition.as_str(), request.user_name),
            policy_name: format!("{}-{suffix}", request.user_name),
            document: policy::iam_policy(mode, &names)?,
            identity,
            admin,
        })
    }

    /// Policy, user, attachment and key, in this order; each is recorded before the next.
    async fn make_user(
        &self,
        request: &SetupUser,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<AccessKey> {
        let (admin, user) = (&plan.admin, request.user_name.as_str());
        caller.notify.notify(&format!("Making the IAM user {user}."));
        let document = plan.document.to_string();
        let policy_arn = self
            .administration
            .create_policy(admin, &plan.policy_name, &document)
            .await?;
        run.push(
            Step::new(Action::Create, policy_arn.clone(), Status::Ok)
                .detail("The policy is there.")
                .evidence(serde_json::json!({ "policy": plan.document })),
        );
        self.runs.put(&run.id, &run.record).await?;
        self.administration.create_user(admin, user).await?;
        self.administration.attach_user_policy(admin, user, &policy_arn).await?;
        run.push(
            Step::new(Action::Create, plan.user_arn.clone(), Status::Ok)
                .detail("The user is there, and has the policy and no other right."),
        );
        run.push(
            Step::new(Action::Create, format!("access key of {user}"), Status::Pending).detail(
                "An access key is being made; if the call ends here, delete a key of the user that nothing uses.",
            ),
        );
        self.runs.put(&run.id, &run.record).await?;
        let key = self.administration.create_access_key(admin, user).await?;
        run.record.steps.pop();
        run.push(
            Step::new(Action::Create, format!("access key of {user}"), Status::Ok).detail(format!(
                "Access key {} is made.",
                super::shown_key_id(&key.access_key_id)
            )),
        );
        Ok(key)
    }

    /// Waits until AWS knows the key.
    async fn wait_for(&self, key: &AccessKey, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let credential = Credential::Inline(key.clone());
        let mut tries = 1;
        loop {
            match self.connector.identify(&credential).await {
                Ok(identity) => {
                    run.push(super::connect_root::identity_step(&identity));
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::BadCredentials && tries < KEY_TRIES => {
                    if tries == 1 {
                        caller.notify.notify("Waiting until AWS knows the new key.");
                    }
                    tries += 1;
                    self.clock.sleep(KEY_WAIT).await;
                }
                Err(error) => return Err(error),
            }
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the call was cancelled"));
            }
        }
    }

    async fn connect_user(
        &self,
        request: &SetupUser,
        key: AccessKey,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<()> {
        let credential = GivenCredential::Key(key);
        match &request.location {
            Some(location) => {
                let root = ConnectRoot {
                    credential,
                    account_id: None,
                    account_name: request.account_name.clone(),
                    location: location.clone(),
                    replace: false,
                    wait: true,
                    dry_run: false,
                };
                self.run_root(&root, run, caller).await
            }
            None => {
                let linked = ConnectLinked {
                    credential,
                    account_id: None,
                    account_name: request.account_name.clone(),
                    dry_run: false,
                };
                self.run_linked(&linked, run).await
            }
        }
    }
}

fn push_planned(request: &SetupUser, plan: &Plan, run: &mut Run) {
    for (object, detail, actions) in [
        (
            format!("policy {}", plan.policy_name),
            "Would make the policy.",
            "iam:CreatePolicy",
        ),
        (
            plan.user_arn.clone(),
            "Would make the user and attach the policy.",
            "iam:CreateUser",
        ),
        (
            format!("access key of {}", request.user_name),
            "Would make an access key, store it encrypted, and connect with it.",
            "iam:CreateAccessKey",
        ),
    ] {
        let mut evidence = serde_json::json!({ "required_actions": [actions] });
        match actions {
            "iam:CreatePolicy" => evidence["policy"] = plan.document.clone(),
            "iam:CreateUser" => evidence["required_actions"] = serde_json::json!([actions, "iam:AttachUserPolicy"]),
            _ => {}
        }
        run.push(
            Step::new(Action::Create, object, Status::Planned)
                .detail(detail)
                .evidence(evidence),
        );
    }
}

fn removal_step(request: &SetupUser, plan: &Plan) -> Step {
    let user = &request.user_name;
    let policy = plan
        .user_arn
        .replacen(&format!(":user/{user}"), &format!(":policy/{}", plan.policy_name), 1);
    Step::new(Action::Check, plan.user_arn.clone(), Status::Ok)
        .detail("What was made in AWS stays until you remove it: disconnect the account first, then run the commands in evidence.")
        .evidence(serde_json::json!({ "removal": [
            format!("aws iam detach-user-policy --user-name {user} --policy-arn {policy}"),
            format!("aws iam delete-access-key --user-name {user} --access-key-id <id>"),
            format!("aws iam delete-user --user-name {user}"),
            format!("aws iam delete-policy --policy-arn {policy}"),
        ] }))
        .next_sql(format!("CALL disconnect_aws_account(account_id => '{}');", plan.identity.account))
}
