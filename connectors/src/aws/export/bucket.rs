//! An S3 bucket: the AWS SDK for looking and for manifests, `object_store` for the data.
//!
//! Needs `s3:ListBucket` and `s3:GetObject` and nothing else. The bucket's Region is learned from S3's own answers, which
//! name it even when they refuse.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use farthing_engine::error::{Error, ErrorKind, Result};
use farthing_engine::port::{AccessKey, Credential};
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::client::SpawnedReqwestConnector;
use object_store::{
    BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::read_only::{Explain, ReadOnlyStore};
use super::{Content, DeliveryRoot, ListedObject, Listing, Memory, Read, incomplete};
use crate::aws::error::{AwsCall, Failure, object_store_error};
use crate::aws::{AwsClients, manifest};

/// Pages of one listing, of up to a thousand keys each.
const MAX_PAGES: usize = 10_000;

/// The Regions of buckets as S3 named them.
pub(crate) type RegionMemory = Memory<String, String>;

pub(crate) struct BucketRoot {
    clients: Arc<AwsClients>,
    regions: Arc<RegionMemory>,
    key: AccessKey,
    /// What the key comes from, for stores that outlive it.
    credential: Credential,
    bucket: String,
    region_hint: Option<String>,
    base_key: String,
}

/// The key as object_store signs with it.
#[expect(clippy::disallowed_methods, reason = "object_store signs with it")]
fn signing_key(key: &AccessKey) -> AwsCredential {
    AwsCredential {
        key_id: key.access_key_id.clone(),
        secret_key: key.secret_access_key.open().to_owned(),
        token: key.session_token.as_ref().map(|token| token.open().to_owned()),
    }
}

/// The present key of a role or of the machine, for each request.
struct SessionProvider {
    clients: Arc<AwsClients>,
    credential: Credential,
}

impl std::fmt::Debug for SessionProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionProvider").finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for SessionProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.clients.access_key(&self.credential).await {
            Ok(key) => Ok(Arc::new(signing_key(&key))),
            Err(error) => Err(object_store::Error::Generic {
                store: "S3",
                source: Box::new(error),
            }),
        }
    }
}

impl BucketRoot {
    pub(crate) fn new(
        clients: Arc<AwsClients>,
        regions: Arc<RegionMemory>,
        key: AccessKey,
        credential: &Credential,
        bucket: &str,
        region_hint: Option<&str>,
        base_key: &str,
    ) -> Result<Self> {
        check_bucket_name(bucket)?;
        Ok(Self {
            clients,
            regions,
            key,
            credential: credential.clone(),
            bucket: bucket.to_owned(),
            region_hint: region_hint.map(str::to_owned),
            base_key: base_key.to_owned(),
        })
    }

    fn signer(&self) -> AwsCredentialProvider {
        match &self.credential {
            Credential::Assumed { .. } | Credential::Ambient(_) => Arc::new(SessionProvider {
                clients: Arc::clone(&self.clients),
                credential: self.credential.clone(),
            }),
            _ => Arc::new(StaticCredentialProvider::new(signing_key(&self.key))),
        }
    }

    /// What S3 has said, else what the location says, else the settings.
    pub(crate) fn likely_region(&self) -> String {
        self.regions
            .get(&self.bucket)
            .or_else(|| self.region_hint.clone())
            .unwrap_or_else(|| self.clients.settings.region.clone())
    }

    pub(crate) fn learn_region(&self, region: &str) {
        self.regions.put(self.bucket.clone(), region.to_owned());
    }

    fn list_call(&self) -> AwsCall {
        AwsCall::list(&self.bucket, &self.likely_region())
    }

    fn get_call(&self, key: &str) -> AwsCall {
        AwsCall::get(&self.bucket, &self.likely_region(), key, &self.base_key)
    }

