//! A world from a seed.

use super::file::{Act, ActAt, World};
use enlist::sim::span::{Span, show_span};
use enlist::sim::{Fault, FaultKind, Latency, Persona};
use fastrand::Rng;
use serde_json::{Map, Value, json};
use std::time::Duration;

const REQUESTS: [&str; 10] = [
    "QueryType",
    "GetValue",
    "Pair",
    "StartSession",
    "StartService",
    "GetCloudConfiguration",
    "GetProfileList",
    "InstallProfile",
    "ObserveNotification",
    "Lookup",
];

const KINDS: [FaultKind; 17] = [
    FaultKind::DropBefore,
    FaultKind::DropAfter,
    FaultKind::Lose,
    FaultKind::Late,
    FaultKind::WrongRequest,
    FaultKind::Delay,
    FaultKind::Silence,
    FaultKind::Garbage,
    FaultKind::Truncate,
    FaultKind::WrongType,
    FaultKind::Error,
    FaultKind::Detach,
    FaultKind::DetachAfter,
    FaultKind::Reboot,
    FaultKind::RebootAfter,
    FaultKind::Lock,
    FaultKind::LockAfter,
];

const ACTS: [Act; 10] = [
    Act::Slip,
    Act::Reboot,
    Act::Lock,
    Act::Unlock,
    Act::ForgetPairing,
    Act::Silence,
    Act::MuxDeath,
    Act::Restart,
    Act::ClockForward,
    Act::ClockBack,
];

/// The world of this seed.
pub(super) fn world(seed: u64) -> World {
    let mut rng = Rng::with_seed(seed);
    let ms = |from: u64, to: u64, rng: &mut Rng| Duration::from_millis(rng.u64(from..to));
    let latency = if rng.bool() {
        Latency { fixed: ms(0, 20, &mut rng), jitter: ms(0, 40, &mut rng) }
    } else {
        Latency::default()
    };
    let devices = rng.usize(1..=3);
    let acts = rng.usize(0..=6);
    let mut act: Vec<_> = (0..acts).map(|_| act_at(devices, &mut rng)).collect();
    act.sort_by_key(|a| a.at.0);
    World {
        seed,
        latency,
        pushes: rng.u32(1..=3),
        hold: rng.u8(..10) == 0,
        lives: Span(if rng.bool() { ms(0, 10_000, &mut rng) } else { ms(0, 600_000, &mut rng) }),
        policies_within: Span(Duration::from_secs(if rng.u8(..4) == 0 { 20 } else { 0 })),
        device: (0..devices).map(|_| device(&mut rng)).collect(),
        act,
    }
}

fn act_at(devices: usize, rng: &mut Rng) -> ActAt {
    let act = ACTS[rng.usize(..ACTS.len())];
    let longest = if matches!(act, Act::ClockForward | Act::ClockBack) { 7_200_000 } else { 40_000 };
    ActAt {
        // Most of it while an enrollment without persons would be under way.
        at: Span(Duration::from_millis(if rng.bool() { rng.u64(..4000) } else { rng.u64(..90_000) })),
        act,
        device: rng.usize(..devices),
        span: Span(Duration::from_millis(rng.u64(..longest))),
    }
}

fn device(rng: &mut Rng) -> Map<String, Value> {
    // Half of them are plain ones, where faults and acts decide.
    let persona = match rng.u8(..4) {
        0 => Persona::InSetup,
        1 => Persona::Ready,
        _ => Persona::ALL[rng.usize(..Persona::ALL.len())].1,
    };
    let mut fields = Map::from_iter([("persona".to_owned(), json!(persona))]);
    let mut faults = match persona.settings().faults {
        own if own.is_empty() => (0..rng.usize(..4)).map(|_| fault(rng)).collect(),
        own => own,
    };
    faults.retain(|f: &Fault| f.times != 0 || rng.bool());
    if !faults.is_empty() {
        fields.insert("faults".to_owned(), json!(faults));
    }
    let after = |longest: u64, rng: &mut Rng| match rng.u8(..8) {
        0 => json!("never"),
        _ => json!(show_span(Duration::from_millis(rng.u64(..longest)))),
    };
    let span = |longest: u64, rng: &mut Rng| json!(show_span(Duration::from_millis(rng.u64(..longest))));
    let one_of = |of: &[&str], rng: &mut Rng| json!(of[rng.usize(..of.len())]);
    for _ in 0..rng.usize(..6) {
        let (key, value) = match rng.u8(..17) {
            0 => ("trust_after", after(60_000, rng)),
            1 => ("unlock_after", after(60_000, rng)),
            2 => ("accept_after", after(500_000, rng)),
            3 => ("accept_answer", one_of(&["install", "cancel"], rng)),
            4 => ("trust_answer", one_of(&["trust", "deny", "forget-passcode"], rng)),
            5 => ("install_takes", span(40_000, rng)),
            6 => ("queue_reply", one_of(&["acknowledged", "error"], rng)),
            7 => ("public_values", one_of(&["flagged", "usual", "generous"], rng)),
            8 => ("record_check", one_of(&["first", "last"], rng)),
            9 => ("pairing", one_of(&["ask", "silent"], rng)),
            10 => ("escrow_bag", json!(rng.bool())),
            11 => ("session_before_unlock", json!(rng.bool())),
            12 => ("close_notify", json!(rng.bool())),
            13 => ("locked", json!(rng.bool())),
            14 => ("reboot_takes", span(40_000, rng)),
            15 => ("clock_ahead", json!(rng.i64(-4000..4000))),
            _ => ("policies_after", after(30_000, rng)),
        };
        fields.insert(key.to_owned(), value);
    }
    fields
}

fn fault(rng: &mut Rng) -> Fault {
    let span = if rng.u8(..6) == 0 { 500_000 } else { rng.u64(..10_000) };
    let named = rng.bool();
    Fault {
        kind: KINDS[rng.usize(..KINDS.len())],
        request: named.then(|| REQUESTS[rng.usize(..REQUESTS.len())].to_owned()),
        at: if named { rng.u64(1..4) } else { rng.u64(1..25) },
        times: [1, 1, 1, 1, 2, 3, 0][rng.usize(..7)],
        span: Span(Duration::from_millis(span)),
    }
}
