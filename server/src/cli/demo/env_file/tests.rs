#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use farthing_engine::secret::SecretString;
use farthing_sandbox::sample::{ControlTotals, SampleSpec, YearMonth};

use super::*;
use crate::cli::demo::connect::Connected;
use crate::cli::demo::record::{DemoAccount, Record};
use crate::config::Machine;

fn account(id: &str) -> DemoAccount {
    DemoAccount {
        id: id.to_owned(),
        name: "some-account".to_owned(),
        access_key_id: format!("AKIAFARTHING{}", &id[..8]),
        secret_access_key: format!("not-a-real-secret'{id}"),
    }
}

#[test]
fn a_shell_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::defaults(Machine {
        cores: 2,
        memory: 1 << 30,
    });
    config.data_dir = folder.path().join("a folder");
    std::fs::create_dir(&config.data_dir).unwrap();
    let spec = SampleSpec::new(1, 1_000, 2, YearMonth::new(2026, 8).unwrap(), BUCKET, PREFIX, EXPORT);
    let record = Record::new(
        &spec,
        account("111122223333"),
        vec![account("012345678901"), account("222233334444")],
        ControlTotals::default(),
        &SecretString::new("not a real $password"),
    );
    record.write(&config).unwrap();
    let running = Running {
        pg: "127.0.0.1:5433".parse().unwrap(),
        flight: "127.0.0.1:32010".parse().unwrap(),
        endpoint: "http://127.0.0.1:4000".to_owned(),
        record: &record,
        connected: Connected {
            connected: vec!["111122223333".to_owned(), "012345678901".to_owned()],
            unconnected: vec!["222233334444".to_owned()],
        },
        config: &config,
    };
    write(&running).unwrap();

    for name in ["demo.env", "demo.json"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(config.data_dir.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let shell = Command::new("sh")
        .args(["-c", ". \"$0\" && env -0"])
        .arg(path(&config))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let shown = String::from_utf8(shell.stdout).unwrap();
    let seen: BTreeMap<&str, &str> = shown.split('\0').filter_map(|line| line.split_once('=')).collect();
    for (name, value) in variables(&running) {
        assert_eq!(seen.get(name.as_str()), Some(&value.as_str()), "{name}");
    }
    for (name, value) in [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", "5433"),
        ("PGUSER", "demo"),
        ("PGPASSWORD", "not a real $password"),
        ("PGDATABASE", "farthing"),
        ("FLIGHT_URI", "grpc://127.0.0.1:32010"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4000"),
        ("CONNECTED_ACCOUNTS", "111122223333 012345678901"),
        ("UNCONNECTED_ACCOUNTS", "222233334444"),
        (
            "ACCOUNT_012345678901_SECRET_ACCESS_KEY",
            "not-a-real-secret'012345678901",
        ),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name}");
    }
    let again = Record::read(&config).unwrap().unwrap();
    assert_eq!(again.password().open(), record.password().open());
    assert_eq!(again.linked.len(), 2);
}
