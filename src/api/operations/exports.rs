//! An export with a look at its age (profiles-and-enrollment.md 3.4).

use super::Operations;
use crate::api::OperationError;
use crate::api::view::Exit;
use crate::journal::JournalReader;
use crate::station::age::{self, Age, AgeAnswers, Beside, Standing, file_date};
use crate::station::library;
use crate::wire::profile::{Profile, Purpose};
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
    pub refusal: Option<String>,
}

impl Export {
    /// Lays its end and the operator's reason over a policy.
    pub fn policy(&self, policy: Policy, answers: &AgeAnswers) -> Policy {
        let export_ends = self.age.as_ref().map(|age| age.ends);
        Policy { export_ends, stale_allowed: answers.allow_stale.clone(), ..policy }
    }

    /// What to know about its age, where there is something.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Some(age) = &self.age else {
            return Some("Nothing tells when the profile was exported; state it with --exported-at.".into());
        };
        let countdown = age.countdown(now);
        match (age.standing(now), &self.refusal) {
            (_, Some(reason)) => Some(format!("{reason} It is used nevertheless.")),
            (Standing::FromTheFuture, _) => {
                Some(format!("The {} lies in the future: check this computer's clock.", age.told_by))
            }
            (Standing::Ageing, _) => Some(format!("The export {countdown}.")),
            (Standing::Fresh, _) if !age.sure => {
                Some(format!("The export {countdown}; state the day with --exported-at."))
            }
            _ => None,
        }
    }
}

impl Operations {
    /// As [`Operations::profile`], with a look at the age of the export (3.4): one that is too
    /// old, or would be before a run of length `lasting` ends, is refused unless the operator
    /// allows it.
    ///
    /// # Errors
    /// As [`Operations::profile`]; it is too old.
    pub fn export(
        &self,
        path: &Path,
        answers: &AgeAnswers,
        lasting: Duration,
    ) -> Result<Export, OperationError> {
        let now = self.parts.clock.now();
        let anchors = self.parts.signers.anchors()?;
        let bytes = library::bytes(path)?;
        let profile = library::load_bytes(&bytes, path, Purpose::Enrollment, &anchors, now)?;
        let first_used = first_used(&self.parts.journal, &library::hex(&profile.file_sha256()));
        let beside = Beside { exported_at: answers.exported_at, file_date: file_date(path), first_used };
        let age = Age::of(&bytes, beside, &anchors, now);
        let refusal = age.as_ref().and_then(|age| age.refusal(lasting, now));
        match (&refusal, &answers.allow_stale) {
            (Some(reason), None) => {
                let said = format!("{}: {reason}", path.display());
                Err(OperationError::new(Exit::Refused, said, age::next_action()))
            }
            _ => Ok(Export { profile: Arc::new(profile), age, refusal }),
        }
    }
}

/// When this station first used a file; a journal that cannot be read tells nothing here, and
/// complains where it is needed.
fn first_used(journal: &Path, sha256: &str) -> Option<Timestamp> {
    if !journal.exists() {
        return None;
    }
    JournalReader::open(journal).ok()?.first_used(sha256).ok()?
}
