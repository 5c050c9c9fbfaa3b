#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use tempfile::TempDir;

use super::*;

const CANARY: &str = "not-a-real-secret-canary-7c1f";

struct Place {
    folder: TempDir,
    vault: KeyFileVault,
}

impl Place {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let vault = Self::reopen(&folder).await.unwrap();
        Self { folder, vault }
    }

    async fn reopen(folder: &TempDir) -> Result<KeyFileVault> {
        let store = LocalFileSystem::new_with_prefix(folder.path().join("state")).unwrap();
        KeyFileVault::open(Arc::new(store), &folder.path().join("keys/master.key")).await
    }

    fn document(&self, name: &str, version: u32) -> std::path::PathBuf {
        self.folder.path().join(format!("state/vault/{name}/{version}.json"))
    }

    fn key_file(&self) -> std::path::PathBuf {
        self.folder.path().join("keys/master.key")
    }
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text)
}

fn files_below(folder: &FilePath, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn secrets_come_back_by_version_also_after_a_restart() {
    let place = Place::new().await;
    let first = place.vault.put("aws/012345678901", &secret("one")).await.unwrap();
    let second = place.vault.put("aws/012345678901", &secret("two")).await.unwrap();
    let other = place.vault.put("named/billing", &secret("three")).await.unwrap();
    assert_eq!((first.version, second.version, other.version), (1, 2, 1));
    let vault = Place::reopen(&place.folder).await.unwrap();
    for (reference, text) in [(&first, "one"), (&second, "two"), (&other, "three")] {
        assert_eq!(vault.reveal(reference).await.unwrap().open(), text);
    }
    assert_eq!(vault.newest("aws/012345678901").await.unwrap(), second);
    assert_eq!(vault.list().await.unwrap(), [second, other]);
    assert_eq!(
        vault.newest("aws/999999999999").await.unwrap_err().kind(),
        ErrorKind::Missing
    );
}

#[tokio::test]
async fn access_keys_are_stored_in_a_form_that_opens() {
    let place = Place::new().await;
    let key = AccessKey {
        access_key_id: "ASIAFARTHINGEXAMPLE1".to_owned(),
        secret_access_key: secret(CANARY),
        session_token: Some(secret("not-a-real-token")),
    };
    let reference = place.vault.put_access_key("aws/012345678901", &key).await.unwrap();
    let read = parse_access_key(&place.vault.reveal(&reference).await.unwrap(), "x").unwrap();
    assert_eq!(read.access_key_id, key.access_key_id);
    assert_eq!(read.secret_access_key.open(), CANARY);
    assert_eq!(read.session_token.unwrap().open(), "not-a-real-token");
    let without_token = AccessKey {
        session_token: None,
        ..key
    };
    let error = place
        .vault
        .put_access_key("aws/012345678901", &without_token)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadCredentials);
    assert!(!format!("{error:?}").contains(CANARY));
}

#[tokio::test]
async fn no_file_holds_a_secret_in_clear() {
    let place = Place::new().await;
    place.vault.put("named/x", &secret(CANARY)).await.unwrap();
    let key = fs::read_to_string(place.key_file()).unwrap();
    let mut files = Vec::new();
    files_below(place.folder.path(), &mut files);
    assert_eq!(files.len(), 2, "{files:?}");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, CANARY);
    for file in files {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(CANARY) && !text.contains(&encoded), "{}", file.display());
        assert!(
            file == place.key_file() || !text.contains(key.trim()),
            "{}",
            file.display()
        );
    }
    assert!(!format!("{:?}", place.vault).contains(key.trim()));
}

#[tokio::test]
async fn equal_secrets_look_different() {
    let place = Place::new().await;
    place.vault.put("named/x", &secret(CANARY)).await.unwrap();
    place.vault.put("named/x", &secret(CANARY)).await.unwrap();
    let read = |version| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.document("named/x", version)).unwrap()).unwrap()
    };
    let (one, two) = (read(1), read(2));
    for part in ["data_key", "secret"] {
        assert_ne!(one[part]["nonce"], two[part]["nonce"]);
        assert_ne!(one[part]["ciphertext"], two[part]["ciphertext"]);
    }
}

