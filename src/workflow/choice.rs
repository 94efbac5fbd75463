//! Which of several exports of one enrollment a device gets: the SCEP one or the ACME one
//! (profiles-and-enrollment.md 3.3, R11-R13). Pure; what is chosen is an event.
//!
//! An iPhone's job starts with the preferred one, and looks again when it knows the device:
//! its system, its hardware. From ACME it goes over to SCEP when ACME fails, never back.

use super::failure::Failure;
use super::memory::Memory;
use super::plan::{self, Situation};
use super::policy::Policy;
use crate::device::Facts;
use crate::wire::mcinstall_error::ErrorChain;
use crate::wire::profile::{IdentityKind, Profile};
use std::sync::Arc;

/// Why two files are no siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSiblings {
    /// Two of one kind of identity.
    SameKind(Option<IdentityKind>),
    /// They would enroll into different servers.
    OtherServer,
}

/// Siblings are exports of one enrollment: the same server, another kind of identity. Their
/// identifiers are the same in all exports seen, which proves nothing (3.1).
pub fn no_siblings(one: &Profile, other: &Profile) -> Option<NoSiblings> {
    if one.identity() == other.identity() {
        return Some(NoSiblings::SameKind(other.identity()));
    }
    (one.server_host() != other.server_host()).then_some(NoSiblings::OtherServer)
}

/// SHA-256 of a profile's file, hex: its name in events.
pub fn sha256(profile: &Profile) -> String {
    profile.file_sha256().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one of `profile` and the policy's siblings that a job starts with.
pub fn preferred(profile: &Arc<Profile>, policy: &Policy) -> Arc<Profile> {
    Choice::of(profile, policy).first
}

/// Another profile, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The profile.
    pub profile: Arc<Profile>,
    /// Why, in words.
    pub reason: String,
    /// The refusal that led to it, if any.
    pub chain: ErrorChain,
}

/// The profiles a job may use.
#[derive(Debug)]
pub struct Choice {
    first: Arc<Profile>,
    others: Vec<Arc<Profile>>,
}

impl Choice {
    /// `profile` and those of the policy's siblings that are siblings of it, the preferred
    /// one first.
    pub fn of(profile: &Arc<Profile>, policy: &Policy) -> Self {
        let siblings = policy.siblings.iter().filter(|sibling| no_siblings(profile, sibling).is_none());
        let mut all: Vec<_> = std::iter::once(profile).chain(siblings).cloned().collect();
        all.sort_by_key(|profile| !policy.prefer.likes(profile));
        let first = all.remove(0);
        Self { first, others: all }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Profile>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The one this job used last, else the preferred one.
    pub fn in_hand(&self, memory: &Memory) -> Arc<Profile> {
        let used = |profile: &&Arc<Profile>| memory.chosen.as_deref() == Some(sha256(profile).as_str());
        self.all().find(used).unwrap_or(&self.first).clone()
    }

    /// Another than the one in hand, if the device as it is now asks for it.
    pub fn better(&self, situation: &Situation<'_>) -> Option<Chosen> {
        let Situation { facts, installed, profile, policy, memory, .. } = *situation;
        if plan::is_installed(profile, installed) {
            return None;
        }
        let chosen = |profile: &Arc<Profile>, reason: String| {
            Some(Chosen { profile: profile.clone(), reason, chain: ErrorChain::default() })
        };
        if let Some(there) = self.siblings_of(profile).find(|other| plan::is_installed(other, installed)) {
            return chosen(there, format!("the device lists the {} export", kind(there)));
        }
        if plan::in_flight(situation).is_some() {
            return None;
        }
        if let Some(reason) = unfit(facts, profile, policy) {
            let fit = self.siblings_of(profile).find(|other| unfit(facts, other, policy).is_none())?;
            return chosen(fit, reason);
        }
        // The device never says why nobody's tap led to an enrollment (protocols.md 4.5): a
        // push that is due again had better not depend on ACME.
        let again = memory.last_push().is_some_and(|push| push.answer.is_some());
        if again && memory.accepted_pushes() < policy.pushes && is_acme(profile) {
            let reason =
                "the ACME export was pushed and not installed, and the device does not say why (R13)";
            return chosen(self.scep(situation)?, reason.to_owned());
        }
        None
    }

    /// What to push after the device refused the one in hand; `None` if no sibling would
    /// do better, because the refusal is not about its identity.
    pub fn after_refusal(&self, failure: &Failure, situation: &Situation<'_>) -> Option<Chosen> {
        let verdict = match failure {
            Failure::Final(verdict) | Failure::RetryLater { verdict } | Failure::RetryOnce { verdict } => {
                verdict
            }
            Failure::Reconnect { .. } | Failure::AwaitUnlock { .. } => return None,
        };
        if !is_acme(situation.profile) || verdict.chain.is_empty() || holds_for_any(&verdict.chain) {
            return None;
        }
        let profile = self.scep(situation)?.clone();
        let reason =
            format!("the ACME export failed, so the SCEP export is next (R13): {}", verdict.sentence);
        Some(Chosen { profile, reason, chain: verdict.chain.clone() })
    }

    /// Where there is a choice, what `profile` is, to be added to a sentence.
    pub fn named(&self, profile: &Profile) -> String {
        if self.others.is_empty() { String::new() } else { format!("; with the {} export", kind(profile)) }
    }

    fn siblings_of<'a>(&'a self, profile: &Profile) -> impl Iterator<Item = &'a Arc<Profile>> + use<'a> {
        let sha256 = profile.file_sha256();
        self.all().filter(move |other| other.file_sha256() != sha256)
    }

