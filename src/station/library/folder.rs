//! A folder of exports: which of its files is pushed, and why not the others.
//!
//! May import: `station::age`, `station::library`, `journal`, `wire::profile`, base. Reads
//! files and watches nothing; [`super::shelf`] calls [`Folder::scan`] again and again.

pub use super::candidate::Candidate;
use super::candidate::{Judging, Memories, Read};
use super::{ProfileFileError, Signers, hex};
use crate::journal::{LibraryFile, LibraryProfile, Sighting};
use crate::limits::PROFILE_REFUSE_BYTES;
use crate::station::age::{AgeAnswers, Objection};
use crate::wire::printable::{printable, system_words};
use crate::wire::profile::TrustAnchors;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Most files of a folder that are looked at, by name; an export folder has a few.
const MOST_FILES: usize = 4096;

/// Most bytes of profiles that are kept in memory: exports are of a few KiB, so this is room
/// for all of them, and a folder of huge ones costs no more.
const MOST_BYTES: usize = 64 << 20;

/// A file that did not change for this long is whole: who writes slower than that says so by
/// the file's end, which is missing.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

/// Files named in one sentence.
const NAMED: usize = 4;

/// Shortest piece of a SHA-256 that names a file, in digits.
const SHA_DIGITS: usize = 6;

/// Why no file of a folder can be pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be listed.
    #[error("cannot look at {}: {reason}", path.display())]
    Unreadable {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no profile in it.
    #[error("there is no .mobileconfig file in {}", path.display())]
    Empty {
        /// Which folder.
        path: PathBuf,
    },
    /// No profile in it can be pushed.
    #[error("no profile in {} can be pushed: {reasons}", path.display())]
    NoneFits {
        /// Which folder.
        path: PathBuf,
        /// Of some files, why.
        reasons: String,
        /// One could, if a person said how old it is.
        needs_word: bool,
    },
    /// Different profiles could be meant.
    #[error("{} holds different profiles: {names}", path.display())]
    Ambiguous {
        /// Which folder.
        path: PathBuf,
        /// One file of each.
        names: String,
    },
    /// The one that was asked for is not there.
    #[error("no profile in {} is called '{wanted}'", path.display())]
    NotThere {
        /// Which folder.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
    },
}

/// What shows that a file was changed, replaced or renamed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    inode: u64,
    changed: [(i64, i64); 2],
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        // The second date cannot be set back by those who keep the first one.
        let changed = [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())];
        Self { bytes: meta.len(), inode: meta.ino(), changed }
    }

    /// True if nobody touched the file within [`SETTLE`] before `now`, by the file's own word.
    fn is_old(&self, now: Timestamp) -> bool {
        let [_, (second, nano)] = self.changed;
        let touched = i32::try_from(nano).ok().and_then(|nano| Timestamp::new(second, nano).ok());
        let settle = SignedDuration::try_from(SETTLE).unwrap_or_default();
        touched.is_some_and(|touched| touched.duration_until(now) >= settle)
    }
}

/// A file as it was seen last.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// It has this stamp since then.
    since: Instant,
    /// `None` until it stayed the same for a while: it may be half-written.
    read: Option<Entry>,
}

/// What reading a file came to.
#[derive(Debug)]
struct Entry {
    candidate: Result<Candidate, String>,
    kept: Option<LibraryProfile>,
}

/// How long a file must have been still before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Not at all: whoever asks wants to know now.
    AtOnce,
    /// As at the start of a station: what is older than that by its own date is read now.
    First,
    /// As long as a whole file is still, watched.
    Again,
}

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    only_file: bool,
    wanted: Option<String>,
    answers: AgeAnswers,
    signers: Signers,
    memories: Memories,
    seen: BTreeMap<PathBuf, Seen>,
    trouble: Option<String>,
    /// It holds more than [`MOST_FILES`].
    crowded: bool,
}

