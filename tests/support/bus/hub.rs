//! Hubs: descriptors, and the class requests that read ports and switch their power.

use super::descriptors::{ConfigurationBuilder, Descriptors, Kind, MANUFACTURER, PRODUCT};
use super::device::{Control, Setup, Speed, Upstream, VirtualDevice};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const HUB_DESCRIPTOR: u16 = 0x2900;
const PORT_POWER: u16 = 8;

/// What a hub can switch off (wHubCharacteristics).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switching {
    /// Each port by itself.
    PerPort,
    /// All ports together, when the last one is switched off.
    Ganged,
    /// Nothing: requests are taken and change nothing.
    Nothing,
}

/// What hangs in a hub's ports, kept up to date by the bus.
pub type Connected = Arc<Mutex<BTreeMap<u8, bool>>>;

/// A hub.
pub struct Hub {
    id: (u16, u16),
    ports: u8,
    switching: Switching,
    connected: Connected,
    powered: BTreeMap<u8, bool>,
    upstream: Option<Arc<dyn Upstream>>,
}

impl Hub {
    /// A hub of a computer: the root of a bus.
    pub fn root(ports: u8) -> Self {
        Self { id: (0x1d6b, 0x0002), ..Self::new(ports, Switching::PerPort) }
    }

    /// A hub with a cable.
    pub fn new(ports: u8, switching: Switching) -> Self {
        let powered = (1..=ports).map(|port| (port, true)).collect();
        Self {
            id: (0x05e3, 0x0610),
            ports,
            switching,
            connected: Connected::default(),
            powered,
            upstream: None,
        }
    }

    /// Where the bus says what hangs in its ports.
    pub fn connected(&self) -> Connected {
        Arc::clone(&self.connected)
    }

    fn descriptor(&self) -> Vec<u8> {
        let characteristics = match self.switching {
            Switching::Ganged => 0,
            Switching::PerPort => 1,
            Switching::Nothing => 2,
        };
        let map = usize::from(self.ports) / 8 + 1;
        let mut bytes = vec![0, 0x29, self.ports, characteristics, 0, 50, 100];
        bytes.extend(vec![0; map]);
        bytes.extend(vec![0xff; map]);
        bytes[0] = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        bytes
    }

    fn port_status(&self, port: u8) -> Control {
        let Some(powered) = self.powered.get(&port) else { return Control::Stall };
        let connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = connected.get(&port).copied().unwrap_or(false);
        let status: u16 = match (powered, connected) {
            (false, _) => 0,
            (true, false) => 0x0100,
            // Powered, high speed, enabled, connected.
            (true, true) => 0x0503,
        };
        let [low, high] = status.to_le_bytes();
        Control::Data(vec![low, high, 0, 0])
    }

    fn power(&mut self, port: u8, on: bool) -> Control {
        let Some(powered) = self.powered.get_mut(&port) else { return Control::Stall };
        if self.switching == Switching::Nothing || *powered == on {
            return Control::Data(Vec::new());
        }
        *powered = on;
        let Some(upstream) = &self.upstream else { return Control::Data(Vec::new()) };
        if self.switching == Switching::PerPort {
            upstream.power(port, on);
            return Control::Data(Vec::new());
        }
        // The gang has power as long as one port wants it.
        let wanted = self.powered.values().filter(|p| **p).count();
        if on && wanted == 1 || !on && wanted == 0 {
            self.powered.keys().for_each(|port| upstream.power(*port, on));
        }
        Control::Data(Vec::new())
    }
}

impl VirtualDevice for Hub {
    fn descriptors(&self) -> Descriptors {
        let configuration = ConfigurationBuilder::new().interface((9, 0, 0), &[(0x81, Kind::Interrupt, 1)]);
        Descriptors {
            speed: Speed::High,
            id: self.id,
            class: (9, 0, 1),
            configurations: Vec::new(),
            strings: [(MANUFACTURER, "Enlist tests".to_owned()), (PRODUCT, "USB 2.0 hub".to_owned())].into(),
            ports: self.ports,
        }
        .with(configuration)
    }

    fn attached(&mut self, upstream: Arc<dyn Upstream>) {
        self.upstream = Some(upstream);
        self.powered.values_mut().for_each(|powered| *powered = true);
    }

    fn control(&mut self, setup: &Setup, _data: &[u8]) -> Option<Control> {
        let port = setup.index as u8;
        Some(match (setup.request_type, setup.request, setup.value) {
            (0xa0, 6, HUB_DESCRIPTOR) => Control::Data(self.descriptor()),
            (0xa0, 0, 0) => Control::Data(vec![0; 4]),
            (0xa3, 0, 0) => self.port_status(port),
            (0x23, 3, PORT_POWER) => self.power(port, true),
            (0x23, 1, PORT_POWER) => self.power(port, false),
            (0x23, 1 | 3, _) => Control::Data(Vec::new()),
            _ => return None,
        })
    }
}
