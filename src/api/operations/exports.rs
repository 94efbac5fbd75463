//! An export with a look at its age (profiles-and-enrollment.md 3.4).

use super::Operations;
use crate::api::OperationError;
use crate::api::view::Exit;
use crate::journal::{LibraryFile, LibraryProfile, Sighting};
use crate::station::age::{Age, AgeAnswers, Objection, Standing};
use crate::station::library::candidate::{Candidate, Judging, Memories, Read};
use crate::station::library::folder::{name, shown};
use crate::wire::printable::sentence;
use crate::wire::profile::Profile;
use crate::workflow::policy::Policy;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An export that may be pushed.
#[derive(Debug, Clone)]
pub struct Export {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Its age; `None` if nothing tells it.
    pub age: Option<Age>,
    /// Why it would be refused, had the operator not allowed it.
    pub refusal: Option<Objection>,
    /// Good until, as far as that counts.
    pub ends: Option<Timestamp>,
}

impl Export {
    pub(super) fn new(candidate: Candidate, now: Timestamp) -> Self {
        let ends = candidate.ends(now);
        Self { profile: candidate.profile, age: candidate.age, refusal: candidate.refusal, ends }
    }

    /// Lays its end and the operator's reason over a policy.
    pub fn policy(&self, policy: Policy, answers: &AgeAnswers) -> Policy {
        Policy { export_ends: self.ends, stale_allowed: answers.allow_stale.clone(), ..policy }
    }

    /// What to know about its age, where there is something.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        if let Some(reason) = &self.refusal {
            return Some(format!("{reason} It is used nevertheless."));
        }
        let age = self.age.as_ref()?;
        let countdown = age.countdown(now);
        match age.standing(now) {
            Standing::FromTheFuture => {
                Some(format!("The {} lies in the future: check this computer's clock.", age.told_by))
            }
            Standing::Ageing => Some(format!("The export {countdown}.")),
            Standing::Fresh if !age.sure => {
                Some(format!("The export {countdown}; state the day with --exported-at."))
            }
            _ => None,
        }
    }
}

impl Operations {
    /// Reads a profile for enrollment, with a look at the age of the export (3.4): one that is too
    /// old, or would be before a run of length `lasting` ends, is refused unless the operator
    /// allows it.
    ///
    /// # Errors
    /// It cannot be read, or must not be pushed; it is too old, or nothing tells its age.
    pub fn export(
        &self,
        path: &Path,
        answers: &AgeAnswers,
        lasting: Duration,
    ) -> Result<Export, OperationError> {
        let now = self.parts.clock.now();
        let Read { candidate, entry } = self.read_export(path, answers)?;
        let mut candidate = candidate?;
        candidate.refusal = answers.objection(candidate.age.as_ref(), lasting, now);
        if let (Some(objection), None) = (&candidate.refusal, &answers.allow_stale) {
            return Err(objected(path, objection));
        }
        self.met(path, entry);
        Ok(Export::new(candidate, now))
    }

    /// Reads a file, with what is remembered of it.
    fn read_export(&self, path: &Path, answers: &AgeAnswers) -> Result<Read, OperationError> {
        let now = self.parts.clock.now();
        let (anchors, memories) = (self.parts.signers.anchors()?, Memories::of(&self.parts.journal).open());
        Ok(Judging { answers, anchors: &anchors, memories: &memories, now }.read(path))
    }

    /// Keeps a file in mind for the journal, which is opened later.
    fn met(&self, path: &Path, entry: Option<LibraryProfile>) {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let folder = path.parent().map(shown).unwrap_or_default();
        let files = entry.map(|profile| LibraryFile { name: name(&path), profile }).into_iter().collect();
        self.note(Sighting { folder, whole: false, files });
    }
}

/// An export that is not used as it stands.
pub(in crate::api) fn objected(path: &Path, objection: &Objection) -> OperationError {
    let said = sentence(format!("{}: {objection}", path.display()));
    OperationError::new(exit_of(objection), said, objection.next())
}

/// Only a person can say what no file says.
pub(in crate::api) fn exit_of(objection: &Objection) -> Exit {
    match objection {
        Objection::TooOld(_) => Exit::Refused,
        Objection::Unknown => Exit::NeedsPerson,
    }
}
