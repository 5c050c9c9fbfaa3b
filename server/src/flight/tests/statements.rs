//! Statements, tickets and prepared statements over a real socket.

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, CommandStatementQuery};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};

use super::*;

const SELECT: &str = "SELECT 1::bigint AS n WHERE 1 = 1";
const LONG: &str = "SELECT value AS n FROM generate_series(1, 1000000000)";

/// It asks nobody outside.
const CALL: &str = "CALL put_secret(name => 'flight', value => 'not-a-real-secret')";

/// How often a procedure ran.
async fn runs(server: &Running) -> i64 {
    let mut client = server.logged_in("bob").await;
    numbers(&query(&mut client, "SELECT count(*) AS n FROM system.procedure_runs").await)[0]
}

async fn query(client: &mut Client, sql: &str) -> RecordBatch {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    rows(client, info).await
}

fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

async fn redeem(client: &mut Client, ticket: Ticket) -> Result<Vec<RecordBatch>, FlightError> {
    client.do_get(ticket).await?.try_collect().await
}

fn numbers(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test]
async fn a_query_streams_under_its_announced_schema_as_often_as_asked() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let info = client.execute(SELECT.to_owned(), None).await.unwrap();
    assert_eq!((info.total_records, info.total_bytes, info.endpoint.len()), (-1, -1, 1));
    assert!(info.endpoint[0].location.is_empty());
    assert!(info.endpoint[0].expiration_time.is_some());
    let wire = ticket(&info).ticket;
    assert!(
        !wire.windows(6).any(|part| part == b"SELECT"),
        "the text stays in the server"
    );
    for _ in 0..2 {
        assert_eq!(numbers(&rows(&mut client, info.clone()).await), [1]);
    }
    let none = query(&mut client, "SELECT 1::bigint AS n WHERE 1 = 0").await;
    assert_eq!(none.num_rows(), 0);
}

#[tokio::test]
async fn a_ticket_is_of_its_login_alone() {
    let server = Running::start(|_| {}).await;
    let mut alice = server.logged_in("alice").await;
    let info = alice.execute(SELECT.to_owned(), None).await.unwrap();
    let mut bob = server.logged_in("bob").await;
    let status = refused(redeem(&mut bob, ticket(&info)).await);
    assert_eq!(status.code(), Code::NotFound);
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let status = refused(bob.do_action(Action::new("CancelFlightInfo", body)).await);
    assert_eq!(status.code(), Code::NotFound);
    let mut other_session = server.logged_in("alice").await;
    redeem(&mut other_session, ticket(&info)).await.unwrap();
    alice.do_action(Action::new(CLOSE_SESSION, "")).await.unwrap();
    let status = refused(redeem(&mut other_session, ticket(&info)).await);
    assert_eq!(status.code(), Code::NotFound, "a ticket goes with its session");
}

#[tokio::test]
async fn tickets_expire_and_are_renewed() {
    let server = Running::start(|settings| settings.limits.ticket_ttl = Duration::from_millis(500)).await;
    let mut client = server.logged_in("alice").await;
    let info = client.execute(SELECT.to_owned(), None).await.unwrap();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = arrow_flight::RenewFlightEndpointRequest::new(info.endpoint[0].clone()).encode_to_vec();
        client
            .do_action(Action::new("RenewFlightEndpoint", body))
            .await
            .unwrap();
    }
    redeem(&mut client, ticket(&info)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let status = refused(redeem(&mut client, ticket(&info)).await);
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_call_runs_at_do_get_and_once_for_each_ticket() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let first = client.execute(CALL.to_owned(), None).await.unwrap();
    let second = client.execute(CALL.to_owned(), None).await.unwrap();
    client.prepare(CALL.to_owned(), None).await.unwrap();
    let before = runs(&server).await;
    let result = rows(&mut client, first.clone()).await;
    assert_eq!(
        rows(&mut client, first).await,
        result,
        "a repetition shows the same result"
    );
    assert_eq!(runs(&server).await, before + 1, "and runs nothing");
    rows(&mut client, second).await;
    assert_eq!(runs(&server).await, before + 2);
    assert_eq!(client.execute_update(CALL.to_owned(), None).await.unwrap(), -1);
    assert_eq!(runs(&server).await, before + 3);
    let mut prepared = client.prepare(CALL.to_owned(), None).await.unwrap();
    assert!(
        !prepared.dataset_schema().unwrap().fields().is_empty(),
        "a CALL is a query to drivers"
    );
    for _ in 0..2 {
        let info = prepared.execute().await.unwrap();
        rows(&mut client, info).await;
    }
    assert_eq!(runs(&server).await, before + 5);
}

#[tokio::test]
async fn prepared_statements_run_once_for_each_bound_row() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let sql = "SELECT value * 10 AS n, $2::text AS t FROM generate_series(1, 5) WHERE value = $1";
    let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    let parameters = prepared.parameter_schema().unwrap().clone();
    let types: Vec<_> = parameters
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
    assert_eq!(
        refused(prepared.execute().await).code(),
        Code::InvalidArgument,
        "nothing is bound"
    );
    let numbered: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("a", numbered.clone()), ("b", numbered)]).unwrap();
    prepared.set_parameters(batch).unwrap();
    for _ in 0..2 {
        let info = prepared.execute().await.unwrap();
        let result = rows(&mut client, info).await;
        assert_eq!(numbers(&result), [10, 20, 30]);
        assert_eq!(result.schema().as_ref(), prepared.dataset_schema().unwrap());
    }
    let mut again = prepared.clone();
    prepared.close().await.unwrap();
    assert_eq!(refused(again.execute().await).code(), Code::NotFound);
}

