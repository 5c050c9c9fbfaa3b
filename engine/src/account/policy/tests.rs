#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::pattern::{covers, overlap};
use super::*;

const ACCOUNT: &str = "111122223333";

fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

fn names() -> Names {
    Names {
        account: Some(account()),
        bucket: Some("example-bills".to_owned()),
        prefix: Some("/cur/daily/".to_owned()),
        export_name: Some("costs".to_owned()),
        role_name: Some("bill-reader".to_owned()),
        ..Names::default()
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        list => list
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect(),
    }
}

fn statements(policy: &Value) -> &Vec<Value> {
    policy["Statement"].as_array().unwrap()
}

/// Every action of a policy with the resources it is granted on.
fn granted(policy: &Value) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = statements(policy)
        .iter()
        .flat_map(|s| {
            texts(&s["Action"])
                .into_iter()
                .map(|action| (action, texts(&s["Resource"])))
        })
        .collect();
    found.sort();
    found
}

fn actions(policy: &Value) -> BTreeSet<String> {
    granted(policy).into_iter().map(|(action, _)| action).collect()
}

#[test]
fn reading_takes_the_bucket_alone() {
    let policy = iam_policy(Mode::Read, &names()).unwrap();
    let expected = [
        ("s3:GetBucketLocation", "arn:aws:s3:::example-bills"),
        ("s3:GetObject", "arn:aws:s3:::example-bills/cur/daily/costs/*"),
        ("s3:ListBucket", "arn:aws:s3:::example-bills"),
    ];
    let expected: Vec<_> = expected.map(|(a, r)| (a.to_owned(), vec![r.to_owned()])).into();
    assert_eq!(granted(&policy), expected);
    let china = Names {
        partition: Partition::China,
        prefix: None,
        export_name: None,
        kms_key: Some("arn:aws-cn:kms:cn-north-1:111122223333:key/abc".to_owned()),
        ..names()
    };
    let policy = iam_policy(Mode::Read, &china).unwrap();
    let expected = [
        ("kms:Decrypt", "arn:aws-cn:kms:cn-north-1:111122223333:key/abc"),
        ("s3:GetBucketLocation", "arn:aws-cn:s3:::example-bills"),
        ("s3:GetObject", "arn:aws-cn:s3:::example-bills/*"),
        ("s3:ListBucket", "arn:aws-cn:s3:::example-bills"),
    ];
    let expected: Vec<_> = expected.map(|(a, r)| (a.to_owned(), vec![r.to_owned()])).into();
    assert_eq!(granted(&policy), expected);
}

#[test]
fn a_mode_has_the_actions_of_its_kinds_and_no_others() {
    let of = |mode, kinds: &[Kind]| {
        let names = Names {
            kinds: kinds.iter().copied().collect(),
            ..names()
        };
        actions(&iam_policy(mode, &names).unwrap())
    };
    let set = |list: &[&str]| -> BTreeSet<String> { list.iter().map(|s| (*s).to_owned()).collect() };
    let read = set(&["s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject"]);
    let exports = set(&[
        "bcm-data-exports:ListExports",
        "bcm-data-exports:ListTables",
        "bcm-data-exports:GetExport",
        "bcm-data-exports:ListExecutions",
        "bcm-data-exports:GetExecution",
        "bcm-data-exports:GetTable",
    ]);
    let reports = set(&["cur:DescribeReportDefinitions"]);
    let bucket = set(&[
        "s3:CreateBucket",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutEncryptionConfiguration",
    ]);
    let sum = |parts: &[&BTreeSet<String>]| -> BTreeSet<String> { parts.iter().flat_map(|p| (*p).clone()).collect() };
    assert_eq!(of(Mode::Detect, &[]), sum(&[&read, &exports, &reports]));
    assert_eq!(of(Mode::Detect, &[Kind::Focus]), sum(&[&read, &exports]));
    assert_eq!(of(Mode::Detect, &[Kind::Cur]), sum(&[&read, &reports]));
    let create = set(&["bcm-data-exports:CreateExport"]);
    let put = set(&["cur:PutReportDefinition"]);
    assert_eq!(of(Mode::Create, &[]), sum(&[&read, &exports, &create, &put, &bucket]));
    assert_eq!(
        of(Mode::Create, &[Kind::Focus]),
        sum(&[&read, &exports, &create, &bucket])
    );
    assert_eq!(of(Mode::Create, &[Kind::Cur]), sum(&[&read, &reports, &put, &bucket]));
    assert_eq!(
        of(Mode::Organization, &[]),
        set(&["organizations:DescribeOrganization", "organizations:ListAccounts"])
    );
    assert_eq!(
        granted(
            &iam_policy(
                Mode::Assume,
                &Names {
                    account: None,
                    ..names()
                }
            )
            .unwrap()
        ),
        [(
            "sts:AssumeRole".to_owned(),
            vec!["arn:aws:iam::*:role/bill-reader".to_owned()]
        )]
    );
    let nameless = iam_policy(
        Mode::Assume,
        &Names {
            role_name: None,
            ..names()
        },
    );
    assert!(nameless.unwrap_err().message().contains("role_name"));
}

