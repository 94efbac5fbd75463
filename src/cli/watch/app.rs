//! What the board shows and where its cursor is; keys and news change it. No terminal, no
//! network: what it wants asked is a [`Wish`].

use super::places::{Place, places};
use super::terminal::Key;
use crate::api::client::{Change, ClientError, Mirror, Told};
use crate::api::sentence;
use crate::api::view::job::JobDetail;
use crate::api::view::{BatchEntryView, BatchState, BatchView, EntryState, JobView};
use crate::cli::output::Tone;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How often the batch is asked for.
const BATCH: Duration = Duration::from_secs(5);

/// How soon after a job ended.
const SOON: Duration = Duration::from_millis(400);

/// A person types on; the search begins when no key came for so long.
const TYPING: Duration = Duration::from_millis(250);

/// Longest text of a search, as the API takes it.
const SEARCH: usize = 100;

/// Jobs of the history that are kept: thirty screens.
const JOBS: usize = 1000;

/// Moments of a job that are shown, the newest: a job with many retries has fifty.
const MOMENTS: usize = 1000;

/// Rows a page key goes.
const PAGE: isize = 10;

/// What the board shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Bays,
    Batch,
    History,
    Job,
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    Live,
    /// Why it is lost.
    Lost(String),
    /// The station was stopped.
    Stopped,
}

/// What is to be asked; each kind once at a time, the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Batches,
    Entries { batch: i64, state: Option<EntryState> },
    History { text: String, before: Option<i64> },
    Job(i64),
}

/// What was asked, answered.
#[derive(Debug)]
pub(super) enum Answer {
    Batches(Result<Vec<BatchView>, ClientError>),
    Entries(Result<Vec<BatchEntryView>, ClientError>),
    /// `true`: more of the same list.
    History(bool, Result<Vec<JobView>, ClientError>),
    Job(i64, Result<Box<JobDetail>, ClientError>),
}

/// A list with a cursor.
#[derive(Debug)]
pub(super) struct Pane<T> {
    pub(super) rows: Vec<T>,
    pub(super) cursor: usize,
    /// First row that is shown.
    pub(super) top: usize,
    /// Why there are none, or no newer ones.
    pub(super) said: Option<String>,
    /// Was asked for at least once.
    pub(super) known: bool,
}

impl<T> Default for Pane<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), cursor: 0, top: 0, said: None, known: false }
    }
}

impl<T> Pane<T> {
    fn put(&mut self, rows: Result<Vec<T>, ClientError>) {
        self.known = true;
        match rows {
            Ok(rows) => (self.rows, self.said) = (rows, None),
            Err(error) => self.said = Some(sentence(&error)),
        }
        self.go(0);
    }

    fn go(&mut self, by: isize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(self.rows.len().saturating_sub(1));
    }
}

/// Everything.
pub(super) struct App {
    /// Where the station is.
    pub(super) station: String,
    pub(super) mirror: Mirror,
    pub(super) link: Link,
    pub(super) view: View,
    pub(super) help: bool,
    /// The bay with the cursor.
    pub(super) cursor: Option<String>,
    /// First row of bays that is shown.
    pub(super) top: usize,
    /// Only bays of this tone.
    pub(super) filter: Option<Tone>,
    /// The newest batch that is open, else the newest.
    pub(super) batch: Option<BatchView>,
    pub(super) entries: Pane<BatchEntryView>,
    /// Only entries that stand so.
    pub(super) entry_state: Option<EntryState>,
    pub(super) history: Pane<JobView>,
    pub(super) search: String,
    pub(super) typing: bool,
    /// The job's number, and what was told of it.
    pub(super) job: i64,
    pub(super) detail: Pane<JobDetail>,
    before_job: View,
    more_jobs: bool,
    due_batches: Instant,
    due_entries: Option<Instant>,
    due_history: Option<Instant>,
    due_job: Option<Instant>,
}

/// Tones that can be chosen, in the order of the tally.
pub(super) const TONES: [(Tone, &str); 5] = [
    (Tone::Person, "need a hand"),
    (Tone::Busy, "working"),
    (Tone::Good, "done"),
    (Tone::Bad, "failed"),
    (Tone::Quiet, "empty"),
];

const ENTRY_STATES: [Option<EntryState>; 5] = [
    None,
    Some(EntryState::Missing),
    Some(EntryState::Running),
    Some(EntryState::Failed),
    Some(EntryState::Done),
];

impl App {
    pub(super) fn new(station: String) -> Self {
        Self {
            station,
            mirror: Mirror::default(),
            link: Link::Live,
            view: View::Bays,
            help: false,
            cursor: None,
            top: 0,
            filter: None,
            batch: None,
            entries: Pane::default(),
            entry_state: None,
            history: Pane::default(),
            search: String::new(),
            typing: false,
            job: 0,
            detail: Pane::default(),
            before_job: View::Bays,
            more_jobs: false,
            due_batches: Instant::now(),
            due_entries: None,
            due_history: None,
            due_job: None,
        }
    }

