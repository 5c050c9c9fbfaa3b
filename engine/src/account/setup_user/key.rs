//! The access key of the user that set-up makes.
//!
//! AWS shows a key's secret once. It goes into the vault at once, before anything is done with it, so that a repeated call
//! finds the key there and makes no other. Between AWS's answer and the vault a crash can still lose a secret: nobody has it
//! then, so the next call makes another key and says how to delete the lost one. AWS allows two for each user.

use chrono::TimeDelta;
use serde_json::json;

use super::{Plan, SetupUser, patience};
use crate::account::aws_write::{CREATE_KEY, Written};
use crate::account::run::{Action, Run, Status, Step};
use crate::account::{Caller, Connections, shown_key_id};
use crate::error::{Error, ErrorKind, Result};
use crate::port::{AccessKey, Credential, SecretRef};

/// How long after a key was made AWS may still not know it.
const NEW_FOR: TimeDelta = TimeDelta::minutes(2);

/// A key of the user, in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserKey {
    pub(super) secret: SecretRef,
    pub(super) access_key_id: Option<String>,
}

/// A key that Farthing had AWS make for the user, by what the history says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MadeKey {
    /// `None` if AWS's answer is not on record.
    access_key_id: Option<String>,
    /// The newest version in the vault before it was made; 0 for none.
    stored_before: u32,
    run_id: String,
}

impl Connections {
    /// The user's key: one that an interrupted call stored, or a new one.
    pub(super) async fn user_key(
        &self,
        request: &SetupUser,
        plan: &Plan,
        run: &mut Run,
        caller: &Caller<'_>,
    ) -> Result<UserKey> {
        let made = self.keys_made(plan);
        let newest = self.newest_version(plan).await?;
        if let Some(secret) = &newest
            && let Some(key) = self.stored_key(secret, &made, plan, caller).await?
        {
            run.push(
                Step::new(Action::Reuse, key_object(request), Status::Ok)
                    .detail("A former call made the user's access key and stored it."),
            );
            return Ok(key);
        }
        let stored = newest.map_or(0, |secret| secret.version);
        let lost = lost_keys(&made, stored);
        let key = self.make_key(request, plan, stored, run).await;
        let key = key.map_err(|error| name_lost(error, request, &lost))?;
        let secret = self.vault.put_access_key(&secret_name(plan), &key).await?;
        run.push(
            Step::new(
                Action::Create,
                format!("credential of account {}", plan.account()),
                Status::Ok,
            )
            .detail(format!(
                "Access key {} is stored, encrypted, as version {}.",
                shown_key_id(&key.access_key_id),
                secret.version
            )),
        );
        self.record_step(run).await?;
        run.record
            .steps
            .extend(lost.iter().map(|lost| lost_step(lost, request, &key)));
        let credential = Credential::Stored(secret.clone());
        let known = patience::until_known(
            self.clock.as_ref(),
            caller,
            "the new key",
            |error| error.kind() == ErrorKind::BadCredentials,
            || self.connector.identify(&credential),
        );
        let identity = known.await?;
        run.push(crate::account::connect_root::identity_step(&identity));
        Ok(UserKey {
            secret,
            access_key_id: Some(key.access_key_id),
        })
    }

    async fn make_key(&self, request: &SetupUser, plan: &Plan, stored: u32, run: &mut Run) -> Result<AccessKey> {
        let user = &request.user_name;
        let step = Step::new(Action::Create, key_object(request), Status::Ok).evidence(json!({
            "action": CREATE_KEY, "account": plan.account(), "user_name": user, "user": plan.user_arn,
            "stored_before": stored,
        }));
        let made = self.administration.create_access_key(&plan.admin, user);
        let named = |mut step: Step, key: &AccessKey| {
            step.evidence["access_key_id"] = json!(key.access_key_id);
            step.detail(format!("Access key {} is made.", shown_key_id(&key.access_key_id)))
        };
        self.write(run, step, made, named).await
    }

