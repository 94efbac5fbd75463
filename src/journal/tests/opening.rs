//! Who may open what, and that a refused file stays as it was.

use super::*;
use crate::journal::schema::{MIGRATIONS, lock_path, open_store};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let done = live(&journal, 1).await;
    let open = journal.start_job(new_job(2)).await.unwrap();
    journal.close().await.unwrap();
    journal.close().await.unwrap();
    let refused = journal.append(open, EventKind::Detached).await.unwrap_err();
    assert_eq!(refused.kind(), JournalErrorKind::Closed);

    let journal = scratch.open();
    let found = journal.all_open_jobs().await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [open]);
    assert_eq!(scratch.reader().job_events(done).unwrap().len(), life(1).len() + 1);
    journal.append(open, ended(Outcome::Failed)).await.unwrap();
    scratch.assert_sound();
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_journal() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let clone = journal.clone();
    let job = journal.start_job(new_job(1)).await.unwrap();
    drop(journal);
    assert!(matches!(scratch.try_open(), Err(JournalError::InUse { .. })));
    drop(clone);
    let reopened = loop {
        match scratch.try_open() {
            Err(JournalError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.unwrap(),
        }
    };
    assert_eq!(reopened.all_open_jobs().await.unwrap()[0].id, job);
}

#[tokio::test]
async fn the_files_are_private() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    journal.start_job(new_job(1)).await.unwrap();
    assert_eq!(mode(scratch.path.parent().unwrap()), 0o700);
    assert_eq!(mode(&scratch.path), 0o600);
    assert_eq!(mode(&lock_path(&scratch.path)), 0o600);
    assert_eq!(mode(&scratch.path.with_extension("sqlite3-wal")), 0o600);
}

#[tokio::test]
async fn a_second_station_is_told_who_has_the_journal() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let error = scratch.try_open().unwrap_err();
    let JournalError::InUse { pid, path } = &error else { panic!("{error:?}") };
    assert_eq!((*pid, path), (Some(std::process::id()), &scratch.path));
    let sentence = error.to_string();
    assert!(sentence.starts_with("another station (process "), "{sentence}");
    assert!(sentence.contains("another station"), "{sentence}");
    journal.close().await.unwrap();
    scratch.open();
}

#[tokio::test]
async fn readers_work_beside_a_station_and_without_one() {
    let scratch = Scratch::new();
    assert_eq!(JournalReader::open(&scratch.path).unwrap_err().kind(), JournalErrorKind::Missing);
    let journal = scratch.open();
    let reader = scratch.reader();
    for n in 1..=3 {
        live(&journal, n).await;
        assert_eq!(reader.history(&HistoryFilter::default()).unwrap().len(), n as usize);
    }
    journal.close().await.unwrap();
    assert_eq!(reader.history(&HistoryFilter::default()).unwrap().len(), 3);
    drop(reader);
    assert_eq!(scratch.reader().history(&HistoryFilter::default()).unwrap().len(), 3);
}

/// The files as a killed station leaves them; the index in shared memory is made anew.
fn copy_as_after_a_kill(scratch: &Scratch) -> Scratch {
    let copy = Scratch::new();
    fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
    for suffix in ["sqlite3", "sqlite3-wal"] {
        fs::copy(scratch.path.with_extension(suffix), copy.path.with_extension(suffix)).unwrap();
    }
    copy
}

#[tokio::test]
async fn a_killed_station_keeps_all_it_had_answered() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let first = live(&journal, 1).await;
    let second = journal.start_job(new_job(2)).await.unwrap();
    for kind in life(2).into_iter().take(9) {
        journal.append(second, kind).await.unwrap();
        let copy = copy_as_after_a_kill(&scratch);
        let survivor = copy.open();
        let found = survivor.open_jobs(&udid(2), &new_job(2).profile_sha256).await.unwrap().unwrap();
        assert_eq!(found.events, scratch.reader().job_events(second).unwrap());
        assert_eq!(copy.reader().job_events(first).unwrap().len(), life(1).len() + 1);
        copy.assert_sound();
    }
}

#[tokio::test]
async fn power_lost_in_the_middle_of_a_commit_leaves_the_commits_before() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    live(&journal, 2).await;
    let all = scratch.seen();
    let whole = fs::metadata(scratch.path.with_extension("sqlite3-wal")).unwrap().len();
    let mut kept = Vec::new();
    for cut in (0..=whole).rev().step_by(7919) {
        let copy = copy_as_after_a_kill(&scratch);
        let wal = fs::File::options().write(true).open(copy.path.with_extension("sqlite3-wal")).unwrap();
        wal.set_len(cut).unwrap();
        let survivor = copy.open();
        copy.assert_sound();
        let reader = copy.reader();
        let events: Vec<_> = (1..=2).flat_map(|job| reader.job_events(JobId(job)).unwrap()).collect();
        assert_eq!(events, all[..events.len()]);
        kept.push(events.len());
        survivor.close().await.unwrap();
    }
    assert!(kept.is_sorted_by(|a, b| a >= b), "{kept:?}");
    assert_eq!((kept[0], *kept.last().unwrap()), (all.len(), 0));
}

/// Opens for reading and for writing; neither may change a byte.
fn refused(scratch: &Scratch) -> JournalError {
    let before = fs::read(&scratch.path).unwrap();
    JournalReader::open(&scratch.path).unwrap_err();
    let error = scratch.try_open().unwrap_err();
    assert!(fs::read(&scratch.path).unwrap() == before, "the file was changed");
    assert!(matches!(error.kind(), JournalErrorKind::Foreign | JournalErrorKind::OtherVersion), "{error}");
    error
}

