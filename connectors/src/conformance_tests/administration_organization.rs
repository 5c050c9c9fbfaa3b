//! The organization and its accounts.

use farthing_engine::error::ErrorKind;
use farthing_engine::port::AwsAdministration;
use farthing_sandbox::aws::AccountState;

use super::administration_accounts::ALL;
use super::{ACCOUNT, Place};

const STRANGER: &str = "333344445555";

#[tokio::test]
async fn an_organization_is_listed_over_short_and_empty_pages() {
    let place = Place::new().await;
    let mut ids = vec![ACCOUNT.to_owned()];
    for number in 0..44 {
        let id = format!("2000000000{number:02}");
        place.sandbox.create_account(&id, &format!("member-{number}")).unwrap();
        ids.push(id);
    }
    place.sandbox.create_account(STRANGER, "stranger").unwrap();
    let members: Vec<&str> = ids[1..].iter().map(String::as_str).collect();
    place.sandbox.create_organization(ACCOUNT, &members).unwrap();
    place
        .sandbox
        .set_account_state("200000000007", AccountState::Suspended)
        .unwrap();
    place
        .sandbox
        .set_account_state("200000000008", AccountState::Closed)
        .unwrap();
    let payer = place.user("setup", ALL);
    let member = place.user_of("200000000001", "setup", ALL);
    let stranger = place.user_of(STRANGER, "setup", ALL);
    let admin = place.admin();

    let accounts = admin.organization_accounts(&payer).await.unwrap();
    let listed: Vec<&str> = accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(listed, ids);
    // 20, none, 20 and 5.
    assert_eq!(place.sandbox.requests().count("ListAccounts"), 4);
    let state = |id: &str| {
        accounts
            .iter()
            .find(|account| account.id.as_str() == id)
            .unwrap()
            .state
            .as_str()
    };
    assert_eq!(state("200000000006"), "ACTIVE");
    assert_eq!((state("200000000007"), state("200000000008")), ("SUSPENDED", "CLOSED"));
    assert_eq!(accounts[1].name, "member-0");

    let own = admin.organization(&payer).await.unwrap().unwrap();
    assert_eq!(own.management_account.as_str(), ACCOUNT);
    assert_eq!(admin.organization(&member).await.unwrap().unwrap(), own);
    assert_eq!(admin.organization(&stranger).await.unwrap(), None);
    let error = admin.organization_accounts(&member).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused);
    assert!(
        error
            .message()
            .starts_with("AWS refused organizations:ListAccounts on *"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("management account"), "{error:?}");
    let error = admin.organization_accounts(&stranger).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}
