//! `setup_aws_iam_user`: with an administrator's key, makes a policy, a user and an access key, and connects with that key.
//!
//! The administrator's key is used for this call and kept nowhere. Policy, user and attachment are found again by a repeated
//! call, and each write is on record before and after. The policy's name ends in a hash of its document, so that a policy of
//! the wanted name says what is wanted; another document is another policy. What was made is listed, with the commands that
//! remove it.

mod key;
mod patience;

use sha2::{Digest, Sha256};

use serde_json::{Value, json};

use super::aws_write::{ATTACH_POLICY, CREATE_POLICY, CREATE_USER};
use super::connect_linked::ConnectLinked;
use super::connect_root::ConnectRoot;
use super::location::LocationParts;
use super::policy::{self, Mode, Names};
use super::role::partition_of;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential};
use crate::catalog::Account;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{AccountId, ExportId};
use crate::port::{Credential, ExportLocation, Identity, LocationRoot};
use key::UserKey;

/// Digits of the hash in a policy's name: enough for the few documents of one user.
const HASH_DIGITS: usize = 10;

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
    location: Option<ExportLocation>,
    user_arn: String,
    policy_name: String,
    policy_arn: String,
    document: Value,
}

impl Plan {
    fn account(&self) -> AccountId {
        self.identity.account
    }
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
        let _held = self.lock(format!("user of account {}", plan.account()), run)?;
        if let Some(key) = self.connected_key(&plan)? {
            run.push(
                Step::new(Action::Reuse, plan.user_arn.clone(), Status::Ok).detail(format!(
                    "Account {} is connected through this user already.",
                    plan.account()
                )),
            );
            return match request.dry_run {
                true => Ok(()),
                false => self.connect_user(request, key, run, caller).await,
            };
        }
        if request.dry_run {
            push_planned(request, &plan, run);
            return Ok(());
        }
        self.make_user(request, &plan, run, caller).await?;
        let key = self.user_key(request, &plan, run, caller).await?;
        self.wait_for_rights(&key, &plan, caller).await;
        self.connect_user(request, key, run, caller).await?;
        run.push(removal_step(request, &plan));
        Ok(())
    }

    /// The stored key, if the account is connected through the user, and through it with what is asked for.
    fn connected_key(&self, plan: &Plan) -> Result<Option<UserKey>> {
        let lease = self.catalog.lease();
        let of_user = |account: &&Account| account.arn.as_deref() == Some(&plan.user_arn);
        let Some(account) = lease.document.accounts.get(&plan.account()).filter(of_user) else {
            return Ok(None);
        };
        if let Some(location) = &plan.location {
            let id = ExportId::of_export_name(&location.export_name)?;
            let present = lease.document.exports.get(&id);
            let same = present.is_some_and(|present| super::connect_root::same_place(&present.location, location));
            if !same {
                return Ok(None);
            }
        }
        Ok(account.secret.clone().map(|secret| UserKey {
            secret,
            access_key_id: account.access_key_id.clone(),
        }))
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
        super::check_account(
            account,
            request.account_id,
            "Use an administrator's key of the account that you name.",
        )?;
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
        let document = policy::iam_policy(mode, &names)?;
        let policy_name = policy_name(&request.user_name, suffix, &document);
        Ok(Plan {
            user_arn: format!("arn:{}:iam::{account}:user/{}", partition.as_str(), request.user_name),
            policy_arn: format!("arn:{}:iam::{account}:policy/{policy_name}", partition.as_str()),
            policy_name,
            document,
            location,
            identity,
            admin,
        })
    }

    /// Policy, user and attachment, in this order.
    async fn make_user(&self, request: &SetupUser, plan: &Plan, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let (admin, user) = (&plan.admin, request.user_name.as_str());
        caller.notify.notify(&format!("Making the IAM user {user}."));
        let step = |object: &str, detail: &str, evidence: Value| {
            Step::new(Action::Create, object.to_owned(), Status::Ok)
                .detail(detail)
                .evidence(evidence)
        };
        let account = plan.account();
        let document = plan.document.to_string();
        let policy = step(
            &plan.policy_arn,
            "The policy is there.",
            json!({ "action": CREATE_POLICY, "account": account, "policy": plan.document }),
        );
        let made = self.administration.create_policy(admin, &plan.policy_name, &document);
        let named = |step: Step, arn: &String| Step {
            object: arn.clone(),
            ..step
        };
        let policy_arn = self.write(run, policy, made, named).await?;

        let present = step(
            &plan.user_arn,
            "The user is there.",
            json!({ "action": CREATE_USER, "account": account, "user_name": user }),
        );
        let made = self.administration.create_user(admin, user);
        self.write(run, present, made, |step, ()| step).await?;

        let attachment = step(
            &plan.user_arn,
            "The user has the policy.",
            json!({ "action": ATTACH_POLICY, "account": account, "user_name": user, "policy_arn": policy_arn }),
        );
        let what = format!("the user {user}");
        let attached = patience::until_known(
            self.clock.as_ref(),
            caller,
            &what,
            |error| error.kind() == ErrorKind::Missing,
            || self.administration.attach_user_policy(admin, user, &policy_arn),
        );
        self.write(run, attachment, attached, |step, ()| step).await
    }

    /// Waits until the new user's rights to read are known where the export lies. What is refused for good is told by the
    /// connection, which looks again.
    async fn wait_for_rights(&self, key: &UserKey, plan: &Plan, caller: &Caller<'_>) {
        let Some(location) = &plan.location else { return };
        let credential = Credential::Stored(key.secret.clone());
        let looked = patience::until_known(
            self.clock.as_ref(),
            caller,
            "the new user's rights",
            |error| matches!(error.kind(), ErrorKind::AwsRefused | ErrorKind::BadCredentials),
            || self.source.probe(location, &credential),
        );
        if let Err(error) = looked.await {
            tracing::debug!(%error, "the new user cannot read the export yet");
        }
    }

    async fn connect_user(&self, request: &SetupUser, key: UserKey, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let credential = GivenCredential::Kept {
            secret: key.secret,
            access_key_id: key.access_key_id,
        };
        match &request.location {
            Some(location) => {
                let root = ConnectRoot {
                    credential,
                    account_id: None,
                    account_name: request.account_name.clone(),
                    location: location.clone(),
                    replace: false,
                    unverified: false,
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

/// The name of the policy with this document; it begins with what an administrator's policy for set-up allows.
fn policy_name(user: &str, suffix: &str, document: &Value) -> String {
    let digest = Sha256::digest(document.to_string());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{user}-{suffix}-{}", &hash[..HASH_DIGITS])
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
        let mut evidence = json!({ "required_actions": [actions] });
        match actions {
            "iam:CreatePolicy" => evidence["policy"] = plan.document.clone(),
            "iam:CreateUser" => evidence["required_actions"] = json!([actions, "iam:AttachUserPolicy"]),
            _ => {}
        }
        run.push(
            Step::new(Action::Create, object, Status::Planned)
                .detail(detail)
                .evidence(evidence),
        );
    }
}

/// The commands that remove what set-up makes.
fn removal_step(request: &SetupUser, plan: &Plan) -> Step {
    let (user, policy) = (&request.user_name, &plan.policy_arn);
    Step::new(Action::Check, plan.user_arn.clone(), Status::Ok)
        .detail("What was made in AWS stays until you remove it: disconnect the account first, then run the commands in evidence.")
        .evidence(json!({ "removal": [
            format!("aws iam detach-user-policy --user-name {user} --policy-arn {policy}"),
            format!("aws iam delete-access-key --user-name {user} --access-key-id <id>"),
            format!("aws iam delete-user --user-name {user}"),
            format!("aws iam delete-policy --policy-arn {policy}"),
        ] }))
        .next_sql(format!("CALL disconnect_aws_account(account_id => '{}');", plan.account()))
}

#[cfg(test)]
mod tests;