async fn written() -> Scratch {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    journal.close().await.unwrap();
    scratch
}

#[tokio::test]
async fn a_newer_version_is_refused_untouched() {
    let scratch = written().await;
    Connection::open(&scratch.path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let sentence = refused(&scratch).to_string();
    assert!(sentence.contains("is of version 7, this program knows versions up to 3"), "{sentence}");
}

#[tokio::test]
async fn a_newer_version_with_unfolded_commits_is_refused_untouched() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    Connection::open(&scratch.path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let copy = copy_as_after_a_kill(&scratch);
    let wal = fs::read(copy.path.with_extension("sqlite3-wal")).unwrap();
    assert!(matches!(refused(&copy), JournalError::Newer { found: 7, .. }));
    assert!(fs::read(copy.path.with_extension("sqlite3-wal")).unwrap() == wal);
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_refused_untouched() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path.parent().unwrap()).unwrap();
    let long = "not a database, ".repeat(4096);
    for garbage in [&b"x"[..], b"SQLite format 3\0 and no more", &[0; 4096], long.as_bytes()] {
        fs::write(&scratch.path, garbage).unwrap();
        let error = refused(&scratch);
        assert!(matches!(error, JournalError::NotAJournal { .. }), "{error:?}");
    }
    fs::remove_file(&scratch.path).unwrap();
    Connection::open(&scratch.path).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
    assert!(matches!(refused(&scratch), JournalError::NotAJournal { .. }));
}

#[tokio::test]
async fn a_damaged_journal_is_refused_untouched() {
    let scratch = written().await;
    let whole = fs::read(&scratch.path).unwrap();
    for cut in [4096, 8192, whole.len() / 2] {
        fs::write(&scratch.path, &whole[..cut]).unwrap();
        assert!(matches!(refused_by_station(&scratch), JournalError::Corrupt { .. }), "{cut}");
    }
    let mut holed = whole.clone();
    holed[3 * 4096..6 * 4096].fill(0x5a);
    fs::write(&scratch.path, holed).unwrap();
    let error = refused_by_station(&scratch);
    assert!(error.to_string().ends_with("it was left as it is"), "{error}");
}

/// A reader only finds damage where it reads.
fn refused_by_station(scratch: &Scratch) -> JournalError {
    let before = fs::read(&scratch.path).unwrap();
    let error = scratch.try_open().unwrap_err();
    assert!(fs::read(&scratch.path).unwrap() == before, "the file was changed");
    error
}

#[tokio::test]
async fn an_empty_file_becomes_a_journal() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path.parent().unwrap()).unwrap();
    fs::write(&scratch.path, "").unwrap();
    assert!(matches!(JournalReader::open(&scratch.path), Err(JournalError::Missing { .. })));
    scratch.open();
    assert_eq!(mode(&scratch.path), 0o600);
    scratch.assert_sound();
}

#[tokio::test]
async fn migrations_run_in_order_and_once() {
    let scratch = written().await;
    let next: Vec<_> =
        MIGRATIONS.iter().copied().chain(["CREATE TABLE two (a)", "ALTER TABLE two ADD b"]).collect();
    for _ in 0..2 {
        let store = open_store(&scratch.path, &next).unwrap();
        let version: i64 = store.conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 5);
        store.conn.execute("INSERT INTO two (a, b) VALUES (1, 2)", []).unwrap();
        assert_eq!(check(&store.conn), Vec::<String>::new());
    }
    assert!(matches!(refused(&scratch), JournalError::Newer { found: 5, known: 3, .. }));
}

#[tokio::test]
async fn a_failed_migration_leaves_the_file_untouched() {
    let scratch = written().await;
    let before = fs::read(&scratch.path).unwrap();
    for (broken, cause) in [
        ("CREATE TABLE three (a); SELECT no_such_column", "no such column"),
        ("DROP TRIGGER events_remain; PRAGMA defer_foreign_keys = 1; DELETE FROM jobs", "not there"),
    ] {
        let next: Vec<_> = MIGRATIONS.iter().copied().chain(["CREATE TABLE two (a)", broken]).collect();
        let error = open_store(&scratch.path, &next).err().unwrap();
        let JournalError::Migration { from: 3, to: 5, source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains(cause), "{source}");
        assert!(fs::read(&scratch.path).unwrap() == before, "the file was changed");
    }
    scratch.open();
    scratch.assert_sound();
}

#[tokio::test]
async fn an_interrupted_creation_is_begun_anew() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path.parent().unwrap()).unwrap();
    for leftover in ["sqlite3.new", "sqlite3.new-journal", "sqlite3.new-wal"] {
        fs::write(scratch.path.with_extension(leftover), "half a journal").unwrap();
    }
    scratch.open();
    scratch.assert_sound();
    let mut left: Vec<_> = fs::read_dir(scratch.path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    left.sort();
    assert_eq!(left, ["journal.sqlite3", "journal.sqlite3.lock"]);
}

#[tokio::test]
async fn commits_without_their_file_are_not_mixed_into_a_new_one() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    live(&journal, 1).await;
    let copy = copy_as_after_a_kill(&scratch);
    fs::remove_file(&copy.path).unwrap();
    let error = copy.try_open().unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
    assert!(!copy.path.exists());
}
