//! Buckets that a key of KMS encrypts: what reading them takes, and what its refusal says.

use farthing_engine::port::{AwsAdministration, BucketEncryption};

use super::*;

const KEY: &str = "arn:aws:kms:us-east-1:012345678901:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn reader(with_key: Option<&str>) -> String {
    let decrypt = with_key.map_or_else(String::new, |key| {
        format!(",{{\"Effect\": \"Allow\", \"Action\": \"kms:Decrypt\", \"Resource\": \"{key}\"}}")
    });
    let end = LEAST.rfind(']').unwrap();
    format!("{}{decrypt}{}", &LEAST[..end], &LEAST[end..])
}

#[tokio::test]
async fn reading_takes_kms_decrypt_and_a_refusal_says_so() {
    let place = Place::new().await;
    place.deliver(BUCKET, "2026-07", "x1", "rows").await;
    place.sandbox.encrypt_bucket(BUCKET, KEY).unwrap();
    let blind = place.user("blind", &reader(None));
    let other = place.user("other", &reader(Some("arn:aws:kms:us-east-1:012345678901:key/other")));
    for user in [&blind, &other] {
        let store = place.source.open(&at(BUCKET), user).await.unwrap();
        let read = store.get(&data_key("2026-07").into()).await.unwrap_err();
        let manifest = place
            .source
            .fetch_manifest(&at(BUCKET), user, period("2026-07"), None)
            .await;
        for error in [engine_error(&read), &manifest.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::AwsRefused, "{error:?}");
            assert!(
                error
                    .message()
                    .starts_with(&format!("AWS refused kms:Decrypt on {KEY}: ")),
                "{error:?}"
            );
            let statement = format!("{{\"Effect\": \"Allow\", \"Action\": \"kms:Decrypt\", \"Resource\": \"{KEY}\"}}");
            let hint = error.hint().unwrap();
            assert!(hint.contains(&statement), "{hint}");
            assert!(hint.contains("key's own policy"), "{hint}");
        }
    }
    let reader = place.user("reader", &reader(Some(KEY)));
    let store = place.source.open(&at(BUCKET), &reader).await.unwrap();
    let read = store.get(&data_key("2026-07").into()).await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), "rows");
    let manifest = place
        .source
        .fetch_manifest(&at(BUCKET), &reader, period("2026-07"), None)
        .await;
    let ManifestAnswer::Found(found) = manifest.unwrap() else {
        panic!("no manifest")
    };
    assert_eq!(found.kms_key.as_deref(), Some(KEY));
}

#[tokio::test]
async fn the_key_of_a_bucket_is_told() {
    let place = Place::new().await;
    place.sandbox.encrypt_bucket(BUCKET, KEY).unwrap();
    let all = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
    let found = place
        .connector
        .administration()
        .bucket(&place.user("admin", all), BUCKET)
        .await
        .unwrap()
        .unwrap();
    let key = Some(KEY.to_owned());
    assert_eq!(found.encryption, BucketEncryption::Kms { key });
}
