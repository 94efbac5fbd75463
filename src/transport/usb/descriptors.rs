//! USB descriptors as plain data, and what follows from them: where the mux interface is and
//! which configuration to use (protocols.md 1.2, 1.3). What a device claims may be wrong.
//!
//! May import: rusb, for the reading.

use rusb::{ConfigDescriptor, Context, Device, Direction, InterfaceDescriptor, TransferType};

/// The mux interface: class, subclass, protocol; all three required (1.2).
pub(super) const MUX_INTERFACE: (u8, u8, u8) = (255, 254, 2);

/// Packet size of the OUT endpoint where the descriptor gives none (1.4).
const FALLBACK_PACKET_BYTES: u16 = 64;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Address, direction in the top bit.
    pub(super) address: u8,
    /// True for IN.
    pub(super) input: bool,
    /// True for bulk.
    pub(super) bulk: bool,
    /// wMaxPacketSize.
    pub(super) max_packet: u16,
}

/// An interface in one alternate setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// Number.
    pub(super) number: u8,
    /// Alternate setting.
    pub(super) setting: u8,
    /// Class, subclass, protocol.
    pub(super) class: (u8, u8, u8),
    /// Its endpoints.
    pub(super) endpoints: Vec<Endpoint>,
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Its value for SET_CONFIGURATION.
    pub(super) number: u8,
    /// Its interfaces, all settings.
    pub(super) interfaces: Vec<Interface>,
}

/// All configurations of a device, as far as they can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Descriptors {
    /// Readable configurations, in the device's order.
    pub(super) configurations: Vec<Configuration>,
    /// How many it says to have.
    pub(super) announced: u8,
    /// Index of its serial string; `None` if it has none, as KIS (1.1).
    pub(super) serial_index: Option<u8>,
}

/// The mux interface of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MuxInterface {
    /// Number.
    pub(super) number: u8,
    /// Address of the bulk IN endpoint.
    pub(super) input: u8,
    /// Address of the bulk OUT endpoint.
    pub(super) output: u8,
    /// Packet size of the OUT endpoint; never 0.
    pub(super) max_packet: u16,
}

/// Which configuration serves the mux (1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The active one has it.
    Keep(MuxInterface),
    /// This one has it, and must be set.
    Set(u8, MuxInterface),
    /// There is none.
    NoMux,
    /// There seems to be one, but its descriptors cannot be right; how.
    Broken(String),
}

impl Descriptors {
    /// Reads what libusb has of a device; no transfer to the device.
    pub(super) fn of(device: &Device<Context>) -> Self {
        let Ok(descriptor) = device.device_descriptor() else {
            return Self::default();
        };
        let announced = descriptor.num_configurations();
        let configurations = (0..announced).filter_map(|n| device.config_descriptor(n).ok());
        Self {
            configurations: configurations.map(|c| Configuration::of(&c)).collect(),
            announced,
            serial_index: descriptor.serial_number_string_index(),
        }
    }

    /// True if any configuration claims to have the mux interface.
    pub(super) fn offer_mux(&self) -> bool {
        self.configurations.iter().any(|c| c.mux().is_some())
    }

    /// What cannot be right about them; `None` if a mux can be served, or none is offered.
    pub(super) fn fault(&self) -> Option<String> {
        if self.configurations.len() < usize::from(self.announced) && !self.offer_mux() {
            let (read, announced) = (self.configurations.len(), self.announced);
            return Some(format!("only {read} of {announced} configurations can be read"));
        }
        match self.choose(None, false) {
            Choice::Broken(how) => Some(how),
            _ => None,
        }
    }

    /// The choice of 1.3: the active configuration if it has the mux, else the highest one that
    /// has. `first_only` is for the T1, which must stay in configuration 1 (1.1).
    pub(super) fn choose(&self, active: Option<u8>, first_only: bool) -> Choice {
        let current = self.configurations.iter().find(|c| Some(c.number) == active);
        if let Some(Ok(mux)) = current.and_then(Configuration::mux) {
            return Choice::Keep(mux);
        }
        let mut broken = None;
        for configuration in self.configurations.iter().rev() {
            if first_only && configuration.number != 1 {
                continue;
            }
            match configuration.mux() {
                Some(Ok(mux)) => return Choice::Set(configuration.number, mux),
                Some(Err(how)) => broken = Some(how),
                None => {}
            }
        }
        broken.map_or(Choice::NoMux, Choice::Broken)
    }

    /// Number of the mux interface, in whichever configuration it is.
    pub(super) fn mux_number(&self) -> Option<u8> {
        match self.choose(None, false) {
            Choice::Set(_, mux) | Choice::Keep(mux) => Some(mux.number),
            _ => None,
        }
    }

    /// Numbers of the interfaces of a configuration.
    pub(super) fn interfaces_of(&self, configuration: u8) -> Vec<u8> {
        let found = self.configurations.iter().find(|c| c.number == configuration);
        let mut numbers: Vec<u8> =
            found.iter().flat_map(|c| &c.interfaces).map(|interface| interface.number).collect();
        numbers.dedup();
        numbers
    }
}

impl Configuration {
    fn of(descriptor: &ConfigDescriptor) -> Self {
        let interfaces = descriptor.interfaces().flat_map(|i| i.descriptors());
        Self { number: descriptor.number(), interfaces: interfaces.map(|i| Interface::of(&i)).collect() }
    }

    /// Its mux interface; an error says why what looks like one cannot be one (1.2).
    fn mux(&self) -> Option<Result<MuxInterface, String>> {
        let found = self.interfaces.iter().find(|i| i.class == MUX_INTERFACE && i.setting == 0)?;
        Some(found.as_mux())
    }

