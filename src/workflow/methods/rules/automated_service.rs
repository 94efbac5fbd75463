//! 4.D, second part: computers, waiting, names, syncs, and what goes wrong.

use super::{REMARKS, SEEN, VALUED};
use crate::workflow::methods::requirement::{Requirement, check, done, out, tell};

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    check(132, "Pairing with computers is allowed, denied, or allowed by certificate.", SEEN, REMARKS),
    done(133, "By certificate: the station needs the same one, kept safe; ten are allowed.", "device::trust::supervision::Supervisors", "it::supervision::of_several_identities_the_device_s_own_is_found"),
    check(134, "Denied: USB charges only, until the policy changes.", "workflow::failure::Failure", "it::outcomes::pairing_forbidden"),
    check(135, "A device that awaits its final configuration is mostly released within 15 minutes; never give up before 30.", SEEN, REMARKS),
    tell(136, "Awaiting works from 13 with modern sign-in, without a user, and in Entra shared mode, once an enrollment, for device configuration only."),
    done(137, "Device names come from a template of at most 63 characters with {{DEVICETYPE}} and {{SERIAL}}: `enlist advise --value name-template=TEXT`.", "workflow::methods::values::render_name", VALUED),
    tell(138, "A cellular plan needs 13.0, the carrier's server address, and the carrier's work first."),
    check(139, "Department and phone number are shown in Setup Assistant.", SEEN, REMARKS),
    tell(140, "Hide removes a pane; Show shows it only if something is left to do. Users find the settings later."),
    check(141, "From 14.5 do not configure the panes for passcode or Touch ID: use a policy.", SEEN, REMARKS),
    tell(142, "Dynamic groups delay apps and policies: put the user into an Entra group before setup."),
    tell(143, "Full sync at most every 7 days, delta every 12 hours, by hand every 15 minutes; a failed delta makes the next one full."),
    tell(144, "Deleted in Intune but still assigned, a device returns at the next full sync; released at Apple, it goes in 30 to 45 days."),
    tell(145, "Assign a profile before devices enroll; a token has one default profile."),
    tell(146, "A platform block for all users breaks it, and the device shows Invalid Profile: block personal devices only."),
    tell(147, "Corporate is what came by this method or is listed as identifier."),
    tell(148, "Licences: each user with affinity; without, a device licence unless a licensed user uses it."),
    check(149, "The device has to reach Apple; XPC connection errors in its log mean network: looked for after such failures and in long waits.", "wire::device_log::network_sign", "it::helpers::a_failing_network_is_told_from_the_devices_log"),
    tell(150, "If it never begins, the profile is older than the token: edit the profile and sync."),
    tell(151, "If the legacy sign-in hangs, multifactor is on: switch it off, or use the modern one."),
    tell(152, "Affinity with federated sign-in needs WS-Trust 1.3 Username/Mixed."),
    done(153, "An invalid answer of the SCEP server, with affinity: load the management again within 15 minutes, later erase.", "workflow::second_chance::advice", "workflow::second_chance::tests::a_quarter_of_an_hour_counts_from_the_first_sight"),
    done(154, "To enroll again: wipe from Intune, or retire and erase; then Setup Assistant.", "workflow::erasure::plan", "it::erase::erased"),
    tell(155, "Renew the token yearly, after a password change, and when its owner leaves; a changed account hits new enrollments only."),
    tell(156, "Downloading a server token voids the one in use."),
    out(157, "A token is deleted only without devices, default profile and profiles."),
    tell(158, "Without a user nobody has to do anything; keep Company Portal off."),
    tell(159, "Modern sign-in without a token for apps needs the store's sign-in, or the device is not registered and not compliant."),
];
