//! The manual's chapters are run: every statement of every `sql` block, in order, against a node where everything is
//! delivered and nothing is connected.
//!
//! A comment `-- fails: 28P01` before a statement announces its SQLSTATE. Names in angle brackets stand for the reader's own.
//! What the reader does in AWS with an answer is a comment before the statement too, and the test does the same: `-- attach
//! to <user>` gives the user the policy of the answer, `-- trust in <role> of <accounts>` makes roles with the trust policy in
//! the answer's evidence. A `text` block after a block of statements is what its last one answers; `FARTHING_REWRITE_MANUAL=1`
//! writes these blocks anew, to be reviewed like code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use farthing_sandbox::aws::{AccessKey, DataExportSpec};
use farthing_sandbox::sample::DeliveryMode;
use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::client::{Answer, Client};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX, Sample};

/// A part of a chapter, in order.
enum Part {
    Statement(Statement),
    /// What the last statement answers: the lines between the fences, the first one's number counted from one.
    Transcript {
        line: usize,
        text: String,
    },
}

/// A statement of a chapter.
struct Statement {
    line: usize,
    sql: String,
    fails: Option<String>,
    afterwards: Option<String>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/manual").join(name)
}

fn chapter(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// What a fence opens.
#[derive(Clone, Copy, PartialEq)]
enum Fence {
    None,
    Sql,
    Text,
    Other,
}

/// The statements and transcripts of a chapter; each statement ends with a semicolon at the end of a line.
fn parts(text: &str) -> Vec<Part> {
    let (mut found, mut inside) = (Vec::new(), Fence::None);
    let mut open: Option<Statement> = None;
    let (mut fails, mut afterwards) = (None, None);
    for (at, line) in text.lines().enumerate() {
        match (inside, line.trim()) {
            (Fence::None, "```sql") => inside = Fence::Sql,
            (Fence::None, "```text") => {
                inside = Fence::Text;
                found.push(Part::Transcript {
                    line: at + 2,
                    text: String::new(),
                });
            }
            (Fence::None, fence) if fence.starts_with("```") => inside = Fence::Other,
            (Fence::None, _) => {}
            (_, "```") => {
                assert!(
                    open.is_none() && fails.is_none(),
                    "line {}: a statement does not end",
                    at + 1
                );
                inside = Fence::None;
            }
            (Fence::Text, _) => {
                if let Some(Part::Transcript { text, .. }) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (Fence::Other, _) | (Fence::Sql, "") => {}
            (Fence::Sql, comment) if comment.starts_with("--") => {
                fails = comment
                    .strip_prefix("-- fails: ")
                    .map(|state| state[..5].to_owned())
                    .or(fails);
                let does = |comment: &str| comment.starts_with("-- attach to ") || comment.starts_with("-- trust in ");
                afterwards = does(comment).then(|| comment.to_owned()).or(afterwards);
            }
            (Fence::Sql, _) => {
                let statement = open.get_or_insert_with(|| Statement {
                    line: at + 1,
                    sql: String::new(),
                    fails: fails.take(),
                    afterwards: afterwards.take(),
                });
                statement.sql.push_str(line);
                statement.sql.push('\n');
                if line.trim_end().ends_with(';') {
                    found.extend(open.take().map(Part::Statement));
                }
            }
        }
    }
    assert!(inside == Fence::None && !found.is_empty());
    found
}

/// What stands for the reader's own names on this bench, longest names first.
fn names(bench: &Bench) -> Vec<(&'static str, String)> {
    let cloud = &bench.cloud;
    let (payer, linked) = (cloud.sample.payer(), cloud.sample.linked());
    let key = |account: &str| cloud.keys[account].clone();
    vec![
        ("<bucket>", BUCKET.to_owned()),
        ("<new bucket>", "example-corp-made-by-call".to_owned()),
        ("<prefix>", PREFIX.to_owned()),
        ("<export name>", EXPORT.to_owned()),
        ("<account id>", payer.clone()),
        ("<access key id>", key(&payer).access_key_id),
        ("<secret access key>", key(&payer).secret_access_key),
        ("<new access key id>", SECOND_KEY.0.to_owned()),
        ("<new secret access key>", SECOND_KEY.1.to_owned()),
        ("<administrator's access key id>", ADMINISTRATOR_KEY.0.to_owned()),
        ("<administrator's secret access key>", ADMINISTRATOR_KEY.1.to_owned()),
        ("<linked account id>", linked[0].clone()),
        ("<linked access key id>", key(&linked[0]).access_key_id),
        ("<linked secret access key>", key(&linked[0]).secret_access_key),
        ("<other linked account id>", linked[1].clone()),
        ("<other linked access key id>", key(&linked[1]).access_key_id),
        ("<other linked secret access key>", key(&linked[1]).secret_access_key),
        ("<third linked account id>", linked[2].clone()),
        ("<folder>", bench.site.folder.path().join("copy").display().to_string()),
    ]
}

/// A second key of the payer's user.
const SECOND_KEY: (&str, &str) = ("AKIAFARTHINGEXAMPL70", "not-a-real-secret-of-a-second-key-0000000");
/// A key of the payer's administrator.
const ADMINISTRATOR_KEY: (&str, &str) = ("AKIAFARTHINGEXAMPL80", "not-a-real-secret-of-an-administrator-000");

/// The users and keys that the reader has besides.
fn prepare(bench: &Bench) {
    let (sandbox, payer) = (&bench.cloud.sandbox, bench.cloud.sample.payer());
    sandbox.create_user(&payer, "administrator").unwrap();
    sandbox
        .register_export(&payer, &DataExportSpec::cur2(EXPORT, BUCKET, PREFIX))
        .unwrap();
    for (user, (id, secret)) in [("farthing", SECOND_KEY), ("administrator", ADMINISTRATOR_KEY)] {
        let key = AccessKey {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
        };
        sandbox.register_access_key(&payer, user, &key).unwrap();
    }
    copy_to_folder(bench);
}

/// A copy of the export in a folder, as `aws s3 sync` makes one.
fn copy_to_folder(bench: &Bench) {
    let folder = bench.site.folder.path().join("copy");
    for (key, bytes) in &bench.cloud.sample.objects {
        let path = folder.join(key.strip_prefix(&format!("{PREFIX}/")).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Does in AWS what the comment tells the reader to do with the answer.
fn act(bench: &Bench, number: usize, comment: &str, answer: &Answer) {
    let sandbox = &bench.cloud.sandbox;
    if let Some(user) = comment.strip_prefix("-- attach to ") {
        let policy = answer.single().unwrap();
        let payer = bench.cloud.sample.payer();
        sandbox
            .put_user_policy(&payer, user, &format!("manual-{number}"), policy)
            .unwrap();
        return;
    }
    let (role, accounts) = comment
        .strip_prefix("-- trust in ")
        .unwrap()
        .split_once(" of ")
        .unwrap();
    let pending = answer
        .column("status")
        .iter()
        .position(|status| *status == Some("pending"))
        .unwrap();
    let evidence: serde_json::Value = serde_json::from_str(answer.column("evidence")[pending].unwrap()).unwrap();
    for account in accounts.split(", ") {
        sandbox
            .create_role(account, role, &evidence["trust_policy"].to_string())
            .unwrap();
    }
}

/// An answer as the manual shows it: of procedures the steps, of queries the rows.
fn transcript(answer: &Answer, names: &[(&str, String)]) -> String {
    let mut text = String::new();
    if answer.columns.iter().any(|column| column == "next_sql") {
        let of = |name: &str| answer.column(name);
        let (actions, statuses, objects) = (of("action"), of("status"), of("object"));
        let (details, next) = (of("detail"), of("next_sql"));
        for at in 0..answer.rows.len() {
            let cell = |column: &[Option<&str>]| column[at].unwrap_or_default().to_owned();
            let head = format!("{:7} {:8} {}", cell(&actions), cell(&statuses), cell(&objects));
            text.push_str(head.trim_end());
            text.push('\n');
            for (mark, line) in [("", cell(&details)), ("next: ", cell(&next))] {
                if !line.is_empty() {
                    text.push_str(&format!("                 {mark}{}\n", line.replace('\n', " ")));
                }
            }
        }
    } else {
        let shown = |cell: &Option<String>| cell.clone().unwrap_or_default();
        let mut rows = vec![answer.columns.clone()];
        rows.extend(
            answer
                .rows
                .iter()
                .map(|row| row.iter().map(shown).collect::<Vec<String>>()),
        );
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..answer.columns.len()).map(width).collect();
        for row in &rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            text.push_str(cells.join(" | ").trim_end());
            text.push('\n');
        }
    }
    let mut by_length: Vec<&(&str, String)> = names.iter().collect();
    by_length.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    for (name, value) in by_length {
        text = text.replace(value.as_str(), name);
    }
    without_made_ids(&text)
}

/// Ids, keys and times that AWS and Farthing make differ from run to run.
fn without_made_ids(text: &str) -> String {
    let is_id = |word: &str| {
        let lengths: Vec<usize> = word.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    };
    let is_time = |word: &str| chrono::DateTime::parse_from_rfc3339(word).is_ok();
    let is_key = |word: &str| word.starts_with("AKIA...") && word.chars().skip(7).all(|c| c.is_ascii_alphanumeric());
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let made = |length: usize, is: &dyn Fn(&str) -> bool| rest.get(..length).is_some_and(is).then_some(length);
        let long = made(36, &is_id)
            .or_else(|| made(29, &is_time))
            .or_else(|| made(25, &is_time));
        let long = long
            .map(|length| (length, "..."))
            .or_else(|| made(11, &is_key).map(|length| (length, "AKIA...")));
        match long {
            Some((length, shown)) => {
                kept.push_str(shown);
                rest = &rest[length..];
            }
            None => {
                kept.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    kept
}

#[test]
fn connecting_as_the_manual_says() {
    run(Start::Delivered, async |bench| {
        prepare(bench);
        run_chapter(bench, "connect-aws.md", &names(bench)).await;
    });
}

/// A month that AWS delivers again, in a folder of its own, as most statements of the chapter need it.
#[test]
fn asking_for_past_deliveries_as_the_manual_says() {
    run(Start::NothingDelivered, async |bench| {
        let spec = Sample::spec().with_mode(DeliveryMode::CreateNew);
        let first = Sample::generate(spec.clone()).await;
        bench.cloud.deliver(&first, |_| true).await;
        bench.cloud.sandbox.advance(std::time::Duration::from_secs(60));
        let between = bench.cloud.sandbox.clock().now() - chrono::TimeDelta::seconds(30);
        let newer = Sample::restated(spec, "2026-06").await;
        bench.cloud.deliver(&newer, |_| true).await;
        bench.connect(&first.linked()[..3]).await;
        let mut names = names(bench);
        // The payer's account has the same name as the bucket.
        names.retain(|(name, _)| *name != "<bucket>");
        names.push((
            "<an instant between the two deliveries>",
            between.format("%Y-%m-%d %H:%M:%S").to_string(),
        ));
        run_chapter(bench, "history-and-reconcile.md", &names).await;
    });
}

/// Runs a chapter's statements, and compares its transcripts or writes them anew.
async fn run_chapter(bench: &Bench, chapter_name: &str, names: &[(&'static str, String)]) {
    let filled = |text: &str| {
        names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let mut admin = bench.site.admin();
    let text = chapter(chapter_name);
    let mut rewritten: Vec<(usize, usize, String)> = Vec::new();
    let mut last = Answer::default();
    for (number, part) in parts(&text).into_iter().enumerate() {
        let Statement {
            line,
            sql,
            fails,
            afterwards,
        } = match part {
            Part::Statement(statement) => statement,
            Part::Transcript { line, text } => {
                let answered = transcript(&last, names);
                if std::env::var_os("FARTHING_REWRITE_MANUAL").is_some() {
                    rewritten.push((line, text.lines().count(), answered));
                } else {
                    assert_eq!(
                        text, answered,
                        "{chapter_name}, line {line}: the transcript is of another answer"
                    );
                }
                continue;
            }
        };
        let statement = filled(&sql);
        let unknown = statement.contains(" => '<") || statement.contains("= '<");
        assert!(
            !unknown,
            "{chapter_name}, line {line}: nothing stands for a name:\n{statement}"
        );
        match (admin.run(&statement).await, fails) {
            (Ok(answer), None) => {
                if let Some(comment) = afterwards {
                    act(bench, number, &filled(&comment), &answer);
                }
                last = answer;
            }
            (Err(refusal), Some(state)) if refusal.sqlstate == state => {}
            (Ok(answer), Some(state)) => panic!("line {line} does not fail with {state}:\n{sql}{}", answer.text()),
            (Err(refusal), _) => panic!("line {line}:\n{sql}{refusal}"),
        }
    }
    if !rewritten.is_empty() {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (first, count, answered) in rewritten.into_iter().rev() {
            lines.splice(first - 1..first - 1 + count, answered.lines().map(str::to_owned));
        }
        std::fs::write(path(chapter_name), lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn metrics_are_what_the_manual_says() {
    const CHAPTER: &str = "cost-metrics.md";
    run(Start::NothingDelivered, async |bench| {
        let folder = bench.site.folder.path().join("exports");
        let exports = tables(&chapter(CHAPTER));
        assert_eq!(exports.len(), 2);
        for (name, text) in &exports {
            deliver_to_folder(&folder, name, text);
        }
        run_chapter(bench, CHAPTER, &[("<folder>", folder.display().to_string())]).await;
    });
}

/// The files that a chapter shows: the blocks of CSV, by name.
fn tables(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("```csv ").skip(1);
    let named = blocks.map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (csv, _) = rest.split_once("```").unwrap();
        (name.to_owned(), csv.to_owned())
    });
    named.collect()
}

/// A month of an export in a folder, as the chapter says that it lies there.
pub(crate) fn deliver_to_folder(folder: &Path, name: &str, csv: &str) {
    let file = format!("{name}/data/BILLING_PERIOD=2026-07/{name}.csv");
    let manifest = serde_json::json!({ "executionId": "1", "dataFiles": [format!("s3://any/{file}")], "columns": [] });
    let manifest = (
        format!("{name}/metadata/BILLING_PERIOD=2026-07/{name}-Manifest.json"),
        manifest.to_string(),
    );
    for (key, text) in [(file, csv.to_owned()), manifest] {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn the_chapter_calls_every_procedure_and_function_of_set_up() {
    let text = chapter("connect-aws.md");
    let statement = |part| match part {
        Part::Statement(statement) => Some(statement.sql),
        Part::Transcript { .. } => None,
    };
    let run: String = parts(&text).into_iter().filter_map(statement).collect();
    let procedures = farthing_sql::procedure::procedures()
        .iter()
        .map(|procedure| procedure.name);
    let functions = farthing_engine::account::policy::FUNCTIONS
        .iter()
        .map(|function| function.name);
    let missing: BTreeSet<&str> = procedures
        .chain(functions)
        .filter(|name| !run.contains(&format!("{name}(")))
        .collect();
    assert!(missing.is_empty(), "connect-aws.md runs none of {missing:?}");
    let modes = farthing_engine::account::policy::Mode::ALL
        .iter()
        .map(|(name, _)| *name);
    let untold: Vec<&str> = modes.filter(|mode| !text.contains(&format!("`{mode}`"))).collect();
    assert!(
        untold.is_empty(),
        "connect-aws.md does not tell what the modes {untold:?} are for"
    );
}