    /// Endpoints in use while it is active, the control endpoint not counted.
    pub(super) fn endpoints(&self) -> usize {
        self.interfaces.iter().filter(|i| i.setting == 0).map(|i| i.endpoints.len()).sum()
    }
}

impl Interface {
    fn of(descriptor: &InterfaceDescriptor<'_>) -> Self {
        let endpoints = descriptor.endpoint_descriptors().map(|endpoint| Endpoint {
            address: endpoint.address(),
            input: endpoint.direction() == Direction::In,
            bulk: endpoint.transfer_type() == TransferType::Bulk,
            max_packet: endpoint.max_packet_size(),
        });
        Self {
            number: descriptor.interface_number(),
            setting: descriptor.setting_number(),
            class: (descriptor.class_code(), descriptor.sub_class_code(), descriptor.protocol_code()),
            endpoints: endpoints.collect(),
        }
    }

    fn as_mux(&self) -> Result<MuxInterface, String> {
        let ends = match self.endpoints.as_slice() {
            [a, b] if a.input && !b.input => Some((a, b)),
            [a, b] if b.input && !a.input => Some((b, a)),
            _ => None,
        };
        let Some((input, output)) = ends.filter(|(a, b)| a.bulk && b.bulk) else {
            let count = self.endpoints.len();
            return Err(format!(
                "its mux interface must have one bulk IN and one bulk OUT endpoint; endpoints of it: {count}"
            ));
        };
        let max_packet = match output.max_packet {
            0 => FALLBACK_PACKET_BYTES,
            size => size,
        };
        Ok(MuxInterface { number: self.number, input: input.address, output: output.address, max_packet })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn endpoint(address: u8) -> Endpoint {
        Endpoint { address, input: address & 0x80 != 0, bulk: true, max_packet: 512 }
    }

    pub(in super::super) fn configuration(number: u8, interfaces: &[(u8, (u8, u8, u8))]) -> Configuration {
        let interface = |&(number, class)| Interface {
            number,
            setting: 0,
            class,
            endpoints: vec![endpoint(0x04), endpoint(0x85)],
        };
        Configuration { number, interfaces: interfaces.iter().map(interface).collect() }
    }

    pub(in super::super) fn descriptors(configurations: Vec<Configuration>) -> Descriptors {
        let announced = u8::try_from(configurations.len()).unwrap();
        Descriptors { configurations, announced, serial_index: Some(3) }
    }

    /// An iPhone in its initial mode: PTP, then PTP with mux.
    pub(in super::super) fn phone() -> Descriptors {
        let (ptp, mux) = ((0, (6, 1, 1)), (1, MUX_INTERFACE));
        descriptors(vec![
            configuration(1, &[ptp]),
            configuration(2, &[ptp]),
            configuration(3, &[ptp, mux]),
            configuration(4, &[ptp, mux, (2, (255, 253, 1))]),
        ])
    }

    const MUX: MuxInterface = MuxInterface { number: 1, input: 0x85, output: 0x04, max_packet: 512 };

    #[test]
    fn the_active_configuration_stays_if_it_has_the_mux_else_the_highest_is_set() {
        let cases = [
            (Some(3), Choice::Keep(MUX)),
            (Some(4), Choice::Keep(MUX)),
            (Some(1), Choice::Set(4, MUX)),
            (Some(0), Choice::Set(4, MUX)),
            (None, Choice::Set(4, MUX)),
            (Some(9), Choice::Set(4, MUX)),
        ];
        for (active, choice) in cases {
            assert_eq!(phone().choose(active, false), choice, "{active:?}");
        }
        let none = descriptors(vec![configuration(1, &[(0, (2, 13, 0))])]);
        assert_eq!(none.choose(Some(1), false), Choice::NoMux);
        assert_eq!(phone().choose(Some(2), true), Choice::NoMux, "the T1 keeps configuration 1");
    }

    #[test]
    fn all_three_numbers_and_two_bulk_endpoints_in_either_order_make_a_mux() {
        let with = |endpoints: Vec<Endpoint>| {
            let mut all = descriptors(vec![configuration(1, &[(1, MUX_INTERFACE)])]);
            all.configurations[0].interfaces[0].endpoints = endpoints;
            all
        };
        let swapped = with(vec![endpoint(0x85), endpoint(0x04)]);
        assert_eq!(swapped.choose(None, false), Choice::Set(1, MUX));
        let mut unsized_out = endpoint(0x04);
        unsized_out.max_packet = 0;
        let small = MuxInterface { max_packet: 64, ..MUX };
        assert_eq!(with(vec![endpoint(0x85), unsized_out]).choose(None, false), Choice::Set(1, small));
        let mut interrupt = endpoint(0x85);
        interrupt.bulk = false;
        for wrong in [
            vec![],
            vec![endpoint(0x85)],
            vec![endpoint(0x85), endpoint(0x86)],
            vec![endpoint(0x04), interrupt],
            vec![endpoint(0x04), endpoint(0x85), endpoint(0x86)],
        ] {
            let all = with(wrong);
            assert!(matches!(all.choose(None, false), Choice::Broken(_)), "{all:?}");
            assert!(all.fault().is_some() && all.offer_mux());
        }
        let similar = descriptors(vec![configuration(1, &[(1, (255, 254, 1))])]);
        assert!(!similar.offer_mux() && similar.fault().is_none());
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_a_fault_only_without_a_mux() {
        let mut phone = phone();
        phone.announced = 5;
        assert_eq!(phone.fault(), None);
        phone.configurations.truncate(2);
        assert!(phone.fault().unwrap().contains("only 2 of 5"));
    }
}
