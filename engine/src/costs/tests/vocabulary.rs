//! What analysts name: parts of resource ids, tags by any spelling, accounts by their names.

use crate::catalog::{AccountKind, Change};
use crate::error::ErrorKind;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, account, reader, usage};

fn with(mut row: Row, more: &[(&'static str, Cell)]) -> Row {
    row.extend(more.iter().cloned());
    row
}

const INSTANCE: &str = "arn:aws:ec2:eu-west-1:000000000011:instance/i-0123456789abcdef0";

#[tokio::test]
async fn resource_ids_have_parts_and_a_key() {
    use Cell::Text;
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let named = |cost, id, service| {
        with(
            usage(ANN, cost),
            &[
                ("line_item_resource_id", Text(id)),
                ("line_item_product_code", Text(service)),
            ],
        )
    };
    let rows = vec![
        named(1.0, INSTANCE, "AmazonEC2"),
        named(2.0, "i-0123456789abcdef0", "AmazonEC2"),
        named(4.0, "reports", "AmazonS3"),
        named(8.0, "", "AmazonS3"),
    ];
    world.deliver("main", "2026-07", &[rows]).await;
    for (sql, expected) in [
        (
            "SELECT x_resource_partition, x_resource_service, x_resource_region, x_resource_account_id, x_resource_type, \
             x_resource_name FROM costs ORDER BY billed_cost",
            "aws|ec2|eu-west-1|000000000011|instance|i-0123456789abcdef0 |ec2|||instance|i-0123456789abcdef0 \
             |s3|||bucket|reports |||||",
        ),
        (
            "SELECT x_resource_key, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 2",
            "i-0123456789abcdef0|3.000000000000 s3:::reports|4.000000000000 |8.000000000000",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE x_resource_key = resource_key('arn:aws-cn:ec2:cn-north-1:1:instance/i-0123456789abcdef0')",
            "3.000000000000",
        ),
        (
            "SELECT resource_key('reports', 'AmazonS3'), resource_key('arn:aws:s3:::reports'), resource_type('vol-01234567'), \
             resource_region('vol-01234567'), resource_name(NULL)",
            "s3:::reports|s3:::reports|volume||",
        ),
    ] {
        assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), expected, "{sql}");
    }
    // Who does not ask for them does not pay for them.
    let plan = world
        .rows(
            &reader(&[]),
            "EXPLAIN SELECT resource_id, sum(billed_cost) FROM costs GROUP BY 1",
        )
        .await
        .unwrap();
    assert!(
        !plan.contains("resource_key(") && !plan.contains("product_code"),
        "{plan}"
    );
}

#[tokio::test]
async fn tags_are_found_without_naming_a_column() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    let rows = vec![
        with(
            usage(ANN, 1.0),
            &[
                (
                    "resource_tags",
                    Cell::Map(vec![("user_env", "prod"), ("aws_created_by", "ann")]),
                ),
                (
                    "tags",
                    Cell::Map(vec![("resourceTags/Env", "prod"), ("costCategory/Team", "web")]),
                ),
                ("cost_category", Cell::Map(vec![("team", "web")])),
            ],
        ),
        // In the map of all tags alone.
        with(
            usage(BOB, 2.0),
            &[("tags", Cell::Map(vec![("resourceTags/Env", "prod")]))],
        ),
        with(
            usage(BOB, 4.0),
            &[("resource_tags", Cell::Map(vec![("user_env", "test")]))],
        ),
        usage(HIDDEN, 8.0),
    ];
    world.deliver("main", "2026-07", &[rows]).await;
    for (sql, expected) in [
        (
            "SELECT tag('Env'), sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 1",
            "prod|3.000000000000 test|4.000000000000",
        ),
        (
            "SELECT tag('Env') AS env, sum(billed_cost) FROM public.costs c GROUP BY tag('Env') ORDER BY tag('Env') DESC",
            "test|4.000000000000 prod|3.000000000000",
        ),
        ("SELECT count(*) FROM costs WHERE tag('user:Env') = 'prod'", "2"),
        (
            "SELECT TAG('aws:createdBy') FROM costs WHERE tag('aws:createdBy') IS NOT NULL",
            "ann",
        ),
        (
            "SELECT count(tag('Enviroment')), count(cost_category('Team')) FROM costs",
            "0|1",
        ),
        (
            "SELECT cost_category('Team') FROM costs c WHERE c.billed_cost = 1",
            "web",
        ),
        // One of several relations.
        (
            "SELECT sum(c.billed_cost) FROM costs c JOIN exports.main e ON e.line_item_unblended_cost = c.billed_cost \
             WHERE tag('Env') = 'prod'",
            "3.000000000000",
        ),
        // In a subquery that has no relation of its own, and in one that hands the maps on.
        (
            "SELECT sum(billed_cost) FROM costs c WHERE EXISTS (SELECT 1 FROM (VALUES ('test')) AS v(env) WHERE v.env = tag('Env'))",
            "4.000000000000",
        ),
        (
            "WITH kept AS (SELECT tags, x_tags, billed_cost FROM costs WHERE billed_cost < 4) \
             SELECT tag('Env'), count(*) FROM kept GROUP BY 1",
            "prod|2",
        ),
        (
            "SELECT tag(a.tags, a.x_tags, 'Env'), tag(b.tags, 'Env') FROM costs a, costs b WHERE a.billed_cost = 2 AND b.billed_cost = 4",
            "prod|test",
        ),
        (
            "SELECT tag(x_tags, 'Env') FROM costs ORDER BY billed_cost",
            "prod prod ",
        ),
        (
            "SELECT tag(NULL, NULL, 'Env'), tag(tags, x_tags, NULL) FROM costs WHERE billed_cost = 1",
            "|",
        ),
    ] {
        let rows = world.rows(&reader(&[]), sql).await;
        assert_eq!(
            rows.unwrap_or_else(|error| panic!("{sql}: {error:?}")),
            expected,
            "{sql}"
        );
    }
    let refused = async |sql: &str| world.plan(&reader(&[]), sql).await.unwrap_err();
    let error = refused("SELECT tag('Env') FROM costs a, costs b").await;
    assert_eq!(error.kind(), ErrorKind::AmbiguousColumn);
    assert_eq!(error.message(), "tag('Env') is ambiguous: a and b both have it");
    assert_eq!(error.hint(), Some("Write tag(a.tags, a.x_tags, 'Env')."));
    let error = refused("SELECT tag('Env')").await;
    assert_eq!(error.kind(), ErrorKind::UnknownColumn, "{error:?}");
    let error = refused("SELECT tag(billed_cost, 'Env') FROM costs").await;
    assert_eq!(error.kind(), ErrorKind::WrongType, "{error:?}");
}

