//! Devices on the bus that no mux serves: who they are and how they stand, in words (8.2).

use super::doctor::udev::COEXIST;
use crate::ids::{Bay, Udid};
use crate::transport::{Unserved, UnservedReason, UsbMode};
use crate::wire::printable::printable;
use crate::workflow::event::DeviceLabel;
use crate::workflow::outcome::{Class, Outcome, Verdict};

/// The UDID, where the bus shows it: the serial string of normal mode (0.4).
pub fn udid(unserved: &Unserved) -> Option<Udid> {
    let normal = matches!(unserved.device.mode, UsbMode::Normal | UsbMode::NoMux);
    unserved.device.serial.as_ref().filter(|_| normal)?.parse().ok()
}

/// What names it to a person.
pub fn label(unserved: &Unserved) -> DeviceLabel {
    let device = &unserved.device;
    let boot = device.boot.as_ref();
    // A UDID is no serial number.
    let own = device.serial.as_ref().filter(|_| device.mode == UsbMode::Mac).map(|s| printable(s));
    DeviceLabel {
        serial: boot.and_then(|b| b.serial.clone()).or(own),
        name: None,
        product_type: boot.and_then(|b| b.product_type()).map(str::to_owned),
        os_version: None,
        ecid: boot.and_then(|b| b.ecid).or_else(|| udid(unserved)?.ecid()),
        imei: boot.and_then(|b| b.imei.clone()),
    }
}

/// True if a person who typed `text` means this device: its UDID, serial number, ECID or
/// IMEI.
pub fn is_meant_by(unserved: &Unserved, text: &str) -> bool {
    let label = label(unserved);
    let text = text.trim();
    let same = |known: &Option<String>| known.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(text));
    let hex = text.trim_start_matches("0x").trim_start_matches("0X");
    let ecid = u64::from_str_radix(hex, 16).ok();
    udid(unserved).is_some_and(|udid| udid.is_meant_by(text))
        || same(&label.serial)
        || same(&label.imei)
        || ecid.is_some() && ecid == label.ecid
}

/// How it stands in its bay.
pub fn standing(unserved: &Unserved, bay: &Bay) -> Verdict {
    let failed = |class, sentence: String, next: &str| Verdict::failed(class, sentence, next);
    match &unserved.reason {
        UnservedReason::Mode => of_mode(unserved),
        UnservedReason::MuxDead => failed(
            Class::Transport,
            "usbmuxd does not answer, so nothing can be said to the device.".into(),
            "Restart usbmuxd: sudo systemctl restart usbmuxd",
        ),
        UnservedReason::Unconfigured => failed(
            Class::Transport,
            "The device was left without a USB configuration, so it offers no data.".into(),
            "Plug it in again; then restart usbmuxd: sudo systemctl restart usbmuxd",
        ),
        UnservedReason::OtherOwner(name) => failed(
            Class::Configuration,
            match name {
                Some(name) => format!("Another program ({}) holds the device.", printable(name)),
                None => "Another program holds the device.".into(),
            },
            "Stop that program; if it is usbmuxd, stop it or go through it with --mux usbmuxd.",
        ),
        UnservedReason::NoPermission => failed(
            Class::Configuration,
            "The station has no permission to open the device.".into(),
            &format!("Install the udev rules: {COEXIST}"),
        ),
        UnservedReason::Silent => Verdict::from(Outcome::ChargingOnly)
            .saying("The device is attached and does not answer; it may be locked against accessories."),
        UnservedReason::NotListed => Verdict::from(Outcome::ChargingOnly).saying(
            "The device is attached, but the mux does not list it; it may be locked against accessories.",
        ),
        UnservedReason::Broken(how) => failed(
            Class::Transport,
            format!("What the device in {bay} says over USB cannot be right: {}.", printable(how)),
            "Try another cable and another port; then restart the device.",
        ),
    }
}

/// Its standing after the rungs of the ladder were taken in vain.
pub fn after_rungs(standing: Verdict) -> Verdict {
    let sentence = format!("{} Resetting it did not help.", standing.sentence);
    standing.saying(sentence)
}

