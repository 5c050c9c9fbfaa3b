//! `connect_aws_linked`: a member account, whose costs come through a root's export.

mod discovery;

use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, Coverage, GivenCredential, Kept, account_entry, coverage, ignored_step};
use crate::catalog::{AccountKind, CatalogState, Change};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;
use crate::port::{Credential, LocationRoot};

/// What `connect_aws_linked` is given.
#[derive(Debug, Clone)]
pub struct ConnectLinked {
    /// The key or a stored secret; none for an account of a folder's export.
    pub credential: GivenCredential,
    /// The account: checked against the credential, or declared where there is none.
    pub account_id: Option<AccountId>,
    /// A name for people.
    pub account_name: Option<String>,
    /// Whether it only plans.
    pub dry_run: bool,
}

impl Connections {
    /// Connects a member account. No import follows: its rows are in the root's export, for every month, at once.
    pub async fn connect_linked(&self, request: &ConnectLinked, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_linked(request, &mut run).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    pub(super) async fn run_linked(&self, request: &ConnectLinked, run: &mut Run) -> Result<()> {
        let (credential, key_id) = self.resolve(&request.credential).await?;
        let Some((account, arn)) = self.identify_linked(request, &credential, run).await? else {
            // The role has to trust Farthing first; the run says how.
            return Ok(());
        };
        let _held = self.lock(format!("account {account}"), run)?;
        let lease = self.catalog.lease();
        let former = lease.document.accounts.get(&account);
        if former.is_some_and(|former| former.kind == AccountKind::Root) {
            return Err(
                Error::new(ErrorKind::Duplicate, format!("account {account} is connected as root"))
                    .with_hint("Its rows are visible already; nothing is left to do."),
            );
        }
        let found = coverage(&lease).remove(&account);
        if matches!(credential, Credential::Absent) {
            check_declared(account, found.as_ref(), &lease)?;
        }
        let membership = match found {
            None if !lease.document.exports.is_empty() => Some(self.membership(account, &lease).await),
            _ => None,
        };
        run.push(discovery::coverage_step(
            account,
            found.as_ref(),
            membership.as_ref(),
            &lease,
        ));
        let action = if former.is_some() {
            Action::Reuse
        } else {
            Action::Create
        };
        let object = format!("account {account}");
        let entry = |key| {
            let name = request.account_name.clone();
            account_entry(
                account,
                AccountKind::Linked,
                former,
                name,
                arn.clone(),
                key,
                self.clock.now(),
            )
        };
        if request.dry_run {
            run.push(Step::new(action, object, Status::Planned).detail("Would be connected; no import is needed."));
            self.push_discovery(&entry((None, Kept::default(), None)), &credential, run)
                .await;
            return Ok(());
        }
        let secret = self.keep(account, &credential, key_id.as_deref(), former, run).await?;
        let entry = entry((key_id, secret, credential.role().cloned()));
        let connected = entry.clone();
        let version = self.catalog.publish(&[Change::PutAccount(entry)]).await?;
        run.push(
            Step::new(action, object, Status::Ok)
                .detail("Connected: its rows of every month are visible, without an import.")
                .evidence(serde_json::json!({ "catalog_version": version })),
        );
        self.push_discovery(&connected, &credential, run).await;
        run.record.steps.extend(ignored_step(&self.catalog.lease()));
        Ok(())
    }

    async fn identify_linked(
        &self,
        request: &ConnectLinked,
        credential: &Credential,
        run: &mut Run,
    ) -> Result<Option<(AccountId, Option<String>)>> {
        match (credential, request.account_id) {
            (Credential::Absent, None) => Err(Error::new(ErrorKind::BadValue, "neither a credential nor an account is given")
                .with_hint(
                    "Give access_key_id and secret_access_key of the account, or credential => 'secret:<name>'; for the export of \
                     a folder, account_id alone.",
                )),
            (Credential::Absent, Some(account)) => Ok(Some((account, None))),
            (credential, expected) => {
                let Some(identity) = self.identify_or_ask_for_trust(credential, request.dry_run, run).await? else {
                    return Ok(None);
                };
                super::check_account(identity.account, expected, "Use a key of the account that you name, or leave account_id out.")?;
                Ok(Some((identity.account, Some(identity.arn))))
            }
        }
    }
}

/// An account may be connected by its number alone only where no bucket delivers it: there a key has to prove the right. Of
/// an account that is not AWS's there is no key: that a connected export has it must do.
fn check_declared(account: AccountId, found: Option<&Coverage>, state: &CatalogState) -> Result<()> {
    if !account.is_aws() && found.is_some() {
        return Ok(());
    }
    let any_folder = state
        .document
        .exports
        .values()
        .any(|e| matches!(e.location.root, LocationRoot::Folder(_)));
    if found.is_some_and(|found| found.in_bucket) || !any_folder {
        return Err(Error::new(
            ErrorKind::BadCredentials,
            format!("account {account} cannot be connected by its number: its costs come from a bucket"),
        )
        .with_hint(
            "Give access_key_id and secret_access_key of a user of that account. The number alone is enough only for \
                    exports connected from a folder.",
        ));
    }
    Ok(())
}
