//! The event feed: every update of a run numbered, rendered once, and kept for a while, so
//! that any number of screens can follow and take up where they left off.

use super::live::{Live, Update};
use super::view::BayView;
use super::view::station::TroubleView;
use crate::limits::FEED_BACKLOG;
use crate::workflow::outcome::Outcome;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// One numbered update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its number; grows by one.
    pub number: u64,
    /// `bay`, `mux` or `journal`.
    pub name: &'static str,
    /// A [`BayView`] or a [`TroubleView`], as JSON.
    pub json: String,
}

/// What somebody who follows gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// What came after the number that was given, in order.
    Events(Vec<Arc<FeedEvent>>),
    /// That is too long ago: read a snapshot.
    TooOld,
}

/// How often something happened since the program began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ended jobs, by outcome.
    pub ended: BTreeMap<&'static str, u64>,
    /// Milliseconds that ended jobs took, one after the other.
    pub job_ms: u64,
    /// Ended jobs that took at most so many seconds, by [`JOB_SECONDS`].
    pub job_buckets: [u64; JOB_SECONDS.len()],
    /// Pushes begun.
    pub pushes: u64,
    /// Updates.
    pub events: u64,
}

/// Bounds of the histogram of job durations, in seconds: a silent push takes one, a person
/// minutes, a slipped cable hours.
pub const JOB_SECONDS: [u64; 8] = [1, 5, 15, 60, 180, 480, 1800, 7200];

/// Jobs of which is known what was counted: more than a board ever shows.
const COUNTED: usize = 10_000;

/// The feed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    epoch: Arc<str>,
    state: Arc<Mutex<State>>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    ring: VecDeque<Arc<FeedEvent>>,
    lines: BTreeMap<String, BayView>,
    /// Pushes counted, and whether its end was, by job; the newest [`COUNTED`].
    counted: BTreeMap<i64, (u32, bool)>,
    counts: Counts,
}

impl Feed {
    /// Follows `live` until it is gone. Call it before the run begins.
    pub fn start(live: &Live) -> Self {
        let epoch = uuid::Uuid::new_v4().simple().to_string();
        let feed = Self { epoch: epoch[..12].into(), state: Arc::default(), newest: watch::Sender::new(0) };
        let (taking, live) = (feed.clone(), live.clone());
        let mut follower = live.follow();
        taking.restart(&live);
        tokio::spawn(async move {
            while let Some(update) = follower.next().await {
                match update {
                    Update::Bay(bay) => taking.bay(*bay),
                    Update::MuxLost(reason) => taking.trouble("mux", Some(reason)),
                    Update::MuxReady => taking.trouble("mux", None),
                    Update::JournalLost(reason) => taking.trouble("journal", Some(reason)),
                    Update::JournalReady => taking.trouble("journal", None),
                    Update::Resync => taking.restart(&live),
                }
            }
        });
        feed
    }

    /// Marks the numbers of this run: those of another mean nothing here.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Sees the number of the newest update.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// What came after update `number`.
    pub fn since(&self, number: u64) -> Since {
        let state = self.lock();
        if number > state.newest {
            return Since::TooOld;
        }
        let oldest = state.newest - state.ring.len() as u64;
        match usize::try_from(number.wrapping_sub(oldest)) {
            Ok(skip) if number >= oldest => Since::Events(state.ring.iter().skip(skip).cloned().collect()),
            _ => Since::TooOld,
        }
    }

    /// Every line as it is after the update whose number comes first.
    pub fn snapshot(&self) -> (u64, Vec<BayView>) {
        let state = self.lock();
        let mut lines: Vec<_> = state.lines.values().cloned().collect();
        lines.sort_by_cached_key(|line| (line.device.bay.sort_key(), line.key()));
        (state.newest, lines)
    }

