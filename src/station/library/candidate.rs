//! One file of exports: what is in it, how old it is, and what the journal keeps of it.
//!
//! May import: `station::age`, `station::library`, `journal`, `wire::profile`, base.

use super::{ProfileFileError, bytes, hex, load_bytes, store};
use crate::journal::{JournalReader, LibraryProfile, Remembered};
use crate::station::age::{Age, AgeAnswers, Beside, Objection, file_date};
use crate::wire::printable::printable;
use crate::wire::profile::lint::{self, Finding, Job, LintContext, Severity};
use crate::wire::profile::{Profile, Purpose, Refusal, SignatureReport, TrustAnchors};
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A file that can be pushed as an enrollment, but for its age.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it. Jobs share it, so that it stays what it was when they began.
    pub profile: Arc<Profile>,
    /// Its age; `None` if nothing tells it.
    pub age: Option<Age>,
    /// What speaks against its age; somebody answers for that.
    pub refusal: Option<Objection>,
}

impl Candidate {
    /// Good until, as far as that counts: what is used without a known age is over already.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        match self.refusal {
            Some(Objection::Unknown) => Some(now),
            _ => self.age.as_ref().map(|age| age.ends),
        }
    }
}

/// Where earlier words on exports are kept: the journal, and the dates of the own library.
#[derive(Debug, Clone, Default)]
pub struct Memories {
    journal: Option<PathBuf>,
}

impl Memories {
    /// Those of the station with this journal.
    pub fn of(journal: &Path) -> Self {
        Self { journal: Some(journal.into()) }
    }

    /// Opens the journal, if there is one yet. One that cannot be read tells nothing here, and
    /// complains where it is needed.
    pub fn open(&self) -> OpenMemories {
        let journal = self.journal.as_deref().filter(|path| path.exists());
        let reader = journal.and_then(|path| JournalReader::open(path).ok());
        let library = self.journal.as_deref().and_then(Path::parent).map(store::folder_in);
        OpenMemories { library, reader }
    }
}

/// The same, open for some questions.
#[derive(Debug)]
pub struct OpenMemories {
    library: Option<PathBuf>,
    reader: Option<JournalReader>,
}

impl OpenMemories {
    /// What is remembered of an export, whichever file it came in.
    pub(super) fn of(&self, profile: &Profile) -> Remembered {
        let sha = hex(&profile.file_sha256());
        let content = hex(&profile.content_sha256());
        let known = self.reader.as_ref().and_then(|reader| reader.remembered(&sha, &content).ok());
        let known = known.unwrap_or_default();
        let dated = || store::stated(self.library.as_deref()?, &sha);
        Remembered { stated: known.stated.or_else(dated), ..known }
    }
}

/// How files are judged.
#[derive(Clone, Copy)]
pub struct Judging<'a> {
    /// What the operator says.
    pub answers: &'a AgeAnswers,
    /// Whose signature counts.
    pub anchors: &'a TrustAnchors,
    /// What is remembered.
    pub memories: &'a OpenMemories,
    /// Now.
    pub now: Timestamp,
}

/// A file that was read.
#[derive(Debug)]
pub struct Read {
    /// What can be pushed.
    pub candidate: Result<Candidate, ProfileFileError>,
    /// What the journal keeps; `None` for what is no configuration profile at all.
    pub entry: Option<LibraryProfile>,
}

