//! What a device is prepared with, checked before any device is touched; and, as a pure
//! function, what is to be done about the supervision data that a device has.

use super::blueprint::Prepare;
use super::outcome::{Class, Outcome, Verdict};
use crate::device::Facts;
use crate::device::cloud_configuration::WantedConfiguration;
use crate::device::facts::{OsVersion, SetupState};
use crate::limits::AFFINITY_LIMIT;
use crate::secret::Secret;
use crate::wire::profile::https_host;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Longest text of an organisation that is written, in characters.
const TEXT_CHARS: usize = 200;

/// Most panes that are left out: twice those that there are.
const MOST_PANES: usize = 100;

/// What the owner typed, or the configuration says.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as in `config::PrepareConfig`
pub struct Wishes {
    pub organization: Option<String>,
    pub department: Option<String>,
    pub support_phone: Option<String>,
    pub support_email: Option<String>,
    pub supervised: bool,
    pub allow_pairing: bool,
    pub skip: Vec<String>,
    pub enrollment_url: Option<String>,
    pub anchors: Vec<Vec<u8>>,
    pub user: bool,
}

/// What every device of a job is prepared with (R55).
#[derive(Debug, Clone)]
pub struct Preparation {
    /// Its supervision data.
    pub wanted: WantedConfiguration,
    /// Host of the enrollment address, safe to print.
    pub host: Option<String>,
    /// The enrollment binds a user (R59).
    pub user: bool,
}

/// Why devices cannot be prepared so.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum BadPreparation {
    /// 4.7 shows it on the device.
    #[error("an organisation's name is missing")]
    NoOrganization,
    /// A text no device can show.
    #[error("the {0} is empty, too long, or holds control characters")]
    Text(&'static str),
    /// R56 without an identity: nobody could do anything with the supervision.
    #[error("to supervise devices the station needs a supervision identity")]
    NoIdentity,
    /// R132, R133: else nobody could ever pair again.
    #[error("only a supervised device can be closed to computers without the supervision identity")]
    ClosedToAll,
    /// R53.
    #[error("the enrollment address must be an https address with a host")]
    Address,
    /// R53, 3.6: the address of the service that names the enrollment address.
    #[error(
        "this is a Profile URL, at which a station with internet asks for the enrollment address; it is no enrollment address itself"
    )]
    ProfileUrl,
    /// R53.
    #[error("a Profile URL must be an https address that ends in MDMServiceConfig?id=... or ESProxy?id=...")]
    NoProfileUrl,
    /// Panes.
    #[error("'{0}' is no pane of Setup Assistant")]
    Pane(String),
}

/// Last part of the path of a Profile URL in its two forms (3.6).
const PROFILE_URL_ENDS: [&str; 2] = ["/mdmserviceconfig", "/ios/esproxy"];

/// What the blueprints of a station can ask for: as it is configured, and so but supervised;
/// or why that cannot be.
#[derive(Debug, Clone)]
pub struct Preparations {
    as_configured: Result<Arc<Preparation>, BadPreparation>,
    supervised: Result<Arc<Preparation>, BadPreparation>,
}

impl Preparations {
    /// From what is configured; `supervisors` as in [`Preparation::new`].
    pub fn new(configured: Wishes, supervisors: &[Vec<u8>]) -> Self {
        // The profile enrolls the device: no other address is to do that a second time.
        let wishes = Wishes { enrollment_url: None, ..configured };
        let made = |wishes| Preparation::new(wishes, supervisors.to_vec()).map(Arc::new);
        Self { as_configured: made(wishes.clone()), supervised: made(Wishes { supervised: true, ..wishes }) }
    }

    /// What `prepare` asks for.
    ///
    /// # Errors
    /// No device can be prepared so.
    pub fn of(&self, prepare: Prepare) -> Result<Arc<Preparation>, BadPreparation> {
        match prepare {
            Prepare::AsConfigured => self.as_configured.clone(),
            Prepare::Supervised => self.supervised.clone(),
        }
    }
}

