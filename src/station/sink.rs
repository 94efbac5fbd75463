//! Where a job's events go: into the journal, or, in a dry run, to the board alone.

use super::Board;
use crate::clock::Clock;
use crate::ids::JobId;
use crate::journal::Journal;
use crate::workflow::engine::EventSink;
use crate::workflow::event::{Event, EventKind, NewJob};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Commits to the journal, whose observer then tells the board.
pub(super) struct JournalSink {
    journal: Journal,
}

impl JournalSink {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal }
    }
}

#[async_trait]
impl EventSink for JournalSink {
    async fn emit(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        self.journal.append(job, kind).await.map(|_| ()).map_err(|e| e.to_string())
    }

    async fn post(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        // A step that begins while the disk is full would fail at its own files.
        self.journal.writable().await;
        self.journal.post(job, kind).await.map_err(|e| e.to_string())
    }
}

/// Tells the board only.
pub(super) struct DrySink {
    board: Arc<Board>,
    clock: Clock,
}

/// Jobs of dry runs count downwards, so that they are never taken for the journal's.
static DRY_JOBS: AtomicI64 = AtomicI64::new(-1);

impl DrySink {
    pub(super) fn new(board: Arc<Board>, clock: Clock) -> Self {
        Self { board, clock }
    }
}

/// Begins a job that leaves no trace.
pub(super) fn begin_dry(board: &Board, clock: &Clock, new: NewJob) -> JobId {
    let job = JobId(DRY_JOBS.fetch_sub(1, Ordering::Relaxed));
    board.take(&Event { seq: 0, job, at: clock.now(), kind: EventKind::JobStarted(new) });
    job
}

#[async_trait]
impl EventSink for DrySink {
    async fn emit(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        self.board.take(&Event { seq: 0, job, at: self.clock.now(), kind });
        Ok(())
    }

    async fn post(&self, job: JobId, kind: EventKind) -> Result<(), String> {
        self.emit(job, kind).await
    }
}
