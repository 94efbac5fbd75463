//! One cell: a script with one fault at one message, run from the first plug to the end.

use super::conversation::{Message, Place, Script};
use crate::support::lab::invariants::Evidence;
use crate::support::lab::way::{Break, MOMENT};
use crate::support::lab::{Lab, LeftBoard, alive_tasks};
use enlist::sim::span::Span;
use enlist::sim::{DeviceSpec, Fault as SimFault, FaultKind, FleetOptions, Persona};
use enlist::station::Selection;
use enlist::wire::notification_proxy;
use enlist::workflow::event::{Event, EventKind};
use enlist::workflow::outcome::Outcome;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Later than any deadline of one answer (limits::INSTALL_ANSWER is the longest).
const PAST_ANY_DEADLINE: Duration = Duration::from_secs(500);

/// How long a disk stays full.
const FULL: Duration = Duration::from_secs(20);

/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// What can happen to a message, or while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Drop,
    Late,
    Truncate,
    Garbage,
    WrongType,
    ErrorReply,
    Eof,
    Detach,
    Reboot,
    Lock,
    MuxDeath,
    Restart,
    DiskFull,
    ClockForward,
    ClockBack,
}

impl Fault {
    pub(crate) const ALL: [Self; 15] = [
        Self::Drop,
        Self::Late,
        Self::Truncate,
        Self::Garbage,
        Self::WrongType,
        Self::ErrorReply,
        Self::Eof,
        Self::Detach,
        Self::Reboot,
        Self::Lock,
        Self::MuxDeath,
        Self::Restart,
        Self::DiskFull,
        Self::ClockForward,
        Self::ClockBack,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Late => "late",
            Self::Truncate => "cut",
            Self::Garbage => "garbage",
            Self::WrongType => "type",
            Self::ErrorReply => "error",
            Self::Eof => "eof",
            Self::Detach => "detach",
            Self::Reboot => "reboot",
            Self::Lock => "lock",
            Self::MuxDeath => "mux",
            Self::Restart => "restart",
            Self::DiskFull => "full",
            Self::ClockForward => "+1h",
            Self::ClockBack => "-1h",
        }
    }

    /// What it is at this message; `None` if it cannot be.
    pub(crate) fn at(self, message: &Message) -> Option<Act> {
        let happens = match self {
            Self::MuxDeath => Some(Happens::MuxDeath),
            Self::Restart => Some(Happens::Restart),
            Self::DiskFull => Some(Happens::DiskFull),
            Self::ClockForward => Some(Happens::Clock(HOUR)),
            Self::ClockBack => Some(Happens::Clock(-HOUR)),
            Self::Detach if message.is_mux() => Some(Happens::Detach),
            Self::Reboot if message.is_mux() => Some(Happens::Reboot),
            Self::Lock if message.is_mux() => Some(Happens::Lock),
            _ => None,
        };
        if let Some(happens) = happens {
            return Some(Act::At(message.place, happens));
        }
        match message.place {
            Place::Request { n, .. } => {
                self.of_request().map(|(kind, span)| Act::Device(device_fault(n, kind, span)))
            }
            Place::Answer { n, .. } => {
                // What a device says by itself has no error to say instead.
                if self == Self::ErrorReply && message.service == notification_proxy::SERVICE {
                    return None;
                }
                self.of_answer().map(|(kind, span)| Act::Device(device_fault(n, kind, span)))
            }
            Place::Mux { number } => self.of_mux(&message.name).map(|how| Act::Way(number, how)),
        }
    }

    fn of_request(self) -> Option<(FaultKind, Duration)> {
        let second = Duration::from_secs(1);
        Some(match self {
            Self::Drop => (FaultKind::Lose, second),
            Self::Late => (FaultKind::Late, PAST_ANY_DEADLINE),
            Self::WrongType => (FaultKind::WrongRequest, second),
            // A device hangs up on what it cannot read: cut and garbage are the same to it.
            Self::Eof => (FaultKind::DropBefore, second),
            Self::Detach => (FaultKind::Detach, second),
            Self::Reboot => (FaultKind::Reboot, 5 * second),
            Self::Lock => (FaultKind::Lock, second),
            _ => return None,
        })
    }

    fn of_answer(self) -> Option<(FaultKind, Duration)> {
        let second = Duration::from_secs(1);
        Some(match self {
            Self::Drop => (FaultKind::Silence, second),
            Self::Late => (FaultKind::Delay, PAST_ANY_DEADLINE),
            Self::Truncate => (FaultKind::Truncate, second),
            Self::Garbage => (FaultKind::Garbage, second),
            Self::WrongType => (FaultKind::WrongType, second),
            Self::ErrorReply => (FaultKind::Error, second),
            Self::Eof => (FaultKind::DropAfter, second),
            Self::Detach => (FaultKind::DetachAfter, second),
            Self::Reboot => (FaultKind::RebootAfter, 5 * second),
            Self::Lock => (FaultKind::LockAfter, second),
            _ => return None,
        })
    }

    fn of_mux(self, name: &str) -> Option<Break> {
        let opens = name.starts_with("connect");
        match self {
            Self::ErrorReply => Some(Break::Refused),
            Self::Drop if opens => Some(Break::Swallows),
            Self::Drop => Some(Break::Unreachable),
            Self::Late if opens => Some(Break::Late(PAST_ANY_DEADLINE)),
            Self::Truncate if opens => Some(Break::Cut),
            Self::Garbage if opens => Some(Break::Garbage),
            Self::Eof if opens => Some(Break::Ends),
            Self::Garbage if name == "read record" => Some(Break::GarbageRecord),
            _ => None,
        }
    }
}

