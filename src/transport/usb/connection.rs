//! Bringing one device up: open, mode and configuration, claim; and giving it back
//! (protocols.md 1.3, 1.4, 1.11). Everything here blocks.
//!
//! May import: base, rusb.

use super::bus::Seen;
use super::descriptors::{Choice, MuxInterface};
use super::device::read_serial;
use super::unserved::owner_of;
use super::words::failed;
use crate::ids::{PortPath, Udid};
use rusb::{Context, DeviceHandle, Error};
use std::sync::Arc;
use std::time::Duration;

/// One vendor request (1.3).
const MODE_ANSWER: Duration = Duration::from_millis(1000);

/// Vendor request from the device (1.3).
const VENDOR_IN: u8 = 0xc0;
const GET_MODE: u8 = 0x45;
const SET_MODE: u8 = 0x52;

/// CDC-NCM: a mode every recent device knows, and one with a mux (1.3).
const MODE_WITH_MUX: u16 = 3;

/// The coprocessor that "must keep configuration 1" (1.1).
const T1: u16 = 0x8600;

/// Why a device could not be brought up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No permission for the device's node.
    NoPermission,
    /// Another program holds it; its name, where known.
    Busy(Option<String>),
    /// It left.
    Gone,
    /// Something about it cannot be right, or the system failed; how.
    Broken(String),
}

/// A device whose mux interface is ours. Blocks when dropped.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The open device.
    pub(super) handle: Arc<DeviceHandle<Context>>,
    /// Its mux interface.
    pub(super) mux: MuxInterface,
    /// Who it is.
    pub(super) udid: Udid,
    /// A kernel driver had the mux interface and gets it back.
    detached: bool,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        // Nothing can be done about a device that does not let go: it is gone.
        _ = self.handle.release_interface(self.mux.number);
        if self.detached {
            _ = self.handle.attach_kernel_driver(self.mux.number);
        }
    }
}

/// Opens, configures and claims; `clear` also clears halts an earlier owner may have left.
///
/// # Errors
/// [`Failure`].
pub(super) fn claim(seen: &Seen, clear: bool) -> Result<Claimed, Failure> {
    let port = &seen.device.port;
    let handle = Arc::new(open(seen)?);
    let mux = configure(seen, &handle)?;
    let detached = detach(&handle, mux.number);
    let claimed = handle.claim_interface(mux.number);
    claimed.map_err(|e| failure(seen, &format!("claiming interface {}", mux.number), e))?;
    let named = name(seen, &handle);
    // From here on dropping gives it back.
    let claimed = |udid| Claimed { handle: Arc::clone(&handle), mux, udid, detached };
    let claimed = match named {
        Ok(udid) => claimed(udid),
        Err(why) => {
            _ = handle.release_interface(mux.number);
            return Err(why);
        }
    };
    if clear {
        for endpoint in [mux.input, mux.output] {
            let cleared = claimed.handle.clear_halt(endpoint);
            cleared.map_err(|e| Failure::Broken(failed("clearing a halted endpoint", port, e)))?;
        }
    }
    Ok(claimed)
}

fn open(seen: &Seen) -> Result<DeviceHandle<Context>, Failure> {
    let device = seen.handle.as_ref().ok_or(Failure::Gone)?;
    device.open().map_err(|e| failure(seen, "opening", e))
}

/// The configuration of 1.3, set if need be.
fn configure(seen: &Seen, handle: &DeviceHandle<Context>) -> Result<MuxInterface, Failure> {
    // What cannot be read counts as unconfigured: the right one is set then.
    let active = handle.active_configuration().ok();
    match seen.descriptors.choose(active, seen.device.product_id == T1) {
        Choice::Keep(mux) => Ok(mux),
        Choice::Set(number, mux) => {
            let mut without = seen.descriptors.interfaces_of(active.unwrap_or(0));
            without.retain(|interface| detach(handle, *interface));
            tracing::debug!(port = %seen.device.port, ?active, number, "setting the configuration");
            if let Err(error) = handle.set_active_configuration(number) {
                for interface in without {
                    // As it was before, as far as it lets us.
                    _ = handle.attach_kernel_driver(interface);
                }
                return Err(failure(seen, &format!("setting configuration {number}"), error));
            }
            Ok(mux)
        }
        Choice::NoMux => Err(Failure::Broken("no configuration of it offers a mux".to_owned())),
        Choice::Broken(how) => Err(Failure::Broken(how)),
    }
}

/// True if a kernel driver was there and is not any more.
fn detach(handle: &DeviceHandle<Context>, interface: u8) -> bool {
    // "Not supported" and "not found" mean that there is none to detach.
    handle.kernel_driver_active(interface).unwrap_or(false) && handle.detach_kernel_driver(interface).is_ok()
}

/// The UDID: by the device's own word, else by what the kernel read when it came.
fn name(seen: &Seen, handle: &DeviceHandle<Context>) -> Result<Udid, Failure> {
    let index = seen.descriptors.serial_index.ok_or_else(|| nameless("it has no serial number"))?;
    let text = match read_serial(handle, index) {
        Ok(text) => text,
        Err(Error::NoDevice) => return Err(Failure::Gone),
        Err(error) => {
            let words = failed("reading the serial number", &seen.device.port, error);
            Some(seen.device.serial.clone().ok_or(Failure::Broken(words))?)
        }
    };
    let text = text.ok_or_else(|| nameless("its serial number is empty"))?;
    text.parse().map_err(|_| nameless(&format!("its serial number '{text}' is no UDID")))
}

fn nameless(why: &str) -> Failure {
    Failure::Broken(why.to_owned())
}

fn failure(seen: &Seen, what: &str, error: Error) -> Failure {
    match error {
        Error::Access => Failure::NoPermission,
        Error::Busy => Failure::Busy(owner_of(seen)),
        Error::NoDevice => Failure::Gone,
        other => Failure::Broken(failed(what, &seen.device.port, other)),
    }
}

/// Asks a device without any mux to offer one. True if it agreed: it leaves and comes again
/// (1.3).
///
/// # Errors
/// [`Failure`]; a device that does not know the request has not agreed.
pub(super) fn ask_for_mux(seen: &Seen) -> Result<bool, Failure> {
    let handle = open(seen)?;
    let mut mode = [0; 4];
    let known = handle.read_control(VENDOR_IN, GET_MODE, 0, 0, &mut mode, MODE_ANSWER);
    let port = &seen.device.port;
    tracing::info!(%port, ?mode, known = known.is_ok(), "no configuration offers a mux; asking for one");
    let mut answer = [0xff];
    let asked = handle.read_control(VENDOR_IN, SET_MODE, 0, MODE_WITH_MUX, &mut answer, MODE_ANSWER);
    Ok(matches!(asked, Ok(1)) && answer == [0])
}

/// A reset of an open device.
///
/// # Errors
/// In words.
pub(super) fn reset(handle: &DeviceHandle<Context>, port: &PortPath) -> Result<(), String> {
    match handle.reset() {
        // "Not found" means that it came out of the reset as something else: it comes again.
        Ok(()) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(failed("a reset", port, error)),
    }
}

/// A reset of a device that is not ours to speak to.
///
/// # Errors
/// In words.
pub(super) fn reset_unclaimed(seen: &Seen) -> Result<(), String> {
    let port = &seen.device.port;
    let handle = seen.handle.as_ref().ok_or_else(|| "the bus is not open".to_owned())?.open();
    reset(&handle.map_err(|error| failed("opening for a reset", port, error))?, port)
}