    /// How often something happened.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    fn restart(&self, live: &Live) {
        let mut state = self.lock();
        state.lines = BTreeMap::new();
        for bay in live.bays() {
            state.count(&bay);
            state.put(bay);
        }
        // One number without an event: whoever follows is behind the backlog.
        state.ring.clear();
        state.newest += 1;
        self.newest.send_replace(state.newest);
    }

    fn bay(&self, bay: BayView) {
        let mut state = self.lock();
        state.count(&bay);
        self.publish(&mut state, "bay", serde_json::to_string(&bay));
        state.put(bay);
    }

    fn trouble(&self, with: &'static str, trouble: Option<String>) {
        self.publish(&mut self.lock(), with, serde_json::to_string(&TroubleView { trouble }));
    }

    fn publish(&self, state: &mut State, name: &'static str, json: serde_json::Result<String>) {
        // Views are made of texts and numbers; they can always be written.
        let Ok(json) = json else { return };
        state.newest += 1;
        state.counts.events += 1;
        state.ring.push_back(Arc::new(FeedEvent { number: state.newest, name, json }));
        if state.ring.len() > FEED_BACKLOG {
            state.ring.pop_front();
        }
        self.newest.send_replace(state.newest);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement: a panic elsewhere cannot have torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a line in its place. A bay forgets whoever is done and gone once another line is
    /// there; a page does the same with the updates it gets.
    fn put(&mut self, bay: BayView) {
        let key = bay.key();
        if bay.unserved && !bay.attached {
            self.lines.remove(&key);
            return;
        }
        let stays = |other: &BayView| other.attached || other.is_open() || other.device.bay != bay.device.bay;
        self.lines.retain(|other, line| *other == key || stays(line));
        self.lines.insert(key, bay);
    }

    fn count(&mut self, bay: &BayView) {
        let Some(job) = bay.device.job else { return };
        let (pushes, ended) = self.counted.entry(job).or_default();
        self.counts.pushes += u64::from(bay.device.pushes.saturating_sub(*pushes));
        *pushes = bay.device.pushes.max(*pushes);
        if bay.ended && !std::mem::replace(ended, true) {
            self.counts.end(bay.device.outcome, bay.device.ms);
        }
        if self.counted.len() > COUNTED {
            self.counted.pop_first();
        }
    }
}

impl Counts {
    fn end(&mut self, outcome: Outcome, ms: u64) {
        *self.ended.entry(outcome.name()).or_default() += 1;
        self.job_ms += ms;
        for (bucket, seconds) in self.job_buckets.iter_mut().zip(JOB_SECONDS) {
            *bucket += u64::from(ms <= seconds * 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::{DeviceView, LinkView};
    use crate::ids::Bay;
    use crate::workflow::outcome::Class;

    fn feed() -> Feed {
        Feed { epoch: "test".into(), state: Arc::default(), newest: watch::Sender::new(0) }
    }

    fn line(bay: &str, udid: &str, attached: bool, ended: bool) -> BayView {
        let device = DeviceView {
            udid: Some(udid.parse().unwrap()),
            serial: None,
            bay: Bay(bay.into()),
            outcome: if ended { Outcome::Enrolled } else { Outcome::Pushing },
            class: Class::None,
            sentence: String::new(),
            next: None,
            chain: Vec::<LinkView>::new(),
            attempts: 1,
            ms: 2500,
            simulated: true,
            name: None,
            product_type: None,
            os_version: None,
            ecid: None,
            imei: None,
            job: Some(7),
            pushes: 1,
        };
        BayView { device, attached, until: None, ended, unserved: false, port: None }
    }

    #[test]
    fn a_follower_takes_up_where_it_left_off_or_is_told_that_it_cannot() {
        let feed = feed();
        for n in 0..3 {
            feed.trouble("mux", Some(format!("{n}")));
        }
        let Since::Events(events) = feed.since(1) else { panic!() };
        assert_eq!(events.iter().map(|e| e.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(events[1].json, r#"{"trouble":"2"}"#);
        assert_eq!(feed.since(3), Since::Events(Vec::new()));
        assert_eq!(feed.since(4), Since::TooOld, "a number of another life");
        for _ in 0..FEED_BACKLOG {
            feed.trouble("mux", None);
        }
        assert_eq!(feed.since(2), Since::TooOld);
        assert!(matches!(feed.since(3), Since::Events(e) if e.len() == FEED_BACKLOG));
    }

    #[test]
    fn a_bay_shows_who_is_there_and_who_is_not_done() {
        let feed = feed();
        let shown = || {
            let lines = feed.snapshot().1;
            lines.iter().map(|l| l.device.known_as()).collect::<Vec<_>>()
        };
        feed.bay(line("Bay 1", "done", false, true));
        assert_eq!(shown(), ["done"], "the last one stays to be seen");
        feed.bay(line("Bay 1", "slipped", false, false));
        feed.bay(line("Bay 2", "other", false, true));
        assert_eq!(shown(), ["slipped", "other"]);
        feed.bay(line("Bay 1", "new", true, false));
        assert_eq!(shown(), ["new", "slipped", "other"]);
    }

    #[test]
    fn ended_jobs_are_counted_once() {
        let feed = feed();
        for ended in [false, true, true] {
            feed.bay(line("Bay 1", "a", true, ended));
        }
        let counts = feed.counts();
        assert_eq!(counts.ended.into_iter().collect::<Vec<_>>(), [("enrolled", 1)]);
        assert_eq!((counts.pushes, counts.job_ms, counts.events), (1, 2500, 3));
        assert_eq!(counts.job_buckets, [0, 1, 1, 1, 1, 1, 1, 1]);
    }
}
