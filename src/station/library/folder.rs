//! A folder of exports: which of its files is pushed, and why not the others.
//!
//! May import: `station::age`, `station::library`, `wire::profile`, base. Reads files and
//! watches nothing; [`super::shelf`] calls [`Folder::scan`] again and again.

use super::{Signers, bytes, hex, load_bytes};
use crate::station::age::{Age, AgeAnswers, Beside, file_date};
use crate::wire::printable::{printable, system_words};
use crate::wire::profile::{Profile, Purpose, TrustAnchors};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Most files of a folder that are looked at, by name; an export folder has a few.
const MOST_FILES: usize = 4096;

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

/// A file that can be pushed as an enrollment, but for its age.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it lies.
    pub path: PathBuf,
    /// What is in it. Jobs share it, so that it stays what it was when they began.
    pub profile: Arc<Profile>,
    /// Its age; `None` if nothing tells it.
    pub age: Option<Age>,
    /// Why it is too old, had nobody allowed that.
    pub refusal: Option<String>,
}

impl Candidate {
    fn is_called(&self, wanted: &str) -> bool {
        let sha = hex(&self.profile.file_sha256());
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        let stem = self.path.file_stem().map(|name| name.to_string_lossy());
        wanted.len() >= SHA_DIGITS && sha.starts_with(&wanted.to_ascii_lowercase())
            || [name, stem].into_iter().flatten().any(|name| name == wanted)
            || self.profile.identifier() == wanted
            || self.profile.display_name() == Some(wanted)
    }

    fn exported(&self) -> Option<Timestamp> {
        self.age.as_ref().map(|age| age.exported.unwrap_or(age.ends))
    }
}

/// What shows that a file was changed, replaced or renamed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    inode: u64,
    changed: (i64, i64, i64),
}

impl Stamp {
    fn of(meta: &std::fs::Metadata) -> Self {
        // The second date cannot be set back by those who keep the first one.
        let changed = (meta.mtime(), meta.mtime_nsec(), meta.ctime());
        Self { bytes: meta.len(), inode: meta.ino(), changed }
    }
}

/// A file as it was seen last.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    /// `None` until the file stayed the same for a scan: it may be half-written.
    read: Option<Result<Candidate, String>>,
}

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    only_file: bool,
    wanted: Option<String>,
    answers: AgeAnswers,
    signers: Signers,
    seen: BTreeMap<PathBuf, Seen>,
    trouble: Option<String>,
}

impl Folder {
    /// Over `path`; `wanted` names one file by name, identifier or the begin of its SHA-256.
    pub fn new(path: PathBuf, wanted: Option<String>, answers: AgeAnswers, signers: Signers) -> Self {
        Self { path, only_file: false, wanted, answers, signers, seen: BTreeMap::new(), trouble: None }
    }

    /// Of one file alone, as if nothing else were there.
    pub fn of_file(path: PathBuf, answers: AgeAnswers, signers: Signers) -> Self {
        Self { only_file: true, ..Self::new(path, None, answers, signers) }
    }

    /// Which folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the folder. New and changed files are read once they stayed the same from one
    /// scan to the next; with `at_once` they are read now.
    pub fn scan(&mut self, at_once: bool, now: Timestamp) {
        let listed = match self.list() {
            Ok(listed) => listed,
            Err(error) => {
                self.seen.clear();
                self.trouble = Some(system_words(&error).to_string());
                return;
            }
        };
        self.trouble = None;
        self.seen.retain(|path, _| listed.contains_key(path));
        let mut due = Vec::new();
        for (path, stamp) in listed {
            match self.seen.get(&path) {
                Some(seen) if seen.stamp == stamp => {
                    if seen.read.is_none() {
                        due.push(path);
                    }
                }
                _ => {
                    if at_once {
                        due.push(path.clone());
                    }
                    self.seen.insert(path, Seen { stamp, read: None });
                }
            }
        }
        if due.is_empty() {
            return;
        }
        // Read only when they are needed: they are megabytes.
        let anchors = self.signers.anchors().unwrap_or_else(|error| {
            tracing::warn!(%error, "trusted roots are not used");
            TrustAnchors::none().pinned(self.signers.pin.clone())
        });
        for path in due {
            let read = read(&path, &self.answers, &anchors, now);
            if let Some(seen) = self.seen.get_mut(&path) {
                seen.read = Some(read);
            }
        }
    }

    fn list(&self) -> io::Result<BTreeMap<PathBuf, Stamp>> {
        match self.only_file {
            true => Ok([(self.path.clone(), Stamp::of(&std::fs::metadata(&self.path)?))].into()),
            false => list(&self.path),
        }
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
        for (file, seen) in &self.seen {
            match &seen.read {
                Some(Ok(candidate)) => match self.refusal(candidate, lasting, now) {
                    (Some(reason), false) => left_out.push((file, reason)),
                    (refusal, _) => fit.push(Candidate { refusal, ..candidate.clone() }),
                },
                Some(Err(reason)) => left_out.push((file, reason.clone())),
                None => left_out.push((file, "It is still being written.".to_owned())),
            }
        }
        if let Some(wanted) = &self.wanted {
            fit.retain(|candidate| candidate.is_called(wanted));
            if fit.is_empty() && left_out.is_empty() {
                return Err(FolderError::NotThere { path, wanted: printable(wanted) });
            }
        }
        if fit.is_empty() {
            return Err(FolderError::NoneFits { path, reasons: reasons(&left_out) });
        }
        one_kind(&path, &fit)?;
        let count = fit.len();
        let newest = fit.into_iter().max_by(|a, b| (a.exported(), &a.path).cmp(&(b.exported(), &b.path)));
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

    /// Why a file is too old, and whether that is allowed.
    fn refusal(&self, candidate: &Candidate, lasting: Duration, now: Timestamp) -> (Option<String>, bool) {
        let refusal = candidate.age.as_ref().and_then(|age| age.refusal(lasting, now));
        (refusal, self.answers.allow_stale.is_some())
    }

    /// Every file, with what is in it or why it is of no use.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Result<&Candidate, &str>)> {
        let waiting = "It is still being written.";
        self.seen.iter().map(move |(path, seen)| {
            let read = seen.read.as_ref().map(|read| read.as_ref().map_err(String::as_str));
            (path.as_path(), read.unwrap_or(Err(waiting)))
        })
    }
}