impl Judging<'_> {
    /// Reads a file for enrollment.
    pub fn read(&self, path: &Path) -> Read {
        match self.try_read(path) {
            Ok(read) => read,
            Err(error) => Read { candidate: Err(error), entry: None },
        }
    }

    fn try_read(&self, path: &Path) -> Result<Read, ProfileFileError> {
        let file = bytes(path)?;
        let profile = load_bytes(&file, path, Purpose::Any, self.anchors, self.now)?;
        let Examined { errors, age, stated } = self.examine(&file, &profile, path);
        let refused =
            |refusal: &Refusal| ProfileFileError::Refused { path: path.into(), refusal: refusal.clone() };
        let unfit = |Finding { code, message, remedy, .. }| ProfileFileError::Unfit {
            path: path.into(),
            code,
            message,
            remedy,
        };
        let errors = errors.into_iter().next().map(unfit);
        let problem = profile.enrollment_refusals().first().map(refused).or(errors);
        let mut entry = entry(&profile, file.len(), age.as_ref());
        entry.stated = stated;
        entry.problem = problem.as_ref().map(|problem| match problem {
            ProfileFileError::Refused { refusal, .. } => refusal.to_string(),
            ProfileFileError::Unfit { code, message, .. } => format!("{message} ({code})"),
            other => other.to_string(),
        });
        let candidate = match problem {
            Some(problem) => Err(problem),
            None => Ok(Candidate { path: path.into(), profile: Arc::new(profile), age, refusal: None }),
        };
        Ok(Read { candidate, entry: Some(entry) })
    }

    /// What a device would refuse of an enrollment profile, by every rule of the linter that
    /// needs no device; and how old it is.
    pub fn examine(&self, file: &[u8], profile: &Profile, path: &Path) -> Examined {
        let beside = self.beside(profile, path);
        let mut context = LintContext::new(Some(self.now));
        context.job = Job::Ios;
        context.exported_at = beside.exported_at;
        let (found, sign) = lint::examine(file, self.anchors, &context);
        // The age is judged by what is known beside the file, too.
        let is_error = |finding: &&Finding| finding.severity == Severity::Error && finding.code != AGE_RULE;
        Examined {
            errors: found.findings().iter().filter(is_error).cloned().collect(),
            age: Age::by(sign, beside, self.now),
            stated: beside.exported_at,
        }
    }

    /// How old an export is, and the operator's word on it, said now or before.
    pub fn age(&self, file: &[u8], profile: &Profile, path: &Path) -> (Option<Age>, Option<Timestamp>) {
        let beside = self.beside(profile, path);
        (Age::of(file, beside, self.anchors, self.now), beside.exported_at)
    }

    fn beside(&self, profile: &Profile, path: &Path) -> Beside {
        let known = self.memories.of(profile);
        Beside {
            exported_at: self.answers.exported_at.or(known.stated),
            file_date: file_date(path),
            first_seen: known.first_seen,
        }
    }

    /// What speaks against using an export of this age, in a run that may take `lasting`.
    pub fn objection(&self, age: Option<&Age>, lasting: Duration) -> Option<Objection> {
        self.answers.objection(age, lasting, self.now)
    }
}

/// What there is to know of a file beside what is in it.
#[derive(Debug)]
pub struct Examined {
    /// Errors of the linter; but for its age.
    pub errors: Vec<Finding>,
    /// How old it is; `None` if nothing tells.
    pub age: Option<Age>,
    /// The operator's word, said now or before.
    pub stated: Option<Timestamp>,
}

/// The rule on old exports.
const AGE_RULE: &str = "L46";

/// What the journal keeps of a profile.
pub fn entry(profile: &Profile, bytes: usize, age: Option<&Age>) -> LibraryProfile {
    let signer = match profile.signature() {
        SignatureReport::Signed(signed) => signed.signer.as_ref().map(|s| printable(&s.common_name)),
        SignatureReport::Unsigned => None,
    };
    LibraryProfile {
        sha256: hex(&profile.file_sha256()),
        content_sha256: hex(&profile.content_sha256()),
        bytes: bytes as u64,
        kind: profile.identity().map_or("none", |kind| kind.name()).to_owned(),
        identifier: printable(profile.identifier()),
        uuid: printable(profile.uuid()),
        name: profile.display_name().map(str::to_owned),
        server: profile.server_host().map(str::to_owned),
        signer,
        exported_at: age.and_then(|age| age.exported),
        told_by: age.map(|age| age.told_by.to_string()),
        ends: age.map(|age| age.ends),
        stated: None,
        problem: None,
    }
}
