#![allow(clippy::unwrap_used)]

use crate::statement;

const CANARY: &str = "not-a-real-secret-canary";

fn redacted(sql: &str) -> String {
    statement::parse(sql, 1 << 20).unwrap()[0].redacted().to_owned()
}

#[test]
fn no_literal_survives() {
    for sql in [
        "CALL put_secret(name => 'x', value => 'CANARY')",
        "CALL put_secret('x', 'CANARY')",
        "CALL put_secret(name := 'x', value := 'CANARY')",
        "CALL put_secret(name => 'x', value => E'CANARY')",
        "CALL put_secret(name => 'x', value => $$CANARY$$)",
        "CALL put_secret(name => 'x', value => $t$CANARY$t$)",
        "CALL put_secret(name => 'x', value => U&'CANARY')",
        "CALL put_secret(name => 'x', value => N'CANARY')",
        "CALL put_secret(name => 'x', value => 'CANARY'::text)",
        "CALL put_secret(name => 'x', value => CAST('CANARY' AS text))",
        "CALL put_secret(name => 'x', value => ('a' || 'CANARY'))",
        "EXPLAIN CALL connect_aws_root(secret_access_key => 'CANARY')",
        "SELECT 'CANARY', INTERVAL 'CANARY', DATE 'CANARY', x LIKE 'CANARY' ESCAPE 'C' FROM t WHERE a IN ('CANARY')",
        "SET application_name = 'CANARY'",
        "SET TIME ZONE 'CANARY'",
    ] {
        let text = redacted(&sql.replace("CANARY", CANARY));
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn what_is_no_literal_stays() {
    assert_eq!(
        redacted("call connect_aws_linked(access_key_id => $1, dry_run => true)"),
        "CALL connect_aws_linked(access_key_id => $1, dry_run => '***')"
    );
    assert_eq!(
        redacted("select sum(x) from costs where y is null"),
        "SELECT sum(x) FROM costs WHERE y IS NULL"
    );
}

#[test]
fn a_syntax_error_tells_the_place_and_not_the_text() {
    for sql in [
        "CALL put_secret(name => 'x', value => 'CANARY' 'CANARY')",
        "CALL put_secret(name => 'x' value => CANARY)",
        "CALL put_secret(name => 'x', value => 'CANARY",
        "/* c */ call CANARY CANARY",
        "ALTER ROLE ada PASSWORD CANARY CANARY",
    ] {
        let error = statement::parse(&sql.replace("CANARY", CANARY), 1 << 20).err().unwrap();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        assert!(error.message().starts_with("syntax error"), "{error}");
    }
}
