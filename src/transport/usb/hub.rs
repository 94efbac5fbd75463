//! Power of one port off and on again, by the hub it belongs to.
//!
//! May import: base, rusb.

use super::bus::Seen;
use super::words::reason;
use crate::ids::PortPath;
use crate::transport::RungError;
use rusb::{Context, Device, DeviceHandle, Version};
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

/// Takes the power of a device's port away for [`OFF`]. Blocks for as long.
///
/// # Errors
/// In words, if the hub cannot, may not, or failed.
fn power_cycle(device: &Device<Context>, port: &PortPath) -> Result<(), RungError> {
    let name = parent_name(port);
    let not_possible = |why: &str| RungError::NotPossible(format!("the hub at {name} {why}"));
    let hub = device.get_parent().ok_or_else(|| not_possible("is not known"))?;
    let number = u16::from(device.port_number());
    let handle = hub.open().map_err(|error| match error {
        rusb::Error::Access => RungError::NotPossible(format!("no permission for the hub at {name}")),
        other => not_possible(&format!("cannot be opened: {}", reason(other))),
    })?;
    if !switches_single_ports(&handle, &hub).map_err(|why| not_possible(&why))? {
        return Err(not_possible("cannot switch single ports"));
    }
    let failed = |why: String| RungError::Failed(format!("the hub at {name} {why}"));
    order(&handle, CLEAR_FEATURE, number)
        .map_err(|error| failed(format!("did not switch port {number} off: {}", reason(error))))?;
    let dark = !is_powered(&handle, &hub, number);
    dark_for(OFF);
    let mut tries = (0..ON_TRIES).map(|_| order(&handle, SET_FEATURE, number));
    if !tries.any(|result| result.is_ok()) {
        return Err(failed(format!("left port {number} without power; plug the device into another port")));
    }
    match dark {
        true => Ok(()),
        false => Err(failed(format!("said yes, but port {number} kept its power"))),
    }
}

/// Not a timer of the runtime: a port must not stay dark because a task was dropped meanwhile.
#[allow(clippy::disallowed_methods)] // on a thread for blocking work
fn dark_for(time: Duration) {
    std::thread::sleep(time);
}

/// Individual power switching (wHubCharacteristics, bits 0 and 1).
fn switches_single_ports(handle: &DeviceHandle<Context>, hub: &Device<Context>) -> Result<bool, String> {
    let kind = if is_superspeed(hub) { SUPERSPEED_HUB_DESCRIPTOR } else { HUB_DESCRIPTOR };
    let mut answer = [0; 71];
    let length = handle
        .read_control(FROM_HUB, GET_DESCRIPTOR, kind, 0, &mut answer, ANSWER)
        .map_err(|error| format!("does not say what it can: {}", reason(error)))?;
    Ok(says_individual(answer.get(..length).unwrap_or_default()))
}

fn says_individual(descriptor: &[u8]) -> bool {
    descriptor.get(3).is_some_and(|low| low & 0b11 == 0b01)
}

fn order(handle: &DeviceHandle<Context>, request: u8, port: u16) -> rusb::Result<()> {
    handle.write_control(TO_PORT, request, PORT_POWER, port, &[], ANSWER).map(|_| ())
}

/// A hub that does not tell is believed to have no power there.
fn is_powered(handle: &DeviceHandle<Context>, hub: &Device<Context>, port: u16) -> bool {
    let mut status = [0; 4];
    let answered = handle.read_control(FROM_PORT, GET_STATUS, 0, port, &mut status, ANSWER);
    // Bit 8 of wPortStatus, or bit 9 of a SuperSpeed hub.
    let bit = if is_superspeed(hub) { 2 } else { 1 };
    answered.is_ok_and(|length| length == status.len()) && status[1] & bit != 0
}

fn is_superspeed(hub: &Device<Context>) -> bool {
    hub.device_descriptor().is_ok_and(|d| d.usb_version() >= Version(3, 0, 0))
}

/// Where the hub of a port hangs: `1-4` for `1-4.2`, `usb1` for the root hub.
fn parent_name(port: &PortPath) -> String {
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
        assert_eq!(parent_name(&port(&[4, 2])), "1-4");
        assert_eq!(parent_name(&port(&[4])), "usb1");
    }
}