fn device_fault(n: u64, kind: FaultKind, span: Duration) -> SimFault {
    SimFault { span: Span(span), ..SimFault::at(n, kind) }
}

/// What is done to a run.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Nothing,
    Device(SimFault),
    Way(usize, Break),
    At(Place, Happens),
}

/// What happens around a message that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happens {
    Detach,
    Reboot,
    Lock,
    MuxDeath,
    Restart,
    DiskFull,
    Clock(i64),
}

/// Runs a script; gives the evidence and what the mux was asked.
pub(crate) fn run(script: Script, act: Act) -> (Evidence, Vec<&'static str>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run_in(script, act))
}

async fn run_in(script: Script, act: Act) -> (Evidence, Vec<&'static str>) {
    let tasks_before = alive_tasks();
    let mut settings = script.settings();
    match &act {
        Act::Device(fault) => settings.faults.push(fault.clone()),
        // It waits a moment with the message, so that what happens, happens then.
        Act::At(Place::Request { n, .. }, _) => {
            settings.faults.push(device_fault(*n, FaultKind::Late, MOMENT));
        }
        Act::At(Place::Answer { n, .. }, _) => {
            settings.faults.push(device_fault(*n, FaultKind::Delay, MOMENT));
        }
        _ => {}
    }
    let specs = vec![DeviceSpec { persona: Persona::Ready, settings }];
    let lab = Lab::new(FleetOptions { devices: 1, specs, ..FleetOptions::default() });
    match &act {
        Act::Way(number, how) => lab.way.breaks(*number, *how),
        Act::At(Place::Mux { number }, _) => lab.way.breaks(*number, Break::Waits),
        _ => {}
    }
    let (order, mut orders) = mpsc::unbounded_channel();
    let mut actors = vec![replug(script, &lab)];
    if let Act::At(place, happens) = act {
        actors.push(tokio::spawn(act_at(&lab, place, happens, order.clone())));
    }
    let board = lives(&lab, &mut orders).await;
    actors.iter().for_each(JoinHandle::abort);
    drop((actors, order));
    let asked = lab.way.asked();
    (lab.conclude(board, tasks_before).await, asked)
}

