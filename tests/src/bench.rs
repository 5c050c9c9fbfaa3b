//! A whole node over a temporary data directory, pointed at a sandbox, with both servers on free ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use farthing_engine::catalog::Change;
use farthing_engine::id::AccountId;
use farthing_engine::principal::{Grant, Login, Principal, Role};
use farthing_engine::secret::SecretString;
use farthing_server::auth::Authenticator;
use farthing_server::auth::verifier::make_verifier;
use farthing_server::config::{Config, Machine};
use farthing_server::flight::{FlightSettings, Logins};
use farthing_server::pg::PgSettings;
use farthing_server::runtime::Runtimes;
use farthing_server::wiring::Node;
use farthing_server::{flight, pg};
use farthing_sql::Frontend;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::flight::FlightSql;
use crate::client::in_process::InProcess;
use crate::client::postgres::Postgres;
use crate::client::{Client, Way};
use crate::cloud::Cloud;
use crate::log;

/// The login that may do everything.
pub const ADMIN: &str = "admin";
/// Every login's password.
pub const PASSWORD: &str = "not-a-real-secret";

/// How long a test may take. Nothing here takes a fraction of it; a test that hangs must fail all the same.
const TEST_LIMIT: Duration = Duration::from_secs(300);

/// An engine over a data directory, with both servers.
pub struct Site {
    /// The data directory; removed at the end.
    pub folder: TempDir,
    /// The configuration.
    pub config: Config,
    /// The node.
    pub node: Node,
    /// Where PostgreSQL clients connect.
    pub pg: SocketAddr,
    /// Where Flight SQL clients connect.
    pub flight: SocketAddr,
    stop: CancellationToken,
    servers: Vec<JoinHandle<farthing_engine::Result<()>>>,
}

/// The configuration of a node in a folder, towards an endpoint.
pub fn config(folder: PathBuf, endpoint: Option<url::Url>) -> Config {
    let mut config = Config::defaults(Machine::detect());
    config.data_dir = folder;
    config.aws_endpoint_url = endpoint;
    config.listen_pg = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listen_flight = config.listen_pg;
    // Deliveries are looked for when a test says so.
    config.refresh_interval = Duration::from_secs(3600);
    config.shutdown_grace = Duration::from_millis(200);
    config
}

impl Site {
    /// Opens a node in a new folder, makes the administrator, and starts both servers.
    pub async fn open(endpoint: Option<url::Url>, runtimes: &Runtimes, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::Builder::new().prefix("farthing-it-").tempdir().unwrap();
        let mut config = config(folder.path().join("data"), endpoint);
        change(&mut config);
        let node = Node::open(&config, runtimes).await.unwrap();
        let (stop, frontend) = (CancellationToken::new(), node.frontend());
        let authenticator = Arc::new(Authenticator::try_new(frontend.clone()).unwrap());
        let pg_listener = TcpListener::bind(config.listen_pg).await.unwrap();
        let flight_listener = TcpListener::bind(config.listen_flight).await.unwrap();
        let (pg, flight) = (pg_listener.local_addr().unwrap(), flight_listener.local_addr().unwrap());
        let mut pg_settings = PgSettings::new(Arc::clone(&authenticator));
        pg_settings.drain_timeout = config.shutdown_grace;
        let mut flight_settings = FlightSettings::default();
        flight_settings.limits.drain = config.shutdown_grace;
        let logins = Arc::new(SharedLogins {
            authenticator,
            frontend: frontend.clone(),
        });
        let servers = vec![
            runtimes
                .io()
                .spawn(pg::serve(pg_listener, frontend.clone(), pg_settings, stop.clone())),
            runtimes.io().spawn(flight::serve(
                flight_listener,
                frontend,
                logins,
                flight_settings,
                stop.clone(),
            )),
        ];
        let site = Self {
            folder,
            config,
            node,
            pg,
            flight,
            stop,
            servers,
        };
        site.put_login(ADMIN, Role::Admin, Grant::AllConnected).await;
        site
    }

    /// Makes a login, or changes it.
    pub async fn put_login(&self, name: &str, role: Role, grant: Grant) {
        let login = Login {
            name: name.to_owned(),
            role,
            grant,
            verifier: make_verifier(&SecretString::new(PASSWORD)).unwrap(),
        };
        self.node.catalog().publish(&[Change::PutLogin(login)]).await.unwrap();
    }

    /// A client of `user` through one way in.
    pub async fn client(&self, way: Way, user: &str) -> Box<dyn Client> {
        match way {
            Way::InProcess => Box::new(self.in_process(user)),
            Way::PostgresSimple => Box::new(self.postgres(user, false).await),
            Way::PostgresExtended => Box::new(self.postgres(user, true).await),
            Way::FlightSql => Box::new(self.flight_sql(user).await),
        }
    }

