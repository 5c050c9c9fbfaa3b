//! What stands in the way of a connection: each has one clear row or one clear error that a person can act on.

mod delivery;
mod doors;
mod keys;
mod locations;
mod names;
mod regions;
mod throttling;

use farthing_sandbox::aws::AccessKey;
use farthing_tests::bench::Bench;
use farthing_tests::client::{Answer, Client, Refusal};
use farthing_tests::cloud::{BUCKET, EXPORT, PREFIX};
use serde_json::json;

/// What is wrong with the rows of a table, told together at the end.
#[derive(Default)]
pub(crate) struct Complaints(Vec<String>);

impl Complaints {
    /// The call must be refused with this SQLSTATE and a hint; message, detail and hint must hold these words.
    pub(crate) fn refused(&mut self, row: &str, outcome: Result<Answer, Refusal>, sqlstate: &str, words: &[&str]) {
        match outcome {
            Ok(answer) => self
                .0
                .push(format!("{row}: is not refused but gives\n{}", answer.text())),
            Err(refusal) => {
                let missing: Vec<&&str> = words.iter().filter(|word| !refusal.message.contains(**word)).collect();
                if refusal.sqlstate != sqlstate || !missing.is_empty() || !refusal.message.contains("\nHint: ") {
                    self.0
                        .push(format!("{row}: wants {sqlstate} and {missing:?}, gets\n{refusal}"));
                }
            }
        }
    }

    /// The call must give a row with this status whose object, detail, evidence and next statement together hold these words.
    pub(crate) fn row(&mut self, row: &str, outcome: Result<Answer, Refusal>, status: &str, words: &[&str]) {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(refusal) => return self.0.push(format!("{row}: is refused\n{refusal}")),
        };
        let at = answer.columns.iter().position(|column| column == "status").unwrap();
        let fits = answer.rows.iter().any(|cells| {
            let text: String = cells.iter().flatten().map(|cell| format!("{cell}\n")).collect();
            cells[at].as_deref() == Some(status) && words.iter().all(|word| text.contains(word))
        });
        if !fits {
            self.0.push(format!(
                "{row}: no row is {status} and says {words:?}\n{}",
                answer.text()
            ));
        }
    }

    pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(&mut self, row: &str, is: T, wanted: T) {
        if is != wanted {
            self.0.push(format!("{row}: is {is:?}, not {wanted:?}"));
        }
    }

    /// Fails the test if anything was wrong.
    pub(crate) fn end(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n\n"));
    }
}

/// A statement of the administrator, whatever comes of it.
pub(crate) async fn tried(bench: &Bench, sql: &str) -> Result<Answer, Refusal> {
    bench.site.admin().run(sql).await
}

pub(crate) const EVERYTHING: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// Lets the account's user do everything in its account.
pub(crate) fn allow_everything(bench: &Bench, account: &str) {
    let sandbox = &bench.cloud.sandbox;
    sandbox
        .put_user_policy(account, "farthing", "everything", EVERYTHING)
        .unwrap();
}

/// `access_key_id => ..., secret_access_key => ...`
pub(crate) fn key_arguments(id: &str, secret: &str) -> String {
    format!("access_key_id => '{id}', secret_access_key => '{secret}'")
}

/// A user of its own in an account, with a policy and a key.
pub(crate) fn user(bench: &Bench, account: &str, name: &str, policy: &str) -> AccessKey {
    let sandbox = &bench.cloud.sandbox;
    sandbox.create_user(account, name).unwrap();
    sandbox.put_user_policy(account, name, "p", policy).unwrap();
    sandbox.create_access_key(account, name).unwrap()
}

/// The place where the sample export is delivered.
pub(crate) fn location() -> String {
    format!("s3://{BUCKET}/{PREFIX}/{EXPORT}")
}

/// A policy with one statement that allows these actions on everything.
pub(crate) fn allowing(actions: &[&str]) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}).to_string()
}

/// Nothing is connected and nothing is stored.
pub(crate) async fn nothing_is_left(bench: &Bench, complaints: &mut Complaints, row: &str) {
    for table in ["system.accounts", "system.exports", "system.secrets"] {
        let left = bench.ask(&format!("SELECT count(*) FROM {table}")).await;
        complaints.equal(&format!("{row}: rows left in {table}"), left.single(), Some("0"));
    }
}