/// What an actor asks of whoever runs the station.
enum Order {
    Restart,
}

/// Runs stations until the device's job is over.
async fn lives(lab: &Lab, orders: &mut mpsc::UnboundedReceiver<Order>) -> LeftBoard {
    loop {
        let udid = &lab.fleet.udids()[0];
        while lab.fleet.inspect(udid).unwrap().attached.is_none() {
            sleep(Duration::from_millis(100)).await;
        }
        let listed = Selection::Listed(lab.fleet.backend().list().await.unwrap());
        let mut station = match lab.start(listed, true) {
            Ok(station) => station,
            // The disk is full: whoever started it tries again.
            Err(_) => {
                sleep(Duration::from_secs(5)).await;
                continue;
            }
        };
        let board = tokio::select! {
            biased;
            _ = &mut station.task => station.left().await,
            Some(Order::Restart) = orders.recv() => {
                station.abort().await;
                continue;
            }
        };
        let no_journal = |bay: &enlist::station::BayState| {
            bay.standing.outcome == Outcome::Failed
                && bay.standing.sentence.to_lowercase().contains("journal")
        };
        if !board.bays.iter().any(no_journal) {
            return board;
        }
        // Somebody makes room and starts it again.
        sleep(FULL).await;
    }
}

/// The cable slips once the profile waits for its person.
fn replug(script: Script, lab: &Lab) -> JoinHandle<()> {
    let (mut events, fleet) = (lab.notes.events.subscribe(), lab.fleet.clone());
    tokio::spawn(async move {
        if script != Script::Replug || !until_waiting(&mut events).await {
            return;
        }
        let udid = fleet.udids()[0].clone();
        sleep(Duration::from_secs(1)).await;
        fleet.detach(&udid).unwrap();
        sleep(Duration::from_secs(1)).await;
        fleet.attach(&udid).unwrap();
    })
}

async fn until_waiting(events: &mut broadcast::Receiver<Event>) -> bool {
    while let Ok(event) = events.recv().await {
        if matches!(event.kind, EventKind::Waiting { state: Outcome::WaitingForPerson, .. }) {
            return true;
        }
    }
    false
}

/// Waits for the message and lets it happen.
fn act_at(
    lab: &Lab,
    place: Place,
    happens: Happens,
    order: mpsc::UnboundedSender<Order>,
) -> impl Future<Output = ()> + Send + 'static {
    let (mut messages, mut requests) = (lab.notes.messages.subscribe(), lab.way.requests.subscribe());
    let (fleet, way, clock, disk) =
        (lab.fleet.clone(), Arc::clone(&lab.way), lab.clock.clone(), lab.disk.clone());
    async move {
        match place {
            Place::Request { index, .. } | Place::Answer { index, .. } => {
                for _ in 0..=index {
                    if messages.recv().await.is_err() {
                        return;
                    }
                }
            }
            Place::Mux { number } => while requests.recv().await != Ok(number) {},
        }
        let udid = fleet.udids()[0].clone();
        match happens {
            Happens::Detach => {
                fleet.detach(&udid).unwrap();
                sleep(Duration::from_secs(1)).await;
                fleet.attach(&udid).unwrap();
            }
            Happens::Reboot => {
                let takes = Some(Span(Duration::from_secs(5)));
                fleet.control(enlist::sim::Command::Reboot { udid, takes }).unwrap();
            }
            Happens::Lock => drop(fleet.control(enlist::sim::Command::Lock { udid }).unwrap()),
            Happens::MuxDeath => {
                way.dead_for(Duration::from_secs(3));
                fleet.restart_mux();
            }
            Happens::Restart => drop(order.send(Order::Restart)),
            Happens::DiskFull => {
                disk.fill();
                sleep(FULL).await;
                disk.free();
            }
            Happens::Clock(ms) => clock.set_by(ms),
        }
    }
}
