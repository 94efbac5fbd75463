//! An Apple device on the USB bus as its descriptors and the kernel show it, whoever drives it:
//! nothing is claimed, and nothing that a mux could serve is opened.
//!
//! May import: `wire`, base, rusb.

use super::descriptors::Descriptors;
use super::sysfs;
use crate::ids::PortPath;
use crate::wire::boot_identity::BootIdentity;
use rusb::{Context, Device, Speed, UsbContext};
use std::collections::BTreeMap;
use std::time::Duration;

/// Apple's vendor id (protocols.md 1.1).
pub(super) const APPLE: u16 = 0x05ac;

/// One control transfer for a string (1.4).
pub(super) const STRING_ANSWER: Duration = Duration::from_millis(1000);

/// Class of hubs.
pub(super) const HUB_CLASS: u8 = 9;

/// State of an Apple device as its descriptors tell it (1.1, 7.1, 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsbMode {
    /// Offers the mux: a phone or tablet that a mux can serve.
    Normal,
    /// In the range of phones and tablets, but no mux interface in any configuration.
    NoMux,
    /// Recovery.
    Recovery,
    /// DFU.
    Dfu,
    /// Debug USB of newer chips.
    Debug,
    /// A running Mac.
    Mac,
    /// Unsupported boot modes.
    Unsupported,
}

impl UsbMode {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::NoMux => "attached without data",
            Self::Recovery => "recovery mode",
            Self::Dfu => "DFU mode",
            Self::Debug => "debug USB or DFU of a newer chip",
            Self::Mac => "a Mac",
            Self::Unsupported => "an unsupported boot mode",
        }
    }

    /// True if its serial string is an identity string (8.1).
    fn has_boot_identity(self) -> bool {
        matches!(self, Self::Recovery | Self::Dfu | Self::Unsupported)
    }
}

/// An Apple device on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbDevice {
    /// Bus number.
    pub bus: u8,
    /// Address on the bus.
    pub address: u8,
    /// The port it hangs on.
    pub port: PortPath,
    /// Product id.
    pub product_id: u16,
    /// Mode.
    pub mode: UsbMode,
    /// The USB serial string, where it could be read without opening the device: in normal
    /// mode the UDID without its dash, of a Mac its serial number (0.4, 7.1).
    pub serial: Option<String>,
    /// What the serial string of recovery and DFU says (8.1).
    pub boot: Option<BootIdentity>,
    /// Configuration in use; `Some(0)` means that none is (1.3), `None` that it is not known.
    pub configuration: Option<u8>,
}

impl UsbDevice {
    /// The location a Linux usbmuxd would report: bus and address (1.4).
    pub fn location(&self) -> u32 {
        u32::from(self.bus) << 16 | u32::from(self.address)
    }
}

/// What hangs on one bus, for the budget of its host controller: some controllers have room for
/// 64 or 96 endpoints only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BusLoad {
    /// Bus number.
    pub bus: u8,
    /// Where the controller sits, such as the PCI address `0000:00:14.0`.
    pub controller: Option<String>,
    /// Devices of any maker, hubs included, the root hub not.
    pub devices: usize,
    /// Hubs among them.
    pub hubs: usize,
    /// Endpoints of the active configurations; the control endpoint every device has comes on
    /// top.
    pub endpoints: usize,
    /// Most hubs between the computer and a device, that device included; USB allows six.
    pub depth: usize,
}

/// All Apple phones, tablets and Macs on the bus.
///
/// # Errors
/// libusb's reason, if the bus cannot be looked at.
pub fn look() -> Result<Vec<UsbDevice>, String> {
    let devices = all()?;
    Ok(devices.iter().filter_map(|device| examine(&device)).map(|(device, _)| device).collect())
}

/// How full every bus is, by bus number.
///
/// # Errors
/// As [`look`].
pub fn load() -> Result<Vec<BusLoad>, String> {
    let mut loads = BTreeMap::new();
    for device in all()?.iter() {
        let bus = device.bus_number();
        let empty = || BusLoad { bus, controller: sysfs::controller(bus), ..BusLoad::default() };
        count(loads.entry(bus).or_insert_with(empty), &device);
    }
    Ok(loads.into_values().collect())
}

fn all() -> Result<rusb::DeviceList<Context>, String> {
    // Not the global context: it panics where there is no bus.
    Context::new().and_then(|context| context.devices()).map_err(|e| e.to_string())
}

