//! What is known of the files that profiles come from.

use super::*;

fn profile(n: u8) -> LibraryProfile {
    LibraryProfile {
        sha256: format!("{n:02x}").repeat(32),
        content_sha256: "cc".repeat(32),
        bytes: 2500,
        kind: "scep".into(),
        identifier: "com.example.enroll".into(),
        uuid: format!("6C2A0F7E-3B1D-4E55-9C1A-7D1E0C3B2A{n:02X}"),
        name: Some("Example enrollment".into()),
        server: Some("mdm.example".into()),
        signer: None,
        exported_at: Some("2026-03-01T00:00:00Z".parse().unwrap()),
        told_by: Some("date of the file".into()),
        ends: Some("2026-03-15T00:00:00Z".parse().unwrap()),
        stated: None,
        problem: None,
    }
}

fn file(name: &str, n: u8) -> LibraryFile {
    LibraryFile { name: name.into(), profile: profile(n) }
}

fn all_of(files: Vec<LibraryFile>) -> Sighting {
    Sighting { folder: "/exports".into(), whole: true, files }
}

/// Name and whether it is gone, of every place.
fn places(rows: &[LibraryRow]) -> Vec<(String, String, bool)> {
    let mut places: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            let sha = row.profile.sha256[..2].to_owned();
            row.places.iter().map(move |place| (place.name.clone(), sha.clone(), place.gone.is_some()))
        })
        .collect();
    places.sort();
    places
}

#[tokio::test]
async fn files_come_change_and_go_and_their_profiles_stay_known() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    journal.saw(all_of(vec![file("a", 0xaa), file("copy", 0xaa), file("b", 0xbb)])).await.unwrap();
    assert_eq!(scratch.reader().library(false).unwrap().len(), 2);
    // Replaced, removed, and one that is not spoken of.
    journal.saw(Sighting { whole: false, ..all_of(vec![file("a", 0xdd)]) }).await.unwrap();
    journal.saw(all_of(vec![file("a", 0xdd), file("copy", 0xaa)])).await.unwrap();
    let rows = scratch.reader().library(true).unwrap();
    let gone = |name: &str, sha: &str, gone| (name.to_owned(), sha.to_owned(), gone);
    assert_eq!(
        places(&rows),
        [gone("a", "aa", true), gone("a", "dd", false), gone("b", "bb", true), gone("copy", "aa", false)]
    );
    let standing: Vec<_> = rows.iter().map(|row| (&row.profile.sha256[..2], row.gone().is_some())).collect();
    assert!(standing.contains(&("aa", false)) && standing.contains(&("bb", true)), "{standing:?}");
    assert_eq!(scratch.reader().library(false).unwrap().len(), 2);
    // Another folder is another matter, and what comes back is there again.
    journal.saw(Sighting { folder: "/other".into(), ..all_of(Vec::new()) }).await.unwrap();
    journal.saw(all_of(vec![file("b", 0xbb)])).await.unwrap();
    assert_eq!(places(&scratch.reader().library(false).unwrap()), [gone("b", "bb", false)]);
    journal.close().await.unwrap();
    scratch.assert_sound();
}

#[tokio::test]
async fn the_operators_word_is_kept_for_the_content() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let word = "2026-02-27T00:00:00Z".parse().unwrap();
    let told = LibraryProfile { stated: Some(word), ..profile(0xaa) };
    journal.saw(all_of(vec![LibraryFile { name: "a".into(), profile: told }])).await.unwrap();
    journal.saw(all_of(vec![file("a", 0xaa)])).await.unwrap();
    let known = scratch.reader().remembered("other", &"cc".repeat(32)).unwrap();
    assert_eq!(known.stated, Some(word), "however it is wrapped");
    assert!(known.first_seen.is_some());
    assert_eq!(scratch.reader().remembered("x", "y").unwrap(), Remembered::default());
}

#[tokio::test]
async fn a_job_leads_to_its_file_and_a_name_to_its_device() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    assert_eq!(scratch.reader().history(&HistoryFilter::default()).unwrap()[0].profile_file, None);
    let used = LibraryProfile { sha256: new_job(1).profile_sha256, ..profile(1) };
    journal.saw(all_of(vec![LibraryFile { name: "used.mobileconfig".into(), profile: used }])).await.unwrap();
    let reader = scratch.reader();
    let row = &reader.history(&HistoryFilter::default()).unwrap()[0];
    assert_eq!(row.profile_file.as_deref(), Some("/exports/used.mobileconfig"));
    assert_eq!(reader.library(false).unwrap()[0].jobs, 1);
    let called = |name: &str| reader.device_called(&["nobody".into(), name.into()]).unwrap();
    let undashed = udid(1).as_str().replace('-', "").to_lowercase();
    for name in [udid(1).as_str(), &undashed, "sim0000001", &(u64::MAX - 1).to_string()] {
        assert_eq!(called(name), Some(udid(1)), "{name}");
    }
    assert_eq!(called("SIM0000009"), None);
}
