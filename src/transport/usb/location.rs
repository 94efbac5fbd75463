//! Which device on the bus a mux means: by serial string, else by the location it reports
//! (protocols.md 0.4, 1.4).
//!
//! May import: base.

use super::UsbDevice;
use super::bus::{Look, Seen};
use crate::transport::Attachment;
use std::sync::Arc;

/// Which form a location has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocationForm {
    /// Bus and address, as usbmuxd on Linux reports them.
    BusAndAddress,
    /// IOKit's: the bus in the top byte, then one hex digit a port.
    Ports,
}

impl LocationForm {
    /// That of this system's mux.
    pub(super) fn here() -> Self {
        if cfg!(target_os = "macos") { Self::Ports } else { Self::BusAndAddress }
    }

    /// True if `location` names the place of `device`.
    pub(super) fn names(self, location: u32, device: &UsbDevice) -> bool {
        match self {
            Self::BusAndAddress => location == device.location(),
            Self::Ports => {
                let (bus, ports) = bus_and_ports(location);
                (bus, &ports) == (device.port.bus, &device.port.ports)
            }
        }
    }
}

/// Bus and ports of an IOKit location: `0x14240000` is bus 0x14, port 2, then port 4.
fn bus_and_ports(location: u32) -> (u8, Vec<u8>) {
    let [bus, rest @ ..] = location.to_be_bytes();
    let digits = rest.into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    (bus, digits.take_while(|digit| *digit != 0).collect())
}

/// The device `attachment` is about, among those on the bus.
pub(super) fn find<'a>(form: LocationForm, attachment: &Attachment, look: &'a Look) -> Option<&'a Arc<Seen>> {
    let mut devices = look.devices.values();
    let by_serial = devices.find(|seen| seen.udid.as_ref() == Some(&attachment.udid));
    if by_serial.is_some() || attachment.simulated {
        return by_serial;
    }
    let location = attachment.location.filter(|location| *location != 0)?;
    let mut nameless = look.devices.values().filter(|seen| seen.device.serial.is_none());
    nameless.find(|seen| form.names(location, &seen.device))
}

#[cfg(test)]
mod tests {
    use super::super::bus::tests::seen;
    use super::*;
    use crate::ids::{MuxId, PortPath};
    use crate::transport::UsbMode;

    fn look(devices: Vec<Seen>) -> Look {
        let devices = devices.into_iter().map(|seen| (seen.number, Arc::new(seen)));
        Look { settled: true, devices: devices.collect() }
    }

    fn nameless(number: u64, port: u8) -> Seen {
        let mut seen = seen(number, port, UsbMode::Normal, "");
        seen.device.serial = None;
        seen
    }

    fn attachment(udid: &str, location: u32) -> Attachment {
        Attachment {
            id: MuxId(1),
            udid: udid.parse().unwrap(),
            location: Some(location),
            port: None,
            speed: None,
            product_id: None,
            simulated: false,
        }
    }

    const A: &str = "00008110001A2B3C4D5E6F70";
    const B: &str = "00008110-001A2B3C4D5E6F71";

    #[test]
    fn the_serial_decides_and_the_location_only_where_there_is_none() {
        let bus =
            look(vec![seen(1, 5, UsbMode::Normal, A), nameless(2, 6), seen(3, 7, UsbMode::Normal, "other")]);
        let port = |attachment: &Attachment| {
            find(LocationForm::BusAndAddress, attachment, &bus).map(|seen| seen.device.port.to_string())
        };
        assert_eq!(port(&attachment(A, 0x1_0006)).as_deref(), Some("1-5"), "the serial goes before");
        assert_eq!(port(&attachment(B, 0x1_0006)).as_deref(), Some("1-6"));
        assert_eq!(port(&attachment(B, 0x1_0007)), None, "another device stands there");
        assert_eq!(port(&attachment(B, 0)), None);
        let mut simulated = attachment(B, 0x1_0006);
        simulated.simulated = true;
        assert_eq!(port(&simulated), None);
    }

    #[test]
    fn iokit_locations_are_ports() {
        assert_eq!(bus_and_ports(0x1424_0000), (0x14, vec![2, 4]));
        assert_eq!(bus_and_ports(0x0110_0000), (1, vec![1]));
        assert_eq!(bus_and_ports(0x0212_3456), (2, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(bus_and_ports(0x1400_0000), (0x14, vec![]));
        let mut device = nameless(1, 9).device;
        device.port = PortPath { controller: None, bus: 1, ports: vec![4, 2] };
        assert!(LocationForm::Ports.names(0x0142_0000, &device));
        assert!(!LocationForm::Ports.names(0x0141_0000, &device));
    }
}
