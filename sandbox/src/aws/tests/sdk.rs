//! S3 with the AWS SDK: its checksums, its streaming signatures, its reading of errors.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{BUCKET, Organisation, user};
use crate::aws::{AccessKey, Sandbox};

pub(super) fn client(sandbox: &Sandbox, key: &AccessKey) -> aws_sdk_s3::Client {
    client_in(sandbox, key, "us-east-1")
}

pub(super) fn client_in(sandbox: &Sandbox, key: &AccessKey, region: &'static str) -> aws_sdk_s3::Client {
    let config = sdk_config!(aws_sdk_s3, sandbox, key, region).force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

#[tokio::test]
async fn objects_and_settings() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let s3 = client(&sandbox, &admin);
    let put = s3.put_object().bucket(BUCKET).key("a b/ü").metadata("origin", "test");
    put.body(ByteStream::from_static(b"content")).send().await.unwrap();
    let got = s3.get_object().bucket(BUCKET).key("a b/ü").send().await.unwrap();
    assert_eq!(got.metadata().unwrap()["origin"], "test");
    assert_eq!(got.body.collect().await.unwrap().into_bytes(), "content");
    let head = s3.head_bucket().bucket(BUCKET).send().await.unwrap();
    assert_eq!(head.bucket_region(), Some("us-east-1"));
    let location = s3.get_bucket_location().bucket(BUCKET).send().await.unwrap();
    assert!(
        location
            .location_constraint()
            .is_none_or(|constraint| constraint.as_str().is_empty())
    );
    let listed = s3.list_objects_v2().bucket(BUCKET).delimiter("/").send().await.unwrap();
    assert_eq!(listed.common_prefixes()[0].prefix(), Some("a b/"));
    let block = s3.get_public_access_block().bucket(BUCKET).send().await.unwrap();
    assert_eq!(
        block.public_access_block_configuration().unwrap().block_public_policy(),
        Some(true)
    );
    let missing = s3.get_bucket_policy().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(missing.code(), Some("NoSuchBucketPolicy"));
    let missing = s3.get_object().bucket(BUCKET).key("missing").send().await.unwrap_err();
    assert!(missing.into_service_error().is_no_such_key());
    let missing = s3.head_object().bucket(BUCKET).key("missing").send().await.unwrap_err();
    assert!(missing.into_service_error().is_not_found());
}

#[tokio::test]
async fn multipart_and_batch_delete() {
    let Organisation { sandbox, admin } = Organisation::start().await;
    let s3 = client(&sandbox, &admin);
    let upload = s3
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("m")
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = Vec::new();
    for number in 1..=2 {
        let part = s3
            .upload_part()
            .bucket(BUCKET)
            .key("m")
            .upload_id(id)
            .part_number(number);
        let sent = part
            .body(vec![b'0' + number as u8; 5 * 1024 * 1024].into())
            .send()
            .await
            .unwrap();
        let done = aws_sdk_s3::types::CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .build();
        parts.push(done);
    }
    let chosen = aws_sdk_s3::types::CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = s3
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("m")
        .upload_id(id)
        .multipart_upload(chosen);
    complete.send().await.unwrap();
    let head = s3.head_object().bucket(BUCKET).key("m").send().await.unwrap();
    assert_eq!(head.content_length(), Some(10 * 1024 * 1024));
    sandbox.put_object(BUCKET, "n", "x").await.unwrap();
    let keys = ["m", "n", "never-there"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let batch = Delete::builder().set_objects(Some(keys.to_vec())).build().unwrap();
    let deleted = s3.delete_objects().bucket(BUCKET).delete(batch).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    assert_eq!(
        s3.list_objects_v2().bucket(BUCKET).send().await.unwrap().key_count(),
        Some(0)
    );
}

#[tokio::test]
async fn denials_reach_the_caller() {
    let Organisation { sandbox, .. } = Organisation::start().await;
    let nobody = user(&sandbox, super::PAYER, "nobody", None);
    let denied = client(&sandbox, &nobody)
        .list_objects_v2()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Some("AccessDenied"));
    assert!(
        denied
            .message()
            .unwrap()
            .contains("no identity-based policy allows the s3:ListBucket action")
    );
}