impl Preparation {
    /// Checks `wishes`; `supervisors` are the certificates of the station's identities, DER.
    ///
    /// # Errors
    /// [`BadPreparation`].
    pub fn new(wishes: Wishes, supervisors: Vec<Vec<u8>>) -> Result<Self, BadPreparation> {
        let text = |what, value: Option<String>| value.map(|text| shown(what, text)).transpose();
        if wishes.supervised && supervisors.is_empty() {
            return Err(BadPreparation::NoIdentity);
        }
        if wishes.organization.is_none() {
            // Told last: what is there is checked all the same.
            let there = Wishes { organization: Some("-".into()), ..wishes };
            return Err(Self::new(there, supervisors).err().unwrap_or(BadPreparation::NoOrganization));
        }
        if !wishes.allow_pairing && !wishes.supervised {
            return Err(BadPreparation::ClosedToAll);
        }
        if let Some(bad) = wishes.skip.iter().find(|pane| !is_pane(pane)).or(wishes.skip.get(MOST_PANES)) {
            return Err(BadPreparation::Pane(crate::wire::printable::printable(bad)));
        }
        let url = wishes.enrollment_url.map(|url| url.trim().to_owned());
        let host = url.as_deref().map(address).transpose()?;
        Ok(Self {
            wanted: WantedConfiguration {
                organization: shown(
                    "organisation",
                    wishes.organization.ok_or(BadPreparation::NoOrganization)?,
                )?,
                department: text("department", wishes.department)?,
                support_phone: text("support telephone", wishes.support_phone)?,
                support_email: text("support mail address", wishes.support_email)?,
                supervised: wishes.supervised,
                supervisors: if wishes.supervised { supervisors } else { Vec::new() },
                allow_pairing: wishes.allow_pairing,
                skip: wishes.skip,
                anchors: if url.is_some() { wishes.anchors } else { Vec::new() },
                url: url.map(Secret::new),
            },
            host,
            user: wishes.user,
        })
    }

    /// What names it in the history.
    pub fn title(&self) -> String {
        let how = if self.wanted.supervised { "supervised" } else { "not supervised" };
        let host = self.host.as_ref().map(|host| format!(", enrolled at {host}")).unwrap_or_default();
        format!("Prepare for {} ({how}{host})", self.wanted.organization)
    }

    /// What should be known of the panes that are left out, on a device with this system if it
    /// is known (profiles-and-enrollment.md 5; R141). None of it stops anything.
    pub fn pane_remarks(&self, os: Option<OsVersion>) -> Vec<String> {
        self.wanted.skip.iter().filter_map(|pane| pane_remark(pane, os)).collect()
    }
}

fn shown(what: &'static str, text: String) -> Result<String, BadPreparation> {
    let text = text.trim().to_owned();
    let fits = !text.is_empty() && text.chars().count() <= TEXT_CHARS && !text.chars().any(char::is_control);
    if fits { Ok(text) } else { Err(BadPreparation::Text(what)) }
}

/// Host of an enrollment address.
fn address(url: &str) -> Result<String, BadPreparation> {
    let host = https_host(url).filter(|_| !url.chars().any(|c| c.is_control() || c.is_whitespace()));
    let host = host.ok_or(BadPreparation::Address)?;
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_ascii_lowercase();
    match PROFILE_URL_ENDS.iter().any(|end| path.ends_with(end)) {
        true => Err(BadPreparation::ProfileUrl),
        false => Ok(crate::wire::printable::printable(host)),
    }
}

/// Checks a Profile URL as the portal shows it (R53, 3.6).
///
/// # Errors
/// [`BadPreparation::NoProfileUrl`].
pub fn check_profile_url(url: &str) -> Result<(), BadPreparation> {
    match address(url) {
        Err(BadPreparation::ProfileUrl) if url.contains("?id=") => Ok(()),
        _ => Err(BadPreparation::NoProfileUrl),
    }
}

