#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use farthing_engine::{Error, Result};

use super::*;

const MACHINE: Machine = Machine {
    cores: 4,
    memory: 10 << 30,
};

fn load(file: Option<&str>, environment: &[(&str, &str)], options: &[(&'static str, &str)]) -> Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = file.map(|text| {
        let path = folder.path().join("some.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let sources = Sources {
        file,
        environment: environment
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        options: options
            .iter()
            .map(|(key, value)| ("--option", *key, (*value).to_owned()))
            .collect(),
    };
    Config::load(&sources, Config::defaults(MACHINE))
}

fn text(error: &Error) -> String {
    format!("{} | {}", error.message(), error.hint().unwrap_or_default())
}

#[test]
fn defaults_follow_the_machine() {
    let config = load(None, &[], &[]).unwrap();
    assert_eq!(config.threads, 4);
    assert_eq!(config.limits.query_slots, 4);
    assert_eq!(config.limits.query_memory, 6 << 30);
    assert_eq!(config.refresh_interval, Duration::from_secs(3600));
    assert_eq!(config.listen_pg.to_string(), "127.0.0.1:5432");
    assert!(config.file.is_none());
}

#[test]
fn options_win_over_the_environment_and_it_over_the_file() {
    let file = "statement_timeout = \"1m\"\nadmission_wait = \"2m\"\nquery_slots = 3\nlisten_pg = \"[::1]:6000\"\n";
    let environment = [
        ("FARTHING_ADMISSION_WAIT", "1m 30s"),
        ("FARTHING_LISTEN_PG", "127.0.0.1:6001"),
        ("HOME", "/"),
    ];
    let config = load(Some(file), &environment, &[("listen_pg", "localhost:6002")]).unwrap();
    assert_eq!(config.limits.statement_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.admission_wait, Duration::from_secs(90));
    assert_eq!(config.limits.query_slots, 3);
    assert_eq!(config.listen_pg.to_string(), "127.0.0.1:6002");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let error = load(Some("statment_timeout = \"1m\"\n"), &[], &[]).unwrap_err();
    assert!(text(&error).contains("statment_timeout (in "), "{error:?}");
    assert!(
        text(&error).contains("The nearest key is statement_timeout."),
        "{error:?}"
    );
    let error = load(None, &[("FARTHING_LISTEN_PGSQL", "127.0.0.1:1")], &[]).unwrap_err();
    assert!(
        text(&error).contains("FARTHING_LISTEN_PGSQL (in the environment)"),
        "{error:?}"
    );
    assert!(text(&error).contains("FARTHING_LISTEN_PG."), "{error:?}");
}

#[test]
fn variables_of_the_demo_are_no_settings() {
    let environment = [
        ("FARTHING_DEMO_BUCKET", "b"),
        ("FARTHING_TEST_SEED", "1"),
        ("FARTHING_TLS_KEY", ""),
    ];
    assert!(load(None, &environment, &[]).is_ok());
}

#[test]
fn bad_values_name_key_origin_and_form() {
    for (key, value, wanted) in [
        ("listen_pg", "\"localhost\"", "which is not an address with a port"),
        ("listen_flight", "5", "which is not an address with a port"),
        ("refresh_interval", "60", "which is not a length of time"),
        ("refresh_interval", "\"0s\"", "which is not a length of time"),
        ("statement_timeout", "\"5 parsecs\"", "which is not a length of time"),
        ("query_memory", "\"many\"", "which is not a size"),
        ("query_slots", "0", "which is not a whole number in range"),
        ("query_slots", "-1", "which is not a whole number in range"),
        ("threads", "true", "which is not a whole number in range"),
        ("log_level", "\"loud\"", "which is not one of the words allowed"),
        ("log_format", "[1]", "which is not a text"),
        ("aws_region", "\"US East\"", "which is not an AWS Region"),
        ("data_dir", "\"\"", "which is not a path"),
    ] {
        let error = load(Some(&format!("{key} = {value}\n")), &[], &[]).expect_err(key);
        assert!(error.message().starts_with(&format!("{key} (in ")), "{error:?}");
        assert!(error.message().contains("some.toml"), "{error:?}");
        let shown = match (key, wanted) {
            ("threads", _) => "Put the value in quotes",
            _ => wanted,
        };
        assert!(
            text(&error).contains(wanted) || text(&error).contains(shown),
            "{key}: {error:?}"
        );
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error:?}");
    }
}

#[test]
fn an_endpoint_is_https_or_on_this_machine_and_never_repeated() {
    for good in [
        "https://s3.example.com",
        "http://127.0.0.1:9000",
        "http://localhost:9000/",
        "http://[::1]:9000",
    ] {
        let config = load(None, &[("FARTHING_AWS_ENDPOINT_URL", good)], &[]).expect(good);
        assert!(config.aws_endpoint_url.is_some());
    }
    for bad in [
        "http://s3.example.com",
        "http://10.0.0.1:9000",
        "ftp://127.0.0.1",
        "https://user:not-a-real-secret@example.com",
        "https://example.com/path",
        "https://example.com/?x=not-a-real-secret",
        "127.0.0.1:9000",
    ] {
        let error = load(None, &[("FARTHING_AWS_ENDPOINT_URL", bad)], &[]).expect_err(bad);
        assert!(
            text(&error).contains("aws_endpoint_url (in the environment)"),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("not-a-real-secret"), "{error:?}");
    }
}

#[test]
fn a_certificate_needs_its_key() {
    let error = load(Some("tls_certificate = \"a.pem\"\n"), &[], &[]).unwrap_err();
    assert!(text(&error).contains("belong together"), "{error:?}");
}

#[test]
fn certificates_are_for_listeners_that_others_reach() {
    let config = load(Some("data_dir = \"/d\"\n"), &[], &[]).unwrap();
    assert_eq!(config.certificate_for("127.0.0.1:1".parse().unwrap()), None);
    let own = config.certificate_for("0.0.0.0:1".parse().unwrap()).unwrap();
    assert_eq!(
        own,
        (Path::new("/d/server.crt").into(), Path::new("/d/server.key").into())
    );
    let config = load(Some("tls_certificate = \"/c\"\ntls_key = \"/k\"\n"), &[], &[]).unwrap();
    let given = Some((Path::new("/c").into(), Path::new("/k").into()));
    assert_eq!(config.certificate_for("127.0.0.1:1".parse().unwrap()), given);
    assert_eq!(config.certificate_for("0.0.0.0:1".parse().unwrap()), given);
}

#[test]
fn relative_paths_of_a_file_count_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, "master_key_file = \"keys/master\"\n").unwrap();
    let options = vec![("--data-dir", "data_dir", folder.path().display().to_string())];
    let sources = Sources {
        options,
        ..Sources::default()
    };
    let config = Config::load(&sources, Config::defaults(MACHINE)).unwrap();
    assert_eq!(config.file.as_deref(), Some(path.as_path()));
    assert_eq!(config.master_key_path(), folder.path().join("keys/master"));
    std::fs::write(&path, "data_dir = \"elsewhere\"\n").unwrap();
    let error = Config::load(&sources, Config::defaults(MACHINE)).unwrap_err();
    assert!(text(&error).contains("found through it"), "{error:?}");
}

