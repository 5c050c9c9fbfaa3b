//! What the two protocols do besides carrying rows: logging in, cancelling, limits, sessions, portals.

mod cancel;

use farthing_engine::principal::{Grant, Role};
use farthing_tests::bench::{ADMIN, PASSWORD, Start, run};
use farthing_tests::client::flight::FlightSql;
use farthing_tests::client::postgres::Postgres;
use farthing_tests::client::{Client, Way};

#[test]
fn nobody_gets_in_without_the_password() {
    run(Start::NothingDelivered, async |bench| {
        for (user, password) in [
            (ADMIN, "wrong-password"),
            ("nobody", PASSWORD),
            (ADMIN, ""),
            ("", PASSWORD),
        ] {
            for extended in [false, true] {
                let refused = Postgres::connect(bench.site.pg, user, password, extended)
                    .await
                    .err()
                    .unwrap();
                assert!(
                    matches!(refused.sqlstate.as_str(), "28P01" | "28000"),
                    "{user:?}: {refused}"
                );
            }
            let refused = FlightSql::connect(bench.site.flight, user, password)
                .await
                .err()
                .unwrap();
            assert!(
                refused.message.contains("password authentication failed"),
                "{user:?}: {refused}"
            );
        }
        // A guess over one protocol slows the next one over both; the right password still gets in.
        bench.site.postgres(ADMIN, false).await;
        bench.site.flight_sql(ADMIN).await;
    });
}

#[test]
fn a_call_over_flight_needs_a_token() {
    run(Start::NothingDelivered, async |bench| {
        let mut client = bench.site.flight_sql(ADMIN).await;
        client.client.set_token("not-a-real-token".to_owned());
        let refused = client.run("SELECT 1").await.unwrap_err();
        assert!(
            refused.message.to_lowercase().contains("log in") || refused.sqlstate.starts_with("28"),
            "{refused}"
        );
        client.client.clear_token();
        assert!(client.run("SELECT 1").await.is_err());
    });
}

#[test]
fn sessions_do_not_know_of_each_other() {
    run(Start::NothingDelivered, async |bench| {
        for way in Way::ALL {
            let mut one = bench.site.client(way, ADMIN).await;
            let mut other = bench.site.client(way, ADMIN).await;
            one.run("SET TimeZone = 'Asia/Tokyo'").await.unwrap();
            one.run("BEGIN").await.unwrap();
            one.run("SELECT 1 / 0").await.unwrap_err();
            assert_eq!(one.run("SELECT 1").await.unwrap_err().sqlstate, "25P02", "{way:?}");
            assert_eq!(
                other.run("SHOW TimeZone").await.unwrap().single(),
                Some("UTC"),
                "{way:?}"
            );
            assert_eq!(other.run("SELECT 1").await.unwrap().single(), Some("1"), "{way:?}");
            one.run("ROLLBACK").await.unwrap();
            assert_eq!(
                one.run("SHOW TimeZone").await.unwrap().single(),
                Some("Asia/Tokyo"),
                "{way:?}"
            );
        }
    });
}

#[test]
fn portals_give_rows_in_portions() {
    run(Start::AllConnected, async |bench| {
        let mut client = bench.site.postgres(ADMIN, true).await;
        let transaction = client.client.transaction().await.unwrap();
        let sql = "SELECT identity_line_item_id FROM exports.daily_costs WHERE billing_period = '2026-04' ORDER BY 1";
        let portal = transaction.bind(sql, &[]).await.unwrap();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 500).await.unwrap();
            if rows.is_empty() {
                break;
            }
            assert!(rows.len() <= 500);
            seen.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        transaction.commit().await.unwrap();
        let all = bench.ask(sql).await;
        assert_eq!(seen.len(), all.rows.len());
        assert!(
            seen.iter()
                .map(|id| Some(id.as_str()))
                .eq(all.column("identity_line_item_id"))
        );
    });
}

#[test]
fn a_text_may_hold_several_statements_in_the_simple_protocol() {
    run(Start::NothingDelivered, async |bench| {
        let client = bench.site.postgres(ADMIN, false).await;
        let messages = client
            .client
            .simple_query("SELECT 1; SELECT 2 AS two; SET TimeZone = 'UTC'")
            .await
            .unwrap();
        let rows = messages
            .iter()
            .filter(|message| matches!(message, tokio_postgres::SimpleQueryMessage::Row(_)));
        assert_eq!(rows.count(), 2);
        // The first error ends the text.
        let refused = client
            .client
            .simple_query("SET TimeZone = 'Asia/Tokyo'; SELECT 1 / 0; SET TimeZone = 'UTC'")
            .await;
        assert_eq!(refused.unwrap_err().code().unwrap().code(), "22012");
        client.client.simple_query(" ; -- nothing").await.unwrap();
        client.client.simple_query("").await.unwrap();
    });
}

#[test]
fn what_a_login_may_do_follows_its_role_at_once() {
    run(Start::Delivered, async |bench| {
        bench.site.put_login("ada", Role::Reader, Grant::AllConnected).await;
        let call = bench.cloud.connect_root();
        for way in [Way::PostgresSimple, Way::FlightSql] {
            let mut ada = bench.site.client(way, "ada").await;
            assert_eq!(ada.run(&call).await.unwrap_err().sqlstate, "42501", "{way:?}");
            assert_eq!(ada.run("SELECT count(*) FROM costs").await.unwrap().single(), Some("0"));
        }
        bench.site.put_login("ada", Role::Operator, Grant::AllConnected).await;
        let mut ada = bench.site.client(Way::PostgresSimple, "ada").await;
        ada.run(&call).await.unwrap();
    });
}
