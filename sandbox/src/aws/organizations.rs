//! AWS Organizations (model version 2016-11-28): who manages the organisation, and which accounts belong to it.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{ApiError, Call, ControlApi, Protocol, unknown_operation};
use super::identity::organization::{Member, Organization};
use super::{AccountState, Sandbox, SandboxError};

/// Accounts on a page at most (Organizations API reference, `ListAccounts`).
const LONGEST_PAGE: usize = 20;

pub(crate) struct Organizations;

#[async_trait]
impl ControlApi for Organizations {
    fn signing_name(&self) -> &'static str {
        "organizations"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Json("AWSOrganizationsV20161128")
    }

    fn only_region(&self) -> Option<&'static str> {
        Some("us-east-1")
    }

    async fn call(&self, call: &Call<'_>) -> Result<String, ApiError> {
        match call.operation {
            "DescribeOrganization" => describe_organization(call),
            "ListAccounts" => list_accounts(call),
            _ => Err(unknown_operation()),
        }
    }
}

impl Sandbox {
    /// Puts accounts into a new organisation, which `management` manages and pays for. Accounts without an organisation
    /// are stand-alone. An account belongs to one organisation at most.
    pub fn create_organization(&self, management: &str, members: &[&str]) -> Result<(), SandboxError> {
        self.cloud.identities.create_organization(management, members)
    }

    /// Denies something to a member account by a service control policy, besides AWS's own `FullAWSAccess`: only its `Deny`
    /// statements count. The management account is bound by none.
    pub fn attach_service_control_policy(&self, account: &str, json: &str) -> Result<(), SandboxError> {
        self.cloud.identities.attach_service_control_policy(account, json)
    }

    /// Takes all service control policies of an account away but `FullAWSAccess`.
    pub fn detach_service_control_policies(&self, account: &str) -> Result<(), SandboxError> {
        self.cloud.identities.detach_service_control_policies(account)
    }

    /// Sets where an account is in its life, as its organisation lists it. It goes on working in the sandbox.
    pub fn set_account_state(&self, account: &str, state: AccountState) -> Result<(), SandboxError> {
        self.cloud.identities.set_account_state(account, state)
    }
}

fn describe_organization(call: &Call<'_>) -> Result<String, ApiError> {
    call.allow("organizations:DescribeOrganization", "*")?;
    let Organization { id, management } = own(call)?;
    let organization = json!({
        "Id": id,
        "Arn": format!("arn:aws:organizations::{management}:organization/{id}"),
        "FeatureSet": "ALL",
        "MasterAccountArn": account_arn(&management, &id, &management),
        "MasterAccountId": management,
        "MasterAccountEmail": email(&management),
        "AvailablePolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
    });
    Ok(json!({ "Organization": organization }).to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAccountsInput {
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn list_accounts(call: &Call<'_>) -> Result<String, ApiError> {
    call.allow("organizations:ListAccounts", "*")?;
    let input: ListAccountsInput = call.read()?;
    let organization = own(call)?;
    if call.caller.account != organization.management {
        return Err(ApiError::access_denied_exception(
            "You don't have permissions to access this resource.",
        ));
    }
    let size = match input.max_results {
        None => LONGEST_PAGE,
        Some(size @ 1..=LONGEST_PAGE) => size,
        Some(_) => {
            let text = "You specified an invalid value.";
            return Err(ApiError::invalid("InvalidInputException", text).with("Reason", "INVALID_PARAMETER"));
        }
    };
    let members = call.cloud.identities.members(&organization.id);
    let (range, next) = page(input.next_token.as_deref(), size, members.len())?;
    let shown = members.get(range).unwrap_or_default().iter();
    let accounts: Vec<Value> = shown.map(|member| account(&organization, member)).collect();
    let mut answer = json!({ "Accounts": accounts });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer.to_string())
}

/// Which accounts a page shows, and the token of the next. AWS may send short and even empty pages before the last one, so
/// the first page here holds half of the accounts at most and the second none.
fn page(token: Option<&str>, size: usize, total: usize) -> Result<(std::ops::Range<usize>, Option<String>), ApiError> {
    let Some(token) = token else {
        let end = size.min(total.div_ceil(2));
        return Ok((0..end, Some(format!("gap-{end}"))));
    };
    let position = token
        .split_once('-')
        .and_then(|(kind, at)| Some((kind, at.parse::<usize>().ok()?)));
    match position {
        Some(("gap", from)) if from <= total => Ok((from..from, (from < total).then(|| format!("from-{from}")))),
        Some(("from", from)) if from <= total => {
            let end = total.min(from + size);
            Ok((from..end, (end < total).then(|| format!("from-{end}"))))
        }
        _ => {
            let text = "You specified an invalid value for nextToken.";
            Err(ApiError::invalid("InvalidInputException", text).with("Reason", "INVALID_NEXT_TOKEN"))
        }
    }
}

/// The caller's organisation.
fn own(call: &Call<'_>) -> Result<Organization, ApiError> {
    let organization = call.cloud.identities.organization_of(&call.caller.account);
    organization.ok_or_else(|| {
        ApiError::invalid(
            "AWSOrganizationsNotInUseException",
            "Your account is not a member of an organization.",
        )
    })
}

fn account(organization: &Organization, member: &Member) -> Value {
    let mut account = json!({
        "Id": member.id,
        "Arn": account_arn(&organization.management, &organization.id, &member.id),
        "Email": email(&member.id),
        "Name": member.name,
        "State": member.state.name(),
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": 1_700_000_000,
    });
    if let Some(status) = member.state.older_name() {
        account["Status"] = status.into();
    }
    account
}

fn account_arn(management: &str, organization: &str, account: &str) -> String {
    format!("arn:aws:organizations::{management}:account/{organization}/{account}")
}

fn email(account: &str) -> String {
    format!("aws+{account}@example.com")
}
