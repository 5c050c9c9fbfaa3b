//! `PutObject` and `CopyObject`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt as _;
use http::StatusCode;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, TrailingHeaders};

use super::{Answer, Storage, caller_of, error, no_such_key, precondition_failed, timestamp};
use crate::aws::bucket::WriteCondition;
use crate::aws::object::{ContentStream, ContentWriter, StoredHeaders, Written};
use crate::aws::policy::Context;

/// The checksums that a client sent with a body: in headers, or in trailers after it.
pub(super) struct Checksums {
    /// `Content-MD5`, in base64.
    md5: Option<String>,
    expected: Vec<(&'static str, String)>,
    trailers: Option<TrailingHeaders>,
}

impl Checksums {
    pub(super) fn new(headers: &http::HeaderMap, trailers: Option<TrailingHeaders>) -> Self {
        let expected = NAMES.iter().filter_map(|name| {
            let value = headers.get(*name)?.to_str().ok()?;
            Some((*name, value.to_owned()))
        });
        let mut checksums = Self {
            md5: headers
                .get("content-md5")
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            expected: expected.collect(),
            trailers,
        };
        // A trailer is announced before the body, so that it can be computed while the body passes.
        if let Some(announced) = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()) {
            let announced = NAMES.iter().filter(|name| announced.trim().eq_ignore_ascii_case(name));
            checksums.expected.extend(announced.map(|name| (*name, String::new())));
        }
        checksums
    }

    fn hasher(&self) -> ChecksumHasher {
        let wanted = |name: &str| self.expected.iter().any(|(expected, _)| *expected == name);
        ChecksumHasher {
            crc32: wanted(NAMES[0]).then(Crc32::new),
            crc32c: wanted(NAMES[1]).then(Crc32c::new),
            crc64nvme: wanted(NAMES[2]).then(Crc64Nvme::new),
            sha1: wanted(NAMES[3]).then(Sha1::new),
            sha256: wanted(NAMES[4]).then(Sha256::new),
        }
    }

    /// Compares what came with what was promised.
    fn check(&self, hasher: ChecksumHasher, md5: [u8; 16]) -> S3Result<()> {
        if let Some(expected) = &self.md5 {
            match BASE64_STANDARD.decode(expected) {
                Ok(expected) if expected == md5 => {}
                Ok(expected) if expected.len() == md5.len() => {
                    return Err(error(
                        S3ErrorCode::BadDigest,
                        "The Content-MD5 you specified did not match what we received.",
                    ));
                }
                _ => {
                    return Err(error(
                        S3ErrorCode::InvalidDigest,
                        "The Content-MD5 you specified is not valid.",
                    ));
                }
            }
        }
        let sum = hasher.finalize();
        let trailers = self.trailers.as_ref().and_then(TrailingHeaders::take);
        for (name, expected) in &self.expected {
            let computed = match *name {
                "x-amz-checksum-crc32" => &sum.checksum_crc32,
                "x-amz-checksum-crc32c" => &sum.checksum_crc32c,
                "x-amz-checksum-crc64nvme" => &sum.checksum_crc64nvme,
                "x-amz-checksum-sha1" => &sum.checksum_sha1,
                _ => &sum.checksum_sha256,
            };
            let in_trailer = || {
                let value = trailers.as_ref()?.get(*name)?;
                value.to_str().ok().map(str::to_owned)
            };
            let expected = if expected.is_empty() {
                in_trailer()
            } else {
                Some(expected.clone())
            };
            if expected.is_some() && expected != *computed {
                return Err(error(
                    S3ErrorCode::BadDigest,
                    format!(
                        "The {} you specified did not match the calculated checksum.",
                        name.trim_start_matches("x-amz-checksum-").to_uppercase()
                    ),
                ));
            }
        }
        Ok(())
    }
}

const NAMES: [&str; 5] = [
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// Reads a request's body into a writer. The declared length and the checksums must hold.
pub(super) async fn receive(
    mut writer: ContentWriter,
    body: Option<StreamingBlob>,
    length: Option<i64>,
    checksums: &Checksums,
) -> S3Result<Written> {
    let mut hasher = checksums.hasher();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(body_failure)?;
            hasher.update(&chunk);
            writer.write(&chunk).await.map_err(S3Error::internal_error)?;
        }
    }
    let written = writer.finish().await.map_err(S3Error::internal_error)?;
    let complete = length.is_none_or(|length| u64::try_from(length).is_ok_and(|length| length == written.size));
    let checked = if complete {
        checksums.check(hasher, written.md5)
    } else {
        Err(error(
            S3ErrorCode::IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ))
    };
    match checked {
        Ok(()) => Ok(written),
        Err(failure) => {
            written.content.discard();
            Err(failure)
        }
    }
}