    /// The administrator in process.
    pub fn admin(&self) -> InProcess {
        self.in_process(ADMIN)
    }

    /// A user in process.
    pub fn in_process(&self, user: &str) -> InProcess {
        let login = self.node.frontend().login(user).unwrap();
        InProcess::open(self.node.frontend(), login.principal())
    }

    /// A PostgreSQL client.
    pub async fn postgres(&self, user: &str, extended: bool) -> Postgres {
        Postgres::connect(self.pg, user, PASSWORD, extended).await.unwrap()
    }

    /// A Flight SQL client.
    pub async fn flight_sql(&self, user: &str) -> FlightSql {
        FlightSql::connect(self.flight, user, PASSWORD).await.unwrap()
    }

    /// Stops the servers and the node.
    pub async fn close(mut self) {
        self.stop.cancel();
        for server in self.servers.drain(..) {
            server.await.unwrap().unwrap();
        }
        self.node.close().await;
    }
}

/// A grant of some accounts.
pub fn grant_of<'a>(accounts: impl IntoIterator<Item = &'a String>) -> Grant {
    let ids: BTreeSet<AccountId> = accounts.into_iter().map(|id| id.parse().unwrap()).collect();
    Grant::Accounts(ids)
}

/// A principal that is not stored.
pub fn principal(name: &str, role: Role, grant: Grant) -> Principal {
    Principal {
        name: name.to_owned(),
        role,
        grant,
    }
}

struct SharedLogins {
    authenticator: Arc<Authenticator>,
    frontend: Frontend,
}

#[async_trait]
impl Logins for SharedLogins {
    fn find(&self, name: &str) -> Option<Login> {
        self.frontend.login(name)
    }

    async fn check_password(
        &self,
        name: &str,
        password: SecretString,
        address: Option<IpAddr>,
    ) -> farthing_engine::Result<()> {
        self.authenticator
            .check_password(name, password, address)
            .await
            .map(drop)
    }
}

/// A sandbox and a node that is pointed at it.
pub struct Bench {
    /// AWS.
    pub cloud: Cloud,
    /// Farthing.
    pub site: Site,
}

impl Bench {
    /// Connects the payer and some linked accounts, as the administrator.
    pub async fn connect(&self, linked: &[String]) {
        let mut admin = self.site.admin();
        admin.run(&self.cloud.connect_root()).await.unwrap();
        for account in linked {
            admin.run(&self.cloud.connect_linked(account)).await.unwrap();
        }
    }

    /// One statement of the administrator, in process.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn ask(&self, sql: &str) -> crate::client::Answer {
        match self.site.admin().run(sql).await {
            Ok(answer) => answer,
            Err(refusal) => panic!("{sql}\n{refusal}"),
        }
    }

    /// Why a statement of the administrator is refused.
    ///
    /// # Panics
    /// If it is not.
    pub async fn refused(&self, sql: &str) -> crate::client::Refusal {
        match self.site.admin().run(sql).await {
            Ok(answer) => panic!("{sql}\nis not refused but gives\n{}", answer.text()),
            Err(refusal) => refusal,
        }
    }
}

/// What a test starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The bucket is empty.
    NothingDelivered,
    /// Every month is delivered, nothing is connected.
    Delivered,
    /// The payer and every linked account are connected.
    AllConnected,
}

/// Runs a test against a fresh bench, on runtimes of its own.
pub fn run(start: Start, test: impl AsyncFnOnce(&Bench)) {
    run_with(start, |_| {}, test);
}

/// The same with another configuration of the node.
pub fn run_with(start: Start, change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Bench)) {
    on_runtimes(async |runtimes| {
        let cloud = match start {
            Start::NothingDelivered => Cloud::empty().await,
            Start::Delivered | Start::AllConnected => Cloud::delivered().await,
        };
        let site = Site::open(Some(cloud.sandbox.endpoint()), runtimes, change).await;
        let bench = Bench { cloud, site };
        if start == Start::AllConnected {
            bench.connect(&bench.cloud.sample.linked()).await;
        }
        test(&bench).await;
        bench.site.close().await;
        bench.cloud.sandbox.shutdown().await;
    });
}

/// Runs something on runtimes of its own, for at most the time that a test may take.
pub fn on_runtimes(test: impl AsyncFnOnce(&Runtimes)) {
    log::start();
    let runtimes = Runtimes::try_new(2).unwrap();
    let done = runtimes.block_on(async { tokio::time::timeout(TEST_LIMIT, test(&runtimes)).await });
    runtimes.shutdown(Duration::from_secs(2));
    if done.is_err() {
        let warnings = log::seen(|seen| seen.warnings.iter().cloned().collect::<String>());
        panic!("the test did not end within {TEST_LIMIT:?}; the newest warnings:\n{warnings}");
    }
}
