//! Reads of one delivered file, each conditional on the ETag that was seen when the delivery was checked.

use std::error::Error as StdError;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, coalesce_ranges};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::{Error, ErrorKind};

/// Bytes read from a file's end in the first request: enough for the footer of 131 columns and a dozen row groups.
const FOOTER_GUESS: usize = 256 << 10;

/// Why a delivery was not taken.
#[derive(Debug)]
pub(crate) enum Stop {
    /// AWS is replacing it right now: no error, and another look later decides.
    UnderWay(String),
    /// It cannot be read or breaks its contract.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One pinned file.
#[derive(Debug, Clone)]
pub(crate) struct PinnedReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    e_tag: String,
    size: u64,
}

impl PinnedReader {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path, e_tag: String, size: u64) -> Self {
        Self {
            store,
            path,
            e_tag,
            size,
        }
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        if range.start > range.end || range.end > self.size {
            return Err(ParquetError::EOF(format!(
                "bytes {} to {} are named, and the file has {}",
                range.start, range.end, self.size
            )));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let options = GetOptions {
            if_match: Some(self.e_tag.clone()),
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let external = |error: object_store::Error| ParquetError::External(Box::new(error));
        let got = self.store.get_opts(&self.path, options).await.map_err(external)?;
        let bytes = got.bytes().await.map_err(external)?;
        if bytes.len() as u64 != wanted {
            return Err(ParquetError::EOF(format!(
                "{wanted} bytes were asked for and {} came",
                bytes.len()
            )));
        }
        Ok(bytes)
    }
}

impl AsyncFileReader for PinnedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.fetch(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { coalesce_ranges(&ranges, |range| self.fetch(range), OBJECT_STORE_COALESCE_DEFAULT).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_GUESS))
                .load_and_finish(self, size)
                .await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

/// What a failed read of `file` means. Errors that the export's store made pass through as they are.
pub(super) fn read_stop(file: &str, error: &ParquetError) -> Stop {
    let outside = matches!(error, ParquetError::External(_));
    match store_error(error) {
        Some(error) => store_stop(file, error),
        None if outside => Stop::Failed(unreadable(file)),
        None => Stop::Failed(
            Error::new(
                ErrorKind::BrokenDelivery,
                format!("{file} cannot be read as Parquet: {error}"),
            )
            .with_hint(
                "The delivery may have been cut short: it is tried again, and AWS Support can deliver the period again.",
            ),
        ),
    }
}

/// What a failed request for `file` means.
pub(super) fn store_stop(file: &str, error: &object_store::Error) -> Stop {
    use object_store::Error as StoreError;
    let engine = engine_error(error);
    let replaced = engine.is_some_and(|error| error.kind() == ErrorKind::SnapshotReplaced);
    let missing = engine.is_some_and(|error| error.kind() == ErrorKind::Missing);
    match error {
        _ if replaced => Stop::UnderWay(format!("AWS replaced {file} while it was read")),
        StoreError::Precondition { .. } | StoreError::NotModified { .. } => {
            Stop::UnderWay(format!("AWS replaced {file} while it was read"))
        }
        StoreError::NotFound { .. } => Stop::UnderWay(format!("{file} was removed while it was read")),
        _ if missing => Stop::UnderWay(format!("{file} was removed while it was read")),
        _ => Stop::Failed(engine.map_or_else(|| refused_or_unreadable(file, error), copy_of)),
    }
}

/// Whether the request failed because the object is not there.
pub(super) fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        || engine_error(error).is_some_and(|error| error.kind() == ErrorKind::Missing)
}

fn refused_or_unreadable(file: &str, error: &object_store::Error) -> Error {
    match error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::new(ErrorKind::AwsRefused, format!("{file} may not be read"))
                .with_hint("Allow s3:GetObject on the export's prefix to the user of the access key.")
        }
        _ => unreadable(file),
    }
}

fn unreadable(file: &str) -> Error {
    // The text of the store's error may repeat signed headers, so it is not shown.
    Error::new(ErrorKind::AwsUnreachable, format!("{file} could not be read"))
        .with_hint("Check the network and that the bucket or folder can be read; the import is tried again.")
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn store_error(error: &ParquetError) -> Option<&object_store::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn engine_error(error: &object_store::Error) -> Option<&Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// The same error again; what caused it stays behind.
fn copy_of(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.message()).with_retry(error.retry());
    if let Some(detail) = error.detail() {
        copy = copy.with_detail(detail);
    }
    if let Some(hint) = error.hint() {
        copy = copy.with_hint(hint);
    }
    copy
}
