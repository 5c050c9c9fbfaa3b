//! Calls over a real socket.

#![allow(clippy::unwrap_used, clippy::panic)]

mod statements;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Schema, UInt32Type};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandStatementSubstraitPlan, ProstMessageExt,
    SqlInfo,
};
use arrow_flight::{
    Action, BasicAuth, Criteria, Empty, FlightDescriptor, FlightInfo, HandshakeRequest, SchemaResult, Ticket,
};
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use farthing_engine::principal::{Grant, Login, Role};
use farthing_engine::secret::SecretString;
use farthing_engine::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::error::SQLSTATE_KEY;
use super::session_options::{
    CLOSE_SESSION, COMPRESSION, OptionError, OptionValue, SET_SESSION_OPTIONS, SessionOptionValue,
    SetSessionOptionsRequest, SetSessionOptionsResult,
};
use super::{FlightSettings, Logins, serve};
use crate::fixture::{Folder, frontend};

type Client = FlightSqlServiceClient<Channel>;

const PASSWORD: &str = "not-a-real-secret";

/// Logins whose verifier is the password itself.
#[derive(Default)]
struct FixedLogins(Mutex<HashMap<String, Login>>);

impl FixedLogins {
    fn put(&self, name: &str, role: Role) {
        let login = Login {
            name: name.to_owned(),
            role,
            grant: Grant::AllConnected,
            verifier: PASSWORD.to_owned(),
        };
        self.0.lock().unwrap().insert(name.to_owned(), login);
    }
}

#[async_trait]
impl Logins for FixedLogins {
    fn find(&self, name: &str) -> Option<Login> {
        self.0.lock().unwrap().get(name).cloned()
    }

    #[allow(clippy::disallowed_methods, reason = "a test's verifier")]
    async fn check_password(&self, name: &str, password: SecretString, _address: Option<IpAddr>) -> Result<()> {
        match self.find(name) {
            Some(login) if login.verifier == password.open() => Ok(()),
            _ => Err(Error::new(
                ErrorKind::BadCredentials,
                "the name or the password is wrong",
            )),
        }
    }
}

struct Running {
    address: SocketAddr,
    logins: Arc<FixedLogins>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<()>>,
    _folder: Folder,
}

impl Running {
    async fn start(change: impl FnOnce(&mut FlightSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let logins = Arc::new(FixedLogins::default());
        for name in ["alice", "bob"] {
            logins.put(name, Role::Operator);
        }
        let (frontend, folder) = frontend().await;
        let mut settings = FlightSettings::default();
        settings.limits.drain = Duration::from_millis(100);
        change(&mut settings);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, frontend, logins.clone(), settings, shutdown.clone()));
        Self {
            address,
            logins,
            shutdown,
            task,
            _folder: folder,
        }
    }

    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        Client::new(endpoint.connect().await.unwrap())
    }

    async fn logged_in(&self, name: &str) -> Client {
        let mut client = self.client().await;
        client.handshake(name, PASSWORD).await.unwrap();
        client
    }
}

