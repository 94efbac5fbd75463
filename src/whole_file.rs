//! Files that are written whole: whoever reads one meanwhile finds the old one or the new one.
//!
//! May import: nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most links that lead from one to the next: as many as Linux follows.
const MOST_LINKS: usize = 40;

/// What a path leads to that a person gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, or where one can be made; links are followed.
    File(PathBuf),
    /// Something else, such as a device, a pipe or a folder. To rename a file to its name would
    /// be to take it away from everybody who uses it.
    Other,
}

impl Place {
    /// Looks where a path leads.
    ///
    /// # Errors
    /// That cannot be seen, or its links lead in a circle.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut at = path.to_owned();
        for _ in 0..MOST_LINKS {
            // What stands for an open file of this process, such as /dev/stdout, is that open
            // file and no name of it.
            if fs::canonicalize(folder_of(&at)).is_ok_and(|folder| folder.starts_with("/proc")) {
                return Ok(Self::Other);
            }
            let found = match fs::symlink_metadata(&at) {
                Ok(found) => found.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::File(at)),
                Err(error) => return Err(error),
            };
            if !found.is_symlink() {
                return Ok(if found.is_file() { Self::File(at) } else { Self::Other });
            }
            at = folder_of(&at).join(fs::read_link(&at)?);
        }
        Err(io::Error::other("its links lead in a circle"))
    }
}

/// Writes where a person wants it: a file whole, following links; into anything else directly.
///
/// # Errors
/// It cannot be written. A file is then as it was.
pub fn write_to(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    match Place::of(path)? {
        Place::File(file) => replace(&file, mode, |out| out.write_all(bytes)),
        // Appended, as into what a shell opened with >>. Nothing is made anew.
        Place::Other => OpenOptions::new().append(true).open(path)?.write_all(bytes),
    }
}

/// Makes a file of this mode whole, in the place of whatever has its name: written beside it, on
/// disk, then renamed. For paths that a person gave see [`Place::of`].
///
/// # Errors
/// It cannot be written. What had its name is then as it was.
pub fn replace<T>(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    let draft = draft_of(path);
    // One of ours that a crash left; and never is one followed that somebody put there.
    let _ = fs::remove_file(&draft);
    let attempt = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        let filled = fill(&mut file)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        Ok(filled)
    };
    attempt().inspect_err(|_| drop(fs::remove_file(&draft)))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_to(&path, 0o640, b"one").unwrap();
        write_to(&path, 0o640, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640 & !umask(folder.path()));
        let failed = replace(&path, 0o600, |out| {
            out.write_all(b"half")?;
            Err::<(), _>(io::Error::other("full"))
        });
        assert_eq!(
            (failed.unwrap_err().to_string().as_str(), fs::read(&path).unwrap()),
            ("full", b"two".to_vec())
        );
        assert_eq!(names(folder.path()), ["a"]);
    }

    /// What this process's umask takes away, as a file shows it.
    fn umask(folder: &Path) -> u32 {
        let path = folder.join("umask");
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o777).open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        fs::remove_file(&path).unwrap();
        !mode & 0o777
    }

    #[test]
    fn links_are_followed_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        // Two links, the first by a relative path, to what is not there yet.
        symlink("inner/second", folder.path().join("first")).unwrap();
        symlink(inner.join("file"), inner.join("second")).unwrap();
        for text in ["one", "two"] {
            write_to(&folder.path().join("first"), 0o600, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), text);
        }
        assert_eq!(
            (names(folder.path()), names(&inner)),
            (vec!["first".into(), "inner".into()], vec!["file".into(), "second".into()])
        );
        symlink("circle", folder.path().join("circle")).unwrap();
        assert!(Place::of(&folder.path().join("circle")).is_err());
    }

    #[test]
    fn a_pipe_is_written_into_and_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(Place::of(&path).unwrap(), Place::Other);
        // Open for both ends, so that neither waits.
        let mut reader = File::options().read(true).write(true).open(&path).unwrap();
        write_to(&path, 0o600, b"through").unwrap();
        let mut read = [0; 7];
        reader.read_exact(&mut read).unwrap();
        assert_eq!((&read, names(folder.path())), (b"through", vec!["pipe".to_owned()]));
        assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
        // Folders are not replaced either, nor what stands for open files.
        assert!(write_to(folder.path(), 0o600, b"x").is_err());
        assert_eq!(Place::of(Path::new("/proc/self/fd/0")).unwrap(), Place::Other);
    }
}
