#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const ID: &str = "AKIAFARTHINGEXAMPLE1";
const SECRET: &str = "not-a-real-secret/with+signs=AND:colons";

fn check(text: &str, expected: Option<(&str, &str, Option<&str>)>) {
    let parsed = parse_access_key(&SecretString::new(text), "the secret \"named/x\"");
    match (parsed, expected) {
        (Ok(key), Some((id, secret, token))) => {
            assert_eq!(key.access_key_id, id, "{text}");
            assert_eq!(key.secret_access_key.open(), secret, "{text}");
            assert_eq!(key.session_token.as_ref().map(SecretString::open), token, "{text}");
        }
        (Err(error), None) => {
            assert_eq!(error.kind(), ErrorKind::BadCredentials, "{text}");
            assert!(error.hint().is_some());
            assert!(error.message().contains("named/x"), "{error}");
            assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
        }
        (parsed, expected) => panic!("{text}: {parsed:?} instead of {expected:?}"),
    }
}

#[test]
fn access_keys_are_read_in_the_forms_that_people_have() {
    let plain = Some((ID, SECRET, None));
    check(&format!("{ID}:{SECRET}"), plain);
    check(&format!("  {ID} : {SECRET}\n"), plain);
    check(&format!("Access key ID,Secret access key\r\n{ID},{SECRET}\r\n"), plain);
    check(
        &format!("\u{feff}Access key ID,Secret access key\n{ID},{SECRET}"),
        plain,
    );
    check(
        &format!("\"Access key ID\",\"Secret access key\"\n\"{ID}\",\"{SECRET}\""),
        plain,
    );
    check(
        &format!("User name,Access key ID,Secret access key\nbilling,{ID},{SECRET}"),
        plain,
    );
    check(
        &format!("{{\"access_key_id\":\"{ID}\",\"secret_access_key\":\"{SECRET}\"}}"),
        plain,
    );
    check(
        &format!(
            "{{\"Version\":1,\"AccessKeyId\":\"{ID}\",\"SecretAccessKey\":\"{SECRET}\",\"SessionToken\":\"tok\"}}"
        ),
        Some((ID, SECRET, Some("tok"))),
    );
}

#[test]
fn other_text_is_refused_without_being_quoted() {
    check("", None);
    check("not-a-real-secret", None);
    check(&format!("{ID}:"), None);
    check(&format!(":{SECRET}"), None);
    check("AKIA:not-a-real-secret", None);
    check(&format!("{ID}:not-a-real secret with spaces"), None);
    check(&format!("Secret access key\n{SECRET}"), None);
    check("Access key ID,Secret access key", None);
    check("{\"access_key_id\":\"not-a-real\"}", None);
    check(
        "{\"access_key_id\": 7, \"secret_access_key\": \"not-a-real-secret\"}",
        None,
    );
    check("{not-a-real", None);
    check("ASIAFARTHINGEXAMPLE1:not-a-real-secret", None);
    check(
        &format!(
            "{{\"access_key_id\":\"{ID}\",\"secret_access_key\":\"not-a-real-secret\",\"session_token\":\"a\\nb\"}}"
        ),
        None,
    );
}

#[test]
fn what_is_written_is_read_back() {
    for token in [None, Some("not-a-real-token")] {
        let key = access_key("ASIAFARTHINGEXAMPLE1", SECRET, token.or(Some("t")));
        let text = write_access_key(&key).unwrap();
        let read = parse_access_key(&text, "x").unwrap();
        assert_eq!(read.access_key_id, key.access_key_id);
        assert_eq!(read.secret_access_key.open(), SECRET);
        assert_eq!(read.session_token.unwrap().open(), token.unwrap_or("t"));
    }
}

#[test]
fn ids_are_shown_without_their_middle() {
    assert_eq!(masked(ID), "AKIA...PLE1");
    assert_eq!(masked("short"), "...");
}
