#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::patience::{TRIES, until_known};
use super::policy_name;
use crate::account::{Caller, Notify};
use crate::error::{Error, ErrorKind, Result};
use crate::port::Clock;

/// A clock that does not wait, and cancels after some seconds if it is told to.
struct Turned {
    slept: AtomicU32,
    cancel_after: Option<(u32, CancellationToken)>,
}

#[async_trait]
impl Clock for Turned {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {
        let slept = self.slept.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((after, cancel)) = &self.cancel_after
            && slept >= *after
        {
            cancel.cancel();
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Notify for Told {
    fn notify(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// How asking ends, how often it was asked, and what was told, where AWS knows it at the `known_at`-th question.
async fn ask(known_at: u32, otherwise: ErrorKind, cancel_after: Option<u32>) -> (Result<u32>, u32, usize) {
    let cancel = CancellationToken::new();
    let clock = Turned {
        slept: AtomicU32::new(0),
        cancel_after: cancel_after.map(|after| (after, cancel.clone())),
    };
    let told = Told::default();
    let caller = Caller {
        principal: "admin",
        procedure: "setup_aws_iam_user",
        statement: "",
        notify: &told,
        cancel,
    };
    let asked = AtomicU32::new(0);
    let answer = until_known(
        &clock,
        &caller,
        "the new key",
        |error| error.kind() == ErrorKind::Missing,
        || async {
            let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
            match number >= known_at {
                true => Ok(number),
                false => Err(Error::new(otherwise, "not there")),
            }
        },
    )
    .await;
    let told = told.0.lock().unwrap().len();
    (answer, asked.into_inner(), told)
}

#[tokio::test]
async fn what_aws_does_not_know_yet_is_asked_again_and_not_for_ever() {
    let (answer, _, told) = ask(1, ErrorKind::Missing, None).await;
    assert_eq!((answer.unwrap(), told), (1, 0), "nobody hears of a wait that is none");
    let (answer, _, told) = ask(5, ErrorKind::Missing, None).await;
    assert_eq!((answer.unwrap(), told), (5, 1));
    let (answer, asked, told) = ask(u32::MAX, ErrorKind::Missing, None).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!((asked, told), (TRIES, 3));
    let (answer, asked, _) = ask(u32::MAX, ErrorKind::AwsRefused, None).await;
    assert_eq!((answer.unwrap_err().kind(), asked), (ErrorKind::AwsRefused, 1));
    let (answer, asked, _) = ask(u32::MAX, ErrorKind::Missing, Some(4)).await;
    assert_eq!((answer.unwrap_err().kind(), asked), (ErrorKind::Cancelled, 4));
}

#[test]
fn another_document_is_another_policy() {
    let name = |bucket: &str| policy_name("reader", "billing", &json!({ "Resource": bucket }));
    assert_eq!(name("a"), name("a"));
    assert_ne!(name("a"), name("b"));
    assert!(name("a").starts_with("reader-billing-") && name("a").len() < 128);
}
