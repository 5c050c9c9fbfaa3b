//! Operations on buckets themselves.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response};

use super::{Answer, Storage, caller_of, error, timestamp};
use crate::aws::SandboxError;
use crate::aws::bucket::{Encryption, PublicAccessBlock};
use crate::aws::identity::canonical_user_id;

impl Storage {
    pub(super) fn buckets_of_caller(&self, req: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let account = caller_of(&req)?.principal.account.clone();
        let prefix = req.input.prefix.unwrap_or_default();
        let region = req.input.bucket_region;
        let owned = self.cloud().buckets.owned_by(&account).into_iter();
        let shown = owned
            .filter(|bucket| bucket.name.starts_with(&prefix))
            .filter(|bucket| region.as_ref().is_none_or(|region| *region == bucket.region));
        let buckets = shown.map(|bucket| Bucket {
            bucket_region: Some(bucket.region.clone()),
            creation_date: Some(timestamp(bucket.created)),
            name: Some(bucket.name.clone()),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(Owner {
                display_name: None,
                id: Some(canonical_user_id(&account)),
            }),
            prefix: (!prefix.is_empty()).then_some(prefix),
            ..Default::default()
        }))
    }

    pub(super) fn make_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let caller = caller_of(&req)?;
        let name = &req.input.bucket;
        let endpoint = caller
            .exchange
            .scope_region
            .clone()
            .unwrap_or_else(|| "us-east-1".to_owned());
        let constraint = req
            .input
            .create_bucket_configuration
            .and_then(|configuration| configuration.location_constraint);
        let constraint = constraint.map(|constraint| match constraint.as_str() {
            "EU" => "eu-west-1".to_owned(),
            region => region.to_owned(),
        });
        let region = match constraint {
            Some(region) if region == "us-east-1" || !is_region(&region) => {
                return Err(error(
                    S3ErrorCode::InvalidLocationConstraint,
                    "The specified location-constraint is not valid",
                ));
            }
            // The us-east-1 endpoint creates buckets anywhere, the others only at home.
            Some(region) if endpoint == "us-east-1" || region == endpoint => region,
            None if endpoint == "us-east-1" => endpoint,
            other => {
                let name = other.as_deref().unwrap_or("unspecified");
                return Err(error(
                    S3ErrorCode::IllegalLocationConstraintException,
                    format!(
                        "The {name} location constraint is incompatible for the region specific endpoint this request was \
                         sent to."
                    ),
                ));
            }
        };
        if let Some(present) = self.cloud().buckets.get(name) {
            return if present.owner != caller.principal.account {
                Err(error(
                    S3ErrorCode::BucketAlreadyExists,
                    "The requested bucket name is not available. The bucket namespace is shared by all users of the system. \
                     Please select a different name and try again.",
                ))
            } else if present.region == "us-east-1" && region == "us-east-1" {
                Ok(created(name))
            } else {
                Err(error(
                    S3ErrorCode::BucketAlreadyOwnedByYou,
                    "Your previous request to create the named bucket succeeded and you already own it.",
                ))
            };
        }
        let now = self.cloud().clock.now();
        match self
            .cloud()
            .buckets
            .create(name, &caller.principal.account, &region, now)
        {
            Ok(_) => Ok(created(name)),
            // Another request was faster.
            Err(SandboxError::AlreadyExists(_)) => Err(error(
                S3ErrorCode::OperationAborted,
                "A conflicting conditional operation is currently in progress against this resource. Please try again.",
            )),
            Err(failure) => Err(S3Error::internal_error(failure)),
        }
    }

    pub(super) fn read_policy(&self, req: S3Request<GetBucketPolicyInput>) -> Answer<GetBucketPolicyOutput> {
        let policy = self.bucket(&req.input.bucket)?.policy();
        let policy =
            policy.ok_or_else(|| error(S3ErrorCode::NoSuchBucketPolicy, "The bucket policy does not exist"))?;
        Ok(S3Response::new(GetBucketPolicyOutput {
            policy: Some(policy.text),
        }))
    }

    pub(super) fn replace_policy(&self, req: S3Request<PutBucketPolicyInput>) -> Answer<PutBucketPolicyOutput> {
        let bucket = self.bucket(&req.input.bucket)?;
        let malformed = |message: String| error(S3ErrorCode::MalformedPolicy, message);
        let policy = bucket
            .parse_policy(&req.input.policy)
            .map_err(|failure| malformed(failure.to_string()))?;
        let known = |name: &str| self.cloud().identities.principal_exists(name);
        if !policy.document.aws_principals().all(known) {
            return Err(malformed("Invalid principal in policy".to_owned()));
        }
        let blocked = bucket
            .public_access_block()
            .is_some_and(|block| block.block_public_policy);
        if blocked && policy.document.is_public() {
            let caller = caller_of(&req)?;
            return Err(error(
                S3ErrorCode::AccessDenied,
                format!(
                    "User: {} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" because public policies \
                     are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
                    caller.principal.arn,
                    bucket.arn()
                ),
            ));
        }
        bucket
            .set_policy(Some(&req.input.policy))
            .map_err(S3Error::internal_error)?;
        Ok(S3Response::new(PutBucketPolicyOutput::default()))
    }

    pub(super) fn read_public_access_block(
        &self,
        req: S3Request<GetPublicAccessBlockInput>,
    ) -> Answer<GetPublicAccessBlockOutput> {
        let block = self.bucket(&req.input.bucket)?.public_access_block().ok_or_else(|| {
            let code = S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into());
            let mut missing = error(code, "The public access block configuration was not found");
            missing.set_status_code(http::StatusCode::NOT_FOUND);
            missing
        })?;
        Ok(S3Response::new(GetPublicAccessBlockOutput {
            public_access_block_configuration: Some(PublicAccessBlockConfiguration {
                block_public_acls: Some(block.block_public_acls),
                block_public_policy: Some(block.block_public_policy),
                ignore_public_acls: Some(block.ignore_public_acls),
                restrict_public_buckets: Some(block.restrict_public_buckets),
            }),
        }))
    }

    pub(super) fn replace_public_access_block(
        &self,
        req: S3Request<PutPublicAccessBlockInput>,
    ) -> Answer<PutPublicAccessBlockOutput> {
        let wanted = req.input.public_access_block_configuration;
        let block = PublicAccessBlock {
            block_public_acls: wanted.block_public_acls.unwrap_or(false),
            ignore_public_acls: wanted.ignore_public_acls.unwrap_or(false),
            block_public_policy: wanted.block_public_policy.unwrap_or(false),
            restrict_public_buckets: wanted.restrict_public_buckets.unwrap_or(false),
        };
        let bucket = self.bucket(&req.input.bucket)?;
        bucket
            .set_public_access_block(Some(block))
            .map_err(S3Error::internal_error)?;
        Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
    }
}

