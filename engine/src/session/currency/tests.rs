#![allow(clippy::unwrap_used, clippy::panic)]

use crate::error::ErrorKind;
use crate::table::fixture::{ANN, BOB, Cell, HIDDEN, PAYER, Row, World, reader, usage};

const EUROPE: &str = "000000000002";
const EVA: &str = "000000000021";

fn euros(account: &'static str, cost: f64) -> Row {
    let mut row = usage(account, cost);
    row.insert("bill_payer_account_id", Cell::Text(EUROPE));
    row.insert("line_item_currency_code", Cell::Text("EUR"));
    row
}

fn with(mut row: Row, service: &'static str, millis: i64) -> Row {
    row.insert("line_item_product_code", Cell::Text(service));
    row.insert("line_item_usage_start_date", Cell::Millis(1_782_864_000_000 + millis));
    row.insert("pricing_public_on_demand_cost", Cell::Double(64.0));
    row.insert("line_item_net_unblended_cost", Cell::Double(0.5));
    row
}

/// Ann and Bob are billed in dollars, Eva in euros, by payers with an export each; the hidden account in yen, by both.
async fn world() -> World {
    let world = World::with(&[PAYER, EUROPE, ANN, BOB, EVA]).await;
    world.export("america", PAYER, 0).await;
    world.export("europe", EUROPE, 1).await;
    let mut yen = usage(HIDDEN, 32.0);
    yen.insert("line_item_currency_code", Cell::Text("JPY"));
    let rows = vec![
        with(usage(ANN, 1.0), "EC2", 0),
        with(usage(BOB, 2.0), "S3", 0),
        with(yen.clone(), "EC2", 0),
    ];
    world.deliver("america", "2026-07", &[rows]).await;
    yen.insert("bill_payer_account_id", Cell::Text(EUROPE));
    let rows = vec![
        with(euros(EVA, 4.0), "EC2", 0),
        with(euros(EVA, 8.0), "RDS", 86_400_000),
        with(yen, "EC2", 0),
    ];
    world.deliver("europe", "2026-07", &[rows]).await;
    world
}

const ALL: [&str; 5] = [PAYER, EUROPE, ANN, BOB, EVA];