#[tokio::test]
async fn statements_without_rows_are_updates() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let zone = |zone: &str| format!("SET TimeZone TO '{zone}'");
    assert_eq!(client.execute_update(zone("Europe/Berlin"), None).await.unwrap(), 0);
    let shown = query(&mut client, "SHOW TimeZone").await;
    assert_eq!(shown.column(0).as_string::<i32>().value(0), "Europe/Berlin");
    let mut prepared = client.prepare(zone("UTC"), None).await.unwrap();
    assert!(prepared.dataset_schema().unwrap().fields().is_empty());
    assert_eq!(prepared.execute_update().await.unwrap(), 0);
    // As a query it works too: drivers that know no updates send it so.
    assert_eq!(query(&mut client, &zone("Asia/Tokyo")).await.num_columns(), 0);
    let shown = query(&mut client, "SHOW TimeZone").await;
    assert_eq!(shown.column(0).as_string::<i32>().value(0), "Asia/Tokyo");
    let shown = query(&mut server.logged_in("alice").await, "SHOW TimeZone").await;
    assert_ne!(
        shown.column(0).as_string::<i32>().value(0),
        "Asia/Tokyo",
        "each token has its own session"
    );
}

#[tokio::test]
async fn cancel_flight_info_ends_a_running_statement() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let info = client.execute(LONG.to_owned(), None).await.unwrap();
    let mut stream = client.do_get(ticket(&info)).await.unwrap();
    stream.try_next().await.unwrap().unwrap();
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let mut results = client
        .do_action(Action::new("CancelFlightInfo", body.clone()))
        .await
        .unwrap();
    let result = CancelFlightInfoResult::decode(results.message().await.unwrap().unwrap().body).unwrap();
    assert_eq!(result.status, CancelStatus::Cancelled as i32);
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match stream.try_next().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        }
    });
    assert_eq!(refused(ended.await.unwrap()).code(), Code::Cancelled);
    let status = refused(client.do_action(Action::new("CancelFlightInfo", body)).await);
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn cancel_query_is_the_older_form() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let info = client.execute(SELECT.to_owned(), None).await.unwrap();
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let action = Action::new("CancelQuery", request.as_any().encode_to_vec());
    let mut results = client.do_action(action).await.unwrap();
    let any = Any::decode(results.message().await.unwrap().unwrap().body).unwrap();
    let result: ActionCancelQueryResult = any.unpack().unwrap().unwrap();
    assert_eq!(result.result, 1, "CANCEL_RESULT_CANCELLED");
    let status = refused(redeem(&mut client, ticket(&info)).await);
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn closing_the_session_ends_its_statements() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let info = client.execute(LONG.to_owned(), None).await.unwrap();
    let mut stream = client.do_get(ticket(&info)).await.unwrap();
    stream.try_next().await.unwrap().unwrap();
    client.do_action(Action::new(CLOSE_SESSION, "")).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.try_collect::<Vec<_>>());
    assert_eq!(refused(ended.await.unwrap()).code(), Code::Cancelled);
}

#[tokio::test]
async fn one_statement_at_a_time() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    for (sql, code, state) in [
        ("SELECT 1; SELECT 2", Code::Unimplemented, "0A000"),
        ("-- nothing", Code::InvalidArgument, "42601"),
        ("SELEC 1", Code::InvalidArgument, "42601"),
        ("SELECT * FROM no_such_table", Code::InvalidArgument, "42P01"),
    ] {
        let status = refused(client.execute(sql.to_owned(), None).await);
        assert_eq!((status.code(), sql), (code, sql));
        assert_eq!(status.metadata().get(SQLSTATE_KEY).unwrap(), state);
    }
    // UNIMPLEMENTED would tell drivers that there are no prepared statements at all.
    let status = refused(client.prepare("SELECT 1; SELECT 2".to_owned(), None).await);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.metadata().get(SQLSTATE_KEY).unwrap(), "0A000");
    let status = refused(client.execute(SELECT.to_owned(), Some("t1".into())).await);
    assert_eq!(status.code(), Code::NotFound, "there is no transaction of any id");
}

#[tokio::test]
async fn get_schema_describes_without_running() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let command = CommandStatementQuery {
        query: "SELECT $1::bigint AS n".to_owned(),
        transaction_id: None,
    };
    let mut request = Request::new(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    let bearer = format!("Bearer {}", client.token().unwrap()).parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let result = client.inner_mut().get_schema(request).await.unwrap().into_inner();
    let schema = Schema::try_from(&result).unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Int64);
}

#[tokio::test]
async fn prepared_statements_are_bounded() {
    let server = Running::start(|settings| settings.limits.prepared_per_session = 2).await;
    let mut client = server.logged_in("alice").await;
    let first = client.prepare(SELECT.to_owned(), None).await.unwrap();
    client.prepare(SELECT.to_owned(), None).await.unwrap();
    let status = refused(client.prepare(SELECT.to_owned(), None).await);
    assert_eq!(status.code(), Code::ResourceExhausted);
    first.close().await.unwrap();
    client.prepare(SELECT.to_owned(), None).await.unwrap();
}
