//! `GetObject` and `HeadObject`: conditions, ranges and the object's own headers.

use std::ops::Range as ByteRange;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::{Answer, Storage, caller_of, error, no_such_key, precondition_failed, timestamp};
use crate::aws::object::{ContentStream, Object as StoredObject, ObjectAttributes};
use crate::aws::policy::Context;
use crate::aws::s3_access::Caller;

/// Conditional headers of a read.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// RFC 9110 section 13.2.2, which S3 follows: the ETag conditions take precedence over the dates.
    fn check(&self, object: &ObjectAttributes) -> S3Result<()> {
        let modified = timestamp(object.last_modified);
        let etag = ETag::Strong(object.etag.clone());
        let matches = |condition: &ETagCondition, weak: bool| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(given) if weak => given.weak_cmp(&etag),
            ETagCondition::ETag(given) => given.strong_cmp(&etag),
        };
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, false) => return Err(precondition_failed()),
            (None, Some(since)) if modified > *since => return Err(precondition_failed()),
            _ => {}
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, true),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if unchanged { Err(not_modified(object)) } else { Ok(()) }
    }
}

fn not_modified(object: &ObjectAttributes) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", object.etag)) {
        headers.insert(header::ETAG, etag);
    }
    let modified = object.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(modified) = HeaderValue::from_str(&modified) {
        headers.insert(header::LAST_MODIFIED, modified);
    }
    error.set_headers(headers);
    error
}

/// The bytes that are asked for, and the `Content-Range` that says so.
fn byte_range(range: Option<Range>, size: u64) -> S3Result<(ByteRange<u64>, Option<String>)> {
    let Some(range) = range else {
        return Ok((0..size, None));
    };
    match range.check(size) {
        Ok(range) if !range.is_empty() => {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            Ok((range, Some(text)))
        }
        _ => {
            let mut error = error(S3ErrorCode::InvalidRange, "The requested range is not satisfiable");
            error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                headers.insert(header::CONTENT_RANGE, value);
            }
            error.set_headers(headers);
            Err(error)
        }
    }
}

impl Storage {
    /// The object, or the error that S3 gives instead: who may not list must not learn that a key is missing.
    fn find(&self, bucket: &str, key: &str, caller: &Caller) -> S3Result<Arc<StoredObject>> {
        let bucket = self.bucket(bucket)?;
        match bucket.object(key) {
            Some(object) => Ok(object),
            None => {
                self.cloud()
                    .allow(caller, "s3:ListBucket", &bucket, None, Context::default())?;
                Err(no_such_key())
            }
        }
    }

    pub(super) fn describe_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let caller = caller_of(&req)?;
        let input = req.input;
        let object = self.find(&input.bucket, &input.key, &caller)?;
        let attributes = &object.attributes;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(attributes)?;
        let (range, content_range) = byte_range(input.range, attributes.size)?;
        let status = content_range.is_some().then_some(StatusCode::PARTIAL_CONTENT);
        let headers = attributes.headers.clone();
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range,
            content_type: headers.content_type.or_else(default_type),
            e_tag: Some(ETag::Strong(attributes.etag.clone())),
            last_modified: Some(timestamp(attributes.last_modified)),
            metadata: Some(headers.metadata.into_iter().collect()),
            server_side_encryption: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
            ..Default::default()
        };
        let mut response = S3Response::new(output);
        response.status = status;
        Ok(response)
    }

    pub(super) async fn read_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let caller = caller_of(&req)?;
        let input = req.input;
        let object = self.find(&input.bucket, &input.key, &caller)?;
        let attributes = &object.attributes;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(attributes)?;
        let bucket = self.bucket(&input.bucket)?;
        self.cloud().allow_decryption(&caller, &bucket)?;
        let encryption = bucket.encryption();
        let (range, content_range) = byte_range(input.range, attributes.size)?;
        let length = range.end - range.start;
        let stream = ContentStream::open(&object.content, range)
            .await
            .map_err(S3Error::internal_error)?;
        let headers = attributes.headers.clone();
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::new(stream)),
            cache_control: headers.cache_control,
            content_disposition: headers.content_disposition,
            content_encoding: headers.content_encoding,
            content_length: i64::try_from(length).ok(),
            content_range,
            content_type: headers.content_type.or_else(default_type),
            e_tag: Some(ETag::Strong(attributes.etag.clone())),
            last_modified: Some(timestamp(attributes.last_modified)),
            metadata: Some(headers.metadata.into_iter().collect()),
            server_side_encryption: Some(ServerSideEncryption::from(encryption.algorithm)),
            ssekms_key_id: encryption.kms_key,
            ..Default::default()
        }))
    }
}

fn default_type() -> Option<String> {
    Some("binary/octet-stream".to_owned())
}
