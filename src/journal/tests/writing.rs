//! The writer: batches, refusals, failures, order of publication.

use super::*;
use crate::journal::writer::write_batch;
use rusqlite::Connection;
use std::time::Duration;

fn now() -> jiff::Timestamp {
    "2026-03-02T08:00:00.1239Z".parse().unwrap()
}

#[tokio::test]
async fn one_bad_entry_does_not_harm_its_batch() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let job = JobId(1);
    let batch = vec![
        Entry::Start(new_job(1)),
        Entry::Append(job, EventKind::AttemptStarted { number: 1 }),
        Entry::Start(new_job(1)),
        Entry::Append(JobId(77), EventKind::Detached),
        Entry::Append(job, EventKind::PushStarted { number: 2 }),
        Entry::Append(job, EventKind::JobStarted(new_job(1))),
        Entry::Append(job, ended(Outcome::Enrolled)),
        Entry::Append(job, ended(Outcome::Failed)),
        Entry::Start(new_job(1)),
    ];
    let results = write_batch(&mut store.conn, now(), batch);
    let words: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(event) => format!("{} {} {}", event.seq, event.job, event.kind.name()),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(
        words,
        [
            "1 1 job-started",
            "2 1 attempt-started",
            "00008110-0000000000000001 is already in job 1 for this profile",
            "there is no job 77 in the journal",
            "job 1: 'push-started' 2 was not written, 1 was expected",
            "job 1: 'job-started' 2 was not written, 1 was expected",
            "3 1 job-ended",
            "job 1 has ended; 'job-ended' was not written",
            "4 2 job-started",
        ]
    );
    let refusals = results.iter().filter_map(|result| result.as_ref().err());
    assert!(refusals.into_iter().all(|error| error.kind() == JournalErrorKind::Refused));
    assert_eq!(check(&store.conn), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_answered_is_what_is_read_back() {
    let scratch = Scratch::new();
    let mut store = scratch.store();
    let results = write_batch(&mut store.conn, now(), vec![Entry::Start(new_job(1))]);
    let event = results[0].as_ref().unwrap();
    assert_eq!(event.at.to_string(), "2026-03-02T08:00:00.123Z");
    assert_eq!(scratch.reader().job_events(event.job).unwrap(), std::slice::from_ref(event));
}

#[tokio::test]
async fn a_job_ends_once() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let job = journal.start_job(new_job(1)).await.unwrap();
    let ends: Vec<_> = (0..8)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(job, ended(Outcome::Failed)).await })
        })
        .collect();
    let mut good = 0;
    for end in ends {
        good += usize::from(end.await.unwrap().is_ok());
    }
    assert_eq!(good, 1);
    let error = journal.append(job, EventKind::Detached).await.unwrap_err();
    assert!(matches!(error, JournalError::Ended { .. }), "{error:?}");
    scratch.assert_sound();
}

