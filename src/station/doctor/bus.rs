//! What hangs on the USB bus, and how full it is.

use super::rivals::{self, Holder};
use super::{Check, udev};
use crate::ids::Udid;
use crate::transport::{Attachment, BusLoad, UsbDevice, UsbMode};
use std::path::Path;

const NAME: &str = "USB bus";

/// Who is to serve the devices.
#[derive(Debug, Clone, Copy)]
pub(super) enum Judge<'a> {
    /// A mux, which lists these.
    Mux(&'a [Attachment]),
    /// We ourselves, with the system's files below this root.
    Own(&'a Path),
}

/// Apple's devices, one check each: what the bus shows, and what keeps it from being served.
pub(super) fn devices(bus: &Result<Vec<UsbDevice>, String>, judge: Judge<'_>) -> Vec<Check> {
    let devices = match bus {
        Ok(devices) => devices,
        Err(reason) => {
            let fix = "Harmless with a mux elsewhere; else check the rights on /dev/bus/usb";
            return vec![Check::warning(NAME, format!("cannot be looked at ({reason})"), fix)];
        }
    };
    if devices.is_empty() {
        return vec![Check::good(NAME, "no Apple device on this computer's own bus")];
    }
    let check = |d: &UsbDevice| {
        let found = format!("{:04x} at port {}: {}", d.product_id, d.port, d.mode.words());
        match (d.mode, judge) {
            (UsbMode::Normal, Judge::Mux(listed)) => by_mux(d, found, listed),
            (UsbMode::Normal, Judge::Own(root)) => by_own(d, found, root),
            (UsbMode::NoMux, _) => Check::warning(
                NAME,
                found,
                "Unlock the device and allow the accessory, then plug it in again",
            ),
            (UsbMode::Recovery, _) => {
                Check::warning(NAME, found, "Restart it to normal mode: irecovery -n, or hold its buttons")
            }
            (UsbMode::Mac, _) => {
                Check::good(NAME, format!("{found}; profiles cannot be pushed to it by cable"))
            }
            (UsbMode::Dfu | UsbMode::Debug | UsbMode::Unsupported, _) => {
                Check::warning(NAME, found, "Force-restart the device, or restore it with a Mac")
            }
        }
    };
    devices.iter().map(check).collect()
}

fn by_mux(device: &UsbDevice, found: String, listed: &[Attachment]) -> Check {
    let udid: Option<Udid> = device.serial.as_ref().and_then(|serial| serial.parse().ok());
    let is_it = |a: &Attachment| a.location == Some(device.location()) || Some(&a.udid) == udid.as_ref();
    if listed.iter().any(is_it) {
        return Check::good(NAME, found);
    }
    Check::warning(
        NAME,
        format!("{found}, but the mux does not list it"),
        "Unlock it and plug it in again; then restart the mux: sudo systemctl restart usbmuxd",
    )
}

/// What our own mux could do with it: open it, and claim it from nobody.
fn by_own(device: &UsbDevice, found: String, root: &Path) -> Check {
    if udev::is_forbidden(root, device) {
        return Check::warning(NAME, format!("{found}, but this user may not open it"), udev::COEXIST);
    }
    match rivals::holder(root, device) {
        Some(Holder::Station(who)) => Check::good(NAME, format!("{found}; {who} holds it")),
        Some(Holder::Other(who)) => Check::warning(
            NAME,
            format!("{found}, but {who} holds it"),
            "Stop that program; if it is usbmuxd, stop it or go through it with --mux usbmuxd",
        ),
        None => Check::good(NAME, format!("{found}; the station's own mux can serve it")),
    }
}

/// Endpoints many xHCI host controllers have room for, the control endpoints of all devices
/// included; a phone in its usual configuration takes about seven.
const ENDPOINTS: usize = 96;

/// Addresses of a bus.
const ADDRESSES: usize = 127;

/// Tiers of a bus below the root hub: USB allows seven with it.
const TIERS: usize = 6;

/// A budget used up to this share, in percent, draws a warning: the next plug may fail, and
/// nothing says why.
const FULL_PERCENT: usize = 85;

/// One check for each bus that is nearly full; one that all are not.
pub(super) fn loads(loads: &[BusLoad]) -> Vec<Check> {
    const NAME: &str = "USB load";
    let full = |used: usize, most: usize| used * 100 >= most * FULL_PERCENT;
    let mut checks = Vec::new();
    for load in loads {
        let endpoints = load.endpoints + load.devices;
        let place = match &load.controller {
            Some(controller) => format!("bus {} (controller {controller})", load.bus),
            None => format!("bus {}", load.bus),
        };
        if full(endpoints, ENDPOINTS) {
            checks.push(Check::warning(
                NAME,
                format!(
                    "{place}: about {endpoints} endpoints in use; many controllers have room for {ENDPOINTS}"
                ),
                "Move a hub to a port of another controller, or add a USB card: lsusb -t shows the buses",
            ));
        }
        if full(load.devices, ADDRESSES) {
            checks.push(Check::warning(
                NAME,
                format!("{place}: {} of {ADDRESSES} addresses in use", load.devices),
                "Move a hub to another bus: lsusb -t shows the buses",
            ));
        }
        if load.depth >= TIERS {
            checks.push(Check::warning(
                NAME,
                format!(
                    "{place}: hubs hang on hubs {} deep; USB allows {TIERS} below the computer",
                    load.depth
                ),
                "Plug the last hub in nearer to the computer: a hub deeper down does not work",
            ));
        }
    }
    if checks.is_empty() && !loads.is_empty() {
        let devices: usize = loads.iter().map(|l| l.devices).sum();
        let buses = if loads.len() == 1 { "one bus".to_owned() } else { format!("{} buses", loads.len()) };
        checks.push(Check::good(NAME, format!("{devices} devices and hubs on {buses}; room for more")));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::station::doctor::Health;

    fn load(devices: usize, endpoints: usize, depth: usize) -> BusLoad {
        BusLoad { bus: 1, devices, endpoints, depth, ..BusLoad::default() }
    }

    #[test]
    fn a_bus_that_is_nearly_full_is_told_with_what_runs_out() {
        let found = |load| loads(&[load]).into_iter().map(|c| (c.health, c.found)).collect::<Vec<_>>();
        let calm = found(load(10, 60, 3));
        assert_eq!(calm[0].0, Health::Good);
        assert!(found(load(12, 72, 2))[0].1.contains("84 endpoints"));
        assert!(found(load(110, 0, 2)).iter().any(|(_, f)| f.contains("110 of 127 addresses")));
        assert!(found(load(3, 9, 6))[0].1.contains("6 deep"));
        assert!(loads(&[]).is_empty());
    }
}