/// Case counts, and a device ignores what it does not know (5): only what can be no name at
/// all is refused.
fn is_pane(pane: &str) -> bool {
    (1..=60).contains(&pane.len()) && pane.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Panes an iPhone or iPad can show, and the first system that has them (5).
#[rustfmt::skip]
const PANES: &[(&str, u32, u32)] = &[
    ("ActionButton", 17, 0), ("Android", 9, 0), ("Appearance", 13, 0), ("AppleID", 7, 0), ("AppStore", 14, 3),
    ("Biometric", 8, 1), ("CameraButton", 18, 0), ("DeviceToDeviceMigration", 12, 4), ("Diagnostics", 7, 0),
    ("DisplayTone", 9, 3), ("EnableLockdownMode", 17, 1), ("HomeButtonSensitivity", 10, 0),
    ("iMessageAndFaceTime", 12, 0), ("Intelligence", 18, 0), ("Keyboard", 13, 0), ("Location", 7, 0),
    ("MessagingActivationUsingPhoneNumber", 10, 0), ("Multitasking", 26, 0), ("OnBoarding", 11, 0),
    ("OSShowcase", 26, 0), ("Passcode", 7, 0), ("Payment", 8, 1), ("Privacy", 11, 3), ("Restore", 7, 0),
    ("RestoreCompleted", 14, 0), ("Safety", 16, 0), ("SafetyAndHandling", 18, 4), ("ScreenTime", 12, 0),
    ("SIMSetup", 12, 0), ("Siri", 7, 0), ("SoftwareUpdate", 12, 0), ("SpokenLanguage", 13, 0),
    ("TermsOfAddress", 16, 0), ("TOS", 7, 0), ("UpdateCompleted", 14, 0), ("WatchMigration", 11, 0),
    ("WebContentFiltering", 18, 2), ("Welcome", 13, 0), ("Zoom", 8, 3),
];

/// Panes that can come before the device has its configuration (5: "nas").
const EARLY_PANES: &[&str] = &["Keyboard", "SpokenLanguage", "TermsOfAddress"];

fn pane_remark(pane: &str, os: Option<OsVersion>) -> Option<String> {
    let Some((_, major, minor)) = PANES.iter().find(|(name, ..)| *name == pane) else {
        let other = PANES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(pane));
        return Some(match other {
            Some((name, ..)) => format!("The pane {pane} is written {name}: case counts."),
            None => format!("The pane {pane} is in no document; a device may ignore it."),
        });
    };
    let first = OsVersion::new(*major, *minor);
    if os.is_some_and(|os| os < first) {
        return Some(format!("The pane {pane} is there from {first} on."));
    }
    if EARLY_PANES.contains(&pane) {
        return Some(format!("The pane {pane} may appear all the same."));
    }
    let by_policy =
        ["Passcode", "Biometric"].contains(&pane) && os.is_none_or(|os| os >= OsVersion::new(14, 5));
    by_policy.then(|| format!("The pane {pane} is better left to a policy from 14.5 on (R141)."))
}

/// What is to be done about a device's supervision data.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// They are the ones wanted.
    AlreadySo,
    /// Write them.
    Configure,
    /// Nothing may be done.
    End(Box<Verdict>),
}

/// Decides. `differences` are those of what the device has from what is wanted, by key; `None`
/// if it has none (4.7: "works only while there is none").
pub fn decide(facts: &Facts, differences: Option<&[&str]>) -> Decision {
    match differences {
        Some([]) => Decision::AlreadySo,
        Some(keys) => {
            let said = format!(
                "The device is configured already, and otherwise ({}): it would refuse another configuration (14002).",
                keys.join(", ")
            );
            Decision::End(Box::new(Verdict::failed(Class::Device, said, ERASE_FIRST)))
        }
        None if facts.setup == SetupState::Finished => {
            let said = "The device is set up already; only one at its Hello screen can be prepared (R47).";
            Decision::End(Box::new(Verdict::failed(Class::Device, said, ERASE_FIRST)))
        }
        None => Decision::Configure,
    }
}

const ERASE_FIRST: &str = "Erase it with `enlist erase`, then prepare it.";

/// A prepared device, at `now`, and what its people do next.
pub fn prepared(preparation: &Preparation, now: Timestamp) -> Verdict {
    let verdict = Verdict::from(Outcome::Prepared);
    if preparation.host.is_none() {
        return verdict.then(
            "Enroll it while Setup Assistant runs, with `enlist enroll`, or go on in Setup Assistant.",
        );
    }
    let hand_out = "Unplug it, switch it off and hand it out: Setup Assistant goes on at its next start (R69). It may say that the server is not verified, which can be ignored (R54).";
    verdict.then(match finish_by(preparation, now) {
        Some(until) => {
            let until = until.strftime("%Y-%m-%d %H:%M UTC");
            format!("{hand_out} Its user has to finish by {until}, in 24 hours; later it has to be erased and prepared again (R59).")
        }
        None => hand_out.to_owned(),
    })
}