#[test]
fn only_actions_without_a_resource_type_are_granted_on_everything() {
    let without = [
        "bcm-data-exports:ListExports",
        "bcm-data-exports:ListTables",
        "cur:DescribeReportDefinitions",
        "organizations:DescribeOrganization",
        "organizations:ListAccounts",
        "s3:ListAllMyBuckets",
        "iam:ListUsers",
    ];
    for mode in [
        Mode::Read,
        Mode::Detect,
        Mode::Create,
        Mode::Linked,
        Mode::Organization,
        Mode::SetupUser,
        Mode::Assume,
    ] {
        for (action, resources) in granted(&iam_policy(mode, &names()).unwrap()) {
            assert!(!action.contains('*'), "{action}");
            let described = ["ec2:Describe", "elasticloadbalancing:Describe", "cloudwatch:"];
            let free = without.contains(&action.as_str()) || described.iter().any(|d| action.starts_with(d));
            assert_eq!(resources == ["*"], free, "{mode:?}: {action} on {resources:?}");
        }
    }
}

#[test]
fn creating_is_narrowed_to_table_account_and_report() {
    let policy = iam_policy(Mode::Create, &names()).unwrap();
    let on = |policy: &Value, action: &str| -> Vec<String> {
        granted(policy).into_iter().find(|(a, _)| a == action).unwrap().1
    };
    assert_eq!(
        on(&policy, "bcm-data-exports:CreateExport"),
        [
            "arn:aws:bcm-data-exports:us-east-1:111122223333:table/COST_AND_USAGE_REPORT",
            "arn:aws:bcm-data-exports:us-east-1:111122223333:export/*"
        ]
    );
    let legacy = Names {
        partition: Partition::China,
        kinds: [Kind::Cur].into(),
        export_name: Some("all*of(it)".to_owned()),
        ..names()
    };
    let policy = iam_policy(Mode::Create, &legacy).unwrap();
    assert_eq!(
        on(&policy, "cur:PutReportDefinition"),
        ["arn:aws-cn:cur:cn-northwest-1:111122223333:definition/all${*}of(it)"]
    );
    let unknown = Names {
        account: None,
        ..names()
    };
    let policy = iam_policy(Mode::Detect, &unknown).unwrap();
    assert_eq!(
        on(&policy, "bcm-data-exports:GetExport"),
        ["arn:aws:bcm-data-exports:us-east-1:*:export/*"]
    );
}

#[test]
fn discovery_is_split_by_feature() {
    let mut together = BTreeSet::new();
    for (name, feature) in Feature::ALL {
        let one = Names {
            features: [feature].into(),
            ..Names::default()
        };
        let services: BTreeSet<String> = actions(&iam_policy(Mode::Linked, &one).unwrap())
            .into_iter()
            .inspect(|action| {
                together.insert(action.clone());
            })
            .map(|action| action.split(':').next().unwrap().to_owned())
            .collect();
        let service = if name == "elb" { "elasticloadbalancing" } else { name };
        assert_eq!(services, [service.to_owned()].into());
    }
    assert_eq!(actions(&iam_policy(Mode::Linked, &Names::default()).unwrap()), together);
}

#[test]
fn the_administrator_makes_one_user_and_its_policies() {
    let given = Names {
        user_name: Some("bill-reader".to_owned()),
        ..names()
    };
    let policy = iam_policy(Mode::SetupUser, &given).unwrap();
    for (action, resources) in granted(&policy) {
        let expected = match action.as_str() {
            "iam:CreatePolicy" | "iam:GetPolicy" | "iam:GetPolicyVersion" => {
                "arn:aws:iam::111122223333:policy/bill-reader-*"
            }
            _ => "arn:aws:iam::111122223333:user/bill-reader",
        };
        assert_eq!(resources, [expected], "{action}");
    }
    let attach = statements(&policy).last().unwrap();
    assert_eq!(
        attach["Condition"]["ArnLike"]["iam:PolicyARN"],
        "arn:aws:iam::111122223333:policy/bill-reader-*"
    );
}

