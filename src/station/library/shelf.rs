//! What new jobs get: the chosen file of a folder, followed while the station runs.
//!
//! The folder is looked at each second instead of being announced by the system: that works
//! on network shares too, and needs no more than names and dates of its files.
//!
//! May import: as [`super::folder`].

use super::folder::{Candidate, Folder, FolderError, name};
use crate::clock::Clock;
use crate::wire::profile::Profile;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Between two looks; a file that did not change in between counts as whole.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What new jobs get now.
#[derive(Debug, Clone)]
pub enum OnShelf {
    /// This profile.
    Profile {
        /// The profile.
        profile: Arc<Profile>,
        /// Good until, if anything tells.
        ends: Option<Timestamp>,
        /// Name of the file.
        file: String,
    },
    /// None, for this reason: they wait.
    Nothing(FolderError),
}

impl OnShelf {
    fn new(chosen: Result<(Candidate, String), FolderError>) -> Self {
        match chosen {
            Ok((candidate, _)) => Self::Profile {
                ends: candidate.age.as_ref().map(|age| age.ends),
                file: name(&candidate.path),
                profile: candidate.profile,
            },
            Err(error) => Self::Nothing(error),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Profile { profile: a, file: x, .. }, Self::Profile { profile: b, file: y, .. }) => {
                a.file_sha256() == b.file_sha256() && x == y
            }
            (Self::Nothing(a), Self::Nothing(b)) => a == b,
            _ => false,
        }
    }
}

/// Follows what is on the shelf.
pub type Shelf = watch::Receiver<OnShelf>;

/// Follows a folder that was scanned, until nobody asks any more.
pub fn follow(folder: Folder, clock: Clock) -> Shelf {
    let first = OnShelf::new(folder.choose(Duration::ZERO, clock.now()));
    let (sender, shelf) = watch::channel(first);
    tokio::spawn(run(folder, clock, sender));
    shelf
}

async fn run(mut folder: Folder, clock: Clock, shelf: watch::Sender<OnShelf>) {
    loop {
        tokio::select! {
            () = shelf.closed() => return,
            () = sleep(LOOK_EVERY) => {}
        }
        let now = clock.now();
        // Disks and shares may take their time.
        let looked = tokio::task::spawn_blocking(move || {
            folder.scan(false, now);
            let chosen = OnShelf::new(folder.choose(Duration::ZERO, now));
            (folder, chosen)
        });
        let Ok((back, chosen)) = looked.await else { return };
        folder = back;
        shelf.send_if_modified(|old| {
            let changed = !old.is_same(&chosen);
            if changed {
                tell(&chosen);
                *old = chosen;
            }
            changed
        });
    }
}

fn tell(now: &OnShelf) {
    match now {
        OnShelf::Profile { file, .. } => tracing::info!(%file, "new jobs get another profile"),
        OnShelf::Nothing(reason) => tracing::warn!(%reason, "new jobs wait"),
    }
}
