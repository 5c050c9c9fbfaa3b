//! Exports that are no costs: recommendations and carbon emissions are raw tables of their own, under the same filter.

use std::io::Write;

use farthing_engine::principal::Role;
use farthing_tests::bench::{Bench, Start, grant_of, run};
use farthing_tests::client::Way;
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Delivers a gzip CSV into a partition, data first.
async fn deliver(bench: &Bench, partition: &str, header: &[&str], lines: &[String]) {
    let data = format!("{PREFIX}/{EXPORT}/data/{partition}/{EXPORT}-00001.csv.gz");
    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    writeln!(file, "{}", header.join(",")).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
    let sandbox = &bench.cloud.sandbox;
    sandbox.put_object(BUCKET, &data, file.finish().unwrap()).await.unwrap();
    let columns: Vec<_> = header
        .iter()
        .map(|name| serde_json::json!({ "name": name, "type": "string" }))
        .collect();
    let manifest = serde_json::json!({
        "executionId": partition, "dataFiles": [format!("s3://{BUCKET}/{data}")], "columns": columns,
    });
    let key = format!("{PREFIX}/{EXPORT}/metadata/{partition}/{EXPORT}-Manifest.json");
    sandbox.put_object(BUCKET, &key, manifest.to_string()).await.unwrap();
}

/// The question answers alike on every way in, for the administrator and for a reader of one account.
async fn check_both(bench: &Bench, sql: &str, all: &[&[&str]], one: &[&[&str]]) {
    let rows = |rows: &[&[&str]]| -> Vec<Vec<Option<String>>> {
        let row = |row: &&[&str]| row.iter().map(|cell| Some((*cell).to_owned())).collect();
        rows.iter().map(row).collect()
    };
    for way in Way::ALL {
        for (user, expected) in [("admin", all), ("reader", one)] {
            let mut client = bench.site.client(way, user).await;
            assert_eq!(
                client.run(sql).await.unwrap().rows,
                rows(expected),
                "{way:?} {user}: {sql}"
            );
        }
    }
}

#[test]
fn recommendations_are_a_table_of_the_newest_day_of_each_month() {
    run(Start::NothingDelivered, async |bench| {
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        let header = [
            "account_id",
            "account_name",
            "action_type",
            "currency_code",
            "estimated_monthly_savings_after_discount",
            "recommendation_id",
            "resource_arn",
            "restart_needed",
            "last_refresh_timestamp",
            "tags",
        ];
        let line = |account: &str, id: &str, savings: &str| {
            format!(
                "{account},name,Rightsize,USD,{savings},{id},arn:aws:ec2:eu-west-1:{account}:instance/i-{id},true,\
                 2026-06-30T04:00:00.000Z,\"{{\"\"Env\"\":\"\"prod\"\"}}\""
            )
        };
        let hidden = &linked[1];
        for (day, savings) in [("2026-05-31", "1.25"), ("2026-06-29", "80.5"), ("2026-06-30", "12.5")] {
            let lines = [
                line(&payer, "a", savings),
                line(&linked[0], "b", "3"),
                line(hidden, "c", "1000"),
                // Nobody's: there is no payer that could decide.
                line("", "d", "5000"),
            ];
            deliver(bench, &format!("date={day}"), &header, &lines).await;
        }
        bench.connect(&linked[..1]).await;
        bench
            .site
            .put_login("reader", Role::Reader, grant_of([&linked[0]]))
            .await;
        assert_eq!(
            bench.ask("SELECT kind, periods FROM system.exports").await.rows,
            [[Some("cost_optimization".to_owned()), Some("2".to_owned())]]
        );
        let sql = "SELECT billing_period, account_id, recommendation_id, estimated_monthly_savings_after_discount::float8 AS savings, \
                   tags['Env'] AS env, last_refresh_timestamp::date::text AS day FROM exports.daily_costs ORDER BY 1, 3";
        let (p, l) = (payer.as_str(), linked[0].as_str());
        check_both(
            bench,
            sql,
            &[
                &["2026-05", p, "a", "1.25", "prod", "2026-06-30"],
                &["2026-05", l, "b", "3", "prod", "2026-06-30"],
                &["2026-06", p, "a", "12.5", "prod", "2026-06-30"],
                &["2026-06", l, "b", "3", "prod", "2026-06-30"],
            ],
            &[
                &["2026-05", l, "b", "3", "prod", "2026-06-30"],
                &["2026-06", l, "b", "3", "prod", "2026-06-30"],
            ],
        )
        .await;
        assert_eq!(
            bench.ask("SELECT count(*) FROM costs").await.single(),
            Some("0"),
            "no costs"
        );
        // The next day's delivery replaces that of the month.
        let line = [line(&linked[0], "e", "7")];
        deliver(bench, "date=2026-06-30b", &header, &line).await;
        bench.ask("CALL refresh_export()").await;
        let newest = "SELECT recommendation_id FROM exports.daily_costs WHERE billing_period = '2026-06' ORDER BY 1";
        assert_eq!(bench.ask(newest).await.rows.len(), 2, "what is no day is no delivery");
        deliver(bench, "date=2026-07-01", &header, &line).await;
        bench.ask("CALL refresh_export()").await;
        let july = "SELECT recommendation_id FROM exports.daily_costs WHERE billing_period = '2026-07'";
        assert_eq!(bench.ask(july).await.single(), Some("e"));
    });
}

#[test]
fn carbon_emissions_are_a_table_of_the_newest_model() {
    run(Start::NothingDelivered, async |bench| {
        let (payer, linked) = (bench.cloud.sample.payer(), bench.cloud.sample.linked());
        let header = [
            "payer_account_id",
            "usage_account_id",
            "model_version",
            "product_code",
            "region_code",
            "total_mbm_emissions_value",
            "total_mbm_emissions_unit",
            "usage_period_start",
            "usage_period_end",
        ];
        let line = |account: &str, model: &str, value: &str| {
            format!(
                "{payer},{account},{model},AmazonEC2,eu-west-1,{value},MTCO2e,2026-03-01T00:00:00.000Z,2026-04-01T00:00:00.000Z"
            )
        };
        for (model, value) in [("v3.0.0", "0.5"), ("v10.0.0", "0.25")] {
            let lines = [
                line(&linked[0], model, value),
                line(&linked[1], model, "99"),
                line("", model, "0.125"),
            ];
            deliver(
                bench,
                &format!("model_version={model}/usage_period=2026-03"),
                &header,
                &lines,
            )
            .await;
        }
        bench.connect(&linked[..1]).await;
        bench
            .site
            .put_login("reader", Role::Reader, grant_of([&linked[0]]))
            .await;
        assert_eq!(
            bench.ask("SELECT kind FROM system.exports").await.single(),
            Some("carbon")
        );
        let sql = "SELECT billing_period, model_version, coalesce(usage_account_id, '') AS account, \
                   total_mbm_emissions_value::float8 AS value FROM exports.daily_costs ORDER BY 3";
        let linked = linked[0].as_str();
        check_both(
            bench,
            sql,
            // A row without an account is the payer's.
            &[
                &["2026-03", "v10.0.0", "", "0.125"],
                &["2026-03", "v10.0.0", linked, "0.25"],
            ],
            &[&["2026-03", "v10.0.0", linked, "0.25"]],
        )
        .await;
        assert_eq!(
            bench.ask("SELECT count(*) FROM costs").await.single(),
            Some("0"),
            "no costs"
        );
    });
}
