#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::auth::verifier::verify_password;
use crate::config::Machine;

fn config(folder: &Path) -> Config {
    let mut config = Config::defaults(Machine {
        cores: 2,
        memory: 1 << 30,
    });
    config.data_dir = folder.join("data");
    config
}

/// Path, mode and content of every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            found.insert(path.clone(), (mode, std::fs::read(&path).unwrap()));
        }
    }
    found
}

async fn logins(config: &Config) -> BTreeMap<String, Login> {
    let catalog = Catalog::open(open_state_store(config).unwrap(), Arc::new(SystemClock))
        .await
        .unwrap();
    catalog.lease().document.logins.clone()
}

#[tokio::test]
async fn makes_what_is_missing_for_the_owner_alone_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let first = set_up(
        &config,
        "admin",
        PasswordSource::Generated,
        false,
        &["db.example.com".to_owned()],
    )
    .await
    .unwrap();
    assert!(first.objects.iter().all(|(made, _)| *made == Made::Created));
    assert_eq!(
        std::fs::metadata(&config.data_dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let before = files(&config.data_dir);
    for name in ["master.key", "server.crt", "server.key"] {
        assert_eq!(before[&config.data_dir.join(name)].0, 0o600, "{name}");
    }
    let password = first.password.unwrap();
    assert!(password.open().len() == 24);
    let known = logins(&config).await;
    assert_eq!(known["admin"].role, Role::Admin);
    assert!(verify_password(&known["admin"].verifier, &password));
    // No file holds the password in clear.
    for (path, (_, bytes)) in &before {
        let held = bytes.windows(24).any(|window| window == password.open().as_bytes());
        assert!(!held, "{}", path.display());
    }

    let second = set_up(&config, "admin", PasswordSource::Generated, false, &[])
        .await
        .unwrap();
    assert!(second.objects.iter().all(|(made, _)| *made == Made::Kept));
    assert!(second.password.is_none());
    assert_eq!(files(&config.data_dir), before);
}

#[tokio::test]
async fn a_password_changes_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let given = |text: &str| PasswordSource::Given(SecretString::new(text));
    set_up(&config, "root", given("not-a-real-secret"), false, &[])
        .await
        .unwrap();
    let Err(error) = set_up(&config, "root", given("not-a-real-secret-2"), false, &[]).await else {
        panic!("an existing login got a new password");
    };
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    let verifier = logins(&config).await["root"].verifier.clone();
    assert!(verify_password(&verifier, &SecretString::new("not-a-real-secret")));
    set_up(&config, "root", given("not-a-real-secret-2"), true, &[])
        .await
        .unwrap();
    let verifier = logins(&config).await["root"].verifier.clone();
    assert!(verify_password(&verifier, &SecretString::new("not-a-real-secret-2")));
}

#[tokio::test]
async fn bad_names_passwords_and_open_folders_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let given = |text: &str| PasswordSource::Given(SecretString::new(text));
    for (name, password) in [
        ("", "not-a-real-secret"),
        ("a b", "not-a-real-secret"),
        ("admin", "short"),
    ] {
        let error = set_up(&config, name, given(password), false, &[]).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{error:?}");
        assert!(!format!("{error:?}").contains(password), "{error:?}");
    }
    std::fs::set_permissions(&config.data_dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = set_up(&config, "admin", PasswordSource::Generated, false, &[])
        .await
        .err()
        .unwrap();
    assert!(error.hint().unwrap().contains("chmod 700"), "{error:?}");
}

#[test]
fn generated_passwords_differ() {
    let (a, b) = (generate_password().unwrap(), generate_password().unwrap());
    assert!(a.open() != b.open());
    assert!(a.open().bytes().all(|byte| PASSWORD_LETTERS.contains(&byte)));
}
