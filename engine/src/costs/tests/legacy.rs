//! Legacy reports beside CUR 2.0: maps of columns, months that lack some, and which of two exports counts.

use crate::catalog::Change;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, usage};

fn with(mut row: Row, more: &[(&'static str, Cell)]) -> Row {
    row.extend(more.iter().cloned());
    row
}

#[tokio::test]
async fn columns_become_the_maps_of_cur2() {
    use Cell::{Double, Text};
    let world = World::with(&[PAYER, ANN, HIDDEN]).await;
    world.export("report", PAYER, 0).await;
    let tagged = [
        ("resource_tags_user_env", Text("prod")),
        ("resource_tags_aws_created_by", Text("")),
        ("cost_category_unit", Text("Data")),
        ("discount_edp_discount", Double(-0.5)),
        ("discount_private_rate_discount", Double(0.0)),
        ("discount_total_discount", Double(-0.5)),
        ("discount_bundled_discount", Double(0.0)),
        ("product_product_name", Text("Amazon EC2")),
        ("product_region", Text("eu-west-1")),
    ];
    let bare = [
        ("resource_tags_user_env", Text("")),
        ("cost_category_unit", Text("")),
        ("discount_edp_discount", Double(0.0)),
        ("product_product_name", Text("")),
        ("product_region_code", Text("")),
        ("product_region", Text("us-east-1")),
        ("line_item_product_code", Text("AmazonS3")),
    ];
    // A key that only one month has, which also is the prefix of another map's columns.
    let later = [("resource_tags_user_cost_category_unit", Text("x"))];
    world
        .deliver("report", "2026-06", &[vec![with(usage(ANN, 1.0), &tagged)]])
        .await;
    let july = vec![
        with(usage(ANN, 2.0), &bare),
        with(usage(ANN, 3.0), &later),
        with(usage(BOB, 4.0), &tagged),
    ];
    world.deliver("report", "2026-07", &[july]).await;
    let sql = "SELECT billed_cost, tags['user_env'], cardinality(tags), x_cost_categories['unit'], x_discounts['edp_discount'], \
               x_discounts['total_discount'], cardinality(x_discounts), service_name, region_id, x_tags IS NULL FROM costs \
               ORDER BY 1";
    assert_eq!(
        world.rows(&reader(&[]), sql).await.unwrap().replace("000000000000", ""),
        "1.|prod|1|Data|-0.5||1|Amazon EC2|eu-west-1|true 2.||0||||0|AmazonS3||true 3.||1||||0|||true"
    );
    let sql = "SELECT tags['user_cost_category_unit'], count(*) FROM costs GROUP BY 1 ORDER BY 2";
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), "x|1 |2");
    // A condition on a tag reads no hidden row.
    let sql = "SELECT count(*) FROM costs WHERE tags['user_env'] = 'prod'";
    assert_eq!(world.rows(&reader(&[]), sql).await.unwrap(), "1");
    assert_eq!(world.rows(&reader(&[HIDDEN]), sql).await.unwrap(), "0");
}

/// The map wins over columns of its name, which CUR 2.0 has for two sums of discounts.
#[tokio::test]
async fn both_kinds_answer_in_one_table() {
    use Cell::{Double, Text};
    let world = World::with(&[PAYER, ANN]).await;
    world.export("report", PAYER, 0).await;
    world.export("cur2", PAYER, 1).await;
    let old = [
        ("resource_tags_user_env", Text("prod")),
        ("discount_total_discount", Double(-1.0)),
    ];
    world
        .deliver("report", "2026-06", &[vec![with(usage(ANN, 1.0), &old)]])
        .await;
    let new = [("discount_total_discount", Double(-2.0)), ("pricing_unit", Text("Hrs"))];
    world
        .deliver("cur2", "2026-07", &[vec![with(usage(ANN, 2.0), &new)]])
        .await;
    let sql = "SELECT x_export, tags['user_env'], x_discount_total, x_discounts IS NULL FROM costs ORDER BY 1";
    assert_eq!(
        world.rows(&reader(&[]), sql).await.unwrap().replace("000000000000", ""),
        "cur2||-2.|true report|prod|-1.|true"
    );
}

#[tokio::test]
async fn a_cut_over_names_the_export_that_counts() {
    let world = World::with(&[PAYER, ANN, BOB]).await;
    world.export("old", PAYER, 0).await;
    world.export("new", PAYER, 1).await;
    // A member's own export never outranks the payer's, whatever its account says.
    world.export("member", ANN, 2).await;
    for (month, cost) in [("2026-05", 1.0), ("2026-06", 2.0), ("2026-07", 4.0)] {
        world
            .deliver("old", month, &[vec![usage(ANN, cost), usage(BOB, cost)]])
            .await;
    }
    for (month, cost) in [("2026-06", 2.0), ("2026-07", 4.0), ("2026-08", 8.0)] {
        world
            .deliver("new", month, &[vec![usage(ANN, cost), usage(BOB, cost)]])
            .await;
        world.deliver("member", month, &[vec![usage(ANN, cost)]]).await;
    }
    let sources = "SELECT x_billing_period, x_export, sum(billed_cost), count(*) FROM costs GROUP BY 1, 2 ORDER BY 1";
    let seen = async |expected: &str| {
        let rows = world.rows(&reader(&[]), sources).await.unwrap();
        assert_eq!(rows.replace(".000000000000", ""), expected);
    };
    let by_age = "2026-05|old|2|2 2026-06|old|4|2 2026-07|old|8|2 2026-08|new|16|2";
    seen(by_age).await;
    let id = |text: &str| text.parse().unwrap();
    let cut_over = |period: &str| Change::CutOver {
        account: PAYER.parse().unwrap(),
        from: id("old"),
        to: id("new"),
        period: period.parse().unwrap(),
    };
    world.publish(cut_over("2026-07")).await;
    seen("2026-05|old|2|2 2026-06|old|4|2 2026-07|new|8|2 2026-08|new|16|2").await;
    // Before the new one's first month: what it lacks stays with the old one.
    world.publish(cut_over("2026-01")).await;
    seen("2026-05|old|2|2 2026-06|new|4|2 2026-07|new|8|2 2026-08|new|16|2").await;
    world
        .publish(Change::GiveBack {
            account: PAYER.parse().unwrap(),
            from: id("old"),
            to: id("new"),
        })
        .await;
    seen(by_age).await;
    world.publish(cut_over("2026-07")).await;
    world.publish(Change::RemoveExport(id("new"))).await;
    seen("2026-05|old|2|2 2026-06|old|4|2 2026-07|old|8|2 2026-08|member|8|1").await;
    let gone = world.catalog.publish(&[cut_over("2026-07")]).await.unwrap_err();
    assert_eq!(gone.kind(), crate::error::ErrorKind::Missing);
}
