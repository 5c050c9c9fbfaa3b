//! Files on this machine's disk that live for one step of an import: nameless, so that nothing is left of them however the
//! process ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, WriteMultipart};

use super::delivery::DeliveredFile;
use super::pinned::{Stop, store_stop};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of one part of an upload. S3 takes at most 10,000 parts: files to 80 GB.
const PART_BYTES: usize = 8 << 20;

/// Parts on their way at the same time.
const PARTS: usize = 4;

/// A folder for files that live for one step.
#[derive(Debug, Clone)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Uses a folder that is there.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// A new nameless file. Error: `Disk`.
    pub(crate) fn file(&self) -> Result<File> {
        tempfile::tempfile_in(&self.0).map_err(|error| disk(&self.0, error))
    }

    /// The bytes of a delivered file, every one of them of the version that its ETag names. Errors: those of reading a
    /// delivered file, and `Disk`.
    pub(super) async fn fetch(&self, store: &Arc<dyn ObjectStore>, file: &DeliveredFile) -> Result<File, Stop> {
        let options = GetOptions {
            if_match: Some(file.e_tag.clone()),
            ..GetOptions::default()
        };
        let failed = |error: object_store::Error| store_stop(&file.key, &error);
        let mut bytes = store.get_opts(&file.path, options).await.map_err(failed)?.into_stream();
        let mut local = self.file()?;
        let mut got = 0;
        while let Some(piece) = bytes.try_next().await.map_err(failed)? {
            got += piece.len() as u64;
            local.write_all(&piece).map_err(|error| disk(&self.0, error))?;
        }
        if got != file.size {
            return Err(Stop::Failed(Error::new(
                ErrorKind::AwsUnreachable,
                format!("{} has {} bytes, and {got} came", file.key, file.size),
            )));
        }
        local.seek(SeekFrom::Start(0)).map_err(|error| disk(&self.0, error))?;
        Ok(local)
    }

    /// Puts a file into the store, in parts. Nothing is visible there before all of it is.
    pub(super) async fn put(&self, mut local: File, store: &Arc<dyn ObjectStore>, target: &ObjectPath) -> Result<()> {
        let unreadable = |error: io::Error| disk(&self.0, error);
        local.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let failed = |error: object_store::Error| {
            Error::new(
                ErrorKind::State,
                format!("{target} could not be written to the state store"),
            )
            .with_source(error)
        };
        let upload = store.put_multipart(target).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let mut piece = vec![0; PART_BYTES];
        loop {
            let read = local.read(&mut piece).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(PARTS).await.map_err(failed)?;
            upload.write(&piece[..read]);
        }
        upload.finish().await.map_err(failed)?;
        Ok(())
    }
}

fn disk(folder: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Disk,
        format!("no scratch file can be used in {}: {error}", folder.display()),
    )
    .with_hint("Free space there, or give the server another data_dir.")
    .with_source(error)
}

/// Ends a read on a thread of its own when the import that wants it is gone.
pub(super) struct Cancellable<R> {
    inner: R,
    gone: Arc<AtomicBool>,
}

impl<R> Cancellable<R> {
    pub(super) fn new(inner: R, gone: Arc<AtomicBool>) -> Self {
        Self { inner, gone }
    }
}

impl<R: Read> Read for Cancellable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.gone.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the import was stopped")),
            false => self.inner.read(buffer),
        }
    }
}

impl<R: Seek> Seek for Cancellable<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Says that the import is gone when it is dropped.
pub(super) struct Gone(pub(super) Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
