//! What every AWS must answer, whoever implements it: the sandbox, or the one that environment variables name, so that the
//! sandbox is not its own judge.
//!
//! `tests/emulators/run` starts an independent implementation and runs this suite against it: the same connectors, the same
//! cases. What an implementation is known to do differently from AWS is listed in [`NOT_JUDGED`] with the reason; it is run
//! all the same, and a listed case that passes fails the suite, so that the list does not outlive its reasons.

#![allow(clippy::print_stdout, reason = "the counts are what this test is run for")]

mod accounts;
mod billing;
mod ground;
mod storage;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;

use self::ground::Ground;

/// One case.
struct Case {
    /// What it shows, as `service: sentence`.
    name: &'static str,
    /// The API operations that it is about.
    calls: &'static str,
    run: for<'a> fn(&'a Ground) -> BoxFuture<'a, ()>,
}

/// An implementation, a case and why it is not judged by it.
const NOT_JUDGED: &[(&str, &str, &str)] = &[
    (
        "moto",
        accounts::BAD_KEYS,
        "refuses a signature in the XML of EC2, in which clients of STS and IAM find no code",
    ),
    ("moto", accounts::DEACTIVATED, "a deactivated access key still works"),
    (
        "moto",
        accounts::SIMULATION,
        "SimulatePrincipalPolicy is missing: HTTP 500 with a page",
    ),
    (
        "moto",
        accounts::MEMBERS_MAY_NOT_LIST,
        "a member account gets an empty list and no refusal",
    ),
    ("moto", storage::BAD_NAMES, "bucket names and policies are not checked"),
    (
        "moto",
        storage::OTHER_REGION,
        "buckets of other Regions are served where they are asked for",
    ),
    (
        "moto",
        billing::EXPORTS,
        "Data Exports is missing: HTTP 500 with a page",
    ),
    ("moto", billing::TABLES, "Data Exports is missing: HTTP 500 with a page"),
    (
        "moto",
        billing::REPORTS,
        "the Cost and Usage Report is missing: HTTP 500 with a page",
    ),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    accounts::CASES.iter().chain(storage::CASES).chain(billing::CASES)
}

#[tokio::test]
async fn every_aws_answers_alike() {
    let ground = Ground::open().await;
    let (mut passed, mut failed, mut not_judged) = (0, Vec::new(), 0);
    for case in cases() {
        let reason = NOT_JUDGED
            .iter()
            .find(|(implementation, name, _)| *implementation == ground.implementation && *name == case.name)
            .map(|(_, _, reason)| *reason);
        let done = AssertUnwindSafe((case.run)(&ground)).catch_unwind().await;
        match (done, reason) {
            (Ok(()), None) => {
                passed += 1;
                println!("ok          {} ({})", case.name, case.calls);
            }
            (Err(_), Some(reason)) => {
                not_judged += 1;
                println!("not judged  {} ({}): {reason}", case.name, case.calls);
            }
            (Err(_), None) => {
                println!("FAILED      {} ({})", case.name, case.calls);
                failed.push(case.name);
            }
            (Ok(()), Some(reason)) => {
                println!(
                    "FAILED      {} passes: take it from the list of what is not judged ({reason})",
                    case.name
                );
                failed.push(case.name);
            }
        }
    }
    println!(
        "{}: {passed} passed, {} failed, {not_judged} not judged",
        ground.implementation,
        failed.len()
    );
    assert!(passed > 0 && failed.is_empty(), "{failed:?}");
}

#[test]
fn the_list_of_what_is_not_judged_names_cases() {
    for (_, name, reason) in NOT_JUDGED {
        assert_eq!(cases().filter(|case| case.name == *name).count(), 1, "{name}");
        assert!(!reason.is_empty());
    }
}
