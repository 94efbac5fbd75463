//! Power of one port off and on again, by the hub it belongs to: both halves of it.
//!
//! May import: base, rusb.

use super::bus::Seen;
use super::device::{HUB_CLASS, port_of};
use super::sysfs::{self, Peer};
use super::words::reason;
use crate::ids::PortPath;
use crate::transport::RungError;
use rusb::{Context, Device, DeviceHandle, UsbContext, Version};
use std::sync::Arc;
use std::time::Duration;

/// One request to a hub.
const ANSWER: Duration = Duration::from_secs(1);

/// Pause without power: long enough for the capacitors of a phone's port to empty.
const OFF: Duration = Duration::from_secs(2);

/// Tries to bring the power back: a port left dark would need a person.
const ON_TRIES: usize = 3;

// Requests and features of hubs (USB 2.0, chapter 11.24).
const TO_PORT: u8 = 0x23;
const FROM_PORT: u8 = 0xa3;
const FROM_HUB: u8 = 0xa0;
const GET_STATUS: u8 = 0;
const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const GET_DESCRIPTOR: u8 = 6;
const PORT_POWER: u16 = 8;
const HUB_DESCRIPTOR: u16 = 0x2900;
const SUPERSPEED_HUB_DESCRIPTOR: u16 = 0x2a00;

/// [`power_cycle`] of what was seen on the bus.
///
/// # Errors
/// As there.
pub(super) async fn power_cycle_of(seen: Arc<Seen>) -> Result<(), RungError> {
    let run = move || match &seen.handle {
        Some(device) => power_cycle(device, &seen.device.port),
        None => Err(RungError::NotPossible("the bus is not open".to_owned())),
    };
    let ran = tokio::task::spawn_blocking(run).await;
    ran.unwrap_or_else(|_| Err(RungError::Failed("the thread for it ended".to_owned())))
}

/// Takes the power of a device's port away for [`OFF`], on both halves of its hub. Blocks for
/// as long.
///
/// # Errors
/// In words, if the hub cannot, may not, or failed; also if only one half was switched, which
/// the device may not have noticed.
fn power_cycle(device: &Device<Context>, port: &PortPath) -> Result<(), RungError> {
    let unknown = || RungError::NotPossible(format!("the hub at {} is not known", hub_name(port)));
    let hub = device.get_parent().ok_or_else(unknown)?;
    let near = HubPort::open(&hub, port).map_err(RungError::NotPossible)?;
    let (far, mut trouble) = match far_half(&hub, port) {
        Ok(far) => (far, None),
        Err(why) => (None, Some(why)),
    };
    near.power(false).map_err(RungError::Failed)?;
    if let Some(Err(why)) = far.as_ref().map(|far| far.power(false)) {
        trouble = Some(why);
    }
    let halves: Vec<&HubPort> = [Some(&near), far.as_ref()].into_iter().flatten().collect();
    let lit: Vec<String> = halves.iter().filter(|half| half.is_powered()).map(|half| half.name()).collect();
    dark_for(OFF);
    let dead: Vec<String> = halves.iter().filter(|half| !half.relight()).map(|half| half.name()).collect();
    if !dead.is_empty() {
        let what = dead.join(" and ");
        return Err(RungError::Failed(format!("{what} was left without power; take another port")));
    }
    if let Some(why) = trouble {
        return Err(RungError::Failed(format!(
            "{} was switched, but its other half was not, so the device may have kept its power: {why}",
            near.name()
        )));
    }
    match lit.is_empty() {
        true => Ok(()),
        false => {
            Err(RungError::Failed(format!("the hub said yes, but {} kept its power", lit.join(" and "))))
        }
    }
}

/// The same socket on the other half of a USB 3 hub, which is two hubs: a device loses its
/// power only if both take it away. `None` if there is no other half.
fn far_half(hub: &Device<Context>, port: &PortPath) -> Result<Option<HubPort>, String> {
    let hubs: Vec<(PortPath, Device<Context>)> = hubs(hub);
    let known: Vec<PortPath> = hubs.iter().map(|(place, _)| place.clone()).collect();
    let Some(peer) = peer_of(port, sysfs::peer(port), &known, has_two_halves(hub))? else { return Ok(None) };
    let above = peer.ports.split_last().map(|(_, above)| above);
    let found = hubs.iter().find(|(place, _)| place.bus == peer.bus && Some(&place.ports[..]) == above);
    let (_, far) = found.ok_or_else(|| format!("the hub at {} is not to be found", hub_name(&peer)))?;
    HubPort::open(far, &peer).map(Some)
}

