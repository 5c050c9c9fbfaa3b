//! Credentials of the machine: profiles, environment variables, instance metadata and service accounts, used against an AWS
//! that checks them.

use std::path::Path;

use farthing_engine::port::{Ambient, AssumedRole, Credential};

use super::local_http::{Answer, Asked, LocalHttp};
use super::*;
use crate::HostEnvironment;

const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
  "Principal": {"AWS": "arn:aws:iam::012345678901:user/farthing"}, "Action": "sts:AssumeRole",
  "Condition": {"StringEquals": {"sts:ExternalId": "e-1"}}}]}"#;
const ROLE: &str = "arn:aws:iam::012345678901:role/reader";

/// A place with a user, whose key lies in a profile `base`, and a role that trusts it, in a profile `role`.
struct Host {
    place: Place,
    key: AccessKey,
    folder: TempDir,
}

impl Host {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let environment = profiles(folder.path());
        let place = Place::with(SandboxSpec::in_memory(), move |settings| AwsSettings {
            environment: environment.clone(),
            max_attempts: 1,
            ..settings
        })
        .await;
        let Credential::Inline(key) = place.user("farthing", LEAST) else {
            unreachable!()
        };
        place.sandbox.create_role(ACCOUNT, "reader", TRUST).unwrap();
        place.sandbox.put_role_policy(ACCOUNT, "reader", "p", LEAST).unwrap();
        place.deliver(BUCKET, "2026-07", "x1", "rows").await;
        let host = Self { place, key, folder };
        host.write(&host.key);
        host
    }

    fn write(&self, key: &AccessKey) {
        let text = format!(
            "[profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n\
             [profile role]\nrole_arn = {ROLE}\nexternal_id = e-1\nsource_profile = base\nrole_session_name = bills\n\
             [profile mute]\nrole_arn = {ROLE}\nsource_profile = base\n",
            key.access_key_id,
            key.secret_access_key.open()
        );
        std::fs::write(self.folder.path().join("config"), text).unwrap();
    }

    /// The key of a session of the role, as AWS hands them out to instances.
    async fn session(&self) -> AccessKey {
        let role = AssumedRole {
            arn: ROLE.to_owned(),
            external_id: "e-1".to_owned(),
        };
        let base = Box::new(Credential::Inline(self.key.clone()));
        let assumed = Credential::Assumed { role, base };
        self.place.connector.clients.access_key(&assumed).await.unwrap()
    }
}

fn profiles(folder: &Path) -> HostEnvironment {
    HostEnvironment::of([
        ("AWS_CONFIG_FILE", folder.join("config").display().to_string()),
        ("HOME", folder.display().to_string()),
    ])
}

fn ambient(text: &str) -> Credential {
    Credential::Ambient(text.parse().unwrap())
}

/// A connector of another machine with these variables, towards `endpoint`.
async fn elsewhere<const N: usize>(endpoint: url::Url, variables: [(&str, String); N]) -> (AwsConnector, TempDir) {
    let keys = TempDir::new().unwrap();
    let vault = KeyFileVault::open(Arc::new(InMemory::new()), &keys.path().join("key"))
        .await
        .unwrap();
    let settings = AwsSettings {
        environment: HostEnvironment::of(variables),
        max_attempts: 1,
        ..AwsSettings::new(Some(endpoint))
    };
    (AwsConnector::try_new(settings, Arc::new(vault)).unwrap(), keys)
}

