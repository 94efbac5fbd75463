//! The journal of version 1 that is kept in `fixtures/journal/`.

use super::*;
use crate::journal::writer::write_batch;
use crate::workflow::outcome::{Class, Verdict};
use std::fs;
use std::time::Duration;

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journal/v1.sqlite3")
}

/// Three jobs: done after a replug, failed at the server, still open.
fn entries() -> Vec<Entry> {
    let failed = Verdict::failed(Class::Server, "The server refused the device.", "Check its limit.");
    let append = |job| move |kind| Entry::Append(JobId(job), kind);
    let first = life(1).into_iter().map(append(1));
    let second = life(2).into_iter().take(17).chain([EventKind::JobEnded(failed)]).map(append(2));
    let third = life(3).into_iter().take(10).map(append(3));
    let starts = (1..=3).map(|n| Entry::Start(new_job(n)));
    starts.chain(first).chain(second).chain(third).collect()
}

/// Writes the fixture anew. Only while version 1 is the present one: afterwards the file
/// is what an old program left behind, and stays as it is.
fn write_the_fixture() {
    assert_eq!(schema::MIGRATIONS.len(), 1);
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let start: jiff::Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    for (second, entry) in entries().into_iter().enumerate() {
        let at = start.saturating_add(Duration::from_secs(second as u64)).unwrap();
        write_batch(&mut store.conn, at, vec![entry]).remove(0).unwrap();
    }
    drop(store);
    fs::create_dir_all(kept().parent().unwrap()).unwrap();
    fs::copy(&scratch.path, kept()).unwrap();
}

#[tokio::test]
async fn a_journal_of_version_1_is_opened_and_read() {
    if crate::fixtures::refresh() {
        write_the_fixture();
    }
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path.parent().unwrap()).unwrap();
    fs::copy(kept(), &scratch.path).unwrap();
    let journal = scratch.open();
    scratch.assert_sound();
    let rows = scratch.reader().history(&HistoryFilter::default()).unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let outcome = row.outcome.map_or("open", Outcome::name);
            (row.id.0, outcome, row.state.name(), row.attempts, row.pushes, row.duration_ms)
        })
        .collect();
    assert_eq!(
        told,
        [
            (3, "open", "pushing", 1, 1, None),
            (2, "failed", "failed", 2, 2, Some(41_000)),
            (1, "enrolled", "enrolled", 2, 2, Some(24_000)),
        ]
    );
    assert_eq!(rows[2].created_at.to_string(), "2026-03-02T08:00:00Z");
    assert_eq!(rows[1].sentence.as_deref(), Some("The server refused the device."));
    let kinds: Vec<_> = scratch.reader().job_events(JobId(1)).unwrap().into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds[1..], life(1));
    let open = journal.all_open_jobs().await.unwrap();
    assert_eq!((open.len(), open[0].id, open[0].events.len()), (1, JobId(3), 11));
    journal.append(JobId(3), ended(Outcome::Failed)).await.unwrap();
    scratch.assert_sound();
}
