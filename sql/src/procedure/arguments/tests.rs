#![allow(clippy::unwrap_used)]

use datafusion::sql::sqlparser::ast;

use super::*;
use crate::{procedure, statement};

fn read(sql: &str, bound: &[ScalarValue]) -> Result<Arguments> {
    let statements = statement::parse(sql, 1 << 20)?;
    let ast::Statement::Call(call) = &*statements[0].tree else {
        unreachable!("{sql}")
    };
    Arguments::read(procedure::find(&call.name.to_string())?, call, bound)
}

#[test]
fn every_way_to_write_an_argument_means_the_same() {
    for sql in [
        "CALL disconnect_aws_account('012345678901')",
        "CALL disconnect_aws_account(account_id => '012345678901')",
        "CALL disconnect_aws_account(ACCOUNT_ID := '012345678901', dry_run => NULL)",
        "CALL disconnect_aws_account('012345678901'::text, confirm => null)",
        "CALL disconnect_aws_account($1)",
        "CALL disconnect_aws_account(account_id => $1::text)",
    ] {
        let arguments = read(sql, &[ScalarValue::from("012345678901")]).unwrap();
        assert_eq!(
            arguments.account("account_id").unwrap().unwrap().as_str(),
            "012345678901",
            "{sql}"
        );
        assert!(!arguments.boolean("dry_run", false), "{sql}");
    }
}

#[test]
fn what_is_wrong_with_a_call_is_said_without_its_values() {
    for (sql, kind) in [
        ("CALL conect_aws_linked()", ErrorKind::UnknownFunction),
        ("CALL nothing_like_it()", ErrorKind::UnknownFunction),
        (
            "CALL disconnect_aws_account(acount_id => 'canary')",
            ErrorKind::UnknownFunction,
        ),
        ("CALL disconnect_aws_account()", ErrorKind::NullNotAllowed),
        (
            "CALL disconnect_aws_account(account_id => NULL)",
            ErrorKind::NullNotAllowed,
        ),
        (
            "CALL disconnect_aws_account(account_id => '1', account_id => '2')",
            ErrorKind::Syntax,
        ),
        (
            "CALL disconnect_aws_account(account_id => 12345678901)",
            ErrorKind::WrongType,
        ),
        (
            "CALL disconnect_aws_account('1', dry_run => 'canary')",
            ErrorKind::WrongType,
        ),
        ("CALL disconnect_aws_account('1', 'canary')", ErrorKind::UnknownFunction),
        ("CALL disconnect_aws_account(dry_run => true, '1')", ErrorKind::Syntax),
        (
            "CALL put_secret(name => 'x', value => (SELECT 'canary'))",
            ErrorKind::Unsupported,
        ),
        ("CALL put_secret(name => 'x', value => $2)", ErrorKind::BadValue),
    ] {
        let error = read(sql, &[]).err().unwrap();
        assert_eq!(error.kind(), kind, "{sql}: {error}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    let near = read("CALL conect_aws_linked()", &[]).err().unwrap();
    assert!(near.hint().unwrap().contains("connect_aws_linked("), "{near:?}");
}

#[test]
fn credentials_are_whole_and_given_once() {
    let key = "access_key_id => 'AKIAFARTHINGEXAMPLE1'";
    let secret = "secret_access_key => 'not-a-real-secret'";
    for (arguments, right) in [
        (format!("{key}, {secret}"), true),
        ("credential => 'secret:payer'".to_owned(), true),
        (String::new(), true),
        (key.to_owned(), false),
        (secret.to_owned(), false),
        (format!("{key}, {secret}, credential => 'secret:payer'"), false),
        ("credential => 'payer'".to_owned(), false),
        (format!("access_key_id => 'not/an/id', {secret}"), false),
    ] {
        let outcome = read(&format!("CALL connect_aws_linked({arguments})"), &[])
            .unwrap()
            .credential();
        assert_eq!(outcome.is_ok(), right, "{arguments}");
    }
}

#[test]
fn parameters_have_the_types_of_their_arguments() {
    let statements = statement::parse("CALL connect_aws_linked(access_key_id => $2, dry_run => $1)", 1 << 20).unwrap();
    let ast::Statement::Call(call) = &*statements[0].tree else {
        unreachable!()
    };
    let types = parameter_types(procedure::find("connect_aws_linked").unwrap(), call).unwrap();
    assert_eq!(types, [DataType::Boolean, DataType::Utf8]);
}
