//! What of a folder can be pushed, look by look.

use super::*;
use crate::wire::profile::example::{ExampleOptions, acme_plist, scep_plist};
use crate::wire::property_list::to_xml;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn now() -> Timestamp {
    "2026-03-20T12:00:00Z".parse().unwrap()
}

fn export(uuid: &str) -> Vec<u8> {
    let options = ExampleOptions { uuid: uuid.into(), ..ExampleOptions::default() };
    to_xml(&scep_plist(&options))
}

/// A folder and a clock of its own. Exported yesterday, by the operator's word: the dates of
/// these files are today's.
struct Watch {
    folder: Folder,
    at: Instant,
}

impl Watch {
    fn of(path: &Path) -> Self {
        let exported_at = Some("2026-03-19T12:00:00Z".parse().unwrap());
        Self::with(path, AgeAnswers { exported_at, ..AgeAnswers::default() })
    }

    fn with(path: &Path, answers: AgeAnswers) -> Self {
        let folder = Folder::new(path.into(), None, answers, Signers::default());
        Self { folder, at: Instant::now() }
    }

    fn at_once(&mut self) -> bool {
        self.folder.scan(Look::AtOnce, self.at, now())
    }

    /// A look, so long after the last one.
    fn after(&mut self, millis: u64) -> bool {
        self.at += Duration::from_millis(millis);
        self.folder.scan(Look::Again, self.at, now())
    }

    /// Looks until nothing is being written.
    fn settled(&mut self) -> Result<String, FolderError> {
        self.after(0);
        self.after(1000);
        self.chosen()
    }

    fn chosen(&self) -> Result<String, FolderError> {
        self.folder.choose(Duration::ZERO, now()).map(|(candidate, _)| candidate.profile.uuid().to_owned())
    }
}

#[test]
fn a_file_counts_once_it_was_still_for_a_while() {
    let place = tempfile::tempdir().unwrap();
    let mut watch = Watch::of(place.path());
    watch.after(0);
    assert!(matches!(watch.chosen(), Err(FolderError::Empty { .. })));
    let file = place.path().join("a.mobileconfig");
    let whole = export("ONE");
    // Written in pieces, slower than it is looked at.
    for end in [100, 900, whole.len() - 1, whole.len()] {
        fs::write(&file, &whole[..end]).unwrap();
        assert!(watch.after(900), "it changed");
        assert!(watch.chosen().unwrap_err().to_string().contains("still being written"));
        assert_eq!(watch.folder.settles(), Some(watch.at + SETTLE));
    }
    watch.after(999);
    assert!(watch.chosen().is_err(), "not yet");
    watch.after(1);
    assert_eq!(watch.chosen().unwrap(), "ONE");
    assert!(!watch.after(5000) && watch.folder.settles().is_none());
    // Renamed over: the old one counts no more, the new one after a while.
    let draft = place.path().join("a.mobileconfig.tmp");
    fs::write(&draft, export("TWO")).unwrap();
    fs::rename(&draft, &file).unwrap();
    watch.after(100);
    assert!(watch.chosen().is_err());
    assert_eq!(watch.settled().unwrap(), "TWO");
    fs::remove_file(&file).unwrap();
    watch.after(0);
    assert!(matches!(watch.chosen(), Err(FolderError::Empty { .. })));
}

#[test]
fn a_start_reads_what_nobody_touched_lately() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.mobileconfig");
    fs::write(&file, export("ONE")).unwrap();
    let touched = Timestamp::try_from(fs::metadata(&file).unwrap().modified().unwrap()).unwrap();
    let young = |milliseconds: i64| {
        let mut folder = Watch::of(place.path()).folder;
        folder.scan(Look::First, Instant::now(), touched + SignedDuration::from_millis(milliseconds));
        folder.settles().is_some()
    };
    assert!(young(100), "its writer may be at it");
    assert!(!young(5000));
}

#[test]
fn a_folder_that_goes_and_comes_back_is_read_anew() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("exports");
    let mut watch = Watch::of(&path);
    watch.at_once();
    assert!(matches!(watch.chosen(), Err(FolderError::Unreadable { .. })));
    assert!(!watch.after(1000), "no news");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.mobileconfig"), export("ONE")).unwrap();
    assert_eq!(watch.settled().unwrap(), "ONE");
    fs::remove_dir_all(&path).unwrap();
    assert!(watch.after(100) && watch.chosen().is_err());
}

#[test]
fn links_are_followed_to_what_they_lead_to_now() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    fs::write(&one, export("ONE")).unwrap();
    fs::write(&two, export("TWO")).unwrap();
    let exports = place.path().join("exports");
    fs::create_dir(&exports).unwrap();
    let link = exports.join("a.mobileconfig");
    std::os::unix::fs::symlink(&one, &link).unwrap();
    let mut watch = Watch::of(&exports);
    assert_eq!(watch.settled().unwrap(), "ONE");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&two, &link).unwrap();
    assert_eq!(watch.settled().unwrap(), "TWO");
    // What it leads to changes, and then is gone.
    fs::write(&two, export("THREE")).unwrap();
    assert_eq!(watch.settled().unwrap(), "THREE");
    fs::remove_file(&two).unwrap();
    assert!(matches!(watch.settled(), Err(FolderError::Empty { .. })));
    // A loop is no file.
    std::os::unix::fs::symlink(exports.join("b.mobileconfig"), exports.join("b.mobileconfig")).unwrap();
    assert!(matches!(watch.settled(), Err(FolderError::Empty { .. })));
}

