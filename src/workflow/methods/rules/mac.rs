//! 4.C: direct enrollment of Macs.

use super::LINT_CASES;
use crate::workflow::methods::requirement::{Requirement, check, done, out, tell};

#[rustfmt::skip] // a table: one row a line
pub(super) const RULES: &[Requirement] = &[
    tell(73, "It is for the organisation's Macs, new or in use, before they are handed out; nothing is erased."),
    out(74, "A Mac takes no profile over a cable."),
    done(75, "The file is brought to the Mac by share, stick or AirDrop, and opened there: `enlist mac kit` writes it with a card.", "station::macs::kit::write", "it::mac::a_stick_must_be_one"),
    tell(76, "Install, Install again, name and password of an administrator, OK."),
    tell(77, "macOS 15 and later: System Settings > General > Device Management; 13 and 14: Privacy & Security > Profiles."),
    tell(78, "Somebody with administrator rights on the Mac is needed."),
    check(79, "An ACME export needs macOS 13.1; older ones take SCEP: `enlist advise --platform mac --os VERSION` tells.", "workflow::methods::conditions::Condition", "workflow::methods::tests::advise::the_export_is_chosen_by_system"),
    check(80, "An export is good for two weeks; there may be several.", "wire::profile::lint::age::export_age", LINT_CASES),
    tell(81, "Only without users: with affinity it can be chosen and is not supported; use Automated Device Enrollment."),
    tell(82, "Company Portal is neither supported nor needed: keep it away."),
    tell(83, "Another MDM has to be left first; `profiles status -type enrollment` on the Mac tells."),
    tell(84, "A platform restriction meant for iPhone and iPad makes the profile fail on Macs."),
    tell(85, "Needed: MDM authority, push certificate, the Mac at hand, access to the portal."),
    tell(86, "Settings apply once, at enrollment."),
    tell(87, "Use it without Apple Business Manager, with a wired or unreliable network, for shared or kiosk Macs."),
    done(88, "One Mac or many: each has the file brought and opened; `enlist mac kit --macs LIST` writes a sheet to tick off.", "station::macs::kit::write", "it::mac::a_kit_has_the_right_file_its_checksum_and_pages_to_print"),
    tell(89, "Success shows at once: the profile list of the Mac has Microsoft.Profiles.MDM, and other profiles follow."),
    check(90, "A file for Macs has the per-user-connections capability and system scope.", "wire::profile::lint::mdm::RULES", LINT_CASES),
    check(91, "A file for Macs in a job for iPhones, or the reverse, is refused.", "wire::profile::rules::platform_refusals", "wire::profile::tests::fixtures::f20_profiles_for_macs_are_refused_for_phones"),
    tell(92, "For Macs the export lies under Apple Configurator, Profiles, Export profile."),
];
