#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use super::*;
use crate::aws::identity::Principal;

const ARN: &str = "arn:aws:s3:::bucket/folder/key";

fn user(policies: &[&str]) -> Principal {
    let parsed = policies
        .iter()
        .map(|text| Arc::new(PolicyDocument::parse(text, PolicyKind::Identity).unwrap()));
    Principal {
        kind: crate::aws::identity::PrincipalKind::User,
        account: "111122223333".into(),
        arn: "arn:aws:iam::111122223333:user/alice".into(),
        user_name: Some("alice".into()),
        policies: parsed.collect(),
        ..Principal::anonymous()
    }
}

fn decide(principal: &Principal, action: &str, resource: &str, context: &Context) -> Decision {
    let question = Authorization {
        principal,
        action,
        resource,
        resource_account: Some("111122223333"),
        resource_policy: None,
        context,
    };
    question.decide()
}

fn allows(policy: &str, action: &str, resource: &str, context: &Context) -> bool {
    decide(&user(&[policy]), action, resource, context) == Decision::Allowed
}

#[test]
fn patterns() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*", "anything/at:all", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("s3:Get*", "s3:GetObject", true),
        ("*Object", "s3:GetObject", true),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false),
        ("**a", "ba", true),
        ("", "", true),
        ("", "x", false),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::bb/x", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
    assert!(!matches("S3:getobject", "s3:GetObject"));
    assert!(matches_ignoring_case("S3:getobject", "s3:GetObject"));
}

