//! Where laboratories keep their state: on a small disk of memory that can be filled, if this
//! process was given one ([`super::alone`]), else in the folder for temporary files.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// Names the small disk of a process.
pub(super) const SMALL_DISK: &str = "ENLIST_TEST_SMALL_DISK";

#[derive(Debug, Clone)]
pub(crate) struct SmallDisk {
    root: Option<PathBuf>,
}

impl SmallDisk {
    #[allow(clippy::disallowed_methods)] // told by the process that started this one
    pub(crate) fn of_this_process() -> Self {
        Self { root: std::env::var_os(SMALL_DISK).map(PathBuf::from) }
    }

    pub(crate) fn can_be_filled(&self) -> bool {
        self.root.is_some()
    }

    pub(super) fn fresh_folder(&self) -> PathBuf {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix("lab-");
        match &self.root {
            Some(root) => folder.tempdir_in(root).unwrap().keep(),
            None => folder.tempdir().unwrap().keep(),
        }
    }

    /// Leaves no byte.
    pub(crate) fn fill(&self) {
        let Some(path) = self.filler() else { return };
        let mut file = File::create(path).unwrap();
        for size in [64 << 10, 4 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Space returns.
    pub(crate) fn free(&self) {
        if let Some(path) = self.filler() {
            let _ = std::fs::remove_file(path);
        }
    }

    fn filler(&self) -> Option<PathBuf> {
        self.root.as_ref().map(|root| root.join("filler"))
    }
}