impl Folder {
    /// Over `path`; `wanted` names one file by name, identifier or the begin of its SHA-256.
    pub fn new(path: PathBuf, wanted: Option<String>, answers: AgeAnswers, signers: Signers) -> Self {
        Self {
            path,
            only_file: false,
            wanted,
            answers,
            signers,
            memories: Memories::default(),
            seen: BTreeMap::new(),
            trouble: None,
            crowded: false,
        }
    }

    /// Of one file alone, as if nothing else were there.
    pub fn of_file(path: PathBuf, answers: AgeAnswers, signers: Signers) -> Self {
        Self { only_file: true, ..Self::new(path, None, answers, signers) }
    }

    /// With what is remembered of exports.
    pub fn remembering(self, memories: Memories) -> Self {
        Self { memories, ..self }
    }

    /// Which folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the folder, and reads what is new or changed and stands still. True if
    /// something is other than it was. `at` is when it is looked, by a clock nobody sets.
    pub fn scan(&mut self, look: Look, at: Instant, now: Timestamp) -> bool {
        let listed = match self.list() {
            Ok(listed) => listed,
            Err(error) => {
                let trouble = Some(system_words(&error).to_string());
                let changed = !self.seen.is_empty() || self.trouble != trouble;
                self.seen.clear();
                self.trouble = trouble;
                return changed;
            }
        };
        let before = self.seen.len();
        let mut changed = self.trouble.take().is_some();
        self.seen.retain(|path, _| listed.contains_key(path));
        changed |= self.seen.len() != before;
        let mut due = Vec::new();
        for (path, stamp) in listed {
            if self.seen.get(&path).is_none_or(|seen| seen.stamp != stamp) {
                self.seen.insert(path.clone(), Seen { stamp, since: at, read: None });
                changed = true;
            }
            let Some(seen) = self.seen.get(&path) else { continue };
            let is_still = match look {
                Look::AtOnce => true,
                Look::First if stamp.is_old(now) => true,
                Look::First | Look::Again => at.duration_since(seen.since) >= SETTLE,
            };
            if is_still && seen.read.is_none() {
                due.push(path);
            }
        }
        changed |= !due.is_empty();
        self.read(due, now);
        changed
    }

    /// Reads again with the next look whose age nobody knew and somebody has stated since.
    pub fn ask_again(&mut self) {
        let memories = self.memories.open();
        for seen in self.seen.values_mut() {
            let Some(Entry { candidate: Ok(candidate), .. }) = &seen.read else { continue };
            let unsure = !candidate.age.as_ref().is_some_and(|age| age.sure);
            if unsure && memories.of(&candidate.profile).stated.is_some() {
                seen.read = None;
            }
        }
    }

    /// When the first of the files that are still being written may be whole.
    pub fn settles(&self) -> Option<Instant> {
        self.seen.values().filter(|seen| seen.read.is_none()).map(|seen| seen.since + SETTLE).min()
    }

    fn read(&mut self, due: Vec<PathBuf>, now: Timestamp) {
        if due.is_empty() {
            return;
        }
        // Read only when they are needed: they are megabytes.
        let anchors = self.signers.anchors().unwrap_or_else(|error| {
            tracing::warn!(%error, "trusted roots are not used");
            TrustAnchors::none().pinned(self.signers.pin.clone())
        });
        let memories = self.memories.open();
        let judging = Judging { answers: &self.answers, anchors: &anchors, memories: &memories, now };
        let mut kept: usize = self.seen.values().map(Seen::bytes).sum();
        for path in due {
            let Some(seen) = self.seen.get_mut(&path) else { continue };
            let room = MOST_BYTES.saturating_sub(kept) as u64;
            let entry = match seen.stamp.bytes <= room || seen.stamp.bytes > PROFILE_REFUSE_BYTES as u64 {
                true => Entry::new(judging.read(&path), &path),
                false => Entry::left_out("The folder holds more than 64 MiB of profiles; take some out."),
            };
            // What changed while it was read is not what was read.
            match std::fs::metadata(&path) {
                Ok(meta) if Stamp::of(&meta) == seen.stamp => seen.read = Some(entry),
                _ if self.only_file => seen.read = Some(entry),
                _ => {}
            }
            kept += seen.bytes();
        }
    }