#[tokio::test]
async fn changed_and_moved_documents_do_not_open() {
    let place = Place::new().await;
    let mine = place.vault.put("named/mine", &secret("mine")).await.unwrap();
    let mine_too = place.vault.put("named/mine", &secret("mine too")).await.unwrap();
    let theirs = place.vault.put("named/theirs", &secret("theirs")).await.unwrap();
    let path = place.document("named/mine", 1);
    let original: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let other: serde_json::Value =
        serde_json::from_slice(&fs::read(place.document("named/theirs", 1)).unwrap()).unwrap();
    let newer: serde_json::Value = serde_json::from_slice(&fs::read(place.document("named/mine", 2)).unwrap()).unwrap();

    let mut documents = vec![
        other.clone(),
        newer.clone(),
        serde_json::json!({}),
        serde_json::json!([]),
    ];
    for foreign in [&other, &newer] {
        // A whole record under this one's name, and halves of it.
        let mut renamed = foreign.clone();
        renamed["name"] = original["name"].clone();
        renamed["version"] = original["version"].clone();
        documents.push(renamed);
        for part in ["data_key", "secret"] {
            let mut mixed = original.clone();
            mixed[part] = foreign[part].clone();
            documents.push(mixed);
        }
    }
    for part in ["data_key", "secret"] {
        for field in ["nonce", "ciphertext"] {
            let text = original[part][field].as_str().unwrap();
            let flipped = if text.starts_with('A') { "B" } else { "A" };
            for changed in [
                format!("{flipped}{}", &text[1..]),
                text[..text.len() - 4].to_owned(),
                String::new(),
                "?".to_owned(),
            ] {
                let mut document = original.clone();
                document[part][field] = changed.into();
                documents.push(document);
            }
        }
    }
    for document in documents {
        fs::write(&path, document.to_string()).unwrap();
        let error = place.vault.reveal(&mine).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State, "{document}");
        assert!(
            error.message().contains("named/mine") && error.hint().is_some(),
            "{error}"
        );
    }
    fs::write(&path, original.to_string()).unwrap();
    assert_eq!(place.vault.reveal(&mine).await.unwrap().open(), "mine");
    assert_eq!(place.vault.reveal(&mine_too).await.unwrap().open(), "mine too");
    assert_eq!(place.vault.reveal(&theirs).await.unwrap().open(), "theirs");

    let mut future = original;
    future["format_version"] = 2.into();
    fs::write(&path, future.to_string()).unwrap();
    let error = place.vault.reveal(&mine).await.unwrap_err();
    assert!(error.message().contains("newer version"), "{error}");
}

#[tokio::test]
async fn concurrent_puts_take_different_versions() {
    let place = Place::new().await;
    let vault = Arc::new(place.vault);
    let puts = (0..12).map(|n| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move {
            let text = format!("value {n}");
            (vault.put("named/x", &secret(&text)).await.unwrap(), text)
        })
    });
    let mut versions = BTreeSet::new();
    for put in puts.collect::<Vec<_>>() {
        let (reference, text) = put.await.unwrap();
        assert_eq!(vault.reveal(&reference).await.unwrap().open(), text);
        versions.insert(reference.version);
    }
    assert_eq!(versions, (1..=12).collect());
}

