//! What is said about Macs, where it differs from what is said about iPhones and iPads.

use super::super::event::DeviceLabel;
use super::super::outcome::{Class, Outcome, Verdict};
use crate::device::mac::{Enrollment, MacError, Managed};
use crate::wire::printable::sentence;
use crate::wire::profile::lint::OsVersion;

/// First macOS with Device Management under General (R77).
const DEVICE_MANAGEMENT: u32 = 15;
/// First macOS with System Settings (R77).
const SYSTEM_SETTINGS: u32 = 13;

/// Where an opened profile waits for its administrator (R77); all of them if the system is not
/// known.
pub fn settings_place(os: Option<OsVersion>) -> &'static str {
    match os.map(|os| os.major) {
        Some(DEVICE_MANAGEMENT..) => "System Settings > General > Device Management",
        Some(SYSTEM_SETTINGS..) => "System Settings > Privacy & Security > Profiles",
        Some(_) => "System Preferences > Profiles",
        None => {
            "System Settings > General > Device Management (macOS 13 and 14: Privacy & Security > Profiles; older: System Preferences > Profiles)"
        }
    }
}

/// True for the label of a Mac: every model's name has that word in it.
pub fn is_mac(label: &DeviceLabel) -> bool {
    label.product_type.as_deref().is_some_and(|model| model.contains("Mac"))
}

/// How a Mac stands while its job runs, where the words of an iPhone would mislead.
pub fn standing(state: Outcome, label: &DeviceLabel) -> Option<Verdict> {
    if !is_mac(label) {
        return None;
    }
    let os = label.os_version.as_deref().and_then(OsVersion::parse);
    let verdict = Verdict::from(state);
    match state {
        Outcome::Attached => Some(verdict.saying("The Mac is being asked what it is.")),
        Outcome::Pushing => Some(verdict.saying("The profile is being copied to the Mac and opened there.")),
        Outcome::WaitingForPerson => Some(
            verdict
                .saying("The profile is open on the Mac and waits for an administrator.")
                .then(format!("On the Mac: {}, select the profile, Install.", settings_place(os))),
        ),
        Outcome::Verifying => Some(verdict.saying("The Mac's list of profiles is being read back.")),
        _ => None,
    }
}

/// What `profiles status` said, in few words.
pub fn seen(seen: &Enrollment) -> String {
    let managed = match seen.managed {
        Managed::No => "no MDM",
        Managed::Unapproved => "enrolled, not approved",
        Managed::UserApproved => "enrolled, user approved",
    };
    match &seen.server {
        Some(server) => format!("{managed}, server {server}"),
        None => managed.to_owned(),
    }
}

fn server(seen: &Enrollment) -> String {
    seen.server
        .as_ref()
        .map_or_else(|| "an MDM it does not name".to_owned(), |host| format!("the MDM at {host}"))
}

pub(super) fn already(seen: &Enrollment) -> String {
    format!("The Mac is already enrolled with {}; nothing was copied to it.", server(seen))
}

pub(super) fn other_mdm(seen: &Enrollment, os: OsVersion) -> Verdict {
    let how = if seen.by_ade == Some(true) {
        "Its organisation must release it: it was enrolled by Automated Device Enrollment.".to_owned()
    } else {
        format!("Remove the other management profile under {}, or erase the Mac.", settings_place(Some(os)))
    };
    Verdict::from(Outcome::OtherMdm)
        .saying(format!("The Mac is already managed by {}.", server(seen)))
        .then(how)
}

pub(super) fn another_came(seen: &Enrollment) -> Verdict {
    Verdict::from(Outcome::OtherMdm)
        .saying(format!("While the profile waited, the Mac was enrolled with {}.", server(seen)))
        .then("Find out who enrolled it; remove that profile if it should be yours.")
}

/// A Mac whose system is too old for an ACME profile (R79).
pub fn too_old(os: OsVersion) -> Verdict {
    Verdict::from(Outcome::TooOld)
        .saying(format!("The profile gets its identity by ACME, which needs macOS 13.1; the Mac has {os}."))
        .then("Give the SCEP export of the profile too, or update the Mac.")
}

pub(super) fn nobody(unapproved: bool, os: OsVersion) -> Verdict {
    let verdict = Verdict::from(Outcome::PersonDidNotAccept);
    if unapproved {
        return verdict.saying("The Mac is enrolled, but nobody approved the enrollment in time.").then(
            format!("Approve it on the Mac under {}, then run enlist again.", settings_place(Some(os))),
        );
    }
    verdict.saying("Nobody installed the profile on the Mac in time.").then(
        "Run enlist again with an administrator at the Mac. If the installation itself failed there: a platform \
         restriction aimed at iPhone and iPad can be the cause (R84), or an export older than two weeks.",
    )
}

pub(super) fn away(error: &MacError) -> Verdict {
    Verdict::from(Outcome::DetachedMidway)
        .saying(format!("The Mac stopped answering before it was done: {error}."))
        .then("Run enlist again when the Mac answers; it is looked at first.")
}

pub(super) fn enrolled(seen: &Enrollment, identifier: Option<&str>) -> Verdict {
    let server = server(seen);
    Verdict::from(Outcome::Enrolled).saying(match identifier {
        Some(identifier) => {
            format!("The Mac is enrolled with {server}, user approved; {identifier} was read back from it.")
        }
        None => format!(
            "The Mac is enrolled with {server}, user approved; its list of profiles shows itself to administrators only."
        ),
    })
}

pub(super) fn not_listed(identifier: &str) -> Verdict {
    Verdict::failed(
        Class::Device,
        format!(
            "The Mac says that it is enrolled, but does not list the profile {}.",
            crate::wire::printable::printable(identifier)
        ),
        "Look at the profiles on the Mac: another export of the same MDM may be installed.",
    )
}

/// A sentence about an error of a Mac.
pub(super) fn of(error: &MacError) -> String {
    sentence(error)
}