#[tokio::test]
async fn groups_in_one_currency_are_summed() {
    let world = world().await;
    for (sql, expected) in [
        (
            "SELECT billing_currency, sum(billed_cost), avg(list_cost), count(*) FROM costs GROUP BY 1 ORDER BY 1",
            "EUR|12.000000000000|64.0000000000000000|2 USD|3.000000000000|64.0000000000000000|2",
        ),
        // By the group's own doing: nobody says the currency.
        (
            "SELECT sub_account_id, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 1",
            "000000000011|1.000000000000 000000000012|2.000000000000 000000000021|12.000000000000",
        ),
        (
            "SELECT x_service_code, max(effective_cost) FROM costs WHERE x_service_code <> 'EC2' GROUP BY 1 ORDER BY 1",
            "RDS|8.000000000000 S3|2.000000000000",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE billing_currency = 'USD'",
            "3.000000000000",
        ),
        (
            "SELECT sum(billed_cost) FROM costs WHERE sub_account_id = '000000000021'",
            "12.000000000000",
        ),
        (
            "SELECT count(billed_cost), count(DISTINCT billed_cost), count(*) FROM costs",
            "4|4|4",
        ),
        (
            "SELECT sum(billed_cost) FILTER (WHERE billing_currency = 'EUR') FROM costs",
            "12.000000000000",
        ),
        (
            "SELECT sum(CASE WHEN billing_currency = 'USD' THEN billed_cost END), \
             sum(CASE WHEN billing_currency = 'EUR' THEN billed_cost ELSE 0 END) FROM costs",
            "3.000000000000|12.000000000000",
        ),
        (
            "SELECT sum(coalesce(nullif(billed_cost, billed_cost), 0)) FROM costs",
            "0.000000000000",
        ),
        // Through an inner query, which drops the currency that the outer one is then sure of.
        (
            "SELECT sum(s) FROM (SELECT sub_account_id, sum(billed_cost) AS s FROM costs GROUP BY 1) t WHERE sub_account_id <> '000000000021'",
            "3.000000000000",
        ),
        (
            "WITH a AS (SELECT billed_cost AS b, sub_account_id AS i FROM costs), d AS (SELECT * FROM a WHERE i < '000000000020') \
             SELECT sum(b) FROM d",
            "3.000000000000",
        ),
        (
            "SELECT sum(c) FROM (SELECT billed_cost AS c FROM costs WHERE billing_currency = 'EUR' UNION ALL SELECT 1.0) t",
            "13.000000000000",
        ),
        (
            "SELECT billing_currency, sum(s) FROM (SELECT DISTINCT billing_currency, billed_cost AS s FROM costs) t GROUP BY 1 ORDER BY 1",
            "EUR|12.000000000000 USD|3.000000000000",
        ),
        // Windows.
        (
            "SELECT billed_cost, sum(billed_cost) OVER (PARTITION BY billing_currency) FROM costs ORDER BY 1",
            "1.000000000000|3.000000000000 2.000000000000|3.000000000000 4.000000000000|12.000000000000 8.000000000000|12.000000000000",
        ),
        (
            "SELECT sum(billed_cost) OVER (PARTITION BY sub_account_id) FROM costs WHERE sub_account_id = '000000000021' LIMIT 1",
            "12.000000000000",
        ),
        (
            "SELECT billed_cost, rank() OVER (ORDER BY billed_cost DESC), lag(billed_cost) OVER (ORDER BY billed_cost) FROM costs ORDER BY 1 LIMIT 2",
            "1.000000000000|4| 2.000000000000|3|1.000000000000",
        ),
        // A share of one's own currency has none.
        ("SELECT max(billed_cost / list_cost) FROM costs", "0.1250000000000000"),
        (
            "SELECT max(s) FROM (SELECT sum(billed_cost) / sum(list_cost) AS s FROM costs GROUP BY billing_currency) t",
            "0.0937500000000000",
        ),
        // The summed tables have the currency too.
        (
            "SELECT billing_currency, sum(billed_cost) FROM costs_daily GROUP BY 1 ORDER BY 1",
            "EUR|12.000000000000 USD|3.000000000000",
        ),
        ("SELECT count(*) FROM costs_monthly", "4"),
        // A subquery's amount has its currency.
        (
            "SELECT count(*) FROM costs c WHERE billed_cost > (SELECT avg(billed_cost) FROM costs d WHERE d.sub_account_id = c.sub_account_id)",
            "1",
        ),
        (
            "SELECT sum(billed_cost - (SELECT min(billed_cost) FROM costs WHERE billing_currency = 'EUR')) FROM costs WHERE billing_currency = 'EUR'",
            "4.000000000000",
        ),
        (
            "SELECT a.billed_cost - b.billed_cost FROM costs a JOIN costs b ON a.billing_currency = b.billing_currency AND a.billed_cost > b.billed_cost ORDER BY 1",
            "1.000000000000 4.000000000000",
        ),
        (
            "SELECT x_service_code, sum(billed_cost) AS s FROM costs WHERE billing_currency = 'USD' GROUP BY x_service_code \
             HAVING sum(billed_cost) > 1 ORDER BY sum(billed_cost) DESC, s",
            "S3|2.000000000000",
        ),
        (
            "SELECT billing_currency, x_service_code, sum(billed_cost) FROM costs WHERE sub_account_id = '000000000021' \
             GROUP BY ROLLUP (billing_currency, x_service_code) ORDER BY 1, 2 LIMIT 1",
            "EUR|EC2|4.000000000000",
        ),
    ] {
        let rows = world.rows(&reader(&ALL), sql).await;
        assert_eq!(
            rows.unwrap_or_else(|error| panic!("{sql}: {error:?}")),
            expected,
            "{sql}"
        );
    }
}