#[test]
fn changed_rights_are_noticed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.mobileconfig");
    fs::write(&file, export("ONE")).unwrap();
    let mut watch = Watch::of(place.path());
    assert_eq!(watch.settled().unwrap(), "ONE");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o000);
    if fs::read(&file).is_ok() {
        // Root reads everything; that it was looked at again is what can be seen.
        assert!(watch.after(0), "a change of rights is a change");
        mode(&file, 0o600);
        return;
    }
    assert!(watch.settled().unwrap_err().to_string().contains("a.mobileconfig: cannot read"));
    mode(&file, 0o600);
    assert_eq!(watch.settled().unwrap(), "ONE");
    mode(place.path(), 0o000);
    assert!(matches!(watch.settled(), Err(FolderError::Unreadable { .. })));
    mode(place.path(), 0o700);
    assert_eq!(watch.settled().unwrap(), "ONE");
}

#[test]
fn thousands_of_files_are_listed_up_to_the_bound() {
    let place = tempfile::tempdir().unwrap();
    for n in 0..MOST_FILES + 10 {
        fs::write(place.path().join(format!("{n:05}.mobileconfig")), "junk").unwrap();
    }
    let mut watch = Watch::of(place.path());
    watch.at_once();
    assert_eq!(watch.folder.files().count(), MOST_FILES);
    let said = watch.chosen().unwrap_err().to_string();
    assert!(said.contains("And 4092 more.") && said.len() < 1000, "{said}");
}

#[test]
fn huge_profiles_are_not_kept_by_the_hundred() {
    let place = tempfile::tempdir().unwrap();
    let text = String::from_utf8(export("ONE")).unwrap();
    let filler = format!("<plist version=\"1.0\"><!--{}-->", "x".repeat(9 << 20));
    let large = text.replacen("<plist version=\"1.0\">", &filler, 1);
    assert!(large.len() > 9 << 20);
    for n in 0..9 {
        fs::write(place.path().join(format!("{n}.mobileconfig")), &large).unwrap();
    }
    let mut watch = Watch::of(place.path());
    watch.at_once();
    let kept: usize = watch.folder.seen.values().map(Seen::bytes).sum();
    assert!(kept <= MOST_BYTES, "{kept}");
    let left_out = watch.folder.files().filter(|(_, read)| read.is_err()).count();
    assert!(left_out >= 2, "{left_out}");
}

#[test]
fn an_unknown_age_waits_for_a_word() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("a.mobileconfig"), export("ONE")).unwrap();
    let mut watch = Watch::with(place.path(), AgeAnswers::default());
    watch.at_once();
    let error = watch.chosen().unwrap_err();
    assert!(matches!(error, FolderError::NoneFits { needs_word: true, .. }), "{error}");
    assert!(error.to_string().contains("Nothing in it tells when it was exported"), "{error}");
    let allowed = AgeAnswers { allow_stale: Some("Ada".into()), ..AgeAnswers::default() };
    let mut watch = Watch::with(place.path(), allowed);
    watch.at_once();
    let (candidate, _) = watch.folder.choose(Duration::ZERO, now()).unwrap();
    assert_eq!((candidate.ends(now()), candidate.refusal), (Some(now()), Some(Objection::Unknown)));
}

#[test]
fn the_journal_gets_what_is_there_and_no_junk() {
    let place = tempfile::tempdir().unwrap();
    let options = ExampleOptions::default();
    fs::write(place.path().join("a.mobileconfig"), export("ONE")).unwrap();
    fs::write(place.path().join("b.mobileconfig"), to_xml(&acme_plist(&options))).unwrap();
    fs::write(place.path().join("c.mobileconfig"), "junk").unwrap();
    let mut watch = Watch::of(place.path());
    watch.after(0);
    assert!(!watch.folder.sighting().whole, "nothing is gone that is still being written");
    watch.after(1000);
    let sighting = watch.folder.sighting();
    let kinds: Vec<_> = sighting.files.iter().map(|f| (f.name.as_str(), f.profile.kind.as_str())).collect();
    assert_eq!(kinds, [("a.mobileconfig", "scep"), ("b.mobileconfig", "acme")]);
    assert!(sighting.whole);
    let profile = &sighting.files[0].profile;
    assert_eq!(profile.stated, Some("2026-03-19T12:00:00Z".parse().unwrap()));
    assert!(!format!("{sighting:?}").contains("FAKE-"), "no secret is in it");
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
        "4913",
    ];
    drafts.iter().for_each(|name| assert!(!is_one(name), "{name}"));
}
