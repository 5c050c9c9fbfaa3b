//! A secret that is easy to recognise goes through every door, and is found nowhere afterwards.
//!
//! Names are no secrets: whoever stores a key under itself as name has told it.

use std::collections::BTreeMap;
use std::path::Path;

use farthing_sandbox::aws::{AccessKey, Fault, FaultKind};
use farthing_tests::bench::{ADMIN, Bench, Start, run};
use farthing_tests::client::{Client, Param, Way};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use farthing_tests::log::{self, CANARY};

/// Everything that was told to clients, with the statement that caused it.
#[derive(Default)]
struct Told(Vec<(String, String)>);

impl Told {
    async fn ask(&mut self, client: &mut dyn Client, sql: &str, params: &[Param]) -> bool {
        let (done, text) = match client.run_with(sql, params).await {
            Ok(answer) => (true, answer.text()),
            Err(refusal) => (false, refusal.to_string()),
        };
        self.0.push((format!("{:?}: {sql}", client.way()), text));
        done
    }
}

/// The first statements are right.
const RIGHT: usize = 12;

/// Every form in which a call can carry a secret, with and without mistakes. `$K` is a key id that the sandbox knows, `$S`
/// its secret, `$W` a wrong secret; all secrets hold the canary.
const STATEMENTS: &[&str] = &[
    // Right.
    "CALL put_secret('canary', '$K:$S')",
    "CALL put_secret(name => 'json', value => '{\"access_key_id\": \"$K\", \"secret_access_key\": \"$S\"}')",
    "CALL put_secret(name => 'csv', value => E'Access key ID,Secret access key\\n$K,$S')",
    "CALL put_secret(name => 'dollar', value => $$$K:$S$$)",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S', dry_run => true)",
    "EXPLAIN CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', credential => 'secret:canary')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key := ('$S'::text))",
    "CALL connect_aws_root(location => '$L', credentials_csv => E'Access key ID,Secret access key\\n$K,$S')",
    "CALL update_aws_credentials(credentials_csv => E'Access key ID,Secret access key\\n$K,$S')",
    "CALL update_aws_credentials(access_key_id => '$K', secret_access_key => '$S', dry_run => true)",
    // AWS refuses, or Farthing: the key is the root's.
    "CALL connect_aws_linked(access_key_id => '$K', secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', credentials_csv => E'Access key ID,Secret access key\\n$K,$W')",
    "CALL update_aws_credentials(credentials_csv => E'Access key ID,Secret access key\\n$K,$W')",
    "CALL update_aws_credentials(access_key_id => '$K', secret_access_key => '$S', session_token => '$W')",
    "CALL setup_aws_iam_user(location => '$L', user_name => 'reader', access_key_id => '$K', secret_access_key => '$S')",
    "CALL setup_aws_iam_user(user_name => 'reader', credentials_csv => E'Access key ID,Secret access key\\n$K,$W')",
    "CALL create_aws_export(export_name => 'e', bucket => 'example-made', access_key_id => '$K', secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', role_arn => 'arn:aws:iam::123456789012:role/r', access_key_id => '$K', \
     secret_access_key => '$S')",
    "CALL connect_aws_linked(role_arn => 'arn:aws:iam::123456789012:role/r', access_key_id => '$K', secret_access_key => '$W')",
    "CALL connect_aws_linked_all(role_name => 'r', access_key_id => '$K', secret_access_key => '$W')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$W')",
    "CALL connect_aws_linked(access_key_id => 'AKIAFARTHINGEXAMPLEX', secret_access_key => '$W')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S', session_token => '$W')",
    "CALL connect_aws_root(location => 's3://no-such-bucket-of-anybody/a/b', access_key_id => '$K', secret_access_key => '$S')",
    "CALL put_secret('wrong', '$K:$W')",
    "CALL connect_aws_root(location => '$L', credential => 'secret:wrong')",
    "CALL put_secret('nonsense', '$W')",
    "CALL connect_aws_root(location => '$L', credential => 'secret:nonsense')",
    // The procedures refuse.
    "CALL connect_aws_root(location => '$L', access_key_id => '$S', secret_access_key => '$K')",
    "CALL connect_aws_root(location => '$L', secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S', credential => 'secret:canary')",
    "CALL connect_aws_root(location => '$L', credential => '$S')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_acess_key => '$S')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S', secret_access_key => '$W')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S', dry_run => '$W')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S' || '$W')",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => (SELECT '$S'))",
    "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => upper('$S'))",
    "CALL connect_aws_root('$K', '$S')",
    "CALL conect_aws_root(location => '$L', secret_access_key => '$S')",
    "CALL nothing_like_it('$S')",
    "CALL put_secret('$S')",
    "CALL put_secret('twice', '$S', '$W')",
    "CALL put_secret(name => 'two words', value => '$S')",
    "CALL drop_secret('x', '$S')",
    "CALL refresh_export(secret_access_key => '$S')",
    "CALL connect_aws_root(location => '$L', credentials_csv => '$S')",
    "CALL connect_aws_root(location => '$L', credentials_csv => E'Access key ID,Secret access key\\n$K,$S\\n$K,$W')",
    "CALL connect_aws_root(location => '$L', credentials_csv => E'User name,Password\\nx,$S')",
    "CALL connect_aws_root(location => '$L', credentials_csv => E'Access key ID,Secret access key\\n$S,$K')",
    "CALL connect_aws_root(location => '$L', credentials_csv => '$K,$S', secret_access_key => '$S')",
    "CALL update_aws_credentials(account_id => '$S', access_key_id => '$K', secret_access_key => '$S')",
    "CALL update_aws_credentials('$K', '$S')",
    "CALL connect_aws_linked(role_arn => '$S', access_key_id => '$K', secret_access_key => '$S')",
    "CALL create_aws_export(export_name => 'e', bucket => 'b', credentials_csv => '$S')",
    "CALL check_aws_access(secret_access_key => '$S')",
    "CALL diagnose_aws('$S')",
    // They do not parse.
    "CALL put_secret('open, '$S')",
    "CALL put_secret('name', '$S'",
    "CALL put_secret('name' '$S')",
    "CALL put_secret(name => 'a', value => '$S') oops",
    "CALL put_secret(name -> 'a', value -> '$S')",
    "CAL put_secret('a', '$S')",
    "SELECT put_secret('a', '$S')",
    "SELECT * FROM put_secret('a', '$S')",
    "/* a key */ CALL put_secret('a', $S)",
    "CREATE SECRET s AS '$S'",
    "SET secret_access_key = '$S'",
    "ALTER ROLE admin PASSWORD '$S'",
    "EXPLAIN ANALYZE CALL put_secret('a', '$S')",
    "PREPARE p AS CALL put_secret('a', '$S')",
];

