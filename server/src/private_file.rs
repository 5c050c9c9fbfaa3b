//! Files and folders that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::{Path, PathBuf};

use farthing_engine::{Error, ErrorKind, Result};

/// Whether a step made something or found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was not there before.
    Created,
    /// It was there, and was not touched.
    Kept,
}

/// Makes a folder with mode 0700, and those above it that are missing.
///
/// # Errors
///
/// `State` if it cannot be made, is no folder, or is open to others.
pub fn create_folder(path: &Path) -> Result<Made> {
    if path.exists() {
        check_owner_only(path)?;
        return Ok(Made::Kept);
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|error| refused("created", path, &error))?;
    Ok(Made::Created)
}

/// A file or folder must exist and be closed to everybody but its owner.
///
/// # Errors
///
/// `State` if it does not exist or is open to others.
pub fn check_owner_only(path: &Path) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| refused("read", path, &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let wanted = if metadata.is_dir() { "700" } else { "600" };
            return Err(Error::new(
                ErrorKind::State,
                format!("{} is open to others than its owner (mode {mode:03o})", path.display()),
            )
            .with_hint(format!("Close it with: chmod {wanted} {}", path.display())));
        }
    }
    #[cfg(not(unix))]
    let _ = metadata;
    Ok(())
}

/// Writes a new file with mode 0600, whole or not at all. One that is there stays as it is.
///
/// # Errors
///
/// `State` if it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<Made> {
    let written = beside(path, bytes)?;
    // A hard link fails where the name is taken, so nothing is ever overwritten.
    let linked = std::fs::hard_link(&written, path);
    let removed = std::fs::remove_file(&written);
    match linked {
        Ok(()) => {
            removed
                .and_then(|()| sync_folder(path))
                .map_err(|error| refused("written", path, &error))?;
            Ok(Made::Created)
        }
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(Made::Kept),
        Err(error) => Err(refused("written", path, &error)),
    }
}

/// Writes a file with mode 0600 in one step: readers see the former one or the new one, never a part.
///
/// # Errors
///
/// `State` if it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = beside(path, bytes)?;
    std::fs::rename(&written, path)
        .and_then(|()| sync_folder(path))
        .map_err(|error| refused("written", path, &error))
}

/// Removes a file; one that is gone is no error.
///
/// # Errors
///
/// `State` if it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != IoErrorKind::NotFound => Err(refused("removed", path, &error)),
        _ => Ok(()),
    }
}

/// The error for a file that the system refused.
pub fn refused(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("{} could not be {what}: {error}", path.display()),
    )
    .with_hint("Check the path, who may read and write there, and the space that is left.")
}

/// Writes the bytes to a new file in the same folder, durable on return.
fn beside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let written = path.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options
        .open(&written)
        .map_err(|error| refused("written", path, &error))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| refused("written", path, &error))?;
    Ok(written)
}

/// A new name survives a crash of the machine only once its folder has been written too.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