/// Where a port's other half is. `told` is what the system says of it, `hubs` are all hubs.
/// Without its word it is the port of the same name on another bus of the same controller.
fn peer_of(
    port: &PortPath,
    told: Peer,
    hubs: &[PortPath],
    must_exist: bool,
) -> Result<Option<PortPath>, String> {
    match told {
        Peer::At(peer) => return Ok(Some(peer)),
        Peer::None => return Ok(None),
        Peer::Unknown if !must_exist => return Ok(None),
        Peer::Unknown => {}
    }
    let above = port.ports.split_last().map(|(_, above)| above);
    let companion = |hub: &&PortPath| {
        hub.bus != port.bus
            && hub.controller.is_some()
            && hub.controller == port.controller
            && Some(&hub.ports[..]) == above
    };
    match hubs.iter().find(companion) {
        Some(hub) => Ok(Some(PortPath { bus: hub.bus, ..port.clone() })),
        None => Err("the system does not tell where it is".to_owned()),
    }
}

/// Every hub on the computer, and where it hangs; root hubs hang on no port.
fn hubs(any: &Device<Context>) -> Vec<(PortPath, Device<Context>)> {
    let Ok(all) = any.context().devices() else { return Vec::new() };
    let hubs = all.iter().filter(|d| d.device_descriptor().is_ok_and(|d| d.class_code() == HUB_CLASS));
    hubs.map(|hub| (port_of(&hub), hub)).collect()
}

/// A hub of USB 3 shows itself twice; its slow half says USB 2.1. Root hubs say 2.0, and the
/// system knows of their other half or there is none.
fn has_two_halves(hub: &Device<Context>) -> bool {
    hub.device_descriptor().is_ok_and(|d| d.usb_version() >= Version(2, 1, 0))
}

/// A port of an open hub that switches single ports.
struct HubPort {
    handle: DeviceHandle<Context>,
    superspeed: bool,
    hub: String,
    number: u16,
}

impl HubPort {
    /// Opens `hub`, the hub that `port` belongs to.
    ///
    /// # Errors
    /// Why its power cannot be switched, in words.
    fn open(hub: &Device<Context>, port: &PortPath) -> Result<Self, String> {
        let name = hub_name(port);
        let handle = hub.open().map_err(|error| match error {
            rusb::Error::Access => format!("no permission for the hub at {name}"),
            other => format!("the hub at {name} cannot be opened: {}", reason(other)),
        })?;
        let superspeed = is_superspeed(hub);
        let number = port.ports.last().copied().map_or(0, u16::from);
        let opened = Self { handle, superspeed, hub: name, number };
        match opened.switches_single_ports() {
            Ok(true) => Ok(opened),
            Ok(false) => Err(format!("the hub at {} cannot switch single ports", opened.hub)),
            Err(why) => Err(format!("the hub at {} does not say what it can: {why}", opened.hub)),
        }
    }

    fn name(&self) -> String {
        format!("port {} of the hub at {}", self.number, self.hub)
    }

    /// Individual power switching (wHubCharacteristics, bits 0 and 1).
    fn switches_single_ports(&self) -> Result<bool, &'static str> {
        let kind = if self.superspeed { SUPERSPEED_HUB_DESCRIPTOR } else { HUB_DESCRIPTOR };
        let mut answer = [0; 71];
        let length = self
            .handle
            .read_control(FROM_HUB, GET_DESCRIPTOR, kind, 0, &mut answer, ANSWER)
            .map_err(reason)?;
        Ok(says_individual(answer.get(..length).unwrap_or_default()))
    }

    fn power(&self, on: bool) -> Result<(), String> {
        let request = if on { SET_FEATURE } else { CLEAR_FEATURE };
        let done = self.handle.write_control(TO_PORT, request, PORT_POWER, self.number, &[], ANSWER);
        let word = if on { "on" } else { "off" };
        done.map(|_| ())
            .map_err(|error| format!("{} was not switched {word}: {}", self.name(), reason(error)))
    }

    /// Brings the power back, whatever it takes; false if it cannot.
    fn relight(&self) -> bool {
        (0..ON_TRIES).any(|_| self.power(true).is_ok())
    }

    /// A hub that does not tell is believed to have no power there.
    fn is_powered(&self) -> bool {
        let mut status = [0; 4];
        let answered = self.handle.read_control(FROM_PORT, GET_STATUS, 0, self.number, &mut status, ANSWER);
        // Bit 8 of wPortStatus, or bit 9 of a SuperSpeed hub.
        let bit = if self.superspeed { 2 } else { 1 };
        answered.is_ok_and(|length| length == status.len()) && status[1] & bit != 0
    }
}

