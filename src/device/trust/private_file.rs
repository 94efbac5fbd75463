//! Files with secrets: 0600 in a 0700 folder, replaced whole or not at all.

use crate::device::DeviceError;
use crate::secret::Secret;
use crate::whole_file;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Reads a file of at most `limit` bytes; `None` if it is not there.
pub(super) fn read(path: &Path, limit: usize) -> Result<Option<Secret<Vec<u8>>>, DeviceError> {
    let failed = |source| DeviceError::File { action: "read", path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > limit {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large")));
    }
    Ok(Some(Secret::new(bytes)))
}

/// Writes a file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), DeviceError> {
    let failed = |source| DeviceError::File { action: "write", path: path.into(), source };
    if let Some(folder) = path.parent() {
        make_folder(folder).map_err(failed)?;
    }
    whole_file::replace(path, 0o600, |out| out.write_all(bytes)).map_err(failed)
}

/// Makes a folder, and those above it, that only we can enter.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
