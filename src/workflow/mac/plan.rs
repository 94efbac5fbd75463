//! The pure plan for a Mac: what it says, and what the job did before, to what is left to do.

use super::super::event::StepId;
use super::super::memory::Memory;
use super::super::outcome::{Outcome, Verdict};
use super::words;
use crate::device::mac::{Enrollment, Listed, Managed};
use crate::wire::profile::Profile;
use crate::wire::profile::lint::OsVersion;

/// Everything the plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// macOS.
    pub os: OsVersion,
    /// What `profiles status` said.
    pub seen: &'a Enrollment,
    /// What `profiles list` said, where it was asked.
    pub listed: Option<&'a Listed>,
    /// The profile wanted.
    pub profile: &'a Profile,
    /// What the job did before.
    pub memory: &'a Memory,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Nothing: it ends so.
    End(Box<Verdict>),
    /// It is enrolled since this job opened the profile: read it back.
    Verify(Enrollment),
    /// It is enrolled with our server, and a person must approve it.
    Wait {
        /// Why.
        reason: &'static str,
    },
    /// Copy the profile and open it.
    Push {
        /// Why.
        reason: &'static str,
    },
}

impl Plan {
    /// The steps still to do.
    pub fn steps(&self) -> Vec<StepId> {
        match self {
            Self::End(_) => vec![],
            Self::Verify(_) => vec![StepId::Verify],
            Self::Wait { .. } => vec![StepId::WaitForPerson, StepId::Verify],
            Self::Push { .. } => vec![StepId::Install, StepId::WaitForPerson, StepId::Verify],
        }
    }

    /// Why so.
    pub fn reason(&self) -> &str {
        match self {
            Self::End(verdict) => &verdict.sentence,
            Self::Verify(_) => "the Mac is enrolled since the profile was opened",
            Self::Wait { reason } | Self::Push { reason } => reason,
        }
    }
}

/// Whether the server that a Mac names is the profile's; `None` if it names none.
fn is_ours(seen: &Enrollment, profile: &Profile) -> Option<bool> {
    let ours = profile.server_host()?;
    seen.server.as_deref().map(|server| server.eq_ignore_ascii_case(ours))
}

/// Whether nobody has to approve it any more; Automated Device Enrollment asks for no approval,
/// and not every system says so.
fn is_approved(seen: &Enrollment) -> bool {
    match seen.managed {
        Managed::UserApproved => true,
        Managed::Unapproved => seen.by_ade == Some(true),
        Managed::No => false,
    }
}

/// Decides.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let Situation { os, seen, listed, profile, memory } = *situation;
    if seen.managed == Managed::No {
        return match too_old(profile, os) {
            true => Plan::End(Box::new(words::too_old(os))),
            false => Plan::Push { reason: "no MDM manages the Mac" },
        };
    }
    let is_listed = || listed.is_some_and(|l| l.identifiers.iter().any(|id| id == profile.identifier()));
    let pushed = !memory.pushes.is_empty();
    match (is_ours(seen, profile).unwrap_or_else(|| is_listed() || pushed), is_approved(seen)) {
        (false, _) => Plan::End(Box::new(words::other_mdm(seen, os))),
        (true, false) => {
            Plan::Wait { reason: "the Mac is enrolled with this server, but nobody approved it" }
        }
        (true, true) if pushed => Plan::Verify(seen.clone()),
        (true, true) => {
            let verdict = Verdict::from(Outcome::AlreadyEnrolled).saying(words::already(seen));
            Plan::End(Box::new(verdict))
        }
    }
}

/// While a person acts: whether the enrollment that was waited for is there, or another one.
pub fn arrived(seen: &Enrollment, profile: &Profile) -> Option<Result<(), Box<Verdict>>> {
    match (seen.managed, is_ours(seen, profile)) {
        (Managed::No, _) => None,
        (_, Some(false)) => Some(Err(Box::new(words::another_came(seen)))),
        _ => is_approved(seen).then_some(Ok(())),
    }
}

