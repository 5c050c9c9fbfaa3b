//! From a writing thread to the object store, in parts, with a bounded number of bytes in between.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::mpsc;

use super::{Progress, SampleError};

/// Bytes of a part. S3 wants at least five mebibytes for all but the last.
const PART: usize = 8 << 20;
/// Parts that wait between the thread and the store.
pub const WAITING: usize = 2;

/// What a writing thread reports.
pub enum Event {
    /// The next bytes of the file.
    Part(Bytes),
    /// So many more rows are in the file.
    Rows(u64),
    /// The file is whole.
    End,
}

/// The writing end.
pub struct PartWriter {
    part: Vec<u8>,
    out: mpsc::Sender<Event>,
}

impl PartWriter {
    /// A writer whose parts go to `out`.
    pub fn new(out: mpsc::Sender<Event>) -> Self {
        Self { part: Vec::new(), out }
    }

    /// Hands on the rest and says that the file is whole. Without it, nothing becomes visible in the store.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.report(Event::End)
    }

    fn report(&self, event: Event) -> io::Result<()> {
        self.out
            .blocking_send(event)
            .map_err(|_| io::Error::other("the upload has ended"))
    }

    fn send(&mut self) -> io::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.part));
        self.report(Event::Part(part))
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == PART {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes an object from its parts: at once if there is one part, else as a multipart upload. Bytes become visible only
/// when all are there.
pub async fn upload(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    events: &mut mpsc::Receiver<Event>,
    progress: &dyn Progress,
) -> Result<(), SampleError> {
    let failed = |source| SampleError::Store {
        key: path.to_string(),
        source,
    };
    let mut waiting: Option<Bytes> = None;
    let mut multipart: Option<Box<dyn MultipartUpload>> = None;
    let mut whole = false;
    while let Some(event) = events.recv().await {
        let part = match event {
            Event::Rows(rows) => {
                progress.advanced(rows);
                continue;
            }
            Event::Part(part) => part,
            Event::End => {
                whole = true;
                break;
            }
        };
        let Some(former) = waiting.replace(part) else { continue };
        let mut target = match multipart.take() {
            Some(target) => target,
            None => store.put_multipart(path).await.map_err(failed)?,
        };
        if let Err(source) = target.put_part(PutPayload::from(former)).await {
            // What the failed upload left is of no use; that the first error is reported matters more than a second one.
            let _ = target.abort().await;
            return Err(failed(source));
        }
        multipart = Some(target);
    }
    if !whole {
        if let Some(mut target) = multipart {
            let _ = target.abort().await;
        }
        return Err(SampleError::Encode {
            key: path.to_string(),
            reason: "its rows ended too early".to_owned(),
        });
    }
    let last = PutPayload::from(waiting.unwrap_or_default());
    match multipart {
        None => store.put(path, last).await.map(|_| ()).map_err(failed),
        Some(mut target) => {
            let done = match target.put_part(last).await {
                Ok(()) => target.complete().await.map(|_| ()),
                Err(source) => Err(source),
            };
            if done.is_err() {
                let _ = target.abort().await;
            }
            done.map_err(failed)
        }
    }
}
