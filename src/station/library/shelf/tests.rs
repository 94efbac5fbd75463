//! A folder that is followed: by the system's word, and by looking each second.

use super::*;
use crate::station::age::AgeAnswers;
use crate::station::library::Signers;
use crate::wire::profile::example::{ExampleOptions, scep_plist};
use crate::wire::property_list::to_xml;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::time::timeout;

/// Longer than any beat, for a busy computer.
const PATIENCE: Duration = Duration::from_secs(60);

fn export(uuid: &str) -> Vec<u8> {
    to_xml(&scep_plist(&ExampleOptions { uuid: uuid.into(), ..ExampleOptions::default() }))
}

struct Followed {
    place: tempfile::TempDir,
    shelf: Shelf,
    catalogue: Catalogue,
}

impl Followed {
    async fn start(notice: impl FnOnce(&Path) -> Notice) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("exports");
        fs::create_dir(&path).unwrap();
        let answers = AgeAnswers { exported_at: Some(Clock::System.now()), ..AgeAnswers::default() };
        let mut folder = Folder::new(path.clone(), None, answers, Signers::default());
        look_first(&mut folder, &Clock::System).await;
        let (shelf, catalogue) = follow_by(folder, notice(&path), Clock::System);
        Self { place, shelf, catalogue }
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("exports")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Waits until the shelf holds this; `None`: nothing.
    async fn holds(&mut self, wanted: Option<&str>) {
        let uuid = |shelf: &OnShelf| match shelf {
            OnShelf::Profile { profile, .. } => Some(profile.uuid().to_owned()),
            OnShelf::Nothing(_) => None,
        };
        let there = timeout(PATIENCE, self.shelf.wait_for(|shelf| uuid(shelf).as_deref() == wanted)).await;
        let held = matches!(there, Ok(Ok(_)));
        drop(there);
        assert!(held, "it never held {wanted:?}: {:?}", *self.shelf.borrow());
    }

    fn names(&self) -> Vec<String> {
        self.catalogue.borrow().files.iter().map(|file| file.name.clone()).collect()
    }
}

async fn everything_that_happens_to_files(mut followed: Followed) {
    followed.holds(None).await;
    // Dropped in two pieces.
    let whole = export("ONE");
    fs::write(followed.file("a.mobileconfig"), &whole[..whole.len() / 2]).unwrap();
    sleep(Duration::from_millis(700)).await;
    fs::write(followed.file("a.mobileconfig"), &whole).unwrap();
    followed.holds(Some("ONE")).await;
    assert_eq!(followed.names(), ["a.mobileconfig"]);
    // Whoever has it keeps it.
    let in_use = match &*followed.shelf.borrow() {
        OnShelf::Profile { profile, .. } => profile.clone(),
        OnShelf::Nothing(reason) => panic!("{reason}"),
    };
    // As editors write: a draft, the old one aside, the draft in its place.
    fs::write(followed.file(".a.mobileconfig.swp"), "draft").unwrap();
    fs::write(followed.file("4913"), "").unwrap();
    fs::rename(followed.file("a.mobileconfig"), followed.file("a.mobileconfig~")).unwrap();
    fs::write(followed.file("a.mobileconfig"), export("TWO")).unwrap();
    fs::remove_file(followed.file("a.mobileconfig~")).unwrap();
    followed.holds(Some("TWO")).await;
    assert_eq!(in_use.uuid(), "ONE");
    // Renamed over from elsewhere.
    let draft = followed.place.path().join("draft");
    fs::write(&draft, export("THREE")).unwrap();
    fs::rename(&draft, followed.file("a.mobileconfig")).unwrap();
    followed.holds(Some("THREE")).await;
    fs::remove_file(followed.file("a.mobileconfig")).unwrap();
    followed.holds(None).await;
    assert!(followed.names().is_empty());
    // The folder itself: gone, and made again.
    fs::remove_dir_all(followed.folder()).unwrap();
    sleep(Duration::from_secs(2)).await;
    fs::create_dir(followed.folder()).unwrap();
    fs::write(followed.file("b.mobileconfig"), export("FOUR")).unwrap();
    followed.holds(Some("FOUR")).await;
    // Another one in its place.
    let other = followed.place.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("c.mobileconfig"), export("FIVE")).unwrap();
    fs::rename(followed.folder(), followed.place.path().join("old")).unwrap();
    fs::rename(&other, followed.folder()).unwrap();
    followed.holds(Some("FIVE")).await;
    fs::write(followed.file("c.mobileconfig"), export("SIX")).unwrap();
    followed.holds(Some("SIX")).await;
}

#[tokio::test]
async fn a_watched_folder_is_followed() {
    everything_that_happens_to_files(Followed::start(Notice::new).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_polled_folder_is_followed() {
    everything_that_happens_to_files(Followed::start(Notice::polling).await).await;
}

#[tokio::test]
async fn a_change_is_known_without_waiting_for_a_beat() {
    let mut followed = Followed::start(Notice::new).await;
    sleep(Duration::from_secs(2)).await;
    let begun = Instant::now();
    fs::write(followed.file("a.mobileconfig"), export("ONE")).unwrap();
    followed.holds(Some("ONE")).await;
    // It settles for a second, and the next beat would be ten away.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    fs::remove_file(followed.file("a.mobileconfig")).unwrap();
    followed.holds(None).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_waits_for_a_file_that_is_being_written() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.mobileconfig"), export("ONE")).unwrap();
    let answers = AgeAnswers { exported_at: Some(Clock::System.now()), ..AgeAnswers::default() };
    let mut folder = Folder::new(place.path().into(), None, answers, Signers::default());
    look_first(&mut folder, &Clock::System).await;
    assert!(folder.choose(Duration::ZERO, Clock::System.now()).is_ok());
}
