//! The master key: 32 random bytes in base64, on one line of a file that only its owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use farthing_engine::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::seal;

/// Bytes of a key file that are read: a key has 44 characters.
const MAX_FILE_BYTES: u64 = 1_024;

/// The master key and the id by which documents name it.
pub(super) struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

impl MasterKey {
    fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"farthing master key id\0");
        hash.update(bytes.as_slice());
        let id = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { bytes, id }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Says which key it is, and nothing about it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// The key in the file, or `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<MasterKey>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("opened", path, error)),
    };
    check_owner_only(&file, path)?;
    // Room for all that is read, so that the text is never copied to a larger buffer and left behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * 1_024));
    (&mut file)
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| io_error("read", path, error))?;
    let decoded = BASE64.decode(text.trim()).map(Zeroizing::new);
    let bytes = decoded
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
    let bytes = bytes.ok_or_else(|| {
        Error::new(
            ErrorKind::State,
            format!("the key file {} does not hold a master key", path.display()),
        )
        .with_hint(
            "It holds 32 bytes in base64. Restore it from a copy; if no secret was stored yet, delete it and a new one is \
             made.",
        )
    })?;
    Ok(Some(MasterKey::new(bytes)))
}

/// Makes the file with a new key. Where another process was faster, its key is taken.
pub(super) fn create(path: &Path) -> Result<MasterKey> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder()
            .create(folder)
            .map_err(|error| io_error("created", folder, error))?;
    }
    let mut bytes = Zeroizing::new([0_u8; 32]);
    seal::random(bytes.as_mut_slice())?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => {
            return read(path)?.ok_or_else(|| missing_for_existing_secrets(path));
        }
        Err(error) => return Err(io_error("created", path, error)),
    };
    let mut line = Zeroizing::new(BASE64.encode(bytes.as_slice()));
    line.push('\n');
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path))
        .map_err(|error| io_error("written", path, error))?;
    Ok(MasterKey::new(bytes))
}

/// The error for a key file that is gone while secrets are there.
pub(super) fn missing_for_existing_secrets(path: &Path) -> Error {
    Error::new(
        ErrorKind::State,
        format!(
            "the key file {} does not exist, and the vault has secrets",
            path.display()
        ),
    )
    .with_hint(
        "Restore the key file from a copy. Without it the stored secrets cannot be read, and must be stored again.",
    )
}

fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
}

/// A new file survives a crash only once its folder has been written too.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(unix)]
fn check_owner_only(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| io_error("read", path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if !metadata.is_file() {
        return Err(Error::new(
            ErrorKind::State,
            format!("the key file {} is not a file", path.display()),
        )
        .with_hint("Give the path of a file."));
    }
    if mode & 0o077 != 0 {
        return Err(Error::new(
            ErrorKind::State,
            format!(
                "the key file {} is open to others than its owner (mode {mode:03o})",
                path.display()
            ),
        )
        .with_hint(format!("Close it with: chmod 600 {}", path.display())));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner_only(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

fn io_error(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("the key file {} could not be {what}: {error}", path.display()),
    )
    .with_hint("Check the path and who may read and write there.")
}
