//! What a device is at one moment. Changes are methods, grouped by noun: [`super::lifecycle`]
//! (boot, lock, cable), [`super::trust`], [`super::profiles`], [`super::management`].
//! They never wait; what is to happen later goes into the schedule.

use super::counters::{Counters, Inspection, ShownProfile};
use super::fault::Fault;
use super::fleet::SimError;
use super::identity::{Identity, Wishes, mix};
use super::keys::{DeviceKey, device_key};
use super::lifecycle::{Cable, Due, Event};
use super::management;
use super::person::Person;
use super::persona::{Activation, Persona, Settings};
use super::profiles::Profiles;
use super::services::Listener;
use super::span::{After, Latency};
use super::trust::Trust;
use super::values::Overrides;
use crate::clock::Clock;
use crate::ids::MuxId;
use crate::wire::mcinstall_error::{ChainLink, ErrorChain};
use fastrand::Rng;
use plist::Dictionary;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Log lines a device keeps for a reader that comes later.
const LOG_LINES: usize = 200;

/// A cable that is in: the attachment's number, and the way to tell its streams that it is
/// out again.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) id: MuxId,
    pub(super) gone: watch::Sender<bool>,
}

/// What a change wants done once the state is unlocked again.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) posts: Vec<String>,
    pub(super) logs: Vec<String>,
    pub(super) cable: Vec<Cable>,
    pub(super) rescheduled: bool,
}

/// A device.
#[derive(Debug)]
pub(super) struct State {
    pub(super) identity: Identity,
    pub(super) persona: Persona,
    pub(super) settings: Settings,
    pub(super) key: DeviceKey,
    pub(super) clock: Clock,
    pub(super) latency: Latency,
    pub(super) rng: Rng,
    pub(super) person: Person,
    pub(super) counters: Counters,
    pub(super) attached: Option<Attached>,
    pub(super) setup_done: bool,
    pub(super) locked: bool,
    pub(super) unlocked_since_boot: bool,
    pub(super) activation: Activation,
    pub(super) silent: bool,
    pub(super) last_message: Option<Instant>,
    pub(super) fault_counts: Vec<u64>,
    pub(super) trust: Trust,
    pub(super) profiles: Profiles,
    pub(super) cloud: Option<Dictionary>,
    pub(super) overrides: Overrides,
    pub(super) listeners: BTreeMap<u16, Listener>,
    pub(super) next_port: u16,
    pub(super) tokens: u64,
    pub(super) schedule: Vec<Due>,
    pub(super) recent_logs: VecDeque<String>,
    pub(super) outbox: Outbox,
}

impl State {
    /// Device number `index` of a fleet.
    pub(super) fn new(
        index: usize,
        seed: u64,
        persona: Persona,
        settings: Settings,
        clock: Clock,
        latency: Latency,
    ) -> Result<Self, SimError> {
        let wishes = Wishes {
            family: settings.family,
            product_type: settings.product_type.as_deref(),
            os_version: settings.os_version.as_deref(),
            name: settings.name.as_deref(),
        };
        let identity = Identity::draw(seed, index, &wishes)?;
        let own_seed = mix(seed, index);
        let latency = settings.latency.unwrap_or(latency);
        let mut state = Self {
            person: Person::new(own_seed ^ 1, &settings),
            key: device_key(index).map_err(|e| SimError::Keys { reason: e.to_string() })?,
            rng: Rng::with_seed(own_seed ^ 2),
            setup_done: settings.setup_done,
            locked: settings.locked,
            unlocked_since_boot: settings.unlocked_since_boot,
            activation: settings.activation,
            fault_counts: vec![0; settings.faults.len()],
            trust: Trust::default(),
            profiles: Profiles::preinstalled(&settings),
            cloud: management::initial_cloud_configuration(&settings),
            counters: Counters::default(),
            attached: None,
            silent: false,
            last_message: None,
            overrides: Overrides::default(),
            listeners: BTreeMap::new(),
            // The range devices take service ports from; no fact depends on it.
            next_port: 49152,
            tokens: 0,
            schedule: Vec::new(),
            recent_logs: VecDeque::new(),
            outbox: Outbox::default(),
            identity,
            persona,
            settings,
            clock,
            latency,
        };
        state.log("lockdownd", "simulated device is up");
        if state.activation == Activation::Unactivated {
            state.expect_activation(state.settings.activates_after.unwrap_or(After::Never));
        }
        Ok(state)
    }

