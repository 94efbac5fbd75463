//! The one writer: a task that takes everything waiting as one batch, commits it in one
//! transaction, and only then tells anybody (stop 6: commit before publish).
//!
//! Group commit is what keeps many devices fast: while one batch reaches the disk, the next
//! one gathers. The SQL runs on a blocking thread, which also holds a paused clock still.

use super::error::{JournalError, JournalErrorKind};
use super::library::{self, Sighting};
use super::project::{self, Entry};
use super::query;
use super::schema::Store;
use super::{Observer, OpenJob, Trouble};
use crate::clock::Clock;
use crate::ids::Udid;
use crate::limits::{JOURNAL_QUEUE, JOURNAL_RETRY};
use crate::workflow::event::Event;
use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

pub(super) type Reply<T> = oneshot::Sender<Result<T, JournalError>>;

/// Which jobs are read; a device goes with the SHA-256 of a profile.
pub(super) enum Which {
    /// Those that are open: of one device and profile, or all.
    Open(Option<(Udid, String)>),
    /// The last one of a device and profile that pushed and has ended.
    LastThatPushed(Udid, String),
}

/// An answer that has not been given yet.
type Answer<T> = (Result<T, JournalError>, Reply<T>);

/// What a handle asks of the writer.
pub(super) enum Request {
    /// Write and publish.
    Write(Entry, Reply<Event>),
    /// Read jobs with their events.
    Read(Which, Reply<Vec<OpenJob>>),
    /// Write which profiles are in a folder.
    Saw(Sighting, Reply<()>),
    /// Finish.
    Close(Reply<()>),
}

/// Starts the task. It ends when asked to, or when the last handle is gone. With `trouble` it
/// waits while nothing can be written, and tells so; without, it answers with the error.
pub(super) fn start(
    store: Store,
    clock: Clock,
    observer: Observer,
    trouble: Option<Trouble>,
    runtime: &tokio::runtime::Handle,
) -> mpsc::Sender<Request> {
    let (sender, requests) = mpsc::channel(JOURNAL_QUEUE);
    runtime.spawn(run(store, clock, observer, trouble, requests));
    sender
}

async fn run(
    mut store: Store,
    clock: Clock,
    observer: Observer,
    trouble: Option<Trouble>,
    mut requests: mpsc::Receiver<Request>,
) {
    let mut waiting = Vec::new();
    let mut held: Option<Batch> = None;
    let mut in_trouble = false;
    loop {
        let (mut batch, mut last) = match held.take() {
            None => {
                let taken = requests.recv_many(&mut waiting, JOURNAL_QUEUE).await;
                (Batch::default(), taken == 0)
            }
            Some(batch) => {
                sleep(JOURNAL_RETRY).await;
                let room = JOURNAL_QUEUE.saturating_sub(batch.entries.len());
                waiting.extend(std::iter::from_fn(|| requests.try_recv().ok()).take(room));
                (batch, requests.is_closed() && waiting.is_empty())
            }
        };
        batch.take(waiting.drain(..));
        let closing = std::mem::take(&mut batch.closing);
        last |= !closing.is_empty();
        let Some((kept, done)) = off_thread(store, batch, clock.now(), trouble.is_some()).await else {
            return;
        };
        store = kept;
        if let Some(tell) = &trouble {
            match done.error() {
                // Who wants to close does not wait for space.
                Some(error) if !last => {
                    if !std::mem::replace(&mut in_trouble, true) {
                        tell(Some(error));
                    }
                    held = Some(done.again());
                    continue;
                }
                _ if std::mem::take(&mut in_trouble) => tell(None),
                _ => {}
            }
        }
        done.publish(&observer);
        if last {
            // Requests that arrive meanwhile are dropped with the queue, once all is closed.
            finish(store, closing).await;
            return;
        }
    }
}

/// What was waiting, by what it needs.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    writers: Vec<Reply<Event>>,
    reads: Vec<(Which, Reply<Vec<OpenJob>>)>,
    sightings: Vec<(Sighting, Reply<()>)>,
    closing: Vec<Reply<()>>,
}

impl Batch {
    fn take(&mut self, requests: impl Iterator<Item = Request>) {
        for request in requests {
            match request {
                Request::Write(entry, reply) => {
                    self.entries.push(entry);
                    self.writers.push(reply);
                }
                Request::Read(which, reply) => self.reads.push((which, reply)),
                Request::Saw(sighting, reply) => self.sightings.push((sighting, reply)),
                Request::Close(reply) => self.closing.push(reply),
            }
        }
    }
}

