#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn carries_code_message_hint_and_sqlstate() {
    let status = refuse(ErrorKind::UnknownTable, "table \"x\" does not exist", "list the tables");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "table \"x\" does not exist\nHint: list the tables");
    assert_eq!(status.metadata().get(SQLSTATE_KEY).unwrap(), "42P01");
}

#[test]
fn masks_defects() {
    let status = status(&Error::defect("offset 7 out of bounds").with_detail("plan: Scan(secret)"));
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().starts_with("internal error, incident "));
    assert!(!status.message().contains("offset") && !status.message().contains("Scan"));
}

#[test]
fn shortens_long_messages_at_a_character() {
    let status = status(&Error::new(ErrorKind::Syntax, "é".repeat(4000)));
    assert!(status.message().len() <= MESSAGE_BYTES + 4);
    assert!(status.message().ends_with("é ..."));
}
