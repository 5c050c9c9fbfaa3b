//! A bucket's objects without HTTP and without policies, for delivering sample data at full speed. It works on the same
//! index as the S3 operations, so both see the same objects, ETags and dates.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::bucket::{Bucket, WriteCondition, WriteError};
use super::clock::Clock;
use super::object::{ContentStream, ContentWriter, Object, StoredHeaders};
use super::s3::listing::{From, Listing};

const NAME: &str = "sandbox bucket";

#[derive(Clone)]
pub(crate) struct BucketStore {
    bucket: Arc<Bucket>,
    clock: Clock,
}

impl BucketStore {
    pub(crate) fn new(bucket: Arc<Bucket>, clock: Clock) -> Self {
        Self { bucket, clock }
    }

    async fn write(&self, key: &str, payload: PutPayload, condition: &WriteCondition) -> Result<PutResult> {
        let mut writer = self.bucket.writer(key).await.map_err(failed)?;
        for chunk in payload {
            writer.write(&chunk).await.map_err(failed)?;
        }
        self.commit(key, writer, condition).await
    }

    async fn commit(&self, key: &str, writer: ContentWriter, condition: &WriteCondition) -> Result<PutResult> {
        let written = writer.finish().await.map_err(failed)?;
        let etag = hex::encode(written.md5);
        let now = self.clock.now();
        let headers = StoredHeaders::default();
        self.bucket
            .commit(key, written, etag.clone(), headers, now, condition)
            .map_err(|failure| match failure {
                WriteError::Precondition if *condition == WriteCondition::Absent => Error::AlreadyExists {
                    path: key.to_owned(),
                    source: "the object exists".into(),
                },
                WriteError::Precondition | WriteError::Missing => Error::Precondition {
                    path: key.to_owned(),
                    source: "the object's present version is another".into(),
                },
                WriteError::Io(source) => failed(source),
            })?;
        Ok(PutResult {
            e_tag: Some(format!("\"{etag}\"")),
            version: None,
        })
    }

    fn find(&self, location: &Path) -> Result<Arc<Object>> {
        self.bucket.object(location.as_ref()).ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "no such key".into(),
        })
    }
}

fn failed(source: io::Error) -> Error {
    Error::Generic {
        store: NAME,
        source: source.into(),
    }
}

fn unreadable(source: s3s::StdError) -> Error {
    Error::Generic { store: NAME, source }
}

/// `None` for keys that object_store's paths cannot express, such as those with empty segments.
fn meta(object: &Object) -> Option<ObjectMeta> {
    let whole_second = DateTime::from_timestamp(object.attributes.last_modified.timestamp(), 0);
    Some(ObjectMeta {
        location: Path::parse(&object.key).ok()?,
        last_modified: whole_second.unwrap_or(object.attributes.last_modified),
        size: object.attributes.size,
        e_tag: Some(format!("\"{}\"", object.attributes.etag)),
        version: None,
    })
}

fn as_folder(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.as_ref().is_empty() => format!("{prefix}/"),
        _ => String::new(),
    }
}

#[async_trait]
impl ObjectStore for BucketStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let condition = match opts.mode {
            PutMode::Overwrite => WriteCondition::None,
            PutMode::Create => WriteCondition::Absent,
            PutMode::Update(version) => {
                WriteCondition::Matches(version.e_tag.unwrap_or_default().trim_matches('"').to_owned())
            }
        };
        self.write(location.as_ref(), payload, &condition).await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(StoreUpload {
            store: self.clone(),
            key: location.to_string(),
            parts: Vec::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let object = self.find(location)?;
        let mut meta = meta(&object).ok_or_else(|| failed(io::Error::other("the key is not a path")))?;
        meta.location = location.clone();
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|source| failed(io::Error::other(source)))?,
            None => 0..meta.size,
        };
        let payload = if options.head {
            stream::empty().boxed()
        } else {
            let stream = ContentStream::open(&object.content, range.clone())
                .await
                .map_err(failed)?;
            stream.map_err(unreadable).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let bucket = Arc::clone(&self.bucket);
        locations
            .map(move |location| {
                let location = location?;
                match bucket.remove(location.as_ref(), &WriteCondition::None) {
                    Ok(()) => Ok(location),
                    Err(failure) => Err(failed(io::Error::other(failure))),
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = as_folder(prefix);
        let found: Vec<Result<ObjectMeta>> = self.bucket.with_objects(|objects| {
            let from = objects.range(prefix.clone()..);
            from.take_while(|(key, _)| key.starts_with(&prefix))
                .filter_map(|(_, object)| meta(object).map(Ok))
                .collect()
        });
        stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = as_folder(prefix);
        let listing = Listing {
            prefix: &prefix,
            delimiter: "/",
            from: From::Start,
            limit: usize::MAX,
        };
        let page = self.bucket.with_objects(|objects| listing.page(objects));
        Ok(ListResult {
            common_prefixes: page
                .common_prefixes
                .iter()
                .filter_map(|prefix| Path::parse(prefix).ok())
                .collect(),
            objects: page.objects.iter().filter_map(|object| meta(object)).collect(),
        })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let source = self.find(from)?;
        let condition = match options.mode {
            CopyMode::Overwrite => WriteCondition::None,
            CopyMode::Create => WriteCondition::Absent,
        };
        let mut stream = ContentStream::open(&source.content, 0..source.attributes.size)
            .await
            .map_err(failed)?;
        let mut writer = self.bucket.writer(to.as_ref()).await.map_err(failed)?;
        while let Some(chunk) = stream.next().await {
            writer.write(&chunk.map_err(unreadable)?).await.map_err(failed)?;
        }
        self.commit(to.as_ref(), writer, &condition).await.map(|_| ())
    }
}

/// Parts are kept in memory until they are complete.
struct StoreUpload {
    store: BucketStore,
    key: String,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for StoreUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = std::mem::take(&mut self.parts).into_iter().flatten().collect();
        self.store.write(&self.key, payload, &WriteCondition::None).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

impl fmt::Debug for StoreUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUpload")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BucketStore").field(&self.bucket.name).finish()
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sandbox bucket {}", self.bucket.name)
    }
}