#[tokio::test]
async fn retired_versions_are_gone_and_never_given_again() {
    let vault = Place::new().await.vault_in_memory().await;
    let first = vault.put("named/x", &secret("one")).await.unwrap();
    let second = vault.put("named/x", &secret("two")).await.unwrap();
    vault.retire(&second).await.unwrap();
    vault.retire(&second).await.unwrap();
    assert_eq!(vault.reveal(&second).await.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(vault.newest("named/x").await.unwrap(), first);
    assert_eq!(vault.list().await.unwrap(), std::slice::from_ref(&first));
    let third = vault.put("named/x", &secret("three")).await.unwrap();
    assert_eq!(third.version, 3);
    vault.retire(&first).await.unwrap();
    vault.retire(&third).await.unwrap();
    assert_eq!(vault.newest("named/x").await.unwrap_err().kind(), ErrorKind::Missing);
    assert!(vault.list().await.unwrap().is_empty());
    let never = SecretRef {
        name: "named/never".to_owned(),
        version: 1,
    };
    vault.retire(&never).await.unwrap();
}

impl Place {
    /// A vault over another kind of store, with the same key.
    async fn vault_in_memory(self) -> KeyFileVault {
        KeyFileVault::open(Arc::new(InMemory::new()), &self.key_file())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn names_cannot_leave_the_vault() {
    let place = Place::new().await;
    for name in [
        "",
        "/x",
        "x/",
        "a//b",
        "..",
        "a/../b",
        ".",
        "a.json",
        "a b",
        "ä",
        "a\0b",
        &"x".repeat(300),
    ] {
        let error = place.vault.put(name, &secret("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue, "{name:?}");
        let reference = SecretRef {
            name: name.to_owned(),
            version: 1,
        };
        assert_eq!(
            place.vault.reveal(&reference).await.unwrap_err().kind(),
            ErrorKind::BadValue,
            "{name:?}"
        );
        assert_eq!(
            place.vault.retire(&reference).await.unwrap_err().kind(),
            ErrorKind::BadValue,
            "{name:?}"
        );
    }
    for value in [String::new(), "x".repeat(MAX_SECRET_BYTES + 1)] {
        let error = place.vault.put("named/x", &secret(&value)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadValue);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn key_files_are_private_and_others_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new().await;
    let mode = |path: &FilePath| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.key_file()), 0o600);
    assert_eq!(mode(place.key_file().parent().unwrap()), 0o700);
    for open in [0o640, 0o604, 0o620, 0o660, 0o644] {
        fs::set_permissions(place.key_file(), fs::Permissions::from_mode(open)).unwrap();
        let error = Place::reopen(&place.folder).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.hint().unwrap().contains("chmod 600"), "{error:?}");
    }
    fs::set_permissions(place.key_file(), fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Place::reopen(&place.folder).await.is_ok());
}

#[tokio::test]
async fn lost_wrong_and_damaged_key_files_are_told_apart() {
    let place = Place::new().await;
    let reference = place.vault.put("named/x", &secret(CANARY)).await.unwrap();
    let key = fs::read_to_string(place.key_file()).unwrap();

    fs::write(place.key_file(), "").unwrap();
    let error = Place::reopen(&place.folder).await.unwrap_err();
    assert!(error.message().contains("does not hold a master key"), "{error}");
    fs::write(place.key_file(), &key[..20]).unwrap();
    let error = Place::reopen(&place.folder).await.unwrap_err();
    assert!(error.message().contains("does not hold a master key"), "{error}");
    assert!(!format!("{error:?}").contains(&key[..20]), "{error:?}");

    fs::remove_file(place.key_file()).unwrap();
    let error = Place::reopen(&place.folder).await.unwrap_err();
    assert!(error.message().contains("the vault has secrets"), "{error}");
    assert!(!place.key_file().exists(), "a new key would hide the loss");

    let elsewhere = Place::new().await;
    fs::copy(elsewhere.key_file(), place.key_file()).unwrap();
    let vault = Place::reopen(&place.folder).await.unwrap();
    let error = vault.reveal(&reference).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.message().contains("master key"), "{error}");

    fs::write(place.key_file(), &key).unwrap();
    let vault = Place::reopen(&place.folder).await.unwrap();
    assert_eq!(vault.reveal(&reference).await.unwrap().open(), CANARY);
}
