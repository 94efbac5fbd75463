//! Backup and restore through the shipped binary: whole while the station runs, and never over
//! what is there.

#![allow(clippy::disallowed_methods)] // real processes live in real time

use crate::support::binary::{Bench, poll, text_of};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Jobs of a state folder, oldest last, without what time alone changes.
fn history(bench: &Bench, state: &Path) -> Vec<serde_json::Value> {
    bench.run(&["--json", "--state-dir", &text_of(state), "history"]).exits(0).json()
}

/// A state folder with jobs, an identity, pair records and an export.
fn used(bench: &Bench) -> std::path::PathBuf {
    bench.run(&["serve", "--simulate", "3", "--once"]).exits(0);
    let state = bench.state_dir().join("simulated");
    fs::create_dir(state.join("profiles")).unwrap();
    fs::write(state.join("profiles/ab.mobileconfig"), "an export").unwrap();
    let dated = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    fs::File::options()
        .append(true)
        .open(state.join("profiles/ab.mobileconfig"))
        .unwrap()
        .set_modified(dated)
        .unwrap();
    state
}

#[test]
fn what_was_backed_up_is_restored_elsewhere() {
    let bench = Bench::new();
    let state = used(&bench);
    let (file, target) = (bench.path("b.tar"), bench.path("other"));
    let [file_text, state_text, target_text] = [&file, &state, &target].map(|path| text_of(path));
    let made = bench.run(&["--json", "--state-dir", &state_text, "backup", &file_text]).exits(0).only();
    assert_eq!((&made["journal"], &made["identity"]), (&true.into(), &true.into()));
    assert_eq!((&made["pair_records"], &made["profiles"]), (&3.into(), &1.into()));
    assert_eq!(mode(&file), 0o600);
    // Anybody's tar can look into it.
    let listed = std::process::Command::new("tar").arg("tf").arg(&file).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.starts_with("journal.sqlite3\n") && listed.ends_with("enlist-backup.json\n"), "{listed}");

    let restored = bench.run(&["--state-dir", &target_text, "restore", &file_text]).exits(0);
    assert!(
        restored.stdout[0].starts_with("Restored the journal, the identity, 3 pair records and 1 export"),
        "{restored}"
    );
    assert_eq!(history(&bench, &target), history(&bench, &state));
    for name in ["identity.plist", "profiles/ab.mobileconfig"] {
        assert_eq!(fs::read(target.join(name)).unwrap(), fs::read(state.join(name)).unwrap());
        assert_eq!(mode(&target.join(name)), 0o600);
    }
    let dates = [&target, &state]
        .map(|s| fs::metadata(s.join("profiles/ab.mobileconfig")).unwrap().modified().unwrap());
    assert_eq!(dates[0], dates[1], "the day of export is the file's");
    assert_eq!((mode(&target), mode(&target.join("pair-records"))), (0o700, 0o700));
    assert!(
        fs::read_dir(&target).unwrap().all(|e| !e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("restore-"))
    );
}

#[test]
fn nothing_is_overwritten_without_a_word() {
    let bench = Bench::new();
    let state = used(&bench);
    let (file, state_text) = (text_of(&bench.path("b.tar")), text_of(&state));
    let backup = |more: &[&str]| bench.run(&[&["--state-dir", &state_text, "backup", &file], more].concat());
    backup(&[]).exits(0);
    assert!(backup(&[]).fails_clearly(5).contains("exists already"));
    backup(&["--force"]).exits(0);
    let restore =
        |more: &[&str]| bench.run(&[&["--state-dir", &state_text, "restore", &file], more].concat());
    assert!(restore(&[]).fails_clearly(5).contains("holds journal.sqlite3, identity.plist"));
    let before = fs::read(state.join("identity.plist")).unwrap();
    fs::remove_file(state.join("identity.plist")).unwrap();
    fs::write(state.join("bays.toml"), "[bays]\n").unwrap();
    restore(&["--force"]).exits(0);
    assert_eq!(fs::read(state.join("identity.plist")).unwrap(), before);
    assert!(state.join("before-restore-1/journal.sqlite3").exists());
    assert!(state.join("before-restore-1/bays.toml").exists() && !state.join("bays.toml").exists());
    restore(&["--force"]).exits(0);
    assert!(state.join("before-restore-2/identity.plist").exists());
    // The station goes on with it.
    bench.run(&["serve", "--simulate", "3", "--once"]).exits(0);
}

