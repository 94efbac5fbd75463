//! Why a device that hangs on the bus is not listed by the mux in charge: a pure function of
//! what was found out.
//!
//! May import: base.

use super::bus::Seen;
use super::sysfs;
use crate::transport::{UnservedReason, UsbMode};

/// Driver name of interfaces held by a program.
const HELD_BY_PROGRAM: &str = "usbfs";

/// The mux in charge, by the name of its program.
const MUX_PROGRAM: &str = "usbmuxd";

/// What was found out about a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Circumstances {
    /// Mode of the device; `None` counts as normal.
    pub(super) mode: Option<UsbMode>,
    /// What cannot be right about its descriptors.
    pub(super) fault: Option<String>,
    /// True if the mux in charge can be reached.
    pub(super) mux_alive: bool,
    /// Configuration in use, as in [`super::UsbDevice`].
    pub(super) configuration: Option<u8>,
    /// Driver of the mux interface.
    pub(super) driver: Option<String>,
    /// Programs seen to have the device open.
    pub(super) openers: Vec<String>,
    /// True if the mux's program runs, though its open files may be hidden from us.
    pub(super) mux_runs: bool,
}

impl Circumstances {
    /// Finds out. Reads the kernel's files: not for a task's thread.
    pub(super) fn of(seen: &Seen, mux_alive: bool) -> Self {
        let device = seen.now();
        let active = device.configuration.filter(|number| *number != 0);
        let mux = seen.descriptors.mux_number();
        let driver = active.zip(mux).and_then(|(active, mux)| sysfs::driver(&device.port, active, mux));
        let held = driver.as_deref() == Some(HELD_BY_PROGRAM);
        Self {
            mode: Some(device.mode),
            fault: seen.fault(),
            mux_alive,
            configuration: device.configuration,
            openers: if held { sysfs::openers(device.bus, device.address) } else { Vec::new() },
            mux_runs: held && sysfs::runs(MUX_PROGRAM),
            driver,
        }
    }

    /// The reason to show: what explains most goes first.
    pub(super) fn reason(&self) -> UnservedReason {
        if let Some(fault) = &self.fault {
            return UnservedReason::Broken(fault.clone());
        }
        if self.mode.is_some_and(|mode| mode != UsbMode::Normal) {
            return UnservedReason::Mode;
        }
        if !self.mux_alive {
            return UnservedReason::MuxDead;
        }
        if let Some(owner) = self.other_owner() {
            return UnservedReason::OtherOwner(owner);
        }
        match self.configuration {
            Some(0) => UnservedReason::Unconfigured,
            _ => UnservedReason::NotListed,
        }
    }

    /// Who holds the mux interface, if it is not the mux.
    fn other_owner(&self) -> Option<Option<String>> {
        match self.driver.as_deref()? {
            HELD_BY_PROGRAM if self.openers.iter().any(|name| name == MUX_PROGRAM) => None,
            HELD_BY_PROGRAM => match self.openers.first() {
                Some(name) => Some(Some(name.clone())),
                None if self.mux_runs => None,
                None => Some(None),
            },
            driver => Some(Some(format!("the kernel driver {driver}"))),
        }
    }
}

/// The owner of a device whose mux interface we could not claim, by name.
pub(super) fn owner_of(seen: &Seen) -> Option<String> {
    let openers = sysfs::openers(seen.device.bus, seen.device.address);
    // Others may have it open to look at it; a mux has it open to hold it.
    let mux = openers.iter().find(|name| *name == MUX_PROGRAM);
    mux.or(openers.first()).cloned().or_else(|| {
        let device = seen.now();
        let driver = sysfs::driver(&device.port, device.configuration?, seen.descriptors.mux_number()?)?;
        match driver.as_str() {
            HELD_BY_PROGRAM => sysfs::runs(MUX_PROGRAM).then(|| MUX_PROGRAM.to_owned()),
            driver => Some(format!("the kernel driver {driver}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explains_most_is_the_reason() {
        let fine = || Circumstances { mux_alive: true, configuration: Some(4), ..Circumstances::default() };
        let held = |openers: &[&str], mux_runs| Circumstances {
            driver: Some("usbfs".into()),
            openers: openers.iter().map(|name| (*name).to_owned()).collect(),
            mux_runs,
            ..fine()
        };
        let with = |change: fn(&mut Circumstances)| {
            let mut circumstances = fine();
            change(&mut circumstances);
            circumstances
        };
        let other = |name: &str| UnservedReason::OtherOwner(Some(name.to_owned()));
        let cases = [
            (fine(), UnservedReason::NotListed),
            (with(|c| c.configuration = None), UnservedReason::NotListed),
            (with(|c| c.configuration = Some(0)), UnservedReason::Unconfigured),
            (with(|c| c.mux_alive = false), UnservedReason::MuxDead),
            (with(|c| (c.mux_alive, c.configuration) = (false, Some(0))), UnservedReason::MuxDead),
            (with(|c| c.fault = Some("odd".into())), UnservedReason::Broken("odd".into())),
            (
                with(|c| (c.fault, c.mux_alive) = (Some("odd".into()), false)),
                UnservedReason::Broken("odd".into()),
            ),
            (with(|c| c.mode = Some(UsbMode::Normal)), UnservedReason::NotListed),
            (with(|c| (c.mode, c.mux_alive) = (Some(UsbMode::Recovery), false)), UnservedReason::Mode),
            (held(&["qemu-system-x86"], true), other("qemu-system-x86")),
            (held(&["usbmuxd"], true), UnservedReason::NotListed),
            (held(&["lsusb", "usbmuxd"], true), UnservedReason::NotListed),
            (held(&[], true), UnservedReason::NotListed),
            (held(&[], false), UnservedReason::OtherOwner(None)),
            (with(|c| c.driver = Some("ipheth".into())), other("the kernel driver ipheth")),
        ];
        for (circumstances, reason) in cases {
            assert_eq!(circumstances.reason(), reason, "{circumstances:?}");
        }
    }
}
