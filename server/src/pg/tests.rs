#![allow(clippy::unwrap_used)]
// The private keys of certificates that exist for one test.
#![allow(clippy::disallowed_methods)]

mod client;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use farthing_engine::principal::{Grant, Login, Role};
use farthing_engine::secret::SecretString;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use self::client::{RawClient, field, packet};
use super::wire::tests::message;
use super::*;
use crate::auth::verifier::make_verifier;
use crate::fixture::frontend;
use crate::tls::make_self_signed;

const PASSWORD: &str = "not-a-real-secret";
const SSL_REQUEST: [u8; 4] = 80_877_103u32.to_be_bytes();
const ALICE: &[(&str, &str)] = &[("user", "alice"), ("database", "farthing")];

fn settings() -> PgSettings {
    let verifier = make_verifier(&SecretString::new(PASSWORD)).unwrap();
    let lookup = move |name: &str| {
        (name == "alice").then(|| Login {
            name: name.to_owned(),
            role: Role::Reader,
            grant: Grant::AllConnected,
            verifier: verifier.clone(),
        })
    };
    PgSettings::new(Arc::new(Authenticator::over(Box::new(lookup)).unwrap()))
}

struct Listening {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<()>>,
}

async fn listen(settings: PgSettings) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let (frontend, folder) = frontend().await;
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move {
        let _folder = folder;
        serve(listener, frontend, settings, stop).await
    });
    Listening {
        address,
        shutdown,
        serving,
    }
}

impl Listening {
    async fn raw(&self) -> RawClient {
        RawClient::new(TcpStream::connect(self.address).await.unwrap())
    }

    async fn logged_in(&self) -> RawClient {
        let mut client = self.raw().await;
        client.login(ALICE, PASSWORD, None).await.unwrap();
        client
    }

    async fn driver(&self, user: &str, password: &str, database: &str) -> Result<tokio_postgres::Client, String> {
        let connected = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(self.address.port())
            .user(user)
            .password(password)
            .dbname(database)
            .connect(tokio_postgres::NoTls)
            .await;
        match connected {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                Ok(client)
            }
            Err(error) => Err(error.as_db_error().map_or(error.to_string(), |error| {
                format!("{} {}", error.code().code(), error.message())
            })),
        }
    }
}

#[tokio::test]
async fn a_driver_logs_in_with_the_right_password_only() {
    let server = listen(settings()).await;
    for database in ["farthing", "alice"] {
        assert!(server.driver("alice", PASSWORD, database).await.is_ok());
    }
    let refused = |result: Result<tokio_postgres::Client, String>| result.err().unwrap();
    assert_eq!(
        refused(server.driver("alice", "wrong", "farthing").await),
        "28P01 password authentication failed for user \"alice\""
    );
    assert_eq!(
        refused(server.driver("bob", PASSWORD, "farthing").await),
        "28P01 password authentication failed for user \"bob\""
    );
    assert_eq!(
        refused(server.driver("alice", PASSWORD, "postgres").await),
        "3D000 database \"postgres\" does not exist"
    );
}

