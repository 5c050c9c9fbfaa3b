//! Payers that are billed in different currencies: no amount is added to one of another, whichever way a statement comes in.

use farthing_tests::bench::{ADMIN, Start, run};
use farthing_tests::client::Way;

use crate::manual::deliver_to_folder;

const HEADER: &str = "bill_payer_account_id,line_item_usage_account_id,line_item_currency_code,line_item_usage_start_date,\
                      line_item_line_item_type,line_item_product_code,line_item_unblended_cost,line_item_net_unblended_cost\n";

/// A month of a payer: service and cost of each row, each for the member account.
fn month(payer: &str, member: &str, currency: &str, costs: &[(&str, &str)]) -> String {
    let rows = costs.iter().map(|(service, cost)| {
        format!("{payer},{member},{currency},2026-07-01T00:00:00Z,Usage,{service},{cost},{cost}\n")
    });
    HEADER.to_owned() + &rows.collect::<String>()
}

#[test]
fn amounts_are_in_one_currency_over_every_way_in() {
    run(Start::NothingDelivered, async |bench| {
        let folder = bench.site.folder.path().join("exports");
        let dollars = [("AmazonEC2", "1.25"), ("AmazonS3", "0.50")];
        let euros = [("AmazonEC2", "4.00"), ("AmazonRDS", "8.00")];
        let america = month("111111111111", "222222222222", "USD", &dollars);
        // Of an account that is not connected, in a third currency.
        let hidden = month("333333333333", "999999999999", "JPY", &[("AmazonEC2", "100")]);
        let hidden = hidden.strip_prefix(HEADER).unwrap();
        let europe = month("333333333333", "444444444444", "EUR", &euros) + hidden;
        for (name, csv) in [("america", america), ("europe", europe)] {
            deliver_to_folder(&folder, name, &csv);
            let call = format!(
                "CALL connect_aws_root(location => 'file://{}/{name}')",
                folder.display()
            );
            bench.ask(&call).await;
        }
        let alone = bench.ask("SELECT sum(billed_cost) FROM costs").await;
        assert_eq!(alone.single(), None, "no payer has costs of its own");
        bench.ask("CALL connect_aws_linked(account_id => '222222222222')").await;
        // One currency is visible, and nothing asks for it.
        for way in [
            Way::InProcess,
            Way::PostgresSimple,
            Way::PostgresExtended,
            Way::FlightSql,
        ] {
            let mut client = bench.site.client(way, ADMIN).await;
            let sum = client.run("SELECT sum(billed_cost) FROM costs").await.unwrap();
            assert_eq!(sum.single(), Some("1.750000000000"), "{way:?}");
        }
        bench.ask("CALL connect_aws_linked(account_id => '444444444444')").await;
        for way in [
            Way::InProcess,
            Way::PostgresSimple,
            Way::PostgresExtended,
            Way::FlightSql,
        ] {
            let mut client = bench.site.client(way, ADMIN).await;
            for sql in [
                "SELECT sum(billed_cost) FROM costs",
                "SELECT x_service_code, avg(effective_cost) FROM costs GROUP BY 1 ORDER BY 1",
                "SELECT sum(x_amortized_cost) FROM costs_daily",
                "SELECT max(list_cost) OVER (PARTITION BY x_service_code) FROM costs",
                "SELECT sum(cost) FROM (SELECT DISTINCT billed_cost AS cost FROM costs) AS t",
            ] {
                let refusal = client.run(sql).await.unwrap_err();
                assert_eq!(refusal.sqlstate, "22000", "{way:?}: {sql}: {refusal}");
                let text = refusal.to_string();
                assert!(
                    text.contains("EUR") && text.contains("USD") && !text.contains("JPY"),
                    "{way:?}: {text}"
                );
            }
            for (sql, expected) in [
                (
                    "SELECT billing_currency, sum(billed_cost) FROM costs GROUP BY 1 ORDER BY 1",
                    &[["EUR", "12.000000000000"], ["USD", "1.750000000000"]][..],
                ),
                (
                    "SELECT sub_account_id, sum(effective_cost) FROM costs_monthly GROUP BY 1 ORDER BY 1",
                    &[["222222222222", "1.750000000000"], ["444444444444", "12.000000000000"]],
                ),
                ("SELECT 'rows', count(billed_cost) FROM costs", &[["rows", "4"]]),
            ] {
                let answer = client.run(sql).await.unwrap();
                let wanted = expected
                    .iter()
                    .map(|row| row.map(|cell| Some(cell.to_owned())).to_vec());
                let rows: Vec<Vec<Option<String>>> = answer.rows.iter().map(|row| row.to_vec()).collect();
                assert_eq!(rows, wanted.collect::<Vec<_>>(), "{way:?}: {sql}");
            }
        }
    });
}