#[tokio::test]
async fn accounts_have_names_where_a_delivery_has_none() {
    use Cell::Text;
    let sql = "SELECT DISTINCT sub_account_id, sub_account_name, billing_account_name FROM costs WHERE x_billing_period = '2026-06' ORDER BY 1";
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("main", PAYER, 0).await;
    world
        .deliver(
            "main",
            "2026-06",
            &[vec![
                usage(ANN, 1.0),
                usage(BOB, 1.0),
                usage(PAYER, 1.0),
                usage(HIDDEN, 1.0),
            ]],
        )
        .await;
    assert_eq!(
        world.rows(&reader(&[]), sql).await.unwrap(),
        "000000000001|| 000000000011|| 000000000012||"
    );
    // A newer delivery names them.
    let named = |account, name| with(usage(account, 1.0), &[("line_item_usage_account_name", Text(name))]);
    let rows = |ann, hidden| {
        vec![
            named(ANN, ann),
            named(PAYER, "Payer"),
            named(HIDDEN, hidden),
            usage(BOB, 1.0),
        ]
    };
    world.deliver("main", "2026-07", &[rows("Ann", "Hidden")]).await;
    world
        .deliver("main", "2026-05", &[rows("Ann as she was", "Hidden")])
        .await;
    assert_eq!(
        world.rows(&reader(&[]), sql).await.unwrap(),
        "000000000001|Payer|Payer 000000000011|Ann|Payer 000000000012||Payer"
    );
    // A payer outside the scope is not named by what other rows say of it.
    assert_eq!(world.rows(&reader(&[ANN]), sql).await.unwrap(), "000000000011|Ann|");
    // The name that the operator gave comes before, but not before the row's own.
    let mut bob = account(BOB, AccountKind::Linked);
    bob.name = Some("Bob's".to_owned());
    let mut ann = account(ANN, AccountKind::Linked);
    ann.name = Some("Ann's".to_owned());
    world.publish(Change::PutAccount(bob)).await;
    world.publish(Change::PutAccount(ann)).await;
    assert_eq!(
        world.rows(&reader(&[]), sql).await.unwrap(),
        "000000000001|Payer|Payer 000000000011|Ann's|Payer 000000000012|Bob's|Payer"
    );
    let july =
        "SELECT sub_account_name FROM costs WHERE x_billing_period = '2026-07' AND sub_account_id = '000000000011'";
    assert_eq!(world.rows(&reader(&[]), july).await.unwrap(), "Ann");
    let filtered = "SELECT count(*) FROM costs WHERE sub_account_name = 'Bob''s'";
    assert_eq!(world.rows(&reader(&[]), filtered).await.unwrap(), "3");
    assert_eq!(world.rows(&reader(&[ANN]), filtered).await.unwrap(), "0");
}