    /// Runs one request, and once more in the right Region where S3 says that it lies elsewhere.
    pub(crate) async fn ask<T, F, Fut>(&self, request: F) -> Result<Result<T, Failure>>
    where
        T: Send + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let asked = self.likely_region();
        let first = self.clients.on_io(request(self.clients.s3(&self.key, &asked))).await?;
        let failure = match first {
            Err(failure) if failure.is_wrong_region() => failure,
            answer => return Ok(answer),
        };
        let actual = match &failure.region {
            Some(region) => Some(region.clone()),
            None => self.bucket_location().await?,
        };
        match actual {
            Some(actual) if actual != asked => {
                self.learn_region(&actual);
                self.clients.on_io(request(self.clients.s3(&self.key, &actual))).await
            }
            _ => Ok(Err(failure)),
        }
    }

    /// GetBucketLocation, for the rare answer that names no Region. It needs a permission of its own, so it may fail.
    async fn bucket_location(&self) -> Result<Option<String>> {
        let client = self.clients.s3(&self.key, &self.clients.settings.region);
        let bucket = self.bucket.clone();
        let answer = self
            .clients
            .on_io(async move { client.get_bucket_location().bucket(bucket).send().await })
            .await?;
        Ok(answer.ok().map(|location| {
            match location
                .location_constraint()
                .map(aws_sdk_s3::types::BucketLocationConstraint::as_str)
            {
                // The API reference: no constraint means us-east-1, and EU is the old name of eu-west-1.
                None | Some("") => "us-east-1".to_owned(),
                Some("EU") => "eu-west-1".to_owned(),
                Some(region) => region.to_owned(),
            }
        }))
    }

    /// A listing of at most so many pages; `None` if there are more.
    async fn pages(&self, prefix: &str, delimiter: Option<&'static str>, limit: usize) -> Result<Option<Listing>> {
        let mut listing = Listing::default();
        let mut token: Option<String> = None;
        for _ in 0..limit {
            let (bucket, prefix, from) = (self.bucket.clone(), prefix.to_owned(), token.take());
            let page = self
                .ask(move |client| {
                    let request = client
                        .list_objects_v2()
                        .bucket(bucket.clone())
                        .prefix(prefix.clone())
                        .set_delimiter(delimiter.map(str::to_owned))
                        .set_continuation_token(from.clone());
                    async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
                })
                .await?
                .map_err(|failure| failure.into_error(&self.list_call()))?;
            let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            listing.folders.extend(folders.map(str::to_owned));
            for object in page.contents() {
                if let Some(key) = object.key() {
                    listing.objects.push(ListedObject {
                        key: key.to_owned(),
                        size: object
                            .size()
                            .and_then(|size| u64::try_from(size).ok())
                            .unwrap_or_default(),
                        e_tag: object.e_tag().map(str::to_owned),
                        last_modified: object.last_modified().and_then(instant).unwrap_or_default(),
                    });
                }
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() || page.is_truncated() == Some(false) {
                return Ok(Some(listing));
            }
        }
        Ok(None)
    }

    fn explain(&self) -> Explain {
        let (bucket, region, base_key) = (self.bucket.clone(), self.likely_region(), self.base_key.clone());
        Arc::new(move |error, key| {
            let call = match key {
                Some(key) => AwsCall::get(&bucket, &region, key, &base_key),
                None => AwsCall::list(&bucket, &region),
            };
            object_store_error(error, &call)
        })
    }
}

#[async_trait]
impl DeliveryRoot for BucketRoot {
    async fn check(&self) -> Result<()> {
        let bucket = self.bucket.clone();
        let answer = self
            .ask(move |client| {
                let request = client.head_bucket().bucket(bucket.clone());
                async move { request.send().await.map_err(|error| Failure::of_sdk(&error)) }
            })
            .await?;
        match answer {
            Ok(answer) => {
                if let Some(region) = answer.bucket_region() {
                    self.learn_region(region);
                }
                Ok(())
            }
            Err(failure) if failure.is_silence() || failure.status == Some(404) => {
                Err(failure.into_error(&self.list_call()))
            }
            // Answers to HEAD have no body, hence no code: the listing that follows gets the same refusal with a reason.
            Err(failure) => {
                if let Some(region) = &failure.region {
                    self.learn_region(region);
                }
                Ok(())
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Listing> {
        let listing = self.pages(prefix, Some("/"), MAX_PAGES).await?;
        listing.ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                format!(
                    "listing s3://{}/{prefix} takes more than {MAX_PAGES} pages",
                    self.bucket
                ),
            )
            .with_hint("Check that the prefix is that of an export.")
        })
    }

    async fn list_all(&self, prefix: &str, pages: usize) -> Result<Option<Vec<ListedObject>>> {
        let listing = self.pages(prefix, None, pages).await?;
        Ok(listing.map(|listing| listing.objects))
    }

