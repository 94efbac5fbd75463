//! Helper profiles: what is on a device before the enrollment profile comes (R42, R72): root
//! certificates, then Wi-Fi, then whatever else. Pure.
//!
//! A helper is pushed, waited for and read back as the enrollment profile is, by the same
//! rules: identifier and UUID on the device's list, one pending profile at a time (4.5),
//! never pushed again while an earlier push may still be installed. One that fails ends the
//! job: without its network or its roots the device cannot be enrolled (22005, 23002), and
//! the reason it would give then leads astray.

use super::event::StepId;
use super::failure::Failure;
use super::memory::Push;
use super::outcome::{Class, Outcome, Verdict};
use super::plan::{self, Before, Plan, Situation};
use crate::device::facts::SetupState;
use crate::wire::profile::Profile;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a helper is for; in the order they are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelperKind {
    /// Certificates and nothing else: the network may need them.
    Roots,
    /// A Wi-Fi network.
    Wifi,
    /// Anything else.
    Other,
}

impl HelperKind {
    /// The machine name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roots => "roots",
            Self::Wifi => "wifi",
            Self::Other => "other",
        }
    }
}

/// A helper as events name it. Holds nothing of its content, not even a digest: a digest of
/// a password can be guessed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelperName {
    /// What it is for.
    pub kind: HelperKind,
    /// PayloadIdentifier.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: String,
    /// Display name, else the identifier; safe to print.
    pub name: String,
}

impl HelperName {
    /// The name of a profile.
    pub fn of(profile: &Profile) -> Self {
        let identifier = crate::wire::printable::printable(profile.identifier());
        Self {
            kind: kind(profile),
            name: profile.display_name().map_or(identifier, str::to_owned),
            identifier: profile.identifier().to_owned(),
            uuid: profile.uuid().to_owned(),
        }
    }

    /// In a sentence: `the Wi-Fi profile "Wi-Fi Bench"`.
    pub fn words(&self) -> String {
        let kind = match self.kind {
            HelperKind::Roots => "certificate profile",
            HelperKind::Wifi => "Wi-Fi profile",
            HelperKind::Other => "helper profile",
        };
        format!("the {kind} \"{}\"", self.name)
    }

    /// What a bay shows while its person is waited for.
    pub fn waits(&self) -> Verdict {
        let sentence = format!("Install {}; the enrollment profile follows.", self.words());
        Verdict::from(Outcome::WaitingForPerson).saying(sentence).then(match self.kind {
            HelperKind::Roots => ROOTS_NEXT,
            _ => NEXT,
        })
    }

    /// True if `name` names the same profile.
    pub fn is(&self, other: &Self) -> bool {
        self.identifier == other.identifier && self.uuid.eq_ignore_ascii_case(&other.uuid)
    }
}

const NEXT: &str =
    "On the device: Settings > Profile Downloaded > Install, enter the passcode, Install, Done.";
const ROOTS_NEXT: &str = "On the device: Settings > Profile Downloaded > Install, enter the passcode, Install, Done; then Settings > General > About > Certificate Trust Settings: switch the certificates on.";

/// The taps of R24 without Trust, which only an MDM payload asks for (R26).
const CARD: &[&str] = &[
    "Unlock the device",
    "Settings > Profile Downloaded > Install",
    "Enter the passcode if asked",
    "Read the warning, tap Install",
    "Profile Installed: tap Done; the next profile follows",
];
/// A root that came by hand without MDM has to be switched on (2.4).
const ROOTS_CARD: &[&str] = &[
    "Unlock the device",
    "Settings > Profile Downloaded > Install",
    "Enter the passcode if asked",
    "Read the warning, tap Install",
    "Profile Installed: tap Done",
    "Settings > General > About > Certificate Trust Settings: switch the certificates on",
];

/// The card for the person at a bay whose next action is `next`, if a helper waits there.
pub fn card(next: Option<&str>) -> Option<&'static [&'static str]> {
    match next? {
        NEXT => Some(CARD),
        ROOTS_NEXT => Some(ROOTS_CARD),
        _ => None,
    }
}

/// What a profile is for.
pub fn kind(profile: &Profile) -> HelperKind {
    let has = |wanted: &[&str]| profile.payloads().iter().any(|p| wanted.contains(&p.payload_type.as_str()));
    let certificates = ["com.apple.security.root", "com.apple.security.pkcs1", "com.apple.security.pem"];
    let only = |p: &crate::wire::profile::PayloadSummary| certificates.contains(&p.payload_type.as_str());
    if has(&["com.apple.wifi.managed"]) {
        HelperKind::Wifi
    } else if !profile.payloads().is_empty() && profile.payloads().iter().all(only) {
        HelperKind::Roots
    } else {
        HelperKind::Other
    }
}

