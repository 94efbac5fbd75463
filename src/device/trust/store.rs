//! Our own copies of pair records: every version, so that nothing is ever lost.
//!
//! The mux keeps the record in use. Before one is overwritten or deleted, and whenever one
//! is made, a copy is kept here (design section 4: "kept in versions and never deleted
//! because TLS failed").

use super::private_file;
use crate::clock::Clock;
use crate::device::DeviceError;
use crate::ids::Udid;
use crate::limits::{PAIR_RECORD_BYTES, PAIR_RECORD_VERSIONS};
use crate::secret::Secret;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of record versions, one sub-folder a device.
#[derive(Debug, Clone)]
pub struct RecordStore {
    folder: PathBuf,
    clock: Clock,
}

impl RecordStore {
    /// A store under `folder`; made when first written to.
    pub fn new(folder: PathBuf, clock: Clock) -> Self {
        Self { folder, clock }
    }

    /// The time by which versions are named.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Keeps a version, unless it equals the newest one kept.
    ///
    /// # Errors
    /// [`DeviceError::File`].
    pub fn keep(&self, udid: &Udid, record: &Secret<Vec<u8>>) -> Result<(), DeviceError> {
        let versions = self.versions(udid)?;
        if let Some(newest) = versions.last()
            && private_file::read(newest, PAIR_RECORD_BYTES)?.as_ref() == Some(record)
        {
            return Ok(());
        }
        let stamp = self.clock.now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
        private_file::write(
            &self.folder.join(udid.as_str()).join(format!("{stamp}.plist")),
            record.expose(),
        )?;
        let surplus = (versions.len() + 1).saturating_sub(PAIR_RECORD_VERSIONS);
        for old in &versions[..surplus.min(versions.len())] {
            // Not being able to tidy up is no reason to fail a pairing.
            let _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// The newest version kept, if any.
    ///
    /// # Errors
    /// [`DeviceError::File`].
    pub fn newest(&self, udid: &Udid) -> Result<Option<Secret<Vec<u8>>>, DeviceError> {
        match self.versions(udid)?.last() {
            Some(path) => private_file::read(path, PAIR_RECORD_BYTES),
            None => Ok(None),
        }
    }

    /// Sets all versions of a device aside: its pairing was ended on purpose, so none is to
    /// be tried again. The files stay.
    ///
    /// # Errors
    /// [`DeviceError::File`].
    pub fn retire(&self, udid: &Udid) -> Result<(), DeviceError> {
        for path in self.versions(udid)? {
            let aside = path.with_extension("ended");
            fs::rename(&path, aside).map_err(|source| DeviceError::File {
                action: "rename",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// Paths of all versions, oldest first.
    fn versions(&self, udid: &Udid) -> Result<Vec<PathBuf>, DeviceError> {
        let folder = self.folder.join(udid.as_str());
        let failed = |source| DeviceError::File { action: "read", path: folder.clone(), source };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if is_version(&path) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

fn is_version(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "plist")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn versions_are_kept_equal_ones_once_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let store = RecordStore::new(folder.path().join("records"), Clock::System);
        let udid: Udid = "00008110-001A2B3C4D5E6F70".parse().unwrap();
        assert_eq!(store.newest(&udid).unwrap(), None);
        for n in 0..PAIR_RECORD_VERSIONS + 5 {
            let record = Secret::new(format!("record {n}").into_bytes());
            store.keep(&udid, &record).unwrap();
            store.keep(&udid, &record).unwrap();
            assert_eq!(store.newest(&udid).unwrap(), Some(record));
        }
        let versions = store.versions(&udid).unwrap();
        assert_eq!(versions.len(), PAIR_RECORD_VERSIONS);
        store.retire(&udid).unwrap();
        assert_eq!(store.newest(&udid).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path().join("records").join(udid.as_str())).unwrap().count(), 20);
        let versions: Vec<_> = versions.iter().map(|v| v.with_extension("ended")).collect();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&versions[0]), 0o600);
        assert_eq!(mode(versions[0].parent().unwrap()), 0o700);
    }
}