    /// Takes news of the station.
    pub(super) fn told(&mut self, told: Told, now: Timestamp) {
        match &told {
            Told::Live => self.link = Link::Live,
            Told::Lost(_) if self.link == Link::Stopped => {}
            Told::Lost(error) => self.link = Link::Lost(sentence(error)),
            Told::Stopped => self.link = Link::Stopped,
            _ => {}
        }
        let at = Instant::now();
        match self.mirror.take(told, now) {
            Change::Everything => {
                self.due_batches = at;
                self.due_job = (self.view == View::Job).then_some(at);
                self.due_history = (self.view == View::History).then_some(at);
            }
            Change::Bay { job, ended } => {
                if ended {
                    self.due_batches = self.due_batches.min(at + SOON);
                }
                if self.view == View::Job && job == Some(self.job) {
                    self.due_job.get_or_insert(at + TYPING);
                }
            }
            Change::Station | Change::Nothing => {}
        }
    }

    /// What is to be asked now.
    pub(super) fn wishes(&mut self) -> Vec<Wish> {
        let now = Instant::now();
        let mut wishes = Vec::new();
        let is_due = |due: &mut Option<Instant>| due.take_if(|at| *at <= now).is_some();
        if self.due_batches <= now {
            self.due_batches = now + BATCH;
            wishes.push(Wish::Batches);
        }
        if is_due(&mut self.due_entries)
            && let Some(batch) = &self.batch
        {
            wishes.push(Wish::Entries { batch: batch.id, state: self.entry_state });
        }
        if is_due(&mut self.due_history) {
            wishes.push(Wish::History { text: self.search.trim().to_owned(), before: None });
        }
        if is_due(&mut self.due_job) {
            wishes.push(Wish::Job(self.job));
        }
        if self.view == View::History
            && std::mem::take(&mut self.more_jobs)
            && let Some(last) = self.history.rows.last()
        {
            let before = last.device.job;
            wishes.push(Wish::History { text: self.search.trim().to_owned(), before });
        }
        wishes
    }

