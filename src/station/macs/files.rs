//! The exports for Macs: checked by the linter, and chosen by the Mac's system (R79).

use super::super::age::AgeAnswers;
use super::super::library::{self, ProfileFileError};
use crate::wire::profile::lint::{self, Finding, Job, LintContext, OsVersion, Severity};
use crate::wire::profile::{IdentityKind, Profile, Purpose, TrustAnchors};
use crate::workflow::choice::{NoSiblings, no_siblings};
use crate::workflow::mac::plan::too_old;
pub use crate::workflow::policy::Prefer;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// When it ends; `None` if nothing tells.
    pub ends: Option<Timestamp>,
}

/// The exports of one enrollment: one for each kind of identity.
#[derive(Debug, Clone)]
pub struct MacFiles {
    files: Vec<MacFile>,
    fallback: Arc<Profile>,
    stale_allowed: Option<String>,
}

impl MacFiles {
    /// Reads and checks; `age` says what the files do not (L46).
    ///
    /// # Errors
    /// [`MacFilesError`].
    pub fn read(
        paths: &[PathBuf],
        prefer: Prefer,
        age: &AgeAnswers,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<Self, MacFilesError> {
        let mut context = LintContext::new(Some(now));
        context.job = Job::Macos;
        context.policy.prefer_scep = prefer == Prefer::Scep;
        context.policy.stale_allowed.clone_from(&age.allow_stale);
        context.exported_at = age.exported_at;
        let mut files: Vec<MacFile> = Vec::new();
        for path in paths {
            let file = read_one(path, anchors, &context, now)?;
            fits(&files, &file)?;
            files.push(file);
        }
        files.sort_by_key(|file| !prefer.likes(&file.profile));
        let fallback = files.first().ok_or(MacFilesError::None)?.profile.clone();
        Ok(Self { files, fallback, stale_allowed: age.allow_stale.clone() })
    }

    /// The right one for a system; `None` if all need a newer one.
    pub fn choose(&self, os: OsVersion) -> Option<Arc<Profile>> {
        self.files.iter().map(|file| &file.profile).find(|profile| !too_old(profile, os)).cloned()
    }

    /// Why a profile that is too old at `now` may be used, if it is.
    pub fn reason_for_stale(&self, profile: &Profile, now: Timestamp) -> Option<String> {
        let file = self.files.iter().find(|file| file.profile.file_sha256() == profile.file_sha256())?;
        let stale = file.ends.is_some_and(|end| end <= now);
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

fn read_one(
    path: &Path,
    anchors: &TrustAnchors,
    context: &LintContext,
    now: Timestamp,
) -> Result<MacFile, MacFilesError> {
    let bytes = library::bytes(path)?;
    // What is no profile at all is said in the words of every other command.
    let profile = library::load_bytes(&bytes, path, Purpose::Any, anchors, now)?;
    let found = lint::lint(&bytes, anchors, context);
    let (errors, others): (Vec<_>, Vec<_>) =
        found.findings().iter().cloned().partition(|finding| finding.severity == Severity::Error);
    if let Some(worst) = errors.into_iter().next() {
        let Finding { code, message, remedy, .. } = worst;
        return Err(MacFilesError::Unfit { path: path.into(), code, message, remedy });
    }
    let warnings = others.into_iter().filter(|finding| finding.severity == Severity::Warning).collect();
    let ends = lint::export_age(&bytes, anchors, context).map(|age| age.ends);
    Ok(MacFile { path: path.into(), profile: Arc::new(profile), warnings, ends })
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