    fn list(&mut self) -> io::Result<BTreeMap<PathBuf, Stamp>> {
        match self.only_file {
            true => Ok([(self.path.clone(), Stamp::of(&std::fs::metadata(&self.path)?))].into()),
            false => self.list_folder(),
        }
    }

    fn list_folder(&mut self) -> io::Result<BTreeMap<PathBuf, Stamp>> {
        let mut listed = list(&self.path)?;
        let crowded = listed.len() > MOST_FILES;
        if crowded {
            listed.pop_last();
            if !self.crowded {
                tracing::warn!(folder = %self.path.display(), "more than {MOST_FILES} profiles; the rest is not looked at");
            }
        }
        self.crowded = crowded;
        Ok(listed)
    }

    /// The profiles in it, for the journal.
    pub fn sighting(&self) -> Sighting {
        let file = |(path, seen): (&PathBuf, &Seen)| {
            let profile = seen.read.as_ref()?.kept.clone()?;
            Some(LibraryFile { name: name(path), profile })
        };
        let files = self.seen.iter().filter_map(file).collect();
        // What is still being written is not gone.
        let whole = !self.only_file && self.settles().is_none();
        Sighting { folder: shown(&self.path), whole, files }
    }

    /// The newest file that can be pushed now, in jobs that take at most `lasting`, and why it
    /// is that one.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn choose(&self, lasting: Duration, now: Timestamp) -> Result<(Candidate, String), FolderError> {
        let path = self.path.clone();
        if let Some(reason) = self.trouble.clone() {
            return Err(FolderError::Unreadable { path, reason });
        }
        if self.seen.is_empty() {
            return Err(FolderError::Empty { path });
        }
        let (mut fit, mut left_out) = (Vec::new(), Vec::new());
        let mut needs_word = false;
        for (file, seen) in &self.seen {
            match seen.read.as_ref().map(|entry| &entry.candidate) {
                Some(Ok(candidate)) => {
                    let refusal = self.answers.objection(candidate.age.as_ref(), lasting, now);
                    match refusal {
                        Some(reason) if self.answers.allow_stale.is_none() => {
                            needs_word |= reason == Objection::Unknown;
                            left_out.push((file, reason.to_string()));
                        }
                        refusal => fit.push(Candidate { refusal, ..candidate.clone() }),
                    }
                }
                Some(Err(reason)) => left_out.push((file, reason.clone())),
                None => left_out.push((file, WAITING.to_owned())),
            }
        }
        if let Some(wanted) = &self.wanted {
            fit.retain(|candidate| is_called(candidate, wanted));
            if fit.is_empty() && left_out.is_empty() {
                return Err(FolderError::NotThere { path, wanted: printable(wanted) });
            }
        }
        if fit.is_empty() {
            return Err(FolderError::NoneFits { path, reasons: reasons(&left_out), needs_word });
        }
        one_kind(&path, &fit)?;
        let count = fit.len();
        let newest = fit.into_iter().max_by(|a, b| (exported(a), &a.path).cmp(&(exported(b), &b.path)));
        let newest = newest.ok_or(FolderError::Empty { path })?;
        let mut why = match (&self.wanted, count) {
            (_, 2..) => format!("the newest of {count} that can be pushed"),
            (Some(_), _) => "the one asked for".to_owned(),
            (None, _) => "the only one that can be pushed".to_owned(),
        };
        if !left_out.is_empty() {
            why.push_str(&format!("; left out: {}", reasons(&left_out)));
        }
        Ok((newest, why))
    }

    /// Every file, with what is in it or why it is of no use.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Result<&Candidate, &str>)> {
        self.seen.iter().map(|(path, seen)| {
            let read = seen.read.as_ref().map(|entry| entry.candidate.as_ref().map_err(String::as_str));
            (path.as_path(), read.unwrap_or(Err(WAITING)))
        })
    }
}