    async fn read(&self, key: &str, known_e_tag: Option<&str>) -> Result<Read> {
        let mut attempt = 1;
        loop {
            let (bucket, object, known) = (self.bucket.clone(), key.to_owned(), known_e_tag.map(str::to_owned));
            let answer = self
                .ask(move |client| {
                    let request = client
                        .get_object()
                        .bucket(bucket.clone())
                        .key(object.clone())
                        .set_if_none_match(known.clone());
                    async move {
                        let answer = request.send().await.map_err(|error| Failure::of_sdk(&error))?;
                        receive(answer).await
                    }
                })
                .await?;
            let failure = match answer {
                Ok(Received::Content(content)) => return Ok(Read::Found(content)),
                Ok(Received::TooLarge) => return Err(manifest::too_large(&self.uri(key))),
                Ok(Received::Incomplete) => return Err(incomplete(&self.uri(key))),
                Err(failure) => failure,
            };
            match (failure.status, failure.code.as_deref()) {
                (Some(304), _) => return Ok(Read::Unchanged),
                (_, Some("NoSuchKey")) | (Some(404), None) => return Ok(Read::Absent),
                // The SDK repeats requests, but not bodies that break off.
                _ if failure.is_silence()
                    && failure.status.is_some()
                    && attempt < self.clients.settings.max_attempts =>
                {
                    attempt += 1;
                }
                _ => return Err(failure.into_error(&self.get_call(key))),
            }
        }
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>> {
        let settings = &self.clients.settings;
        let region = self.likely_region();
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&region)
            .with_credentials(self.signer())
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: usize::try_from(settings.max_attempts.saturating_sub(1)).unwrap_or(0),
                retry_timeout: settings.call_timeout.saturating_mul(settings.max_attempts),
            });
        let mut options = ClientOptions::new()
            .with_connect_timeout(settings.call_timeout.min(Duration::from_secs(5)))
            .with_timeout(settings.call_timeout.saturating_mul(3));
        if let Some(endpoint) = self.clients.endpoint() {
            options = options.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_endpoint(endpoint);
        } else if region.starts_with("cn-") {
            builder = builder.with_endpoint(format!("https://s3.{region}.amazonaws.com.cn"));
        }
        builder = builder.with_client_options(options);
        if let Some(runtime) = &settings.io_runtime {
            builder = builder.with_http_connector(SpawnedReqwestConnector::new(runtime.clone()));
        }
        let store = builder
            .build()
            .map_err(|error| object_store_error(&error, &self.list_call()))?;
        Ok(Arc::new(ReadOnlyStore::new(
            Arc::new(store),
            format!("s3://{}", self.bucket),
            self.explain(),
        )))
    }

    fn region(&self) -> Option<String> {
        self.regions.get(&self.bucket).or_else(|| self.region_hint.clone())
    }

    fn bucket(&self) -> Option<&str> {
        Some(&self.bucket)
    }

    fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// A received object.
enum Received {
    Content(Box<Content>),
    TooLarge,
    Incomplete,
}

async fn receive(answer: aws_sdk_s3::operation::get_object::GetObjectOutput) -> Result<Received, Failure> {
    let announced = answer.content_length().and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > manifest::MAX_BYTES) {
        return Ok(Received::TooLarge);
    }
    let (Some(e_tag), Some(last_modified)) = (
        answer.e_tag().map(str::to_owned),
        answer.last_modified().and_then(instant),
    ) else {
        return Ok(Received::Incomplete);
    };
    let kms_key = answer.ssekms_key_id;
    let mut stream = answer.body;
    let mut body = BytesMut::new();
    loop {
        let chunk: Option<Bytes> = stream.try_next().await.map_err(|error| Failure::broken_body(&error))?;
        let Some(chunk) = chunk else { break };
        if body.len() + chunk.len() > manifest::MAX_BYTES {
            return Ok(Received::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received::Content(Box::new(Content {
        body: body.freeze(),
        e_tag,
        last_modified,
        kms_key,
    })))
}

fn instant(time: &aws_sdk_s3::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

/// The rules of the S3 user guide for bucket names; a name becomes part of a host name, so nothing else may pass.
fn check_bucket_name(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    if (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| allowed(*b))
        && ends(bytes.first())
        && ends(bytes.last())
        && !name.contains("..")
    {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::BadValue,
        format!("\"{name}\" is not the name of an S3 bucket"),
    )
    .with_hint("A bucket name has 3 to 63 characters of a-z, 0-9, '-' and '.'; give it without 's3://'."))
}