fn count(load: &mut BusLoad, device: &Device<Context>) {
    let Some(depth) = device.port_numbers().ok().map(|ports| ports.len()).filter(|depth| *depth > 0) else {
        return;
    };
    let Ok(descriptor) = device.device_descriptor() else { return };
    let port = port_of(device);
    let descriptors = Descriptors::of(device);
    let active =
        sysfs::configuration(&port).or_else(|| Some(device.active_config_descriptor().ok()?.number()));
    let active = descriptors.configurations.iter().find(|c| Some(c.number) == active);
    load.devices += 1;
    load.hubs += usize::from(descriptor.class_code() == HUB_CLASS);
    load.endpoints += active.map_or(0, |c| c.endpoints());
    load.depth = load.depth.max(depth);
}

/// What is known of a device without touching it; `None` if it is none of Apple's that matter.
pub(super) fn examine(device: &Device<Context>) -> Option<(UsbDevice, Descriptors)> {
    let descriptor = device.device_descriptor().ok()?;
    if descriptor.vendor_id() != APPLE {
        return None;
    }
    let product_id = descriptor.product_id();
    let descriptors = Descriptors::of(device);
    let mode = mode_of(product_id, descriptors.offer_mux())?;
    let port = port_of(device);
    let serial = sysfs::serial(&port).or_else(|| match descriptors.offer_mux() {
        // "Do not open and claim a device on arrival": a mux may be in charge of it.
        true => None,
        false => string_elsewhere(device, &descriptors),
    });
    let boot = serial.as_deref().filter(|_| mode.has_boot_identity()).and_then(BootIdentity::parse);
    let found = UsbDevice {
        bus: device.bus_number(),
        address: device.address(),
        configuration: sysfs::configuration(&port),
        port,
        product_id,
        mode,
        serial,
        boot,
    };
    Some((found, descriptors))
}

pub(super) fn port_of(device: &Device<Context>) -> PortPath {
    let bus = device.bus_number();
    PortPath { controller: sysfs::controller(bus), bus, ports: device.port_numbers().unwrap_or_default() }
}

/// The serial string by asking the device, where the kernel keeps no copy.
fn string_elsewhere(device: &Device<Context>, descriptors: &Descriptors) -> Option<String> {
    if cfg!(target_os = "linux") {
        return None;
    }
    let index = descriptors.serial_index?;
    read_serial(&device.open().ok()?, index).ok().flatten()
}

/// The serial string in the device's first language (1.4); `None` if it is empty.
///
/// # Errors
/// libusb's.
pub(super) fn read_serial(handle: &rusb::DeviceHandle<Context>, index: u8) -> rusb::Result<Option<String>> {
    let languages = handle.read_languages(STRING_ANSWER)?;
    let language = languages.first().ok_or(rusb::Error::BadDescriptor)?;
    Ok(sysfs::cleaned(&handle.read_string_descriptor(*language, index, STRING_ANSWER)?))
}

/// Speed of a link in bit/s; an unknown one counts as high speed (1.4).
pub(super) fn bits_per_second(speed: Speed) -> u64 {
    match speed {
        Speed::Low => 1_500_000,
        Speed::Full => 12_000_000,
        Speed::Super => 5_000_000_000,
        Speed::SuperPlus => 10_000_000_000,
        _ => 480_000_000,
    }
}

/// Table 1.1; `None` for Apple's keyboards, hubs and the like.
fn mode_of(product_id: u16, offers_mux: bool) -> Option<UsbMode> {
    Some(match product_id {
        0x1290..=0x12af | 0x8600 if offers_mux => UsbMode::Normal,
        0x1290..=0x12af | 0x8600 => UsbMode::NoMux,
        // "Decide by interface, not by PID": restore systems of other chips have the mux.
        0x1901..=0x1905 if offers_mux => UsbMode::Normal,
        0x1901..=0x1905 => UsbMode::Mac,
        0x1280..=0x1283 => UsbMode::Recovery,
        0x1227 => UsbMode::Dfu,
        0x1881 => UsbMode::Debug,
        0x1222 | 0x1338 | 0xf014 => UsbMode::Unsupported,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_table_1_1_are_decided_by_interface() {
        assert_eq!(mode_of(0x12a8, true), Some(UsbMode::Normal));
        assert_eq!(mode_of(0x12ab, false), Some(UsbMode::NoMux));
        assert_eq!(mode_of(0x1905, false), Some(UsbMode::Mac));
        assert_eq!(mode_of(0x1905, true), Some(UsbMode::Normal));
        assert_eq!(mode_of(0x1281, false), Some(UsbMode::Recovery));
        assert_eq!(mode_of(0x1227, false), Some(UsbMode::Dfu));
        assert_eq!(mode_of(0x1881, false), Some(UsbMode::Debug));
        assert_eq!(mode_of(0x024f, false), None);
    }
}
