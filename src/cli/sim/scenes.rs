//! Scenarios of the simulator as a rig plays them. Of a composition root, because nobody else
//! may know both.

use crate::api::OperationError;
use crate::api::rig::scenario::{Act, Answer, Happening, Role, Scene};
use crate::api::view::Exit;
use crate::clock::Clock;
use crate::sim::persona::{AcceptAnswer, PairingPolicy, TrustAnswer};
use crate::sim::span::{Span, show_span};
use crate::sim::{After, DeviceSpec, Settings, SimError, scenario};
use crate::wire::printable::{sentence, system_words};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// Settings that change nothing about what a device has to do: a real one is as it is.
const NEUTRAL: &[&str] = &[
    "family",
    "product_type",
    "os_version",
    "name",
    "passcode",
    "person_jitter",
    "install_takes",
    "install_logs",
    "queue_reply",
    "policies_after",
    "policies",
    "apps",
    "language",
    "latency",
    "reboot_takes",
    "record_check",
];

/// Settings that a [`Role`] has.
const PLAYED: &[&str] = &[
    "setup_done",
    "supervised",
    "locked",
    "unlock_after",
    "trust_answer",
    "trust_after",
    "accept_answer",
    "accept_after",
];

/// What a world says beside its devices.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct World {
    pushes: u32,
    hold: bool,
    policies_within: Span,
    act: Vec<WorldAct>,
}

