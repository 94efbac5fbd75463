//! What must hold after anything whatever happened to a station and its devices. Each checker
//! looks at evidence only, so that a planted bug can show that it is caught.

use super::{Closed, Heard, LeftBoard};
use enlist::ids::{JobId, Udid};
use enlist::sim::Inspection;
use enlist::wire::profile::Profile;
use enlist::workflow::event::{Event, EventKind, StepId, StepResult};
use enlist::workflow::outcome::{Class, Outcome, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest virtual time of one world: twice a person's eight minutes, every retry, and a lost
/// answer of seven minutes, several times over.
pub(crate) const LONGEST: Duration = Duration::from_secs(4 * 3600);

/// Requests that change a device for good. A profile job has consent for one of them.
const DESTRUCTIVE: [&str; 9] = [
    "InstallProfile",
    "InstallProfileSilent",
    "StoreProfile",
    "RemoveProfile",
    "EraseDevice",
    "SetCloudConfiguration",
    "Unpair",
    "EnterRecovery",
    "SetValue",
];

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Exactly one terminal event a job, and the last.
    OneEnd,
    /// Success only if the device has the profile.
    TrueSuccess,
    /// Nothing destructive twice.
    NotTwice,
    /// A push is in the journal before its first byte leaves.
    WrittenFirst,
    /// Nothing destructive without consent: of a profile job, a push that was planned after a
    /// look at the device.
    Consent,
    /// The journal equals what was published.
    Published,
    /// The board shows what the journal says.
    Board,
    /// The journal holds together.
    Journal,
    /// No task, channel, file or lock is left.
    NoLeak,
    /// Every wait ends.
    Deadline,
    /// A device that nothing is wrong with is enrolled once nobody disturbs it any more.
    Enrolled,
    /// Every end has words and a next action for whoever must act.
    Words,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// What is looked at.
pub(crate) struct Evidence {
    pub(crate) profile: (String, String),
    pub(crate) jobs: BTreeMap<JobId, Vec<Event>>,
    pub(crate) journal_problems: Vec<String>,
    pub(crate) published: Vec<Event>,
    pub(crate) heard: Vec<Heard>,
    /// The last station's board.
    pub(crate) board: LeftBoard,
    pub(crate) devices: Vec<Inspection>,
    pub(crate) left: Left,
    pub(crate) took: Duration,
    /// Stations that were needed.
    pub(crate) stations: usize,
}

/// What is left once everything is closed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    pub(crate) channels: usize,
    pub(crate) tasks: usize,
    pub(crate) files: usize,
    pub(crate) lock_is_held: bool,
}

impl Evidence {
    pub(super) fn of(
        profile: &Profile,
        (jobs, journal_problems): (BTreeMap<JobId, Vec<Event>>, Vec<String>),
        board: LeftBoard,
        closed: &Closed,
        took: Duration,
        stations: usize,
    ) -> Self {
        Self {
            profile: (profile.identifier().to_owned(), profile.uuid().to_owned()),
            jobs,
            journal_problems,
            published: closed.notes.published.lock().unwrap().clone(),
            heard: closed.notes.heard.lock().unwrap().clone(),
            board,
            devices: closed.devices.clone(),
            left: Left { channels: closed.channels, lock_is_held: !closed.lock_is_free, ..Left::default() },
            took,
            stations,
        }
    }

    /// How each device's last job ended.
    pub(crate) fn ends(&self) -> BTreeMap<Udid, Verdict> {
        let ended = |events: &Vec<Event>| match (&events.first()?.kind, &events.last()?.kind) {
            (EventKind::JobStarted(new), EventKind::JobEnded(verdict)) => {
                Some((new.udid.clone(), verdict.clone()))
            }
            _ => None,
        };
        self.jobs.values().filter_map(ended).collect()
    }

    fn has_profile(&self, udid: &Udid) -> bool {
        let (identifier, uuid) = &self.profile;
        let device = self.devices.iter().find(|d| d.udid == *udid);
        device.is_some_and(|d| d.installed.iter().any(|p| p.identifier == *identifier && p.uuid == *uuid))
    }