/// s3s reports a body that does not match its signed hash as an error of the body stream.
fn body_failure(source: s3s::StdError) -> S3Error {
    let text = source.to_string();
    let code = if text.to_ascii_lowercase().contains("checksum") || text.to_ascii_lowercase().contains("sha256") {
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into())
    } else if text.to_ascii_lowercase().contains("signature") {
        S3ErrorCode::SignatureDoesNotMatch
    } else {
        S3ErrorCode::IncompleteBody
    };
    let mut failure = error(
        code,
        "The request body could not be read as it was signed and declared.",
    );
    failure.set_status_code(failure.status_code().unwrap_or(StatusCode::BAD_REQUEST));
    failure.set_source(source);
    failure
}

/// The condition of a conditional write.
pub(super) fn write_condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<WriteCondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(ETagCondition::Any)) => Ok(WriteCondition::Absent),
        (Some(ETagCondition::Any), None) => Ok(WriteCondition::Matches("*".to_owned())),
        (Some(ETagCondition::ETag(etag)), None) => Ok(WriteCondition::Matches(etag.into_value())),
        _ => Err(error(
            S3ErrorCode::NotImplemented,
            "A header you provided implies functionality that is not implemented",
        )),
    }
}

impl Storage {
    pub(super) async fn store_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let checksums = Checksums::new(&req.headers, req.trailing_headers.clone());
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let condition = write_condition(input.if_match, input.if_none_match)?;
        let headers = StoredHeaders {
            content_type: input.content_type,
            content_encoding: input.content_encoding.and_then(without_chunking),
            content_disposition: input.content_disposition,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        };
        let writer = bucket.writer(&input.key).await.map_err(S3Error::internal_error)?;
        let written = receive(writer, input.body, input.content_length, &checksums).await?;
        let etag = hex::encode(written.md5);
        bucket.commit(
            &input.key,
            written,
            etag.clone(),
            headers,
            self.cloud().clock.now(),
            &condition,
        )?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        }))
    }

    pub(super) async fn duplicate_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let caller = caller_of(&req)?;
        let create_only = req
            .headers
            .get(http::header::IF_NONE_MATCH)
            .is_some_and(|value| value == "*");
        let input = req.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(error(
                S3ErrorCode::NotImplemented,
                "Only objects in buckets can be copied.",
            ));
        };
        let source_bucket = self.bucket(bucket)?;
        self.cloud()
            .allow(&caller, "s3:GetObject", &source_bucket, Some(key), Context::default())?;
        let source = source_bucket.object(key).ok_or_else(no_such_key)?;
        if let Some(ETagCondition::ETag(etag)) = &input.copy_source_if_match
            && etag.value() != source.attributes.etag
        {
            return Err(precondition_failed());
        }
        let target = self.bucket(&input.bucket)?;
        let mut writer = target.writer(&input.key).await.map_err(S3Error::internal_error)?;
        let whole = 0..source.attributes.size;
        let mut stream = ContentStream::open(&source.content, whole)
            .await
            .map_err(S3Error::internal_error)?;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|source| S3Error::with_source(S3ErrorCode::InternalError, source))?;
            writer.write(&chunk).await.map_err(S3Error::internal_error)?;
        }
        let written = writer.finish().await.map_err(S3Error::internal_error)?;
        let etag = hex::encode(written.md5);
        let replace = input
            .metadata_directive
            .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let headers = if replace {
            StoredHeaders {
                content_type: input.content_type,
                content_encoding: input.content_encoding,
                content_disposition: input.content_disposition,
                cache_control: input.cache_control,
                metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            }
        } else {
            source.attributes.headers.clone()
        };
        let condition = if create_only {
            WriteCondition::Absent
        } else {
            WriteCondition::None
        };
        let copy = target.commit(
            &input.key,
            written,
            etag.clone(),
            headers,
            self.cloud().clock.now(),
            &condition,
        )?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(etag)),
                last_modified: Some(timestamp(copy.attributes.last_modified)),
                ..Default::default()
            }),
            ..Default::default()
        }))
    }
}

/// `aws-chunked` says how the body travelled and is not stored.
fn without_chunking(encoding: String) -> Option<String> {
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|part| *part != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}
