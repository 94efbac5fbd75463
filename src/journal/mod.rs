//! The journal: the station's memory. Every event is committed here before anybody sees it,
//! so that after any crash the station knows what it had begun.
//!
//! May import: `workflow::event`, `workflow::outcome`, base. It takes no decisions; it
//! refuses what cannot be true (an event after the end, a push out of order).
//! Start reading at `v1.sql`, then [`Journal`], `writer.rs`, `project.rs`. A change of the
//! schema, or another kind of event, is a further script in `schema.rs` and a file of the new
//! version in `fixtures/journal/`.

mod book;
mod check;
mod error;
mod fold;
mod library;
mod project;
mod query;
mod schema;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

pub use book::{BatchRow, Book, Closing, Counts, EntryRow, Expected, HookRun, NewBatch, Stop};
pub use check::check;
pub use error::{JournalError, JournalErrorKind};
pub use library::{LibraryFile, LibraryPlace, LibraryProfile, LibraryRow, Remembered, Sighting};
pub use query::{HistoryFilter, JobRow, JournalReader, Summary};
pub use schema::is_in_use;
pub use snapshot::{Kept, prove, snapshot};

use crate::clock::Clock;
use crate::ids::{JobId, Udid};
use crate::workflow::event::{Event, EventKind, NewJob};
use project::Entry;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Reply, Request, Which};

/// Told of every event, in order, after its commit. Must be quick: the writer waits.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Told when nothing can be written any more, and with `None` when it can again.
pub type Trouble = Arc<dyn Fn(Option<&JournalError>) + Send + Sync>;

/// A job that has not ended, with all that happened in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    /// Its number.
    pub id: JobId,
    /// Its events, in order; the first says what it is about.
    pub events: Vec<Event>,
}

/// Handle to the journal of this station. Cheap to clone; when the last one is gone, the
/// writer finishes what it was given and closes the file.
#[derive(Debug, Clone)]
pub struct Journal {
    requests: mpsc::Sender<Request>,
    path: Arc<Path>,
    /// True while nothing can be written.
    waits: Option<watch::Receiver<bool>>,
}

impl Journal {
    /// Opens the journal at `path` for writing, as the only station; creates or migrates it
    /// if need be. Within a tokio runtime only. Blocks, so call it at the start.
    pub fn open(path: impl Into<PathBuf>, clock: Clock, observer: Observer) -> Result<Self, JournalError> {
        Self::start(path.into(), clock, observer, None)
    }

    /// As [`Journal::open`], but while the drive takes nothing (a full disk) it waits, and
    /// whoever writes waits with it: nothing is lost, and no step begins unwritten. `trouble`
    /// is told.
    pub fn open_patient(
        path: impl Into<PathBuf>,
        clock: Clock,
        observer: Observer,
        trouble: Trouble,
    ) -> Result<Self, JournalError> {
        let (sender, waits) = watch::channel(false);
        let tell: Trouble = Arc::new(move |error| {
            trouble(error);
            sender.send_replace(error.is_some());
        });
        Ok(Self { waits: Some(waits), ..Self::start(path.into(), clock, observer, Some(tell))? })
    }

    fn start(
        path: PathBuf,
        clock: Clock,
        observer: Observer,
        trouble: Option<Trouble>,
    ) -> Result<Self, JournalError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| JournalError::NoRuntime)?;
        let path: Arc<Path> = path.into();
        let store = schema::open_store(&path, schema::MIGRATIONS)?;
        let requests = writer::start(store, clock, observer, trouble, &runtime);
        Ok(Self { requests, path, waits: None })
    }

    /// Where it lies; what a [`JournalReader`] needs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins a job. Refused while the device has an open one for the same profile.
    pub async fn start_job(&self, new: NewJob) -> Result<JobId, JournalError> {
        self.ask(|reply| Request::Write(Entry::Start(new), reply)).await.map(|event| event.job)
    }

    /// Writes an event of an open job; returns once it is on disk and published.
    ///
    /// The event is handed over when the future is first polled. Dropping the future after
    /// that neither loses the event nor writes it twice.
    pub async fn append(&self, job: JobId, kind: EventKind) -> Result<Event, JournalError> {
        self.ask(|reply| Request::Write(Entry::Append(job, kind), reply)).await
    }

    /// Hands an event over without waiting for its commit. It keeps its place in line: once
    /// a later [`Journal::append`] returned, this one is on disk and published, or its
    /// refusal is in the log.
    pub async fn post(&self, job: JobId, kind: EventKind) -> Result<(), JournalError> {
        let (reply, _) = oneshot::channel();
        self.hand_over(Request::Write(Entry::Append(job, kind), reply)).await
    }

    /// Returns once the journal can be written, as far as is known.
    pub async fn writable(&self) {
        if let Some(mut waits) = self.waits.clone() {
            // The writer is gone: whoever writes next is told.
            let _ = waits.wait_for(|waits| !waits).await;
        }
    }

    /// The open job of a device for a version of a profile, if there is one.
    pub async fn open_jobs(
        &self,
        udid: &Udid,
        profile_sha256: &str,
    ) -> Result<Option<OpenJob>, JournalError> {
        let which = Which::Open(Some((udid.clone(), profile_sha256.to_owned())));
        self.ask(|reply| Request::Read(which, reply)).await.map(|jobs| jobs.into_iter().next())
    }

    /// The last job of this device and profile that pushed and has ended: what its device may
    /// still be doing is no concern of its own any more, but of the next one.
    pub async fn last_that_pushed(
        &self,
        udid: &Udid,
        profile_sha256: &str,
    ) -> Result<Option<OpenJob>, JournalError> {
        let which = Which::LastThatPushed(udid.clone(), profile_sha256.to_owned());
        self.ask(|reply| Request::Read(which, reply)).await.map(|jobs| jobs.into_iter().next())
    }

    /// All open jobs, oldest first: where a restarted station begins.
    pub async fn all_open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        self.ask(|reply| Request::Read(Which::Open(None), reply)).await
    }

    /// Writes down which profiles were seen in a folder; returns once that is on disk.
    pub async fn saw(&self, sighting: Sighting) -> Result<(), JournalError> {
        self.ask(|reply| Request::Saw(sighting, reply)).await
    }

    /// Writes what was handed over before, folds the WAL into the file, closes it and gives
    /// up the station's lock. Later calls through any handle fail; closing again does not.
    pub async fn close(&self) -> Result<(), JournalError> {
        match self.ask(Request::Close).await {
            Err(JournalError::Closed) => Ok(()),
            other => other,
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(request(reply)).await?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Completes at once. A full queue lets the request wait in a task of its own, in its
    /// place in line, because the caller's future may be dropped and the request must not.
    async fn hand_over(&self, request: Request) -> Result<(), JournalError> {
        use mpsc::error::TrySendError;
        let request = match self.requests.try_send(request) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(JournalError::Closed),
            Err(TrySendError::Full(request)) => request,
        };
        let requests = self.requests.clone();
        let sending = async move { drop(requests.send(request).await) };
        // The first poll takes the place in line; it is not cut short by tokio's budget.
        let mut sending = Box::pin(tokio::task::unconstrained(sending));
        let first = std::future::poll_fn(|context| Poll::Ready(sending.as_mut().poll(context)));
        if first.await.is_pending() {
            tokio::spawn(sending);
        }
        Ok(())
    }
}
