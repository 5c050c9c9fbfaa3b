//! SQL files, run through every way in with the same expected text.
//!
//! Files in `slt/connected/` read: they share one node with every account connected. Files in `slt/fresh/` change things:
//! each gets a node of its own, where everything is delivered and nothing is connected. `FARTHING_REWRITE_SLT=1` writes
//! what the node answers in process into the files, to be reviewed like code.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use async_trait::async_trait;
use farthing_tests::bench::{ADMIN, Bench, Start, run};
use farthing_tests::client::{Client, Refusal, Way};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

/// One session as sqllogictest wants it.
struct Session(Box<dyn Client>);

#[async_trait]
impl AsyncDB for Session {
    type Error = Refusal;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refusal> {
        let mut answered = self.0.run(sql).await;
        if let Err(refusal) = &mut answered {
            refusal.message = without_request_id(&refusal.message);
        }
        let answer = answered?;
        if answer.columns.is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let shown = |cell: Option<String>| match cell {
            None => "NULL".to_owned(),
            Some(text) if text.is_empty() => "(empty)".to_owned(),
            Some(text) => text,
        };
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; answer.columns.len()],
            rows: answer
                .rows
                .into_iter()
                .map(|row| row.into_iter().map(shown).collect())
                .collect(),
        })
    }

    async fn shutdown(&mut self) {}

    fn error_sql_state(error: &Refusal) -> Option<String> {
        Some(error.sqlstate.clone())
    }
}

/// Every call to AWS has an id of its own.
fn without_request_id(message: &str) -> String {
    match message.split_once("request id ") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            format!("{before}request id ...{rest}")
        }
        None => message.to_owned(),
    }
}

/// The file with its refusals unwritten: an error's text of several lines is a block of its own after the statement, which
/// ends with two empty lines, and is written anew.
fn without_error_texts(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut refused, mut dropping, mut empty) = (false, false, 0);
    for line in text.lines() {
        if dropping {
            empty = if line.is_empty() { empty + 1 } else { 0 };
            dropping = empty < 2;
            continue;
        }
        dropping = refused && line == "----";
        if dropping {
            (empty, refused) = (0, false);
            kept.push('\n');
            continue;
        }
        refused = line.starts_with("statement error") || (refused && !line.is_empty());
        let unwritten = line == "statement error";
        kept.push_str(if unwritten {
            "statement error not written yet"
        } else {
            line
        });
        kept.push('\n');
    }
    kept
}

/// What files may name as `$name` after `control substitution on`.
fn variables(bench: &Bench) -> Vec<(String, String)> {
    let (cloud, sample) = (&bench.cloud, bench.cloud.sample);
    let totals = &sample.totals.grand;
    let mut all = vec![
        ("location".to_owned(), format!("s3://{BUCKET}/{PREFIX}/{EXPORT}")),
        ("bucket".to_owned(), BUCKET.to_owned()),
        ("prefix".to_owned(), PREFIX.to_owned()),
        ("payer".to_owned(), sample.payer()),
        ("total_rows".to_owned(), totals.rows.to_string()),
        ("total_unblended".to_owned(), totals.unblended.to_string()),
        ("total_net_unblended".to_owned(), totals.net_unblended.to_string()),
        ("total_amortized".to_owned(), totals.amortized.to_string()),
        ("total_net_amortized".to_owned(), totals.net_amortized.to_string()),
    ];
    for (number, account) in sample.accounts().iter().enumerate() {
        let key = &cloud.keys[account];
        all.push((format!("account{number}"), account.clone()));
        all.push((format!("key{number}"), key.access_key_id.clone()));
        all.push((format!("secret{number}"), key.secret_access_key.clone()));
    }
    all
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt").join(folder);
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    found.sort();
    assert!(!found.is_empty());
    found
}

async fn run_file(bench: &Bench, way: Way, file: &Path) -> Result<(), String> {
    type Opened<'a> = Pin<Box<dyn Future<Output = Result<Session, Refusal>> + 'a>>;
    let open = || -> Opened<'_> { Box::pin(async move { Ok(Session(bench.site.client(way, ADMIN).await)) }) };
    let mut runner = Runner::new(open);
    for (name, value) in variables(bench) {
        runner.set_var(name, value);
    }
    let done = if std::env::var_os("FARTHING_REWRITE_SLT").is_some() && way == Way::InProcess {
        // A refusal without a text would match every one, and be left so.
        let text = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, without_error_texts(&text)).unwrap();
        let (validator, normalizer) = (sqllogictest::default_validator, sqllogictest::default_normalizer);
        let columns = sqllogictest::default_column_validator;
        let done = runner.update_test_file(file, " ", validator, normalizer, columns).await;
        done.map_err(|error| error.to_string())
    } else {
        runner
            .run_file_async(file)
            .await
            .map_err(|error| error.display(false).to_string())
    };
    runner.shutdown_async().await;
    done.map_err(|error| format!("{way:?}, {}:\n{error}", file.display()))
}

fn run_all(way: Way) {
    let mut failures: Vec<String> = Vec::new();
    run(Start::AllConnected, async |bench| {
        for file in files("connected") {
            failures.extend(run_file(bench, way, &file).await.err());
        }
    });
    for file in files("fresh") {
        run(Start::Delivered, async |bench| {
            failures.extend(run_file(bench, way, &file).await.err())
        });
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn in_process() {
    run_all(Way::InProcess);
}

#[test]
fn over_postgresql_simple() {
    run_all(Way::PostgresSimple);
}

#[test]
fn over_postgresql_extended() {
    run_all(Way::PostgresExtended);
}

#[test]
fn over_flight_sql() {
    run_all(Way::FlightSql);
}