#[test]
fn the_guides_policies_are_as_printed() {
    let option1 = guide_option1(Partition::Aws, Some("example-bills"));
    let printed: Value = serde_json::from_str(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["cur:DescribeReportDefinitions"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::example-bills/*"},
            {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "arn:aws:s3:::example-bills"},
            {"Effect": "Allow", "Action": ["s3:GetBucket*", "iam:GetAccessKeyLastUsed", "cloudwatch:GetMetricStatistics",
                "ec2:Describe*", "s3:ListAllMyBuckets", "iam:ListUsers", "s3:GetBucketLocation", "iam:GetLoginProfile",
                "cur:DescribeReportDefinitions", "iam:ListAccessKeys", "elasticloadbalancing:Describe*"], "Resource": "*"}]}"#,
    )
    .unwrap();
    assert_eq!(option1, printed);
    assert_eq!(statements(&guide_linked())[0], statements(&printed)[3]);
    assert_eq!(granted(&guide_option2()).len(), 10);
    let bucket = guide_bucket(None, None, Partition::Aws);
    assert_eq!(
        statements(&bucket)[0]["Sid"],
        "EnableAWSDataExportsToWriteToS3AndCheckPolicy"
    );
    assert_eq!(statements(&bucket)[0]["Resource"][0], "arn:aws:s3:::<bucket_name>/*");
}

#[test]
fn documents_are_written_in_the_order_that_people_know() {
    let text = pretty(&bucket_policy(
        "example-bills",
        account(),
        &BTreeSet::new(),
        Partition::Aws,
    ));
    let at = |word: &str| text.find(&format!("\"{word}\"")).unwrap();
    let order = [
        "Version",
        "Statement",
        "Sid",
        "Effect",
        "Principal",
        "Action",
        "Resource",
        "Condition",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
    let sids = |policy: &Value| -> Vec<String> {
        let all = statements(policy).iter();
        all.filter_map(|s| s["Sid"].as_str().map(str::to_owned)).collect()
    };
    for mode in [Mode::Create, Mode::Linked, Mode::SetupUser] {
        let policy = iam_policy(mode, &names()).unwrap();
        let found = sids(&policy);
        assert_eq!(found.len(), statements(&policy).len());
        assert_eq!(
            found.iter().collect::<BTreeSet<_>>().len(),
            found.len(),
            "Sids are unique"
        );
        assert!(found.iter().all(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric())));
        assert!(check_size(&policy).unwrap() <= IAM_POLICY_CHARACTERS);
    }
}

#[test]
fn what_does_not_fit_into_a_policy_is_refused() {
    let refused = |names: Names, mode: Mode| {
        let error = iam_policy(mode, &names).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue);
        assert!(error.hint().is_some());
        error.message().to_owned()
    };
    let bad = |change: fn(&mut Names)| {
        let mut changed = names();
        change(&mut changed);
        changed
    };
    assert!(refused(bad(|n| n.bucket = None), Mode::Read).contains("bucket"));
    assert!(refused(bad(|n| n.bucket = Some("s3://x".into())), Mode::Create).contains("bucket"));
    assert!(refused(bad(|n| n.prefix = Some("a\nb".into())), Mode::Read).contains("prefix"));
    assert!(refused(bad(|n| n.export_name = Some("a/b".into())), Mode::Read).contains("export_name"));
    assert!(refused(bad(|n| n.user_name = Some("a b".into())), Mode::SetupUser).contains("user_name"));
    assert!(refused(bad(|n| n.kms_key = Some("alias/x".into())), Mode::Read).contains("kms_key"));
    let long = json!({ "Version": VERSION, "Statement": [{ "Resource": "x".repeat(IAM_POLICY_CHARACTERS) }] });
    assert!(check_size(&long).unwrap_err().message().contains("6144"));
}

#[test]
fn a_role_is_assumed_by_one_principal_with_an_external_id() {
    let policy = trust_policy(ACCOUNT, "b7c0-farthing", Partition::GovCloud).unwrap();
    let statement = &statements(&policy)[0];
    assert_eq!(statement["Principal"]["AWS"], "arn:aws-us-gov:iam::111122223333:root");
    assert_eq!(
        statement["Condition"]["StringEquals"]["sts:ExternalId"],
        "b7c0-farthing"
    );
    let user = "arn:aws:iam::111122223333:user/farthing";
    assert_eq!(
        statements(&trust_policy(user, "b7c0", Partition::Aws).unwrap())[0]["Principal"]["AWS"],
        user
    );
    for (principal, id, partition) in [
        ("*", "b7c0", Partition::Aws),
        ("arn:aws:iam::111122223333:user/*", "b7c0", Partition::Aws),
        ("arn:aws:iam::111122223333:group/x", "b7c0", Partition::Aws),
        (user, "b7c0", Partition::China),
        (user, "x", Partition::Aws),
        (user, "with space", Partition::Aws),
    ] {
        let error = trust_policy(principal, id, partition).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{principal} {id}");
    }
}

#[test]
fn patterns_cover_and_overlap() {
    for (pattern, inner, covered, common) in [
        ("*", "anything", true, true),
        ("s3:*", "s3:putobject", true, true),
        ("s3:Put*", "s3:PutObject", true, true),
        ("s3:Get*", "s3:PutObject", false, false),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/*", true, true),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b/*", true, true),
        ("arn:aws:s3:::b/logs/*", "arn:aws:s3:::b/*", false, true),
        ("arn:aws:s3:::b", "arn:aws:s3:::b/*", false, false),
        ("a?c", "abc", true, true),
        ("a?", "a*", false, true),
        ("a*z", "a*", false, true),
        ("*a*b", "xaxb", true, true),
        ("", "", true, true),
        ("", "a", false, false),
    ] {
        assert_eq!(covers(pattern, inner), covered, "{pattern} covers {inner}");
        assert_eq!(overlap(pattern, inner), common, "{pattern} and {inner}");
        assert_eq!(overlap(inner, pattern), common, "{inner} and {pattern}");
    }
}

mod merge {
    use super::*;

    fn wanted(kinds: &[Kind]) -> Value {
        bucket_policy(
            "example-bills",
            account(),
            &kinds.iter().copied().collect(),
            Partition::Aws,
        )
    }

    fn with(statements: &[Value]) -> String {
        json!({ "Version": "2008-10-17", "Id": "theirs", "Statement": statements }).to_string()
    }

    fn foreign() -> Value {
        json!({
            "Sid": "TeamReads", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::444455556666:root" },
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::example-bills", "arn:aws:s3:::example-bills/*"],
        })
    }

    #[test]
    fn a_bucket_without_policy_gets_ours() {
        let merged = merge_bucket_policy(None, &wanted(&[Kind::Cur2])).unwrap();
        assert_eq!(merged.policy, wanted(&[Kind::Cur2]));
        assert_eq!(merged.added, ["FarthingDeliverExports111122223333"]);
        assert!(!merged.unchanged && merged.replaced.is_empty() && merged.denied_by.is_empty());
    }

    #[test]
    fn what_is_there_stays() {
        let present = with(&[foreign()]);
        let merged = merge_bucket_policy(Some(&present), &wanted(&[Kind::Cur2, Kind::Cur])).unwrap();
        assert_eq!(merged.policy["Version"], "2008-10-17");
        assert_eq!(merged.policy["Id"], "theirs");
        assert_eq!(statements(&merged.policy)[0], foreign());
        assert_eq!(merged.added.len(), 3);
        let again = merge_bucket_policy(Some(&merged.text().unwrap()), &wanted(&[Kind::Cur2, Kind::Cur])).unwrap();
        assert!(again.unchanged && again.added.is_empty() && again.replaced.is_empty());
        assert_eq!(again.policy, merged.policy);
        // A policy may hold a single statement that is not in a list.
        let single = json!({ "Version": VERSION, "Statement": foreign() }).to_string();
        let merged = merge_bucket_policy(Some(&single), &wanted(&[Kind::Cur2])).unwrap();
        assert_eq!(statements(&merged.policy)[0], foreign());
        assert_eq!(statements(&merged.policy).len(), 2);
    }

    #[test]
    fn the_same_grant_in_other_words_is_recognised() {
        let guide = guide_bucket(Some("example-bills"), Some(account()), Partition::Aws);
        let merged = merge_bucket_policy(Some(&guide.to_string()), &wanted(&[Kind::Cur2, Kind::Focus])).unwrap();
        assert!(merged.unchanged);
        assert_eq!(merged.policy, guide);
        // For legacy reports the guide's statement lacks s3:GetBucketAcl.
        let merged = merge_bucket_policy(Some(&guide.to_string()), &wanted(&[Kind::Cur2, Kind::Cur])).unwrap();
        assert_eq!(merged.added, ["FarthingCheckLegacyReports111122223333"]);
        // What the AWS console writes for legacy reports: StringEquals with an asterisk.
        let condition = json!({ "StringEquals": {
            "aws:SourceArn": "arn:aws:cur:us-east-1:111122223333:definition/*", "aws:SourceAccount": "111122223333",
        } });
        let console = |action: Value, resource: &str| {
            json!({ "Effect": "Allow", "Principal": { "Service": "billingreports.amazonaws.com" },
                "Action": action, "Resource": resource, "Condition": condition })
        };
        let present = with(&[
            console(
                json!(["s3:GetBucketAcl", "s3:GetBucketPolicy"]),
                "arn:aws:s3:::example-bills",
            ),
            console(json!("s3:PutObject"), "arn:aws:s3:::example-bills/*"),
        ]);
        assert!(
            merge_bucket_policy(Some(&present), &wanted(&[Kind::Cur]))
                .unwrap()
                .unchanged
        );
    }

    #[test]
    fn a_narrower_grant_is_not_enough() {
        let ours = statements(&wanted(&[Kind::Cur2]))[0].clone();
        type Change = fn(&mut Value);
        let changes: [Change; 10] = [
            |s| s["Effect"] = json!("Deny"),
            |s| s["Principal"] = json!({ "Service": "billingreports.amazonaws.com" }),
            |s| s["Principal"] = json!({ "AWS": "arn:aws:iam::111122223333:root" }),
            |s| s["Action"] = json!("s3:GetObject"),
            |s| s["Resource"] = json!("arn:aws:s3:::example-bills/elsewhere/*"),
            |s| s["Resource"] = json!("arn:aws:s3:::other/*"),
            |s| s["Condition"]["StringEquals"]["aws:SourceAccount"] = json!("444455556666"),
            |s| s["Condition"]["StringEquals"]["s3:x-amz-acl"] = json!("bucket-owner-full-control"),
            |s| s["Condition"]["ArnLike"]["aws:SourceArn"] = json!("arn:aws:*"),
            |s| s["Condition"]["IpAddress"] = json!({ "aws:SourceIp": "192.0.2.0/24" }),
        ];
        for change in changes {
            let mut narrower = ours.clone();
            change(&mut narrower);
            let merged =
                merge_bucket_policy(Some(&with(&[foreign(), narrower.clone()])), &wanted(&[Kind::Cur2])).unwrap();
            assert_eq!(merged.replaced, ["FarthingDeliverExports111122223333"], "{narrower}");
            assert_eq!(statements(&merged.policy), &[foreign(), ours.clone()]);
            // Under a Sid that is not ours it stays.
            narrower["Sid"] = json!("Theirs");
            let merged = merge_bucket_policy(Some(&with(&[narrower.clone()])), &wanted(&[Kind::Cur2])).unwrap();
            assert_eq!(statements(&merged.policy), &[narrower, ours.clone()]);
        }
        let wider: [Change; 5] = [
            |s| s["Condition"] = json!({}),
            |s| s["Action"] = json!(["S3:Put*"]),
            |s| s["Condition"]["ArnLike"]["aws:SourceArn"] = json!("arn:*:*:*:*:export/*"),
            |s| s["Resource"] = json!("*"),
            |s| s["Principal"]["Service"] = json!(["x.amazonaws.com", "bcm-data-exports.amazonaws.com"]),
        ];
        for change in wider {
            let mut statement = ours.clone();
            change(&mut statement);
            statement["Sid"] = json!("Theirs");
            let merged = merge_bucket_policy(Some(&with(&[statement.clone()])), &wanted(&[Kind::Cur2])).unwrap();
            assert!(merged.unchanged, "{statement}");
        }
    }

    #[test]
    fn two_payers_may_deliver_to_one_bucket() {
        let first = wanted(&[Kind::Cur2]);
        let second = bucket_policy(
            "example-bills",
            "444455556666".parse().unwrap(),
            &BTreeSet::new(),
            Partition::Aws,
        );
        let merged = merge_bucket_policy(Some(&first.to_string()), &second).unwrap();
        assert_eq!(statements(&merged.policy)[0], statements(&first)[0]);
        assert_eq!(merged.added, ["FarthingDeliverExports444455556666"]);
    }

    #[test]
    fn a_present_text_that_is_no_policy_is_left_alone() {
        for present in [
            "",
            "not json",
            "[]",
            "\"text\"",
            "{}",
            r#"{"Statement": "x"}"#,
            r#"{"Statement": [1]}"#,
            r#"{"Version": "2012-10-17"}"#,
        ] {
            let error = merge_bucket_policy(Some(present), &wanted(&[Kind::Cur2])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadValue, "{present}");
            assert!(error.message().contains("cannot be merged"), "{}", error.message());
        }
        let empty = merge_bucket_policy(Some(r#"{"Statement": []}"#), &wanted(&[Kind::Cur2])).unwrap();
        assert_eq!(empty.added.len(), 1);
        let mut long = foreign();
        long["Resource"] = json!("x".repeat(BUCKET_POLICY_BYTES));
        let merged = merge_bucket_policy(Some(&with(&[long])), &wanted(&[Kind::Cur2])).unwrap();
        assert!(merged.text().unwrap_err().message().contains("20480"));
    }

    #[test]
    fn a_deny_that_stops_the_delivery_is_named() {
        let deny = |change: Value| {
            let mut statement = json!({
                "Sid": "D", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::example-bills/*",
            });
            for (name, value) in change.as_object().unwrap() {
                statement[name] = value.clone();
            }
            let present = with(&[foreign(), statement]);
            merge_bucket_policy(Some(&present), &wanted(&[Kind::Cur2]))
                .unwrap()
                .denied_by
        };
        let condition = |operator: &str, key: &str, value: &str| json!({ "Condition": { operator: { key: value } } });
        for blocking in [
            json!({}),
            json!({ "Principal": { "AWS": "*" } }),
            json!({ "Principal": { "Service": "bcm-data-exports.amazonaws.com" } }),
            json!({ "Action": "s3:Put*", "Resource": "arn:aws:s3:::example-bills/cur/*" }),
            condition("StringNotEquals", "aws:SourceVpce", "vpce-1"),
            condition("StringNotEquals", "aws:PrincipalOrgID", "o-1"),
            condition("StringNotEquals", "s3:x-amz-server-side-encryption", "aws:kms"),
            condition("StringNotEquals", "aws:SourceAccount", "444455556666"),
            condition("Bool", "aws:SecureTransport", "true"),
            // An asterisk stays in its part of the ARN, so this one spares nothing.
            condition("ArnNotLike", "aws:SourceArn", "arn:aws:bcm-data-exports:*"),
            condition("StringEqualsIfExists", "aws:PrincipalOrgID", "o-1"),
        ] {
            assert_eq!(deny(blocking.clone()), ["D"], "{blocking}");
        }
        for harmless in [
            json!({ "Principal": { "AWS": "arn:aws:iam::444455556666:root" } }),
            json!({ "Action": "s3:DeleteObject" }),
            json!({ "Resource": "arn:aws:s3:::example-bills" }),
            json!({ "Effect": "Allow" }),
            condition("Bool", "aws:SecureTransport", "false"),
            condition("Bool", "aws:PrincipalIsAWSService", "false"),
            condition("NumericLessThan", "s3:TlsVersion", "1.2"),
            condition("StringNotEquals", "aws:SourceAccount", ACCOUNT),
            condition("StringEquals", "aws:SourceAccount", "444455556666"),
            condition("ArnNotLike", "aws:SourceArn", "arn:aws:bcm-data-exports:*:*:*"),
            condition("StringNotLike", "aws:SourceArn", "arn:aws:bcm-data-exports:*"),
            condition("ArnEquals", "aws:PrincipalArn", "arn:aws:iam::444455556666:role/x"),
            condition("Null", "aws:SourceAccount", "true"),
        ] {
            assert_eq!(deny(harmless.clone()), Vec::<String>::new(), "{harmless}");
        }
        let spared = json!({
            "Effect": "Deny", "NotPrincipal": { "AWS": "arn:aws:iam::111122223333:root" }, "NotAction": "s3:Get*",
            "NotResource": "arn:aws:s3:::example-bills/private/*",
        });
        let merged = merge_bucket_policy(Some(&with(&[spared])), &wanted(&[Kind::Cur2])).unwrap();
        assert_eq!(merged.denied_by, ["statement 1"]);
    }
}