/// The helpers in the order they are pushed, however they were given.
pub fn in_order(helpers: &[Arc<Profile>]) -> Vec<&Arc<Profile>> {
    let mut all: Vec<_> = helpers.iter().collect();
    all.sort_by_key(|helper| kind(helper));
    all
}

/// Why `helper` cannot be one beside `profile` and the `others`, if so.
pub fn misfit(helper: &Profile, profile: Option<&Profile>, others: &[Arc<Profile>]) -> Option<String> {
    let name = HelperName::of(helper).words();
    if helper.payloads().iter().any(|p| p.payload_type == "com.apple.mdm") {
        return Some(format!("{name} manages devices: it is an enrollment profile and no helper"));
    }
    let same = |other: &Profile| other.identifier() == helper.identifier();
    if profile.is_some_and(same) {
        return Some(format!("{name} has the identifier of the enrollment profile, which would replace it"));
    }
    others.iter().any(|other| same(other)).then(|| {
        format!(
            "{name} has the identifier of another helper ({}): one would replace the other",
            helper.identifier()
        )
    })
}

/// What has to be done for the helpers before the enrollment profile may be pushed; `None`
/// once all are on the device.
pub fn next(situation: &Situation<'_>) -> Option<Plan> {
    let missing: Vec<_> = in_order(&situation.policy.helpers)
        .into_iter()
        .filter(|helper| !plan::is_installed(helper, situation.installed))
        .collect();
    let helper = *missing.first()?;
    let name = HelperName::of(helper);
    let pushes = situation.memory.helper_pushes(&name);
    if let Some(verdict) = given_up(situation, &name, &pushes) {
        return Some(Plan::End(Box::new(verdict)));
    }
    let push = [StepId::PushHelper, StepId::WaitForHelper];
    let wait = plan::wait_for(situation, pushes.last().copied());
    let steps = match wait {
        Some(_) => [StepId::WaitForHelper].into_iter().chain(push.repeat(missing.len() - 1)).collect(),
        None => push.repeat(missing.len()),
    };
    let words: Vec<_> = missing.iter().map(|helper| HelperName::of(helper).words()).collect();
    let reason = format!("first {}", words.join(", then "));
    let before = match wait {
        Some((until, state)) => Before::WaitForHelper { helper: name, until, state },
        None => Before::PushHelper(name),
    };
    Some(Plan::First { before, steps, reason })
}

/// How the job ends that pushed a helper as often as it may, if it did.
fn given_up(situation: &Situation<'_>, name: &HelperName, pushes: &[Push]) -> Option<Verdict> {
    let last = pushes.last().filter(|push| !push.is_refused())?;
    if plan::wait_for(situation, Some(*last)).is_some() {
        return None;
    }
    let words = name.words();
    if let Some(verdict) = plan::lost_too_often(pushes, &words) {
        return Some(verdict);
    }
    let counted = pushes.iter().filter(|push| !push.is_refused()).count();
    let used_up = counted >= situation.policy.pushes as usize;
    (used_up && last.answer.is_some()).then(|| match situation.facts.setup {
        SetupState::Running => Verdict::failed(
            Class::Device,
            format!("The device acknowledged {words} and does not list it."),
            "Restart the device and plug it in again.",
        ),
        _ => Verdict::from(Outcome::PersonDidNotAccept)
            .saying(format!("Nobody installed {words} before the device dropped it."))
            .then("Push it again (replug the device, or run enlist again) and install it within eight minutes; the enrollment profile follows."),
    })
}

