//! What every run over a board has: its journal.

use super::OperationError;
use crate::clock::Clock;
use crate::journal::{Journal, JournalError, Sighting};
use crate::station::Board;
use crate::station::library::shelf::{self, Catalogue};
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The journal of a run, which shows each event on the board, and waits for space on a full disk; none for a dry run.
pub(super) fn journal(
    path: &Path,
    clock: &Clock,
    board: &Arc<Board>,
    dry_run: bool,
) -> Result<Option<Journal>, OperationError> {
    if dry_run {
        return Ok(None);
    }
    let (shown, told) = (board.clone(), board.clone());
    let observer = Arc::new(move |event: &crate::workflow::event::Event| shown.take(event));
    let trouble = Arc::new(move |error: Option<&JournalError>| told.journal(error.map(unwritable)));
    Ok(Some(Journal::open_patient(path, clock.clone(), observer, trouble)?))
}

fn unwritable(error: &JournalError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
    format!(
        "The journal cannot be written{cause}: nothing new is pushed until the disk has space again; \
         it then goes on by itself."
    )
}

/// Which files a run uses, for its journal.
#[derive(Debug, Default)]
pub(super) struct FilesMet {
    /// Single files.
    pub(super) sightings: Vec<Sighting>,
    /// A folder that is followed.
    pub(super) catalogue: Option<Catalogue>,
}

impl FilesMet {
    /// Writes the files down, and goes on with the folder until [`Recording::end`].
    pub(super) async fn record(self, journal: Option<&Journal>) -> Recording {
        let Some(journal) = journal else { return Recording::default() };
        for sighting in self.sightings {
            saw(journal, sighting).await;
        }
        let Some(catalogue) = self.catalogue else { return Recording::default() };
        // Before the first job, which is to find its file there.
        let first = catalogue.borrow().clone();
        saw(journal, first).await;
        let task = tokio::spawn(shelf::record(catalogue.clone(), journal.clone()));
        Recording { task: Some((task, catalogue, journal.clone())) }
    }
}

/// A folder whose files are being written down.
#[derive(Default)]
pub(super) struct Recording {
    task: Option<(JoinHandle<()>, Catalogue, Journal)>,
}

impl Recording {
    /// Writes down what is there at the end, and ends.
    pub(super) async fn end(self) {
        let Some((task, catalogue, journal)) = self.task else { return };
        task.abort();
        let last = catalogue.borrow().clone();
        saw(&journal, last).await;
    }
}

/// A run does not fail for a file name.
async fn saw(journal: &Journal, sighting: Sighting) {
    if let Err(error) = journal.saw(sighting).await {
        tracing::warn!(%error, "the journal does not know of a profile file");
    }
}
