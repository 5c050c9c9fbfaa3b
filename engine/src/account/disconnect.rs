//! `disconnect_aws_account`: hides the rows of an account, and forgets its credential.

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::catalog::{AccountKind, Change};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::SecretRef;

/// What `disconnect_aws_account` is given.
#[derive(Debug, Clone)]
pub struct Disconnect {
    /// The account.
    pub account_id: AccountId,
    /// The account's number again: what disconnects a root, whose export serves its linked accounts too.
    pub confirm: Option<String>,
    /// Whether it only plans.
    pub dry_run: bool,
}

impl Connections {
    /// Disconnects an account. Nothing in AWS and no delivered file is touched. A root goes with its exports, and only if
    /// it is confirmed: without, the call plans.
    pub async fn disconnect(&self, request: &Disconnect, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        let done = self.run_disconnect(request, &mut run).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_disconnect(&self, request: &Disconnect, run: &mut Run) -> Result<()> {
        let id = request.account_id;
        let _held = self.lock(format!("account {id}"), run)?;
        let lease = self.catalog.lease();
        let Some(account) = lease.document.accounts.get(&id) else {
            return Err(Error::new(ErrorKind::Missing, format!("account {id} is not connected"))
                .with_hint("SELECT account_id FROM system.accounts lists the connected ones."));
        };
        let is_root = account.kind == AccountKind::Root;
        if let Some(confirm) = request.confirm.as_deref().filter(|confirm| *confirm != id.as_str()) {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("confirm says \"{confirm}\", and the account is {id}"),
            )
            .with_hint(format!("Give confirm => '{id}'.")));
        }
        let only_plan = request.dry_run || (is_root && request.confirm.is_none());
        run.record.dry_run = only_plan;
        let exports: Vec<_> = lease
            .document
            .exports
            .values()
            .filter(|e| e.account == id)
            .map(|e| e.id.clone())
            .collect();
        let status = if only_plan { Status::Planned } else { Status::Ok };
        if !only_plan {
            let mut changes = vec![Change::RemoveAccount(id)];
            changes.extend(exports.iter().cloned().map(Change::RemoveExport));
            self.catalog.publish(&changes).await?;
        }
        let mut step = Step::new(Action::Delete, format!("account {id}"), status).detail(if is_root {
            "A root: its rows, and those of all accounts that only its export delivers, are not visible any more."
        } else {
            "Its rows are not visible any more. The data stays: connecting it again brings every month back at once."
        });
        if only_plan && is_root && !request.dry_run {
            step = step.next_sql(format!(
                "CALL disconnect_aws_account(account_id => '{id}', confirm => '{id}');"
            ));
        }
        run.push(step);
        for export in &exports {
            run.push(
                Step::new(Action::Delete, format!("exports.{export}"), status)
                    .detail("The export is disconnected. Bucket, export and files in AWS stay as they are."),
            );
        }
        // A key may assume the roles of other accounts too.
        let used_elsewhere = |secret: &SecretRef| {
            let mut others = lease.document.accounts.values().filter(|other| other.id != id);
            others.any(|other| other.secret.as_ref() == Some(secret))
        };
        let own = account.secret.as_ref().filter(|secret| secret.name.starts_with("aws/"));
        if let Some(secret) = own.filter(|secret| !used_elsewhere(secret)) {
            if !only_plan {
                self.vault.retire(secret).await?;
            }
            run.push(
                Step::new(Action::Delete, format!("credential of account {id}"), status)
                    .detail("The stored access key is removed. In AWS it stays valid until you delete it there."),
            );
        }
        Ok(())
    }
}
