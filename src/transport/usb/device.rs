//! An Apple device on the USB bus as its descriptors show it, whoever drives it: nothing is
//! opened or claimed.

use crate::ids::PortPath;
use crate::wire::boot_identity::BootIdentity;
use rusb::{Context, DeviceDescriptor, UsbContext};

/// Apple's vendor id (protocols.md 1.1).
const APPLE: u16 = 0x05ac;

/// The mux interface: class, subclass, protocol; all three required (1.2).
const MUX_INTERFACE: (u8, u8, u8) = (255, 254, 2);

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

/// All Apple phones, tablets and Macs on the bus.
///
/// # Errors
/// libusb's reason, if the bus cannot be looked at.
pub fn look() -> Result<Vec<UsbDevice>, String> {
    // Not the global context: it panics where there is no bus.
    let devices = Context::new().and_then(|context| context.devices()).map_err(|e| e.to_string())?;
    Ok(devices.iter().filter_map(|device| examine(&device)).collect())
}

fn examine(device: &rusb::Device<Context>) -> Option<UsbDevice> {
    let descriptor = device.device_descriptor().ok()?;
    if descriptor.vendor_id() != APPLE {
        return None;
    }
    let product_id = descriptor.product_id();
    let mode = mode_of(product_id, || offers_mux(device, &descriptor))?;
    let ports = device.port_numbers().unwrap_or_default();
    let port = PortPath { controller: None, bus: device.bus_number(), ports };
    Some(UsbDevice {
        bus: device.bus_number(),
        address: device.address(),
        port,
        product_id,
        mode,
        serial: None,
        boot: None,
        configuration: None,
    })
}

/// Table 1.1; `None` for Apple's keyboards, hubs and the like.
fn mode_of(product_id: u16, offers_mux: impl Fn() -> bool) -> Option<UsbMode> {
    Some(match product_id {
        0x1290..=0x12af | 0x8600 if offers_mux() => UsbMode::Normal,
        0x1290..=0x12af | 0x8600 => UsbMode::NoMux,
        // "Decide by interface, not by PID": restore systems of other chips have the mux.
        0x1901..=0x1905 if offers_mux() => UsbMode::Normal,
        0x1901..=0x1905 => UsbMode::Mac,
        0x1280..=0x1283 => UsbMode::Recovery,
        0x1227 => UsbMode::Dfu,
        0x1881 => UsbMode::Debug,
        0x1222 | 0x1338 | 0xf014 => UsbMode::Unsupported,
        _ => return None,
    })
}

fn offers_mux(device: &rusb::Device<Context>, descriptor: &DeviceDescriptor) -> bool {
    (0..descriptor.num_configurations()).filter_map(|n| device.config_descriptor(n).ok()).any(|config| {
        config.interfaces().flat_map(|i| i.descriptors().collect::<Vec<_>>()).any(|interface| {
            let found = (interface.class_code(), interface.sub_class_code(), interface.protocol_code());
            found == MUX_INTERFACE
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_table_1_1_are_decided_by_interface() {
        assert_eq!(mode_of(0x12a8, || true), Some(UsbMode::Normal));
        assert_eq!(mode_of(0x12ab, || false), Some(UsbMode::NoMux));
        assert_eq!(mode_of(0x1905, || false), Some(UsbMode::Mac));
        assert_eq!(mode_of(0x1905, || true), Some(UsbMode::Normal));
        assert_eq!(mode_of(0x1281, || false), Some(UsbMode::Recovery));
        assert_eq!(mode_of(0x1227, || false), Some(UsbMode::Dfu));
        assert_eq!(mode_of(0x1881, || false), Some(UsbMode::Debug));
        assert_eq!(mode_of(0x024f, || false), None);
    }
}
