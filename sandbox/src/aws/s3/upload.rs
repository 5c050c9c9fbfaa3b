//! Multipart uploads.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::write::{Checksums, receive, write_condition};
use super::{Answer, Storage, error};
use crate::aws::multipart::CompleteFailure;
use crate::aws::object::StoredHeaders;

/// Part numbers run from 1 to 10,000.
const HIGHEST_PART: i32 = 10_000;

impl Storage {
    pub(super) fn open_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let headers = StoredHeaders {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        };
        let id = bucket.uploads.open(&input.key, headers);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        }))
    }

    pub(super) async fn store_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let checksums = Checksums::new(&req.headers, req.trailing_headers.clone());
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let upload = bucket
            .uploads
            .get(&input.upload_id, &input.key)
            .ok_or_else(no_such_upload)?;
        if !(1..=HIGHEST_PART).contains(&input.part_number) {
            return Err(error(
                S3ErrorCode::InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive",
            ));
        }
        let writer = bucket.writer(&input.key).await.map_err(S3Error::internal_error)?;
        let part = receive(writer, input.body, input.content_length, &checksums).await?;
        let etag = hex::encode(part.md5);
        upload.put_part(input.part_number, part);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            ..Default::default()
        }))
    }

    pub(super) fn describe_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let upload = bucket
            .uploads
            .get(&input.upload_id, &input.key)
            .ok_or_else(no_such_upload)?;
        let parts = upload.parts().into_iter().map(|(number, size, etag)| Part {
            e_tag: Some(ETag::Strong(etag)),
            part_number: Some(number),
            size: i64::try_from(size).ok(),
            ..Default::default()
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(false),
            parts: Some(parts.collect()),
            ..Default::default()
        }))
    }

    pub(super) async fn complete_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let condition = write_condition(input.if_match, input.if_none_match)?;
        let upload = bucket
            .uploads
            .get(&input.upload_id, &input.key)
            .ok_or_else(no_such_upload)?;
        let chosen = chosen_parts(input.multipart_upload)?;
        let (parts, etag) = upload.assemble(&chosen).map_err(complete_failure)?;
        let mut writer = bucket.writer(&input.key).await.map_err(S3Error::internal_error)?;
        for part in &parts {
            writer.append(part).await.map_err(S3Error::internal_error)?;
        }
        let written = writer.finish().await.map_err(S3Error::internal_error)?;
        let headers = upload.headers.clone();
        bucket.commit(
            &input.key,
            written,
            etag.clone(),
            headers,
            self.cloud().clock.now(),
            &condition,
        )?;
        bucket.uploads.close(&input.upload_id);
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            ..Default::default()
        }))
    }

    pub(super) fn abort_upload(&self, req: S3Request<AbortMultipartUploadInput>) -> Answer<AbortMultipartUploadOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        bucket
            .uploads
            .get(&input.upload_id, &input.key)
            .ok_or_else(no_such_upload)?;
        bucket.uploads.close(&input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

fn chosen_parts(upload: Option<CompletedMultipartUpload>) -> S3Result<Vec<(i32, String)>> {
    let parts = upload.and_then(|upload| upload.parts).unwrap_or_default();
    let malformed = || {
        error(
            S3ErrorCode::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    };
    let one = |part: CompletedPart| Some((part.part_number?, part.e_tag?.into_value()));
    parts.into_iter().map(|part| one(part).ok_or_else(malformed)).collect()
}

fn no_such_upload() -> S3Error {
    error(
        S3ErrorCode::NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    )
}

fn complete_failure(failure: CompleteFailure) -> S3Error {
    match failure {
        CompleteFailure::NoParts => error(S3ErrorCode::MalformedXML, "You must specify at least one part"),
        CompleteFailure::InvalidPart => error(
            S3ErrorCode::InvalidPart,
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified \
             entity tag may not match the part's entity tag.",
        ),
        CompleteFailure::InvalidPartOrder => error(
            S3ErrorCode::InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        ),
        CompleteFailure::EntityTooSmall => error(
            S3ErrorCode::EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size",
        ),
    }
}
