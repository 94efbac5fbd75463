//! The checks of section 4 that an attached device answers by itself, beside those that
//! decide a plan: every one is a row with its rules and a function over what was read.

use super::R;
use crate::device::Facts;
use crate::device::cloud_configuration::CloudConfiguration;
use crate::device::facts::{OsVersion, SetupState};
use crate::wire::mcinstall::InstalledProfile;
use crate::wire::printable::printable;
use jiff::SignedDuration;

/// R30, as a sentence about a device.
pub(in crate::workflow) const NO_COMPANY_PORTAL: &str =
    "Company Portal is on it and does not work on a device without a user: remove the app.";

/// Something worth knowing about a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The rules it rests on.
    pub rules: &'static [R],
    /// One sentence, safe to print.
    pub sentence: String,
    /// It should not be so.
    pub warning: bool,
}

/// What was read.
struct Seen<'a> {
    facts: &'a Facts,
    installed: &'a [InstalledProfile],
    /// PayloadIdentifier of the profile wanted, if any is.
    wanted: Option<&'a str>,
}

impl Seen<'_> {
    fn cloud(&self) -> Option<&CloudConfiguration> {
        self.facts.cloud.as_ref()
    }

    fn automated(&self) -> Option<&CloudConfiguration> {
        self.cloud().filter(|cloud| cloud.is_automated())
    }

    fn older_than(&self, major: u32, minor: u32) -> bool {
        self.facts.os().is_some_and(|os| os < OsVersion::new(major, minor))
    }
}

struct Check {
    rules: &'static [R],
    warning: bool,
    find: fn(&Seen<'_>) -> Option<String>,
}

/// What there is to say of a device; `wanted` is the identifier of the profile that is to
/// come, which is no surprise on it.
pub fn remarks(facts: &Facts, installed: &[InstalledProfile], wanted: Option<&str>) -> Vec<Remark> {
    let seen = Seen { facts, installed, wanted };
    let told = |check: &Check| {
        let sentence = (check.find)(&seen)?;
        Some(Remark { rules: check.rules, sentence, warning: check.warning })
    };
    CHECKS.iter().filter_map(told).collect()
}

const fn note(rules: &'static [R], find: fn(&Seen<'_>) -> Option<String>) -> Check {
    Check { rules, warning: false, find }
}

const fn warn(rules: &'static [R], find: fn(&Seen<'_>) -> Option<String>) -> Check {
    Check { rules, warning: true, find }
}

const CHECKS: &[Check] = &[
    warn(&[R(16)], clock),
    note(&[R(22), R(23)], consent),
    note(&[R(25)], |seen| {
        said(seen.facts.locked == Some(true), "It is locked now: it will ask for its passcode.")
    }),
    warn(&[R(30), R(172)], |seen| said(seen.facts.company_portal == Some(true), NO_COMPANY_PORTAL)),
    note(&[R(35), R(184)], other_profiles),
    note(&[R(96)], |seen| {
        let used = seen.facts.is_activated() && seen.facts.setup == SetupState::Finished;
        let text = "It is set up: Automated Device Enrollment would need it erased first.";
        said(used && seen.automated().is_none(), text)
    }),
    note(&[R(98)], automated),
    note(&[R(100)], |seen| {
        said(
            seen.older_than(13, 0),
            "Its system is too old for the modern sign-in of Setup Assistant (13.0).",
        )
    }),
    warn(&[R(106), R(107)], |seen| {
        let should =
            seen.automated().is_some() && seen.facts.supervised == Some(false) && !seen.older_than(11, 0);
        said(
            should,
            "It came by Automated Device Enrollment and is not supervised: it has to be erased and supervised (`enlist erase`, `enlist prepare --supervised`).",
        )
    }),
    note(&[R(120)], |seen| {
        said(before_11_3_1(seen), "Its system is too old for Single App Mode until sign-in (11.3.1).")
    }),
    note(&[R(121)], |seen| {
        said(
            seen.cloud()?.unremovable == Some(true),
            "Its management cannot be removed by hand (locked enrollment).",
        )
    }),
    warn(&[R(124)], |seen| {
        let phone = seen.facts.class.as_deref() == Some("iPhone");
        let unfit = seen.cloud()?.multi_user && (phone || seen.older_than(13, 4));
        said(
            unfit,
            "It is configured as Shared iPad and cannot be one (iPads from 13.4 can): it has to be erased.",
        )
    }),
    note(&[R(132)], |seen| {
        said(
            seen.cloud()?.allow_pairing == Some(false),
            "Its management denies pairing with computers that hold no supervision identity.",
        )
    }),
    warn(&[R(133)], |seen| {
        said(
            seen.cloud()?.supervisors > 10,
            "It knows more than ten supervision identities; ten are allowed.",
        )
    }),
    note(&[R(135)], |seen| {
        let text = "It awaits its final configuration: most are released within 15 minutes; do not give up before 30.";
        said(seen.cloud()?.awaits_configuration, text)
    }),
    note(&[R(139)], help_desk),
    warn(&[R(141)], passcode_panes),
    note(&[R(161), R(181)], |seen| {
        said(
            seen.older_than(15, 0),
            "Its system is too old for User Enrollment and for enrollment on the web (15).",
        )
    }),
    note(&[R(190)], |seen| {
        let (first, second) = (seen.facts.imei.as_ref()?, seen.facts.imei2.as_ref()?);
        said(first != second, "It has two IMEIs, and Intune records one: list its serial number instead.")
    }),
];