    async fn newest_version(&self, plan: &Plan) -> Result<Option<SecretRef>> {
        match self.vault.newest(&secret_name(plan)).await {
            Ok(secret) => Ok(Some(secret)),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stored key, if it is one of the user and AWS accepts it.
    async fn stored_key(
        &self,
        secret: &SecretRef,
        made: &[MadeKey],
        plan: &Plan,
        caller: &Caller<'_>,
    ) -> Result<Option<UserKey>> {
        // Of the keys made before this version was stored, the newest is its own.
        let own = made.iter().rev().find(|made| made.stored_before < secret.version);
        let is_new = own.is_some_and(|made| self.made_just_now(&made.run_id));
        let credential = Credential::Stored(secret.clone());
        let asked = patience::until_known(
            self.clock.as_ref(),
            caller,
            "the new key",
            |error| is_new && error.kind() == ErrorKind::BadCredentials,
            || self.connector.identify(&credential),
        );
        match asked.await {
            Ok(identity) if identity.arn == plan.user_arn => Ok(Some(UserKey {
                secret: secret.clone(),
                access_key_id: own.and_then(|made| made.access_key_id.clone()),
            })),
            Ok(_) => Ok(None),
            // Deactivated or deleted since, or damaged here: another one is needed.
            Err(error) if matches!(error.kind(), ErrorKind::BadCredentials | ErrorKind::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn made_just_now(&self, run_id: &str) -> bool {
        let runs = self.runs.entries();
        let run = runs.iter().find(|(id, _)| id == run_id);
        run.is_some_and(|(_, run)| self.clock.now() - run.finished_at.unwrap_or(run.started_at) < NEW_FOR)
    }

    /// The keys of the user that were made, or may have been, oldest first.
    fn keys_made(&self, plan: &Plan) -> Vec<MadeKey> {
        let of_user = |write: &Written| write.action == CREATE_KEY && write.text("user") == Some(&plan.user_arn);
        let written = self.written().into_iter().filter(of_user);
        written
            .map(|write| MadeKey {
                access_key_id: write.text("access_key_id").map(str::to_owned),
                stored_before: write.evidence["stored_before"]
                    .as_u64()
                    .and_then(|version| u32::try_from(version).ok())
                    .unwrap_or_default(),
                run_id: write.run_id,
            })
            .collect()
    }
}

/// The keys whose secret never came into the vault: no version was stored between one and the next.
fn lost_keys(made: &[MadeKey], stored: u32) -> Vec<MadeKey> {
    let next = made
        .iter()
        .skip(1)
        .map(|made| made.stored_before)
        .chain(std::iter::once(stored));
    let with_next = made.iter().zip(next);
    with_next
        .filter(|(made, next)| made.stored_before == *next)
        .map(|(made, _)| made.clone())
        .collect()
}

fn lost_step(lost: &MadeKey, request: &SetupUser, new: &AccessKey) -> Step {
    let (user, kept) = (&request.user_name, &new.access_key_id);
    let (object, detail) = match &lost.access_key_id {
        Some(id) => (
            format!("access key {} of {user}", shown_key_id(id)),
            "Farthing had AWS make this key, and nobody has its secret any more: delete it.",
        ),
        None => (
            format!("access key of {user}"),
            "A call was interrupted while AWS made a key. If the user has a key besides the new one, nobody has its secret: \
             delete it.",
        ),
    };
    Step::new(Action::Check, object, Status::Warning)
        .detail(detail)
        .evidence(json!({ "removal": removal(lost, user, Some(kept)), "run_id": lost.run_id }))
}

/// The commands that find and delete a lost key.
fn removal(lost: &MadeKey, user: &str, kept: Option<&str>) -> Vec<String> {
    match &lost.access_key_id {
        Some(id) => vec![format!(
            "aws iam delete-access-key --user-name {user} --access-key-id {id}"
        )],
        None => {
            let others = kept.map_or_else(String::new, |kept| format!("?AccessKeyId!='{kept}'"));
            vec![
                format!(
                    "aws iam list-access-keys --user-name {user} --query \"AccessKeyMetadata[{others}].[AccessKeyId,CreateDate]\" \
                     --output text"
                ),
                format!("aws iam delete-access-key --user-name {user} --access-key-id <id>"),
            ]
        }
    }
}

/// The error of a key that cannot be made, with the lost ones that take its place.
fn name_lost(error: Error, request: &SetupUser, lost: &[MadeKey]) -> Error {
    if error.kind() != ErrorKind::Limit || lost.is_empty() {
        return error;
    }
    let commands: Vec<String> = lost
        .iter()
        .flat_map(|lost| removal(lost, &request.user_name, None))
        .collect();
    error.with_hint(format!(
        "Farthing had AWS make keys that nobody has the secret of any more. Delete them, then call again: {}",
        commands.join("; ")
    ))
}

fn key_object(request: &SetupUser) -> String {
    format!("access key of {}", request.user_name)
}

fn secret_name(plan: &Plan) -> String {
    format!("aws/{}", plan.account())
}

#[cfg(test)]
mod tests {
    use super::{MadeKey, lost_keys};

    #[test]
    fn a_key_is_lost_if_nothing_was_stored_after_it() {
        let made = |versions: &[u32]| -> Vec<MadeKey> {
            let key = |stored_before: &u32| MadeKey {
                access_key_id: None,
                stored_before: *stored_before,
                run_id: String::new(),
            };
            versions.iter().map(key).collect()
        };
        for (versions, stored, expected) in [
            (&[][..], 0, 0),
            (&[0], 0, 1),
            (&[0], 1, 0),
            (&[0, 0], 0, 2),
            (&[0, 0], 1, 1),
            (&[0, 1], 1, 1),
            (&[3], 4, 0),
        ] {
            let lost = lost_keys(&made(versions), stored);
            assert_eq!(lost.len(), expected, "{versions:?}, {stored} stored");
        }
    }
}
