//! Who may do what in S3: signatures' keys and tokens, Regions, faults and policies, before an operation runs.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::bucket::Bucket;
use super::cloud::{Cloud, Target};
use super::fault::FaultKind;
use super::identity::Principal;
use super::identity::key::TokenFailure;
use super::log::Exchange;
use super::policy::Context;
use super::s3::WrongRegion;
use super::signature::session_token;

/// Gives s3s the secrets that it checks signatures with.
pub(crate) struct Secrets(pub(crate) Arc<Cloud>);

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.identities.credential(access_key) {
            Some(credential) => Ok(SecretKey::from(credential.secret)),
            None => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records.",
            )),
        }
    }
}

/// The authenticated caller of an S3 request, for operations that must ask the policies again.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) exchange: Arc<Exchange>,
}

/// The check before every S3 operation.
pub(crate) struct Gate(pub(crate) Arc<Cloud>);

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let exchange = cx.extensions_mut().get::<Arc<Exchange>>().cloned();
        let exchange = exchange.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        let operation = cx.s3_op().name().to_owned();
        let (bucket_name, key) = match cx.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let query: Vec<(String, String)> = url::form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        exchange.update(|record| {
            record.operation.clone_from(&operation);
            record.bucket.clone_from(&bucket_name);
            record.key.clone_from(&key);
            record.prefix = query
                .iter()
                .find(|(name, _)| name == "prefix")
                .map(|(_, value)| value.clone());
        });
        let principal = self.caller(cx)?;
        if !principal.account.is_empty() {
            exchange.update(|record| {
                record.account = Some(principal.account.clone());
                record.principal = Some(principal.arn.clone());
            });
        }
        if let Some(fault) = self.0.suffer(&exchange).await {
            return Err(fault_error(&fault));
        }
        let caller = Caller {
            principal: Arc::new(principal),
            exchange,
        };
        match bucket_name.as_deref().map(|name| self.0.buckets.get(name)) {
            Some(None) if operation != "CreateBucket" => return Err(no_such_bucket()),
            Some(Some(bucket)) if operation != "CreateBucket" => {
                self.check_region(&bucket, &operation, &caller.exchange)?;
                check_expected_owner(&bucket, cx.headers())?;
                if let Some(action) = action_of(&operation) {
                    self.0
                        .allow(&caller, action, &bucket, key.as_deref(), listing_context(&query))?;
                }
            }
            _ => self.check_without_bucket(&caller, &operation, bucket_name.as_deref())?,
        }
        cx.extensions_mut().insert(caller);
        Ok(())
    }
}

impl Gate {
    fn caller(&self, cx: &S3AccessContext<'_>) -> S3Result<Principal> {
        let Some(credentials) = cx.credentials() else {
            return Ok(Principal::anonymous());
        };
        let gone = || S3Error::new(S3ErrorCode::InvalidAccessKeyId);
        let credential = self.0.identities.credential(&credentials.access_key).ok_or_else(gone)?;
        let token = session_token(cx.headers(), cx.uri());
        credential
            .check_token(token.as_deref(), self.0.clock.now())
            .map_err(|failure| match failure {
                TokenFailure::Invalid => S3Error::with_message(
                    S3ErrorCode::InvalidToken,
                    "The provided token is malformed or otherwise invalid.",
                ),
                TokenFailure::Expired => expired_token(),
            })?;
        self.0.identities.principal(&credential).ok_or_else(gone)
    }

    /// A request signed for another Region than the bucket's is sent away, without a `Location` header, as S3 does.
    fn check_region(&self, bucket: &Bucket, operation: &str, exchange: &Exchange) -> S3Result<()> {
        let Some(scope) = exchange.scope_region.as_deref() else {
            return Ok(());
        };
        // GetBucketLocation is answered from any Region: it is how clients find the right one.
        if scope == bucket.region || operation == "GetBucketLocation" {
            return Ok(());
        }
        let mut error = match self.0.wrong_region() {
            WrongRegion::PermanentRedirect => S3Error::with_message(
                S3ErrorCode::PermanentRedirect,
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all \
                 future requests to this endpoint.",
            ),
            WrongRegion::AuthorizationHeaderMalformed => S3Error::with_message(
                S3ErrorCode::AuthorizationHeaderMalformed,
                format!(
                    "The authorization header is malformed; the region '{scope}' is wrong; expecting '{}'",
                    bucket.region
                ),
            ),
        };
        let mut headers = HeaderMap::new();
        if let Ok(region) = HeaderValue::from_str(&bucket.region) {
            headers.insert("x-amz-bucket-region", region);
        }
        error.set_headers(headers);
        Err(error)
    }

    fn check_without_bucket(&self, caller: &Caller, operation: &str, bucket: Option<&str>) -> S3Result<()> {
        let arn = bucket.map_or_else(|| "*".to_owned(), |name| format!("arn:aws:s3:::{name}"));
        let action = match operation {
            "ListBuckets" => "s3:ListAllMyBuckets",
            "CreateBucket" => "s3:CreateBucket",
            _ => return Ok(()),
        };
        let target = Target {
            arn: &arn,
            ..Target::ANY
        };
        // Anonymous callers own nothing.
        if caller.principal.account.is_empty() {
            return Err(access_denied("Access Denied"));
        }
        let allowed = self
            .0
            .authorize(&caller.principal, action, &target, &caller.exchange, Context::default());
        allowed.map_err(|refusal| access_denied(&refusal.message))
    }
}

