#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

/// Checks the parts of an id: partition, service, region, account, type, name, key, `-` for what is not said.
fn check(id: &str, code: Option<&str>, parts: &str) {
    let resource = parse(id, code).unwrap_or_else(|| panic!("{id}"));
    let shown = [
        resource.partition,
        resource.service,
        resource.region,
        resource.account_id,
        resource.r#type,
        Some(resource.name),
        Some(resource.key.as_str()),
    ]
    .map(|part| part.unwrap_or("-"));
    assert_eq!(shown.join(" "), parts, "{id}");
}

#[test]
fn arns_of_all_forms_are_taken_apart() {
    for (id, parts) in [
        // type/id
        (
            "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
            "aws ec2 eu-west-1 111122223333 instance i-0123456789abcdef0 i-0123456789abcdef0",
        ),
        (
            "arn:aws-us-gov:ec2:us-gov-west-1:111122223333:volume/vol-0123456789abcdef0",
            "aws-us-gov ec2 us-gov-west-1 111122223333 volume vol-0123456789abcdef0 vol-0123456789abcdef0",
        ),
        // Snapshots of AMIs have no account.
        (
            "arn:aws-cn:ec2:cn-north-1::snapshot/snap-012345678",
            "aws-cn ec2 cn-north-1 - snapshot snap-012345678 arn:aws-cn:ec2:cn-north-1::snapshot/snap-012345678",
        ),
        (
            "arn:aws-cn:ec2:cn-north-1::snapshot/snap-01234567",
            "aws-cn ec2 cn-north-1 - snapshot snap-01234567 snap-01234567",
        ),
        (
            "arn:aws:ec2:us-east-1:111122223333:natgateway/nat-0123456789abcdef0",
            "aws ec2 us-east-1 111122223333 natgateway nat-0123456789abcdef0 nat-0123456789abcdef0",
        ),
        (
            "arn:aws:ec2:us-east-1:111122223333:reserved-instances/9d2d3c8e-0000-4000-8000-000000000000",
            "aws ec2 us-east-1 111122223333 reserved-instances 9d2d3c8e-0000-4000-8000-000000000000 \
             arn:aws:ec2:us-east-1:111122223333:reserved-instances/9d2d3c8e-0000-4000-8000-000000000000",
        ),
        // Load balancers: three generations.
        (
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188",
            "aws elasticloadbalancing us-east-1 111122223333 loadbalancer app/shop/50dc6c495c0c9188 \
             arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188",
        ),
        (
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/classic",
            "aws elasticloadbalancing us-east-1 111122223333 loadbalancer classic \
             arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/classic",
        ),
        // type:id, with colons and slashes in the id
        (
            "arn:aws:lambda:us-east-1:111122223333:function:resize",
            "aws lambda us-east-1 111122223333 function resize arn:aws:lambda:us-east-1:111122223333:function:resize",
        ),
        (
            "arn:aws:lambda:us-east-1:111122223333:function:resize:7",
            "aws lambda us-east-1 111122223333 function resize:7 arn:aws:lambda:us-east-1:111122223333:function:resize:7",
        ),
        (
            "arn:aws:rds:us-east-1:111122223333:db:orders",
            "aws rds us-east-1 111122223333 db orders arn:aws:rds:us-east-1:111122223333:db:orders",
        ),
        (
            "arn:aws:logs:us-east-1:111122223333:log-group:/aws/lambda/resize",
            "aws logs us-east-1 111122223333 log-group /aws/lambda/resize \
             arn:aws:logs:us-east-1:111122223333:log-group:/aws/lambda/resize",
        ),
        (
            "arn:aws:logs:us-east-1:111122223333:log-group:/aws/lambda/resize:*",
            "aws logs us-east-1 111122223333 log-group /aws/lambda/resize \
             arn:aws:logs:us-east-1:111122223333:log-group:/aws/lambda/resize",
        ),
        (
            "arn:aws:dynamodb:us-east-1:111122223333:table/orders/index/by-day",
            "aws dynamodb us-east-1 111122223333 table orders/index/by-day \
             arn:aws:dynamodb:us-east-1:111122223333:table/orders/index/by-day",
        ),
        // a slash before the type
        (
            "arn:aws:apigateway:us-east-1::/restapis/a1b2c3/stages/prod",
            "aws apigateway us-east-1 - restapis a1b2c3/stages/prod arn:aws:apigateway:us-east-1::/restapis/a1b2c3/stages/prod",
        ),
        // the id alone
        (
            "arn:aws:sqs:us-east-1:111122223333:orders.fifo",
            "aws sqs us-east-1 111122223333 queue orders.fifo arn:aws:sqs:us-east-1:111122223333:orders.fifo",
        ),
        (
            "arn:aws:sns:us-east-1:111122223333:alarms",
            "aws sns us-east-1 111122223333 topic alarms arn:aws:sns:us-east-1:111122223333:alarms",
        ),
        (
            "arn:aws:codecommit:us-east-1:111122223333:site",
            "aws codecommit us-east-1 111122223333 - site arn:aws:codecommit:us-east-1:111122223333:site",
        ),
        (
            "arn:aws:s3:::logs.example",
            "aws s3 - - bucket logs.example s3:::logs.example",
        ),
        (
            "arn:aws:s3:::logs.example/2026/07",
            "aws s3 - - object logs.example/2026/07 arn:aws:s3:::logs.example/2026/07",
        ),
        (
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/reports",
            "aws s3 eu-west-1 111122223333 accesspoint reports arn:aws:s3:eu-west-1:111122223333:accesspoint/reports",
        ),
        // global services
        (
            "arn:aws:cloudfront::111122223333:distribution/E1EXAMPLE",
            "aws cloudfront - 111122223333 distribution E1EXAMPLE arn:aws:cloudfront::111122223333:distribution/E1EXAMPLE",
        ),
        (
            "arn:aws:route53:::hostedzone/Z1EXAMPLE",
            "aws route53 - - hostedzone Z1EXAMPLE arn:aws:route53:::hostedzone/Z1EXAMPLE",
        ),
        (
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "aws iam - - policy ReadOnlyAccess arn:aws:iam::aws:policy/ReadOnlyAccess",
        ),
        // split cost: a pod, a task
        (
            "arn:aws:eks:us-east-1:111122223333:pod/shop/default/api-7d9f/0e1f2a3b-0000-4000-8000-000000000000",
            "aws eks us-east-1 111122223333 pod shop/default/api-7d9f/0e1f2a3b-0000-4000-8000-000000000000 \
             arn:aws:eks:us-east-1:111122223333:pod/shop/default/api-7d9f/0e1f2a3b-0000-4000-8000-000000000000",
        ),
        (
            "arn:aws:ecs:us-east-1:111122223333:task/shop/0123456789abcdef0123456789abcdef",
            "aws ecs us-east-1 111122223333 task shop/0123456789abcdef0123456789abcdef \
             arn:aws:ecs:us-east-1:111122223333:task/shop/0123456789abcdef0123456789abcdef",
        ),
    ] {
        check(id, None, parts);
        // The service of the bill changes nothing where the ARN says it.
        check(id, Some("AmazonS3"), parts);
    }
}

