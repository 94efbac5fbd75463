//! A world as a file: a scenario of `enlist sim` with what happens to it.

use enlist::clock::Clock;
use enlist::sim::span::Span;
use enlist::sim::{FleetOptions, Latency, scenario};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Write;

/// One world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) latency: Latency,
    /// How often a job may push.
    pub(super) pushes: u32,
    /// Devices in Setup Assistant are left alone.
    pub(super) hold: bool,
    /// How long policies are watched for.
    pub(super) policies_within: Span,
    /// The first station lives at least so long, then another finishes what it left.
    pub(super) lives: Span,
    /// As in a scenario.
    pub(super) device: Vec<Map<String, Value>>,
    #[serde(default)]
    pub(super) act: Vec<ActAt>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActAt {
    pub(super) at: Span,
    #[serde(rename = "do")]
    pub(super) act: Act,
    /// To this device, counted from 0.
    #[serde(default)]
    pub(super) device: usize,
    /// How long it lasts, or how far a clock is set.
    #[serde(default = "no_time")]
    pub(super) span: Span,
}

fn no_time() -> Span {
    Span(std::time::Duration::ZERO)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Act {
    /// Cable out, and in again after the span.
    Slip,
    Reboot,
    Lock,
    Unlock,
    ForgetPairing,
    /// It answers nothing for the span.
    Silence,
    /// The mux dies and is back after the span.
    MuxDeath,
    /// The station is killed and started again after the span.
    Restart,
    ClockForward,
    ClockBack,
}

impl World {
    pub(super) fn read(toml: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(toml)
    }

    pub(super) fn to_toml(&self) -> String {
        let mut text = self.scenario();
        let policies = Value::from(String::from(self.policies_within));
        let lives = Value::from(String::from(self.lives));
        let head = format!(
            "pushes = {}\nhold = {}\npolicies_within = {policies}\nlives = {lives}\n",
            self.pushes, self.hold
        );
        text.insert_str(0, &head);
        for act in &self.act {
            let Ok(Value::Object(fields)) = serde_json::to_value(act) else { unreachable!() };
            table(&mut text, "act", &fields);
        }
        text
    }

    /// What `enlist sim` would read.
    fn scenario(&self) -> String {
        let latency = Value::from(self.latency.to_string());
        let mut text = format!("seed = {}\nlatency = {latency}\n", self.seed);
        self.device.iter().for_each(|device| table(&mut text, "device", device));
        text
    }

    pub(super) fn fleet(&self) -> FleetOptions {
        scenario::read(&self.scenario(), Clock::System).unwrap_or_else(|e| panic!("{e}\n{}", self.scenario()))
    }
}

fn table(text: &mut String, name: &str, fields: &Map<String, Value>) {
    let _ = writeln!(text, "\n[[{name}]]");
    for (key, value) in fields {
        let _ = writeln!(text, "{key} = {}", inline(value));
    }
}

/// A value as TOML writes it in one line.
fn inline(value: &Value) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(list) => format!("[{}]", join(list.iter().map(inline).collect())),
        Value::Object(fields) => {
            let one = |(key, value): (&String, &Value)| format!("{key} = {}", inline(value));
            format!("{{ {} }}", join(fields.iter().map(one).collect()))
        }
        other => other.to_string(),
    }
}
