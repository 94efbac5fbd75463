//! Profiles on the device: installed, queued for the person, followed by policies
//! (protocols.md 4.5).

use super::installer::{
    self, Cause, DeviceProfile, INSTALLATION, MDM, MDM_TYPE, PROFILE, Payload, check_mdm, may_replace,
};
use super::lifecycle::Event;
use super::persona::{AcceptAnswer, Preinstalled, QueueReply, Settings};
use super::state::State;
use crate::limits::PENDING_PROFILE;
use crate::wire::fields::{dictionary, string};
use crate::wire::mcinstall::{InstalledProfile, Reply, Status};
use crate::wire::notification_proxy::{MANAGED_ORG_INFO_CHANGED, PROFILE_LIST_CHANGED};
use plist::Value;
use std::collections::BTreeMap;

const DMC_INSTALLATION: &str = "DMCInstallationErrorDomain";

/// Profiles of one device.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    pub(super) installed: Vec<Installed>,
    /// "At most one pending profile per target device" (4.5).
    pub(super) pending: Option<Pending>,
    /// Stored for after setup (StoreProfile).
    pub(super) stored: Option<Vec<u8>>,
    /// How many silent installs failed, by their reason's place in
    /// [`Settings::install_errors`].
    failures: BTreeMap<usize, u64>,
}

/// An installed profile.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) profile: DeviceProfile,
    /// Installed by the MDM server, which alone may remove it (12013).
    pub(super) managed: bool,
}

/// The profile that waits in Settings.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) profile: DeviceProfile,
    token: u64,
}

/// What becomes of a push.
pub(super) enum Push {
    /// Answered at once.
    Answer(Reply),
    /// A silent install; answered when it has worked.
    Silent(Box<DeviceProfile>),
}

impl Profiles {
    /// Profiles that are there from the start.
    pub(super) fn preinstalled(settings: &Settings) -> Self {
        let installed = settings
            .installed
            .iter()
            .enumerate()
            .map(|(n, p)| Installed { profile: preinstalled(n, p), managed: p.managed });
        Self { installed: installed.collect(), ..Self::default() }
    }

    fn find(&self, identifier: &str) -> Option<&Installed> {
        self.installed.iter().find(|i| i.profile.listed.identifier == identifier)
    }

    /// True if an MDM manages the device.
    pub(super) fn is_managed(&self) -> bool {
        self.installed.iter().any(|i| i.profile.mdm().is_some())
    }

    /// Those that GetProfileList shows; queued ones are not among them (4.8).
    pub(super) fn listed(&self) -> impl Iterator<Item = &InstalledProfile> {
        self.installed.iter().map(|i| &i.profile.listed)
    }
}

impl State {
    /// The decision of 4.5 on pushed bytes.
    pub(super) fn push(&mut self, bytes: &[u8], silently: bool) -> Push {
        self.counters.pushes_received += 1;
        for line in self.settings.install_logs.clone() {
            self.log("profiled", &line);
        }
        let profile = match installer::parse(bytes) {
            Ok(profile) => profile,
            Err(causes) => {
                let mut links = vec![(INSTALLATION, 4000)];
                links.extend(causes);
                return Push::Answer(Reply::error(&self.chain(&links)));
            }
        };
        let known = self.profiles.find(&profile.listed.identifier);
        let again = known.is_some_and(|i| i.profile.listed.uuid == profile.listed.uuid);
        self.counters.pushes_after_accept += u64::from(again);
        if !self.setup_done || silently {
            return Push::Silent(Box::new(profile));
        }
        match self.refusal_of_queueing(&profile) {
            Some(links) => Push::Answer(Reply::error(&self.chain(&links))),
            None => Push::Answer(self.queue(profile)),
        }
    }

    fn refusal_of_queueing(&self, profile: &DeviceProfile) -> Option<Vec<Cause>> {
        if self.settings.lockdown_mode {
            return Some(vec![(DMC_INSTALLATION, 4021)]);
        }
        if self.settings.ui_install_forbidden || profile.forbids_hands() {
            return Some(vec![(DMC_INSTALLATION, 4020)]);
        }
        // 0 none, 1 iPhone/iPad; the others are other kinds of device.
        if profile.target.is_some_and(|target| !(0..=1).contains(&target)) {
            return Some(vec![(INSTALLATION, 4035), (PROFILE, 1015)]);
        }
        // Enrollment modes that only an account-driven enrollment may use, and User
        // Enrollment by profile, are refused before the person sees anything.
        let early = |causes: &Vec<Cause>| causes.iter().any(|(_, code)| [4022, 4055].contains(code));
        check_mdm(profile, self.identity.os_major()).err().filter(early)
    }