impl Storage {
    pub(super) fn read_encryption(
        &self,
        req: S3Request<GetBucketEncryptionInput>,
    ) -> Answer<GetBucketEncryptionOutput> {
        let encryption = self.bucket(&req.input.bucket)?.encryption();
        let rule = ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
                kms_master_key_id: encryption.kms_key,
                sse_algorithm: ServerSideEncryption::from(encryption.algorithm),
            }),
            bucket_key_enabled: Some(encryption.bucket_key),
        };
        Ok(S3Response::new(GetBucketEncryptionOutput {
            server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration { rules: vec![rule] }),
        }))
    }

    pub(super) fn replace_encryption(
        &self,
        req: S3Request<PutBucketEncryptionInput>,
    ) -> Answer<PutBucketEncryptionOutput> {
        let malformed = || {
            let text = "The XML you provided was not well-formed or did not validate against our published schema";
            error(S3ErrorCode::MalformedXML, text)
        };
        let mut rules = req.input.server_side_encryption_configuration.rules.into_iter();
        let (Some(rule), None) = (rules.next(), rules.next()) else {
            return Err(malformed());
        };
        let wanted = rule.apply_server_side_encryption_by_default.ok_or_else(malformed)?;
        let algorithm = wanted.sse_algorithm.as_str();
        if !matches!(algorithm, "AES256" | "aws:kms" | "aws:kms:dsse") {
            return Err(malformed());
        }
        if algorithm == "AES256" && wanted.kms_master_key_id.is_some() {
            return Err(error(
                S3ErrorCode::InvalidArgument,
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ));
        }
        let encryption = Encryption {
            algorithm: algorithm.to_owned(),
            kms_key: wanted.kms_master_key_id,
            bucket_key: rule.bucket_key_enabled.unwrap_or(false),
        };
        let bucket = self.bucket(&req.input.bucket)?;
        bucket.set_encryption(encryption).map_err(S3Error::internal_error)?;
        Ok(S3Response::new(PutBucketEncryptionOutput::default()))
    }
}

/// Whether a location constraint looks like a Region: `eu-central-1`, `us-gov-west-1`.
fn is_region(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let number = parts
        .next()
        .is_some_and(|part| part.len() == 1 && part.as_bytes()[0].is_ascii_digit());
    let words: Vec<&str> = parts.collect();
    let letters = |part: &&str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    number && words.len() >= 2 && words.iter().all(letters)
}

fn created(name: &str) -> S3Response<CreateBucketOutput> {
    S3Response::new(CreateBucketOutput {
        location: Some(format!("/{name}")),
    })
}