fn read(
    path: &Path,
    answers: &AgeAnswers,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Candidate, String> {
    let file = bytes(path).map_err(|error| reason(&error.to_string(), path))?;
    let profile = load_bytes(&file, path, Purpose::Enrollment, anchors, now)
        .map_err(|error| reason(&error.to_string(), path))?;
    let beside = Beside { exported_at: answers.exported_at, file_date: file_date(path), first_used: None };
    let age = Age::of(&file, beside, anchors, now);
    Ok(Candidate { path: path.into(), profile: Arc::new(profile), age, refusal: None })
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
        if listed.len() >= MOST_FILES {
            tracing::warn!(folder = %folder.display(), "more than {MOST_FILES} profiles; the rest is not looked at");
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
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, scep_plist};
    use crate::wire::property_list::to_xml;
    use std::fs;

    fn now() -> Timestamp {
        "2026-03-20T12:00:00Z".parse().unwrap()
    }

    fn export(uuid: &str) -> Vec<u8> {
        let options = ExampleOptions { uuid: uuid.into(), ..ExampleOptions::default() };
        to_xml(&scep_plist(&options))
    }

    /// Exported yesterday, by the operator's word: the dates of these files are today's.
    fn folder_at(path: &Path) -> Folder {
        let exported_at = Some("2026-03-19T12:00:00Z".parse().unwrap());
        Folder::new(path.into(), None, AgeAnswers { exported_at, allow_stale: None }, Signers::default())
    }

    fn chosen(folder: &Folder) -> Result<String, FolderError> {
        folder.choose(Duration::ZERO, now()).map(|(candidate, _)| candidate.profile.uuid().to_owned())
    }

    #[test]
    fn a_file_counts_once_it_stayed_the_same() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = folder_at(place.path());
        folder.scan(true, now());
        assert!(matches!(chosen(&folder), Err(FolderError::Empty { .. })));
        let file = place.path().join("a.mobileconfig");
        let whole = export("ONE");
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        folder.scan(false, now());
        assert!(chosen(&folder).unwrap_err().to_string().contains("still being written"));
        fs::write(&file, &whole).unwrap();
        folder.scan(false, now());
        assert!(chosen(&folder).is_err(), "it changed since the last look");
        folder.scan(false, now());
        assert_eq!(chosen(&folder).unwrap(), "ONE");
        // Renamed over: the old one counts no more, the new one after a look.
        let draft = place.path().join("a.mobileconfig.tmp");
        fs::write(&draft, export("TWO")).unwrap();
        fs::rename(&draft, &file).unwrap();
        folder.scan(false, now());
        folder.scan(false, now());
        assert_eq!(chosen(&folder).unwrap(), "TWO");
        fs::remove_file(&file).unwrap();
        folder.scan(false, now());
        assert!(matches!(chosen(&folder), Err(FolderError::Empty { .. })));
    }

    #[test]
    fn a_folder_that_goes_and_comes_back_is_read_anew() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("exports");
        let mut folder = folder_at(&path);
        folder.scan(true, now());
        assert!(matches!(chosen(&folder), Err(FolderError::Unreadable { .. })));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.mobileconfig"), export("ONE")).unwrap();
        folder.scan(false, now());
        folder.scan(false, now());
        assert_eq!(chosen(&folder).unwrap(), "ONE");
    }

    #[test]
    fn thousands_of_files_are_listed_up_to_the_bound() {
        let place = tempfile::tempdir().unwrap();
        for n in 0..MOST_FILES + 10 {
            fs::write(place.path().join(format!("{n:05}.mobileconfig")), "junk").unwrap();
        }
        let mut folder = folder_at(place.path());
        folder.scan(true, now());
        assert_eq!(folder.files().count(), MOST_FILES);
        let said = chosen(&folder).unwrap_err().to_string();
        assert!(said.contains("And 4092 more.") && said.len() < 1000, "{said}");
    }

    #[test]
    fn drafts_of_editors_and_browsers_are_no_exports() {
        let is_one = |name: &str| is_profile_name(Path::new(name));
        assert!(is_one("a.mobileconfig") && is_one("A.MobileConfig"));
        let drafts = [
            "a.mobileconfig~",
            ".a.mobileconfig.swp",
            ".#a.mobileconfig",
            "#a.mobileconfig#",
            "a.mobileconfig.crdownload",
            "a.mobileconfig.part",
            ".a.mobileconfig",
            "._a.mobileconfig",
            "a.tmp",
        ];
        drafts.iter().for_each(|name| assert!(!is_one(name), "{name}"));
    }
}