    fn scep(&self, situation: &Situation<'_>) -> Option<&Arc<Profile>> {
        let Situation { facts, policy, profile, .. } = *situation;
        self.siblings_of(profile).find(|other| !is_acme(other) && unfit(facts, other, policy).is_none())
    }
}

fn is_acme(profile: &Profile) -> bool {
    profile.identity() == Some(IdentityKind::Acme)
}

fn kind(profile: &Profile) -> String {
    profile.identity().map_or("other", IdentityKind::name).to_uppercase()
}

/// Why a sibling is worth looking for, knowing the device.
fn unfit(facts: &Facts, profile: &Profile, policy: &Policy) -> Option<String> {
    let refused = plan::too_old(facts, profile).or_else(|| plan::made_for_another(facts, profile, policy));
    if let Some(verdict) = refused {
        return Some(verdict.sentence);
    }
    let product = facts.product_type.as_deref()?;
    let reason = || format!("ACME wants an attestation, and the hardware of {product} gives none (L31)");
    profile.lacks_attestation_on(product).then(reason)
}

/// True if a refusal holds for the device or the file as a whole, whatever its identity
/// (section 8): another MDM, a person's answer, a restriction, the MDM payload. The codes of
/// ACME itself are in no list, so all others count as its.
fn holds_for_any(chain: &ErrorChain) -> bool {
    const INSTALLATION: &[i64] =
        &[4004, 4005, 4008, 4009, 4010, 4015, 4020, 4021, 4022, 4025, 4027, 4037, 4054, 4055];
    const MDM: &[i64] =
        &[12000, 12001, 12004, 12009, 12011, 12012, 12013, 12022, 12030, 12034, 12063, 12088, 12098];
    chain.has("Installation", INSTALLATION)
        || chain.has("MDM", MDM)
        || chain.has("Tunnel", &[14001, 14002])
        || chain.has("Passcode", &[5010, 5011])
        || chain.has("CloudConfig", &[33003, 33004])
        || chain.has("Chaperone", &[29000, 29003])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::facts::SetupState;
    use crate::wire::mcinstall::InstalledProfile;
    use crate::wire::mcinstall_error::ChainLink;
    use crate::wire::profile::example::{ExampleOptions, acme_plist, scep_plist};
    use crate::wire::profile::{Purpose, TrustAnchors};
    use crate::wire::property_list::to_xml;
    use crate::workflow::event::{EventKind, PushAnswer};
    use crate::workflow::failure::of_chain;
    use crate::workflow::policy::Prefer;
    use jiff::Timestamp;

    const UDID: &str = "00008140-001B59F64B2E760E";

    fn load(bytes: &[u8]) -> Arc<Profile> {
        let profile = Profile::load(bytes, Purpose::Enrollment, &TrustAnchors::none(), Timestamp::UNIX_EPOCH);
        Arc::new(profile.unwrap())
    }

    fn scep() -> Arc<Profile> {
        load(&to_xml(&scep_plist(&ExampleOptions::default())))
    }

    fn acme_with(change: impl FnOnce(&mut ExampleOptions)) -> Arc<Profile> {
        let mut options =
            ExampleOptions { uuid: "2222BBBB-0000-4000-8000-000000000000".into(), ..Default::default() };
        change(&mut options);
        load(&to_xml(&acme_plist(&options)))
    }

    fn acme() -> Arc<Profile> {
        acme_with(|_| {})
    }

    fn facts(class: &str, os: &str, product: &str) -> Facts {
        Facts {
            udid: UDID.parse().ok(),
            class: Some(class.into()),
            os_version: Some(os.into()),
            product_type: Some(product.into()),
            setup: SetupState::Running,
            ..Facts::default()
        }
    }

    /// A policy with the ACME export as the sibling of the SCEP one.
    fn policy(prefer: Prefer, sibling: Arc<Profile>) -> Policy {
        Policy { prefer, siblings: vec![sibling], pushes: 2, ..Policy::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pushed(answer: Option<PushAnswer>) -> Memory {
        let mut memory = Memory::default();
        memory.take(at(0), &EventKind::PushStarted { number: 1 });
        if let Some(answer) = answer {
            memory.take(at(1), &EventKind::PushAnswered { number: 1, answer });
        }
        memory
    }

    struct Case {
        choice: Choice,
        policy: Policy,
        facts: Facts,
        memory: Memory,
        installed: Vec<InstalledProfile>,
        now: Timestamp,
    }

    impl Case {
        fn acme_first(sibling: Arc<Profile>, facts: Facts) -> Self {
            let policy = policy(Prefer::Acme, sibling);
            let choice = Choice::of(&scep(), &policy);
            Self { choice, policy, facts, memory: Memory::default(), installed: Vec::new(), now: at(2) }
        }

        fn ask<T>(&self, ask: impl FnOnce(&Choice, &Situation<'_>) -> T) -> T {
            let profile = self.choice.in_hand(&self.memory);
            ask(
                &self.choice,
                &Situation {
                    facts: &self.facts,
                    installed: &self.installed,
                    profile: &profile,
                    policy: &self.policy,
                    memory: &self.memory,
                    supervises: false,
                    now: self.now,
                },
            )
        }

        fn better(&self) -> Option<(Option<IdentityKind>, String)> {
            self.ask(|choice, situation| choice.better(situation)).map(|c| (c.profile.identity(), c.reason))
        }

        fn after(&self, domain: &str, code: i64) -> Option<Option<IdentityKind>> {
            let chain = [("MCInstallationErrorDomain", 4001), (domain, code)];
            let chain = ErrorChain::new(chain.iter().map(|(domain, code)| ChainLink::new(domain, *code)));
            let failure = of_chain("InstallProfile", &chain);
            let chosen = self.ask(|choice, situation| choice.after_refusal(&failure, situation))?;
            assert_eq!(chosen.chain, chain);
            Some(chosen.profile.identity())
        }
    }

    fn modern() -> Facts {
        facts("iPhone", "17.4", "iPhone16,2")
    }

    #[test]
    fn policy_decides_who_is_first_and_scep_by_default() {
        for (one, other) in [(scep(), acme()), (acme(), scep())] {
            let first = |prefer| preferred(&one, &policy(prefer, other.clone())).identity();
            assert_eq!(first(Prefer::Acme), Some(IdentityKind::Acme));
            assert_eq!(first(Prefer::default()), Some(IdentityKind::Scep));
        }
    }

    #[test]
    fn siblings_lead_to_one_server_by_another_identity() {
        assert_eq!(no_siblings(&scep(), &acme()), None);
        assert_eq!(no_siblings(&acme(), &acme()), Some(NoSiblings::SameKind(Some(IdentityKind::Acme))));
        let other = acme_with(|options| options.mdm_host = "mdm.other.example".into());
        assert_eq!(no_siblings(&scep(), &other), Some(NoSiblings::OtherServer));
        let choice = Choice::of(&scep(), &policy(Prefer::Acme, other));
        assert_eq!(choice.all().count(), 1, "what leads elsewhere is left out");
    }

    #[test]
    fn the_device_decides_whether_acme_fits() {
        for (class, os, product, fits) in [
            ("iPhone", "15.8", "iPhone12,1", false),
            ("iPhone", "16.0", "iPhone12,1", true),
            ("iPad", "16.0", "iPad13,1", false),
            ("iPad", "16.1", "iPad13,1", true),
            ("iPad", "17.0", "iPad7,3", false),
            ("iPhone", "16.7", "iPhone10,3", true),
        ] {
            let better = Case::acme_first(acme(), facts(class, os, product)).better();
            let kind = better.as_ref().map(|(kind, _)| *kind);
            assert_eq!(
                kind,
                (!fits).then_some(Some(IdentityKind::Scep)),
                "{class} {os} {product}: {better:?}"
            );
        }
    }

    #[test]
    fn an_export_for_one_device_is_not_for_a_second() {
        let only = |client: &str| acme_with(|options| options.challenge = Some(client.into()));
        let better = |client| Case::acme_first(only(client), modern()).better();
        assert_eq!(better(UDID), None, "its own device may use it");
        assert_eq!(better("FAKE-CLIENT-0001"), None, "names nobody");
        assert_eq!(better("8b1a9953c4611296a827abf8c47804d7e6f9a7a1"), None, "may be a random code");
        let (kind, reason) = better("00008140-0000000000000001").unwrap();
        assert_eq!(kind, Some(IdentityKind::Scep));
        assert!(reason.contains("one device alone (00008140-0000000000000001)"), "{reason}");
        // What the station knows beside the file.
        let mut case = Case::acme_first(only("FAKE-CLIENT-0001"), modern());
        let acme = sha256(&case.policy.siblings[0]);
        case.policy.owned.insert(acme.clone(), UDID.parse().unwrap());
        assert_eq!(case.better(), None);
        case.policy.owned.insert(acme, "00008140-0000000000000001".parse().unwrap());
        assert_eq!(case.better().unwrap().0, Some(IdentityKind::Scep));
    }

    #[test]
    fn a_refusal_of_acme_leads_to_scep_unless_it_holds_for_both() {
        let case = Case::acme_first(acme(), modern());
        for (domain, code) in [
            ("MCHTTPTransactionErrorDomain", 23001),
            ("MCACMEErrorDomain", 1),
            ("MCPayloadErrorDomain", 2004),
            ("MCMDMErrorDomain", 12005),
            ("MCMDMErrorDomain", 12002),
        ] {
            assert_eq!(case.after(domain, code), Some(Some(IdentityKind::Scep)), "{domain} {code}");
        }
        for (domain, code) in [
            ("MCMDMErrorDomain", 12001),
            ("MCMDMErrorDomain", 12088),
            ("MCInstallationErrorDomain", 4004),
            ("MCInstallationErrorDomain", 4009),
            ("MCChaperoneErrorDomain", 29000),
        ] {
            assert_eq!(case.after(domain, code), None, "{domain} {code}");
        }
        let policy = policy(Prefer::Scep, acme());
        let scep_first = Case { choice: Choice::of(&scep(), &policy), policy, ..case };
        assert_eq!(scep_first.after("MCSCEPErrorDomain", 22005), None, "never back to ACME");
    }

    #[test]
    fn after_a_restart_the_pushed_one_is_in_hand() {
        let mut case = Case::acme_first(acme(), modern());
        assert_eq!(case.choice.in_hand(&case.memory).identity(), Some(IdentityKind::Acme));
        let chosen = EventKind::ProfileChosen {
            sha256: sha256(&scep()),
            identifier: String::new(),
            uuid: String::new(),
            reason: String::new(),
            chain: ErrorChain::default(),
        };
        case.memory.take(at(0), &chosen);
        assert_eq!(case.choice.in_hand(&case.memory).identity(), Some(IdentityKind::Scep));
        let case = Case { memory: pushed(None), ..case };
        assert_eq!(case.better(), None, "what may still arrive is waited for");
    }

    #[test]
    fn a_listed_sibling_is_the_one_to_verify() {
        let mut case = Case::acme_first(acme(), modern());
        case.installed = vec![InstalledProfile {
            identifier: scep().identifier().to_owned(),
            uuid: scep().uuid().to_owned(),
            display_name: None,
            organization: None,
            description: None,
            version: 1,
            removal_disallowed: false,
        }];
        assert_eq!(case.better().unwrap().0, Some(IdentityKind::Scep));
    }

    #[test]
    fn an_acme_export_nobody_got_installed_is_followed_by_scep() {
        let mut case = Case::acme_first(acme(), Facts { setup: SetupState::Finished, ..modern() });
        case.memory = pushed(Some(PushAnswer::Acknowledged));
        assert_eq!(case.better(), None, "it may still be accepted");
        case.now = at(1000);
        assert_eq!(case.better().unwrap().0, Some(IdentityKind::Scep));
        case.policy.pushes = 1;
        assert_eq!(case.better(), None, "no push is left");
    }
}
