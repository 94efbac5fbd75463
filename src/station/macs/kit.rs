//! Files that are carried to Macs by hand: into a folder, or onto a stick (R75, R88).

use super::super::library;
use crate::secret::Secret;
use crate::whole_file;
use crate::wire::printable::system_words;
use openssl::sha::sha256;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of the list of checksums; `shasum -a 256 -c` on a Mac and `sha256sum -c` read it.
pub const CHECKSUMS: &str = "SHA256SUMS";

/// Space a stick must have beyond the files themselves: its own tables grow too.
const HEADROOM: u64 = 1 << 20;

/// Why a kit cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The system says no.
    #[error("cannot {action} {}: {}", path.display(), system_words(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else lies there under that name.
    #[error("{} is there already and is different", path.display())]
    Different {
        /// Which.
        path: PathBuf,
    },
    /// No stick is mounted there.
    #[error("{} is no mounted stick: it is part of the file system above it", path.display())]
    NotMounted {
        /// The folder given.
        path: PathBuf,
    },
    /// The stick is full.
    #[error("{} has {free} bytes of free space; the kit needs {needed}", path.display())]
    NoSpace {
        /// The folder given.
        path: PathBuf,
        /// Free.
        free: u64,
        /// Needed.
        needed: u64,
    },
}

/// A file of a kit.
#[derive(Debug, Clone)]
pub struct KitFile {
    /// Its name in the folder.
    pub name: String,
    /// What is in it.
    pub bytes: Secret<Vec<u8>>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Written,
    /// It was there, the same.
    Unchanged,
    /// It was there, different, and was replaced.
    Replaced,
}

/// A file that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitEntry {
    /// Where.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Length.
    pub bytes: usize,
    /// What was done.
    pub fate: Fate,
    /// Only its owner can read it; false where the file system knows no permissions.
    pub private: bool,
}

/// Writes a kit with its list of checksums. Nothing is written if anything would be
/// overwritten, unless `force`.
///
/// # Errors
/// [`KitError`].
pub fn write(folder: &Path, files: &[KitFile], force: bool) -> Result<Vec<KitEntry>, KitError> {
    let mut all = files.to_vec();
    let line = |file: &KitFile| format!("{}  {}\n", hash(file), file.name);
    let sums: String = files.iter().map(line).collect();
    all.push(KitFile { name: CHECKSUMS.into(), bytes: sums.into_bytes().into() });
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| KitError::Io { action: "make the folder", path: folder.into(), source })?;
    let mut fates = Vec::new();
    for file in &all {
        let path = folder.join(&file.name);
        let fate = match same(&path, file)? {
            None => Fate::Written,
            Some(true) => Fate::Unchanged,
            Some(false) if force => Fate::Replaced,
            Some(false) => return Err(KitError::Different { path }),
        };
        fates.push((path, fate));
    }
    all.iter().zip(fates).map(|(file, (path, fate))| put(file, path, fate)).collect()
}

fn put(file: &KitFile, path: PathBuf, fate: Fate) -> Result<KitEntry, KitError> {
    if fate != Fate::Unchanged {
        replace(&path, file.bytes.expose()).map_err(|source| KitError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
    }
    let mode = fs::metadata(&path).map(|about| about.permissions().mode());
    let private = mode.is_ok_and(|mode| mode & 0o077 == 0);
    let (sha256, bytes) = (hash(file), file.bytes.expose().len());
    Ok(KitEntry { path, sha256, bytes, fate, private })
}

fn hash(file: &KitFile) -> String {
    library::hex(&sha256(file.bytes.expose()))
}

/// Whether the file that lies there is this one; `None` if none does.
fn same(path: &Path, file: &KitFile) -> Result<Option<bool>, KitError> {
    let failed = |source| KitError::Io { action: "read", path: path.into(), source };
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let expected = file.bytes.expose();
    if !about.is_file() || about.len() != expected.len() as u64 {
        return Ok(Some(false));
    }
    let mut there = Vec::new();
    let most = expected.len() as u64 + 1;
    File::open(path).and_then(|f| f.take(most).read_to_end(&mut there)).map_err(failed)?;
    Ok(Some(there == *expected))
}

/// Whole, so that a pulled stick leaves no half of a file under its name; a link on it is replaced
/// and not followed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    whole_file::replace(path, 0o600, |out| out.write_all(bytes))
}

/// Checks that a stick is mounted at `stick`, can be written to, and has room for `files`.
///
/// # Errors
/// [`KitError`].
pub fn check_stick(stick: &Path, files: &[KitFile]) -> Result<(), KitError> {
    let failed = |action, source| KitError::Io { action, path: stick.into(), source };
    let real = fs::canonicalize(stick).map_err(|source| failed("find", source))?;
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev());
    let own = device(&real).map_err(|source| failed("look at", source))?;
    let above = real.parent().map(device).transpose().map_err(|source| failed("look above", source))?;
    if above == Some(own) {
        return Err(KitError::NotMounted { path: stick.into() });
    }
    let probe = real.join(format!(".enlist-probe-{}", std::process::id()));
    let tried = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    tried.map_err(|source| failed("write to", source))?;
    fs::remove_file(&probe).map_err(|source| failed("write to", source))?;
    let needed = files.iter().map(|file| file.bytes.expose().len() as u64).sum::<u64>() + HEADROOM;
    match free_space(&real) {
        Some(free) if free < needed => Err(KitError::NoSpace { path: stick.into(), free, needed }),
        _ => Ok(()),
    }
}

/// Free bytes, by the system's `df`; `None` if it does not say, and the write then will.
fn free_space(folder: &Path) -> Option<u64> {
    let mut df = Command::new("df");
    df.args(["-P", "-k"]).arg(folder).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let said = String::from_utf8(df.output().ok()?.stdout).ok()?;
    let kilobytes: u64 = said.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<KitFile> {
        vec![KitFile { name: "a.mobileconfig".into(), bytes: text.as_bytes().to_vec().into() }]
    }

    #[test]
    fn what_is_there_and_different_stays() {
        let folder = tempfile::tempdir().unwrap();
        let kit = folder.path().join("kit");
        let fates = |text: &str, force| {
            write(&kit, &files(text), force).map(|list| list.into_iter().map(|e| e.fate).collect::<Vec<_>>())
        };
        assert_eq!(fates("one", false).unwrap(), [Fate::Written, Fate::Written]);
        assert_eq!(fates("one", false).unwrap(), [Fate::Unchanged, Fate::Unchanged]);
        assert!(matches!(fates("two", false), Err(KitError::Different { .. })));
        assert_eq!(fs::read_to_string(kit.join("a.mobileconfig")).unwrap(), "one");
        assert_eq!(fates("two", true).unwrap(), [Fate::Replaced, Fate::Replaced]);
        let mode = fs::metadata(kit.join("a.mobileconfig")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        // A link is not followed but replaced.
        fs::remove_file(kit.join("a.mobileconfig")).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, kit.join("a.mobileconfig")).unwrap();
        assert!(fates("two", false).is_err());
        fates("two", true).unwrap();
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "mine");
    }

    #[test]
    fn a_folder_is_no_stick() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(check_stick(folder.path(), &files("x")), Err(KitError::NotMounted { .. })));
        assert!(matches!(check_stick(&folder.path().join("none"), &files("x")), Err(KitError::Io { .. })));
        assert!(free_space(folder.path()).is_some());
    }
}