    /// A fresh number for a dialog or a queued profile, so that late events miss it.
    pub(super) fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Plans `event` in `span` from now.
    pub(super) fn plan(&mut self, span: Duration, event: Event) {
        self.schedule.push(Due { at: Instant::now() + span, event });
        self.outbox.rescheduled = true;
    }

    /// Posts a notification.
    pub(super) fn post(&mut self, name: &str) {
        self.outbox.posts.push(name.to_owned());
    }

    /// Writes a line to the device's log.
    pub(super) fn log(&mut self, process: &str, text: &str) {
        let when = self.clock.now().strftime("%b %e %H:%M:%S").to_string();
        let host = self.identity.name.replace(' ', "-");
        let line = format!("{when} {host} {process}[{}] <Notice>: {text}", 40 + process.len());
        if self.recent_logs.len() == LOG_LINES {
            self.recent_logs.pop_front();
        }
        self.recent_logs.push_back(line.clone());
        self.outbox.logs.push(line);
    }

    /// One draw of the device's latency.
    pub(super) fn delay(&mut self) -> Duration {
        self.latency.draw(&mut self.rng)
    }

    /// Counts a message and says which fault hits it. The first one listed wins.
    pub(super) fn count_message(&mut self, request: &str) -> Option<Fault> {
        self.counters.messages += 1;
        self.last_message = Some(Instant::now());
        let mut hit = None;
        for (fault, count) in self.settings.faults.iter().zip(&mut self.fault_counts) {
            if fault.request.as_deref().is_none_or(|name| name == request) {
                *count += 1;
                if hit.is_none() && fault.hits(*count) {
                    hit = Some(fault.clone());
                }
            }
        }
        self.counters.faults += u64::from(hit.is_some());
        hit
    }

    /// `BrickState` (3.5): services are refused while it is true.
    pub(super) fn bricked(&self) -> bool {
        self.activation == Activation::Unactivated
    }

    /// A chain as the device words it: outermost first, in its language (4.3).
    pub(super) fn chain(&self, links: &[(&str, i64)]) -> ErrorChain {
        let english_device = self.settings.language == "en";
        ErrorChain::new(links.iter().map(|(domain, code)| {
            let link = ChainLink::new(domain, *code);
            let english = link.meaning().unwrap_or("The operation couldn’t be completed.");
            let localized = if english_device { english } else { "Das Profil wurde nicht installiert." };
            link.saying(localized, Some(english))
        }))
    }

    /// The device as a test sees it.
    pub(super) fn inspect(&self) -> Inspection {
        let shown = |p: &super::installer::DeviceProfile| ShownProfile {
            identifier: p.listed.identifier.clone(),
            uuid: p.listed.uuid.clone(),
        };
        Inspection {
            udid: self.identity.udid.clone(),
            name: self.identity.name.clone(),
            serial: self.identity.serial.clone(),
            product_type: self.identity.product_type.clone(),
            os_version: self.identity.os_version.clone(),
            persona: self.persona.name(),
            attached: self.attached.as_ref().map(|a| a.id.0),
            location: self.identity.location,
            locked: self.locked,
            unlocked_since_boot: self.unlocked_since_boot,
            setup_done: self.setup_done,
            dialog: self.trust.dialog.name(),
            trusted_hosts: self.trust.pairings.iter().map(|p| p.host_id.clone()).collect(),
            installed: self.profiles.installed.iter().map(|i| shown(&i.profile)).collect(),
            pending: self.profiles.pending.as_ref().map(|p| shown(&p.profile)),
            silence: self.last_message.map(|at| at.elapsed()),
            counters: self.counters.clone(),
        }
    }
}
