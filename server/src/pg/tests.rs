#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn only_loopback_may_speak_in_plain_text() {
    let check = |address: &str, certificate, wanted, expected: Option<TlsUse>| {
        let got = allowed_tls_use(address.parse().unwrap(), certificate, wanted);
        assert_eq!(
            got.as_ref().ok(),
            expected.as_ref(),
            "{address} {certificate} {wanted:?}"
        );
        if let Err(error) = got {
            assert!(error.hint().is_some());
        }
    };
    check("127.0.0.1:5432", false, TlsUse::Offered, Some(TlsUse::Offered));
    check("[::1]:5432", false, TlsUse::Offered, Some(TlsUse::Offered));
    check("127.0.0.1:5432", true, TlsUse::Offered, Some(TlsUse::Offered));
    check("127.0.0.1:5432", true, TlsUse::Required, Some(TlsUse::Required));
    check("127.0.0.1:5432", false, TlsUse::Required, None);
    check("0.0.0.0:5432", false, TlsUse::Offered, None);
    check("[::]:5432", false, TlsUse::Offered, None);
    check("192.0.2.1:5432", false, TlsUse::Required, None);
    check("192.0.2.1:5432", true, TlsUse::Offered, Some(TlsUse::Required));
}
