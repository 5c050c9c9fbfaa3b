//! Statements over sockets: both protocols, portals, cancelling.

use std::time::Instant;

use futures::TryStreamExt;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::*;

/// Runs for minutes and gives its only row at the end.
const SLOW: &str = "SELECT sum(value) FROM generate_series(1, 1000000000000)";
/// Gives rows at once and does not end for minutes.
const LONG: &str = "SELECT value FROM generate_series(1, 1000000000000)";

async fn driver(server: &Listening) -> tokio_postgres::Client {
    server.driver("alice", PASSWORD, "farthing").await.unwrap()
}

fn parse(name: &str, query: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{query}\0\0\0").as_bytes())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str, rows: u8) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, rows]].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_text_of_several_statements_stops_at_the_first_error() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    client.send(&query("SELECT 1; SELECT 2 WHERE false;")).await;
    assert_eq!(client.round().await, ["T", "D", "C", "T", "C", "ZI"]);
    for empty in ["", ";", " ; ", "-- ping", "/* ping */"] {
        client.send(&query(empty)).await;
        assert_eq!(client.round().await, ["I", "ZI"], "{empty:?}");
    }
    client.send(&query("SELECT 1; SELECT missing; SELECT 2")).await;
    assert_eq!(client.round().await, ["T", "D", "C", "E 42703", "ZI"]);
    client.send(&query("SELEC 1")).await;
    assert_eq!(client.round().await, ["E 42601", "ZI"]);
    client.send(&query("SELECT $1::int")).await;
    assert_eq!(client.round().await, ["E 42P02", "ZI"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_driver_binds_and_reads_every_type() {
    let server = listen(settings()).await;
    let client = driver(&server).await;
    let kinds = [
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::TEXT,
        Type::DATE,
    ];
    let text =
        "SELECT $1::boolean, $2::smallint, $3::int, $4::bigint, $5::real, $6::double precision, $7::text, $8::date";
    let statement = client.prepare_typed(text, &kinds).await.unwrap();
    let row = client
        .query_one(
            &statement,
            &[
                &true,
                &7i16,
                &-7i32,
                &(1i64 << 40),
                &1.5f32,
                &-0.1f64,
                &"a\u{20ac}",
                &chrono::NaiveDate::from_ymd_opt(2026, 7, 1).unwrap(),
            ],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), 7);
    assert_eq!(row.get::<_, i32>(2), -7);
    assert_eq!(row.get::<_, i64>(3), 1 << 40);
    assert!((row.get::<_, f32>(4) - 1.5).abs() < f32::EPSILON);
    assert!((row.get::<_, f64>(5) + 0.1).abs() < f64::EPSILON);
    assert_eq!(row.get::<_, &str>(6), "a\u{20ac}");
    assert_eq!(
        row.get::<_, chrono::NaiveDate>(7),
        chrono::NaiveDate::from_ymd_opt(2026, 7, 1).unwrap()
    );
    let statement = client
        .prepare_typed("SELECT $1::bigint, $2::text", &[Type::INT8, Type::TEXT])
        .await
        .unwrap();
    let row = client
        .query_one(&statement, &[&None::<i64>, &None::<&str>])
        .await
        .unwrap();
    assert_eq!(
        (row.get::<_, Option<i64>>(0), row.get::<_, Option<&str>>(1)),
        (None, None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_statement_is_described_with_true_types() {
    let server = listen(settings()).await;
    let client = driver(&server).await;
    let statement = client
        .prepare_typed(
            "SELECT $1::bigint AS id, 1.25::numeric(38,9) AS cost, 'x' AS name, now() AS at",
            &[Type::INT8],
        )
        .await
        .unwrap();
    assert_eq!(statement.params(), [Type::INT8]);
    let columns: Vec<_> = statement
        .columns()
        .iter()
        .map(|column| (column.name(), column.type_().clone()))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", Type::INT8),
            ("cost", Type::NUMERIC),
            ("name", Type::TEXT),
            ("at", Type::TIMESTAMPTZ)
        ]
    );
    assert_eq!(statement.columns()[1].type_modifier(), (38 << 16 | 9) + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_portal_is_fetched_in_parts_within_its_transaction() {
    let server = listen(settings()).await;
    let mut client = driver(&server).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction
        .bind("SELECT value FROM generate_series(1, 7)", &[])
        .await
        .unwrap();
    let mut got = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 3).await.unwrap();
        if rows.is_empty() {
            break;
        }
        got.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    assert_eq!(got, [1, 2, 3, 4, 5, 6, 7]);
    transaction.commit().await.unwrap();

    // Outside of a transaction a portal ends with its round.
    let mut client = server.logged_in().await;
    let select = "SELECT value FROM generate_series(1, 7)";
    client
        .send(
            &[
                parse("s", select),
                bind("p", "s"),
                execute("p", 2),
                execute("p", 2),
                sync(),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.round().await, ["1", "2", "D", "D", "s", "D", "D", "s", "ZI"]);
    client.send(&[execute("p", 2), sync()].concat()).await;
    assert_eq!(client.round().await, ["E 34000", "ZI"]);
    client.send(&[bind("p", "s"), bind("p", "s"), sync()].concat()).await;
    assert_eq!(client.round().await, ["2", "E 42P03", "ZI"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn rows_arrive_before_the_statement_ends() {
    let server = listen(settings()).await;
    let client = driver(&server).await;
    let start = Instant::now();
    let rows = client.query_raw(LONG, Vec::<i64>::new()).await.unwrap();
    let mut rows = std::pin::pin!(rows);
    assert!(rows.try_next().await.unwrap().is_some());
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_cancel_request_stops_a_statement_at_any_phase() {
    let server = listen(settings()).await;
    let client = driver(&server).await;
    for text in [SLOW, LONG] {
        for extended in [false, true] {
            let token = client.cancel_token();
            let cancelling = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                token.cancel_query(tokio_postgres::NoTls).await.unwrap();
            });
            let start = Instant::now();
            let error = if extended {
                client.query(text, &[]).await.unwrap_err()
            } else {
                client.simple_query(text).await.unwrap_err()
            };
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            cancelling.await.unwrap();
        }
    }
    // A request that comes too late does not hit the next statement.
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await.unwrap();
    let messages = client.simple_query("SELECT 1").await.unwrap();
    assert!(
        messages
            .iter()
            .any(|message| matches!(message, SimpleQueryMessage::Row(_)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_client_that_leaves_ends_its_statement() {
    let server = listen(PgSettings {
        max_connections: 1,
        ..settings()
    })
    .await;
    for text in [SLOW, LONG] {
        let mut client = server.logged_in().await;
        client.send(&query(text)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(client);
        let start = Instant::now();
        // The only place is free again once the statement is gone.
        while server.raw().await.login(ALICE, PASSWORD, None).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn stopping_ends_a_statement_that_does_not_end_itself() {
    let server = listen(PgSettings {
        drain_timeout: Duration::from_millis(200),
        ..settings()
    })
    .await;
    let mut client = server.logged_in().await;
    client.send(&query(SLOW)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.shutdown.cancel();
    let (kind, body) = loop {
        let (kind, body) = client.receive().await;
        if kind != 'T' {
            break (kind, body);
        }
    };
    assert_eq!((kind, field(&body, 'C').as_str()), ('E', "57P01"));
    tokio::time::timeout(Duration::from_secs(20), server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn prepared_statements_and_portals_are_limited() {
    let server = listen(PgSettings {
        max_prepared_statements: 2,
        max_portals: 2,
        ..settings()
    })
    .await;
    let mut client = server.logged_in().await;
    let some = |names: &[&str]| {
        names
            .iter()
            .flat_map(|name| parse(name, "SELECT 1"))
            .collect::<Vec<_>>()
    };
    client.send(&[some(&["a", "b", "c"]), sync()].concat()).await;
    assert_eq!(client.round().await, ["1", "1", "E 53400", "ZI"]);
    client.send(&[some(&["a"]), sync()].concat()).await;
    assert_eq!(client.round().await, ["E 42P05", "ZI"]);
    client
        .send(&[bind("x", "a"), bind("y", "a"), bind("z", "a"), sync()].concat())
        .await;
    assert_eq!(client.round().await, ["2", "2", "E 53400", "ZI"]);
    client
        .send(&[message(b'C', b"Sa\0"), some(&["c"]), sync()].concat())
        .await;
    assert_eq!(client.round().await, ["3", "1", "ZI"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn the_extended_protocol_refuses_what_it_cannot_honour() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    let mut check = async |messages: Vec<Vec<u8>>, expected: &[&str]| {
        client.send(&[messages.concat(), sync()].concat()).await;
        assert_eq!(client.round().await, expected);
    };
    check(vec![parse("", "SELECT 1; SELECT 2")], &["E 42601", "ZI"]).await;
    check(
        vec![message(b'P', b"\0SELECT $1\0\0\x01\0\x0f\x42\x3f")],
        &["E 42704", "ZI"],
    )
    .await;
    check(vec![parse("", "SELECT $1::int"), bind("", "")], &["1", "E 08P01", "ZI"]).await;
    let not_a_number = message(b'B', b"\0\0\0\0\0\x01\0\0\0\x01x\0\0");
    let typed = message(b'P', b"\0SELECT $1::int\0\0\x01\0\0\0\x17");
    check(vec![typed, not_a_number], &["1", "E 22P02", "ZI"]).await;
    let bad_format = message(b'B', b"\0\0\0\0\0\0\0\x01\0\x07");
    check(vec![parse("", "SELECT 1"), bad_format], &["1", "E 22023", "ZI"]).await;
    let empty = vec![parse("", " ; "), bind("", ""), message(b'D', b"P\0"), execute("", 0)];
    check(empty, &["1", "2", "n", "I", "ZI"]).await;
    let twice = vec![parse("", "SELECT 1"), bind("", ""), execute("", 0), execute("", 0)];
    check(twice, &["1", "2", "D", "C", "C", "ZI"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn changed_settings_and_the_transaction_are_reported() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    client.send(&query("SET application_name = 'report'")).await;
    assert_eq!(client.round().await, ["C", "S", "ZI"]);
    client.send(&query("BEGIN; SELECT 1")).await;
    assert_eq!(client.round().await, ["C", "T", "D", "C", "ZT"]);
    let portal = [
        parse("s", "SELECT value FROM generate_series(1, 3)"),
        bind("p", "s"),
        execute("p", 1),
        sync(),
    ];
    client.send(&portal.concat()).await;
    assert_eq!(client.round().await, ["1", "2", "D", "s", "ZT"]);
    client.send(&[execute("p", 1), sync()].concat()).await;
    assert_eq!(client.round().await, ["D", "s", "ZT"]);
    client.send(&query("COMMIT")).await;
    assert_eq!(client.round().await, ["C", "ZI"]);
    client.send(&[execute("p", 1), sync()].concat()).await;
    assert_eq!(client.round().await, ["E 34000", "ZI"]);
    client.send(&query("DISCARD ALL")).await;
    client.round().await;
    client.send(&[bind("", "s"), sync()].concat()).await;
    assert_eq!(client.round().await, ["E 26000", "ZI"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn an_error_of_the_protocol_fails_the_transaction_too() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    client.send(&query("BEGIN")).await;
    assert_eq!(client.round().await, ["C", "ZT"]);
    client.send(&[execute("missing", 0), sync()].concat()).await;
    assert_eq!(client.round().await, ["E 34000", "ZE"]);
    client.send(&query("SELECT 1")).await;
    assert_eq!(client.round().await, ["E 25P02", "ZE"]);
    client.send(&query("ROLLBACK")).await;
    assert_eq!(client.round().await, ["C", "ZI"]);
}
