#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, Int32Array, StringArray};
use farthing_engine::{Error, ErrorKind};
use farthing_sql::Severity;
use futures::{FutureExt, stream};
use tokio::io::AsyncReadExt;

use super::*;
use crate::pg::wire::tests::{pair, receive};

fn batch(values: impl IntoIterator<Item = i32>) -> RecordBatch {
    let array: ArrayRef = Arc::new(Int32Array::from_iter_values(values));
    RecordBatch::try_from_iter([("n", array)]).unwrap()
}

struct Statement {
    running: Running,
    notices: mpsc::Sender<Notice>,
    /// What the front end sees when the statement is dropped.
    cancel: CancellationToken,
}

fn statement(batches: BoxStream<'static, farthing_engine::Result<RecordBatch>>) -> Statement {
    let rows = Rows {
        schema: batch([]).schema(),
        tag: "SELECT",
        batches,
    };
    let (notices, receiver) = mpsc::channel(NOTICE_QUEUE);
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    Statement {
        running: Running::new(rows, receiver, Formats::TEXT, guard, cancel.clone()).unwrap(),
        notices,
        cancel,
    }
}

fn code(outcome: Result<Sent, Break>) -> String {
    match outcome {
        Err(Break::Statement(error)) => error.code().to_owned(),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_are_fetched_in_parts() {
    let (_reader, mut writer, _client) = pair().await;
    let never = CancellationToken::new();
    let batches = [batch(0..3), batch([]), batch(3..6), batch(6..10)].map(Ok);
    let mut statement = statement(stream::iter(batches).boxed());
    let mut parts = Vec::new();
    for limit in [4, 2, 3, 4, 4] {
        let sent = statement.running.send(limit, &mut writer, &never).await.unwrap();
        parts.push((sent.rows, sent.ended));
    }
    // As in PostgreSQL, a portal whose last row is exactly at the limit ends at the next Execute.
    assert_eq!(parts, [(4, false), (2, false), (3, false), (1, true), (0, true)]);
    assert_eq!(statement.running.tag(1), "SELECT 1");
}

#[tokio::test]
async fn a_part_that_ends_with_the_result_is_still_suspended() {
    let (_reader, mut writer, _client) = pair().await;
    let never = CancellationToken::new();
    let mut statement = statement(stream::iter([Ok(batch(0..2))]).boxed());
    let sent = statement.running.send(2, &mut writer, &never).await.unwrap();
    assert_eq!(sent, Sent { rows: 2, ended: false });
    let sent = statement.running.send(2, &mut writer, &never).await.unwrap();
    assert_eq!(sent, Sent { rows: 0, ended: true });
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_statement_from_running_ahead() {
    const BATCHES: usize = 200;
    let (_reader, mut writer, mut client) = pair().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let batches = stream::iter(0..BATCHES).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let array: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
        Ok(RecordBatch::try_from_iter([("t", array)]).unwrap())
    });
    let mut statement = statement(batches.boxed());
    let never = CancellationToken::new();
    let mut sending = std::pin::pin!(statement.running.send(0, &mut writer, &never));
    let stalled = tokio::time::timeout(Duration::from_millis(500), &mut sending).await;
    assert!(stalled.is_err());
    let ahead = asked.load(Ordering::SeqCst);
    assert!(
        ahead < BATCHES / 2,
        "{ahead} batches of 1 MiB were taken from the statement"
    );

    let reading = tokio::spawn(async move {
        let mut total = 0;
        let mut buffer = vec![0; 1 << 20];
        while total < BATCHES << 20 {
            total += client.read(&mut buffer).await.unwrap();
        }
        client
    });
    let sent = sending.await.unwrap();
    assert_eq!(sent.rows, BATCHES as u64);
    reading.await.unwrap();
}

#[tokio::test]
async fn cancelling_stops_a_statement_that_waits_and_one_that_sends() {
    let (_reader, mut writer, _client) = pair().await;
    let endless = stream::repeat_with(|| Ok(batch(0..10_000))).boxed();
    for batches in [stream::pending().boxed(), endless] {
        let mut statement = statement(batches);
        let cancelled = CancellationToken::new();
        let token = cancelled.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            token.cancel();
        });
        let sending = statement.running.send(0, &mut writer, &cancelled);
        let outcome = tokio::time::timeout(Duration::from_secs(10), sending).await.unwrap();
        assert_eq!(code(outcome), "57014");
        drop(statement.running);
        assert!(statement.cancel.is_cancelled(), "the front end was not told");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_statement_whose_client_does_not_read() {
    let (_reader, mut writer, _client) = pair().await;
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    // As the front end does it: after the deadline the stream gives its error, whoever polls it.
    let batches = stream::repeat_with(move || {
        if token.is_cancelled() {
            return Err(Error::new(ErrorKind::Deadline, "the statement ran into its deadline"));
        }
        Ok(batch(0..10_000))
    });
    let mut statement = statement(batches.boxed());
    statement.running.cancel = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let never = CancellationToken::new();
    let sending = statement.running.send(0, &mut writer, &never);
    let outcome = tokio::time::timeout(Duration::from_secs(10), sending).await.unwrap();
    let Err(Break::Statement(error)) = outcome else {
        unreachable!("the statement went on")
    };
    assert_eq!(error.message(), "the statement ran into its deadline");
}

#[tokio::test]
async fn rows_before_an_error_are_sent_and_the_error_keeps_its_state() {
    let (_reader, mut writer, mut client) = pair().await;
    let error = Error::new(ErrorKind::DivisionByZero, "division by zero");
    let mut statement = statement(stream::iter([Ok(batch([7])), Err(error)]).boxed());
    let outcome = statement.running.send(0, &mut writer, &CancellationToken::new()).await;
    assert_eq!(code(outcome), "22012");
    writer.flush().await.unwrap();
    assert_eq!(receive(&mut client).await, ('D', vec![0, 1, 0, 0, 0, 1, b'7']));
}

#[tokio::test]
async fn notices_and_rows_arrive_while_the_statement_runs() {
    let (_reader, mut writer, mut client) = pair().await;
    let batches = stream::iter([Ok(batch([7]))]).chain(stream::pending());
    let mut statement = statement(batches.boxed());
    let notices = statement.notices.clone();
    let never = CancellationToken::new();
    let mut sending = std::pin::pin!(statement.running.send(0, &mut writer, &never));
    tokio::select! {
        _ = &mut sending => unreachable!("the statement never ends"),
        got = receive(&mut client) => assert_eq!(got.0, 'D'),
    }
    notices
        .send(Notice {
            severity: Severity::Notice,
            message: "step 1".to_owned(),
            detail: None,
            hint: Some("wait".to_owned()),
        })
        .await
        .unwrap();
    tokio::select! {
        _ = &mut sending => unreachable!("the statement never ends"),
        (kind, body) = receive(&mut client) => {
            assert_eq!(kind, 'N');
            let text = String::from_utf8(body).unwrap();
            assert!(text.contains("SNOTICE\0") && text.contains("Mstep 1\0") && text.contains("Hwait\0"), "{text}");
        }
    }
    assert!(sending.now_or_never().is_none());
}

#[test]
fn formats_follow_the_protocol() {
    let of = |codes: &[i16], columns| Formats::of(codes, columns).map_err(|error| error.code().to_owned());
    assert_eq!(of(&[], 3), Ok(Formats::TEXT));
    assert_eq!(of(&[1], 3), Ok(Formats::All { binary: true }));
    let each = of(&[0, 1], 2).unwrap();
    assert!(!each.binary(0) && each.binary(1));
    assert_eq!(of(&[0, 1], 3), Err("08P01".to_owned()));
    assert_eq!(of(&[2], 1), Err("22023".to_owned()));
}
