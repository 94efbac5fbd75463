//! The messages of an enrollment, as clean runs show them.

use super::cell::{self, Act};
use crate::support::lab::Heard;
use enlist::sim::span::Span;
use enlist::sim::{After, Persona, Settings};
use std::time::Duration;

/// A way through an enrollment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// In Setup Assistant: nobody is asked.
    Setup,
    /// After it: a person trusts, unlocks and accepts.
    Person,
    /// The cable slips while the profile waits for its person; from there on.
    Replug,
}

impl Script {
    pub(crate) const ALL: [Self; 3] = [Self::Setup, Self::Person, Self::Replug];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Person => "person",
            Self::Replug => "replug",
        }
    }

    /// The device. Persons are on time to the millisecond, so that each run is the same.
    pub(crate) fn settings(self) -> Settings {
        let base = match self {
            Self::Setup => Persona::InSetup.settings(),
            Self::Person | Self::Replug => Persona::Ready.settings(),
        };
        let accept_after = if self == Self::Replug { 8 } else { 5 };
        Settings {
            os_version: Some("18.1".to_owned()),
            person_jitter: Span(Duration::ZERO),
            trust_after: After::secs(2),
            unlock_after: After::secs(2),
            accept_after: After::secs(accept_after),
            install_takes: Span(Duration::from_secs(2)),
            ..base
        }
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The host's `n`-th request, the `index`-th message of all.
    Request { n: u64, index: usize },
    /// The device's answer to it, or the next thing it says by itself after it.
    Answer { n: u64, index: usize },
    /// The `number`-th request to the mux.
    Mux { number: usize },
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) script: Script,
    pub(crate) place: Place,
    pub(crate) service: &'static str,
    /// The request's name, for an answer too.
    pub(crate) name: String,
}

impl Message {
    pub(crate) fn is_mux(&self) -> bool {
        matches!(self.place, Place::Mux { .. })
    }

    pub(crate) fn label(&self) -> String {
        let arrow = match self.place {
            Place::Request { .. } => ">",
            Place::Answer { .. } => "<",
            Place::Mux { .. } => "=",
        };
        let service = self.service.rsplit('.').next().unwrap_or(self.service);
        format!("{:<6} {arrow} {:<18} {}", self.script.name(), service, self.name)
    }
}

/// The messages of a script, from a clean run of it.
pub(crate) fn messages(script: Script) -> Vec<Message> {
    let (evidence, asked) = cell::run(script, Act::Nothing);
    let violations = evidence.violations();
    assert!(violations.is_empty(), "a clean run is clean: {violations:?}");
    let ends: Vec<_> = evidence.ends().into_values().map(|v| v.outcome.name()).collect();
    assert_eq!(ends, ["enrolled"], "{script:?}");

    let again = |name: &str| {
        let mut places = evidence.heard.iter().enumerate().filter(|(_, h)| h.name == name && h.from_host);
        places.nth(1).map_or(0, |(index, _)| index)
    };
    let from = if script == Script::Replug { again("QueryType") } else { 0 };
    let mut messages = of_conversation(script, &evidence.heard);
    messages.retain(
        |m| matches!(m.place, Place::Request { index, .. } | Place::Answer { index, .. } if index >= from),
    );
    let connects = asked.iter().enumerate().filter(|(_, what)| **what == "connect lockdown");
    let from = if script == Script::Replug { connects.map(|(n, _)| n).nth(1).unwrap() } else { 0 };
    messages.extend(asked.iter().enumerate().skip(from).map(|(number, what)| Message {
        script,
        place: Place::Mux { number },
        service: "mux",
        name: (*what).to_owned(),
    }));
    messages
}

fn of_conversation(script: Script, heard: &[Heard]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut requests = 0;
    for (index, heard) in heard.iter().enumerate() {
        let service = heard.service;
        if heard.from_host {
            requests += 1;
            let place = Place::Request { n: requests, index };
            messages.push(Message { script, place, service, name: heard.name.clone() });
            continue;
        }
        // The request it answers; what a service says after that by itself is not hit again.
        let asked = messages.iter().rev().find_map(|m| match m.place {
            Place::Request { n, .. } if m.service == service => Some((n, m.name.clone())),
            _ => None,
        });
        let Some((n, name)) = asked else { continue };
        let known = |m: &Message| matches!(m.place, Place::Answer { n: other, .. } if other == n);
        if !messages.iter().any(known) {
            messages.push(Message { script, place: Place::Answer { n, index }, service, name });
        }
    }
    messages
}
