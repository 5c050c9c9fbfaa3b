//! A CSV file of a delivery is made Parquet in the state store, below `data/`, when it is imported.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::Importer;
use super::columns::header;
use super::delivery::DeliveredFile;
use super::pinned::Stop;
use super::scratch::{Cancellable, Gone, Scratch};
use super::transcode::{Shape, Unpacked, first_value, transcode};
use crate::error::{Error, ErrorKind, Result};
use crate::format::payer_columns;
use crate::id::{AccountId, BillingPeriod, ExportId, SnapshotId};

/// Where the files of an export lie that Farthing made.
pub(super) fn folder_of(export: &ExportId) -> Path {
    Path::from_iter(["data", export.as_str()])
}

/// Where those of one snapshot lie.
pub(crate) fn folder(export: &ExportId, period: BillingPeriod, snapshot: &SnapshotId) -> Path {
    folder_of(export).join(period.to_string()).join(snapshot.as_str())
}

/// Where the n-th of them lies.
pub(crate) fn part(folder: &Path, number: usize) -> Path {
    folder.clone().join(format!("part-{number:05}.parquet"))
}

/// Reads a delivered CSV file whole and writes it as Parquet to `target` of `own`. `shape` says what the names of its header
/// stand for. What comes back is the file that was written, pinned like a delivered one. Errors: those of reading
/// delivered files, `BrokenDelivery` for text that is not what AWS writes, `Disk`, `State`.
pub(super) async fn rewrite(
    store: &Arc<dyn ObjectStore>,
    file: &DeliveredFile,
    own: &Arc<dyn ObjectStore>,
    target: Path,
    scratch: &Scratch,
    shape: impl FnOnce(&[String]) -> Result<Shape> + Send + 'static,
) -> Result<DeliveredFile, Stop> {
    let packed = scratch.fetch(store, file).await?;
    let made = scratch.file()?;
    let gone = Arc::new(AtomicBool::new(false));
    let _gone = Gone(Arc::clone(&gone));
    let name = file.key.clone();
    // Unpacking and parsing take seconds without a pause.
    let work = tokio::task::spawn_blocking(move || {
        let mut unpacked = Unpacked::open(&name, Cancellable::new(packed, gone))?;
        let mut sink = BufWriter::new(&made);
        transcode(unpacked.text(&name)?, &name, shape, &mut sink)?;
        sink.flush().map_err(|error| {
            Error::new(
                ErrorKind::Disk,
                format!("{name} could not be written to scratch: {error}"),
            )
        })?;
        drop(sink);
        Ok(made)
    });
    let made = work.await.unwrap_or_else(|_| {
        Err(
            Error::new(ErrorKind::BrokenDelivery, format!("{} could not be decoded", file.key))
                .with_hint("The file is damaged in a way that the decoder does not expect; report it to Farthing."),
        )
    })?;
    Ok(keep(scratch, made, own, target).await?)
}

/// Puts a scratch file into the state store, pinned like a delivered one. Errors: `Disk`, `State`.
pub(crate) async fn keep(
    scratch: &Scratch,
    made: File,
    own: &Arc<dyn ObjectStore>,
    target: Path,
) -> Result<DeliveredFile> {
    scratch.put(made, own, &target).await?;
    let written = own.head(&target).await.map_err(|error| {
        Error::new(
            ErrorKind::State,
            format!("{target} was written to the state store and is not there"),
        )
        .with_source(error)
    })?;
    let e_tag = written
        .e_tag
        .ok_or_else(|| Error::new(ErrorKind::State, format!("the state store names no ETag for {target}")))?;
    Ok(DeliveredFile {
        key: target.to_string(),
        path: target,
        size: written.size,
        e_tag,
        last_modified: written.last_modified,
    })
}

impl Importer {
    /// The first payer that a CSV file names, or the `wanted` one, and the column that does. The whole file is fetched to
    /// scratch. Errors: those of reading delivered files.
    pub(crate) async fn first_csv_payer(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &str,
        wanted: Option<AccountId>,
    ) -> Result<Option<(&'static str, String)>> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Error::new(ErrorKind::BrokenDelivery, format!("{key} cannot be read: {error}"))
        };
        let path = Path::parse(key).map_err(|error| unreadable(&error))?;
        let found = store.head(&path).await.map_err(|error| unreadable(&error))?;
        let file = DeliveredFile {
            key: key.to_owned(),
            path,
            size: found.size,
            e_tag: found.e_tag.unwrap_or_default(),
            last_modified: found.last_modified,
        };
        let packed = self.scratch.fetch(store, &file).await.map_err(|stop| match stop {
            Stop::Failed(error) => error,
            Stop::UnderWay(message) => Error::new(ErrorKind::BrokenDelivery, message)
                .with_hint("A delivery is under way: try again in some minutes."),
        })?;
        let work = tokio::task::spawn_blocking(move || {
            let mut unpacked = Unpacked::open(&file.key, packed)?;
            let is_column = |written: &str| {
                payer_columns().find(|column| *column == written || *column == header::athena_name(written))
            };
            first_value(unpacked.text(&file.key)?, &file.key, is_column, |value| {
                wanted.is_none_or(|wanted| wanted.as_str() == value)
            })
        });
        work.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::BrokenDelivery,
                format!("{key} could not be decoded"),
            ))
        })
    }
}