#[tokio::test]
async fn a_profile_signs_in_and_reads() {
    let host = Host::new().await;
    let place = &host.place;
    let identity = place.connector.identify(&ambient("profile:base")).await.unwrap();
    assert_eq!(identity.arn, format!("arn:aws:iam::{ACCOUNT}:user/farthing"));
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/bills");
    place.sandbox.requests().clear();
    for _ in 0..3 {
        let identity = place.connector.identify(&ambient("profile:role")).await.unwrap();
        assert_eq!(identity.arn, session);
    }
    assert_eq!(place.sandbox.requests().count("AssumeRole"), 1, "the session is kept");
    for name in ["profile:base", "profile:role"] {
        let credential = ambient(name);
        assert_eq!(
            place
                .source
                .probe(&at(BUCKET), &credential)
                .await
                .unwrap()
                .periods
                .len(),
            1
        );
        let store = place.source.open(&at(BUCKET), &credential).await.unwrap();
        let read = store.get(&data_key("2026-07").into()).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), "rows");
    }
    assert!(place.vault.list().await.unwrap().is_empty(), "nothing is stored");

    let error = place.connector.identify(&ambient("profile:mute")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
    assert!(
        error
            .message()
            .starts_with(&format!("AWS refused sts:AssumeRole on {ROLE}")),
        "{error:?}"
    );
    let error = place.connector.identify(&ambient("profile:nobody")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
}

#[tokio::test]
async fn a_profile_assumes_a_connected_role() {
    let host = Host::new().await;
    let place = &host.place;
    let credential = Credential::Assumed {
        role: AssumedRole {
            arn: ROLE.to_owned(),
            external_id: "e-1".to_owned(),
        },
        base: Box::new(ambient("profile:base")),
    };
    place.sandbox.requests().clear();
    for _ in 0..2 {
        let identity = place.connector.identify(&credential).await.unwrap();
        assert_eq!(
            identity.arn,
            format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/farthing")
        );
    }
    assert_eq!(place.sandbox.requests().count("AssumeRole"), 1);
    let store = place.source.open(&at(BUCKET), &credential).await.unwrap();
    let read = store.get(&data_key("2026-07").into()).await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), "rows");
}

