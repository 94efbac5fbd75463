//! A station that runs, as servers show it.

use super::{Library, Operations, Stored};
use crate::api::feed::Feed;
use crate::api::view::job::{HookView, JobDetail};
use crate::api::view::station::{SnapshotView, StationView};
use crate::api::view::{BayView, Check, JobView, PortView};
use crate::api::{Live, OperationError};
use crate::clock::Clock;
use crate::ids::JobId;
use crate::journal::{Book, HistoryFilter, JournalReader};
use crate::station::library::Signers;
use crate::workflow::methods::CARD;
use crate::workflow::outcome::Outcome;
use crate::workflow::policy::UnknownAge;
use jiff::Timestamp;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Checks of this computer, when they are asked for.
pub type Checks =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Vec<Check>, OperationError>> + Send>> + Send + Sync>;

/// What the composition root knows of a run and its board does not.
#[derive(Clone)]
pub struct About {
    /// Its devices exist in this program only.
    pub simulated: bool,
    /// Display name of the profile it begins with.
    pub profile: Option<String>,
    /// The folder with the exports, or the one export.
    pub exports: Option<PathBuf>,
    /// What to do with exports of unknown age.
    pub unknown_age: UnknownAge,
    /// Checks of this computer.
    pub checks: Checks,
}

/// A running station. Cheap to clone; what reads the journal blocks.
#[derive(Clone)]
pub struct Running {
    inner: Arc<Inner>,
}

struct Inner {
    about: About,
    live: Live,
    feed: Feed,
    backend: String,
    ports: Vec<PortView>,
    journal: PathBuf,
    signers: Signers,
    clock: Clock,
    started: Timestamp,
}

/// Which jobs to show on a page.
#[derive(Debug, Clone, Default)]
pub struct JobsQuery {
    /// Text in what names the device, the bay or the profile.
    pub text: Option<String>,
    /// Only ended so.
    pub outcome: Option<Outcome>,
    /// Only open ones.
    pub open_only: bool,
    /// Only begun then or later.
    pub since: Option<Timestamp>,
    /// Only with smaller numbers.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Operations {
    /// Where a server of this process runs.
    pub fn quick(&self) -> Handle {
        self.parts.quick.clone()
    }

    /// What servers show of the run that this process is about to begin.
    pub fn running(&self, live: Live, about: About) -> Running {
        let names = self.parts.bays.all().into_iter();
        let ports =
            names.map(|(port, bay, by)| PortView::new(port.as_str(), bay.bay(), by.name(), Vec::new()));
        let mut ports: Vec<_> = ports.collect();
        ports.sort_by_cached_key(|port| (port.bay.sort_key(), port.port.clone()));
        let _quick = self.parts.quick.enter();
        let inner = Inner {
            about,
            feed: Feed::start(&live),
            live,
            backend: self.describe_backend(),
            ports,
            journal: self.parts.journal.clone(),
            signers: self.parts.signers.clone(),
            clock: self.parts.clock.clone(),
            started: self.parts.clock.now(),
        };
        Running { inner: Arc::new(inner) }
    }
}

impl Running {
    /// Its updates.
    pub fn feed(&self) -> &Feed {
        &self.inner.feed
    }

    /// What it is, apart from its bays.
    pub fn station(&self, kiosk: bool) -> StationView {
        let inner = &self.inner;
        StationView {
            version: env!("CARGO_PKG_VERSION").into(),
            now: inner.clock.now(),
            started: inner.started,
            simulated: inner.about.simulated,
            backend: inner.backend.clone(),
            mux_trouble: inner.live.mux_trouble(),
            journal_trouble: inner.live.journal_trouble(),
            profile: inner.about.profile.clone(),
            export: inner.live.export_countdown(),
            kiosk,
            card: CARD.map(Into::into).to_vec(),
        }
    }

    /// Everything now, and the number of the update that it is after.
    pub fn snapshot(&self, kiosk: bool) -> (u64, SnapshotView) {
        let (number, bays) = self.inner.feed.snapshot();
        (number, SnapshotView { station: self.station(kiosk), bays, ports: self.inner.ports.clone() })
    }

