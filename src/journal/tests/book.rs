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
    journal.append(job, EventKind::Identified(label(n))).await.unwrap();
    assign(journal, job, batch, line).await
}

/// A job of a device that does not tell its serial number.
async fn begin_unknown(journal: &Journal, n: u32, batch: BatchId) -> JobId {
    let job = journal.start_job(new_job(n)).await.unwrap();
    let open = DeviceLabel { product_type: Some("iPad14,1".into()), ..DeviceLabel::default() };
    journal.append(job, EventKind::Identified(open)).await.unwrap();
    assign(journal, job, batch, None).await
}

async fn assign(journal: &Journal, job: JobId, batch: BatchId, line: Option<u32>) -> JobId {
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
    let counts = Counts { expected: 4, done: 1, failed: 1, running: 1, unexpected: 1, unidentified: 0 };
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
    let refused = book.close(batch, early, false, |_, _| String::new()).unwrap();
    assert!(matches!(refused, Closing::Running(jobs) if jobs.len() == 1 && jobs[0].id == open));
    assert_eq!(book.open_batch().unwrap().unwrap().id, batch, "it stays open");
    assert_eq!(book.close(batch, early, true, close).unwrap(), Closing::Closed);
    assert_eq!(sealed, ["done", "running"]);
    journal.append(open, end(Outcome::Enrolled)).await.unwrap();
    let now_told: Vec<_> = book.entries(batch).unwrap().iter().map(EntryRow::state).collect();
    assert_eq!(now_told, sealed);
    assert_eq!(book.batches().unwrap()[0].seal.as_deref(), Some("seal"));
    for anyway in [false, true] {
        assert_eq!(book.close(batch, now(), anyway, |_, _| String::new()).unwrap(), Closing::WasClosed);
    }
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

fn stands(book: &Book, batch: BatchId) -> Vec<(Option<u32>, &'static str, u32, bool)> {
    let of = |e: &EntryRow| (e.expected.as_ref().map(|e| e.line), e.state(), e.jobs, e.unidentified);
    book.entries(batch).unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn all_jobs_of_a_device_are_of_its_line_once_any_of_them_tells_who_it_is() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let named = Expected { line: 2, serial: label(1).serial, ..Expected::default() };
    let by_imei = Expected { line: 3, imei: Some("356938035643809".into()), ..Expected::default() };
    let new = NewBatch { expected: vec![named, by_imei], ..new_batch(0) };
    let batch = book.begin(&new, now()).unwrap().unwrap();
    for n in [1, 2, 3] {
        let job = begin_unknown(&journal, n, batch).await;
        journal.append(job, end(Outcome::Failed)).await.unwrap();
    }
    let unknown = (None, "failed", 1, true);
    let missing = |line| (Some(line), "missing", 0, false);
    assert_eq!(stands(&book, batch), [missing(2), missing(3), unknown, unknown, unknown]);
    let counts = book.counts(batch).unwrap();
    assert_eq!((counts.unexpected, counts.unidentified), (0, 3));
    // One is told by a later job of the batch, one by a job that noted nothing, one is a stranger.
    let job = begin(&journal, 1, batch, Some(2)).await;
    journal.append(job, end(Outcome::Enrolled)).await.unwrap();
    let job = journal.start_job(new_job(2)).await.unwrap();
    let told = DeviceLabel { serial: None, imei: Some("356938035643809".into()), ..label(2) };
    journal.append(job, EventKind::Identified(told)).await.unwrap();
    journal.append(job, end(Outcome::Failed)).await.unwrap();
    let job = begin(&journal, 3, batch, None).await;
    journal.append(job, end(Outcome::Failed)).await.unwrap();
    let told = [(Some(2), "done", 2, false), (Some(3), "failed", 1, false), (None, "failed", 2, false)];
    assert_eq!(stands(&book, batch), told);
    let counts = Counts { expected: 2, done: 1, failed: 1, running: 0, unexpected: 1, unidentified: 0 };
    assert_eq!(book.counts(batch).unwrap(), counts);
    scratch.assert_sound();
}

/// As the report would be sealed: what is in it, in words.
fn in_words(_: &BatchRow, rows: &[EntryRow]) -> String {
    let of = |e: &EntryRow| (e.expected.as_ref().map(|e| e.line), e.state(), e.jobs, e.unidentified);
    format!("{:?}", rows.iter().map(of).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_report_stays_as_it_was_sealed() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let named = Expected { line: 2, serial: label(1).serial, ..Expected::default() };
    let new = NewBatch { expected: vec![named], ..new_batch(0) };
    let batch = book.begin(&new, now()).unwrap().unwrap();
    let job = begin_unknown(&journal, 1, batch).await;
    journal.append(job, end(Outcome::Failed)).await.unwrap();
    assert_eq!(book.close(batch, now(), false, in_words).unwrap(), Closing::Closed);
    let sealed = stands(&book, batch);
    assert_eq!(sealed, [(Some(2), "missing", 0, false), (None, "failed", 1, true)]);
    // What is told after the close changes nothing.
    let job = journal.start_job(new_job(1)).await.unwrap();
    journal.append(job, EventKind::Identified(label(1))).await.unwrap();
    journal.append(job, end(Outcome::Failed)).await.unwrap();
    assert_eq!(stands(&book, batch), sealed);
    // An earlier program sealed the jobs as each had noted its line.
    let batch = book.begin(&new, now()).unwrap().unwrap();
    for line in [None, Some(2)] {
        let job = begin(&journal, 1, batch, line).await;
        journal.append(job, end(Outcome::Enrolled)).await.unwrap();
    }
    let old = "[(Some(2), \"done\", 1, false), (None, \"done\", 1, false)]";
    assert_eq!(book.close(batch, now(), false, |_, _| old.to_owned()).unwrap(), Closing::Closed);
    assert_eq!(stands(&book, batch), [(Some(2), "done", 2, false)]);
    let row = book.batches().unwrap().remove(0);
    assert_eq!(in_words(&row, &book.reported(&row, in_words).unwrap()), old);
}

#[tokio::test]
async fn who_is_held_is_an_entry_and_told_with_what_for() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let mut book = Book::open(&scratch.path).unwrap();
    let named = Expected { line: 2, serial: label(1).serial, ..Expected::default() };
    let batch = book.begin(&NewBatch { expected: vec![named], ..new_batch(0) }, now()).unwrap().unwrap();
    for n in [1, 2] {
        let job = journal.start_job(new_job(n)).await.unwrap();
        journal.append(job, EventKind::Identified(label(n))).await.unwrap();
        let held = EventKind::Held { sentence: "Why.".into(), next: "What.".into(), until: now() };
        journal.append(job, held).await.unwrap();
    }
    let held = book.held().unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!((held[0].class, held[0].sentence.as_deref()), (Some(Class::Operator), Some("Why.")));
    assert_eq!(stands(&book, batch), [(Some(2), "running", 1, false), (None, "running", 1, false)]);
    assert!(book.entries(batch).unwrap().iter().all(|entry| entry.waiting));
    let history = scratch.reader().history(&HistoryFilter::default()).unwrap();
    assert_eq!((history[0].class, history[0].next.as_deref()), (Some(Class::Operator), Some("What.")));
    // It is let in, and waits no more.
    assign(&journal, held[0].id, batch, Some(2)).await;
    assert_eq!(book.held().unwrap().len(), 1);
    assert!(!book.entries(batch).unwrap()[0].waiting);
    assert!(
        matches!(book.close(batch, now(), false, |_, _| String::new()).unwrap(), Closing::Running(jobs) if jobs.len() == 2)
    );
    scratch.assert_sound();
}
