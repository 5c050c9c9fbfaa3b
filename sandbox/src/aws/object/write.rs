//! Writing a new version's bytes, hashed on the way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use tokio::io::AsyncWriteExt as _;

use super::{Content, ContentFile};

/// Bytes that are stored but do not belong to an object yet.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) content: Content,
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    /// For files, the path relative to the bucket's `objects` folder; empty in memory.
    pub(crate) file: String,
}

/// Takes the bytes of one version. Dropped before [`ContentWriter::finish`], it leaves nothing behind.
pub(crate) struct ContentWriter {
    target: Target,
    size: u64,
    md5: Md5,
}

enum Target {
    Memory(BytesMut),
    File {
        writer: tokio::io::BufWriter<tokio::fs::File>,
        content: Arc<ContentFile>,
        name: String,
    },
}

impl ContentWriter {
    /// Writes into memory.
    pub(crate) fn in_memory() -> Self {
        Self::to(Target::Memory(BytesMut::new()))
    }

    /// Writes to the file `name` under `folder`.
    pub(crate) async fn to_file(folder: &Path, name: String) -> io::Result<Self> {
        let path = name
            .split('/')
            .fold(PathBuf::from(folder), |path, part| path.join(part));
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await?;
        }
        let mut file = tokio::fs::File::create(&path).await?;
        file.set_max_buf_size(1024 * 1024);
        let content = Arc::new(ContentFile::new(path));
        // Until it is finished the file is rubbish.
        Content::File(Arc::clone(&content)).discard();
        Ok(Self::to(Target::File {
            writer: tokio::io::BufWriter::with_capacity(512 * 1024, file),
            content,
            name,
        }))
    }

    fn to(target: Target) -> Self {
        Self {
            target,
            size: 0,
            md5: Md5::new(),
        }
    }

    pub(crate) async fn write(&mut self, chunk: &Bytes) -> io::Result<()> {
        self.md5.update(chunk);
        self.size += chunk.len() as u64;
        match &mut self.target {
            Target::Memory(buffer) => buffer.extend_from_slice(chunk),
            Target::File { writer, .. } => writer.write_all(chunk).await?,
        }
        Ok(())
    }

    /// Appends bytes that were written (and hashed) before: the parts of a multipart upload.
    pub(crate) async fn append(&mut self, part: &Written) -> io::Result<()> {
        self.size += part.size;
        match (&mut self.target, &part.content) {
            (Target::Memory(buffer), Content::Memory(bytes)) => buffer.extend_from_slice(bytes),
            (Target::File { writer, .. }, Content::Memory(bytes)) => writer.write_all(bytes).await?,
            (Target::File { writer, .. }, Content::File(file)) => {
                let mut source = tokio::fs::File::open(file.path()).await?;
                source.set_max_buf_size(1024 * 1024);
                tokio::io::copy_buf(&mut tokio::io::BufReader::with_capacity(1024 * 1024, source), writer).await?;
            }
            (Target::Memory(buffer), Content::File(file)) => {
                buffer.extend_from_slice(&tokio::fs::read(file.path()).await?)
            }
        }
        Ok(())
    }

    pub(crate) async fn finish(self) -> io::Result<Written> {
        let (content, file) = match self.target {
            Target::Memory(buffer) => (Content::Memory(buffer.freeze()), String::new()),
            Target::File {
                mut writer,
                content,
                name,
            } => {
                writer.flush().await?;
                content.keep();
                (Content::File(content), name)
            }
        };
        Ok(Written {
            content,
            size: self.size,
            md5: self.md5.finalize().into(),
            file,
        })
    }
}