#[test]
fn a_named_file_must_exist_and_be_toml() {
    let sources = Sources {
        file: Some("no/such/file.toml".into()),
        ..Sources::default()
    };
    let error = Config::load(&sources, Config::defaults(MACHINE)).unwrap_err();
    assert!(text(&error).contains("no/such/file.toml cannot be read"), "{error:?}");
    let error = load(Some("threads = = 3\n"), &[], &[]).unwrap_err();
    assert!(text(&error).contains("cannot be read"), "{error:?}");
}

#[test]
fn the_printed_reference_reads_back_as_the_same_configuration() {
    let file = "statement_timeout = \"90s\"\nquery_memory = \"3GiB\"\nlog_format = \"json\"\nthreads = 7\n";
    let defaults = Config::defaults(MACHINE);
    let config = load(Some(file), &[], &[]).unwrap();
    let printed = config.reference(&defaults);
    for key in KEYS {
        assert!(printed.contains(&format!("{} = ", key.name)), "{} is missing", key.name);
    }
    let again = load(Some(&printed), &[], &[]).unwrap();
    assert_eq!(again.reference(&defaults), printed);
    assert_eq!(again.limits.statement_timeout, Duration::from_secs(90));
    assert_eq!(again.limits.query_memory, 3 << 30);
    // And with nothing commented out, as somebody may do who edits it.
    let all: String = defaults
        .reference(&load(Some(file), &[], &[]).unwrap())
        .lines()
        .filter(|line| !line.contains("\"\""))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split(" = ").count() == 2 && !rest.contains(". ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(load(Some(&all), &[], &[]).is_ok());
}

#[test]
fn every_key_says_what_it_is() {
    for key in KEYS {
        assert!(key.description.ends_with('.') && !key.kind.is_empty(), "{}", key.name);
        let has_default = (key.show)(&Config::defaults(MACHINE)).is_some();
        assert_eq!(has_default, key.unset.is_empty(), "{}", key.name);
    }
}

#[test]
fn every_limit_is_a_setting_of_the_same_name() {
    for limit in Config::defaults(MACHINE).limits.describe() {
        assert!(KEYS.iter().any(|key| key.name == limit.name), "{}", limit.name);
    }
}
