//! 4.E: User Enrollment.

use super::ADVISED;
use crate::workflow::methods::requirement::{Requirement, check, out, tell};

const CONDITIONS: &str = "workflow::methods::conditions::Condition";

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    tell(160, "For personal devices only, never supervised; work data has a volume of its own, and management can do little."),
    check(161, "It needs 15 with Intune, account-driven; the older way by profile ended with 18.", CONDITIONS, ADVISED),
    tell(162, "Needed: MDM authority, push certificate, Managed Apple Accounts; federation is advised."),
    tell(163, "Profile types: user enrollment, device enrollment, or by the user's choice who owns the device."),
    tell(164, "Whole device or work apps only: the choice decides the way and the ownership attribute."),
    tell(165, "Assign to users or groups of users, not of devices; of two, the higher priority wins."),
    tell(166, "A user enrollment profile outranks an enrollment restriction."),
    out(167, "The user begins: Settings > General > VPN & Device Management, work account, allow remote management, passcode."),
    check(168, "A file with EnrollmentMode, ManagedAppleID or AssignedManagedAppleID is refused for USB.", "wire::profile::rules::account_key", "wire::profile::tests::fixtures::f06_account_driven_files_are_refused"),
    tell(169, "The server gets no serial number, UDID or IMEI; what a bench wrote down stays there."),
    tell(170, "Leaving erases the work volume and its keys."),
    tell(171, "There is no way from here to device enrollment but to leave and enroll again."),
    check(172, "Apps that are there already stay personal and block management: delete them first, then sync; of them the station looks for Company Portal.", "device::services::installation_proxy::has_app", "it::advise::company_portal_is_told_of"),
    tell(173, "The work partition is reset by administrators only, the personal one by users only."),
    tell(174, "For Microsoft's and Intune SDK apps prefer app protection; own apps need user enrollment."),
    tell(175, "The certificate that signs profiles lasts a year; Not Verified after a failed renewal is harmless."),
    out(176, "The device finds the service at a well-known address of the sign-in's domain."),
];
