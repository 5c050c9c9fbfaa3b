#![allow(clippy::unwrap_used)]

use super::*;

fn read(parameters: &[(&str, &str)]) -> Result<Request, PgError> {
    Request::read(
        parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn reads_the_startup_packet() {
    let request = read(&[
        ("user", "alice"),
        ("database", "farthing"),
        ("application_name", "psql"),
        ("client_encoding", "utf-8"),
        ("options", "-c search_path=a,\\ b --statement-timeout=5s -cjit=off"),
        ("_pq_.new", "1"),
    ])
    .unwrap();
    assert_eq!((request.user.as_str(), request.application.as_str()), ("alice", "psql"));
    assert_eq!(request.database.as_deref(), Some("farthing"));
    assert_eq!(request.unknown_options, ["_pq_.new"]);
    let settings: Vec<_> = request
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        settings,
        [
            ("application_name", "psql"),
            ("client_encoding", "utf-8"),
            ("search_path", "a, b"),
            ("statement_timeout", "5s"),
            ("jit", "off"),
        ]
    );
}

#[test]
fn refuses_what_cannot_be_honoured() {
    let check = |parameters: &[(&str, &str)], code: &str| assert_eq!(read(parameters).unwrap_err().code(), code);
    check(&[], "28000");
    check(&[("user", "")], "28000");
    check(&[("user", "a"), ("client_encoding", "LATIN1")], "22023");
    check(&[("user", "a"), ("replication", "true")], "0A000");
    check(&[("user", "a"), ("options", "-x")], "42601");
    check(&[("user", "a"), ("options", "-c")], "42601");
    check(&[("user", "a"), ("options", "-c name")], "42601");
    assert!(read(&[("user", "a"), ("replication", "false")]).is_ok());
}
