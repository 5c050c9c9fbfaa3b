#![allow(clippy::unwrap_used)]
// The private keys of certificates that exist for one test.
#![allow(clippy::disallowed_methods)]

use super::*;

#[test]
fn a_made_pair_loads_and_binds() {
    let (chain, key) = make_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let tls = ServerTls::from_pem(chain.as_bytes(), key.open().as_bytes()).unwrap();
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    assert_eq!(tls.end_point(), Some(Sha256::digest(&der).as_slice()));
}

#[test]
fn unusable_pairs_are_refused_without_showing_the_key() {
    let (chain, key) = make_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (_, other) = make_self_signed(vec!["localhost".to_owned()]).unwrap();
    let check = |chain: &str, key: &str| {
        let error = ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadValue);
        assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
    };
    check(&chain, other.open());
    check("", key.open());
    check(&chain, "");
    check("not PEM", "not PEM");
    assert!(make_self_signed(vec!["no host\u{20ac}".to_owned()]).is_err());
    assert!(ServerTls::load(Path::new("missing.pem"), Path::new("missing.key")).is_err());
}

#[test]
fn arbitrary_bytes_have_no_signature_algorithm() {
    for bytes in [
        &[][..],
        &[0x30],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x80, 0, 0],
        &[0x30, 2, 0x30, 0],
    ] {
        assert_eq!(signature_algorithm(bytes), None);
    }
}