/// The same by bound parameters: text, values in order.
const BOUND: &[(&str, &[&str])] = &[
    ("CALL put_secret($1, $2)", &["bound", "$K:$S"]),
    (
        "CALL connect_aws_root(location => $1, access_key_id => $2, secret_access_key => $3)",
        &["$L", "$K", "$S"],
    ),
    (
        "CALL connect_aws_root(location => $1, access_key_id => $2, secret_access_key => $3)",
        &["$L", "$K", "$W"],
    ),
    (
        "CALL connect_aws_root(location => $1, access_key_id => $3, secret_access_key => $2)",
        &["$L", "$K", "$S"],
    ),
    (
        "CALL connect_aws_linked(access_key_id => $1, secret_access_key => $2, session_token => $2)",
        &["$K", "$S"],
    ),
    (
        "CALL update_aws_credentials(credentials_csv => $1)",
        &["Access key ID,Secret access key\n$K,$S"],
    ),
    (
        "CALL setup_aws_iam_user(user_name => $1, access_key_id => $2, secret_access_key => $3)",
        &["reader", "$K", "$W"],
    ),
    (
        "CALL connect_aws_linked(role_arn => $1, credentials_csv => $2)",
        &["no role", "$S"],
    ),
    ("CALL put_secret(name => $2, value => $1)", &["$S", "two words"]),
    ("CALL put_secret($1)", &["$S"]),
    ("CALL drop_secret('x', $1)", &["$S"]),
    ("CALL refresh_export($1)", &["$S"]),
];

/// Values of queries are no secrets to Farthing: its error may tell the client the value that the client sent, as
/// PostgreSQL's does, but no log line and no file may hold it.
const QUERIES: &[(&str, &[&str])] = &[
    ("SELECT $1::integer", &["$S"]),
    ("SELECT * FROM costs WHERE charge_period_start > $1::timestamp", &["$S"]),
];

fn filled(text: &str, key: &AccessKey) -> String {
    text.replace("$L", &format!("s3://{BUCKET}/{PREFIX}/{EXPORT}"))
        .replace("$K", &key.access_key_id)
        .replace("$S", &key.secret_access_key)
        .replace("$W", &format!("{CANARY}-but-wrong-0000000000000000000"))
}

/// A key of the payer whose secret is the canary.
fn canary_key(bench: &Bench) -> AccessKey {
    let payer = bench.cloud.sample.payer();
    let key = AccessKey {
        access_key_id: "AKIAFARTHINGCANARY01".to_owned(),
        secret_access_key: format!("{CANARY}0123456789abcdefABCDEF00"),
    };
    bench
        .cloud
        .sandbox
        .register_access_key(&payer, "farthing", &key)
        .unwrap();
    key
}

