//! USB descriptors: built from a few words, and read back as the kernel reads them.

use super::device::{Control, Setup, Speed};
use std::collections::BTreeMap;

const GET_DESCRIPTOR: u8 = 6;
const DEVICE: u8 = 1;
const CONFIGURATION: u8 = 2;
const STRING: u8 = 3;
const INTERFACE: u8 = 4;
const ENDPOINT: u8 = 5;
/// English, the one language.
const LANGUAGE: [u8; 4] = [4, STRING, 0x09, 0x04];

/// String indexes of all devices here.
pub const MANUFACTURER: u8 = 1;
/// Of the product's name.
pub const PRODUCT: u8 = 2;
/// Of the serial string.
pub const SERIAL: u8 = 3;

/// How an endpoint moves data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bulk,
    Interrupt,
}

/// An interface's class, subclass, protocol.
pub type Class = (u8, u8, u8);

/// All that a device says of itself.
#[derive(Debug, Clone)]
pub struct Descriptors {
    pub speed: Speed,
    /// Vendor and product.
    pub id: (u16, u16),
    /// Class of the device; 0 leaves it to the interfaces.
    pub class: Class,
    /// Configuration descriptors, whole; broken ones are given to the host as they are.
    pub configurations: Vec<Vec<u8>>,
    pub strings: BTreeMap<u8, String>,
    /// Ports of a hub.
    pub ports: u8,
}

impl Descriptors {
    /// A high-speed Apple device with strings for maker, product and, where given, serial.
    pub fn apple(product_id: u16, product: &str, serial: Option<&str>) -> Self {
        let mut strings = BTreeMap::new();
        strings.insert(MANUFACTURER, "Apple Inc.".to_owned());
        strings.insert(PRODUCT, product.to_owned());
        if let Some(serial) = serial {
            strings.insert(SERIAL, serial.to_owned());
        }
        Self {
            speed: Speed::High,
            id: (0x05ac, product_id),
            class: (0, 0, 0),
            configurations: Vec::new(),
            strings,
            ports: 0,
        }
    }

    /// Adds a configuration; they are numbered from 1.
    pub fn with(mut self, configuration: ConfigurationBuilder) -> Self {
        let value = u8::try_from(self.configurations.len() + 1).unwrap();
        self.configurations.push(configuration.build(value));
        self
    }

    /// The device descriptor.
    pub fn device(&self) -> Vec<u8> {
        let index = |of: u8| if self.strings.contains_key(&of) { of } else { 0 };
        let usb = if self.speed == Speed::Super { 0x0300_u16 } else { 0x0200 };
        let mut bytes = vec![18, DEVICE];
        bytes.extend(usb.to_le_bytes());
        bytes.extend([
            self.class.0,
            self.class.1,
            self.class.2,
            if self.speed == Speed::Super { 9 } else { 64 },
        ]);
        bytes.extend(self.id.0.to_le_bytes());
        bytes.extend(self.id.1.to_le_bytes());
        bytes.extend(0x0504_u16.to_le_bytes());
        bytes.extend([index(MANUFACTURER), index(PRODUCT), index(SERIAL)]);
        bytes.push(u8::try_from(self.configurations.len()).unwrap());
        bytes
    }

    /// As sysfs and the node show them: the device's, then all configurations'.
    pub fn all(&self) -> Vec<u8> {
        let mut bytes = self.device();
        self.configurations.iter().for_each(|c| bytes.extend(c));
        bytes
    }

    /// The answer to a request for a standard descriptor, if this is one.
    pub fn answer(&self, setup: &Setup) -> Option<Control> {
        if (setup.request_type, setup.request) != (0x80, GET_DESCRIPTOR) {
            return None;
        }
        let [index, kind] = setup.value.to_le_bytes();
        let found = match kind {
            DEVICE => Some(self.device()),
            CONFIGURATION => self.configurations.get(usize::from(index)).cloned(),
            STRING if index == 0 => Some(LANGUAGE.to_vec()),
            STRING => self.strings.get(&index).map(|text| string(text)),
            _ => None,
        };
        Some(found.map_or(Control::Stall, Control::Data))
    }

    /// The configuration of that number, read.
    pub fn configuration(&self, value: u8) -> Option<Configuration> {
        let bytes = self.configurations.iter().find(|c| c.get(5) == Some(&value))?;
        Some(Configuration::read(bytes))
    }
}

/// A string descriptor; what does not fit is cut off.
fn string(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().take(126).flat_map(u16::to_le_bytes).collect();
    let mut bytes = vec![u8::try_from(units.len() + 2).unwrap(), STRING];
    bytes.extend(units);
    bytes
}

/// Writes a configuration descriptor.
#[derive(Debug, Clone, Default)]
pub struct ConfigurationBuilder {
    body: Vec<u8>,
    interfaces: u8,
}

impl ConfigurationBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an interface with its endpoints: address, kind, size of a packet.
    pub fn interface(mut self, class: Class, endpoints: &[(u8, Kind, u16)]) -> Self {
        let count = u8::try_from(endpoints.len()).unwrap();
        self.body.extend([9, INTERFACE, self.interfaces, 0, count, class.0, class.1, class.2, 0]);
        for (address, kind, size) in endpoints {
            let attributes = match kind {
                Kind::Bulk => 2,
                Kind::Interrupt => 3,
            };
            let interval = if *kind == Kind::Bulk { 0 } else { 10 };
            self.body.extend([7, ENDPOINT, *address, attributes]);
            self.body.extend(size.to_le_bytes());
            self.body.push(interval);
        }
        self.interfaces += 1;
        self
    }

    fn build(self, value: u8) -> Vec<u8> {
        let mut bytes = vec![9, CONFIGURATION];
        bytes.extend(u16::try_from(self.body.len() + 9).unwrap().to_le_bytes());
        bytes.extend([self.interfaces, value, 0, 0xc0, 250]);
        bytes.extend(self.body);
        bytes
    }
}

/// A configuration, read from its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    pub interfaces: Vec<Interface>,
}

/// An interface of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub number: u8,
    pub class: Class,
    /// Address, size of a packet.
    pub endpoints: Vec<(u8, usize)>,
}

impl Configuration {
    /// Reads what can be read.
    fn read(mut bytes: &[u8]) -> Self {
        let mut found = Self::default();
        while let [length, kind, ..] = bytes {
            let length = usize::from(*length);
            if length < 2 || length > bytes.len() {
                break;
            }
            let (one, rest) = bytes.split_at(length);
            match *kind {
                INTERFACE if length >= 9 => found.interfaces.push(Interface {
                    number: one[2],
                    class: (one[5], one[6], one[7]),
                    endpoints: Vec::new(),
                }),
                ENDPOINT if length >= 7 => {
                    let size = usize::from(u16::from_le_bytes([one[4], one[5]]) & 0x7ff);
                    if let Some(interface) = found.interfaces.last_mut() {
                        interface.endpoints.push((one[2], size));
                    }
                }
                _ => {}
            }
            bytes = rest;
        }
        found
    }

    /// The interface an endpoint belongs to, and the size of its packets.
    pub fn endpoint(&self, address: u8) -> Option<(u8, usize)> {
        self.interfaces.iter().find_map(|interface| {
            let (_, size) = interface.endpoints.iter().find(|(a, _)| *a == address)?;
            Some((interface.number, *size))
        })
    }

    /// True if it has the interface.
    pub fn has(&self, interface: u8) -> bool {
        self.interfaces.iter().any(|i| i.number == interface)
    }
}