    fn queue(&mut self, profile: DeviceProfile) -> Reply {
        self.counters.pushes_replacing += u64::from(self.profiles.pending.is_some());
        self.counters.pushes_accepted += 1;
        self.log("profiled", "profile queued for the person");
        let token = self.token();
        self.profiles.pending = Some(Pending { profile, token });
        self.plan(PENDING_PROFILE, Event::Purge(token));
        self.expect_dealing();
        self.post(PROFILE_LIST_CHANGED);
        match self.settings.queue_reply {
            QueueReply::Acknowledged => Reply::status_only(&Status::Acknowledged),
            QueueReply::Error => Reply::error(&self.chain(&[(INSTALLATION, 4036), (PROFILE, 1013)])),
        }
    }

    /// The person will deal with the queued profile, if that is their way and the screen is
    /// open.
    pub(super) fn expect_dealing(&mut self) {
        let Some(token) = self.profiles.pending.as_ref().map(|p| p.token) else { return };
        if self.locked {
            return;
        }
        if let Some((span, answer)) = self.person.sees_pending_profile() {
            self.plan(span, Event::Deal(token, answer));
        }
    }

    /// The scheduled act of the person; nothing if the profile was replaced or is gone.
    pub(super) fn deal_with_pending(&mut self, token: u64, answer: AcceptAnswer) {
        if self.profiles.pending.as_ref().is_some_and(|p| p.token == token) && !self.locked {
            self.deal(answer);
        }
    }

    /// Installs or removes the queued profile; false if there is none. No host is told about
    /// a cancellation or a failure on the screen (4.5).
    pub(super) fn deal(&mut self, answer: AcceptAnswer) -> bool {
        let Some(Pending { profile, .. }) = self.profiles.pending.take() else { return false };
        if answer == AcceptAnswer::Cancel {
            self.counters.cancelled += 1;
            return true;
        }
        match self.installation_check(&profile) {
            Ok(()) => self.install(profile),
            Err(_) => self.counters.failed_by_hand += 1,
        }
        true
    }

    /// 480 s have passed (4.5): the device forgets the profile and says so.
    pub(super) fn purge_pending(&mut self, token: u64) {
        if self.profiles.pending.as_ref().is_some_and(|p| p.token == token) {
            self.profiles.pending = None;
            self.counters.purged += 1;
            self.log("profiled", "queued profile purged");
            self.post(PROFILE_LIST_CHANGED);
        }
    }

    /// The end of a silent install: done, or the chain.
    pub(super) fn finish_silent_install(&mut self, profile: DeviceProfile) -> Reply {
        let outcome = self.installation_check(&profile).and_then(|()| self.network_check(&profile));
        match outcome {
            Ok(()) => {
                self.counters.pushes_accepted += 1;
                self.install(profile);
                Reply::status_only(&Status::Acknowledged)
            }
            Err(causes) => {
                self.log("profiled", "Rolling back installation of profile");
                // "4001 -> 4001 -> the real cause" (4.3).
                let mut links: Vec<(String, i64)> = vec![(INSTALLATION.to_owned(), 4001); 2];
                links.extend(causes);
                let links: Vec<_> = links.iter().map(|(domain, code)| (domain.as_str(), *code)).collect();
                Reply::error(&self.chain(&links))
            }
        }
    }

