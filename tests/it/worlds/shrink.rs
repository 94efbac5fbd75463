//! Makes a failing world small: whatever can be left out while it still breaks the same rule is
//! left out.

use super::file::World;
use super::run;
use crate::support::lab::Between;
use crate::support::lab::invariants::Rule;
use serde_json::Value;

/// The smallest world found that breaks one of the rules this one breaks.
pub(super) fn shrink(world: &World, planted: Option<&Between>) -> World {
    let rules = |world: &World| -> Vec<Rule> {
        run::run(world, planted).violations.into_iter().map(|v| v.rule).collect()
    };
    let broken = rules(world);
    let still = |smaller: &World| rules(smaller).iter().any(|rule| broken.contains(rule));
    let mut small = world.clone();
    while let Some(smaller) = smaller(&small).into_iter().find(still) {
        small = smaller;
    }
    small
}

/// Everything that is one step smaller, the biggest steps first.
fn smaller(world: &World) -> Vec<World> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut World)| {
        let mut changed = world.clone();
        change(&mut changed);
        if changed != *world {
            all.push(changed);
        }
    };
    if world.device.len() > 1 {
        // The last one: the identity of the others depends on their place.
        (0..world.device.len()).rev().for_each(|n| with(&|w| drop_device(w, n)));
    }
    (0..world.act.len()).for_each(|n| with(&|w| _ = w.act.remove(n)));
    for n in 0..world.device.len() {
        let faults = world.device[n].get("faults").and_then(Value::as_array).map_or(0, Vec::len);
        for fault in 0..faults {
            with(&|w| {
                if let Some(faults) = w.device[n].get_mut("faults").and_then(Value::as_array_mut) {
                    faults.remove(fault);
                    if faults.is_empty() {
                        w.device[n].remove("faults");
                    }
                }
            });
        }
        for key in world.device[n].keys().filter(|key| *key != "faults") {
            with(&|w| _ = w.device[n].remove(key));
        }
    }
    with(&|w| w.latency = enlist::sim::Latency::default());
    with(&|w| w.policies_within = enlist::sim::span::Span(std::time::Duration::ZERO));
    with(&|w| w.lives = enlist::sim::span::Span(std::time::Duration::ZERO));
    with(&|w| (w.pushes, w.hold) = (1, false));
    all
}

fn drop_device(world: &mut World, n: usize) {
    world.device.remove(n);
    world.act.retain(|act| act.device != n);
    world.act.iter_mut().filter(|act| act.device > n).for_each(|act| act.device -= 1);
}