#[test]
fn bare_ids_are_known_by_their_beginning() {
    for (id, r#type) in [
        ("i-01234567", "instance"),
        ("i-0123456789abcdef0", "instance"),
        ("vol-0123456789abcdef0", "volume"),
        ("snap-0123456789abcdef0", "snapshot"),
        ("eni-0123456789abcdef0", "network-interface"),
        ("nat-0123456789abcdef0", "natgateway"),
        ("eipalloc-0123456789abcdef0", "elastic-ip"),
        ("vpce-0123456789abcdef0", "vpc-endpoint"),
        ("vpce-svc-0123456789abcdef0", "vpc-endpoint-service"),
        ("tgw-attach-0123456789abcdef0", "transit-gateway-attachment"),
        ("tgw-0123456789abcdef0", "transit-gateway"),
    ] {
        check(id, Some("AmazonEC2"), &format!("- ec2 - - {type} {id} {id}"));
        check(&format!("  {id} "), None, &format!("- ec2 - - {type} {id} {id}"));
    }
}

#[test]
fn what_has_no_known_form_is_a_name() {
    for id in [
        "logs.example",
        "i-web",
        "i-0123456789ABCDEF0",
        "i-0123456789abcdef01",
        "vol-",
        "us-east-1_AbCdEfGhI",
        "arn:aws:ec2",
        "arn:aws:ec2:us-east-1:111122223333:",
        "arn::ec2:us-east-1:111122223333:instance/i-01234567",
        "arn",
        "Ж",
    ] {
        check(id, None, &format!("- - - - - {id} {id}"));
    }
    assert_eq!(parse("", None), None);
    assert_eq!(parse("  ", Some("AmazonS3")), None);
}

#[test]
fn the_names_of_buckets_need_the_service() {
    check(
        "logs.example",
        Some("AmazonS3"),
        "- s3 - - bucket logs.example s3:::logs.example",
    );
    check("logs.example", Some("AmazonEC2"), "- - - - - logs.example logs.example");
    let by_arn = parse("arn:aws:s3:::logs.example", None).unwrap();
    assert_eq!(by_arn.key, parse("logs.example", Some("AmazonS3")).unwrap().key);
}