#[test]
fn actions_and_resources() {
    let none = Context::default();
    let policy = |action: &str, resource: &str| format!(r#"{{"Statement":{{"Effect":"Allow",{action},{resource}}}}}"#);
    for (action, resource, expected) in [
        (r#""Action":"s3:GetObject""#, r#""Resource":"*""#, true),
        (r#""Action":"S3:GETOBJECT""#, r#""Resource":"*""#, true),
        (
            r#""Action":["s3:Put*","s3:Get?bject"]"#,
            r#""Resource":"arn:aws:s3:::bucket/*""#,
            true,
        ),
        (
            r#""Action":"*""#,
            r#""Resource":["arn:aws:s3:::other/*","arn:aws:s3:::bucket/folder/*"]"#,
            true,
        ),
        (
            r#""Action":"s3:GetObject""#,
            r#""Resource":"arn:aws:s3:::bucket""#,
            false,
        ),
        (r#""Action":"s3:ListBucket""#, r#""Resource":"*""#, false),
        (r#""NotAction":"s3:ListBucket""#, r#""Resource":"*""#, true),
        (r#""NotAction":"s3:*""#, r#""Resource":"*""#, false),
        (
            r#""Action":"s3:*""#,
            r#""NotResource":"arn:aws:s3:::bucket/folder/*""#,
            false,
        ),
        (
            r#""Action":"s3:*""#,
            r#""NotResource":"arn:aws:s3:::bucket/else/*""#,
            true,
        ),
    ] {
        assert_eq!(
            allows(&policy(action, resource), "s3:GetObject", ARN, &none),
            expected,
            "{action} {resource}"
        );
    }
}

#[test]
fn an_explicit_deny_wins() {
    let allow = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let deny = r#"{"Statement":{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}}"#;
    let caller = user(&[allow, deny]);
    let denied = Decision::Denied(Denial {
        explicit: true,
        by: DeniedBy::Identity,
    });
    assert_eq!(decide(&caller, "s3:GetObject", ARN, &Context::default()), denied);
    assert_eq!(
        decide(&caller, "s3:PutObject", ARN, &Context::default()),
        Decision::Allowed
    );
    let implicit = Decision::Denied(Denial {
        explicit: false,
        by: DeniedBy::Identity,
    });
    assert_eq!(decide(&user(&[]), "s3:GetObject", ARN, &Context::default()), implicit);
}

#[test]
fn conditions() {
    let context = Context::default()
        .with("aws:SourceAccount", "111122223333")
        .with("aws:SourceArn", "arn:aws:cur:us-east-1:111122223333:definition/report")
        .with("aws:SecureTransport", "true")
        .with("aws:SourceIp", "10.1.2.3")
        .with("s3:prefix", "exports/2026")
        .with("s3:max-keys", "50")
        .with("aws:CurrentTime", "2026-05-01T00:00:00Z");
    for (condition, expected) in [
        (r#""StringEquals":{"aws:SourceAccount":"111122223333"}"#, true),
        (r#""StringEquals":{"AWS:sourceaccount":["1","111122223333"]}"#, true),
        (r#""StringEquals":{"aws:SourceAccount":"1111*"}"#, false),
        (r#""StringLike":{"aws:SourceAccount":"1111*"}"#, true),
        (r#""StringNotEquals":{"aws:SourceAccount":"999999999999"}"#, true),
        (
            r#""StringNotEquals":{"aws:SourceAccount":["999999999999","111122223333"]}"#,
            false,
        ),
        (r#""StringNotEquals":{"aws:Absent":"x"}"#, true),
        (r#""StringEquals":{"aws:Absent":"x"}"#, false),
        (r#""StringEqualsIfExists":{"aws:Absent":"x"}"#, true),
        (r#""StringEqualsIgnoreCase":{"s3:prefix":"EXPORTS/2026"}"#, true),
        (
            r#""ArnLike":{"aws:SourceArn":"arn:aws:cur:*:111122223333:definition/*"}"#,
            true,
        ),
        (r#""ArnLike":{"aws:SourceArn":"arn:aws:*:definition/*"}"#, false),
        (
            r#""ArnEquals":{"aws:SourceArn":"arn:aws:cur:us-east-1:111122223333:definition/other"}"#,
            false,
        ),
        (r#""Bool":{"aws:SecureTransport":"true"}"#, true),
        (r#""Bool":{"aws:SecureTransport":false}"#, false),
        (r#""IpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#, true),
        (r#""IpAddress":{"aws:SourceIp":["192.168.0.0/16","10.1.2.3"]}"#, true),
        (r#""IpAddress":{"aws:SourceIp":"10.1.2.4/32"}"#, false),
        (r#""IpAddress":{"aws:SourceIp":"0.0.0.0/0"}"#, true),
        (r#""NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}"#, false),
        (r#""NumericLessThanEquals":{"s3:max-keys":"100"}"#, true),
        (r#""NumericGreaterThan":{"s3:max-keys":100}"#, false),
        (r#""DateLessThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}"#, true),
        (r#""DateGreaterThan":{"aws:CurrentTime":"2026-06-01T00:00:00Z"}"#, false),
        (r#""Null":{"aws:Absent":"true"}"#, true),
        (r#""Null":{"aws:SourceIp":"true"}"#, false),
        (
            r#""StringLike":{"s3:prefix":"exports/*"},"Bool":{"aws:SecureTransport":"false"}"#,
            false,
        ),
        (r#""ForAllValues:StringLike":{"s3:prefix":"exports/*"}"#, true),
        (r#""ForAnyValue:StringEquals":{"aws:Absent":"x"}"#, false),
    ] {
        let policy =
            format!(r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{{condition}}}}}}}"#);
        assert_eq!(
            allows(&policy, "s3:ListBucket", "arn:aws:s3:::bucket", &context),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn policy_variables() {
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::bucket/${aws:username}/*"}}"#;
    let alice = Context::default().with("aws:username", "folder");
    assert!(allows(policy, "s3:GetObject", ARN, &alice));
    assert!(!allows(
        policy,
        "s3:GetObject",
        ARN,
        &Context::default().with("aws:username", "else")
    ));
    assert!(!allows(
        policy,
        "s3:GetObject",
        ARN,
        &Context::default().with("aws:username", "*")
    ));
    assert!(!allows(policy, "s3:GetObject", ARN, &Context::default()));
}

#[test]
fn malformed_policies() {
    let refused = |text: &str, kind| PolicyDocument::parse(text, kind).unwrap_err().to_string();
    for (text, part) in [
        ("", "invalid Json"),
        ("[]", "not a JSON object"),
        ("{}", "Missing required field Statement"),
        (r#"{"Version":"2020-01-01","Statement":[]}"#, "version"),
        (r#"{"Statement":[],"Extra":1}"#, "Unknown field Extra"),
        (r#"{"Statement":{"Action":"*","Resource":"*"}}"#, "Effect"),
        (
            r#"{"Statement":{"Effect":"Maybe","Action":"*","Resource":"*"}}"#,
            "Invalid effect",
        ),
        (r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "Action"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"GetObject","Resource":"*"}}"#,
            "vendor",
        ),
        (r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, "Resource"),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}"#,
            "ARN format",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}}"#,
            "principal",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":["*",1],"Resource":"*"}}"#,
            "not a string",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"a":"b"}}}}"#,
            "StringIs",
        ),
    ] {
        let message = refused(text, PolicyKind::Identity);
        assert!(message.contains(part), "{text}: {message}");
    }
    let bucket = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":{"AWS":"alice"}}}"#;
    assert!(refused(bucket, PolicyKind::Resource).contains("Invalid principal"));
    let trust = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*","Principal":"*"}}"#;
    assert!(refused(trust, PolicyKind::Trust).contains("Resource"));
}

/// What the guide's first option says about services that the sandbox does not serve yet.
#[test]
fn the_guides_first_option_for_other_services() {
    let policy = include_str!("../tests/guide/option-1.json").replace("<bucket_name>", "bucket");
    let none = Context::default();
    for (action, expected) in [
        ("cur:DescribeReportDefinitions", true),
        ("iam:ListUsers", true),
        ("iam:GetUser", false),
        ("ec2:DescribeInstances", true),
        ("ec2:RunInstances", false),
        ("cloudwatch:GetMetricStatistics", true),
        ("elasticloadbalancing:DescribeLoadBalancers", true),
        ("bcm-data-exports:ListExports", false),
        ("organizations:ListAccounts", false),
        ("kms:Decrypt", false),
    ] {
        assert_eq!(allows(&policy, action, "*", &none), expected, "{action}");
    }
}
