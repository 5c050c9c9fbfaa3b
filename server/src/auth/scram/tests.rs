#![allow(clippy::unwrap_used)]

use farthing_engine::secret::SecretString;

use super::*;

// The example exchange of RFC 7677, section 3.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn pencil() -> Verifier {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    Verifier::derive(&SecretString::new("pencil"), &salt, 4096)
}

fn pending(verifier: &Verifier) -> Pending {
    begin(verifier, PLAIN, CLIENT_FIRST.as_bytes(), None, SERVER_NONCE)
        .unwrap()
        .1
}

#[test]
fn speaks_the_example_of_rfc_7677() {
    let (server_first, pending) = begin(&pencil(), PLAIN, CLIENT_FIRST.as_bytes(), None, SERVER_NONCE).unwrap();
    assert_eq!(server_first, SERVER_FIRST);
    assert_eq!(pending.finish(CLIENT_FINAL.as_bytes()), Ok(SERVER_FINAL.to_owned()));
}

#[test]
fn refuses_wrong_proofs_nonces_and_forms() {
    let check = |message: &str, error: ScramError| {
        let got = pending(&pencil()).finish(message.as_bytes()).unwrap_err();
        assert_eq!(
            std::mem::discriminant(&got),
            std::mem::discriminant(&error),
            "{message}: {got:?}"
        );
    };
    check(&CLIENT_FINAL.replace("dHzb", "dHzc"), ScramError::WrongPassword);
    check(&CLIENT_FINAL.replace("$k0", "$k1"), ScramError::Malformed(""));
    check(&CLIENT_FINAL.replace("biws", "eSws"), ScramError::Malformed(""));
    check("c=biws,r=x", ScramError::Malformed(""));
    check("", ScramError::Malformed(""));
    check(
        &CLIENT_FINAL.replace(",p=dHzb", ",p=AAAA,p="),
        ScramError::Malformed(""),
    );
}

#[test]
fn no_proof_fits_a_mock() {
    let mock = Verifier::mock(&[7; 32], "user");
    let pending = pending(&mock);
    assert_eq!(pending.finish(CLIENT_FINAL.as_bytes()), Err(ScramError::WrongPassword));
}

#[test]
fn channel_binding_must_fit_the_mechanism_and_the_connection() {
    let hash = [9u8; 32];
    let first = |mechanism, header: &str, end_point: Option<&[u8]>| {
        let message = format!("{header}n=,r=abc");
        begin(&pencil(), mechanism, message.as_bytes(), end_point, "def").map(|(_, pending)| pending)
    };
    assert!(first(PLAIN, "n,,", Some(&hash)).is_ok());
    assert!(first(PLAIN, "y,,", None).is_ok());
    assert!(first(PLAIN, "y,,", Some(&hash)).is_err());
    assert!(first(PLUS, "n,,", Some(&hash)).is_err());
    assert!(first(PLUS, "p=tls-server-end-point,,", None).is_err());
    assert!(first(PLUS, "p=tls-unique,,", Some(&hash)).is_err());
    assert!(first(PLAIN, "p=tls-server-end-point,,", Some(&hash)).is_err());
    assert!(first(PLAIN, "n,a=admin,", None).is_err());
    let pending = first(PLUS, "p=tls-server-end-point,,", Some(&hash)).unwrap();
    assert_eq!(
        pending.channel,
        [b"p=tls-server-end-point,,".as_slice(), &hash].concat()
    );
}

#[test]
fn arbitrary_first_messages_are_refused() {
    for message in [
        "",
        "n",
        "n,,",
        "n,,n=",
        "n,,n=u,r=",
        "n,,m=x,n=u,r=abc",
        "n,,x=u,r=abc",
        "n,,n=u,r=a b",
        "\u{0},,,",
    ] {
        assert!(
            begin(&pencil(), PLAIN, message.as_bytes(), None, "x").is_err(),
            "{message:?}"
        );
    }
    assert!(begin(&pencil(), PLAIN, &[0xff, 0xfe], None, "x").is_err());
}