#[test]
fn a_secret_goes_in_and_never_comes_out() {
    run(Start::Delivered, async |bench| {
        let key = canary_key(bench);
        let mut told = Told::default();
        let mut done: BTreeMap<&str, bool> = BTreeMap::new();
        for way in Way::ALL {
            let mut client = bench.site.client(way, ADMIN).await;
            for statement in STATEMENTS {
                let accepted = told.ask(client.as_mut(), &filled(statement, &key), &[]).await;
                done.insert(statement, accepted);
            }
            if way != Way::PostgresSimple {
                for (statement, values) in BOUND {
                    let values: Vec<Param> = values.iter().map(|value| Param::Text(filled(value, &key))).collect();
                    told.ask(client.as_mut(), &filled(statement, &key), &values).await;
                }
                for (statement, values) in QUERIES {
                    let values: Vec<Param> = values.iter().map(|value| Param::Text(filled(value, &key))).collect();
                    Told::default().ask(client.as_mut(), statement, &values).await;
                }
            }
            // The same while AWS has a bad day.
            for kind in [
                FaultKind::SlowDown,
                FaultKind::ExpiredToken,
                FaultKind::Deny("s3:*".to_owned()),
            ] {
                let fault = bench.cloud.sandbox.inject(Fault::new(kind));
                let call = "CALL connect_aws_root(location => '$L', access_key_id => '$K', secret_access_key => '$S')";
                if way == Way::InProcess {
                    told.ask(client.as_mut(), &filled(call, &key), &[]).await;
                    told.ask(client.as_mut(), "CALL refresh_export()", &[]).await;
                }
                fault.remove();
            }
        }
        // The test would prove nothing if everything were refused.
        for statement in &STATEMENTS[..RIGHT] {
            assert!(
                done[statement],
                "{statement} is refused: {:?}",
                answer_of(&told, &filled(statement, &key))
            );
        }
        assert_eq!(bench.ask("SELECT count(*) > 0 FROM costs").await.single(), Some("t"));

        let mut admin = bench.site.admin();
        let tables = admin.run("SHOW TABLES").await.unwrap();
        let system = tables.rows.iter().filter(|row| row[0].as_deref() == Some("system"));
        for row in system {
            let table = row[1].as_deref().unwrap();
            told.ask(&mut admin, &format!("SELECT * FROM system.{table}"), &[])
                .await;
        }
        told.ask(&mut admin, "EXPLAIN ANALYZE SELECT sum(billed_cost) FROM costs", &[])
            .await;
        told.ask(&mut admin, "EXPLAIN VERBOSE SELECT * FROM costs", &[]).await;
        for notice in &admin.notices {
            told.0.push(("notice".to_owned(), format!("{notice:?}")));
        }
        let leaks: Vec<&(String, String)> = told.0.iter().filter(|(_, text)| text.contains(CANARY)).collect();
        assert!(leaks.is_empty(), "clients were told the secret: {leaks:#?}");

        let files = files_with(bench.site.folder.path(), CANARY);
        assert!(files.is_empty(), "files hold the secret in clear: {files:?}");
        let (hits, lines) = log::seen(|seen| (seen.hits.clone(), seen.detailed_lines));
        assert!(lines > 0, "no detailed log line was seen at all");
        assert!(hits.is_empty(), "log lines hold the secret: {hits:#?}");
    });
}

fn answer_of<'a>(told: &'a Told, statement: &str) -> Vec<&'a String> {
    told.0
        .iter()
        .filter(|(asked, _)| asked.ends_with(statement))
        .map(|(_, text)| text)
        .collect()
}

/// The files below a folder that hold a text, as it is, or as hexadecimal or base64 digits hold it.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    let mut files = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            if holds(text.as_bytes()) || holds(hexadecimal.as_bytes()) || base64_forms(text).iter().any(|f| holds(f)) {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(files > 10, "the data directory holds a catalog, snapshots and a vault");
    found
}

/// The base64 digits that a text has wherever it begins within a group of three bytes, without the digits at its ends that
/// depend on its neighbours.
fn base64_forms(text: &str) -> Vec<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let form = |lead: usize| {
        let bytes: Vec<u8> = std::iter::repeat_n(0, lead).chain(text.bytes()).collect();
        let whole = bytes.chunks_exact(3).flat_map(|three| {
            let word = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|shift| DIGITS[(word >> shift & 63) as usize])
        });
        whole.skip(if lead == 0 { 0 } else { 4 }).collect()
    };
    (0..3).map(form).collect()
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..11 {
        std::fs::write(folder.path().join(format!("{number}")), b"harmless").unwrap();
    }
    assert!(files_with(folder.path(), CANARY).is_empty());
    let hidden = folder.path().join("below");
    std::fs::create_dir(&hidden).unwrap();
    // "x" and the canary, by coreutils' base64.
    for (name, text) in [
        ("plain", format!("a{CANARY}b")),
        ("base64", "eENhbmFyeURvTm90U2hvdw==".to_owned()),
    ] {
        std::fs::write(hidden.join(name), text).unwrap();
        assert_eq!(files_with(folder.path(), CANARY).len(), 1, "{name}");
        std::fs::remove_file(hidden.join(name)).unwrap();
    }
}