const WAITING: &str = "It is still being written.";

impl Seen {
    /// Bytes in memory.
    fn bytes(&self) -> usize {
        let candidate = self.read.as_ref().and_then(|entry| entry.candidate.as_ref().ok());
        candidate.map_or(0, |candidate| candidate.profile.bytes().expose().len())
    }
}

impl Entry {
    fn new(read: Read, path: &Path) -> Self {
        let said = |error: ProfileFileError| reason(&error.to_string(), path);
        Self { candidate: read.candidate.map_err(said), kept: read.entry }
    }

    fn left_out(reason: &str) -> Self {
        Self { candidate: Err(reason.to_owned()), kept: None }
    }
}

/// True if a person means this one.
fn is_called(candidate: &Candidate, wanted: &str) -> bool {
    let sha = hex(&candidate.profile.file_sha256());
    let name = candidate.path.file_name().map(|name| name.to_string_lossy());
    let stem = candidate.path.file_stem().map(|name| name.to_string_lossy());
    wanted.len() >= SHA_DIGITS && sha.starts_with(&wanted.to_ascii_lowercase())
        || [name, stem].into_iter().flatten().any(|name| name == wanted)
        || candidate.profile.identifier() == wanted
        || candidate.profile.display_name() == Some(wanted)
}

fn exported(candidate: &Candidate) -> Option<Timestamp> {
    candidate.age.as_ref().map(|age| age.exported.unwrap_or(age.ends))
}

/// A path as the journal and people get it.
pub fn shown(path: &Path) -> String {
    printable(&std::path::absolute(path).unwrap_or_else(|_| path.into()).to_string_lossy())
}

/// The file's name stands before every reason already.
fn reason(said: &str, path: &Path) -> String {
    let shown = path.display().to_string();
    said.replacen(&format!("{shown}: "), "", 1).replacen(&format!(" {shown}"), "", 1)
}

fn one_kind(path: &Path, fit: &[Candidate]) -> Result<(), FolderError> {
    let mut kinds: BTreeMap<(&str, Option<&str>), &Candidate> = BTreeMap::new();
    for candidate in fit {
        let profile = &candidate.profile;
        kinds.entry((profile.identifier(), profile.server_host())).or_insert(candidate);
    }
    if kinds.len() < 2 {
        return Ok(());
    }
    let one = |((identifier, host), candidate): (&(&str, Option<&str>), &&Candidate)| {
        format!("{} ({}, {})", name(&candidate.path), printable(identifier), host.unwrap_or("no server"))
    };
    let names = kinds.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    Err(FolderError::Ambiguous { path: path.into(), names })
}

fn reasons(left_out: &[(&PathBuf, String)]) -> String {
    let one = |(path, reason): &(&PathBuf, String)| format!("{}: {reason}", name(path));
    let shown = left_out.iter().take(NAMED).map(one).collect::<Vec<_>>().join(" ");
    match left_out.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} And {more} more."),
    }
}

/// A file's name, safe to print.
pub fn name(path: &Path) -> String {
    printable(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

/// The profiles of a folder. Links are followed; folders, pipes, hidden and temporary files
/// are none.
fn list(folder: &Path) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let mut listed = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !is_profile_name(&path) {
            continue;
        }
        // It may be gone already.
        let Ok(meta) = std::fs::metadata(&path) else { continue };
        if meta.is_file() {
            listed.insert(path, Stamp::of(&meta));
        }
        if listed.len() > MOST_FILES {
            break;
        }
    }
    Ok(listed)
}

/// True for what an export is called; editors, browsers and copying tools call their drafts
/// otherwise.
pub fn is_profile_name(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(['.', '#']));
    !hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mobileconfig"))
}

#[cfg(test)]
mod tests;
