//! Folders of exports: following one, and the station's own library.

use super::{Export, Operations, exports};
use crate::api::OperationError;
use crate::api::view::{AgeView, Exit, LibraryProfileView};
use crate::clock::Clock;
use crate::journal::{Journal, JournalErrorKind, JournalReader, LibraryRow};
use crate::station::age::{self, AgeAnswers, Objection, UnknownAge};
use crate::station::library::candidate::{Judging, Memories};
use crate::station::library::folder::{Candidate, Folder, FolderError, Look, name};
use crate::station::library::shelf::{self, Shelf};
use crate::station::library::store::{self, StoreError};
use crate::station::library::{self, Signers, hex};
use crate::wire::printable::{printable, sentence};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// Shortest piece of a SHA-256 that names a file, in digits.
const SHA_DIGITS: usize = 6;

/// A file of a library, for `enlist profile list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stored {
    /// File.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// PayloadIdentifier.
    pub identifier: Option<String>,
    /// `scep`, `acme` or `pkcs12`.
    pub identity: Option<&'static str>,
    /// How old it is.
    pub age: Option<AgeView>,
    /// Why it is of no use.
    pub problem: Option<String>,
    /// True for the one that `enlist serve` would push.
    pub chosen: bool,
    /// What the journal knows of it.
    pub known: Option<LibraryProfileView>,
}

impl Operations {
    /// The newest acceptable export of a folder, why it is that one, and what follows the
    /// folder from now on.
    ///
    /// # Errors
    /// None can be pushed, or several could be meant.
    pub async fn export_of_folder(
        &self,
        path: &Path,
        wanted: Option<&str>,
        answers: &AgeAnswers,
        lasting: Duration,
    ) -> Result<(Export, String, Shelf), OperationError> {
        let clock = self.parts.clock.clone();
        let signers = self.parts.signers.clone();
        let mut folder = Folder::new(path.into(), wanted.map(str::to_owned), answers.clone(), signers)
            .remembering(Memories::of(&self.parts.journal));
        shelf::look_first(&mut folder, &clock).await;
        let (candidate, why) = folder.choose(lasting, clock.now())?;
        let why = format!("{}: {why}", name(&candidate.path));
        let (shelf, catalogue) = shelf::follow(folder, clock.clone());
        self.follow_in_journal(catalogue);
        Ok((Export::new(candidate, clock.now()), why, shelf))
    }
}

/// The folder of a station's own library.
pub fn library_in(state_dir: &Path) -> PathBuf {
    store::folder_in(state_dir)
}

/// The exports a station keeps, and those it met.
pub struct Library {
    /// Where they are kept.
    pub folder: PathBuf,
    /// The station's journal.
    pub journal: PathBuf,
    /// Whose signature counts.
    pub signers: Signers,
    /// What to do with exports of unknown age.
    pub unknown: UnknownAge,
    /// Wall time.
    pub clock: Clock,
}

