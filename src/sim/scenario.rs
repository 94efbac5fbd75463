//! Scenario files: which devices a fleet has.
//!
//! ```toml
//! seed = 7
//! latency = "5ms+2ms"
//!
//! [[device]]
//! persona = "ready"
//! count = 30
//!
//! [[device]]
//! persona = "ready"
//! name = "Front desk"
//! os_version = "26.1"
//! accept_after = "never"
//! ```
//!
//! With `bays = 16` the bench has so many sockets, and the next device comes when one is
//! taken out ([`Fleet::swap`](super::Fleet::swap)). `[trouble]` makes some devices others:
//! `percent = 5`, `personas = ["trust-denied"]`.
//!
//! Everything else in a `[[device]]` overrides a field of [`Settings`]. Unknown keys are
//! refused.

use super::fleet::{DeviceSpec, FleetOptions, MOST_DEVICES, SimError};
use super::persona::{Persona, Settings};
use super::span::Latency;
use crate::clock::Clock;
use crate::limits::CONFIG_BYTES;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(default = "first_seed")]
    seed: u64,
    #[serde(default)]
    latency: Latency,
    /// Sockets of the bench; without it every device has one.
    bays: Option<usize>,
    trouble: Option<Trouble>,
    device: Vec<Map<String, Value>>,
}

/// Devices that are other than they should be, dealt out by the seed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trouble {
    /// Of a hundred devices.
    percent: u8,
    /// What they are instead.
    personas: Vec<Persona>,
}

fn first_seed() -> u64 {
    1
}

/// Reads a scenario.
///
/// # Errors
/// [`SimError::Scenario`] with the place and what is wrong there.
pub fn read(toml: &str, clock: Clock) -> Result<FleetOptions, SimError> {
    let bad = |reason: String| SimError::Scenario { reason };
    if toml.len() > CONFIG_BYTES {
        return Err(bad(format!("it is longer than {CONFIG_BYTES} bytes")));
    }
    let scenario: Scenario = toml::from_str(toml).map_err(|e| bad(e.to_string()))?;
    fleet(scenario, clock)
}

/// The same, of a file that says more than what the devices are: without that.
///
/// # Errors
/// As [`read`].
pub fn read_table(table: toml::Table, clock: Clock) -> Result<FleetOptions, SimError> {
    let scenario = Scenario::deserialize(table);
    fleet(scenario.map_err(|e| SimError::Scenario { reason: e.to_string() })?, clock)
}

fn fleet(scenario: Scenario, clock: Clock) -> Result<FleetOptions, SimError> {
    let bad = |reason: String| SimError::Scenario { reason };
    let mut specs = Vec::new();
    for (n, device) in scenario.device.into_iter().enumerate() {
        let (spec, count) = read_device(device).map_err(|e| bad(format!("device {}: {e}", n + 1)))?;
        if specs.len() + count > MOST_DEVICES {
            return Err(SimError::TooMany { wanted: specs.len() + count });
        }
        specs.extend(std::iter::repeat_n(spec, count));
    }
    if let Some(trouble) = &scenario.trouble {
        if trouble.percent > 100 || trouble.personas.is_empty() {
            return Err(bad("trouble needs a percent up to 100, and personas".to_owned()));
        }
        deal(&mut specs, trouble, scenario.seed);
    }
    if scenario.bays == Some(0) {
        return Err(bad("a bench needs at least one bay".to_owned()));
    }
    Ok(FleetOptions {
        devices: specs.len(),
        bays: scenario.bays,
        seed: scenario.seed,
        specs,
        latency: scenario.latency,
        clock,
        attached: true,
    })
}

fn deal(specs: &mut [DeviceSpec], trouble: &Trouble, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(super::identity::mix(seed, usize::MAX - 2));
    for spec in specs {
        // Drawn for every device, so that another percentage moves no other draw.
        let (hit, pick) = (rng.u8(..100) < trouble.percent, rng.usize(..trouble.personas.len()));
        if let Some(persona) = trouble.personas.get(pick).filter(|_| hit) {
            *spec = DeviceSpec::from(*persona);
        }
    }
}

fn read_device(mut device: Map<String, Value>) -> Result<(DeviceSpec, usize), String> {
    let persona = match device.remove("persona") {
        Some(name) => serde_json::from_value(name).map_err(|e| e.to_string())?,
        None => Persona::Ready,
    };
    let count = match device.remove("count") {
        Some(count) => count.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or("count is no number")?,
        None => 1,
    };
    let settings = override_settings(&persona.settings(), device)?;
    Ok((DeviceSpec { persona, settings }, count.min(MOST_DEVICES + 1)))
}

/// Settings with some fields replaced by name.
pub(super) fn override_settings(base: &Settings, fields: Map<String, Value>) -> Result<Settings, String> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(base) else {
        return Err("settings cannot be written".to_owned());
    };
    all.extend(fields);
    serde_json::from_value(Value::Object(all)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::span::After;

    #[test]
    fn a_scenario_lists_personas_and_overrides() {
        let text = "seed = 7\nlatency = \"5ms\"\n[[device]]\npersona = \"in-setup\"\ncount = 3\n\
                    [[device]]\naccept_after = \"never\"\nname = \"Front desk\"\n\
                    faults = [{ kind = \"detach\", at = 4 }]";
        let options = read(text, Clock::System).unwrap();
        assert_eq!((options.devices, options.seed), (4, 7));
        assert_eq!(options.specs[2], DeviceSpec::from(Persona::InSetup));
        let last = &options.specs[3].settings;
        assert_eq!((last.accept_after, last.name.as_deref()), (After::Never, Some("Front desk")));
        assert_eq!(last.faults.len(), 1);
    }

    #[test]
    fn what_a_scenario_does_not_know_is_refused() {
        for bad in [
            "seeds = 1\ndevice = []",
            "[[device]]\npersona = \"no-such\"",
            "[[device]]\nacept_after = \"1s\"",
            "[[device]]\naccept_after = \"soon\"",
            "[[device]]\ncount = -1",
            "bays = 0\n[[device]]",
            "[trouble]\npercent = 101\npersonas = [\"locked\"]\n[[device]]",
            "[trouble]\npercent = 5\npersonas = []\n[[device]]",
            "[[device]]\ncount = 100000",
            "[[device]]\nfaults = [{ kind = \"detach\", when = 4 }]",
        ] {
            assert!(read(bad, Clock::System).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_persona_survives_being_written() {
        for (_, persona) in Persona::ALL {
            let settings = persona.settings();
            assert_eq!(override_settings(&settings, Map::new()), Ok(settings), "{persona}");
        }
    }
}
