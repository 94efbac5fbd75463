//! What new jobs get: the chosen file of a folder, followed while the station runs.
//!
//! The system tells when to look (`notice`); where it does not, the folder is looked at
//! each second. A look needs no more than names and dates of its files.
//!
//! May import: as [`super::folder`].

use super::folder::{Candidate, Folder, FolderError, Look, name};
use super::notice::Notice;
use crate::clock::Clock;
use crate::journal::{Journal, Sighting};
use crate::wire::profile::Profile;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two looks where nothing is announced.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Between two looks where changes are announced: for what is not, such as the file that a
/// link leads to, or the day of an export that somebody stated.
const RESCAN_EVERY: Duration = Duration::from_secs(10);

/// From an announcement to the look: many come together.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Between two entries into the journal, which knows the last one soon enough.
const RECORD_EVERY: Duration = Duration::from_secs(2);

/// How long a start waits for files that are still being written.
const START_WITHIN: Duration = Duration::from_secs(5);

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
    fn new(chosen: Result<(Candidate, String), FolderError>, now: Timestamp) -> Self {
        match chosen {
            Ok((candidate, _)) => Self::Profile {
                ends: candidate.ends(now),
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

/// Follows which profiles are in the folder.
pub type Catalogue = watch::Receiver<Sighting>;

/// Looks at a folder for the first time; files that are just being written are waited for, for
/// a while.
pub async fn look_first(folder: &mut Folder, clock: &Clock) {
    let begun = Instant::now();
    folder.scan(Look::First, begun, clock.now());
    while let Some(settles) = folder.settles().filter(|_| begun.elapsed() < START_WITHIN) {
        sleep_until(settles).await;
        folder.scan(Look::Again, Instant::now(), clock.now());
    }
}

/// Follows a folder that was scanned, until nobody asks any more.
pub fn follow(folder: Folder, clock: Clock) -> (Shelf, Catalogue) {
    let notice = Notice::new(folder.path());
    follow_by(folder, notice, clock)
}

fn follow_by(folder: Folder, notice: Notice, clock: Clock) -> (Shelf, Catalogue) {
    let now = clock.now();
    let (shelf, on_shelf) = watch::channel(OnShelf::new(folder.choose(Duration::ZERO, now), now));
    let (catalogue, in_folder) = watch::channel(folder.sighting());
    tokio::spawn(run(folder, notice, clock, shelf, catalogue));
    (on_shelf, in_folder)
}

async fn run(
    mut folder: Folder,
    mut notice: Notice,
    clock: Clock,
    shelf: watch::Sender<OnShelf>,
    catalogue: watch::Sender<Sighting>,
) {
    let mut rescan = Instant::now();
    let mut is_watched = false;
    loop {
        let beat = if is_watched { rescan } else { Instant::now() + POLL_EVERY };
        let due = folder.settles().into_iter().chain([beat]).min().unwrap_or(beat);
        tokio::select! {
            () = shelf.closed() => return,
            () = notice.woken() => sleep(DEBOUNCE).await,
            () = sleep_until(due) => {}
        }
        notice.clear();
        let at = Instant::now();
        let is_rescan = at >= rescan;
        if is_rescan {
            rescan = at + RESCAN_EVERY;
        }
        let now = clock.now();
        // Disks and shares may take their time.
        let looked = tokio::task::spawn_blocking(move || {
            // Before the look, so that nothing falls between.
            let is_watched = notice.renew();
            if is_rescan {
                folder.ask_again();
            }
            let changed = folder.scan(Look::Again, at, now);
            let chosen = OnShelf::new(folder.choose(Duration::ZERO, now), now);
            let sighting = changed.then(|| folder.sighting());
            (folder, notice, is_watched, chosen, sighting)
        });
        let Ok(looked) = looked.await else { return };
        let (chosen, sighting);
        (folder, notice, is_watched, chosen, sighting) = looked;
        if let Some(sighting) = sighting {
            catalogue.send_if_modified(|old| {
                let changed = *old != sighting;
                *old = sighting;
                changed
            });
        }
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

/// Keeps the journal up to date on what is in the folder, until nobody follows it any more.
pub async fn record(mut catalogue: Catalogue, journal: Journal) {
    loop {
        let sighting = catalogue.borrow_and_update().clone();
        if let Err(error) = journal.saw(sighting).await {
            tracing::warn!(%error, "the journal does not know what is in the folder");
        }
        sleep(RECORD_EVERY).await;
        if catalogue.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
