//! `connect_aws_linked_all`: every account that the data names, or the organization lists, through one role name.

use std::collections::BTreeMap;

use super::connect_linked::ConnectLinked;
use super::role::partition_of;
use super::run::{Action, Run, RunOutcome, Status, Step};
use super::{Caller, Connections, GivenCredential, coverage};
use crate::error::{Error, ErrorKind, Result};
use crate::id::AccountId;

/// What `connect_aws_linked_all` is given.
#[derive(Debug, Clone)]
pub struct ConnectLinkedAll {
    /// The name of the role in every account.
    pub role_name: String,
    /// Who assumes it; the connected root if absent.
    pub credential: GivenCredential,
    /// Whether the accounts come from `organizations:ListAccounts` too, and not from the data alone.
    pub from_organization: bool,
    /// Whether it only proposes.
    pub dry_run: bool,
}

impl Connections {
    /// Connects each account whose role trusts Farthing, and says of each other one what its role lacks. One account that
    /// cannot be connected does not stop the others.
    pub async fn connect_linked_all(&self, request: &ConnectLinkedAll, caller: &Caller<'_>) -> Result<RunOutcome> {
        let mut run = self.begin(caller).await?;
        run.record.dry_run = request.dry_run;
        let done = self.run_linked_all(request, &mut run, caller).await;
        self.check(&mut run, done).await?;
        self.finish(run).await
    }

    async fn run_linked_all(&self, request: &ConnectLinkedAll, run: &mut Run, caller: &Caller<'_>) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_/-".contains(c);
        if request.role_name.is_empty() || !request.role_name.chars().all(allowed) {
            return Err(Error::new(
                ErrorKind::BadValue,
                format!("\"{}\" cannot be the name of a role", request.role_name),
            )
            .with_hint("Give the name alone, with its path if it has one: 'farthing-reader'."));
        }
        let (base, _) = self.resolve_base(&request.credential).await?;
        let identity = self.connector.identify(&base).await?;
        run.push(super::connect_root::identity_step(&identity));
        let lease = self.catalog.lease();
        let mut wanted: BTreeMap<AccountId, Option<String>> = coverage(&lease)
            .into_iter()
            .map(|(id, covered)| (id, covered.account_name))
            .collect();
        if request.from_organization {
            let listed = self.administration.organization_accounts(&base).await?;
            let active = listed.into_iter().filter(|account| account.state == "ACTIVE");
            wanted.extend(active.map(|account| (account.id, Some(account.name))));
        }
        wanted.retain(|id, _| !lease.document.accounts.contains_key(id));
        if wanted.is_empty() {
            run.push(
                Step::new(Action::Skip, "accounts".to_owned(), Status::Ok)
                    .detail("Every account that is known is connected."),
            );
        }
        for (id, name) in wanted {
            if caller.cancel.is_cancelled() {
                return Err(Error::new(ErrorKind::Cancelled, "the call was cancelled"));
            }
            caller.notify.notify(&format!("Connecting account {id}."));
            let partition = partition_of(&identity.arn).as_str();
            let linked = ConnectLinked {
                credential: GivenCredential::Role {
                    arn: format!("arn:{partition}:iam::{id}:role/{}", request.role_name),
                    base: Box::new(request.credential.clone()),
                },
                account_id: Some(id),
                account_name: name,
                dry_run: request.dry_run,
            };
            match self.run_linked(&linked, run).await {
                Ok(()) => {}
                // The others can be connected all the same.
                Err(error) if matches!(error.kind(), ErrorKind::AwsRefused | ErrorKind::BadCredentials) => run.push(
                    Step::new(Action::Check, format!("account {id}"), Status::Failed)
                        .detail(error.message())
                        .evidence(serde_json::json!({ "remedy": error.hint() })),
                ),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