#[test]
fn a_backup_goes_where_its_path_leads_and_only_to_a_file() {
    let bench = Bench::new();
    let state = used(&bench);
    let (link, target, pipe) = (bench.path("link.tar"), bench.path("target.tar"), bench.path("pipe"));
    fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink("target.tar", &link).unwrap();
    let backup = |to: &Path| bench.run(&["--state-dir", &text_of(&state), "backup", "--force", &text_of(to)]);
    backup(&link).exits(0);
    assert!(link.is_symlink() && fs::metadata(&target).unwrap().len() > 10_000);
    assert_eq!(mode(&target), 0o600);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for other in [&pipe, &state] {
        let kind = fs::symlink_metadata(other).unwrap().file_type();
        assert!(backup(other).fails_clearly(2).contains("is no file"));
        assert_eq!(fs::symlink_metadata(other).unwrap().file_type(), kind);
    }
    let left = fs::read_dir(bench.path("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("-") && name.contains(".tar.")).count(), 0);
}

#[test]
fn a_backup_of_a_running_station_is_whole_and_none_is_restored_under_it() {
    let bench = Bench::new();
    let mut station = bench.start(&["serve", "--simulate", "40"]);
    let state = bench.state_dir().join("simulated");
    poll("the journal", || state.join("journal.sqlite3").exists().then_some(()));
    let state_text = text_of(&state);
    for number in 0..4 {
        let file = text_of(&bench.path(&format!("b{number}.tar")));
        bench.run(&["--state-dir", &state_text, "backup", &file]).exits(0);
        let target = bench.path(&format!("t{number}"));
        bench.run(&["--state-dir", &text_of(&target), "restore", &file]).exits(0);
        history(&bench, &target);
    }
    let refused =
        bench.run(&["--state-dir", &state_text, "restore", "--force", &text_of(&bench.path("b0.tar"))]);
    assert!(refused.fails_clearly(2).contains("nother station"));
    assert!(station.line().is_some());
    station.terminate();
    station.finish().exits(0);
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let bench = Bench::new();
    let state = used(&bench);
    let good = bench.path("b.tar");
    bench.run(&["--state-dir", &text_of(&state), "backup", &text_of(&good)]).exits(0);
    let whole = fs::read(&good).unwrap();
    let target = bench.path("other");
    let refuse = |name: &str, bytes: &[u8]| {
        let file = bench.write(name, bytes);
        let done = bench.run(&["--state-dir", &text_of(&target), "restore", &file]);
        let said = done.fails_clearly(2);
        let left: Vec<_> = fs::read_dir(&target).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["journal.sqlite3.lock"], "{name}: {said}");
        said
    };
    refuse("empty", b"");
    let said = refuse("text", &b"no tar file \x1b]0;at all, but a rather long text. ".repeat(40));
    assert!(said.contains("is no whole backup: it is no tar file; nothing was restored"), "{said}");
    let said = refuse("gzip", &[&[0x1f, 0x8b, 8, 0][..], &[0x9b; 2000]].concat());
    assert!(said.contains("packed with gzip"), "{said}");
    let mut driving = whole.clone();
    driving[124..136].copy_from_slice(b"\x1b[31mred\x07\0\0\0");
    let said = refuse("driving", &driving);
    assert!(!said.contains(char::is_control), "{said:?}");
    for cut in [511, 4096, whole.len() / 2, whole.len() - 3000] {
        refuse("cut", &whole[..cut]);
    }
    // A byte of the identity's text.
    let at = whole.windows(13).position(|window| window == b"RootPrivateKe").unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    assert!(refuse("changed", &changed).contains("identity.plist is not as it was"));
    let nowhere = text_of(&bench.path("nowhere.tar"));
    bench.run(&["--state-dir", &text_of(&target), "restore", &nowhere]).fails_clearly(1);
    let nothing = text_of(&bench.path("nothing"));
    bench.run(&["--state-dir", &nothing, "backup", &nowhere]).fails_clearly(1);
}

#[test]
fn a_restore_that_was_cut_short_is_finished_by_the_next_station() {
    let bench = Bench::new();
    let state = used(&bench);
    let jobs = history(&bench, &state);
    // As a power cut leaves it: the old files half out; then the new ones half in.
    let leaving = state.join("restore-leaving");
    fs::create_dir_all(leaving.join("new/pair-records")).unwrap();
    fs::create_dir_all(leaving.join("before")).unwrap();
    for name in ["journal.sqlite3", "identity.plist"] {
        fs::copy(state.join(name), leaving.join("new").join(name)).unwrap();
    }
    fs::rename(state.join("journal.sqlite3"), leaving.join("before/journal.sqlite3")).unwrap();
    bench.run(&["serve", "--simulate", "3", "--once"]).exits(0);
    assert!(!leaving.exists() && state.join("before-restore-1/pair-records").exists());
    assert_eq!(history(&bench, &state).last(), jobs.last());
    let entering = state.join("restore-entering");
    fs::create_dir_all(entering.join("new")).unwrap();
    fs::rename(state.join("identity.plist"), entering.join("new/identity.plist")).unwrap();
    bench.run(&["serve", "--simulate", "3", "--once"]).exits(0);
    assert!(!entering.exists() && state.join("identity.plist").exists());
}
