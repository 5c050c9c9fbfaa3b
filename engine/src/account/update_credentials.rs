//! `update_aws_credentials`: another key for a connected account. The new one is verified before the old one goes.

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential, Kept};
use crate::catalog::{Account, AccountKind, Change, Export};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{Credential, SecretRef};

/// What `update_aws_credentials` is given.
#[derive(Debug, Clone)]
pub struct UpdateCredentials {
    /// The new key or stored secret.
    pub credential: GivenCredential,
    /// The account, where the caller wants it checked.
    pub account_id: Option<AccountId>,
    /// Whether it only plans.
    pub dry_run: bool,
}

impl Connections {
    /// Gives a connected account another credential, which has to belong to the same account and, for a root, to read its
    /// exports. The former key is forgotten; in AWS it stays as it is.
    pub async fn update_credentials(&self, request: &UpdateCredentials, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_update(request, &mut run).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_update(&self, request: &UpdateCredentials, run: &mut Run) -> Result<()> {
        let (credential, key_id) = self.resolve(&request.credential).await?;
        if matches!(credential, Credential::Absent) {
            return Err(Error::new(ErrorKind::BadValue, "no new credential is given").with_hint(
                "Give access_key_id and secret_access_key, or credential => 'secret:<name>' or 'profile:<name>'.",
            ));
        }
        let identity = self.connector.identify(&credential).await?;
        run.push(super::connect_root::identity_step(&identity));
        let account = identity.account;
        super::check_account(
            account,
            request.account_id,
            "A connection keeps its account. Connect the other account with connect_aws_root or connect_aws_linked.",
        )?;
        let _held = self.lock(format!("account {account}"), run)?;
        let lease = self.catalog.lease();
        let former = lease.document.accounts.get(&account).ok_or_else(|| {
            Error::new(ErrorKind::Missing, format!("account {account} is not connected"))
                .with_hint("CALL connect_aws_root(...) or connect_aws_linked(...) connects it.")
        })?;
        if former.kind == AccountKind::Root {
            let own = lease
                .document
                .exports
                .values()
                .filter(|export| export.account == account);
            for export in own {
                self.check_export(export, &credential, run).await?;
            }
        }
        let object = format!("credential of account {account}");
        if request.dry_run {
            run.push(
                Step::new(Action::Update, object, Status::Planned).detail("Would take the place of the present one."),
            );
            return Ok(());
        }
        let kept = self
            .keep(account, &credential, key_id.as_deref(), Some(former), run)
            .await?;
        let now = self.clock.now();
        let mut changes = vec![Change::PutAccount(Account {
            arn: Some(identity.arn),
            access_key_id: key_id,
            secret: kept.secret.clone(),
            ambient: kept.ambient.clone(),
            role: credential.role().cloned(),
            updated_at: now,
            ..former.clone()
        })];
        let former_base = Kept::of(former);
        // The former key may assume the roles of other accounts, whose trust names the account and not the key.
        let sharing = lease.document.accounts.values().filter(|other| {
            other.id != account
                && other.role.is_some()
                && former_base != Kept::default()
                && Kept::of(other) == former_base
        });
        changes.extend(sharing.map(|other| {
            Change::PutAccount(Account {
                secret: kept.secret.clone(),
                ambient: kept.ambient.clone(),
                updated_at: now,
                ..other.clone()
            })
        }));
        self.catalog.publish(&changes).await?;
        self.forget(former.secret.as_ref(), kept.secret.as_ref(), run).await
    }

    /// That the new credential reads an export, before the old one goes.
    async fn check_export(&self, export: &Export, credential: &Credential, run: &mut Run) -> Result<()> {
        let report = self.source.probe(&export.location, credential).await?;
        run.push(
            Step::new(Action::Check, export.location.uri(), Status::Ok).detail(format!(
                "It reads the export: {} billing periods.",
                report.periods.len()
            )),
        );
        Ok(())
    }

    /// Removes the former key, if it was this connection's own.
    async fn forget(&self, former: Option<&SecretRef>, present: Option<&SecretRef>, run: &mut Run) -> Result<()> {
        let Some(former) = former.filter(|former| Some(*former) != present && former.name.starts_with("aws/")) else {
            return Ok(());
        };
        self.vault.retire(former).await?;
        run.push(
            Step::new(
                Action::Delete,
                format!("{} version {}", former.name, former.version),
                Status::Ok,
            )
            .detail("The former key is forgotten. In AWS it is still active: deactivate it there."),
        );
        Ok(())
    }
}