    /// Steps 2 to 5 of 4.5.
    fn installation_check(&self, profile: &DeviceProfile) -> Result<(), Vec<(String, i64)>> {
        let causes = |list: Vec<Cause>| list.into_iter().map(|(d, c)| (d.to_owned(), c)).collect::<Vec<_>>();
        let fail = |domain: &'static str, code| Err(causes(vec![(domain, code)]));
        let same = self.profiles.find(&profile.listed.identifier);
        let enrolled = self.profiles.installed.iter().find(|i| i.profile.mdm().is_some());
        if let (Some(new), Some(old)) = (profile.mdm(), enrolled) {
            if old.profile.listed.identifier != profile.listed.identifier {
                return fail(MDM, self.settings.foreign_mdm_error);
            }
            if old.profile.mdm().is_some_and(|old| !may_replace(old, new)) {
                return fail(MDM, 12012);
            }
        }
        if let Some(old) = same {
            if old.managed {
                return fail(MDM, 12013);
            }
            if old.profile.signer != profile.signer {
                return fail(INSTALLATION, 4008);
            }
            if old.profile.mdm().is_some() && profile.mdm().is_none() {
                return fail(INSTALLATION, 4015);
            }
        }
        if profile.needs_supervision() && !self.settings.supervised {
            return fail("MCChaperoneErrorDomain", 29000);
        }
        check_mdm(profile, self.identity.os_major()).map_err(causes)?;
        if profile.mdm().is_some() && self.settings.enrollment_forbidden {
            return fail(MDM, 12088);
        }
        Ok(())
    }

    /// Identity and check-in, as far as the settings say (4.5 steps 5 and 6).
    fn network_check(&mut self, profile: &DeviceProfile) -> Result<(), Vec<(String, i64)>> {
        let has = |kind: &String| profile.payloads.iter().any(|payload| payload.kind == *kind);
        // Wi-Fi and certificates are there without a network.
        let asks_network = profile.payloads.iter().any(Payload::asks_network);
        for (n, error) in self.settings.install_errors.iter().enumerate() {
            let failed = self.profiles.failures.entry(n).or_default();
            if error.only.as_ref().map_or(asks_network, has) && (error.times == 0 || *failed < error.times) {
                *failed += 1;
                return Err(vec![(error.domain.clone(), error.code)]);
            }
        }
        Ok(())
    }

    /// Puts the profile among the installed ones, in place of one with its identifier.
    pub(super) fn install(&mut self, profile: DeviceProfile) {
        let is_enrollment = profile.mdm().is_some();
        let line = format!("Profile \u{201c}{}\u{201d} installed", profile.listed.identifier);
        self.log("profiled", &line);
        let mut place = self.profiles.installed.iter();
        let place = place.position(|i| i.profile.listed.identifier == profile.listed.identifier);
        let installed = Installed { profile, managed: false };
        match place {
            Some(n) => self.profiles.installed[n] = installed,
            None => self.profiles.installed.push(installed),
        }
        self.counters.installs += 1;
        self.post(PROFILE_LIST_CHANGED);
        if is_enrollment {
            self.post(MANAGED_ORG_INFO_CHANGED);
            if let super::After::In(span) = self.settings.policies_after {
                self.plan(span, Event::Policies);
            }
        }
    }

    /// The MDM server sends policies (profiles-and-enrollment.md 3.1: their prefix).
    pub(super) fn policies_arrive(&mut self) {
        for n in 0..self.settings.policies {
            let spec = Preinstalled {
                identifier: format!("www.windowsintune.com.policy.{}", n + 1),
                name: format!("Policy {}", n + 1),
                uuid: None,
                organization: None,
                mdm: false,
                managed: true,
                locked: true,
            };
            let profile = preinstalled(100 + n as usize, &spec);
            if self.profiles.find(&spec.identifier).is_none() {
                self.profiles.installed.push(Installed { profile, managed: true });
            }
        }
        self.post(PROFILE_LIST_CHANGED);
    }
}

/// A profile from a scenario's few words.
fn preinstalled(n: usize, spec: &Preinstalled) -> DeviceProfile {
    let uuid = |last: usize| format!("5EED0000-0000-4000-8000-{:08X}{last:04X}", n + 1);
    let mdm = || Payload {
        kind: MDM_TYPE.to_owned(),
        uuid: uuid(1),
        fields: dictionary([
            ("AccessRights", Some(Value::from(8191))),
            ("ServerURL", string("https://other-mdm.example/server")),
            ("Topic", string("com.apple.mgmt.External.99999999-0000-4000-8000-000000000000")),
        ]),
    };
    DeviceProfile {
        listed: InstalledProfile {
            identifier: spec.identifier.clone(),
            uuid: spec.uuid.clone().unwrap_or_else(|| uuid(0)),
            display_name: Some(spec.name.clone()),
            organization: spec.organization.clone(),
            description: None,
            version: 1,
            removal_disallowed: spec.locked,
        },
        target: None,
        payloads: if spec.mdm { vec![mdm()] } else { Vec::new() },
        signer: None,
    }
}
