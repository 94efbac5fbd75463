//! Runs a world to its end and says what was violated.

use super::file::{Act, ActAt, World};
use crate::support::lab::invariants::{LONGEST, Rule, Violation};
use crate::support::lab::{Between, Incarnation, Lab, LeftBoard, alive_tasks};
use enlist::ids::Udid;
use enlist::sim::Command;
use enlist::sim::span::parse_span;
use enlist::station::Selection;
use enlist::workflow::event::{Event, EventKind};
use enlist::workflow::outcome::Class;
use enlist::workflow::policy::{Policy, SetupAssistant};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Longest a device stays away after a fault.
const AWAY: Duration = Duration::from_secs(600);

/// How often a device may be away when the last station begins.
const MOST_RETURNS: usize = 3;

/// A person who accepts by then is in time, whatever a reconnect costs.
const IN_TIME: Duration = Duration::from_secs(400);

/// What a world came to.
pub(super) struct Came {
    pub(super) violations: Vec<Violation>,
    /// Every event, by device and job, at its time.
    pub(super) journal: String,
    pub(super) jobs: usize,
    /// Devices of which it was demanded that they are enrolled in the end.
    pub(super) healthy: usize,
}

/// Between the journal and the board: a detach is lost.
pub(super) fn planted_lost_detach() -> Between {
    Arc::new(|event, pass_on| {
        if !matches!(event.kind, EventKind::Detached) {
            pass_on(event);
        }
    })
}

pub(super) fn run(world: &World, planted: Option<&Between>) -> Came {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run_in(world, planted))
}

async fn run_in(world: &World, planted: Option<&Between>) -> Came {
    let tasks = alive_tasks();
    let mut lab = Lab::new(world.fleet());
    lab.planted.between = planted.cloned();
    lab.policy = Policy {
        pushes: world.pushes,
        setup_assistant: if world.hold { SetupAssistant::Hold } else { SetupAssistant::Push },
        policies_within: world.policies_within.0,
        ..Policy::default()
    };
    let begun = Instant::now();
    let mut station = lab.start(Selection::All, false).unwrap();
    for act in &world.act {
        sleep_until(begun + act.at.0).await;
        station = happen(&lab, act, station).await;
    }
    // What lasts longer than the acts ends too; then a last station finishes everything.
    let lasts = world.act.iter().map(|a| if is_clock(a.act) { a.at.0 } else { a.at.0 + a.span.0 }).max();
    sleep_until(begun + lasts.unwrap_or_default().max(world.lives.0)).await;
    all_back(&lab).await;
    station.stop().await;
    let (mut over, mut board) = finish(&lab).await;
    // A device that went away just then was not there for the last station: another follows.
    for _ in 0..MOST_RETURNS {
        if !over || !is_any_open(&lab) {
            break;
        }
        all_back(&lab).await;
        (over, board) = finish(&lab).await;
    }
    let udids = lab.fleet.udids();
    let evidence = lab.conclude(board, tasks).await;
    let mut violations = evidence.violations();
    let ends = evidence.ends();
    let healthy: Vec<_> = udids.iter().zip(&world.device).filter(|(_, d)| is_healthy(world, d)).collect();
    for (udid, device) in &healthy {
        let end = ends.get(*udid).filter(|v| !v.outcome.is_success() && v.class != Class::Transport);
        if let Some(end) = end {
            violations.push(Violation { rule: Rule::Enrolled, what: format!("{device:?}: {end:?}") });
        }
    }
    if !over {
        violations.push(Violation { rule: Rule::Deadline, what: "it does not end".to_owned() });
    }
    let (jobs, healthy) = (evidence.jobs.len(), healthy.len());
    Came { violations, journal: text_of(&udids, &evidence.jobs), jobs, healthy }
}

