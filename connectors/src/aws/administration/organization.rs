//! AWS Organizations: who pays, and which accounts belong to it.

use aws_sdk_organizations::types::Account;
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, Organization, OrganizationAccount};

use super::MAX_PAGES;
use crate::aws::AwsClients;
use crate::aws::error::{AwsCall, Failure};

pub(super) async fn describe(clients: &AwsClients, key: &AccessKey) -> Result<Option<Organization>> {
    let call = AwsCall::organizations("organizations:DescribeOrganization");
    let request = clients.organizations(key).describe_organization();
    let answer = clients
        .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
        .await?;
    let organization = match answer {
        Ok(answer) => answer.organization,
        Err(failure) if failure.code.as_deref() == Some("AWSOrganizationsNotInUseException") => return Ok(None),
        Err(failure) => return Err(failure.into_setup_error(&call)),
    };
    let named = organization.and_then(|organization| Some((organization.id?, organization.master_account_id?)));
    let (id, management) = named.ok_or_else(|| call.answered_without("an id or a management account"))?;
    Ok(Some(Organization {
        id,
        management_account: management.parse()?,
    }))
}

pub(super) async fn accounts(clients: &AwsClients, key: &AccessKey) -> Result<Vec<OrganizationAccount>> {
    let call = AwsCall::organizations("organizations:ListAccounts");
    let client = clients.organizations(key);
    let mut accounts = Vec::new();
    let mut token: Option<String> = None;
    // A page may be short or empty while there are more: only a missing token ends the list.
    for _ in 0..MAX_PAGES {
        let request = client.list_accounts().set_next_token(token.take());
        let page = clients
            .on_io(async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) })
            .await?
            .map_err(|failure| failure.into_setup_error(&call))?;
        for account in page.accounts.unwrap_or_default() {
            accounts.push(listed(account, &call)?);
        }
        token = page.next_token;
        if token.is_none() {
            return Ok(accounts);
        }
    }
    Err(Error::new(
        ErrorKind::Limit,
        format!("listing the accounts of the organization takes more than {MAX_PAGES} pages"),
    ))
}

fn listed(account: Account, call: &AwsCall) -> Result<OrganizationAccount> {
    let id = account.id.ok_or_else(|| call.answered_without("an account's id"))?;
    // `State` replaces `Status`, which AWS ends in September 2026; older endpoints know `Status` alone.
    let state = match (account.state, account.status) {
        (Some(state), _) => state.as_str().to_owned(),
        (None, Some(status)) => status.as_str().to_owned(),
        (None, None) => return Err(call.answered_without("an account's state")),
    };
    Ok(OrganizationAccount {
        id: id.parse()?,
        name: account.name.unwrap_or_default(),
        state,
    })
}
