//! Whether a profile may simply be removed from a device (R36). Pure.
//!
//! A device that loses its MDM profile leaves its MDM, and loses what that installed. The
//! device's list does not say which profile is an MDM's (4.8): what the station pushed itself is
//! known, of others the name has to tell.

use crate::device::Facts;
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::profile::made::MADE;

/// Words in the names of profiles that manage devices, in lower case.
const MANAGING: [&str; 4] = ["mdm", "management", "enrollment", "enrolment"];

/// What a removal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Nothing.
    Free,
    /// It manages the device, or seems to: a person has to say so twice.
    Confirm,
    /// It manages the device, and cannot be removed: why, and what helps.
    Locked {
        /// One sentence.
        sentence: &'static str,
        /// What to do.
        next: &'static str,
    },
}

/// What the removal of `profile` asks for. `enrolled_here`: the station pushed it to enroll the
/// device.
pub fn care(profile: &InstalledProfile, facts: &Facts, enrolled_here: bool) -> Care {
    // What a station makes itself manages no device, although it was pushed by a job.
    let is_made = profile.identifier.starts_with(MADE);
    if is_made || !enrolled_here && !seems_to_manage(profile) {
        return Care::Free;
    }
    if facts.cloud.as_ref().is_some_and(|cloud| cloud.unremovable == Some(true)) {
        return Care::Locked {
            sentence: "The management of this device is locked by its automated enrollment, so its profile cannot be removed.",
            next: "Have the device released by its MDM or in Apple Business Manager, then erase it.",
        };
    }
    if profile.removal_disallowed {
        return Care::Locked {
            sentence: "The profile manages this device and is locked, so it cannot be removed over USB.",
            next: "Have it removed by the MDM, or erase the device.",
        };
    }
    Care::Confirm
}

fn seems_to_manage(profile: &InstalledProfile) -> bool {
    let texts = [Some(&profile.identifier), profile.display_name.as_ref(), profile.description.as_ref()];
    let says = |text: &String| {
        let lower = text.to_lowercase();
        MANAGING.iter().any(|word| lower.contains(word))
    };
    texts.into_iter().flatten().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cloud_configuration::CloudConfiguration;

    fn profile(identifier: &str, name: Option<&str>) -> InstalledProfile {
        InstalledProfile {
            identifier: identifier.into(),
            uuid: "3333CCCC-0000-4000-8000-000000000000".into(),
            display_name: name.map(Into::into),
            organization: None,
            description: None,
            version: 1,
            removal_disallowed: false,
        }
    }

    #[test]
    fn a_profile_that_manages_or_seems_to_is_asked_for() {
        for (identifier, name, care_of) in [
            ("Microsoft.Profiles.MDM", None, Care::Confirm),
            ("com.example.enroll", Some("Device Management"), Care::Confirm),
            ("example.bench.wifi", Some("Wi-Fi"), Care::Free),
            ("enlist.helper.wifi.00", Some("Wi-Fi MDM guests"), Care::Free),
            ("example.bench", None, Care::Free),
        ] {
            let found = care(&profile(identifier, name), &Facts::default(), false);
            assert_eq!(found, care_of, "{identifier} {name:?}");
        }
        assert_eq!(care(&profile("example.bench", None), &Facts::default(), true), Care::Confirm);
    }

    #[test]
    fn locked_management_is_not_removed() {
        let cloud = |unremovable| CloudConfiguration { unremovable, ..CloudConfiguration::default() };
        let facts = |unremovable| Facts { cloud: Some(cloud(unremovable)), ..Facts::default() };
        let mdm = profile("Microsoft.Profiles.MDM", None);
        assert!(matches!(care(&mdm, &facts(Some(true)), false), Care::Locked { .. }));
        assert_eq!(care(&mdm, &facts(Some(false)), false), Care::Confirm);
        // Another profile of such a device is no management.
        assert_eq!(care(&profile("example.bench.wifi", None), &facts(Some(true)), false), Care::Free);
        let locked = InstalledProfile { removal_disallowed: true, ..mdm };
        assert!(matches!(care(&locked, &Facts::default(), false), Care::Locked { .. }));
    }
}