/// Waits until every device is on its cable, but not for those that never come back.
async fn all_back(lab: &Lab) {
    let all_back = async {
        while lab.fleet.inspect_all().iter().any(|device| device.attached.is_none()) {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let _ = timeout(AWAY, all_back).await;
}

/// A last station for what is attached; whether it ended by itself, and what it left.
async fn finish(lab: &Lab) -> (bool, LeftBoard) {
    let listed = Selection::Listed(lab.fleet.backend().list().await.unwrap());
    let mut last = lab.start(listed, true).unwrap();
    let over = timeout(LONGEST, &mut last.task).await.is_ok();
    (over, if over { last.left().await } else { last.stop().await })
}

fn is_any_open(lab: &Lab) -> bool {
    let mut open = BTreeSet::new();
    for event in lab.notes.published.lock().unwrap().iter() {
        match event.kind {
            EventKind::JobStarted(_) => _ = open.insert(event.job),
            EventKind::JobEnded(_) => _ = open.remove(&event.job),
            _ => {}
        }
    }
    !open.is_empty()
}

/// True if nothing of the device and its person stands in the way. What breaks its connections
/// may still end a job; what sets a clock may end a wait that another station goes on with.
fn is_healthy(world: &World, device: &Map<String, Value>) -> bool {
    const FINE: [&str; 9] = [
        "ready",
        "in-setup",
        "locked",
        "queued-as-error",
        "network-recovers",
        "no-escrow-bag",
        "restricted-listing",
        "policies-follow",
        "slow",
    ];
    const UNWILLING: [&str; 4] = ["never", "cancel", "deny", "forget-passcode"];
    let text = |key: &str| device.get(key).and_then(Value::as_str);
    let late = text("accept_after").and_then(|t| parse_span(t).ok()).is_some_and(|t| t > IN_TIME);
    let willing = device.values().filter_map(Value::as_str).all(|value| !UNWILLING.contains(&value));
    !world.hold
        && !world.act.iter().any(|act| is_clock(act.act))
        && !device.contains_key("faults")
        && FINE.contains(&text("persona").unwrap_or("ready"))
        && willing
        && !late
}

fn is_clock(act: Act) -> bool {
    matches!(act, Act::ClockForward | Act::ClockBack)
}

/// Lets it happen; gives the station that runs after it.
async fn happen(lab: &Lab, at: &ActAt, station: Incarnation) -> Incarnation {
    let (fleet, span) = (lab.fleet.clone(), at.span.0);
    let udid = fleet.udids()[at.device].clone();
    let ms = i64::try_from(span.as_millis()).unwrap();
    match at.act {
        Act::Slip => {
            fleet.detach(&udid).unwrap();
            tokio::spawn(async move {
                sleep(span).await;
                fleet.attach(&udid).unwrap();
            });
        }
        Act::Reboot => drop(fleet.control(Command::Reboot { udid, takes: Some(at.span) }).unwrap()),
        Act::Lock => drop(fleet.control(Command::Lock { udid }).unwrap()),
        Act::Unlock => drop(fleet.control(Command::Unlock { udid }).unwrap()),
        Act::ForgetPairing => drop(fleet.control(Command::ForgetPairing { udid }).unwrap()),
        Act::Silence => {
            fleet.control(Command::Silence { udid: udid.clone(), on: true }).unwrap();
            tokio::spawn(async move {
                sleep(span).await;
                fleet.control(Command::Silence { udid, on: false }).unwrap();
            });
        }
        Act::MuxDeath => {
            lab.way.dead_for(span);
            fleet.restart_mux();
        }
        Act::Restart => {
            station.abort().await;
            sleep(span).await;
            return lab.start(Selection::All, false).unwrap();
        }
        Act::ClockForward => lab.clock.set_by(ms),
        Act::ClockBack => lab.clock.set_by(-ms),
    }
    station
}

/// The journal as lines, device by device: between devices there is no order.
fn text_of(udids: &[Udid], jobs: &BTreeMap<enlist::ids::JobId, Vec<Event>>) -> String {
    let mut text = String::new();
    for (n, udid) in udids.iter().enumerate() {
        let of_device = |events: &&Vec<Event>| matches!(events.first().map(|e| &e.kind), Some(EventKind::JobStarted(new)) if new.udid == *udid);
        for (job, events) in jobs.values().filter(of_device).enumerate() {
            for event in events {
                let at = event.at.strftime("%H:%M:%S%.3f");
                let _ = writeln!(text, "{n} {job} {at} {}", words(&event.kind));
            }
        }
    }
    text
}

fn words(kind: &EventKind) -> String {
    let name = kind.name();
    match kind {
        EventKind::StepStarted { step } => format!("{name} {}", step.name()),
        EventKind::StepFinished { step, result, .. } => format!("{name} {} {}", step.name(), result.name()),
        EventKind::AttemptStarted { number } | EventKind::PushStarted { number } => {
            format!("{name} {number}")
        }
        EventKind::PushAnswered { number, answer } => format!("{name} {number} {answer:?}"),
        EventKind::Waiting { state, .. } => format!("{name} {state}"),
        EventKind::Retrying { pause_ms, .. } => format!("{name} {pause_ms}"),
        EventKind::Planned { reason, .. } => format!("{name}: {reason}"),
        EventKind::JobEnded(verdict) => {
            format!("{name} {} {}: {}", verdict.outcome, verdict.class, verdict.sentence)
        }
        _ => name.to_owned(),
    }
}