/// Not a timer of the runtime: a port must not stay dark because a task was dropped meanwhile.
#[allow(clippy::disallowed_methods)] // on a thread for blocking work
fn dark_for(time: Duration) {
    std::thread::sleep(time);
}

fn says_individual(descriptor: &[u8]) -> bool {
    descriptor.get(3).is_some_and(|low| low & 0b11 == 0b01)
}

fn is_superspeed(hub: &Device<Context>) -> bool {
    hub.device_descriptor().is_ok_and(|d| d.usb_version() >= Version(3, 0, 0))
}

/// Where the hub of a port hangs: `1-4` for `1-4.2`, `usb1` for the root hub.
fn hub_name(port: &PortPath) -> String {
    match port.ports.split_last() {
        Some((_, above)) if !above.is_empty() => {
            PortPath { ports: above.to_vec(), ..port.clone() }.to_string()
        }
        _ => format!("usb{}", port.bus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_individual_switching_counts() {
        let descriptor = |low: u8| [9, 0x29, 4, low, 0, 50, 100, 0, 0xff];
        assert!(says_individual(&descriptor(0b0000_1001)));
        for other in [0b00, 0b10, 0b11] {
            assert!(!says_individual(&descriptor(other)));
        }
        assert!(!says_individual(&[9, 0x29]));
    }

    #[test]
    fn hubs_are_named_as_linux_names_them() {
        let port = |ports: &[u8]| PortPath { controller: None, bus: 1, ports: ports.to_vec() };
        assert_eq!(hub_name(&port(&[4, 2])), "1-4");
        assert_eq!(hub_name(&port(&[4])), "usb1");
    }

    #[test]
    fn the_other_half_is_where_the_system_says_or_on_the_companion_bus() {
        let port = |bus, ports: &[u8]| PortPath {
            controller: Some("0000:00:14.0".into()),
            bus,
            ports: ports.to_vec(),
        };
        let (usb2, usb3) = (port(1, &[4, 2]), port(2, &[4, 2]));
        let told = port(2, &[9, 2]);
        assert_eq!(peer_of(&usb2, Peer::At(told.clone()), &[], true), Ok(Some(told)));
        // The system knows the ports and sees no other half: the hub hangs on a USB 2 cable.
        assert_eq!(peer_of(&usb2, Peer::None, &[port(2, &[4])], true), Ok(None));
        let hubs = [port(1, &[]), port(1, &[4]), port(2, &[]), port(2, &[4])];
        assert_eq!(peer_of(&usb2, Peer::Unknown, &hubs, true), Ok(Some(usb3.clone())));
        assert_eq!(peer_of(&usb3, Peer::Unknown, &hubs, true), Ok(Some(usb2.clone())));
        assert_eq!(peer_of(&usb2, Peer::Unknown, &hubs, false), Ok(None), "a hub of USB 2 alone");
        assert!(peer_of(&usb2, Peer::Unknown, &hubs[..3], true).is_err());
        let other = PortPath { controller: Some("0000:05:00.0".into()), ..port(3, &[4]) };
        assert!(peer_of(&usb2, Peer::Unknown, &[other], true).is_err());
        let nowhere = PortPath { controller: None, ..usb2 };
        let hubs = [PortPath { controller: None, ..port(2, &[4]) }];
        assert!(peer_of(&nowhere, Peer::Unknown, &hubs, true).is_err());
    }
}