impl Default for World {
    fn default() -> Self {
        Self { pushes: 1, hold: false, policies_within: Span(Duration::ZERO), act: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldAct {
    at: Span,
    #[serde(rename = "do")]
    act: String,
    #[serde(default)]
    device: usize,
    span: Option<Span>,
}

/// Keys of a world that `enlist sim` does not read.
const OF_WORLDS: [&str; 5] = ["pushes", "hold", "policies_within", "lives", "act"];

/// Reads a scenario file of `enlist sim`, or a world of `fixtures/scenarios`.
///
/// # Errors
/// It is neither.
pub(in crate::cli) fn read(path: &Path) -> Result<Scene, OperationError> {
    let wrong = |reason: String| {
        let said = format!("{}: {reason}", path.display());
        OperationError::new(Exit::Usage, sentence(said), "Give a scenario that `enlist sim` takes.")
    };
    let text = crate::config::read_text(path).map_err(|error| wrong(system_words(&error)))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    scene(&text, &name).map_err(wrong)
}

fn scene(text: &str, name: &str) -> Result<Scene, String> {
    let mut devices: toml::Table = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    let taken = OF_WORLDS.iter().filter_map(|key| Some(((*key).to_owned(), devices.remove(*key)?)));
    let world = World::deserialize(taken.collect::<toml::Table>()).map_err(|e| e.message().to_owned())?;
    let fleet = scenario::read_table(devices, Clock::System).map_err(|error| match error {
        SimError::Scenario { reason } => reason,
        other => other.to_string(),
    })?;
    let roles: Vec<_> = fleet.specs.iter().map(role).collect();
    let acts = world.act.into_iter().map(act).collect::<Result<Vec<_>, _>>()?;
    if let Some(act) = acts.iter().find(|act| act.role >= roles.len()) {
        return Err(format!("there is no device {}, counted from 0", act.role));
    }
    Ok(Scene {
        name: crate::wire::printable::printable(name),
        roles,
        acts,
        pushes: world.pushes.max(1),
        hold: world.hold,
        policies_within: world.policies_within.0,
    })
}

fn role(spec: &DeviceSpec) -> Role {
    let settings = &spec.settings;
    Role {
        persona: spec.persona.to_string(),
        in_setup: !settings.setup_done,
        supervised: settings.supervised,
        locked: settings.locked,
        unlocked: settings.unlock_after != After::Never,
        trust: match settings.trust_answer {
            _ if settings.trust_after == After::Never => Answer::Never,
            TrustAnswer::Deny => Answer::No,
            TrustAnswer::Trust | TrustAnswer::ForgetPasscode => Answer::Yes,
        },
        accept: match settings.accept_answer {
            _ if settings.accept_after == After::Never => Answer::Never,
            AcceptAnswer::Cancel => Answer::No,
            AcceptAnswer::Install => Answer::Yes,
        },
        simulated_only: simulated_only(settings),
    }
}

/// Settings other than usual that no real device can be told to have.
fn simulated_only(settings: &Settings) -> Vec<String> {
    let fields = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let usual = fields(&Settings::default());
    let other = fields(settings).into_iter().filter(|(key, value)| usual.get(key) != Some(value));
    let told = |key: &str| match key {
        // Trust without a dialog is as good as Trust.
        "pairing" => settings.pairing == PairingPolicy::Silent,
        _ => NEUTRAL.contains(&key) || PLAYED.contains(&key),
    };
    let mut names: Vec<_> = other.map(|(key, _)| key).filter(|key| !told(key)).collect();
    if settings.trust_answer == TrustAnswer::ForgetPasscode {
        names.push("trust_answer".to_owned());
    }
    names
}

fn act(act: WorldAct) -> Result<Act, String> {
    let what = match act.act.as_str() {
        "slip" => Happening::Slip,
        "reboot" => Happening::Reboot,
        "lock" => Happening::Lock,
        "unlock" => Happening::Unlock,
        "forget-pairing" => Happening::ForgetPairing,
        "restart" => Happening::Restart,
        "silence" | "mux-death" | "clock-forward" | "clock-back" => {
            Happening::SimulatedOnly(format!("{} after {}", act.act, show_span(act.at.0)))
        }
        other => return Err(format!("nothing known happens as '{other}'")),
    };
    let lasts = act.span.map_or(Duration::ZERO, |span| span.0);
    Ok(Act { at: act.at.0, what, role: act.device, lasts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Outcome;
    use crate::sim::Persona;

    #[test]
    fn the_scenarios_of_the_tree_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let scenes: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .map(|path| read(&path).unwrap_or_else(|e| panic!("{e}")))
            .collect();
        assert!(scenes.len() >= 4);
        let killed = scenes.iter().find(|scene| scene.name.starts_with("killed-and")).unwrap();
        assert_eq!((killed.pushes, killed.roles.len(), killed.acts.len()), (2, 2, 3));
        assert_eq!(killed.roles[0].simulated_only, Vec::<String>::new());
        assert_eq!(killed.roles[1].simulated_only, ["install_errors"]);
        assert_eq!(killed.acts[2].what, Happening::SimulatedOnly("mux-death after 22s".into()));
    }

    #[test]
    fn personas_that_people_can_play_end_as_in_the_simulator() {
        let of = |persona: Persona| {
            let role = role(&DeviceSpec::from(persona));
            (role.simulated_only.is_empty(), role.expected(false, false))
        };
        for (persona, outcome) in [
            (Persona::Ready, Outcome::Enrolled),
            (Persona::InSetup, Outcome::Enrolled),
            (Persona::Locked, Outcome::Enrolled),
            (Persona::LockedForever, Outcome::WaitingForUnlock),
            (Persona::TrustDenied, Outcome::TrustDenied),
            (Persona::TrustIgnored, Outcome::WaitingForTrust),
            (Persona::PersonIgnores, Outcome::PersonDidNotAccept),
            (Persona::PersonCancels, Outcome::PersonDidNotAccept),
        ] {
            assert_eq!(of(persona), (true, outcome), "{persona}");
        }
        for persona in [Persona::FlakyCable, Persona::ServerDown, Persona::FindMyLocked, Persona::RestoreMode]
        {
            assert!(!of(persona).0, "{persona}");
        }
        assert_eq!(role(&DeviceSpec::from(Persona::InSetup)).expected(true, false), Outcome::InSetup);
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        for bad in [
            "pushes = 'x'\n[[device]]\n",
            "[[device]]\npersona = 'nobody'\n",
            "[[device]]\n[[act]]\nat = '1s'\ndo = 'dance'\n",
            "[[device]]\n[[act]]\nat = '1s'\ndo = 'slip'\ndevice = 1\n",
            "devices = 3\n[[device]]\n",
        ] {
            assert!(scene(bad, "x").is_err(), "{bad}");
        }
    }
}