fn of_mode(unserved: &Unserved) -> Verdict {
    let boot = unserved.device.boot.as_ref();
    let dfu = |sentence: &str| Verdict::from(Outcome::DfuMode).saying(sentence);
    match unserved.device.mode {
        UsbMode::Recovery => Outcome::RecoveryMode.into(),
        // "Hold power 10 s" is what is left without another Mac (7.1).
        UsbMode::Dfu if boot.is_some_and(crate::transport::BootIdentity::is_mac) => {
            dfu("This is a Mac (T2 or Apple silicon) in DFU mode.")
                .then("Hold its power button for ten seconds, or restore it with another Mac.")
        }
        UsbMode::Dfu => Outcome::DfuMode.into(),
        UsbMode::Debug => {
            dfu("This is debug USB or DFU of a newer chip; its identity cannot be read, that needs KIS.")
                .then("Force-restart the device, or restore it with a Mac.")
        }
        UsbMode::Unsupported => dfu("The device is in an unsupported boot mode."),
        UsbMode::Mac => match label(unserved).serial {
            Some(serial) => Verdict::from(Outcome::MacAttached)
                .saying(format!("This is the Mac {serial}; profiles cannot be pushed to it by cable.")),
            None => Outcome::MacAttached.into(),
        },
        UsbMode::NoMux | UsbMode::Normal => Outcome::ChargingOnly.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::PortPath;
    use crate::transport::{BootIdentity, UsbDevice};

    pub(in crate::station) fn unserved(
        mode: UsbMode,
        text: Option<&str>,
        reason: UnservedReason,
    ) -> Unserved {
        let boots = matches!(mode, UsbMode::Recovery | UsbMode::Dfu | UsbMode::Unsupported);
        let device = UsbDevice {
            bus: 1,
            address: 9,
            port: PortPath { controller: None, bus: 1, ports: vec![4] },
            product_id: 0x1281,
            mode,
            serial: text.filter(|_| !boots).map(Into::into),
            boot: text.filter(|_| boots).and_then(BootIdentity::parse),
            configuration: None,
        };
        Unserved { device, reason }
    }

    fn mode(mode: UsbMode, text: Option<&str>) -> Unserved {
        unserved(mode, text, UnservedReason::Mode)
    }

    /// Constructed after 8.1.
    const RECOVERY: &str = "SDOM:01 CPID:8015 BDID:02 ECID:001A2B3C4D5E6F70 SRNM:[F2LXK0AAJC6C] IMEI:[353214100000001] SRTG:[iBoot-8422]";

    #[test]
    fn every_mode_of_table_8_2_has_its_outcome_and_words() {
        let bay = Bay("Bay 7".into());
        let shown = |u: &Unserved| {
            let verdict = standing(u, &bay);
            assert!(verdict.next.is_some(), "{verdict:?}");
            (verdict.outcome.name(), verdict.sentence)
        };
        let is = |u: Unserved, outcome: &str, word: &str| {
            let (name, sentence) = shown(&u);
            assert_eq!(name, outcome);
            assert!(sentence.contains(word), "{sentence}");
        };
        is(mode(UsbMode::Recovery, Some(RECOVERY)), "recovery-mode", "recovery");
        is(mode(UsbMode::Dfu, Some("CPID:8015 BDID:02 ECID:1")), "dfu-mode", "black");
        is(mode(UsbMode::Dfu, Some("CPID:8012 BDID:0A ECID:1")), "dfu-mode", "Mac (T2");
        is(mode(UsbMode::Debug, None), "dfu-mode", "KIS");
        is(mode(UsbMode::Unsupported, None), "dfu-mode", "unsupported boot mode");
        is(mode(UsbMode::NoMux, None), "charging-only", "charges");
        is(mode(UsbMode::Mac, Some("C02XXXXXXXXX")), "mac-attached", "C02XXXXXXXXX");
        is(mode(UsbMode::Mac, None), "mac-attached", "Mac");
    }

    #[test]
    fn every_reason_says_who_must_act_and_what_to_do() {
        let bay = Bay("Bay 7".into());
        let of = |reason| standing(&unserved(UsbMode::Normal, None, reason), &bay);
        for (reason, class, word) in [
            (UnservedReason::MuxDead, Class::Transport, "usbmuxd does not answer"),
            (UnservedReason::Unconfigured, Class::Transport, "configuration"),
            (UnservedReason::OtherOwner(Some("netmuxd".into())), Class::Configuration, "(netmuxd) holds"),
            (UnservedReason::OtherOwner(None), Class::Configuration, "Another program holds"),
            (UnservedReason::NoPermission, Class::Configuration, "permission"),
            (UnservedReason::Silent, Class::Operator, "does not answer"),
            (UnservedReason::NotListed, Class::Operator, "does not list it"),
            (UnservedReason::Broken("no endpoints".into()), Class::Transport, "Bay 7"),
        ] {
            let verdict = of(reason);
            assert_eq!(verdict.class, class, "{verdict:?}");
            assert!(verdict.sentence.contains(word), "{}", verdict.sentence);
            assert!(verdict.next.is_some());
        }
        assert!(of(UnservedReason::NoPermission).next.unwrap().contains("70-enlist.rules"));
    }

    #[test]
    fn identity_is_what_the_bus_shows_and_what_people_type() {
        let device = mode(UsbMode::Recovery, Some(RECOVERY));
        let label = label(&device);
        assert_eq!(label.serial.as_deref(), Some("F2LXK0AAJC6C"));
        assert_eq!((label.ecid, udid(&device)), (Some(0x001A_2B3C_4D5E_6F70), None));
        assert_eq!(label.product_type.as_deref(), Some("iPhone10,1"));
        for text in ["f2lxk0aajc6c", "1A2B3C4D5E6F70", "0x001a2b3c4d5e6f70", " 353214100000001 "] {
            assert!(is_meant_by(&device, text), "{text}");
        }
        assert!(!is_meant_by(&device, "1A2B") && !is_meant_by(&device, ""));
        let charging = mode(UsbMode::NoMux, Some("00008110001A2B3C4D5E6F70"));
        assert!(is_meant_by(&charging, "00008110-001A2B3C4D5E6F70"));
        assert_eq!(super::label(&charging).serial, None);
    }
}
