//! AWS Organizations with the AWS SDK.

use aws_sdk_organizations::error::ProvideErrorMetadata;
use aws_sdk_organizations::types::{AccountState as State, AccountStatus as Status};

use super::raw::Raw;
use super::{BUCKET, LINKED, Organisation, PAYER, user};
use crate::aws::{AccessKey, AccountState, Sandbox};

const READ: &str = r#"{"Statement":{"Effect":"Allow","Action":"organizations:*","Resource":"*"}}"#;

fn client(sandbox: &Sandbox, key: &AccessKey) -> aws_sdk_organizations::Client {
    let config = sdk_config!(aws_sdk_organizations, sandbox, key, "us-east-1");
    aws_sdk_organizations::Client::from_conf(config.build())
}

#[tokio::test]
async fn members_know_who_pays_and_the_payer_knows_the_members() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let payer = user(&sandbox, PAYER, "payer", Some(READ));
    let linked = user(&sandbox, LINKED, "linked", Some(READ));
    let alone = client(&sandbox, &payer)
        .describe_organization()
        .send()
        .await
        .unwrap_err();
    assert_eq!(alone.code(), Some("AWSOrganizationsNotInUseException"));
    let alone = client(&sandbox, &payer).list_accounts().send().await.unwrap_err();
    assert!(alone.into_service_error().is_aws_organizations_not_in_use_exception());

    sandbox.create_organization(PAYER, &[LINKED]).unwrap();
    let again = sandbox.create_organization(LINKED, &[]).unwrap_err();
    assert!(again.to_string().contains("already exists"), "{again}");
    sandbox.set_account_state(LINKED, AccountState::Closed).unwrap();
    for key in [&payer, &linked] {
        let answer = client(&sandbox, key).describe_organization().send().await.unwrap();
        let organization = answer.organization().unwrap();
        assert_eq!(organization.master_account_id(), Some(PAYER));
        let id = organization.id().unwrap();
        assert!(id.starts_with("o-") && id.len() == 12, "{id}");
        assert_eq!(
            organization.arn(),
            Some(format!("arn:aws:organizations::{PAYER}:organization/{id}").as_str())
        );
    }
    let (mut accounts, mut sizes, mut token) = (Vec::new(), Vec::new(), None);
    loop {
        let page = client(&sandbox, &payer)
            .list_accounts()
            .set_next_token(token)
            .send()
            .await
            .unwrap();
        sizes.push(page.accounts().len());
        accounts.extend(page.accounts().to_vec());
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    // The second page is empty and not the last.
    assert_eq!(sizes, [1, 0, 1]);
    let [first, second] = accounts.as_slice() else {
        panic!("{accounts:?}")
    };
    assert_eq!(
        (first.id(), first.name(), first.state()),
        (Some(PAYER), Some("payer"), Some(&State::Active))
    );
    assert_eq!(
        (second.state(), second.status()),
        (Some(&State::Closed), Some(&Status::Suspended))
    );
    assert!(second.email().unwrap().contains('@') && second.arn().unwrap().ends_with(LINKED));

    let refused = client(&sandbox, &linked).list_accounts().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    assert_eq!(
        refused.message(),
        Some("You don't have permissions to access this resource.")
    );
    let powerless = user(&sandbox, PAYER, "powerless", None);
    let refused = client(&sandbox, &powerless).list_accounts().send().await.unwrap_err();
    assert_eq!(
        refused.message(),
        Some(
            "User: arn:aws:iam::111122223333:user/powerless is not authorized to perform: organizations:ListAccounts \
             because no identity-based policy allows the organizations:ListAccounts action"
        )
    );
    for request in [
        client(&sandbox, &payer).list_accounts().max_results(21),
        client(&sandbox, &payer).list_accounts().next_token("made-up"),
    ] {
        let wrong = request.send().await.unwrap_err();
        assert_eq!(wrong.code(), Some("InvalidInputException"));
    }
}

#[tokio::test]
async fn policies_see_the_organization() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_object(BUCKET, "k", "content").await.unwrap();
    let key = user(&sandbox, LINKED, "linked", Some(READ));
    let may = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    sandbox.put_user_policy(LINKED, "linked", "objects", may).unwrap();
    sandbox.create_organization(PAYER, &[]).unwrap();
    let payer = user(&sandbox, PAYER, "payer", Some(READ));
    let answer = client(&sandbox, &payer).describe_organization().send().await.unwrap();
    let id = answer.organization().unwrap().id().unwrap().to_owned();
    let policy = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{LINKED}"}},"Action":"s3:GetObject",
            "Resource":"arn:aws:s3:::{BUCKET}/*","Condition":{{"StringEquals":{{"aws:PrincipalOrgID":"{id}"}}}}}}}}"#
    );
    sandbox.put_bucket_policy(BUCKET, &policy).unwrap();
    let get = || Raw::s3("GET", format!("/{BUCKET}/k"));
    assert_eq!(get().send(&sandbox, &key).await.status, 403);
    let outside = policy
        .replace(&id, "o-0000000000")
        .replace("StringEquals", "StringNotEquals");
    sandbox.put_bucket_policy(BUCKET, &outside).unwrap();
    assert_eq!(get().send(&sandbox, &key).await.status, 200);
}

#[tokio::test]
async fn a_service_control_policy_binds_members_and_not_the_payer() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let payer = user(&sandbox, PAYER, "payer", Some(READ));
    let linked = user(&sandbox, LINKED, "linked", Some(READ));
    let outside_europe = r#"{"Statement":{"Effect":"Deny","Action":"organizations:*","Resource":"*",
        "Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1"]}}}}"#;
    let alone = sandbox
        .attach_service_control_policy(LINKED, outside_europe)
        .unwrap_err();
    assert!(
        alone.to_string().contains("an organization with the account"),
        "{alone}"
    );
    sandbox.create_organization(PAYER, &[LINKED]).unwrap();
    for account in [PAYER, LINKED] {
        sandbox.attach_service_control_policy(account, outside_europe).unwrap();
    }
    let denied = client(&sandbox, &linked)
        .describe_organization()
        .send()
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Some("AccessDeniedException"));
    let message = denied.message().unwrap();
    assert!(
        message.ends_with("with an explicit deny in a service control policy"),
        "{message}"
    );
    client(&sandbox, &payer).describe_organization().send().await.unwrap();
    sandbox.detach_service_control_policies(LINKED).unwrap();
    client(&sandbox, &linked).describe_organization().send().await.unwrap();
}
