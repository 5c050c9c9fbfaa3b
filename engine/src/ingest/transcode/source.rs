//! The bytes of a delivered CSV file as text: unpacked by what the bytes are, whatever the file's name says.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use crate::error::{Error, ErrorKind, Result};

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Packing {
    /// Text as it is.
    None,
    /// One or several gzip members, one after the other.
    Gzip,
    /// A zip archive with one file in it, as legacy reports have.
    Zip,
}

impl Packing {
    /// By the first bytes: RFC 1952, section 2.3.1; APPNOTE 6.3.10, section 4.3.7.
    pub(in crate::ingest) fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            _ => Self::None,
        }
    }
}

/// The unpacked text of a file on disk.
pub(in crate::ingest) enum Unpacked<R: Read + Seek> {
    Plain(BufReader<R>),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zip(Box<ZipArchive<R>>),
}

impl<R: Read + Seek> Unpacked<R> {
    /// Looks at the first bytes. Errors: `BrokenDelivery` for an archive that does not hold exactly one file.
    pub(in crate::ingest) fn open(file: &str, mut bytes: R) -> Result<Self> {
        let mut first = Vec::with_capacity(4);
        bytes
            .by_ref()
            .take(4)
            .read_to_end(&mut first)
            .map_err(|error| failed(file, &error))?;
        bytes.seek(SeekFrom::Start(0)).map_err(|error| failed(file, &error))?;
        Ok(match Packing::of(&first) {
            Packing::None => Self::Plain(BufReader::new(bytes)),
            Packing::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(bytes)))),
            Packing::Zip => {
                let archive = ZipArchive::new(bytes).map_err(|error| damaged(file, &error.to_string()))?;
                if archive.len() != 1 {
                    return Err(damaged(
                        file,
                        &format!("the archive holds {} files instead of one", archive.len()),
                    ));
                }
                Self::Zip(Box::new(archive))
            }
        })
    }

    /// The text.
    pub(in crate::ingest) fn text(&mut self, file: &str) -> Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Plain(text) => Box::new(text),
            Self::Gzip(text) => Box::new(text),
            Self::Zip(archive) => Box::new(archive.by_index(0).map_err(|error| damaged(file, &error.to_string()))?),
        })
    }
}

/// The error for bytes that cannot be unpacked or read.
pub(super) fn failed(file: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            damaged(file, &error.to_string())
        }
        _ => Error::new(
            ErrorKind::AwsUnreachable,
            format!("{file} could not be read to its end: {error}"),
        ),
    }
}

fn damaged(file: &str, why: &str) -> Error {
    Error::new(ErrorKind::BrokenDelivery, format!("{file} cannot be unpacked: {why}"))
        .with_hint("The file is cut short or damaged. Farthing looks again at the next delivery; until then the month stays as it was.")
}