    /// Lines of the board.
    pub fn bays(&self) -> Vec<BayView> {
        self.inner.feed.snapshot().1
    }

    /// The journal's file and the clock, for what needs nothing else of a station.
    pub fn memory(&self) -> (&Path, &Clock) {
        (&self.inner.journal, &self.inner.clock)
    }

    /// The line that is in a bay: what is attached, else what was there last.
    pub fn bay(&self, name: &str) -> Option<BayView> {
        let lines = self.bays();
        let here = || lines.iter().filter(|line| line.device.bay.0 == name);
        here().find(|line| line.attached).or_else(|| here().next_back()).cloned()
    }

    /// A page of jobs, newest first. Blocks.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobView>, OperationError> {
        let filter = HistoryFilter {
            outcome: query.outcome,
            open_only: query.open_only,
            since: query.since,
            before: query.before.map(JobId),
            text: query.text.clone(),
            limit: query.limit,
            ..HistoryFilter::default()
        };
        let Some(journal) = self.journal()? else { return Ok(Vec::new()) };
        let now = self.inner.clock.now();
        Ok(journal.history(&filter)?.iter().map(|row| JobView::new(row, now)).collect())
    }

    /// A job with its events; `None` if there is no such. Blocks.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn job(&self, id: i64) -> Result<Option<JobDetail>, OperationError> {
        let filter = HistoryFilter { job: Some(JobId(id)), limit: 1, ..HistoryFilter::default() };
        let Some(journal) = self.journal()? else { return Ok(None) };
        let Some(row) = journal.history(&filter)?.pop() else { return Ok(None) };
        let events = journal.job_events(row.id)?;
        let runs = match Book::read(&self.inner.journal)? {
            Some(book) => book.hooks(row.id)?,
            None => Vec::new(),
        };
        let hooks = runs.into_iter().map(|(command, result, output)| HookView { command, result, output });
        let view = JobView::new(&row, self.inner.clock.now());
        Ok(Some(JobDetail::new(view, &events, hooks.collect())))
    }

    /// The exports it takes profiles from. Blocks.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn profiles(&self) -> Result<Vec<Stored>, OperationError> {
        let Inner { about, journal, signers, clock, .. } = &*self.inner;
        let Some(exports) = &about.exports else { return Ok(Vec::new()) };
        let is_folder = exports.is_dir();
        let beside = exports.parent().filter(|parent| !parent.as_os_str().is_empty());
        let library = Library {
            folder: if is_folder { exports.clone() } else { beside.unwrap_or(Path::new(".")).to_owned() },
            journal: journal.clone(),
            signers: signers.clone(),
            unknown: about.unknown_age,
            clock: clock.clone(),
        };
        let mut listed = library.list(None)?;
        if is_folder {
            return Ok(listed);
        }
        let file = exports.file_name().unwrap_or_default().to_string_lossy();
        listed.retain(|stored| stored.file == file);
        listed.iter_mut().for_each(|stored| stored.chosen = stored.problem.is_none());
        Ok(listed)
    }

    /// Checks of this computer.
    ///
    /// # Errors
    /// The configuration cannot be read any more.
    pub async fn checks(&self) -> Result<Vec<Check>, OperationError> {
        (self.inner.about.checks)().await
    }

    /// Until when the export is good, if something tells.
    pub fn export_ends(&self) -> Option<Timestamp> {
        self.inner.live.export_ends()
    }

    /// Names of its blueprints; `None` if it has none.
    pub fn blueprints(&self) -> Option<Vec<String>> {
        self.inner.live.blueprints()
    }

    /// When it was started.
    pub fn started(&self) -> Timestamp {
        self.inner.started
    }

    /// A dry run, or one that has not begun, has no journal.
    fn journal(&self) -> Result<Option<JournalReader>, OperationError> {
        match self.inner.journal.exists() {
            true => Ok(Some(JournalReader::open(&self.inner.journal)?)),
            false => Ok(None),
        }
    }
}