/// A batch on its way back: committed or failed, not yet told to anybody.
struct Done {
    written: Vec<Answer<Event>>,
    read: Vec<Answer<Vec<OpenJob>>>,
    saw: Vec<Answer<()>>,
    /// What was to be written, where another try may follow.
    entries: Vec<Entry>,
}

impl Done {
    /// Why nothing was written, if the drive is the reason.
    fn error(&self) -> Option<&JournalError> {
        let error = self.written.first()?.0.as_ref().err()?;
        (error.kind() == JournalErrorKind::Storage).then_some(error)
    }

    /// The same to be written again. What was read is read.
    fn again(self) -> Batch {
        self.read.into_iter().for_each(|(result, reply)| drop(reply.send(result)));
        let writers = self.written.into_iter().map(|(_, reply)| reply).collect();
        Batch { entries: self.entries, writers, ..Batch::default() }
    }

    /// The observer first, so that whoever was answered finds the event published. A caller
    /// that went away changes nothing: its event is written like any other.
    fn publish(self, observer: &Observer) {
        self.written.iter().filter_map(|(result, _)| result.as_ref().ok()).for_each(|event| observer(event));
        for (result, reply) in self.written {
            // Nobody waits for a posted event: its failure must be seen somewhere.
            if let Err(Err(error)) = reply.send(result) {
                tracing::warn!(%error, "an event was not written");
            }
        }
        self.read.into_iter().for_each(|(result, reply)| drop(reply.send(result)));
        self.saw.into_iter().for_each(|(result, reply)| drop(reply.send(result)));
    }
}

/// The connection moves to the blocking thread and back. `None` if the runtime ends.
async fn off_thread(mut store: Store, batch: Batch, now: Timestamp, keep: bool) -> Option<(Store, Done)> {
    let work = move || {
        let entries = if keep { batch.entries.clone() } else { Vec::new() };
        let results = write_batch(&mut store.conn, now, batch.entries);
        let written = results.into_iter().zip(batch.writers).collect();
        // After the commit, so that nothing is read that may yet be undone.
        let read = batch.reads.into_iter().map(|(which, reply)| (query::jobs(&store.conn, which), reply));
        let read = read.collect();
        let saw = batch.sightings.into_iter();
        let saw =
            saw.map(|(sighting, reply)| (library::write(&mut store.conn, now, &sighting), reply)).collect();
        (store, Done { written, read, saw, entries })
    };
    let worked = tokio::task::spawn_blocking(work).await;
    worked.inspect_err(|error| tracing::error!(%error, "the journal's writer stopped")).ok()
}

/// Writes `entries` in one transaction and answers for each, in order. A refused entry
/// leaves no trace and spares the others; a failing database fails all of them.
pub(super) fn write_batch(
    conn: &mut Connection,
    now: Timestamp,
    entries: Vec<Entry>,
) -> Vec<Result<Event, JournalError>> {
    if entries.is_empty() {
        return Vec::new();
    }
    let count = entries.len();
    commit(conn, now, entries).unwrap_or_else(|error| {
        tracing::error!(%error, cause = std::error::Error::source(&error), count, "nothing was written");
        vec![Err(error); count]
    })
}

fn commit(
    conn: &mut Connection,
    now: Timestamp,
    entries: Vec<Entry>,
) -> Result<Vec<Result<Event, JournalError>>, JournalError> {
    if !conn.is_autocommit() {
        // The last rollback itself failed, as on a drive that was away for a while.
        conn.execute_batch("ROLLBACK").map_err(JournalError::write)?;
    }
    // Events carry what can be read back: milliseconds.
    let at = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let begun = conn.transaction_with_behavior(TransactionBehavior::Immediate);
    let mut tx = begun.map_err(JournalError::write)?;
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        let point = tx.savepoint().map_err(JournalError::write)?;
        let result = project::write(&point, at, entry);
        match &result {
            Ok(_) => point.commit().map_err(JournalError::write)?,
            Err(error) if error.kind() == JournalErrorKind::Refused => {
                point.finish().map_err(JournalError::write)?;
            }
            Err(error) => return Err(error.clone()),
        }
        results.push(result);
    }
    // An undone savepoint may have taken the whole transaction with it (SQLITE_FULL and
    // its like); committing then fails, because none is open.
    tx.commit().map_err(JournalError::write)?;
    Ok(results)
}

/// Folds the WAL back into the file, closes it, gives up the lock.
async fn finish(store: Store, closing: Vec<Reply<()>>) {
    let work = move || {
        // A reader in the middle of a query keeps part of the WAL; that is no error.
        let folded = store.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(store);
        folded.map_err(JournalError::write)
    };
    let result = tokio::task::spawn_blocking(work).await.unwrap_or(Err(JournalError::Closed));
    for reply in closing {
        drop(reply.send(result.clone()));
    }
}