impl Cloud {
    /// Asks the policies for an action on a bucket (or an object in it).
    pub(crate) fn allow(
        &self,
        caller: &Caller,
        action: &str,
        bucket: &Bucket,
        key: Option<&str>,
        context: Context,
    ) -> S3Result<()> {
        let policy = bucket.policy();
        let arn = match key {
            Some(key) => format!("{}/{key}", bucket.arn()),
            None => bucket.arn(),
        };
        let target = Target {
            arn: &arn,
            account: Some(&bucket.owner),
            policy: policy.as_ref().map(|policy| policy.document.as_ref()),
        };
        let restricted = bucket
            .public_access_block()
            .is_some_and(|block| block.restrict_public_buckets);
        if caller.principal.account.is_empty() && restricted {
            return Err(access_denied("Access Denied"));
        }
        let allowed = self.authorize(&caller.principal, action, &target, &caller.exchange, context);
        allowed.map_err(|refusal| access_denied(&refusal.message))
    }
}

impl Cloud {
    /// Asks the policies for `kms:Decrypt` on the bucket's key, which all its objects count as encrypted with. The key's own
    /// policy is taken to trust its account's policies, and no other account.
    pub(crate) fn allow_decryption(&self, caller: &Caller, bucket: &Bucket) -> S3Result<()> {
        let Some(key) = bucket.encryption().kms_key else {
            return Ok(());
        };
        let target = Target {
            arn: &key,
            account: Some(&bucket.owner),
            policy: None,
        };
        let context = Context::default().with("kms:ViaService", format!("s3.{}.amazonaws.com", bucket.region));
        let allowed = self.authorize(&caller.principal, "kms:Decrypt", &target, &caller.exchange, context);
        allowed.map_err(|refusal| access_denied(&refusal.message))
    }
}

/// The IAM action of an operation on an existing bucket (Service Authorization Reference, Amazon S3). `None` where the
/// operation asks by itself (`DeleteObjects`, per key) or is not implemented here.
fn action_of(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "HeadBucket" | "ListObjects" | "ListObjectsV2" => "s3:ListBucket",
        "GetBucketLocation" => "s3:GetBucketLocation",
        "DeleteBucket" => "s3:DeleteBucket",
        "GetBucketPolicy" => "s3:GetBucketPolicy",
        "PutBucketPolicy" => "s3:PutBucketPolicy",
        "DeleteBucketPolicy" => "s3:DeleteBucketPolicy",
        "GetPublicAccessBlock" => "s3:GetBucketPublicAccessBlock",
        "PutPublicAccessBlock" | "DeletePublicAccessBlock" => "s3:PutBucketPublicAccessBlock",
        "GetBucketEncryption" => "s3:GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "s3:PutEncryptionConfiguration",
        "GetBucketVersioning" => "s3:GetBucketVersioning",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "PutObject" | "CopyObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            "s3:PutObject"
        }
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "ListParts" => "s3:ListMultipartUploadParts",
        "DeleteObject" => "s3:DeleteObject",
        _ => return None,
    })
}

/// Condition keys of list requests.
fn listing_context(query: &[(String, String)]) -> Context {
    let mut context = Context::default();
    for (name, key) in [
        ("prefix", "s3:prefix"),
        ("delimiter", "s3:delimiter"),
        ("max-keys", "s3:max-keys"),
    ] {
        if let Some((_, value)) = query.iter().find(|(given, _)| given == name) {
            context.set(key, value.clone());
        }
    }
    context
}

fn check_expected_owner(bucket: &Bucket, headers: &HeaderMap) -> S3Result<()> {
    match headers.get("x-amz-expected-bucket-owner") {
        Some(owner) if owner.as_bytes() != bucket.owner.as_bytes() => Err(access_denied("Access Denied")),
        _ => Ok(()),
    }
}

pub(crate) fn access_denied(message: &str) -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, message.to_owned())
}

pub(crate) fn no_such_bucket() -> S3Error {
    S3Error::with_message(S3ErrorCode::NoSuchBucket, "The specified bucket does not exist")
}

fn expired_token() -> S3Error {
    S3Error::with_message(S3ErrorCode::ExpiredToken, "The provided token has expired.")
}

fn fault_error(fault: &FaultKind) -> S3Error {
    match fault {
        FaultKind::SlowDown => S3Error::with_message(S3ErrorCode::SlowDown, "Please reduce your request rate."),
        FaultKind::ExpiredToken => expired_token(),
        _ => {
            let text = "We encountered an internal error. Please try again.";
            let mut error = S3Error::with_message(S3ErrorCode::InternalError, text);
            error.set_status_code(StatusCode::INTERNAL_SERVER_ERROR);
            error
        }
    }
}
