#![allow(clippy::unwrap_used)]

use super::*;

/// Made by the rules of RFC 7677 from its example: password `pencil`, 4096 rounds.
const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

#[test]
fn derives_the_keys_of_rfc_7677() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    assert_eq!(
        Verifier::derive(&SecretString::new("pencil"), &salt, 4096).to_text(),
        PENCIL
    );
}

#[test]
fn accepts_the_right_password_only() {
    let check = |password: &str, right: bool| {
        assert_eq!(
            verify_password(PENCIL, &SecretString::new(password)),
            right,
            "{password}"
        );
    };
    check("pencil", true);
    check("Pencil", false);
    check("pencil ", false);
    check("", false);
    // SASLprep maps the soft hyphen to nothing.
    check("pen\u{ad}cil", true);
}

#[test]
fn new_verifiers_differ_and_fit() {
    let password = SecretString::new("not-a-real-secret");
    let one = make_verifier(&password).unwrap();
    let two = make_verifier(&password).unwrap();
    assert_ne!(one, two);
    assert!(verify_password(&one, &password) && verify_password(&two, &password));
    assert!(!one.contains("not-a-real-secret"));
}

#[test]
fn refuses_texts_that_are_no_verifier() {
    let check = |text: &str| assert!(Verifier::parse(text).is_err(), "{text}");
    check("");
    check("pencil");
    check("md5d6a35858d61d85e4a82ab1fb044aba9d");
    check(&PENCIL.replace("4096", "0"));
    check(&PENCIL.replace("4096", "4000000000"));
    check(&PENCIL.replace("SCRAM-SHA-256", "SCRAM-SHA-1"));
    check(&PENCIL.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""));
    check(&PENCIL.replace("WG5d8", "WG5"));
    check(&format!("{PENCIL}$"));
    assert!(!verify_password("", &SecretString::new("")));
}

#[test]
fn a_mock_is_stable_for_its_user_and_key() {
    let one = Verifier::mock(&[1; 32], "alice");
    assert_eq!(one.to_text(), Verifier::mock(&[1; 32], "alice").to_text());
    assert_ne!(one.salt, Verifier::mock(&[1; 32], "bob").salt);
    assert_ne!(one.salt, Verifier::mock(&[2; 32], "alice").salt);
    assert_eq!(one.salt.len(), SALT_BYTES);
}