impl Library {
    /// The files of a folder, or of the own library, by name.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn list(&self, folder: Option<&Path>) -> Result<Vec<Stored>, OperationError> {
        let path = folder.unwrap_or(&self.folder);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let folder = self.scanned(path);
        let now = self.clock.now();
        let chosen = match folder.choose(Duration::ZERO, now) {
            Ok((candidate, _)) => Some(candidate.path),
            Err(error @ FolderError::Unreadable { .. }) => return Err(error.into()),
            Err(_) => None,
        };
        let mut known: HashMap<_, _> =
            self.rows(true)?.into_iter().map(|row| (row.profile.sha256.clone(), row)).collect();
        let stored = |(path, read): (&Path, Result<&Candidate, &str>)| {
            let profile = read.ok().map(|candidate| &candidate.profile);
            let age = read.ok().and_then(|candidate| candidate.age.as_ref());
            let sha256 = profile.map(|profile| hex(&profile.file_sha256()));
            let row = sha256.as_ref().and_then(|sha| known.remove(sha));
            Stored {
                file: name(path),
                sha256,
                name: profile.and_then(|profile| profile.display_name().map(str::to_owned)),
                identifier: profile.map(|profile| printable(profile.identifier())),
                identity: profile.and_then(|profile| profile.identity()).map(|identity| identity.name()),
                age: age.map(|age| AgeView::new(age, now)),
                problem: read.err().map(str::to_owned),
                chosen: chosen.as_deref() == Some(path),
                known: row.map(|row| LibraryProfileView::new(&row, now)),
            }
        };
        Ok(folder.files().map(stored).collect())
    }

    /// Every profile the station ever met in a file, the one seen last first; with `gone` also
    /// those that no file holds any more.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn known(&self, gone: bool) -> Result<Vec<LibraryProfileView>, OperationError> {
        let now = self.clock.now();
        Ok(self.rows(gone)?.iter().map(|row| LibraryProfileView::new(row, now)).collect())
    }

    fn rows(&self, gone: bool) -> Result<Vec<LibraryRow>, OperationError> {
        if !self.journal.exists() {
            return Ok(Vec::new());
        }
        Ok(JournalReader::open(&self.journal)?.library(gone)?)
    }

    /// Adds an export; its day of export has to be known. True if it was not there yet.
    ///
    /// # Errors
    /// It cannot be read, must not be pushed for enrollment, is of unknown age, or cannot be
    /// written.
    pub async fn add(&self, file: &Path, answers: &AgeAnswers) -> Result<(Stored, bool), OperationError> {
        let (anchors, memories) = (self.signers.anchors()?, Memories::of(&self.journal).open());
        let now = self.clock.now();
        let read = Judging { answers, anchors: &anchors, memories: &memories, now }.read(file);
        let age = read.candidate?.age;
        if let Some(unknown @ Objection::Unknown) = answers.objection(age.as_ref(), Duration::ZERO, now) {
            return Err(exports::objected(file, &unknown));
        }
        let stated = read.entry.and_then(|entry| entry.stated);
        let dated = age.and_then(|age| age.exported).or(stated);
        let (path, is_new) = store::add(&self.folder, &library::bytes(file)?, dated)?;
        self.record().await;
        let stored = self.list(None)?.into_iter().find(|stored| stored.file == name(&path));
        let gone = || OperationError::new(Exit::Failed, "The profile was removed at once.", "Add it again.");
        Ok((stored.ok_or_else(gone)?, is_new))
    }

    /// Removes an export, named by its file or the begin of its SHA-256.
    ///
    /// # Errors
    /// None or several are called so; it cannot be removed.
    pub async fn remove(&self, wanted: &str) -> Result<String, OperationError> {
        let listed = self.list(None)?;
        let is_meant = |stored: &&Stored| {
            stored.file == wanted || wanted.len() >= SHA_DIGITS && stored.file.starts_with(wanted)
        };
        let meant: Vec<_> = listed.iter().filter(is_meant).collect();
        match meant[..] {
            [one] => {
                store::remove(&self.folder.join(&one.file))?;
                self.record().await;
                Ok(one.file.clone())
            }
            [] => {
                let said = format!("The library has no profile {}.", printable(wanted));
                Err(OperationError::new(Exit::Usage, said, "See `enlist profile list`."))
            }
            _ => {
                let said = format!("{} profiles begin with {}.", meant.len(), printable(wanted));
                Err(OperationError::new(Exit::Usage, said, "Give more of the SHA-256."))
            }
        }
    }

    /// Writes down what is in the library now. A running station holds the journal, and looks
    /// by itself if the library is what it follows.
    async fn record(&self) {
        let written = async {
            let journal = Journal::open(self.journal.clone(), self.clock.clone(), Arc::new(|_| ()))?;
            let saw = journal.saw(self.scanned(&self.folder).sighting()).await;
            journal.close().await?;
            saw
        };
        match written.await {
            Ok(()) => {}
            Err(error) if error.kind() == JournalErrorKind::InUse => {}
            Err(error) => tracing::warn!(%error, "the journal does not know of it"),
        }
    }

    fn scanned(&self, path: &Path) -> Folder {
        let answers = AgeAnswers { unknown: self.unknown, ..AgeAnswers::default() };
        let folder = Folder::new(path.into(), None, answers, self.signers.clone());
        let mut folder = folder.remembering(Memories::of(&self.journal));
        folder.scan(Look::AtOnce, Instant::now(), self.clock.now());
        folder
    }
}

impl From<FolderError> for OperationError {
    fn from(error: FolderError) -> Self {
        let said = sentence(&error);
        match error {
            FolderError::Unreadable { .. } => Self::new(Exit::Usage, said, "Check the path and its rights."),
            FolderError::Empty { .. } => {
                Self::new(Exit::Usage, said, "Put the file there that your MDM exported.")
            }
            FolderError::NoneFits { needs_word: true, .. } => {
                Self::new(exports::exit_of(&Objection::Unknown), said, Objection::Unknown.next())
            }
            FolderError::NoneFits { .. } => Self::new(Exit::Refused, said, age::next_action()),
            FolderError::Ambiguous { .. } => {
                Self::new(Exit::Usage, said, "Name the one that is meant: --profile NAME|SHA.")
            }
            FolderError::NotThere { .. } => {
                Self::new(Exit::Usage, said, "`enlist profile list DIR` shows what is there.")
            }
        }
    }
}

impl From<StoreError> for OperationError {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Failed, sentence(&error), "Check the state folder: its owner, its rights, its disk.")
    }
}