    /// Everything that is wrong.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wrong = |rule: Rule, what: String| found.push(Violation { rule, what });
        self.each_job(&mut wrong);
        self.each_device(&mut wrong);
        self.publication(&mut wrong);
        for problem in &self.journal_problems {
            wrong(Rule::Journal, problem.clone());
        }
        let Left { channels, tasks, files, lock_is_held } = self.left;
        if channels + tasks + files > 0 || lock_is_held {
            wrong(Rule::NoLeak, format!("{:?}", self.left));
        }
        for device in self.devices.iter().filter(|d| d.counters.open_connections > 0) {
            wrong(Rule::NoLeak, format!("{} has {} streams", device.udid, device.counters.open_connections));
        }
        if self.took > LONGEST {
            wrong(Rule::Deadline, format!("it took {:?}", self.took));
        }
        found
    }

    fn each_job(&self, wrong: &mut impl FnMut(Rule, String)) {
        for (job, events) in &self.jobs {
            let Some(EventKind::JobStarted(new)) = events.first().map(|e| &e.kind) else {
                wrong(Rule::Journal, format!("job {job} has no beginning"));
                continue;
            };
            let ends = events.iter().filter(|e| matches!(e.kind, EventKind::JobEnded(_))).count();
            let last_is_end = matches!(events.last().map(|e| &e.kind), Some(EventKind::JobEnded(_)));
            if ends != 1 || !last_is_end {
                wrong(
                    Rule::OneEnd,
                    format!("job {job} has {ends} ends, the last event is one: {last_is_end}"),
                );
            }
            if let Some(EventKind::JobEnded(verdict)) = events.last().map(|e| &e.kind) {
                if claims_enrolled(verdict) && !self.has_profile(&new.udid) {
                    wrong(
                        Rule::TrueSuccess,
                        format!("job {job} says {}, {} has no profile", verdict.outcome, new.udid),
                    );
                }
                let silent = verdict.class != Class::None && verdict.next.is_none();
                if verdict.sentence.trim().is_empty() || silent {
                    wrong(Rule::Words, format!("job {job}: {verdict:?}"));
                }
            }
            pushes_were_planned(*job, events, wrong);
        }
    }

    fn each_device(&self, wrong: &mut impl FnMut(Rule, String)) {
        for device in &self.devices {
            let counters = &device.counters;
            if counters.pushes_after_accept > 0 {
                let times = counters.pushes_after_accept;
                wrong(Rule::NotTwice, format!("{} was pushed to {times} times while it had it", device.udid));
            }
            if counters.installs > 1 + counters.erasures {
                wrong(Rule::NotTwice, format!("{} installed {} times", device.udid, counters.installs));
            }
            if counters.private_keys_offered + counters.removals > 0 {
                wrong(Rule::Consent, format!("{}: {counters:?}", device.udid));
            }
        }
        let mut pushes: BTreeMap<&Udid, usize> = BTreeMap::new();
        for heard in self.heard.iter().filter(|h| h.from_host && DESTRUCTIVE.contains(&h.name.as_str())) {
            if heard.name != "InstallProfile" {
                wrong(Rule::Consent, format!("{} was sent {}", heard.udid, heard.name));
                continue;
            }
            let count = pushes.entry(&heard.udid).or_default();
            *count += 1;
            if *count > heard.pushes_written {
                let written = heard.pushes_written;
                wrong(Rule::WrittenFirst, format!("push {count} to {}, {written} written", heard.udid));
            }
        }
    }

    fn publication(&self, wrong: &mut impl FnMut(Rule, String)) {
        let mut written: Vec<_> = self.jobs.values().flatten().collect();
        written.sort_by_key(|event| event.seq);
        if written.len() != self.published.len() || !written.iter().zip(&self.published).all(|(a, b)| *a == b)
        {
            let (written, published) = (written.len(), self.published.len());
            wrong(Rule::Published, format!("{written} events are written, {published} published, or others"));
        }
        for bay in &self.board.bays {
            let Some(events) = bay.job.and_then(|job| self.jobs.get(&job)) else { continue };
            let Some(EventKind::JobEnded(verdict)) = events.last().map(|e| &e.kind) else { continue };
            // A device that flaps after its end is shown as what it is now.
            let same = bay.standing == *verdict || bay.standing.outcome == Outcome::Quarantined;
            let pushes = events.iter().filter(|e| matches!(e.kind, EventKind::PushStarted { .. })).count();
            if !same || bay.ended != events.last().map(|e| e.at) || bay.pushes as usize != pushes {
                wrong(
                    Rule::Board,
                    format!("the journal says {} after {pushes} pushes, the board {bay:?}", verdict.outcome),
                );
            }
        }
    }
}

fn claims_enrolled(verdict: &Verdict) -> bool {
    matches!(verdict.outcome, Outcome::Enrolled | Outcome::PoliciesSeen | Outcome::AlreadyEnrolled)
}

/// Before each push the device was looked at, whole, and the plan was to push.
fn pushes_were_planned(job: JobId, events: &[Event], wrong: &mut impl FnMut(Rule, String)) {
    let (mut looked, mut planned) = (false, false);
    for event in events {
        match &event.kind {
            EventKind::StepFinished { step: StepId::Inspect, result, .. } => {
                (looked, planned) = (*result != StepResult::Failed, false);
            }
            EventKind::Planned { steps, .. } => planned = looked && steps.contains(&StepId::Install),
            EventKind::PushStarted { number } => {
                if !planned {
                    wrong(Rule::Consent, format!("job {job}: push {number} without a look and a plan"));
                }
                (looked, planned) = (false, false);
            }
            _ => {}
        }
    }
}
