//! The backup's file: a tar of the kept files, and last a list of them with their hashes.

use super::{BackupError, FILE_BYTES, FILES, JOURNAL, KEPT, place};
use crate::journal::{self, JournalError};
use crate::whole_file::{self, Place};
use crate::wire::printable::{printable, system_words};
use jiff::Timestamp;
use openssl::sha::Sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The list's name; it is the last file.
const LIST: &str = "enlist-backup.json";

/// Largest list that is read, in bytes: [`FILES`] lines of it.
const LIST_BYTES: u64 = FILES as u64 * 256;

/// Length of a header in a tar file.
const HEADER: usize = 512;

/// Version of the format.
const FORMAT: u32 = 1;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Version of the format.
    pub format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// When it was made.
    pub made: Timestamp,
    /// SHA-256 of each file, by its name.
    pub files: BTreeMap<String, String>,
}

/// Backs a state folder up into a new file, for its owner alone: whole, or not at all. A station
/// may run. Blocks.
///
/// # Errors
/// [`BackupError`]; [`BackupError::Exists`] unless `replace`.
pub fn write(state_dir: &Path, file: &Path, replace: bool, now: Timestamp) -> Result<Contents, BackupError> {
    let place = match Place::of(file).map_err(BackupError::file("write", file))? {
        Place::File(place) => place,
        Place::Other => return Err(BackupError::NoFile { path: file.into() }),
    };
    if !replace && file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: file.into() });
    }
    let mut copy = place.as_os_str().to_owned();
    copy.push(format!(".journal-{}", std::process::id()));
    let copy = PathBuf::from(copy);
    // Whatever is wrong inside is told as what it is, and not as an error of the file.
    let mut inside = None;
    let written = whole_file::replace(&place, 0o600, |out| {
        let filled = fill(state_dir, file, out, &copy, now);
        filled.map_err(|error| {
            inside = Some(error);
            io::Error::other("the backup was not made")
        })
    });
    let _ = fs::remove_file(&copy);
    written.map_err(|error| inside.unwrap_or_else(|| BackupError::file("write", file)(error)))
}

fn fill(
    state_dir: &Path,
    file: &Path,
    out: &mut File,
    copy: &Path,
    now: Timestamp,
) -> Result<Contents, BackupError> {
    let failed = || BackupError::file("write", file);
    let mut tar = tar::Builder::new(io::BufWriter::new(out));
    let mut files = BTreeMap::new();
    let journal = state_dir.join(JOURNAL);
    if journal.exists() {
        let _ = fs::remove_file(copy);
        journal::snapshot(&journal, copy).map_err(|error| match error {
            // Not the journal that the station writes to: its copy beside the backup.
            JournalError::Write { source } => failed()(io::Error::other(source.to_string())),
            other => other.into(),
        })?;
        files.insert(JOURNAL.to_owned(), add(&mut tar, JOURNAL, copy, u64::MAX, file)?);
    }
    for name in names(state_dir)? {
        let path = state_dir.join(&name);
        files.insert(name.clone(), add(&mut tar, &name, &path, FILE_BYTES, file)?);
    }
    if files.is_empty() {
        return Err(BackupError::Empty { path: state_dir.into() });
    }
    let contents = Contents { format: FORMAT, program: env!("CARGO_PKG_VERSION").into(), made: now, files };
    let list = serde_json::to_vec_pretty(&contents).map_err(io::Error::from).map_err(failed())?;
    let mut header = header(list.len() as u64, SystemTime::from(now));
    tar.append_data(&mut header, LIST, &*list).map_err(failed())?;
    tar.into_inner().and_then(|mut out| out.flush()).map_err(failed())?;
    Ok(contents)
}

/// Names of all kept files but the journal.
fn names(state_dir: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for (top, depth) in KEPT.iter().filter(|(top, _)| *top != JOURNAL) {
        walk(state_dir, top, *depth, &mut names)?;
    }
    names.sort();
    Ok(names)
}

fn walk(state_dir: &Path, name: &str, depth: usize, names: &mut Vec<String>) -> Result<(), BackupError> {
    let path = state_dir.join(name);
    let kind = match fs::symlink_metadata(&path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BackupError::File { action: "read", path, source }),
    };
    if depth == 0 {
        // A draft of a file that is being written is none yet.
        let is_draft = name.rsplit('/').next().is_some_and(|last| last.contains("new-"));
        if kind.is_file() && !is_draft && place(name).is_some() {
            names.push(name.to_owned());
        }
    } else if kind.is_dir() {
        for entry in fs::read_dir(&path).map_err(BackupError::file("read", &path))? {
            let inner = entry.map_err(BackupError::file("read", &path))?.file_name();
            walk(state_dir, &format!("{name}/{}", inner.to_string_lossy()), depth - 1, names)?;
        }
    }
    Ok(())
}

