#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use farthing_engine::error::ErrorKind;
use tempfile::TempDir;

use super::profile::{Base, Chain, read};
use super::*;

const CONFIG: &str = "
[default]
region = eu-west-1
[profile static]
aws_access_key_id = AKIAFARTHINGEXAMPLE1
aws_secret_access_key = not-a-real-secret
[profile role]
role_arn = arn:aws:iam::111122223333:role/reader
external_id = e-1
role_session_name = bills
source_profile = middle
[profile middle]
role_arn = arn:aws:iam::111122223333:role/middle
source_profile = shared
[profile itself]
role_arn = arn:aws:iam::111122223333:role/reader
source_profile = itself
aws_access_key_id = AKIAFARTHINGEXAMPLE1
aws_secret_access_key = not-a-real-secret
[profile instance]
role_arn = arn:aws:iam::111122223333:role/reader
credential_source = Ec2InstanceMetadata
[profile pod]
role_arn = arn:aws:iam::111122223333:role/pod
web_identity_token_file = /var/run/token
[profile half]
aws_access_key_id = AKIAFARTHINGEXAMPLE1
[profile a]
role_arn = arn:aws:iam::111122223333:role/a
source_profile = b
[profile b]
role_arn = arn:aws:iam::111122223333:role/b
source_profile = a
[profile lost]
role_arn = arn:aws:iam::111122223333:role/a
source_profile = nowhere
[profile alone]
role_arn = arn:aws:iam::111122223333:role/a
[profile both]
role_arn = arn:aws:iam::111122223333:role/a
source_profile = static
credential_source = Environment
[profile odd]
credential_source = Moon
[profile process]
credential_process = /opt/keys --secret not-a-real-secret
[profile sso]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = reader
[profile old-sso]
sso_start_url = https://example.com/start
[profile behind-sso]
role_arn = arn:aws:iam::111122223333:role/a
source_profile = sso
[profile login]
login_session = arn:aws:iam::111122223333:user/x
[profile mfa]
role_arn = arn:aws:iam::111122223333:role/a
source_profile = static
mfa_serial = arn:aws:iam::111122223333:mfa/x
[sso-session corp]
sso_region = us-east-1
sso_start_url = https://example.com/start
";
const CREDENTIALS: &str = "
[shared]
aws_access_key_id = ASIAFARTHINGEXAMPLE2
aws_secret_access_key = not-a-real-secret
aws_session_token = not-a-real-token
";

fn host(folder: &Path) -> HostEnvironment {
    HostEnvironment::of([
        ("AWS_CONFIG_FILE", folder.join("config").display().to_string()),
        (
            "AWS_SHARED_CREDENTIALS_FILE",
            folder.join("credentials").display().to_string(),
        ),
    ])
}

async fn chain(name: &str) -> Result<Chain> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config"), CONFIG).unwrap();
    std::fs::write(folder.path().join("credentials"), CREDENTIALS).unwrap();
    read(&host(folder.path()), name).await
}

#[tokio::test]
async fn a_profile_comes_down_to_a_key_and_roles() {
    let found = chain("static").await.unwrap();
    assert!(matches!(&found.base, Base::Key(key) if key.access_key_id == "AKIAFARTHINGEXAMPLE1"));
    assert_eq!(found.roles, []);

    let found = chain("role").await.unwrap();
    let Base::Key(key) = &found.base else {
        panic!("{found:?}")
    };
    assert_eq!(key.access_key_id, "ASIAFARTHINGEXAMPLE2");
    assert_eq!(key.session_token.as_ref().unwrap().open(), "not-a-real-token");
    let [middle, reader] = found.roles.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(middle.arn, "arn:aws:iam::111122223333:role/middle");
    assert_eq!(
        (middle.external_id.as_deref(), middle.session_name.as_deref()),
        (None, None)
    );
    assert_eq!(reader.arn, "arn:aws:iam::111122223333:role/reader");
    assert_eq!(reader.external_id.as_deref(), Some("e-1"));
    assert_eq!(reader.session_name.as_deref(), Some("bills"));
    assert!(!format!("{found:?}").contains("not-a-real"), "{found:?}");

    let found = chain("itself").await.unwrap();
    assert!(matches!(found.base, Base::Key(_)));
    assert_eq!(found.roles.len(), 1);
    let found = chain("instance").await.unwrap();
    assert!(matches!(found.base, Base::Source(Ambient::Instance)));
    assert_eq!(found.roles.len(), 1);
    let found = chain("pod").await.unwrap();
    assert!(matches!(&found.base, Base::WebIdentity { role, file, .. }
        if role.ends_with("role/pod") && file == "/var/run/token"));
    assert_eq!(found.roles, []);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    for (name, kind, words) in [
        ("nobody", ErrorKind::Missing, "have no profile nobody"),
        (
            "lost",
            ErrorKind::Missing,
            "no profile nowhere, which profile lost names",
        ),
        ("default", ErrorKind::BadCredentials, "it has no credentials"),
        ("half", ErrorKind::BadCredentials, "without aws_secret_access_key"),
        ("a", ErrorKind::BadCredentials, "comes back to a"),
        ("alone", ErrorKind::BadCredentials, "without source_profile"),
        (
            "both",
            ErrorKind::BadCredentials,
            "both source_profile and credential_source",
        ),
        ("odd", ErrorKind::BadCredentials, "its credential_source"),
        ("process", ErrorKind::Unsupported, "credential_process"),
        ("sso", ErrorKind::Unsupported, "sso_session"),
        (
            "behind-sso",
            ErrorKind::Unsupported,
            "the profile sso signs in with sso_session",
        ),
        ("old-sso", ErrorKind::Unsupported, "sso_start_url"),
        ("login", ErrorKind::Unsupported, "login_session"),
        ("mfa", ErrorKind::Unsupported, "mfa_serial"),
    ] {
        let error = chain(name).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert!(error.message().contains(words), "{name}: {error:?}");
        assert!(!error.hint().unwrap_or_default().is_empty(), "{name}");
        assert!(!format!("{error:?}").contains("not-a-real"), "{name}: {error:?}");
    }
    let error = chain("nobody").await.unwrap_err();
    assert!(error.hint().unwrap().contains("middle"), "{error:?}");
}

#[tokio::test]
async fn files_that_are_broken_or_missing_are_told_without_their_text() {
    let folder = TempDir::new().unwrap();
    let error = read(&host(folder.path()), "billing").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
    assert!(error.hint().unwrap().contains("None was found"), "{error:?}");
    std::fs::write(
        folder.path().join("config"),
        "[profile billing\naws_secret_access_key = not-a-real-secret\n",
    )
    .unwrap();
    let error = read(&host(folder.path()), "billing").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials, "{error:?}");
    assert!(error.message().contains("config on line 1: Profile"), "{error:?}");
    assert!(!format!("{error:?}").contains("not-a-real"), "{error:?}");
}