fn said(holds: bool, sentence: &str) -> Option<String> {
    holds.then(|| sentence.to_owned())
}

/// Clocks may differ by this much without harm to certificates.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Certificates fail where clocks differ, long before an export is to blame (3.4).
fn clock(seen: &Seen<'_>) -> Option<String> {
    let ahead = seen.facts.clock_ahead.filter(|ahead| ahead.abs() > CLOCK_TOLERANCE)?;
    let minutes = ahead.as_mins().abs();
    let side = if ahead.is_positive() { "ahead of" } else { "behind" };
    Some(format!(
        "Its clock is {minutes} minutes {side} this computer's: certificates fail until both are right."
    ))
}

fn consent(seen: &Seen<'_>) -> Option<String> {
    match (seen.facts.supervised?, &seen.facts.organization) {
        (true, Some(organization)) => Some(format!("It is supervised by {}.", printable(organization))),
        (true, None) => Some("It is supervised.".into()),
        (false, _) if seen.facts.setup == SetupState::Running => None,
        (false, _) => Some("It is not supervised: somebody must accept the profile on it.".into()),
    }
}

/// The list does not tell which profile is an MDM's (4.8), so all are named.
fn other_profiles(seen: &Seen<'_>) -> Option<String> {
    const NAMED: usize = 5;
    let others = seen.installed.iter().filter(|p| Some(p.identifier.as_str()) != seen.wanted);
    let names: Vec<_> = others.map(|p| p.display_name.as_deref().unwrap_or(&p.identifier)).collect();
    let shown = names.iter().take(NAMED).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    let more = if names.len() > NAMED { ", ..." } else { "" };
    said(!names.is_empty(), "").map(|_| {
        format!("It lists other profiles ({shown}{more}): if one is another MDM's, the device has to leave that first.")
    })
}

fn automated(seen: &Seen<'_>) -> Option<String> {
    let cloud = seen.automated()?;
    let word = |flag: Option<bool>, text: &'static str| (flag == Some(true)).then_some(text);
    let words: Vec<_> = [
        word(seen.facts.supervised, "supervised"),
        word(cloud.mandatory, "mandatory"),
        word(cloud.unremovable, "not removable"),
        word(Some(cloud.has_url), "with an enrollment address"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let panes = cloud.skipped_panes.len();
    let about = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    Some(format!("It is set up by Automated Device Enrollment{about}; {panes} panes are skipped."))
}

fn help_desk(seen: &Seen<'_>) -> Option<String> {
    let cloud = seen.cloud()?;
    let parts: Vec<_> = [&cloud.department, &cloud.support_phone].into_iter().flatten().collect();
    let shown = parts.iter().map(|part| printable(part)).collect::<Vec<_>>().join(", ");
    (!parts.is_empty()).then(|| format!("Setup Assistant names for help: {shown}."))
}

fn passcode_panes(seen: &Seen<'_>) -> Option<String> {
    let concerned = |pane: &&String| ["Passcode", "Biometric", "TouchID"].contains(&pane.as_str());
    let panes: Vec<_> = seen.cloud()?.skipped_panes.iter().filter(concerned).map(String::as_str).collect();
    let recent = seen.facts.os().is_some_and(|os| os >= OsVersion::new(14, 5));
    (recent && !panes.is_empty()).then(|| {
        format!(
            "Its Setup Assistant skips {}: from 14.5 on use a device or compliance policy instead.",
            panes.join(" and ")
        )
    })
}

fn before_11_3_1(seen: &Seen<'_>) -> bool {
    seen.older_than(11, 3) || seen.facts.os_version.as_deref().is_some_and(|v| v == "11.3" || v == "11.3.0")
}