/// Adds a file; gives its hash.
fn add(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    path: &Path,
    most: u64,
    backup: &Path,
) -> Result<String, BackupError> {
    let read = || BackupError::file("read", path);
    let mut file = File::open(path).map_err(read())?;
    let found = file.metadata().map_err(read())?;
    if found.len() > most {
        return Err(read()(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large")));
    }
    let mut header = header(found.len(), found.modified().map_err(read())?);
    let mut hashing = Hashing { inner: (&mut file).take(found.len()), sha: Sha256::new() };
    tar.append_data(&mut header, name, &mut hashing).map_err(BackupError::file("write", backup))?;
    let hash = hex(hashing.sha);
    match file.stream_position() {
        Ok(at) if at == found.len() => Ok(hash),
        _ => Err(read()(io::Error::new(io::ErrorKind::UnexpectedEof, "it changed while it was read"))),
    }
}

fn header(size: u64, modified: SystemTime) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    header
}

/// Reads and hashes.
struct Hashing<R> {
    inner: R,
    sha: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.sha.update(&buffer[..length]);
        Ok(length)
    }
}

fn hex(sha: Sha256) -> String {
    sha.finish().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Unpacks a backup into an empty folder, for its owner alone, and proves that it is whole. On
/// disk when this returns. Blocks.
pub(super) fn unpack(file: &Path, into: &Path) -> Result<Contents, BackupError> {
    // Whatever is in the file: it is a stranger's.
    let unfit = |reason: String| BackupError::Unfit { path: file.into(), reason: printable(&reason) };
    let torn = |error: io::Error| unfit(system_words(&error));
    let mut opened = io::BufReader::new(File::open(file).map_err(BackupError::file("read", file))?);
    let begin = opened.fill_buf().map_err(BackupError::file("read", file))?;
    if let Some(reason) = foreign(begin) {
        return Err(unfit(reason.into()));
    }
    let mut tar = tar::Archive::new(opened);
    let (mut found, mut list): (BTreeMap<String, String>, Option<Contents>) = Default::default();
    // Raw: nothing in a backup needs the extensions by which tar files grow.
    for entry in tar.entries().map_err(torn)?.raw(true) {
        let entry = entry.map_err(torn)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if list.is_some() || found.len() >= FILES || !entry.header().entry_type().is_file() {
            return Err(unfit(format!("'{}' does not belong there", printable(&name))));
        }
        if name == LIST {
            let mut text = Vec::new();
            entry.take(LIST_BYTES).read_to_end(&mut text).map_err(torn)?;
            list = Some(serde_json::from_slice(&text).map_err(|error| unfit(format!("its list: {error}")))?);
            continue;
        }
        let place = place(&name).filter(|_| !found.contains_key(&name));
        let place = place.ok_or_else(|| unfit(format!("'{}' does not belong there", printable(&name))))?;
        if name != JOURNAL && entry.size() > FILE_BYTES {
            return Err(unfit(format!("{name} is too large")));
        }
        let modified = entry.header().mtime().unwrap_or(0);
        let mut hashing = Hashing { inner: entry, sha: Sha256::new() };
        let path = into.join(place);
        keep(&mut hashing, &path, modified).map_err(BackupError::file("write", &path))?;
        found.insert(name, hex(hashing.sha));
    }
    let list = list.ok_or_else(|| unfit("its list is missing".into()))?;
    if list.format != FORMAT {
        return Err(unfit(format!("it has format {}, this program knows {FORMAT}", list.format)));
    }
    let differs =
        |(name, hash): (&String, &String)| (list.files.get(name) != Some(hash)).then(|| name.clone());
    if let Some(name) = found.iter().find_map(differs) {
        return Err(unfit(format!("{name} is not as it was")));
    }
    if let Some(name) = list.files.keys().find(|name| !found.contains_key(*name)) {
        return Err(unfit(format!("{} is missing", printable(name))));
    }
    Ok(list)
}

/// What a file is that begins so, if it is none of ours: all our headers say `ustar`.
fn foreign(begin: &[u8]) -> Option<&'static str> {
    match begin {
        [] => Some("it is empty"),
        [0x1f, 0x8b, ..] => Some("it is packed with gzip and must be unpacked first"),
        _ if begin.len() >= HEADER && begin.get(257..262) != Some(b"ustar") => Some("it is no tar file"),
        _ => None,
    }
}

fn keep(from: &mut impl Read, path: &Path, modified: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        super::restore::private_folder(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(from, &mut file)?;
    file.flush()?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(modified))?;
    file.sync_all()
}