#[tokio::test]
async fn an_observer_sees_only_what_is_committed_and_in_order() {
    let scratch = Scratch::new();
    let seen: Arc<Mutex<Vec<i64>>> = Arc::default();
    let (path, told) = (scratch.path.clone(), seen.clone());
    let observer: Observer = Arc::new(move |event| {
        // Another connection sees commits only.
        let events = JournalReader::open(&path).unwrap().job_events(event.job).unwrap();
        assert!(events.contains(event), "event {} was published before its commit", event.seq);
        told.lock().unwrap().push(event.seq);
    });
    let journal = Journal::open(&scratch.path, Clock::System, observer).unwrap();
    let tasks: Vec<_> = (1..=5)
        .map(|n| {
            let (journal, seen) = (journal.clone(), seen.clone());
            tokio::spawn(async move {
                let job = live(&journal, n).await;
                let last = JournalReader::open(journal.path()).unwrap().job_events(job).unwrap().pop();
                assert!(seen.lock().unwrap().contains(&last.unwrap().seq), "answered before published");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let expected = i64::try_from(5 * (life(1).len() + 1)).unwrap();
    assert_eq!(*seen.lock().unwrap(), (1..=expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn cancelled_callers_neither_lose_nor_double_their_events() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let job = journal.start_job(new_job(1)).await.unwrap();
    // More than the queue takes, each caller gone after its first poll; the writer gets no
    // turn in between.
    let count = u32::try_from(crate::limits::JOURNAL_QUEUE * 2).unwrap();
    for number in 1..=count {
        let mut append = Box::pin(journal.append(job, EventKind::AttemptStarted { number }));
        let first = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        assert!(first.is_pending());
    }
    journal.append(job, ended(Outcome::Failed)).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(scratch.seen().len(), count as usize + 2);
    let row = &scratch.reader().history(&HistoryFilter::default()).unwrap()[0];
    assert_eq!((row.attempts, row.outcome), (count, Some(Outcome::Failed)));
    scratch.assert_sound();
}

/// A writer on a database that may not grow by more than `pages`.
fn nearly_full(scratch: &Scratch, pages: i64) -> Journal {
    let store = scratch.store();
    let used: i64 = store.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    store.conn.pragma_update_and_check(None, "max_page_count", used + pages, |_| Ok(())).unwrap();
    start_writer(scratch, store)
}

fn start_writer(scratch: &Scratch, store: schema::Store) -> Journal {
    let runtime = tokio::runtime::Handle::current();
    let requests = writer::start(store, Clock::System, scratch.observer(), None, &runtime);
    Journal { requests, path: scratch.path.as_path().into(), waits: None }
}

fn long_detail() -> EventKind {
    let detail = Some("x".repeat(200 << 10));
    EventKind::StepFinished { step: StepId::Pair, result: StepResult::Warning, detail }
}

#[tokio::test]
async fn a_full_disk_fails_its_batch_and_only_that() {
    let scratch = Scratch::new();
    let journal = nearly_full(&scratch, 8);
    let job = journal.start_job(new_job(1)).await.unwrap();
    // Polled in order before the writer runs: one batch.
    let (good, full, other) = tokio::join!(
        journal.append(job, EventKind::AttemptStarted { number: 1 }),
        journal.append(job, long_detail()),
        journal.start_job(new_job(2)),
    );
    for error in [good.unwrap_err(), full.unwrap_err(), other.unwrap_err()] {
        assert!(matches!(error, JournalError::Write { .. }), "{error:?}");
        assert_eq!(error.to_string(), "the journal could not be written");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("full"), "{cause}");
    }
    assert_eq!(scratch.seen().len(), 1);
    assert_eq!(journal.append(job, EventKind::AttemptStarted { number: 1 }).await.unwrap().seq, 2);
    assert_eq!(scratch.seen().len(), 2);
    journal.close().await.unwrap();
    scratch.assert_sound();
}

#[tokio::test]
async fn a_journal_locked_by_another_program_is_written_later() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.conn.busy_timeout(Duration::ZERO).unwrap();
    let journal = start_writer(&scratch, store);
    let other = Connection::open(&scratch.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = journal.start_job(new_job(1)).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Storage);
    assert_eq!(journal.all_open_jobs().await.unwrap(), []);
    assert!(scratch.seen().is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    journal.start_job(new_job(1)).await.unwrap();
    scratch.assert_sound();
}

#[tokio::test]
async fn an_oversized_event_is_refused() {
    let scratch = Scratch::new();
    let journal = scratch.open();
    let job = journal.start_job(new_job(1)).await.unwrap();
    let reason = "x".repeat(crate::limits::JOURNAL_EVENT_BYTES);
    let error = journal.append(job, EventKind::Planned { steps: vec![], reason }).await.unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { kind: "planned", .. }), "{error:?}");
    journal.append(job, EventKind::Detached).await.unwrap();
}

#[tokio::test]
async fn a_paused_clock_does_not_run_away_while_sqlite_works() {
    let scratch = Scratch::new();
    tokio::time::pause();
    let start = "2026-03-02T08:00:00Z".parse().unwrap();
    let journal = Journal::open(&scratch.path, Clock::starting_at(start), scratch.observer()).unwrap();
    let timer = tokio::spawn(tokio::time::sleep(Duration::from_secs(60)));
    live(&journal, 1).await;
    assert!(!timer.is_finished());
    assert!(scratch.seen().iter().all(|event| event.at == start));
}

#[tokio::test]
async fn many_devices_share_commits() {
    const DEVICES: u32 = 128;
    let scratch = Scratch::new();
    let journal = scratch.open();
    let began = tokio::time::Instant::now();
    let tasks: Vec<_> = (1..=DEVICES)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { live(&journal, n).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let events = scratch.seen().len();
    let rate = events as f64 / began.elapsed().as_secs_f64();
    println!("{DEVICES} devices, {events} events: {rate:.0} events/s");
    journal.close().await.unwrap();
    let seqs: Vec<_> = scratch.seen().iter().map(|event| event.seq).collect();
    assert!(seqs.iter().copied().eq(1..=i64::try_from(events).unwrap()));
    scratch.assert_sound();
    let enrolled = scratch.reader().summary(&HistoryFilter::default()).unwrap();
    assert_eq!(enrolled, Summary { open: 0, ended: vec![(Outcome::Enrolled, DEVICES)] });
}

#[test]
fn without_a_runtime_nothing_is_opened() {
    let scratch = Scratch::new();
    assert!(matches!(scratch.try_open(), Err(JournalError::NoRuntime)));
    assert!(!scratch.folder.path().join("station").exists());
}