/// When the user of a device prepared at `now` has to be done (R59); `None` without a user.
pub fn finish_by(preparation: &Preparation, now: Timestamp) -> Option<Timestamp> {
    let binds = preparation.user && preparation.host.is_some();
    binds.then(|| after(now, AFFINITY_LIMIT))
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        Wishes { organization: Some("Contoso".into()), allow_pairing: true, ..Wishes::default() }
    }

    fn with_url(url: &str) -> Result<Preparation, BadPreparation> {
        Preparation::new(Wishes { enrollment_url: Some(url.into()), ..wishes() }, vec![])
    }

    /// Others are hidden in a recording.
    #[test]
    fn recordings_know_every_pane() {
        let known = crate::transport::recorder::words::PANES;
        assert!(PANES.iter().all(|(name, ..)| known.contains(name)));
    }

    #[test]
    fn an_enrollment_address_is_https_and_no_profile_url() {
        let good = with_url(" https://mdm.example/enroll?id=1 ").unwrap();
        assert_eq!(good.host.as_deref(), Some("mdm.example"));
        for bad in ["http://mdm.example/x", "https://", "mdm.example", "https://mdm.example/a b", ""] {
            assert_eq!(with_url(bad).unwrap_err(), BadPreparation::Address, "{bad}");
        }
        for url in [
            "https://appleconfigurator2.manage.microsoft.com/MDMServiceConfig?id=1111",
            "https://manage.microsoft.com/EnrollmentServer/Discovery.svc/iOS/ESProxy?id=1111",
        ] {
            assert_eq!(with_url(url).unwrap_err(), BadPreparation::ProfileUrl, "{url}");
            assert_eq!(check_profile_url(url), Ok(()));
        }
        for bad in [
            "http://a.example/MDMServiceConfig?id=1",
            "https://a.example/MDMServiceConfig",
            "https://a.example/x?id=1",
        ] {
            assert_eq!(check_profile_url(bad), Err(BadPreparation::NoProfileUrl), "{bad}");
        }
    }

    #[test]
    fn what_would_shut_everybody_out_is_refused() {
        let new = |wishes| Preparation::new(wishes, vec![]).map(|_| ()).unwrap_err();
        assert_eq!(new(Wishes { supervised: true, ..wishes() }), BadPreparation::NoIdentity);
        assert_eq!(new(Wishes { allow_pairing: false, ..wishes() }), BadPreparation::ClosedToAll);
        assert_eq!(new(Wishes { organization: None, ..wishes() }), BadPreparation::NoOrganization);
        assert_eq!(
            new(Wishes { organization: Some(" ".into()), ..wishes() }),
            BadPreparation::Text("organisation")
        );
        assert_eq!(
            new(Wishes { skip: vec!["Si ri".into()], ..wishes() }),
            BadPreparation::Pane("Si ri".into())
        );
        // Without supervision no supervisors are written.
        let plain = Preparation::new(wishes(), vec![vec![1]]).unwrap();
        assert!(plain.wanted.supervisors.is_empty());
    }

    #[test]
    fn a_device_is_configured_only_while_it_has_no_configuration() {
        let with = |setup| Facts { setup, ..Facts::default() };
        let running = with(SetupState::Running);
        assert_eq!(decide(&running, None), Decision::Configure);
        assert_eq!(decide(&running, Some(&[])), Decision::AlreadySo);
        let Decision::End(verdict) = decide(&running, Some(&["SkipSetup"])) else {
            panic!("it would be 14002")
        };
        assert!(verdict.sentence.contains("14002") && verdict.sentence.contains("SkipSetup"));
        let Decision::End(verdict) = decide(&with(SetupState::Finished), None) else { panic!("R47") };
        assert!(verdict.next.unwrap().contains("enlist erase"));
    }

    #[test]
    fn a_user_has_a_day() {
        let now: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let with = |user, url: Option<&str>| {
            let wishes = Wishes { user, enrollment_url: url.map(Into::into), ..wishes() };
            prepared(&Preparation::new(wishes, vec![]).unwrap(), now).next.unwrap()
        };
        let url = Some("https://mdm.example/e");
        assert!(with(true, url).contains("by 2026-03-03 08:00 UTC"));
        assert!(!with(false, url).contains("24 hours"));
        assert!(with(true, None).contains("enlist enroll"));
    }

    #[test]
    fn panes_that_will_not_do_are_told() {
        let of = |skip: &[&str], os| {
            let skip = skip.iter().map(|p| (*p).to_owned()).collect();
            Preparation::new(Wishes { skip, ..wishes() }, vec![]).unwrap().pane_remarks(OsVersion::parse(os))
        };
        assert!(of(&["Siri", "TOS", "Privacy"], "18.2").is_empty());
        let told = of(&["siri", "Nothing", "Multitasking", "Keyboard", "Passcode"], "18.2").join("\n");
        for part in ["is written Siri", "in no document", "from 26.0 on", "may appear", "R141"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(of(&["Passcode"], "14.4").is_empty());
    }
}
