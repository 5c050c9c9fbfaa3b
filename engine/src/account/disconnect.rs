//! `disconnect_aws_account`: hides the rows of an account, and forgets its credential.
//!
//! What was imported of a root's exports is kept or deleted, as told. Nothing in AWS is touched: what remains there is listed,
//! with the commands that remove it.

mod remains;

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections};
use crate::catalog::{Account, AccountKind, CatalogState, Change, Export, KeptExport};
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
    /// Whether what was imported of its exports stays, invisible, until they are connected again.
    pub keep_data: bool,
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
        if let Some(confirm) = request.confirm.as_deref().filter(|confirm| *confirm != id.as_str()) {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("confirm says \"{confirm}\", and the account is {id}"),
            )
            .with_hint(format!("Give confirm => {}.", id.sql())));
        }
        let Some(account) = lease.document.accounts.get(&id) else {
            return self.run_purge(request, &lease, run).await;
        };
        let is_root = account.kind == AccountKind::Root;
        let only_plan = request.dry_run || (is_root && request.confirm.is_none());
        run.record.dry_run = only_plan;
        let exports: Vec<&Export> = lease.document.exports.values().filter(|e| e.account == id).collect();
        if !only_plan {
            let exports = exports.iter().map(|export| match request.keep_data {
                true => Change::KeepExport(export.id.clone()),
                false => Change::RemoveExport(export.id.clone()),
            });
            let changes: Vec<Change> = std::iter::once(Change::RemoveAccount(id)).chain(exports).collect();
            self.catalog.publish(&changes).await?;
        }
        run.push(account_step(request, account, only_plan));
        for export in &exports {
            run.push(export_step(export, request.keep_data, only_plan));
            if !request.keep_data {
                self.purge_export(export, &lease, only_plan, run).await?;
            }
        }
        self.forget_credential(account, &lease, only_plan, run).await?;
        run.record.steps.extend(self.remains(account, &exports));
        Ok(())
    }

    /// An account that is not connected: what is kept of its exports can still be deleted.
    async fn run_purge(&self, request: &Disconnect, state: &CatalogState, run: &mut Run) -> Result<()> {
        let id = request.account_id;
        let kept: Vec<&KeptExport> = state
            .document
            .kept
            .values()
            .filter(|kept| kept.export.account == id)
            .collect();
        if request.keep_data || kept.is_empty() {
            let error = Error::new(ErrorKind::Missing, format!("account {id} is not connected"));
            return Err(match kept.is_empty() {
                true => error.with_hint("SELECT account_id FROM system.accounts lists the connected ones."),
                false => error.with_hint(format!(
                    "What was imported of its exports is kept. CALL disconnect_aws_account(account_id => {0}, confirm => {0}, \
                     keep_data => false) deletes it.",
                    id.sql()
                )),
            });
        }
        let only_plan = request.dry_run || request.confirm.is_none();
        run.record.dry_run = only_plan;
        if !only_plan {
            let changes: Vec<Change> = kept
                .iter()
                .map(|kept| Change::RemoveExport(kept.export.id.clone()))
                .collect();
            self.catalog.publish(&changes).await?;
        }
        for kept in kept {
            self.purge_export(&kept.export, state, only_plan, run).await?;
        }
        Ok(())
    }

    /// Deletes what was imported of an export that `state` still names and the catalog does not any more.
    async fn purge_export(&self, export: &Export, state: &CatalogState, only_plan: bool, run: &mut Run) -> Result<()> {
        let kept = state.document.kept.get(&export.id).map(|kept| &kept.snapshots);
        let periods = state
            .document
            .snapshots
            .get(&export.id)
            .or(kept)
            .map_or(0, |periods| periods.len());
        if !only_plan {
            self.importer.purge(&export.id).await?;
        }
        run.push(
            Step::new(
                Action::Delete,
                format!("imports of exports.{}", export.id),
                status(only_plan),
            )
            .detail(format!(
                "What was imported of it is deleted: {periods} months, and the records of their imports."
            )),
        );
        Ok(())
    }

    async fn forget_credential(
        &self,
        account: &Account,
        state: &CatalogState,
        only_plan: bool,
        run: &mut Run,
    ) -> Result<()> {
        // A key may assume the roles of other accounts too.
        let used_elsewhere = |secret: &SecretRef| {
            let mut others = state.document.accounts.values().filter(|other| other.id != account.id);
            others.any(|other| other.secret.as_ref() == Some(secret))
        };
        let own = account.secret.as_ref().filter(|secret| secret.name.starts_with("aws/"));
        let Some(secret) = own.filter(|secret| !used_elsewhere(secret)) else {
            return Ok(());
        };
        if !only_plan {
            self.vault.retire(secret).await?;
        }
        run.push(
            Step::new(
                Action::Delete,
                format!("credential of account {}", account.id),
                status(only_plan),
            )
            .detail("The stored access key is removed. In AWS it stays valid until you delete it there."),
        );
        Ok(())
    }
}

fn status(only_plan: bool) -> Status {
    if only_plan { Status::Planned } else { Status::Ok }
}

fn account_step(request: &Disconnect, account: &Account, only_plan: bool) -> Step {
    let (id, is_root) = (account.id, account.kind == AccountKind::Root);
    let step = Step::new(Action::Delete, format!("account {id}"), status(only_plan)).detail(match (is_root, request.keep_data) {
        (true, _) => "A root: its rows, and those of all accounts that only its export delivers, are not visible any more.",
        (false, true) => {
            "Its rows are not visible any more. The data stays: connecting it again brings every month back at once."
        }
        (false, false) => {
            "Its rows are not visible any more. They are part of what was imported of its root's export, and stay there until the \
             root is disconnected with keep_data => false."
        }
    });
    if only_plan && is_root && !request.dry_run {
        let data = if request.keep_data { "" } else { ", keep_data => false" };
        return step.next_sql(format!(
            "CALL disconnect_aws_account(account_id => {0}, confirm => {0}{data});",
            id.sql()
        ));
    }
    step
}

fn export_step(export: &Export, keep_data: bool, only_plan: bool) -> Step {
    Step::new(Action::Delete, format!("exports.{}", export.id), status(only_plan)).detail(match keep_data {
        true => {
            "The export is disconnected. What was imported of it is kept: connecting it again brings every month back at once."
        }
        false => "The export is disconnected.",
    })
}
