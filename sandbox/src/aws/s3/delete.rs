//! Deleting objects, one or many.

use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response};

use super::write::write_condition;
use super::{Answer, Storage, caller_of, error};
use crate::aws::bucket::{WriteCondition, WriteError};
use crate::aws::policy::Context;

/// At most this many keys in one `DeleteObjects` request.
const MOST_KEYS: usize = 1000;

impl Storage {
    pub(super) fn remove_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let condition = write_condition(input.if_match, None)?;
        match bucket.remove(&input.key, &condition) {
            // Deleting what is not there succeeds.
            Ok(()) => Ok(S3Response::new(DeleteObjectOutput::default())),
            Err(failure) => Err(failure.into()),
        }
    }

    pub(super) fn remove_objects(&self, req: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        let caller = caller_of(&req)?;
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        if input.delete.objects.is_empty() || input.delete.objects.len() > MOST_KEYS {
            return Err(error(
                S3ErrorCode::MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema",
            ));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for object in input.delete.objects {
            let condition = object
                .e_tag
                .map_or(WriteCondition::None, |etag| WriteCondition::Matches(etag.into_value()));
            let allowed = self.cloud().allow(
                &caller,
                "s3:DeleteObject",
                &bucket,
                Some(&object.key),
                Context::default(),
            );
            let outcome = allowed.and_then(|()| bucket.remove(&object.key, &condition).map_err(WriteError::into));
            match outcome {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..Default::default()
                }),
                Err(failure) => errors.push(Error {
                    code: Some(failure.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: failure.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            request_charged: None,
        }))
    }
}