/// Whether this macOS cannot use the profile's identity (R79).
pub fn too_old(profile: &Profile, os: OsVersion) -> bool {
    profile.min_os("Mac").is_some_and(|floor| (os.major, os.minor) < floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::profile::example::{ExampleOptions, acme_plist, scep_plist};
    use crate::wire::profile::{Purpose, TrustAnchors};
    use crate::wire::property_list::to_xml;
    use crate::workflow::memory::Push;

    const OURS: Option<&str> = Some("mdm.bench.example");

    fn profile(acme: bool) -> Profile {
        let options = ExampleOptions::default();
        let plist = if acme { acme_plist(&options) } else { scep_plist(&options) };
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        Profile::load(&to_xml(&plist), Purpose::Any, &TrustAnchors::none(), now).unwrap()
    }

    fn decide(
        managed: Managed,
        server: Option<&str>,
        os: &str,
        acme: bool,
        pushed: bool,
        listed: bool,
    ) -> Plan {
        let seen = Enrollment { by_ade: Some(false), managed, server: server.map(str::to_owned) };
        let identifiers = if listed { vec!["Microsoft.Profiles.MDM".to_owned()] } else { vec![] };
        let mut memory = Memory::default();
        if pushed {
            memory.pushes.push(Push::begun("2026-11-21T08:00:00Z".parse().unwrap(), false));
        }
        plan(&Situation {
            os: OsVersion::parse(os).unwrap(),
            seen: &seen,
            listed: Some(&Listed { identifiers, computer: listed }),
            profile: &profile(acme),
            memory: &memory,
        })
    }

    fn outcome(plan: &Plan) -> &'static str {
        match plan {
            Plan::End(verdict) => verdict.outcome.name(),
            Plan::Verify(_) => "verify",
            Plan::Wait { .. } => "wait",
            Plan::Push { .. } => "push",
        }
    }

    #[test]
    fn what_a_mac_says_decides() {
        use Managed::{No, Unapproved, UserApproved};
        let other = Some("mdm.other.example");
        for (managed, server, pushed, listed, expected) in [
            (No, None, false, false, "push"),
            (No, None, true, false, "push"),
            (UserApproved, OURS, false, false, "already-enrolled"),
            (UserApproved, Some("MDM.bench.example"), false, false, "already-enrolled"),
            (UserApproved, OURS, true, false, "verify"),
            (Unapproved, OURS, false, false, "wait"),
            (UserApproved, other, false, false, "other-mdm"),
            (UserApproved, other, true, true, "other-mdm"),
            (UserApproved, None, false, false, "other-mdm"),
            (UserApproved, None, false, true, "already-enrolled"),
            (UserApproved, None, true, false, "verify"),
            (Unapproved, None, false, false, "other-mdm"),
        ] {
            let plan = decide(managed, server, "15.2", false, pushed, listed);
            assert_eq!(outcome(&plan), expected, "{managed:?} {server:?} {pushed} {listed}");
        }
    }

    #[test]
    fn automated_enrollment_needs_no_approval() {
        let profile = profile(false);
        let mut seen =
            Enrollment { by_ade: Some(false), managed: Managed::Unapproved, server: OURS.map(str::to_owned) };
        assert_eq!(arrived(&seen, &profile), None);
        seen.by_ade = Some(true);
        assert_eq!(arrived(&seen, &profile), Some(Ok(())));
        seen.server = Some("mdm.other.example".into());
        assert!(matches!(arrived(&seen, &profile), Some(Err(_))));
    }

    #[test]
    fn acme_needs_macos_13_1() {
        for (os, acme, expected) in [
            ("13.0.1", true, "too-old"),
            ("13.1", true, "push"),
            ("26.0", true, "push"),
            ("10.15.7", true, "too-old"),
            ("10.15.7", false, "push"),
        ] {
            assert_eq!(outcome(&decide(Managed::No, None, os, acme, false, false)), expected, "{os}");
        }
    }
}