#[tokio::test]
async fn currencies_are_never_mixed() {
    let world = world().await;
    for sql in [
        "SELECT sum(billed_cost) FROM costs",
        "SELECT avg(effective_cost) FROM costs",
        "SELECT min(x_amortized_cost) FROM costs",
        "SELECT max(x_net_amortized_cost), count(*) FROM costs",
        "SELECT sum(x_net_unblended_cost) + 1 FROM costs",
        "SELECT stddev(list_cost) FROM costs",
        "SELECT sum(DISTINCT billed_cost) FROM costs",
        "SELECT array_agg(billed_cost) FROM costs",
        "SELECT x_service_code, sum(billed_cost) FROM costs GROUP BY 1",
        "SELECT sum(CASE WHEN billed_cost > 0 THEN billed_cost ELSE 0 END) FROM costs",
        "SELECT sum(CAST(billed_cost AS double precision) * 1.1) FROM costs",
        "SELECT sum(CAST(CAST(billed_cost AS text) AS numeric)) FROM costs",
        "SELECT sum(round(coalesce(billed_cost, 0), 2)) FROM costs",
        "SELECT sum(s) FROM (SELECT sub_account_id, sum(billed_cost) AS s FROM costs GROUP BY 1) t",
        "WITH a AS (SELECT billed_cost AS b FROM costs) SELECT sum(b) FROM a",
        "SELECT sum(c) FROM (SELECT billed_cost AS c FROM costs WHERE billing_currency = 'EUR' UNION ALL \
         SELECT billed_cost FROM costs WHERE billing_currency = 'USD') t",
        "SELECT sum(billed_cost) OVER () FROM costs",
        "SELECT sum(billed_cost) OVER (ORDER BY billed_cost) FROM costs",
        "SELECT sum(sum(billed_cost)) OVER () FROM costs GROUP BY billing_currency",
        "SELECT sum(billed_cost) FROM costs_daily",
        "SELECT charge_period_start, sum(effective_cost) FROM costs_monthly GROUP BY 1",
        "SELECT * FROM costs WHERE billed_cost > (SELECT avg(billed_cost) FROM costs)",
        "SELECT 1 WHERE EXISTS (SELECT sum(billed_cost) FROM costs HAVING sum(billed_cost) > 0)",
        "SELECT sub_account_id FROM costs WHERE billed_cost IN (SELECT max(billed_cost) FROM costs)",
        "SELECT a.billed_cost - b.billed_cost FROM costs a, costs b",
        "SELECT (SELECT sum(billed_cost) FROM costs WHERE billing_currency = 'EUR') \
         + (SELECT sum(billed_cost) FROM costs WHERE billing_currency = 'USD')",
        "SELECT billing_currency, x_service_code, sum(billed_cost) FROM costs GROUP BY ROLLUP (billing_currency, x_service_code)",
        "SELECT sum(billed_cost - lag) FROM (SELECT billed_cost, lag(billed_cost) OVER (ORDER BY billed_cost) AS lag FROM costs) t",
    ] {
        let error = match world.rows(&reader(&ALL), sql).await {
            Ok(rows) => panic!("{sql}: {rows}"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::MixedCurrencies, "{sql}: {error:?}");
        let text = format!("{error} {:?}", error.hint());
        assert!(
            text.contains("EUR") && text.contains("USD") && !text.contains("JPY"),
            "{sql}: {text}"
        );
    }
    // Refused when they are planned: the currency is gone.
    for sql in [
        "SELECT sum(c) FROM (SELECT DISTINCT billed_cost AS c FROM costs) t",
        "SELECT sum(billed_cost) FROM (SELECT billed_cost, count(*) FROM costs GROUP BY 1) t",
        "SELECT max(c) FROM (SELECT billed_cost AS c FROM costs UNION SELECT list_cost FROM costs) t",
    ] {
        let error = world.plan(&reader(&ALL), sql).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MixedCurrencies, "{sql}: {error:?}");
        assert!(error.message().ends_with("there are costs in EUR and USD"), "{error:?}");
    }
}

#[tokio::test]
async fn a_scope_in_one_currency_is_left_alone() {
    let world = world().await;
    let sql = "SELECT sum(billed_cost) FROM costs";
    for (accounts, expected) in [(&[ANN, BOB][..], "3.000000000000"), (&[EVA], "12.000000000000")] {
        assert_eq!(world.rows(&reader(accounts), sql).await.unwrap(), expected);
        let plan = world.rows(&reader(accounts), &format!("EXPLAIN {sql}")).await.unwrap();
        assert!(!plan.contains("currency"), "{plan}");
    }
    let plan = world.rows(&reader(&ALL), &format!("EXPLAIN {sql}")).await.unwrap();
    assert!(plan.contains("one_currency("), "{plan}");
    // The hidden account is paid by both, in a third currency.
    let error = world.rows(&reader(&[]), sql).await.unwrap_err();
    assert!(!error.message().contains("JPY"), "{error:?}");
    // What the statement shows has no column more than it asks for.
    let query = world
        .plan(&reader(&ALL), "SELECT billed_cost, sum(list_cost) OVER () FROM costs")
        .await
        .unwrap();
    assert_eq!(query.schema().fields().len(), 2);
    let prepared = world
        .plan(
            &reader(&ALL),
            "SELECT sum(billed_cost) FROM costs WHERE billing_currency = $1",
        )
        .await
        .unwrap();
    let bound = prepared
        .with_parameters(vec![datafusion::common::ScalarValue::from("EUR")])
        .unwrap();
    let batches = world.run(bound).await.unwrap();
    assert_eq!(
        arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap(),
        "12.000000000000"
    );
}
