//! IAM with the AWS SDK: what it makes works, and its errors are AWS's.

use std::time::Duration;

use aws_sdk_iam::error::ProvideErrorMetadata;
use aws_sdk_iam::types::PolicyEvaluationDecisionType;

use super::{BUCKET, LINKED, Organisation, PAYER, user};
use crate::aws::{AccessKey, Fault, FaultKind, Sandbox};

const READ_ONE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::billing-exports/exports/*"},
    {"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::billing-exports/exports/secret/*"}]}"#;
const ADMIN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#;

fn client(sandbox: &Sandbox, key: &AccessKey) -> aws_sdk_iam::Client {
    let config = sdk_config!(aws_sdk_iam, sandbox, key, "us-east-1");
    aws_sdk_iam::Client::from_conf(config.build())
}

/// Code and message of a refusal, with its HTTP status.
macro_rules! refused {
    ($request:expr) => {{
        let error = $request.send().await.unwrap_err();
        let status = error.raw_response().unwrap().status().as_u16();
        let text = error.message().unwrap_or_default().to_owned();
        (status, error.code().unwrap_or_default().to_owned(), text)
    }};
}

#[tokio::test]
async fn a_user_that_iam_makes_works() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    sandbox.put_object(BUCKET, "exports/a", "content").await.unwrap();
    sandbox.put_object(BUCKET, "other", "content").await.unwrap();
    let admin = user(&sandbox, PAYER, "iam-admin", Some(ADMIN));
    let iam = client(&sandbox, &admin);
    let policy = iam
        .create_policy()
        .policy_name("reads")
        .policy_document(READ_ONE)
        .send()
        .await
        .unwrap();
    let arn = policy.policy().unwrap().arn().unwrap().to_owned();
    assert_eq!(arn, "arn:aws:iam::111122223333:policy/reads");
    let made = iam
        .create_user()
        .user_name("reader")
        .path("/billing/")
        .send()
        .await
        .unwrap();
    let made = made.user().unwrap();
    assert_eq!(made.arn(), "arn:aws:iam::111122223333:user/billing/reader");
    let got = iam.get_user().user_name("reader").send().await.unwrap();
    assert_eq!(got.user().unwrap().user_id(), made.user_id());
    for _ in 0..2 {
        iam.attach_user_policy()
            .user_name("reader")
            .policy_arn(&arn)
            .send()
            .await
            .unwrap();
    }
    let attached = iam
        .list_attached_user_policies()
        .user_name("reader")
        .send()
        .await
        .unwrap();
    assert_eq!(attached.attached_policies().len(), 1);
    assert_eq!(attached.attached_policies()[0].policy_arn(), Some(arn.as_str()));
    let got = iam.get_policy().policy_arn(&arn).send().await.unwrap();
    assert_eq!(got.policy().unwrap().attachment_count(), Some(1));

    sandbox.delay_new_access_keys(Duration::from_secs(10));
    let made = iam.create_access_key().user_name("reader").send().await.unwrap();
    let made = made.access_key().unwrap();
    let listed = iam.list_access_keys().user_name("reader").send().await.unwrap();
    assert_eq!(
        listed.access_key_metadata()[0].access_key_id(),
        Some(made.access_key_id())
    );
    let key = AccessKey {
        access_key_id: made.access_key_id().to_owned(),
        secret_access_key: made.secret_access_key().to_owned(),
    };
    let s3 = super::sdk::client(&sandbox, &key);
    let early = s3
        .get_object()
        .bucket(BUCKET)
        .key("exports/a")
        .send()
        .await
        .unwrap_err();
    assert_eq!(early.code(), Some("InvalidAccessKeyId"));
    sandbox.advance(Duration::from_secs(11));
    let got = s3.get_object().bucket(BUCKET).key("exports/a").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), "content");
    let refused = s3.get_object().bucket(BUCKET).key("other").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"));
    assert!(
        refused
            .message()
            .unwrap()
            .contains("user/billing/reader is not authorized")
    );
    let (status, code, text) = refused!(client(&sandbox, &key).create_user().user_name("another"));
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert_eq!(
        text,
        "User: arn:aws:iam::111122223333:user/billing/reader is not authorized to perform: iam:CreateUser on resource: \
         arn:aws:iam::111122223333:user/another because no identity-based policy allows the iam:CreateUser action"
    );
}

#[tokio::test]
async fn errors_are_those_of_aws() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let admin = user(&sandbox, PAYER, "iam-admin", Some(ADMIN));
    let iam = client(&sandbox, &admin);
    let brief = |(status, code, _): (u16, String, String)| format!("{status} {code}");
    let policy = |name: &str, text: &str| iam.create_policy().policy_name(name).policy_document(text);
    policy("reads", READ_ONE).send().await.unwrap();
    assert_eq!(brief(refused!(policy("reads", READ_ONE))), "409 EntityAlreadyExists");
    assert_eq!(brief(refused!(policy("broken", "{}"))), "400 MalformedPolicyDocument");
    assert_eq!(brief(refused!(policy("no name", READ_ONE))), "400 ValidationError");
    // White space does not count, everything else does.
    let padded = READ_ONE.replace(',', &format!(",{}", " ".repeat(2000)));
    policy("padded", &padded).send().await.unwrap();
    let long = READ_ONE.replace("exports/*", &format!("{}/*", "x".repeat(6144)));
    let (status, code, text) = refused!(policy("long", &long));
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    assert_eq!(text, "Cannot exceed quota for PolicySize: 6144");

    iam.create_user().user_name("reader").send().await.unwrap();
    let (_, code, text) = refused!(iam.create_user().user_name("Reader"));
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("EntityAlreadyExists", "User with name Reader already exists.")
    );
    assert_eq!(brief(refused!(iam.get_user().user_name("nobody"))), "404 NoSuchEntity");
    assert_eq!(
        brief(refused!(iam.create_access_key().user_name("nobody"))),
        "404 NoSuchEntity"
    );
    let attach = |user: &str, arn: &str| iam.attach_user_policy().user_name(user).policy_arn(arn);
    let none = "arn:aws:iam::111122223333:policy/none";
    assert_eq!(brief(refused!(attach("reader", none))), "404 NoSuchEntity");
    assert_eq!(brief(refused!(attach("nobody", none))), "404 NoSuchEntity");
    assert_eq!(
        brief(refused!(attach("reader", "not-an-arn-of-twenty-letters"))),
        "400 InvalidInput"
    );
    for number in 0..10 {
        policy(&format!("p{number}"), READ_ONE).send().await.unwrap();
        attach("reader", &format!("arn:aws:iam::111122223333:policy/p{number}"))
            .send()
            .await
            .unwrap();
    }
    let (_, code, text) = refused!(attach("reader", "arn:aws:iam::111122223333:policy/reads"));
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10")
    );
    for _ in 0..2 {
        iam.create_access_key().user_name("reader").send().await.unwrap();
    }
    let (status, code, text) = refused!(iam.create_access_key().user_name("reader"));
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    assert_eq!(text, "Cannot exceed quota for AccessKeysPerUser: 2");
    // Without a name the caller is meant, which a root user cannot be.
    assert_eq!(
        iam.list_access_keys().send().await.unwrap().access_key_metadata().len(),
        1
    );
    let root = sandbox.create_root_access_key(PAYER).unwrap();
    assert_eq!(
        brief(refused!(client(&sandbox, &root).get_user())),
        "400 ValidationError"
    );
}

#[tokio::test]
async fn simulation_asks_the_real_policies() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let admin = user(&sandbox, PAYER, "iam-admin", Some(ADMIN));
    user(&sandbox, PAYER, "reader", Some(READ_ONE));
    let iam = client(&sandbox, &admin);
    let reader = "arn:aws:iam::111122223333:user/reader";
    let ask = |source: &str| iam.simulate_principal_policy().policy_source_arn(source);
    let (open, secret) = (
        "arn:aws:s3:::billing-exports/exports/a",
        "arn:aws:s3:::billing-exports/exports/secret/a",
    );
    for (action, resource, expected) in [
        ("s3:GetObject", open, PolicyEvaluationDecisionType::Allowed),
        ("s3:GetObject", secret, PolicyEvaluationDecisionType::ExplicitDeny),
        ("s3:PutObject", open, PolicyEvaluationDecisionType::ImplicitDeny),
    ] {
        let answer = ask(reader)
            .action_names(action)
            .resource_arns(resource)
            .send()
            .await
            .unwrap();
        let [result] = answer.evaluation_results() else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (result.eval_resource_name(), result.eval_decision()),
            (Some(resource), &expected)
        );
    }
    // Several resources: the worst decision, and each of them.
    let both = ask(reader)
        .action_names("s3:GetObject")
        .resource_arns(open)
        .resource_arns(secret);
    let answer = both.send().await.unwrap();
    let result = &answer.evaluation_results()[0];
    assert_eq!(result.eval_decision(), &PolicyEvaluationDecisionType::ExplicitDeny);
    let each: Vec<_> = result
        .resource_specific_results()
        .iter()
        .map(|one| one.eval_resource_decision().clone())
        .collect();
    assert_eq!(
        each,
        [
            PolicyEvaluationDecisionType::Allowed,
            PolicyEvaluationDecisionType::ExplicitDeny
        ]
    );

    // Pages.
    let names: Vec<String> = (0..12).map(|number| format!("s3:Action{number}")).collect();
    let (mut seen, mut pages, mut marker) = (Vec::new(), 0, None);
    loop {
        let request = ask(reader).set_action_names(Some(names.clone())).set_marker(marker);
        let answer = request.send().await.unwrap();
        seen.extend(
            answer
                .evaluation_results()
                .iter()
                .map(|result| result.eval_action_name().to_owned()),
        );
        pages += 1;
        marker = answer.marker().map(str::to_owned);
        if !answer.is_truncated() {
            break;
        }
    }
    assert_eq!((seen, pages, marker), (names, 3, None));

    // What the organisation denies counts.
    let denial = sandbox.inject(Fault::new(FaultKind::Deny("s3:Get*".into())));
    let answer = ask(reader)
        .action_names("s3:GetObject")
        .resource_arns(open)
        .send()
        .await
        .unwrap();
    let result = &answer.evaluation_results()[0];
    assert_eq!(result.eval_decision(), &PolicyEvaluationDecisionType::ImplicitDeny);
    assert!(
        !result
            .organizations_decision_detail()
            .unwrap()
            .allowed_by_organizations()
    );
    denial.remove();

    let brief = |(status, code, _): (u16, String, String)| format!("{status} {code}");
    let simulate = |source: &str| ask(source).action_names("s3:GetObject");
    assert_eq!(
        brief(refused!(simulate("arn:aws:iam::111122223333:user/nobody"))),
        "404 NoSuchEntity"
    );
    let session = "arn:aws:sts::111122223333:assumed-role/role/session";
    assert_eq!(brief(refused!(simulate(session))), "400 InvalidInput");
    assert_eq!(
        brief(refused!(simulate("arn:aws:iam::111122223333:root"))),
        "400 InvalidInput"
    );
    let elsewhere = user(&sandbox, LINKED, "iam-admin", Some(ADMIN));
    let foreign = client(&sandbox, &elsewhere)
        .simulate_principal_policy()
        .policy_source_arn(reader);
    assert_eq!(
        brief(refused!(foreign.action_names("s3:GetObject"))),
        "404 NoSuchEntity"
    );
}

/// An operation that needs a right.
const OPERATIONS: &[(&str, &str)] = &[
    ("iam:CreatePolicy", "policy/made"),
    ("iam:GetPolicy", "policy/made"),
    ("iam:CreateUser", "user/made"),
    ("iam:GetUser", "user/made"),
    ("iam:AttachUserPolicy", "user/made"),
    ("iam:ListAttachedUserPolicies", "user/made"),
    ("iam:CreateAccessKey", "user/made"),
    ("iam:ListAccessKeys", "user/made"),
    ("iam:SimulatePrincipalPolicy", "user/made"),
];

#[tokio::test]
async fn each_operation_needs_its_own_action() {
    for (missing, resource) in OPERATIONS {
        let Organisation { sandbox, .. } = Organisation::start().await;
        let deny = ADMIN.replace(
            "]}",
            &format!(r#",{{"Effect":"Deny","Action":"{missing}","Resource":"*"}}]}}"#),
        );
        let admin = user(&sandbox, PAYER, "iam-admin", Some(&deny));
        let root = sandbox.create_root_access_key(PAYER).unwrap();
        let mut refusals = Vec::new();
        for (action, _) in OPERATIONS {
            if let Err(message) = operate(&client(&sandbox, &admin), action).await {
                refusals.push(message);
                operate(&client(&sandbox, &root), action).await.unwrap();
            }
        }
        let expected = format!(
            "AccessDenied User: arn:aws:iam::111122223333:user/iam-admin is not authorized to perform: {missing} on resource: \
             arn:aws:iam::111122223333:{resource} with an explicit deny in an identity-based policy"
        );
        assert_eq!(refusals, [expected]);
    }
}

async fn operate(iam: &aws_sdk_iam::Client, action: &str) -> Result<(), String> {
    let arn = "arn:aws:iam::111122223333:policy/made";
    macro_rules! done {
        ($request:expr) => {
            $request
                .send()
                .await
                .map(|_| ())
                .map_err(|error| format!("{} {}", error.code().unwrap(), error.message().unwrap()))
        };
    }
    match action {
        "iam:CreatePolicy" => done!(iam.create_policy().policy_name("made").policy_document(READ_ONE)),
        "iam:GetPolicy" => done!(iam.get_policy().policy_arn(arn)),
        "iam:CreateUser" => done!(iam.create_user().user_name("made")),
        "iam:GetUser" => done!(iam.get_user().user_name("made")),
        "iam:AttachUserPolicy" => done!(iam.attach_user_policy().user_name("made").policy_arn(arn)),
        "iam:ListAttachedUserPolicies" => done!(iam.list_attached_user_policies().user_name("made")),
        "iam:CreateAccessKey" => done!(iam.create_access_key().user_name("made")),
        "iam:ListAccessKeys" => done!(iam.list_access_keys().user_name("made")),
        _ => done!(
            iam.simulate_principal_policy()
                .policy_source_arn("arn:aws:iam::111122223333:user/made")
                .action_names("s3:GetObject")
        ),
    }
}