#[tokio::test]
async fn environment_variables_sign_in() {
    let host = Host::new().await;
    let key = &host.key;
    let secret = key.secret_access_key.open().to_owned();
    let endpoint = host.place.sandbox.endpoint();
    let (connector, _keys) = elsewhere(
        endpoint.clone(),
        [
            ("AWS_ACCESS_KEY_ID", key.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ],
    )
    .await;
    let identity = connector.identify(&ambient("chain:env")).await.unwrap();
    assert_eq!(identity.account.as_str(), ACCOUNT);

    let session = host.session().await;
    let (connector, _keys) = elsewhere(
        endpoint.clone(),
        [
            ("AWS_ACCESS_KEY_ID", session.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", session.secret_access_key.open().to_owned()),
            ("AWS_SESSION_TOKEN", session.session_token.unwrap().open().to_owned()),
        ],
    )
    .await;
    let identity = connector.identify(&ambient("chain:env")).await.unwrap();
    assert!(identity.arn.ends_with("assumed-role/reader/farthing"), "{identity:?}");

    host.place.sandbox.requests().clear();
    let (connector, _keys) = elsewhere(endpoint.clone(), []).await;
    for (name, words) in [
        ("chain:env", "AWS_ACCESS_KEY_ID"),
        ("chain:web_identity", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("profile:base", "no profile base"),
    ] {
        let error = connector.identify(&ambient(name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
        assert!(error.message().contains(words), "{error:?}");
    }
    let half = [
        ("AWS_ACCESS_KEY_ID", "not a key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-secret".to_owned()),
    ];
    let (connector, _keys) = elsewhere(endpoint, half).await;
    let error = connector.identify(&ambient("chain:env")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
    assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
    assert_eq!(host.place.sandbox.requests().all().len(), 0, "nothing was asked of AWS");
}

/// The metadata of an instance whose role has this session: IMDSv2, which wants its token with every request.
fn metadata(session: &AccessKey, expires: &str) -> impl Fn(&Asked) -> Answer + Send + Sync + use<> {
    let document = serde_json::json!({
        "Code": "Success", "LastUpdated": "2026-07-01T00:00:00Z", "Type": "AWS-HMAC",
        "AccessKeyId": session.access_key_id, "SecretAccessKey": session.secret_access_key.open(),
        "Token": session.session_token.as_ref().unwrap().open(), "Expiration": expires,
    })
    .to_string();
    move |asked| {
        let signed = asked.head.contains("x-aws-ec2-metadata-token: not-a-real-token");
        match (asked.method.as_str(), asked.path.as_str()) {
            ("PUT", "/latest/api/token") => (
                200,
                "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n",
                "not-a-real-token".to_owned(),
            ),
            ("GET", _) if !signed => (401, "", String::new()),
            ("GET", "/latest/meta-data/iam/security-credentials/") => (200, "", "reader".to_owned()),
            ("GET", "/latest/meta-data/iam/security-credentials/reader") => (200, "", document.clone()),
            _ => (404, "", String::new()),
        }
    }
}

#[tokio::test]
async fn an_instance_signs_in_with_its_role() {
    let host = Host::new().await;
    let session = host.session().await;
    // It is replaced five minutes before its end.
    for (minutes, askings) in [(60, 1), (4, 3)] {
        let expires = chrono::Utc::now() + TimeDelta::minutes(minutes);
        let expires = expires.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let imds = LocalHttp::start(metadata(&session, &expires)).await;
        let endpoint = host.place.sandbox.endpoint();
        let (connector, _keys) = elsewhere(endpoint, [("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url())]).await;
        assert_eq!(imds.asked().len(), 0, "nobody is asked before a connection names it");
        for _ in 0..3 {
            let identity = connector.identify(&ambient("chain:instance")).await.unwrap();
            assert!(identity.arn.ends_with("assumed-role/reader/farthing"), "{identity:?}");
        }
        let document = "/latest/meta-data/iam/security-credentials/reader";
        let read = imds.asked().iter().filter(|asked| asked.path == document).count();
        assert_eq!(read, askings, "{expires}: a key is kept as long as it lasts");
        let source = connector.export_source();
        let credential = ambient("chain:instance");
        assert_eq!(source.probe(&at(BUCKET), &credential).await.unwrap().periods.len(), 1);
        let store = source.open(&at(BUCKET), &credential).await.unwrap();
        let read = store.get(&data_key("2026-07").into()).await.unwrap();
        assert_eq!(read.bytes().await.unwrap(), "rows");
    }
}

#[tokio::test]
async fn a_machine_without_metadata_is_told() {
    let host = Host::new().await;
    let endpoint = host.place.sandbox.endpoint();
    let no_role = LocalHttp::start(|asked| match asked.method.as_str() {
        "PUT" => (
            200,
            "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n",
            "not-a-real-token".to_owned(),
        ),
        _ => (404, "", String::new()),
    })
    .await;
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", no_role.url())];
    let (connector, _keys) = elsewhere(endpoint.clone(), variables).await;
    let error = connector.identify(&ambient("chain:instance")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(error.hint().unwrap().contains("IMDSv2"), "{error:?}");
    // Nothing listens there any more.
    let gone = no_role.url();
    drop(no_role);
    let (connector, _keys) = elsewhere(endpoint, [("AWS_EC2_METADATA_SERVICE_ENDPOINT", gone)]).await;
    let error = connector.identify(&ambient("chain:instance")).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Missing | ErrorKind::AwsUnreachable),
        "{error:?}"
    );
    assert!(error.message().contains("instance metadata"), "{error:?}");
}

/// STS and nothing else. Which key signs the second call shows that the first one's answer was used.
fn security_tokens(expires: &str) -> impl Fn(&Asked) -> Answer + Send + Sync + use<> {
    let session = format!(
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>ASIAFARTHINGEXAMPLE3</AccessKeyId><SecretAccessKey>not-a-real-secret</SecretAccessKey>\
         <SessionToken>not-a-real-token</SessionToken><Expiration>{expires}</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    move |asked| {
        let signed = asked.head.contains("authorization:");
        let field = |wanted: &str| asked.body.split('&').any(|field| field == wanted);
        if field("Action=AssumeRoleWithWebIdentity") && !signed {
            if field("WebIdentityToken=not-a-real-token") {
                return (200, "", session.clone());
            }
            let error = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code>\
                         <Message>Missing a claim</Message></Error><RequestId>r-1</RequestId></ErrorResponse>";
            return (400, "", error.to_owned());
        }
        if field("Action=GetCallerIdentity") && asked.head.contains("credential=asiafarthingexample3/") {
            let identity = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
                            <Arn>arn:aws:sts::012345678901:assumed-role/pod/x</Arn><UserId>x</UserId>\
                            <Account>012345678901</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
            return (200, "", identity.to_owned());
        }
        (403, "", String::new())
    }
}

fn service_account(token: &Path) -> [(&'static str, String); 3] {
    [
        ("AWS_ROLE_ARN", "arn:aws:iam::012345678901:role/pod".to_owned()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        ("AWS_ROLE_SESSION_NAME", "pod-1".to_owned()),
    ]
}

#[tokio::test]
async fn a_service_account_signs_in_with_its_token() {
    let sts = LocalHttp::start(security_tokens("2100-01-01T00:00:00Z")).await;
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    let (connector, _keys) = elsewhere(sts.url().parse().unwrap(), service_account(&token)).await;
    let credential = Credential::Ambient(Ambient::WebIdentity);
    let error = connector.identify(&credential).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(error.message().contains("cannot be read"), "{error:?}");
    std::fs::write(&token, "another").unwrap();
    let error = connector.identify(&credential).await.unwrap_err();
    assert!(error.message().contains("Missing a claim"), "{error:?}");
    assert!(error.message().contains("sts:AssumeRoleWithWebIdentity"), "{error:?}");
    std::fs::write(&token, "not-a-real-token\n").unwrap();
    for _ in 0..2 {
        let identity = connector.identify(&credential).await.unwrap();
        assert_eq!(identity.account.as_str(), ACCOUNT);
    }
    let asked = sts.asked();
    let assumed = asked
        .iter()
        .filter(|asked| asked.body.contains("AssumeRoleWithWebIdentity"));
    assert_eq!(assumed.count(), 2);
    assert!(asked[1].body.contains("RoleSessionName=pod-1"), "{:?}", asked[1].body);
}

#[tokio::test]
async fn a_key_that_ended_while_a_store_is_open_is_told_as_such() {
    let soon = chrono::Utc::now() + TimeDelta::minutes(4);
    let soon = soon.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let sts = LocalHttp::start(security_tokens(&soon)).await;
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "not-a-real-token").unwrap();
    let (connector, _keys) = elsewhere(sts.url().parse().unwrap(), service_account(&token)).await;
    let source = connector.export_source();
    let store = source
        .open(&at(BUCKET), &Credential::Ambient(Ambient::WebIdentity))
        .await
        .unwrap();
    std::fs::remove_file(&token).unwrap();
    let error = store.get(&data_key("2026-07").into()).await.unwrap_err();
    let error = engine_error(&error);
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(error.message().contains("web identity token"), "{error:?}");
}

#[tokio::test]
async fn a_container_without_an_endpoint_is_told() {
    let host = Host::new().await;
    let credential = Credential::Ambient(Ambient::Container);
    let error = host.place.connector.identify(&credential).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(
        error.hint().unwrap().contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        "{error:?}"
    );
}

/// Says to the child where AWS is.
const CHILD: &str = "FARTHING_TEST_CONTAINER_ENDPOINT";

/// The SDK reads the container's variables from its process, so the test runs itself again in one that has them.
#[tokio::test]
async fn a_container_signs_in_with_its_role() {
    if let Ok(endpoint) = std::env::var(CHILD) {
        let (connector, _keys) = elsewhere(endpoint.parse().unwrap(), []).await;
        let identity = connector.identify(&ambient("chain:container")).await.unwrap();
        assert!(identity.arn.ends_with("assumed-role/reader/farthing"), "{identity:?}");
        return;
    }
    let host = Host::new().await;
    let session = host.session().await;
    let document = serde_json::json!({
        "AccessKeyId": session.access_key_id, "SecretAccessKey": session.secret_access_key.open(),
        "Token": session.session_token.as_ref().unwrap().open(), "Expiration": "2100-01-01T00:00:00Z",
    })
    .to_string();
    let pod = LocalHttp::start(move |asked| {
        match asked.path == "/v1/credentials" && asked.head.contains("authorization: not-a-real-token") {
            true => (200, "content-type: application/json\r\n", document.clone()),
            false => (403, "", String::new()),
        }
    })
    .await;
    let status = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "conformance_tests::ambient::a_container_signs_in_with_its_role",
            "--exact",
            "--test-threads=1",
        ])
        .env(CHILD, host.place.sandbox.endpoint().as_str())
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/v1/credentials", pod.url()),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not-a-real-token")
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    assert_eq!(pod.asked().len(), 1);
}
