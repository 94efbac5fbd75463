//! The exports for Macs: checked by the linter, and chosen by the Mac's system (R79).

use super::super::age::{Age, Objection};
use super::super::library::candidate::{Judging, entry};
use super::super::library::folder::{name, shown};
use super::super::library::{self, ProfileFileError};
use crate::journal::{LibraryFile, LibraryProfile, Sighting};
use crate::wire::profile::lint::{self, Finding, Job, LintContext, OsVersion, Severity};
use crate::wire::profile::{IdentityKind, Profile, Purpose};
use crate::workflow::choice::{NoSiblings, no_siblings};
use crate::workflow::mac::plan::too_old;
pub use crate::workflow::policy::Prefer;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why these files cannot be used together, or one of them at all.
#[derive(Debug, thiserror::Error)]
pub enum MacFilesError {
    /// One cannot be read as a profile.
    #[error(transparent)]
    File(#[from] ProfileFileError),
    /// The linter finds errors in one.
    #[error("{} cannot enroll a Mac ({code}): {message}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// The worst finding's rule.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Its age speaks against one.
    #[error("{}: {objection}", path.display())]
    Age {
        /// Which file.
        path: PathBuf,
        /// What speaks against it.
        objection: Objection,
    },
    /// Two of one kind.
    #[error("{} and {} are both {kind} exports; give one of each kind", first.display(), second.display())]
    SameKind {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// `SCEP`, `ACME`, `PKCS12`.
        kind: String,
    },
    /// They would enroll into different servers.
    #[error("{} and {} lead to different MDM servers", first.display(), second.display())]
    OtherServer {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// No file was given.
    #[error("there is no profile to enroll with")]
    None,
}

/// An export with what the linter says of it.
#[derive(Debug, Clone)]
pub struct MacFile {
    /// Where it was read.
    pub path: PathBuf,
    /// The profile.
    pub profile: Arc<Profile>,
    /// Findings that do not stop it.
    pub warnings: Vec<Finding>,
    /// How old it is; `None` if nothing tells.
    pub age: Option<Age>,
    /// What speaks against its age; somebody answers for that.
    pub objection: Option<Objection>,
    /// What the journal keeps of it.
    entry: LibraryProfile,
}

/// The exports of one enrollment: one for each kind of identity.
#[derive(Debug, Clone)]
pub struct MacFiles {
    files: Vec<MacFile>,
    fallback: Arc<Profile>,
    stale_allowed: Option<String>,
}

impl MacFiles {
    /// Reads and checks.
    ///
    /// # Errors
    /// [`MacFilesError`].
    pub fn read(paths: &[PathBuf], prefer: Prefer, judging: &Judging<'_>) -> Result<Self, MacFilesError> {
        let mut context = LintContext::new(Some(judging.now));
        context.job = Job::Macos;
        context.policy.prefer_scep = prefer == Prefer::Scep;
        context.policy.stale_allowed.clone_from(&judging.answers.allow_stale);
        context.exported_at = judging.answers.exported_at;
        let mut files: Vec<MacFile> = Vec::new();
        for path in paths {
            let file = read_one(path, judging, &context)?;
            fits(&files, &file)?;
            files.push(file);
        }
        files.sort_by_key(|file| !prefer.likes(&file.profile));
        let fallback = files.first().ok_or(MacFilesError::None)?.profile.clone();
        Ok(Self { files, fallback, stale_allowed: judging.answers.allow_stale.clone() })
    }

    /// The files, for the journal.
    pub fn sightings(&self) -> Vec<Sighting> {
        let sighting = |file: &MacFile| {
            let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            let folder = path.parent().map(shown).unwrap_or_default();
            let files = vec![LibraryFile { name: name(&path), profile: file.entry.clone() }];
            Sighting { folder, whole: false, files }
        };
        self.files.iter().map(sighting).collect()
    }

    /// The right one for a system; `None` if all need a newer one.
    pub fn choose(&self, os: OsVersion) -> Option<Arc<Profile>> {
        self.files.iter().map(|file| &file.profile).find(|profile| !too_old(profile, os)).cloned()
    }

    /// Why a profile that is too old at `now` may be used, if it is.
    pub fn reason_for_stale(&self, profile: &Profile, now: Timestamp) -> Option<String> {
        let file = self.files.iter().find(|file| file.profile.file_sha256() == profile.file_sha256())?;
        let stale = file.objection.is_some() || file.age.as_ref().is_some_and(|age| age.ends <= now);
        self.stale_allowed.clone().filter(|_| stale)
    }

    /// The preferred one, for what is written down of a Mac whose system is not known.
    pub fn any(&self) -> Arc<Profile> {
        self.fallback.clone()
    }

    /// All of them, the preferred one first.
    pub fn all(&self) -> &[MacFile] {
        &self.files
    }
}

fn read_one(path: &Path, judging: &Judging<'_>, context: &LintContext) -> Result<MacFile, MacFilesError> {
    let bytes = library::bytes(path)?;
    // What is no profile at all is said in the words of every other command.
    let profile = library::load_bytes(&bytes, path, Purpose::Any, judging.anchors, judging.now)?;
    let (age, stated) = judging.age(&bytes, &profile, path);
    let context = LintContext { exported_at: stated, ..context.clone() };
    let found = lint::lint(&bytes, judging.anchors, &context);
    let (errors, others): (Vec<_>, Vec<_>) =
        found.findings().iter().cloned().partition(|finding| finding.severity == Severity::Error);
    if let Some(worst) = errors.into_iter().next() {
        let Finding { code, message, remedy, .. } = worst;
        return Err(MacFilesError::Unfit { path: path.into(), code, message, remedy });
    }
    // It is opened there within the hour, or carried there: that it lasts is for the card to say.
    let objection = judging.objection(age.as_ref(), Duration::ZERO);
    if let (Some(objection), None) = (&objection, &judging.answers.allow_stale) {
        return Err(MacFilesError::Age { path: path.into(), objection: objection.clone() });
    }
    let warnings = others.into_iter().filter(|finding| finding.severity == Severity::Warning).collect();
    let entry = LibraryProfile { stated, ..entry(&profile, bytes.len(), age.as_ref()) };
    Ok(MacFile { path: path.into(), profile: Arc::new(profile), warnings, age, objection, entry })
}

fn fits(files: &[MacFile], new: &MacFile) -> Result<(), MacFilesError> {
    for file in files {
        let (first, second) = (file.path.clone(), new.path.clone());
        match no_siblings(&file.profile, &new.profile) {
            None => {}
            Some(NoSiblings::SameKind(kind)) => {
                let kind = kind.map_or("", IdentityKind::name).to_uppercase();
                return Err(MacFilesError::SameKind { first, second, kind });
            }
            Some(NoSiblings::OtherServer) => return Err(MacFilesError::OtherServer { first, second }),
        }
    }
    Ok(())
}
