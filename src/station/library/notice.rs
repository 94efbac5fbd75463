//! Notices that something may have changed in a folder, by the system's own announcements
//! (`notify`: inotify, kqueue). Where there are none, it says so, and the folder is polled.
//!
//! May import: base. Announces no more than "look": what changed is found by looking.

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

/// What Linux mounts where, by file system.
const MOUNTS: &str = "/proc/self/mountinfo";

/// File systems that others change without a word to this computer.
const REMOTE: [&str; 16] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "virtiofs",
    "vboxsf",
    "vmhgfs",
    "fuse",
    "fuseblk",
    "davfs",
];

/// Between two tries to watch a folder that could not be watched: others may give back what
/// the system ran out of.
const RETRY_EVERY: Duration = Duration::from_secs(60);

/// Device and inode.
type Place = (u64, u64);

/// A folder under observation.
pub(super) struct Notice {
    path: PathBuf,
    sender: Sender<()>,
    wakes: Receiver<()>,
    /// What is watched.
    watched: Option<(RecommendedWatcher, Place)>,
    /// What could not be watched, and when that was tried.
    failed: Option<(Place, Instant)>,
    /// Never try: a test, or a share.
    only_poll: bool,
}

impl Notice {
    /// Of the folder at `path`, watched from the first [`Notice::renew`] on.
    pub(super) fn new(path: &Path) -> Self {
        // One place is enough: it means "look", however much happened.
        let (sender, wakes) = mpsc::channel(1);
        let only_poll = is_remote(path);
        if only_poll {
            tracing::info!(folder = %path.display(), "a share: looked at each second instead of being watched");
        }
        Self { path: path.into(), sender, wakes, watched: None, failed: None, only_poll }
    }

    /// As if the system announced nothing.
    #[cfg(test)]
    pub(super) fn polling(path: &Path) -> Self {
        Self { only_poll: true, ..Self::new(path) }
    }

    /// Watches the folder that is at the path now: it may have been made anew, or be another.
    /// False if it cannot be watched, so that it must be polled. Blocks shortly.
    pub(super) fn renew(&mut self) -> bool {
        if self.only_poll {
            return false;
        }
        // Of a link, what it leads to.
        let Some(there) = fs::metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino())) else {
            self.watched = None;
            return false;
        };
        if self.watched.as_ref().is_some_and(|(_, watched)| *watched == there) {
            return true;
        }
        self.watched = None;
        let lately = |(place, at): &(Place, Instant)| *place == there && at.elapsed() < RETRY_EVERY;
        if self.failed.as_ref().is_some_and(lately) {
            return false;
        }
        match self.watch() {
            Ok(watcher) => {
                (self.watched, self.failed) = (Some((watcher, there)), None);
                // What happened before it was watched.
                _ = self.sender.try_send(());
                true
            }
            Err(error) => {
                tracing::info!(folder = %self.path.display(), %error, "cannot be watched: looked at each second");
                self.failed = Some((there, Instant::now()));
                false
            }
        }
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let sender = self.sender.clone();
        let heard = move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                _ = sender.try_send(());
            }
        };
        let mut watcher = RecommendedWatcher::new(heard, Config::default())?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    /// Resolves when something may have changed; never where nothing is announced.
    pub(super) async fn woken(&mut self) {
        // The sender lives as long as this.
        _ = self.wakes.recv().await;
    }

    /// Forgets what was announced until now.
    pub(super) fn clear(&mut self) {
        while self.wakes.try_recv().is_ok() {}
    }
}

/// Looking at a folder opens it and its files, which is announced too.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => event.need_rescan(),
        _ => true,
    }
}

fn is_remote(path: &Path) -> bool {
    let (Ok(mounts), Ok(path)) = (fs::read_to_string(MOUNTS), fs::canonicalize(path)) else { return false };
    file_system(&mounts, &path).is_some_and(|kind| {
        let plain = kind.split('.').next().unwrap_or(kind);
        REMOTE.contains(&plain)
    })
}

/// The type of the file system at `path`: that of the mount that is nearest to it.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let line = |line: &'a str| {
        let (before, after) = line.split_once(" - ")?;
        let place = unescaped(before.split(' ').nth(4)?);
        path.starts_with(&place).then_some((place.as_os_str().len(), after.split(' ').next()?))
    };
    // Of several on one place the last hides the others.
    mounts.lines().filter_map(line).max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// Blanks and the like stand there in octal.
fn unescaped(text: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[test]
    fn shares_are_known_by_their_mount() {
        let mounts = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,relatime shared:9 - nfs4 nas:/srv rw
31 22 0:41 / /srv/fast rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/two\\040words rw - fuse.sshfs host: rw
";
        let kind = |path: &str| file_system(mounts, Path::new(path));
        assert_eq!(kind("/srv/exports"), Some("nfs4"));
        assert_eq!(kind("/srv/fast/exports"), Some("tmpfs"));
        assert_eq!(kind("/srv2"), Some("ext4"), "no part of /srv");
        assert_eq!(kind("/mnt/two words/x"), Some("fuse.sshfs"));
        assert_eq!(file_system("", Path::new("/")), None);
    }

    /// Long enough for a thread to be told; far less than any beat.
    const SOON: Duration = Duration::from_secs(5);

    async fn is_woken(notice: &mut Notice) -> bool {
        timeout(SOON, notice.woken()).await.is_ok()
    }

    #[tokio::test]
    async fn changes_are_announced_and_looking_is_none() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("exports");
        let mut notice = Notice::new(&folder);
        assert!(!notice.renew(), "there is no folder yet");
        fs::create_dir(&folder).unwrap();
        if !notice.renew() {
            return; // a system without a way to watch
        }
        assert!(is_woken(&mut notice).await, "what came before it was watched");
        let file = folder.join("a");
        fs::write(&file, "1").unwrap();
        assert!(is_woken(&mut notice).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        notice.clear();
        fs::read(&file).unwrap();
        fs::read_dir(&folder).unwrap().count();
        let looked = timeout(Duration::from_millis(300), notice.woken()).await;
        assert!(looked.is_err(), "looking wakes nobody");
        fs::rename(&file, folder.join("b")).unwrap();
        assert!(is_woken(&mut notice).await);
        // Another folder in its place.
        fs::rename(&folder, place.path().join("old")).unwrap();
        fs::create_dir(&folder).unwrap();
        assert!(notice.renew());
        notice.clear();
        fs::write(folder.join("c"), "1").unwrap();
        assert!(is_woken(&mut notice).await);
        fs::remove_dir_all(&folder).unwrap();
        assert!(!notice.renew());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_watched_is_polled() {
        let place = tempfile::tempdir().unwrap();
        let mut notice = Notice::polling(place.path());
        assert!(!notice.renew());
        fs::write(place.path().join("a"), "1").unwrap();
        assert!(!is_woken(&mut notice).await);
    }
}
