#![allow(clippy::unwrap_used)]

use super::*;

fn request() -> SetupGuide {
    SetupGuide {
        account_id: "111122223333".parse().unwrap(),
        bucket: "example-bills".to_owned(),
        prefix: Some("/cur/it's daily/".to_owned()),
        export_name: "costs".to_owned(),
        region: "cn-north-1".to_owned(),
        user_name: "bill-reader".to_owned(),
    }
}

#[test]
fn every_step_has_the_actual_names() {
    let steps = steps(&request()).unwrap();
    assert!(
        steps
            .iter()
            .all(|step| step.status == Status::Pending && !step.detail.is_empty())
    );
    let text = serde_json::to_string(&steps).unwrap();
    assert!(!text.contains("console.aws.amazon.com"), "the console of the partition");
    let next: Vec<&str> = steps.iter().filter_map(|step| step.next_sql.as_deref()).collect();
    assert_eq!(
        next[0],
        "SELECT aws_bucket_policy(bucket => 'example-bills', account_id => '111122223333', partition => 'aws-cn');"
    );
    assert_eq!(
        next[1],
        "SELECT aws_iam_policy(mode => 'read', bucket => 'example-bills', prefix => 'cur/it''s daily', export_name => 'costs', \
         partition => 'aws-cn');"
    );
    assert!(
        next[2].contains("location => 's3://example-bills/cur/it''s daily/costs'"),
        "{}",
        next[2]
    );
    let order = [
        "bucket example-bills",
        "export costs",
        "policy bill-reader-read",
        "user bill-reader",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|object| steps.iter().position(|step| step.object == *object).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn names_that_aws_does_not_take_are_refused() {
    type Change = fn(&mut SetupGuide);
    let changes: [Change; 4] = [
        |r| r.bucket = "Bills".to_owned(),
        |r| r.export_name = "all(costs)".to_owned(),
        |r| r.region = "Ireland".to_owned(),
        |r| r.user_name = "bill reader".to_owned(),
    ];
    for change in changes {
        let mut request = request();
        change(&mut request);
        assert_eq!(steps(&request).unwrap_err().kind(), ErrorKind::BadValue);
    }
}
