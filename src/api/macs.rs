//! What can be done with Macs: enroll those that answer, write a kit for those that do not.

use super::live::Live;
use super::operations::exit_of;
use super::run::{self, FilesMet};
use super::view::Exit;
use super::{OperationError, OsVersion, RunEnd};
use crate::clock::Clock;
use crate::device::mac::Mac;
use crate::station::Board;
use crate::station::age::AgeAnswers;
use crate::station::library::candidate::{Judging, Memories};
use crate::station::library::{self, ProfileFileError, Signers};
use crate::station::macs::Macs;
use crate::station::macs::files::{MacFiles, MacFilesError};
use crate::station::macs::kit::{self, Fate, KitEntry, KitError};
use crate::transport::shell::{BadAddress, Runner};
use crate::wire::printable::{printable, sentence};
use crate::wire::profile::Profile;
use serde::Serialize;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::station::macs::files::{MacFile, Prefer};
pub use crate::station::macs::kit::KitFile;
pub use crate::workflow::mac::MacPolicy;
pub use crate::workflow::mac::words::settings_place;

/// What the composition root hands in.
pub struct MacParts {
    /// The journal's file.
    pub journal: PathBuf,
    /// Whose signature profiles may have.
    pub signers: Signers,
    /// Wall time.
    pub clock: Clock,
}

/// The operations on Macs.
pub struct MacOperations {
    parts: MacParts,
    board: Arc<Board>,
}

/// Exports for Macs that were read and checked.
#[derive(Debug, Clone)]
pub struct MacExports(MacFiles);

impl MacExports {
    /// All of them, the preferred one first.
    pub fn all(&self) -> &[MacFile] {
        self.0.all()
    }

    /// The right one for a system (R79); `None` if all need a newer one.
    pub fn choose(&self, os: OsVersion) -> Option<Arc<Profile>> {
        self.0.choose(os)
    }
}

/// How to enroll Macs.
pub struct MacRun {
    /// The Macs, by how scripts are run on them.
    pub runners: Vec<Arc<dyn Runner>>,
    /// The exports.
    pub exports: MacExports,
    /// The owner's decisions.
    pub policy: MacPolicy,
}

impl MacOperations {
    /// Over these parts.
    pub fn new(parts: MacParts) -> Self {
        Self { parts, board: Arc::default() }
    }

    /// Reads and checks exports for Macs; `age` says what the files do not (L46).
    ///
    /// # Errors
    /// One cannot be read, or must not enroll a Mac; or they do not belong together.
    pub fn exports(
        &self,
        paths: &[PathBuf],
        prefer: Prefer,
        age: &AgeAnswers,
    ) -> Result<MacExports, OperationError> {
        let anchors = self.parts.signers.anchors()?;
        let now = self.parts.clock.now();
        let memories = Memories::of(&self.parts.journal).open();
        let judging = Judging { answers: age, anchors: &anchors, memories: &memories, now };
        Ok(MacExports(MacFiles::read(paths, prefer, &judging)?))
    }

    /// A live view of this process's run.
    pub fn live(&self) -> Live {
        Live::new(self.board.clone(), self.parts.clock.clone())
    }

    /// Enrolls Macs side by side until all are over, or until `shutdown`.
    ///
    /// # Errors
    /// The journal is in use or cannot be opened.
    pub async fn run(
        &self,
        run: MacRun,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<RunEnd, OperationError> {
        let MacParts { journal, clock, .. } = &self.parts;
        let journal = run::journal(journal, clock, &self.board, run.policy.dry_run)?;
        let met = FilesMet { sightings: run.exports.0.sightings(), catalogue: None };
        met.record(journal.as_ref()).await;
        let macs = Arc::new(Macs {
            journal: journal.clone(),
            board: self.board.clone(),
            files: run.exports.0,
            policy: run.policy,
            clock: self.parts.clock.clone(),
        });
        let end = macs.run(run.runners.into_iter().map(Mac::new).collect(), shutdown).await;
        if let Some(journal) = journal {
            journal.close().await?;
        }
        Ok(end)
    }
}

/// A file of a kit, as it lies there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KitView {
    /// Where.
    pub file: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Length.
    pub bytes: usize,
    /// `written`, `unchanged` or `replaced`.
    pub action: &'static str,
    /// Only its owner can read it.
    pub private: bool,
}

impl KitView {
    fn new(entry: &KitEntry) -> Self {
        Self {
            file: printable(&entry.path.display().to_string()),
            sha256: entry.sha256.clone(),
            bytes: entry.bytes,
            action: match entry.fate {
                Fate::Written => "written",
                Fate::Unchanged => "unchanged",
                Fate::Replaced => "replaced",
            },
            private: entry.private,
        }
    }
}

/// Writes a kit with its checksums into a folder; with `stick` the folder lies on one, which is
/// checked first.
///
/// # Errors
/// Something different lies there and `force` is not given; the stick is not one, or full.
pub fn write_kit(
    folder: &Path,
    stick: Option<&Path>,
    files: &[KitFile],
    force: bool,
) -> Result<Vec<KitView>, OperationError> {
    if let Some(stick) = stick {
        kit::check_stick(stick, files)?;
    }
    Ok(kit::write(folder, files, force)?.iter().map(KitView::new).collect())
}

/// SHA-256 of a profile as it is carried, in hexadecimal.
pub fn sha256_of(file: &KitFile) -> String {
    library::hex(&openssl::sha::sha256(file.bytes.expose()))
}

impl From<MacFilesError> for OperationError {
    fn from(error: MacFilesError) -> Self {
        let said = sentence(&error);
        match error {
            MacFilesError::File(error) => ProfileFileError::into(error),
            MacFilesError::Unfit { path, remedy, .. } => {
                let more =
                    format!("{remedy} `enlist profile lint --job macos {}` tells all.", path.display());
                Self::new(Exit::Refused, said, more)
            }
            MacFilesError::Age { objection, .. } => Self::new(exit_of(&objection), said, objection.next()),
            MacFilesError::SameKind { .. } | MacFilesError::OtherServer { .. } => {
                Self::new(Exit::Usage, said, "Give one SCEP export, one ACME export, or one of each.")
            }
            MacFilesError::None => Self::new(
                Exit::Usage,
                said,
                "Give the exported .mobileconfig, or set profile in the configuration.",
            ),
        }
    }
}

impl From<KitError> for OperationError {
    fn from(error: KitError) -> Self {
        let (exit, next) = match &error {
            KitError::Io { .. } => {
                (Exit::Failed, "Check the path, its rights, and whether the stick is read-only.")
            }
            KitError::Different { .. } => {
                (Exit::Usage, "Give another folder, or --force to replace what is there.")
            }
            KitError::NotMounted { .. } => (
                Exit::Usage,
                "Mount the stick and give its mount point; for a plain folder leave --device out.",
            ),
            KitError::NoSpace { .. } => (Exit::Failed, "Free some space, or take another stick."),
        };
        Self::new(exit, sentence(&error), next)
    }
}

impl From<BadAddress> for OperationError {
    fn from(error: BadAddress) -> Self {
        let next = "Letters, digits, dots and dashes only; a port belongs into ssh's configuration.";
        Self::new(Exit::Usage, sentence(&error), next)
    }
}
