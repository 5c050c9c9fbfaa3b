//! The manual's chapters are run: every statement of every `sql` block, in order, against a node where everything is
//! delivered and nothing is connected.
//!
//! A comment `-- fails: 28P01` before a statement announces its SQLSTATE. Names in angle brackets stand for the reader's own.

use std::collections::BTreeSet;
use std::path::Path;

use farthing_tests::bench::{Bench, Start, run};
use farthing_tests::client::Client;
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};

/// A statement of a chapter.
struct Statement {
    line: usize,
    sql: String,
    fails: Option<String>,
}

fn chapter(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/manual").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The statements of a chapter's blocks; each ends with a semicolon at the end of a line.
fn statements(text: &str) -> Vec<Statement> {
    let (mut found, mut inside) = (Vec::new(), false);
    let mut open: Option<Statement> = None;
    let mut fails = None;
    for (at, line) in text.lines().enumerate() {
        match (inside, line.trim()) {
            (false, "```sql") => inside = true,
            (true, "```") => {
                assert!(
                    open.is_none() && fails.is_none(),
                    "line {}: a statement does not end",
                    at + 1
                );
                inside = false;
            }
            (true, "") => {}
            (true, comment) if comment.starts_with("--") => {
                fails = comment
                    .strip_prefix("-- fails: ")
                    .map(|state| state[..5].to_owned())
                    .or(fails);
            }
            (true, _) => {
                let statement = open.get_or_insert_with(|| Statement {
                    line: at + 1,
                    sql: String::new(),
                    fails: fails.take(),
                });
                statement.sql.push_str(line);
                statement.sql.push('\n');
                if line.trim_end().ends_with(';') {
                    found.extend(open.take());
                }
            }
            (false, _) => {}
        }
    }
    assert!(!inside && !found.is_empty());
    found
}

/// What stands for the reader's own names on this bench, longest names first.
fn names(bench: &Bench) -> Vec<(&'static str, String)> {
    let cloud = &bench.cloud;
    let (payer, linked) = (cloud.sample.payer(), cloud.sample.linked());
    let key = |account: &str| cloud.keys[account].clone();
    vec![
        ("<bucket>", BUCKET.to_owned()),
        ("<prefix>", PREFIX.to_owned()),
        ("<export name>", EXPORT.to_owned()),
        ("<account id>", payer.clone()),
        ("<access key id>", key(&payer).access_key_id),
        ("<secret access key>", key(&payer).secret_access_key),
        ("<linked account id>", linked[0].clone()),
        ("<linked access key id>", key(&linked[0]).access_key_id),
        ("<linked secret access key>", key(&linked[0]).secret_access_key),
        ("<other linked account id>", linked[1].clone()),
        ("<other linked access key id>", key(&linked[1]).access_key_id),
        ("<other linked secret access key>", key(&linked[1]).secret_access_key),
        ("<folder>", bench.site.folder.path().join("copy").display().to_string()),
    ]
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

#[test]
fn connecting_as_the_manual_says() {
    run(Start::Delivered, async |bench| {
        copy_to_folder(bench);
        let names = names(bench);
        let mut admin = bench.site.admin();
        for Statement { line, sql, fails } in statements(&chapter("connect-aws.md")) {
            let mut filled = sql.clone();
            for (name, value) in &names {
                filled = filled.replace(name, value);
            }
            let unknown = filled.contains(" => '<") || filled.contains("= '<");
            assert!(
                !unknown,
                "connect-aws.md, line {line}: nothing stands for a name:\n{filled}"
            );
            match (admin.run(&filled).await, fails) {
                (Ok(_), None) => {}
                (Err(refusal), Some(state)) if refusal.sqlstate == state => {}
                (Ok(answer), Some(state)) => panic!("line {line} does not fail with {state}:\n{sql}{}", answer.text()),
                (Err(refusal), _) => panic!("line {line}:\n{sql}{refusal}"),
            }
        }
    });
}

#[test]
fn the_chapter_calls_every_procedure_and_function_of_set_up() {
    let text = chapter("connect-aws.md");
    let run: String = statements(&text).into_iter().map(|statement| statement.sql).collect();
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