    /// Takes an answer.
    pub(super) fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Batches(Ok(batches)) => {
                let newest = |open: bool| {
                    let fits = batches.iter().filter(|b| !open || b.state != BatchState::Closed);
                    fits.max_by_key(|batch| batch.id).cloned()
                };
                self.batch = newest(true).or_else(|| newest(false));
                if self.view == View::Batch {
                    self.due_entries = Some(Instant::now());
                }
            }
            // The connection's banner says it; what is shown stays.
            Answer::Batches(Err(_)) => {}
            Answer::Entries(entries) => self.entries.put(entries),
            Answer::History(false, jobs) => self.history.put(jobs),
            Answer::History(true, Ok(mut jobs)) => {
                self.history.rows.append(&mut jobs);
                self.history.rows.truncate(JOBS);
            }
            Answer::History(true, Err(error)) => self.history.said = Some(sentence(&error)),
            Answer::Job(job, detail) if job == self.job => {
                self.detail.put(detail.map(|mut detail| {
                    let old = detail.timeline.len().saturating_sub(MOMENTS);
                    detail.timeline.drain(..old);
                    vec![*detail]
                }));
            }
            Answer::Job(..) => {}
        }
    }

    /// Takes a key; false ends the board.
    pub(super) fn key(&mut self, key: Key) -> bool {
        if key == Key::Quit {
            return false;
        }
        if self.typing {
            self.typed(key);
            return true;
        }
        if self.help {
            self.help = false;
            return key != Key::Char('q');
        }
        match key {
            Key::Char('q') => return false,
            Key::Char('?') => self.help = true,
            Key::Char('1') => self.view = View::Bays,
            Key::Char('2' | 'b') => self.show_batch(),
            Key::Char('3' | 'h') => self.show_history(),
            Key::Next => match self.view {
                View::Bays => self.show_batch(),
                View::Batch => self.show_history(),
                View::History | View::Job => self.view = View::Bays,
            },
            Key::Back | Key::Erase => self.back(),
            _ => match self.view {
                View::Bays => self.key_of_bays(key),
                View::Batch => self.key_of_batch(key),
                View::History => self.key_of_history(key),
                // A job is text: its cursor is its first line.
                View::Job => {
                    let by = step(key).unwrap_or(0);
                    self.detail.top = self.detail.top.saturating_add_signed(by);
                }
            },
        }
        true
    }

    /// All of its devices are simulated: the head says so, and no row need to.
    pub(super) fn is_simulated(&self) -> bool {
        self.mirror.station().is_some_and(|station| station.simulated)
    }

    /// Places that are shown, in their order.
    pub(super) fn shown(&self) -> Vec<Place<'_>> {
        let mut places = places(&self.mirror);
        places.retain(|place| self.filter.is_none_or(|tone| place.tone() == tone));
        places
    }

    /// Which of them has the cursor.
    pub(super) fn at(&self, shown: &[Place<'_>]) -> usize {
        let same = |place: &Place<'_>| Some(place.id()) == self.cursor;
        shown.iter().position(same).unwrap_or(0)
    }

    fn key_of_bays(&mut self, key: Key) {
        let shown = self.shown();
        let at = self.at(&shown);
        let last = shown.len().saturating_sub(1);
        let hand = |place: &Place<'_>| place.tone() == Tone::Person;
        let next_hand = || {
            let behind = shown.iter().enumerate().skip(at + 1).find(|(_, place)| hand(place));
            behind.or_else(|| shown.iter().enumerate().find(|(_, place)| hand(place))).map(|(n, _)| n)
        };
        let to = match key {
            Key::Char('n') => next_hand(),
            _ => step(key).map(|by| at.saturating_add_signed(by).min(last)),
        };
        let to = to.and_then(|to| shown.get(to)).map(Place::id);
        let job = shown.get(at).and_then(|place| place.line?.device.job);
        match key {
            Key::Enter => job.into_iter().for_each(|job| self.open_job(job)),
            Key::Char('f') => self.filter = next_of(&TONES.map(|(tone, _)| Some(tone)), self.filter),
            Key::Char('a') => self.filter = None,
            _ => self.cursor = to.or(self.cursor.take()),
        }
    }

    fn key_of_batch(&mut self, key: Key) {
        match key {
            Key::Char('f') => {
                let at = ENTRY_STATES.iter().position(|state| *state == self.entry_state).unwrap_or(0);
                self.entry_state = ENTRY_STATES[(at + 1) % ENTRY_STATES.len()];
                self.entries.known = false;
                self.due_entries = Some(Instant::now());
            }
            Key::Enter => {
                let entry = self.entries.rows.get(self.entries.cursor);
                let job = entry.and_then(|entry| entry.device.as_ref()?.job);
                job.into_iter().for_each(|job| self.open_job(job));
            }
            _ => self.entries.go(step(key).unwrap_or(0)),
        }
    }

    fn key_of_history(&mut self, key: Key) {
        match key {
            Key::Char('/' | 's') => self.typing = true,
            Key::Char('r') => self.due_history = Some(Instant::now()),
            Key::Enter => {
                let job = self.history.rows.get(self.history.cursor).and_then(|job| job.device.job);
                job.into_iter().for_each(|job| self.open_job(job));
            }
            _ => {
                let by = step(key).unwrap_or(0);
                self.history.go(by);
                let is_last = self.history.cursor + 1 >= self.history.rows.len();
                self.more_jobs = by > 0 && is_last && self.history.rows.len() < JOBS;
            }
        }
    }

    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(letter) if self.search.chars().count() < SEARCH => self.search.push(letter),
            Key::Erase => _ = self.search.pop(),
            Key::Back => {
                self.search.clear();
                self.typing = false;
            }
            Key::Char(_) => {}
            _ => self.typing = false,
        }
        self.history.cursor = 0;
        self.due_history = Some(Instant::now() + TYPING);
    }

    fn open_job(&mut self, job: i64) {
        if self.view != View::Job {
            self.before_job = self.view;
        }
        (self.view, self.job, self.detail) = (View::Job, job, Pane::default());
        self.due_job = Some(Instant::now());
    }

    fn show_history(&mut self) {
        self.view = View::History;
        self.due_history = Some(Instant::now());
    }

    fn show_batch(&mut self) {
        self.view = View::Batch;
        self.due_batches = Instant::now();
    }

    fn back(&mut self) {
        match self.view {
            View::Job => self.view = self.before_job,
            View::Bays => self.filter = None,
            View::Batch | View::History => self.view = View::Bays,
        }
    }
}

/// How far a key goes in a list.
fn step(key: Key) -> Option<isize> {
    Some(match key {
        Key::Up | Key::Char('k') => -1,
        Key::Down | Key::Char('j') => 1,
        Key::PageUp => -PAGE,
        Key::PageDown | Key::Char(' ') => PAGE,
        Key::First | Key::Char('g') => -FAR,
        Key::Last | Key::Char('G') => FAR,
        _ => return None,
    })
}

/// Farther than any list.
const FAR: isize = 1 << 20;

/// The one after, and none after the last.
fn next_of<T: Copy + PartialEq>(all: &[Option<T>], now: Option<T>) -> Option<T> {
    match now {
        None => all.first().copied().flatten(),
        now => all.iter().skip_while(|one| **one != now).nth(1).copied().flatten(),
    }
}