#[tokio::test]
async fn the_start_tells_what_clients_ask_for() {
    let server = listen(settings()).await;
    let client = server.logged_in().await;
    let value = |name: &str| {
        let found = client.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
    };
    assert!(value("server_version").starts_with("16."));
    for (name, expected) in [
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("IntervalStyle", "postgres"),
        ("session_authorization", "alice"),
        ("in_hot_standby", "off"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert_eq!(client.key.len(), 8);
}

#[tokio::test]
async fn more_connections_than_the_limit_are_refused_and_room_is_given_back() {
    let server = listen(PgSettings {
        max_connections: 1,
        ..settings()
    })
    .await;
    let first = server.logged_in().await;
    let mut second = server.raw().await;
    assert_eq!(second.login(ALICE, PASSWORD, None).await, Err("53300".to_owned()));
    drop(first);
    for _ in 0..100 {
        if server.raw().await.login(ALICE, PASSWORD, None).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("a closed connection still counts");
}

fn certificate() -> (ServerTls, TlsConnector) {
    let (chain, key) = make_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = ServerTls::from_pem(chain.as_bytes(), key.open().as_bytes()).unwrap();
    (tls, TlsConnector::from(Arc::new(config)))
}

async fn encrypted(server: &Listening, connector: &TlsConnector) -> RawClient {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(&packet(&SSL_REQUEST)).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    RawClient::new(connector.connect(name, socket).await.unwrap())
}

#[tokio::test]
async fn tls_can_be_required_and_binds_the_login_to_the_connection() {
    let (tls, connector) = certificate();
    let end_point = tls.end_point().unwrap().to_vec();
    let server = listen(PgSettings {
        tls: Some(tls),
        tls_use: TlsUse::Required,
        ..settings()
    })
    .await;
    let mut plain = server.raw().await;
    assert_eq!(plain.login(ALICE, PASSWORD, None).await, Err("28000".to_owned()));

    let mut client = encrypted(&server, &connector).await;
    assert_eq!(client.login(ALICE, PASSWORD, Some(&end_point)).await, Ok(()));
    let mut client = encrypted(&server, &connector).await;
    assert_eq!(client.login(ALICE, PASSWORD, None).await, Ok(()));
    // Somebody in the middle has another certificate.
    let mut client = encrypted(&server, &connector).await;
    assert_eq!(
        client.login(ALICE, PASSWORD, Some(&[0; 32])).await,
        Err("08P01".to_owned())
    );
}

#[tokio::test]
async fn plain_text_sent_ahead_of_tls_is_not_taken_for_encrypted() {
    let (tls, _) = certificate();
    let server = listen(PgSettings {
        tls: Some(tls),
        ..settings()
    })
    .await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let injected = packet(b"\0\x03\0\0user\0alice\0\0");
    socket
        .write_all(&[packet(&SSL_REQUEST), injected].concat())
        .await
        .unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'S');
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    // A TLS alert at most, never a message of the protocol.
    assert!(rest.first().is_none_or(|byte| *byte == 0x15), "{rest:?}");
}

#[tokio::test]
async fn encryption_that_is_not_there_is_declined_and_the_client_may_go_on() {
    let server = listen(settings()).await;
    let mut client = server.raw().await;
    for request in [80_877_104u32.to_be_bytes(), SSL_REQUEST] {
        client.send(&packet(&request)).await;
        assert_eq!(client.stream.read_u8().await.unwrap(), b'N');
    }
    assert_eq!(client.login(ALICE, PASSWORD, None).await, Ok(()));
}

#[tokio::test]
async fn whoever_does_not_log_in_in_time_is_dropped() {
    let server = listen(PgSettings {
        startup_timeout: Duration::from_millis(100),
        ..settings()
    })
    .await;
    let mut silent = server.raw().await;
    let mut slow = server.raw().await;
    slow.send(&packet(b"\0\x03\0\0user\0alice\0\0")).await;
    assert_eq!(slow.receive().await.0, 'R');
    assert!(silent.is_closed().await && slow.is_closed().await);
}

#[tokio::test]
async fn malformed_openings_are_refused() {
    let server = listen(settings()).await;
    let check = async |bytes: &[u8], code: &str| {
        let mut client = server.raw().await;
        client.send(bytes).await;
        let (kind, body) = client.receive().await;
        assert_eq!((kind, field(&body, 'C').as_str()), ('E', code));
        assert_eq!(field(&body, 'S'), "FATAL");
        assert!(client.is_closed().await);
    };
    check(b"GET / HTTP/1.1\r\n\r\n", "08P01").await;
    check(&packet(b"\0\x02\0\0user\0alice\0\0"), "0A000").await;
    check(&packet(b"\0\x03\0\0\0"), "28000").await;
    check(&packet(b"\0\x03\0\0user\0a\0replication\0true\0\0"), "0A000").await;
}

#[tokio::test]
async fn a_newer_protocol_is_negotiated_down() {
    let server = listen(settings()).await;
    let mut client = server.raw().await;
    client
        .send(&packet(b"\0\x03\x27\x0fuser\0alice\0_pq_.test\0\x31\0\0"))
        .await;
    let (kind, body) = client.receive().await;
    assert_eq!(kind, 'v');
    assert_eq!(&body[..8], &[0, 3, 0, 2, 0, 0, 0, 1]);
    assert_eq!(client.receive().await.0, 'R');
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_skipped() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    let execute = message(b'E', b"missing\0\0\0\0\0");
    let describe = message(b'D', b"Smissing\0");
    let sync = message(b'S', b"");
    client
        .send(&[execute.clone(), describe.clone(), execute, sync.clone()].concat())
        .await;
    assert_eq!(client.round().await, ["E 34000", "ZI"]);
    client.send(&[describe, sync.clone()].concat()).await;
    assert_eq!(client.round().await, ["E 26000", "ZI"]);
    client
        .send(&[message(b'C', b"Pmissing\0"), message(b'H', b""), sync].concat())
        .await;
    assert_eq!(client.round().await, ["3", "ZI"]);
    // Left-overs of COPY are ignored; a function call is an error of its own round.
    client
        .send(&[message(b'c', b""), message(b'F', b"\0\0\0\0")].concat())
        .await;
    assert_eq!(client.round().await, ["E 0A000", "ZI"]);
    client.send(&message(b'Q', b"\xff\0")).await;
    assert_eq!(client.round().await, ["E 22021", "ZI"]);
    client.send(&message(b'?', b"")).await;
    let (kind, body) = client.receive().await;
    assert_eq!((kind, field(&body, 'C').as_str()), ('E', "08P01"));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn stopping_tells_idle_clients_and_closes_them() {
    let server = listen(settings()).await;
    let mut client = server.logged_in().await;
    server.shutdown.cancel();
    let (kind, body) = client.receive().await;
    assert_eq!((kind, field(&body, 'C').as_str()), ('E', "57P01"));
    assert!(client.is_closed().await);
    tokio::time::timeout(Duration::from_secs(10), server.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn settings_that_cannot_be_secured_do_not_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = PgSettings {
        tls_use: TlsUse::Required,
        ..settings()
    };
    let (frontend, _folder) = frontend().await;
    let error = serve(listener, frontend, settings, CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadValue);
}

#[test]
fn only_loopback_may_speak_in_plain_text() {
    let check = |address: &str, certificate, wanted, expected: Option<TlsUse>| {
        let got = allowed_tls_use(address.parse().unwrap(), certificate, wanted);
        assert_eq!(
            got.as_ref().ok(),
            expected.as_ref(),
            "{address} {certificate} {wanted:?}"
        );
        if let Err(error) = got {
            assert!(error.hint().is_some());
        }
    };
    check("127.0.0.1:5432", false, TlsUse::Offered, Some(TlsUse::Offered));
    check("[::1]:5432", false, TlsUse::Offered, Some(TlsUse::Offered));
    check("127.0.0.1:5432", true, TlsUse::Offered, Some(TlsUse::Offered));
    check("127.0.0.1:5432", true, TlsUse::Required, Some(TlsUse::Required));
    check("127.0.0.1:5432", false, TlsUse::Required, None);
    check("0.0.0.0:5432", false, TlsUse::Offered, None);
    check("[::]:5432", false, TlsUse::Offered, None);
    check("192.0.2.1:5432", false, TlsUse::Required, None);
    check("192.0.2.1:5432", true, TlsUse::Offered, Some(TlsUse::Required));
}
