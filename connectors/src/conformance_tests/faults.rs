//! Faults of AWS and of the network: outlived if they pass, told apart if they last.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Instant;

use super::*;

#[tokio::test]
async fn passing_faults_are_outlived_and_lasting_ones_told() {
    let place = Place::new().await;
    let reader = place.user("reader", LEAST);
    place.deliver(BUCKET, "2026-07", "x1", &"rows ".repeat(1_000)).await;
    let path = Path::parse(data_key("2026-07")).unwrap();
    let fetch = async || {
        place
            .source
            .fetch_manifest(&at(BUCKET), &reader, period("2026-07"), None)
            .await
    };
    let read = async || {
        let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
        store.get(&path).await?.bytes().await
    };
    for fault in [
        FaultKind::SlowDown,
        FaultKind::InternalError,
        FaultKind::ResetMidBody { after_bytes: 20 },
        FaultKind::Truncate { after_bytes: 20 },
    ] {
        let name = format!("{fault:?}");
        let handle = place
            .sandbox
            .inject(Fault::new(fault.clone()).operation("GetObject").times(1));
        assert!(matches!(fetch().await.unwrap(), ManifestAnswer::Found(_)), "{name}");
        assert_eq!(handle.hits(), 1, "{name}");
        let handle = place.sandbox.inject(Fault::new(fault).operation("GetObject").times(1));
        assert_eq!(read().await.unwrap().len(), 5_000, "{name}");
        assert_eq!(handle.hits(), 1, "{name}");
        place.sandbox.clear_faults();
    }
    for (fault, text) in [
        (FaultKind::SlowDown, "throttles"),
        (FaultKind::InternalError, "failed to answer"),
        (FaultKind::ResetMidBody { after_bytes: 20 }, "could not be reached"),
    ] {
        place.sandbox.inject(Fault::new(fault).operation("GetObject"));
        let error = fetch().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
        assert!(error.message().contains(text), "{error}");
        let error = read().await.unwrap_err();
        let error = engine_error(&error);
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
        place.sandbox.clear_faults();
    }
    place.sandbox.inject(Fault::new(FaultKind::SlowDown));
    let error = place.connector.identify(&reader).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
}

#[tokio::test]
async fn a_silent_or_absent_aws_is_given_up_in_time() {
    let place = Place::with(SandboxSpec::in_memory(), |settings| AwsSettings {
        call_timeout: Duration::from_millis(200),
        max_attempts: 2,
        ..settings
    })
    .await;
    let reader = place.user("reader", LEAST);
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    let path = Path::parse(data_key("2026-07")).unwrap();
    let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
    place
        .sandbox
        .inject(Fault::new(FaultKind::Slow(Duration::from_secs(60))));
    let started = Instant::now();
    let read = store.get(&path).await.unwrap_err();
    for error in [
        &place.connector.identify(&reader).await.unwrap_err(),
        &place.source.probe(&at(BUCKET), &reader).await.unwrap_err(),
        engine_error(&read),
    ] {
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
        assert!(error.message().contains("in time"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());

    place.sandbox.shutdown().await;
    let read = store.get(&path).await.unwrap_err();
    for error in [
        &place.connector.identify(&reader).await.unwrap_err(),
        engine_error(&read),
    ] {
        assert_eq!(error.kind(), ErrorKind::AwsUnreachable, "{error:?}");
        assert!(error.message().contains("could not be reached"), "{error}");
    }
}
