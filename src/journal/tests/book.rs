//! The book of batches, beside a journal that is written.

use super::*;
use crate::ids::BatchId;
use crate::workflow::outcome::{Class, Verdict};

fn expected(line: u32) -> Expected {
    Expected { line, serial: Some(format!("SERIAL{line:04}")), ..Expected::default() }
}

fn new_batch(devices: u32) -> NewBatch {
    NewBatch {
        name: "Room 4".into(),
        manifest: "ef".repeat(32),
        unexpected: "refuse",
        stop_after: 3,
        expected: (2..2 + devices).map(expected).collect(),
    }
}

fn now() -> jiff::Timestamp {
    Clock::System.now()
}

async fn begin(journal: &Journal, n: u32, batch: BatchId, line: Option<u32>) -> JobId {
    let job = journal.start_job(new_job(n)).await.unwrap();
    let reason = "a test".to_owned();
    let kind = EventKind::Assigned { blueprint: None, batch: Some(batch), line, tags: vec![], reason };
    journal.append(job, kind).await.unwrap();
    job
}

fn end(outcome: Outcome) -> EventKind {
    EventKind::JobEnded(match outcome {
        Outcome::Failed => Verdict::failed(Class::Server, "The server said no.", "Ask it."),
        other => other.into(),
    })
}

#[tokio::test]
async fn of_several_jobs_a_good_one_counts_and_then_the_newest() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let batch = book.begin(&new_batch(4), now()).unwrap().unwrap();
    assert_eq!(book.begin(&new_batch(1), now()).unwrap(), None, "one at a time");
    for (n, line, outcome) in [
        (1, Some(2), Some(Outcome::Enrolled)),
        (1, Some(2), Some(Outcome::TrustDenied)),
        (2, Some(3), Some(Outcome::Failed)),
        (2, Some(3), None),
        (3, Some(4), Some(Outcome::Failed)),
        (4, None, Some(Outcome::Failed)),
        (4, None, Some(Outcome::Failed)),
    ] {
        let job = begin(&journal, n, batch, line).await;
        if let Some(outcome) = outcome {
            journal.append(job, end(outcome)).await.unwrap();
        }
    }
    let counts = Counts { expected: 4, done: 1, failed: 1, running: 1, unexpected: 1 };
    assert_eq!(book.counts(batch).unwrap(), counts);
    let told: Vec<_> = book.entries(batch).unwrap().iter().map(|e| (e.state(), e.jobs)).collect();
    assert_eq!(told, [("done", 2), ("running", 2), ("failed", 1), ("missing", 0), ("failed", 2)]);
    let found = book.expected(batch, Some("SERIAL0003"), &[]).unwrap();
    assert_eq!(found.map(|expected| expected.line), Some(3));
    assert_eq!(book.last_ended(batch, 2).unwrap().len(), 2);
    scratch.assert_sound();
}

#[tokio::test]
async fn what_comes_after_the_close_is_not_in_the_report() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let batch = book.begin(&new_batch(2), now()).unwrap().unwrap();
    let done = begin(&journal, 1, batch, Some(2)).await;
    let open = begin(&journal, 2, batch, Some(3)).await;
    journal.append(done, end(Outcome::Enrolled)).await.unwrap();
    // A clock that was set back changes nothing: what counts is the order of the journal.
    let early = "2001-01-01T00:00:00Z".parse().unwrap();
    let mut sealed = Vec::new();
    let close = |_: &BatchRow, rows: &[EntryRow]| {
        sealed = rows.iter().map(EntryRow::state).collect();
        "seal".to_owned()
    };
    assert!(book.close(batch, early, close).unwrap());
    assert_eq!(sealed, ["done", "running"]);
    journal.append(open, end(Outcome::Enrolled)).await.unwrap();
    let now_told: Vec<_> = book.entries(batch).unwrap().iter().map(EntryRow::state).collect();
    assert_eq!(now_told, sealed);
    assert_eq!(book.batches().unwrap()[0].seal.as_deref(), Some("seal"));
    assert!(!book.close(batch, now(), |_, _| String::new()).unwrap());
    assert!(book.begin(&new_batch(1), now()).unwrap().is_some(), "the next may begin");
}

#[tokio::test]
async fn a_stop_lasts_until_it_is_lifted_and_older_faults_are_forgiven() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let batch = book.begin(&new_batch(3), now()).unwrap().unwrap();
    for n in 1..=3 {
        let job = begin(&journal, n, batch, Some(n + 1)).await;
        journal.append(job, end(Outcome::Failed)).await.unwrap();
    }
    assert_eq!(book.last_ended(batch, 3).unwrap().len(), 3);
    let stop = Stop { at: now(), reason: "Why.".into(), next: "What.".into() };
    book.stop(batch, &stop).unwrap();
    let told = book.open_batch().unwrap().unwrap().stop.unwrap();
    assert_eq!((told.reason, told.next), (stop.reason, stop.next));
    assert!(book.resume(batch).unwrap() && !book.resume(batch).unwrap());
    assert_eq!(book.last_ended(batch, 3).unwrap(), []);
    book.allow(batch, "SERIAL9999", now()).unwrap();
    assert!(book.is_allowed(batch, &["serial9999"]).unwrap());
    assert!(!book.is_allowed(batch, &["SERIAL9998"]).unwrap());
}
