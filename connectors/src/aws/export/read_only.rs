//! An object store that can be read and nothing else, and whose errors are the engine's.
//!
//! Each error keeps the `object_store` variant that callers branch on (not found, precondition, not modified) and carries
//! the engine's error as its source. The text of the original is dropped: S3's answers can repeat signed headers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use farthing_engine::error::{Error as EngineError, ErrorKind};
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What an error of the store below means; the key is the one that was asked for, if one was.
pub(super) type Explain = Arc<dyn Fn(&Error, Option<&str>) -> EngineError + Send + Sync>;

/// The wrapper.
pub(super) struct ReadOnlyStore {
    inner: Arc<dyn ObjectStore>,
    uri: String,
    explain: Explain,
}

impl ReadOnlyStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, uri: String, explain: Explain) -> Self {
        Self { inner, uri, explain }
    }

    fn refuse(&self, what: &str) -> Error {
        Error::NotSupported {
            source: Box::new(EngineError::new(
                ErrorKind::Unsupported,
                format!("{what} in {} was refused: exports are only read", self.uri),
            )),
        }
    }
}

/// The same variant with the engine's error as source.
fn explained(explain: &Explain, error: &Error, key: Option<&str>) -> Error {
    let path = key.unwrap_or_default().to_owned();
    let engine = explain(error, key);
    let kind = engine.kind();
    let source = Box::new(engine);
    match (error, kind) {
        (Error::NotModified { .. }, _) => Error::NotModified { path, source },
        (Error::NotFound { .. }, _) | (_, ErrorKind::Missing) => Error::NotFound { path, source },
        (_, ErrorKind::SnapshotReplaced) => Error::Precondition { path, source },
        (_, ErrorKind::AwsRefused) => Error::PermissionDenied { path, source },
        (_, ErrorKind::BadCredentials) => Error::Unauthenticated { path, source },
        _ => Error::Generic {
            store: "export",
            source,
        },
    }
}

impl fmt::Display for ReadOnlyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyStore({})", self.uri)
    }
}

impl fmt::Debug for ReadOnlyStore {
    /// The store below is left out: it holds the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for ReadOnlyStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(self.refuse("writing"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(self.refuse("writing"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self
            .inner
            .get_opts(location, options)
            .await
            .map_err(|error| explained(&self.explain, &error, Some(location.as_ref())))?;
        if let GetResultPayload::Stream(stream) = result.payload {
            let (explain, key) = (Arc::clone(&self.explain), location.to_string());
            let stream = stream.map(move |chunk| chunk.map_err(|error| explained(&explain, &error, Some(&key))));
            result.payload = GetResultPayload::Stream(stream.boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let uri = self.uri.clone();
        locations
            .map(move |location| {
                location.and_then(|path| {
                    Err(Error::NotSupported {
                        source: Box::new(EngineError::new(
                            ErrorKind::Unsupported,
                            format!("deleting {path} in {uri} was refused: exports are only read"),
                        )),
                    })
                })
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let explain = Arc::clone(&self.explain);
        let listed = self.inner.list(prefix);
        listed
            .map(move |entry| entry.map_err(|error| explained(&explain, &error, None)))
            .boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let explain = Arc::clone(&self.explain);
        let listed = self.inner.list_with_offset(prefix, offset);
        listed
            .map(move |entry| entry.map_err(|error| explained(&explain, &error, None)))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner
            .list_with_delimiter(prefix)
            .await
            .map_err(|error| explained(&self.explain, &error, None))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(self.refuse("copying"))
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        Err(self.refuse("renaming"))
    }
}
