//! Following a run in progress: the board, as views.

use super::view::BayView;
use crate::clock::Clock;
use crate::station::age::countdown;
use crate::station::blueprints::Followed;
use crate::station::library::shelf::{OnShelf, Shelf};
use crate::station::{Board, News};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// A bay stands differently.
    Bay(Box<BayView>),
    /// The way to the devices is lost, for this reason.
    MuxLost(String),
    /// The way to the devices is there.
    MuxReady,
    /// The journal cannot be written, for this reason: nothing new is begun.
    JournalLost(String),
    /// The journal is written again; what waited for it goes on.
    JournalReady,
    /// The follower lagged and must read [`Live::bays`] again.
    Resync,
}

/// A view of a run's board. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    board: Arc<Board>,
    clock: Clock,
    export_ends: Option<Timestamp>,
    shelf: Option<Shelf>,
    blueprints: Option<Followed>,
}

impl Live {
    pub(super) fn new(board: Arc<Board>, clock: Clock) -> Self {
        Self { board, clock, export_ends: None, shelf: None, blueprints: None }
    }

    /// Of a run whose export ends then.
    #[must_use]
    pub fn of_export(self, ends: Option<Timestamp>, shelf: Option<Shelf>) -> Self {
        Self { export_ends: ends, shelf, ..self }
    }

    /// Of a run with these blueprints.
    #[must_use]
    pub fn of_blueprints(self, blueprints: Option<Followed>) -> Self {
        Self { blueprints, ..self }
    }

    /// Names of the blueprints as they are now; `None` if the run has none.
    pub fn blueprints(&self) -> Option<Vec<String>> {
        let followed = self.blueprints.as_ref()?.borrow().clone();
        Some(followed.all.iter().map(|blueprint| blueprint.name.clone()).collect())
    }

    /// How long the export is good: `export expires in 3 days`.
    pub fn export_countdown(&self) -> Option<String> {
        let now = self.clock.now();
        match self.shelf.as_ref().map(|shelf| shelf.borrow().clone()) {
            Some(OnShelf::Nothing(_)) => Some("no profile to push: new jobs wait".into()),
            Some(OnShelf::Profile { ends, file, .. }) => Some(match ends {
                Some(ends) => format!("{file} {}", countdown(ends, now)),
                None => file,
            }),
            None => Some(format!("export {}", countdown(self.export_ends?, now))),
        }
    }

    /// Every bay now.
    pub fn bays(&self) -> Vec<BayView> {
        let now = self.clock.now();
        self.board.bays().iter().map(|bay| BayView::new(bay, now)).collect()
    }

    /// Why there is no way to the devices, if so.
    pub fn mux_trouble(&self) -> Option<String> {
        self.board.mux_trouble()
    }

    /// Why the journal cannot be written, if so: the station then begins nothing new.
    pub fn journal_trouble(&self) -> Option<String> {
        self.board.journal_trouble()
    }

    /// When the export that new jobs get ends, if anything tells.
    pub fn export_ends(&self) -> Option<Timestamp> {
        match self.shelf.as_ref().map(|shelf| shelf.borrow().clone()) {
            Some(OnShelf::Profile { ends, .. }) => ends,
            Some(OnShelf::Nothing(_)) => None,
            None => self.export_ends,
        }
    }

    /// Whether the run's own loop turns within this time: for watchdogs.
    pub async fn is_alive(&self, within: Duration) -> bool {
        self.board.pulse().felt(within).await
    }

    /// Seconds until a deadline; zero once it passed.
    pub fn seconds_until(&self, until: Timestamp) -> u64 {
        u64::try_from(until.duration_since(self.clock.now()).as_secs()).unwrap_or(0)
    }

    /// Follows changes from now on.
    pub fn follow(&self) -> Follower {
        Follower { news: self.board.follow(), clock: self.clock.clone() }
    }
}

/// Follows changes.
#[derive(Debug)]
pub struct Follower {
    news: Receiver<News>,
    clock: Clock,
}

impl Follower {
    /// The next change; `None` once the run's board is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Update> {
        Some(match self.news.recv().await {
            Ok(news) => self.update(news),
            Err(RecvError::Lagged(_)) => Update::Resync,
            Err(RecvError::Closed) => return None,
        })
    }

    /// A change that is there already.
    pub fn try_next(&mut self) -> Option<Update> {
        self.news.try_recv().ok().map(|news| self.update(news))
    }

    fn update(&self, news: News) -> Update {
        match news {
            News::Bay(bay) => Update::Bay(Box::new(BayView::new(&bay, self.clock.now()))),
            News::MuxLost(reason) => Update::MuxLost(reason),
            News::MuxReady => Update::MuxReady,
            News::JournalLost(reason) => Update::JournalLost(reason),
            News::JournalReady => Update::JournalReady,
        }
    }
}
