#![allow(clippy::unwrap_used)]

use farthing_engine::principal::{Grant, Role};

use super::verifier::make_verifier;
use super::*;

fn authenticator() -> Authenticator {
    let verifier = make_verifier(&SecretString::new("not-a-real-secret")).unwrap();
    Authenticator::over(Box::new(move |name| {
        let verifier = match name {
            "alice" => verifier.clone(),
            "broken" => "not a verifier".to_owned(),
            _ => return None,
        };
        Some(Login {
            name: name.to_owned(),
            role: Role::Reader,
            grant: Grant::AllConnected,
            verifier,
        })
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_right_password_gives_the_principal_and_everything_else_the_same_error() {
    let authenticator = authenticator();
    let right = authenticator
        .check_password("alice", SecretString::new("not-a-real-secret"), None)
        .await
        .unwrap();
    assert_eq!((right.name.as_str(), right.role), ("alice", Role::Reader));
    for (user, password) in [
        ("alice", "wrong"),
        ("alice", ""),
        ("bob", "not-a-real-secret"),
        ("broken", "not-a-real-secret"),
    ] {
        let error = authenticator
            .check_password(user, SecretString::new(password), None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadCredentials);
        assert_eq!(
            error.message(),
            format!("password authentication failed for user \"{user}\"")
        );
        assert!(error.detail().is_none() && error.hint().is_none());
    }
}

#[test]
fn unknown_users_keep_their_salt() {
    let authenticator = authenticator();
    let salt = |user| authenticator.candidate(user).verifier().salt.clone();
    assert_eq!(salt("bob"), salt("bob"));
    assert_ne!(salt("bob"), salt("carol"));
    assert_eq!(salt("bob").len(), salt("alice").len());
    assert!(authenticator.candidate("bob").into_principal().is_none());
}