async fn rows(client: &mut Client, info: FlightInfo) -> RecordBatch {
    let schema = match info.schema.is_empty() {
        true => Arc::new(Schema::empty()),
        false => Arc::new(Schema::try_from(info.clone()).unwrap()),
    };
    let [endpoint] = info.endpoint.as_slice() else {
        panic!("one endpoint, not {}", info.endpoint.len());
    };
    let mut stream = client.do_get(endpoint.ticket.clone().unwrap()).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await.unwrap() {
        batches.push(batch);
    }
    assert_eq!(stream.schema(), Some(&schema), "the stream has the announced schema");
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn refused(result: Result<impl Sized, arrow_flight::error::FlightError>) -> Status {
    match result {
        Err(arrow_flight::error::FlightError::Tonic(status)) => *status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the call went through"),
    }
}

/// Without padding, as Go's client sends it; Rust's client in `handshake` pads.
fn with_basic<T>(message: T, name: &str, password: &str) -> Request<T> {
    let credentials = BASE64_STANDARD_NO_PAD.encode(format!("{name}:{password}"));
    let mut request = Request::new(message);
    let header = format!("Basic {credentials}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

#[tokio::test]
async fn handshake_gives_a_token_in_header_and_payload() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let payload = client.handshake("alice", PASSWORD).await.unwrap();
    assert_eq!(client.token().unwrap().as_bytes(), payload);
    assert_eq!(payload.len(), 43, "256 bits in base64");
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert_eq!(info.total_records, -1);
    let all = rows(&mut client, info).await;
    assert_eq!(all.num_rows(), 6 + 4 + 2 + 77);
    // A driver that has a token already may shake hands with it.
    let token = client.token().unwrap().clone();
    let mut request = Request::new(futures::stream::iter([HandshakeRequest::default()]));
    let header = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    let again = client.inner_mut().handshake(request).await.unwrap();
    let answer = again.into_inner().message().await.unwrap().unwrap();
    assert_eq!(answer.payload, token.as_bytes());
}

#[tokio::test]
async fn handshake_reads_the_payload_of_older_clients() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let auth = BasicAuth {
        username: "alice".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let message = HandshakeRequest {
        protocol_version: 0,
        payload: auth.encode_to_vec().into(),
    };
    let response = client
        .inner_mut()
        .handshake(futures::stream::iter([message]))
        .await
        .unwrap();
    let token = response.into_inner().message().await.unwrap().unwrap().payload;
    let mut request = Request::new(Criteria::default());
    let token = tonic::metadata::BinaryMetadataValue::from_bytes(&token);
    request.metadata_mut().insert_bin("auth-token-bin", token);
    client.inner_mut().list_flights(request).await.unwrap();
}

#[tokio::test]
async fn unknown_name_and_wrong_password_look_the_same() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let mut answers = Vec::new();
    for (name, password) in [("alice", "wrong"), ("nobody", PASSWORD), ("nobody", "wrong")] {
        let request = with_basic(Criteria::default(), name, password);
        let status = client.inner_mut().list_flights(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.metadata().get(SQLSTATE_KEY).unwrap(), "28P01");
        answers.push(status.message().to_owned());
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
}

#[tokio::test]
async fn no_call_works_without_a_valid_token() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    for token in [None, Some("None"), Some("AAAA")] {
        match token {
            Some(token) => client.set_token(token.to_owned()),
            None => client.clear_token(),
        }
        let info = refused(client.get_catalogs().await);
        let action = refused(client.do_action(Action::new("CloseSession", "")).await);
        let get = refused(client.do_get(Ticket::new("x")).await);
        let put = refused(client.execute_update("select 1".to_owned(), None).await);
        for status in [info, action, get, put] {
            assert_eq!(status.code(), Code::Unauthenticated);
        }
    }
    let inner = client.inner_mut();
    let descriptor = FlightDescriptor::new_cmd("");
    assert_eq!(
        inner.get_schema(descriptor.clone()).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        inner.poll_flight_info(descriptor).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        inner.list_actions(Empty {}).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    assert_eq!(
        inner.do_exchange(futures::stream::empty()).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn basic_credentials_work_on_any_call_and_keep_one_session() {
    let server = Running::start(|settings| settings.limits.sessions = 1).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        let request = with_basic(Criteria::default(), "alice", PASSWORD);
        client.inner_mut().list_flights(request).await.unwrap();
    }
    let request = with_basic(Criteria::default(), "bob", PASSWORD);
    let full = client.inner_mut().list_flights(request).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn tokens_expire_when_idle() {
    let server = Running::start(|settings| settings.token_ttl = Duration::from_millis(400)).await;
    let mut client = server.logged_in("alice").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.get_catalogs().await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let status = refused(client.get_catalogs().await);
    assert_eq!(status.code(), Code::Unauthenticated);
    client.clear_token();
    client.handshake("alice", PASSWORD).await.unwrap();
    client.get_catalogs().await.unwrap();
}

#[tokio::test]
async fn a_changed_login_ends_its_tokens() {
    let server = Running::start(|_| {}).await;
    let mut alice = server.logged_in("alice").await;
    let mut bob = server.logged_in("bob").await;
    alice.get_catalogs().await.unwrap();
    server.logins.put("alice", Role::Admin);
    assert_eq!(refused(alice.get_catalogs().await).code(), Code::Unauthenticated);
    bob.get_catalogs().await.unwrap();
    server.logins.0.lock().unwrap().clear();
    assert_eq!(refused(bob.get_catalogs().await).code(), Code::Unauthenticated);
}

#[tokio::test]
async fn close_session_ends_the_token() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let mut results = client.do_action(Action::new(CLOSE_SESSION, "")).await.unwrap();
    let body = results.message().await.unwrap().unwrap().body;
    assert_eq!(&body[..], [0x08, 1], "CloseSessionResult with status CLOSED");
    assert_eq!(refused(client.get_catalogs().await).code(), Code::Unauthenticated);
}

#[tokio::test]
async fn options_fail_one_by_one() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let text = |text: &str| SessionOptionValue {
        value: Some(OptionValue::Text(text.to_owned())),
    };
    let request = SetSessionOptionsRequest {
        session_options: [
            ("catalog", text("farthing")),
            (COMPRESSION, text("zstd")),
            ("schema", text("")),
            ("no such option", text("x")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    };
    let action = Action::new(SET_SESSION_OPTIONS, request.encode_to_vec());
    let mut results = client.do_action(action).await.unwrap();
    let body = results.message().await.unwrap().unwrap().body;
    let result = SetSessionOptionsResult::decode(body).unwrap();
    let errors: HashMap<String, i32> = result
        .errors
        .into_iter()
        .map(|(name, error)| (name, error.value))
        .collect();
    let expected = [
        ("schema".to_owned(), OptionError::InvalidValue as i32),
        ("no such option".to_owned(), OptionError::InvalidName as i32),
    ];
    assert_eq!(errors, HashMap::from(expected));
    // The rows arrive compressed from now on, and read the same.
    let info = client.get_sql_info(vec![SqlInfo::SqlKeywords]).await.unwrap();
    assert_eq!(rows(&mut client, info).await.num_rows(), 1);
}

#[tokio::test]
async fn metadata_without_relations() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let info = client.get_catalogs().await.unwrap();
    let catalogs = rows(&mut client, info).await;
    assert_eq!(catalogs.column(0).as_string::<i32>().value(0), "farthing");
    let info = client.get_table_types().await.unwrap();
    assert_eq!(rows(&mut client, info).await.num_rows(), 3);
    let info = client
        .get_sql_info(vec![SqlInfo::SqlIdentifierQuoteChar])
        .await
        .unwrap();
    let one = rows(&mut client, info).await;
    assert_eq!(one.column(0).as_primitive::<UInt32Type>().values(), &[504]);
    let keys = CommandGetPrimaryKeys {
        table: "costs".to_owned(),
        ..CommandGetPrimaryKeys::default()
    };
    let info = client.get_primary_keys(keys).await.unwrap();
    assert_eq!(rows(&mut client, info).await.num_rows(), 0);
    let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
    assert!(rows(&mut client, info).await.num_rows() > 10);
}

#[tokio::test]
async fn get_schema_and_poll_agree_with_flight_info() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let bearer: tonic::metadata::AsciiMetadataValue = format!("Bearer {}", client.token().unwrap()).parse().unwrap();
    let ask = |command: Any| {
        let mut request = Request::new(FlightDescriptor::new_cmd(command.encode_to_vec()));
        request.metadata_mut().insert("authorization", bearer.clone());
        request
    };
    let inner = client.inner_mut();
    for command in [CommandGetSqlInfo::default().as_any(), CommandGetCatalogs {}.as_any()] {
        let info = inner.get_flight_info(ask(command.clone())).await.unwrap().into_inner();
        let SchemaResult { schema } = inner.get_schema(ask(command.clone())).await.unwrap().into_inner();
        assert_eq!(schema, info.schema);
        let poll = inner.poll_flight_info(ask(command)).await.unwrap().into_inner();
        assert_eq!(poll.info, Some(info));
        assert_eq!(
            (poll.flight_descriptor, poll.progress),
            (None, Some(1.0)),
            "it is complete"
        );
    }
}

#[tokio::test]
async fn foreign_messages_get_a_clear_answer() {
    let server = Running::start(|_| {}).await;
    let mut client = server.logged_in("alice").await;
    let plan = CommandStatementSubstraitPlan::default().as_any().encode_to_vec();
    let status = refused(client.do_get(Ticket::new(plan)).await);
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("CommandStatementSubstraitPlan"), "{status}");
    let status = refused(client.do_get(Ticket::new("not protobuf")).await);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(!status.message().contains("DecodeError"), "{status}");
    let status = refused(client.do_action(Action::new("MakeCoffee", "")).await);
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(refused(client.begin_transaction().await).code(), Code::Unimplemented);
    let commit = arrow_flight::sql::EndTransaction::Commit;
    client.end_transaction("t1".into(), commit).await.unwrap();
    let info = FlightInfo::new();
    let body = arrow_flight::CancelFlightInfoRequest::new(info).encode_to_vec();
    let status = refused(client.do_action(Action::new("CancelFlightInfo", body)).await);
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn lists_actions() {
    let server = Running::start(|_| {}).await;
    let mut client = server.client().await;
    let request = with_basic(Empty {}, "alice", PASSWORD);
    let stream = client.inner_mut().list_actions(request).await.unwrap().into_inner();
    let actions: Vec<_> = stream.try_collect().await.unwrap();
    assert!(actions.iter().any(|action| action.r#type == "CancelFlightInfo"));
    assert!(!actions.iter().any(|action| action.r#type == "BeginTransaction"));
}

#[tokio::test]
async fn refuses_clear_text_beyond_the_machine() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let settings = FlightSettings::default();
    let (frontend, _folder) = frontend().await;
    let error = serve(
        listener,
        frontend,
        Arc::new(FixedLogins::default()),
        settings,
        CancellationToken::new(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
    assert!(error.hint().unwrap().contains("certificate"));
}

#[tokio::test]
async fn serves_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let identity = Identity::from_pem(&pem, made.signing_key.serialize_pem());
    let server = Running::start(|settings| settings.tls = Some(identity)).await;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&pem))
        .domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address)).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
    let mut client = Client::new(channel);
    client.handshake("alice", PASSWORD).await.unwrap();
    client.get_catalogs().await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_the_server() {
    let server = Running::start(|_| {}).await;
    let _client = server.logged_in("alice").await;
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