/// A failure of a helper, in words that name it.
pub fn failed(failure: Failure, name: &HelperName) -> Failure {
    let named = |verdict: Verdict| {
        let sentence = verdict.sentence.replacen("the profile", &name.words(), 1);
        verdict.saying(sentence)
    };
    match failure {
        Failure::Final(verdict) => Failure::Final(named(verdict)),
        Failure::RetryLater { verdict } => Failure::RetryLater { verdict: named(verdict) },
        Failure::RetryOnce { verdict } => Failure::RetryOnce { verdict: named(verdict) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Facts;
    use crate::limits::{LOST_ANSWERS, LOST_INSTALLS};
    use crate::wire::mcinstall::InstalledProfile;
    use crate::wire::profile::example::{ExampleOptions, Signer, scep_plist};
    use crate::wire::profile::made::{WifiNetwork, WifiSecurity, certificates};
    use crate::wire::profile::{Purpose, TrustAnchors};
    use crate::wire::property_list::to_xml;
    use crate::workflow::event::{EventKind, PushAnswer, StepResult};
    use crate::workflow::memory::Memory;
    use crate::workflow::policy::Policy;
    use jiff::Timestamp;
    use std::sync::LazyLock;

    fn load(bytes: &[u8]) -> Arc<Profile> {
        let profile = Profile::load(bytes, Purpose::Any, &TrustAnchors::none(), Timestamp::UNIX_EPOCH);
        Arc::new(profile.unwrap())
    }

    fn network(ssid: &str) -> Arc<Profile> {
        let network = WifiNetwork {
            ssid: ssid.into(),
            security: WifiSecurity::None,
            password: None,
            hidden: false,
            auto_join: true,
            random_address: true,
        };
        load(network.profile().unwrap().expose())
    }

    static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(Timestamp::UNIX_EPOCH).unwrap());

    fn roots() -> Arc<Profile> {
        load(&certificates(&[SIGNER.intermediate().clone()]).unwrap())
    }

    fn enrollment() -> Arc<Profile> {
        load(&to_xml(&scep_plist(&ExampleOptions::default())))
    }

    /// A device and what was done to it, with roots and Wi-Fi wanted.
    struct Case {
        policy: Policy,
        facts: Facts,
        memory: Memory,
        installed: Vec<InstalledProfile>,
        supervises: bool,
        now: i64,
    }

    impl Case {
        fn of(setup: SetupState) -> Self {
            let facts = Facts { setup, name: Some("old".into()), ..Facts::default() };
            let policy = Policy { helpers: vec![network("Bench"), roots()], ..Policy::default() };
            Self {
                policy,
                facts,
                memory: Memory::default(),
                installed: Vec::new(),
                supervises: false,
                now: 0,
            }
        }

        fn has(&mut self, profile: &Profile) {
            self.installed.push(InstalledProfile {
                identifier: profile.identifier().into(),
                uuid: profile.uuid().to_lowercase(),
                display_name: None,
                organization: None,
                description: None,
                version: 1,
                removal_disallowed: false,
            });
        }

        fn pushed(&mut self, helper: &Profile, answer: Option<PushAnswer>) {
            let (at, helper) = (Timestamp::from_second(self.now).unwrap(), HelperName::of(helper));
            self.memory.take(at, &EventKind::HelperPushStarted { helper: helper.clone() });
            if let Some(answer) = answer {
                self.memory.take(at, &EventKind::HelperPushAnswered { helper, answer });
            }
        }

        /// As [`Self::pushed`], and the station saw that no answer came.
        fn broke(&mut self, helper: &Profile) {
            self.pushed(helper, None);
            let at = Timestamp::from_second(self.now).unwrap();
            let (step, result) = (StepId::PushHelper, StepResult::Failed);
            self.memory.take(at, &EventKind::StepFinished { step, result, detail: None });
        }

        fn plan(&self) -> Plan {
            let profile = enrollment();
            plan::plan(&Situation {
                facts: &self.facts,
                installed: &self.installed,
                profile: &profile,
                policy: &self.policy,
                memory: &self.memory,
                supervises: self.supervises,
                now: Timestamp::from_second(self.now).unwrap(),
            })
        }

        fn before(&self) -> Before {
            match self.plan() {
                Plan::First { before, .. } => before,
                other => panic!("{other:?}"),
            }
        }

        fn end(&self) -> Verdict {
            match self.plan() {
                Plan::End(verdict) => *verdict,
                other => panic!("{other:?}"),
            }
        }
    }

    fn push(helper: &Profile) -> Before {
        Before::PushHelper(HelperName::of(helper))
    }

    #[test]
    fn roots_come_first_then_wifi_then_the_enrollment_however_they_are_given() {
        let mut case = Case::of(SetupState::Finished);
        assert_eq!(case.before(), push(&roots()));
        let both = [StepId::PushHelper, StepId::WaitForHelper];
        let steps = [&both[..], &both, &[StepId::Install, StepId::WaitForPerson, StepId::Verify]].concat();
        assert_eq!(case.plan().steps(), steps);
        assert_eq!(
            case.plan().reason(),
            "first the certificate profile \"Root certificates\", then the Wi-Fi profile \"Wi-Fi Bench\""
        );
        case.has(&roots());
        assert_eq!(case.before(), push(&network("Bench")));
        case.has(&network("Bench"));
        assert!(matches!(case.plan(), Plan::Push { .. }));
        // Another version of a helper is not the one that is wanted.
        case.installed[1].uuid = "3333CCCC-0000-8000-8000-000000000000".into();
        assert_eq!(case.before(), push(&network("Bench")));
    }

    #[test]
    fn an_enrolled_device_gets_no_helpers() {
        let mut case = Case::of(SetupState::Finished);
        case.has(&enrollment());
        assert_eq!(case.end().outcome, Outcome::AlreadyEnrolled);
    }

    #[test]
    fn a_queued_helper_is_waited_for_and_not_pushed_again() {
        let mut case = Case::of(SetupState::Finished);
        case.pushed(&roots(), Some(PushAnswer::Acknowledged));
        for now in [0, 1, 479] {
            case.now = now;
            let Before::WaitForHelper { helper, until, state } = case.before() else { panic!("{now}") };
            assert!(helper.is(&HelperName::of(&roots())));
            assert_eq!((until.as_second(), state), (480, Outcome::WaitingForPerson));
            let steps = case.plan().steps();
            assert_eq!(steps.first(), Some(&StepId::WaitForHelper));
            assert_eq!(steps.iter().filter(|step| **step == StepId::PushHelper).count(), 1);
        }
        case.now = 600;
        let verdict = case.end();
        assert_eq!(verdict.outcome, Outcome::PersonDidNotAccept);
        assert!(verdict.sentence.contains("Root certificates"), "{}", verdict.sentence);
        case.policy.pushes = 2;
        assert_eq!(case.before(), push(&roots()));
    }

    #[test]
    fn a_lost_answer_settles_before_another_push_and_not_for_ever() {
        let mut case = Case::of(SetupState::Running);
        case.broke(&roots());
        let Before::WaitForHelper { state, .. } = case.before() else { panic!("{:?}", case.plan()) };
        assert_eq!(state, Outcome::Verifying);
        for _ in 0..LOST_INSTALLS {
            case.now += 1000;
            assert_eq!(case.before(), push(&roots()));
            case.broke(&roots());
        }
        case.now += 1000;
        let verdict = case.end();
        assert_eq!(verdict.class, Class::Transport);
        assert!(verdict.sentence.contains("Root certificates"), "{}", verdict.sentence);
    }

    #[test]
    fn a_station_that_is_killed_during_each_push_is_not_the_cables_fault() {
        let mut case = Case::of(SetupState::Running);
        for _ in 0..LOST_ANSWERS {
            case.pushed(&roots(), None);
            case.now += 1000;
            assert_eq!(case.before(), push(&roots()));
        }
        case.pushed(&roots(), None);
        case.now += 1000;
        let verdict = case.end();
        assert_eq!(verdict.class, Class::Bug);
        assert!(verdict.sentence.starts_with("The station was ended"), "{}", verdict.sentence);
    }

    #[test]
    fn a_refused_helper_may_be_pushed_again_by_a_retry() {
        let mut case = Case::of(SetupState::Running);
        case.pushed(&roots(), Some(PushAnswer::Refused));
        assert_eq!(case.before(), push(&roots()));
    }

    #[test]
    fn an_enrollment_profile_that_waits_is_not_replaced_by_a_helper() {
        let mut case = Case::of(SetupState::Finished);
        let at = Timestamp::from_second(0).unwrap();
        case.memory.take(at, &EventKind::PushStarted { number: 1 });
        let answer = PushAnswer::Acknowledged;
        case.memory.take(at, &EventKind::PushAnswered { number: 1, answer });
        assert!(matches!(case.plan(), Plan::Wait { .. }), "{:?}", case.plan());
    }

    #[test]
    fn the_name_comes_before_all_and_once() {
        let mut case = Case::of(SetupState::Finished);
        case.policy.device_name = Some("Front desk".into());
        assert_eq!(case.before(), Before::Name("Front desk".into()));
        assert_eq!(case.plan().steps()[..2], [StepId::NameDevice, StepId::PushHelper]);
        assert!(case.plan().reason().starts_with("first the name \"Front desk\", then the certificate"));
        case.memory.named = true;
        assert_eq!(case.before(), push(&roots()));
        case.memory.named = false;
        for _ in 0..3 {
            assert_eq!(case.before(), Before::Name("Front desk".into()));
            let step = EventKind::StepStarted { step: StepId::NameDevice };
            case.memory.take(Timestamp::UNIX_EPOCH, &step);
        }
        assert_eq!(case.before(), push(&roots()), "not for ever");
        case.memory.name_tries = 0;
        case.facts.name = Some("Front desk".into());
        assert_eq!(case.before(), push(&roots()));
    }

    #[test]
    fn what_would_replace_something_is_no_helper() {
        let (wifi, profile) = (network("Bench"), enrollment());
        assert_eq!(misfit(&wifi, Some(&profile), &[roots(), network("Other")]), None);
        assert!(misfit(&wifi, Some(&profile), &[network("Bench")]).unwrap().contains("another helper"));
        assert!(misfit(&profile, None, &[]).unwrap().contains("no helper"));
    }

    #[test]
    fn whoever_waits_for_a_helper_has_its_own_card() {
        for helper in [network("Bench"), roots()] {
            let verdict = HelperName::of(&helper).waits();
            assert_eq!(verdict.outcome, Outcome::WaitingForPerson);
            let steps = card(verdict.next.as_deref()).unwrap();
            assert!(
                steps.iter().all(|step| !step.contains("Trust\"") && !step.contains("tap Trust")),
                "{steps:?}"
            );
        }
        assert_eq!(card(Outcome::WaitingForPerson.next()), None);
        assert_eq!(kind(&enrollment()), HelperKind::Other);
    }
}
