//! Texts for the person at the device, kept with the rules they come from.

use super::Platform;
use crate::wire::profile::PORTAL_PATH;

/// The six taps of R24.
pub const CARD: [&str; 6] = [
    "Unlock the device",
    "Settings > Profile Downloaded > Install",
    "Enter the passcode if asked",
    "Read the warning, tap Install",
    "Remote management: tap Trust",
    "Profile Installed: tap Done",
];

/// What comes after `enrolled`, with the rule it rests on.
pub const AFTER_ENROLLMENT: [(&str, &str); 4] = [
    (
        "R28",
        "Leave it unlocked and on its network: policies and apps may take ten minutes. Before that nothing is wrong.",
    ),
    ("R27", "On the device: Settings > General > VPN & Device Management shows the Management Profile."),
    ("R30", "Keep Company Portal off it: the app does not work on a device without a user."),
    ("R29", "Then hand it out; the job is in the history."),
];

/// Where in the portal a direct-enrollment profile is exported (R18; R92 for Macs). Belongs
/// into every message about a stale or a wrong file.
pub fn portal_path(platform: Platform) -> &'static str {
    match platform {
        Platform::Iphone | Platform::Ipad => PORTAL_PATH,
        Platform::Mac => {
            "Devices > Enrollment > Apple > Bulk Enrollment Methods > Apple Configurator > Profiles > (profile) > Export profile > Download profile"
        }
    }
}
