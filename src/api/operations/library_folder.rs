//! Folders of exports: following one, and the station's own library.

use super::{Export, Operations};
use crate::api::OperationError;
use crate::api::view::{AgeView, Exit};
use crate::clock::Clock;
use crate::station::age::{self, AgeAnswers, file_date};
use crate::station::library::folder::{Candidate, Folder, FolderError, name};
use crate::station::library::shelf::{self, Shelf};
use crate::station::library::store::{self, StoreError};
use crate::station::library::{self, Signers, hex};
use crate::wire::printable::{printable, sentence};
use crate::wire::profile::Purpose;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use utoipa::ToSchema;

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
}

impl Operations {
    /// The newest acceptable export of a folder, why it is that one, and what follows the
    /// folder from now on.
    ///
    /// # Errors
    /// None can be pushed, or several could be meant.
    pub fn export_of_folder(
        &self,
        path: &Path,
        wanted: Option<&str>,
        answers: &AgeAnswers,
        lasting: Duration,
    ) -> Result<(Export, String, Shelf), OperationError> {
        let clock = self.parts.clock.clone();
        let now = clock.now();
        let signers = self.parts.signers.clone();
        let mut folder = Folder::new(path.into(), wanted.map(str::to_owned), answers.clone(), signers);
        folder.scan(true, now);
        let (Candidate { path, profile, age, refusal }, why) = folder.choose(lasting, now)?;
        let why = format!("{}: {why}", name(&path));
        Ok((Export { profile, age, refusal }, why, shelf::follow(folder, clock)))
    }
}

/// The folder of a station's own library.
pub fn library_in(state_dir: &Path) -> PathBuf {
    store::folder_in(state_dir)
}

/// The files of a folder, by name.
///
/// # Errors
/// It cannot be listed.
pub fn list_profiles(path: &Path, signers: &Signers, clock: &Clock) -> Result<Vec<Stored>, OperationError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let folder = scanned(path, signers, clock);
    let chosen = match folder.choose(Duration::ZERO, clock.now()) {
        Ok((candidate, _)) => Some(candidate.path),
        Err(error @ FolderError::Unreadable { .. }) => return Err(error.into()),
        Err(_) => None,
    };
    let stored = |(path, read): (&Path, Result<&Candidate, &str>)| {
        let profile = read.ok().map(|candidate| &candidate.profile);
        let age = read.ok().and_then(|candidate| candidate.age.as_ref());
        Stored {
            file: name(path),
            sha256: profile.map(|profile| hex(&profile.file_sha256())),
            name: profile.and_then(|profile| profile.display_name().map(str::to_owned)),
            identifier: profile.map(|profile| printable(profile.identifier())),
            identity: profile.and_then(|profile| profile.identity()).map(|identity| identity.name()),
            age: age.map(|age| AgeView::new(age, clock.now())),
            problem: read.err().map(str::to_owned),
            chosen: chosen.as_deref() == Some(path),
        }
    };
    Ok(folder.files().map(stored).collect())
}

/// Adds an export to a library. True if it was not there yet.
///
/// # Errors
/// It cannot be read, must not be pushed for enrollment, or cannot be written.
pub fn add_profile(
    library: &Path,
    file: &Path,
    answers: &AgeAnswers,
    signers: &Signers,
    clock: &Clock,
) -> Result<(Stored, bool), OperationError> {
    let anchors = signers.anchors()?;
    let bytes = library::bytes(file)?;
    library::load_bytes(&bytes, file, Purpose::Enrollment, &anchors, clock.now())?;
    let (path, is_new) = store::add(library, &bytes, answers.exported_at.or_else(|| file_date(file)))?;
    let listed = list_profiles(library, signers, clock)?;
    let stored = listed.into_iter().find(|stored| stored.file == name(&path));
    let gone = || OperationError::new(Exit::Failed, "The profile was removed at once.", "Add it again.");
    Ok((stored.ok_or_else(gone)?, is_new))
}

/// Removes an export, named by its file or the begin of its SHA-256.
///
/// # Errors
/// None or several are called so; it cannot be removed.
pub fn remove_profile(
    library: &Path,
    wanted: &str,
    signers: &Signers,
    clock: &Clock,
) -> Result<String, OperationError> {
    let listed = list_profiles(library, signers, clock)?;
    let is_meant =
        |stored: &&Stored| stored.file == wanted || wanted.len() >= 6 && stored.file.starts_with(wanted);
    let meant: Vec<_> = listed.iter().filter(is_meant).collect();
    match meant[..] {
        [one] => {
            store::remove(&library.join(&one.file))?;
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

fn scanned(path: &Path, signers: &Signers, clock: &Clock) -> Folder {
    let mut folder = Folder::new(path.into(), None, AgeAnswers::default(), signers.clone());
    folder.scan(true, clock.now());
    folder
}

impl From<FolderError> for OperationError {
    fn from(error: FolderError) -> Self {
        let said = sentence(&error);
        match error {
            FolderError::Unreadable { .. } => Self::new(Exit::Usage, said, "Check the path and its rights."),
            FolderError::Empty { .. } => {
                Self::new(Exit::Usage, said, "Put the file there that your MDM exported.")
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
