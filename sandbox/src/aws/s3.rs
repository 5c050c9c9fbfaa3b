//! The S3 operations, on s3s: it reads requests, checks signatures and writes answers; what the operations mean is here.

mod delete;
pub(crate) mod listing;
mod read;
mod settings;
mod upload;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::bucket::{Bucket, Encryption, WriteError};
use super::cloud::Cloud;
use super::s3_access::{Caller, no_such_bucket};

/// How S3 answers a request that was signed for another Region than the bucket's. Real endpoints do either, depending on
/// the address used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WrongRegion {
    /// 301 `PermanentRedirect`, without a `Location` header.
    #[default]
    PermanentRedirect,
    /// 400 `AuthorizationHeaderMalformed`.
    AuthorizationHeaderMalformed,
}

/// The S3 service.
pub(crate) struct Storage(pub(crate) Arc<Cloud>);

impl Storage {
    fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        self.0.buckets.get(name).ok_or_else(no_such_bucket)
    }

    fn cloud(&self) -> &Cloud {
        &self.0
    }
}

/// Who asks; the gate has put it there.
fn caller_of<T>(request: &S3Request<T>) -> S3Result<Caller> {
    request
        .extensions
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))
}

/// S3 keeps whole seconds.
fn timestamp(time: DateTime<Utc>) -> Timestamp {
    let whole = DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time);
    Timestamp::from(std::time::SystemTime::from(whole))
}

fn error(code: S3ErrorCode, message: impl Into<String>) -> S3Error {
    S3Error::with_message(code, message.into())
}

fn precondition_failed() -> S3Error {
    error(
        S3ErrorCode::PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold",
    )
}

fn no_such_key() -> S3Error {
    error(S3ErrorCode::NoSuchKey, "The specified key does not exist.")
}

impl From<WriteError> for S3Error {
    fn from(failure: WriteError) -> Self {
        match failure {
            WriteError::Precondition => precondition_failed(),
            WriteError::Missing => no_such_key(),
            WriteError::Io(source) => S3Error::internal_error(source),
        }
    }
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Storage {
    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        self.buckets_of_caller(req)
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        let bucket = self.bucket(&req.input.bucket)?;
        let output = HeadBucketOutput {
            bucket_region: Some(bucket.region.clone()),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn get_bucket_location(&self, req: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        let bucket = self.bucket(&req.input.bucket)?;
        // us-east-1 reads as null.
        let constraint = (bucket.region != "us-east-1").then(|| BucketLocationConstraint::from(bucket.region.clone()));
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: constraint,
        }))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        self.make_bucket(req)
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        match self.0.buckets.delete(&req.input.bucket) {
            Ok(true) => Ok(S3Response::new(DeleteBucketOutput::default())),
            Ok(false) => Err(no_such_bucket()),
            Err(_) => Err(error(
                S3ErrorCode::BucketNotEmpty,
                "The bucket you tried to delete is not empty",
            )),
        }
    }

    async fn get_bucket_policy(&self, req: S3Request<GetBucketPolicyInput>) -> Answer<GetBucketPolicyOutput> {
        self.read_policy(req)
    }

    async fn put_bucket_policy(&self, req: S3Request<PutBucketPolicyInput>) -> Answer<PutBucketPolicyOutput> {
        self.replace_policy(req)
    }

    async fn delete_bucket_policy(&self, req: S3Request<DeleteBucketPolicyInput>) -> Answer<DeleteBucketPolicyOutput> {
        self.bucket(&req.input.bucket)?
            .set_policy(None)
            .map_err(S3Error::internal_error)?;
        Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
    }

    async fn get_public_access_block(
        &self,
        req: S3Request<GetPublicAccessBlockInput>,
    ) -> Answer<GetPublicAccessBlockOutput> {
        self.read_public_access_block(req)
    }

    async fn put_public_access_block(
        &self,
        req: S3Request<PutPublicAccessBlockInput>,
    ) -> Answer<PutPublicAccessBlockOutput> {
        self.replace_public_access_block(req)
    }

    async fn delete_public_access_block(
        &self,
        req: S3Request<DeletePublicAccessBlockInput>,
    ) -> Answer<DeletePublicAccessBlockOutput> {
        self.bucket(&req.input.bucket)?
            .set_public_access_block(None)
            .map_err(S3Error::internal_error)?;
        Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
    }

    async fn get_bucket_encryption(
        &self,
        req: S3Request<GetBucketEncryptionInput>,
    ) -> Answer<GetBucketEncryptionOutput> {
        self.read_encryption(req)
    }

    async fn put_bucket_encryption(
        &self,
        req: S3Request<PutBucketEncryptionInput>,
    ) -> Answer<PutBucketEncryptionOutput> {
        self.replace_encryption(req)
    }

    async fn delete_bucket_encryption(
        &self,
        req: S3Request<DeleteBucketEncryptionInput>,
    ) -> Answer<DeleteBucketEncryptionOutput> {
        self.bucket(&req.input.bucket)?
            .set_encryption(Encryption::default())
            .map_err(S3Error::internal_error)?;
        Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        // No versions are kept: an empty answer is S3's "never switched on".
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        self.list_version_one(req)
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        self.list_version_two(req)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.describe_object(req)
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        self.read_object(req).await
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        self.store_object(req).await
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        self.duplicate_object(req).await
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.remove_object(req)
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        self.remove_objects(req)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        self.open_upload(req)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        self.store_part(req).await
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        self.describe_parts(req)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        self.complete_upload(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        self.abort_upload(req)
    }
}
