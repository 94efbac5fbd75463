//! The rig file: which devices a rig may touch, and what it may do to each.

use crate::api::OperationError;
use crate::api::view::Exit;
use crate::ids::Udid;
use crate::limits::PENDING_PROFILE;
use crate::wire::printable::sentence;
use crate::wire::toml_text::{self, TomlFault};
use crate::workflow::erasure::{Erasure, NoConsent};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most devices of one rig: they are worked with one after the other, and a run has to end on
/// the day it began.
const MOST_DEVICES: usize = 64;

/// Longest time one part of a person may take, in seconds.
const LONGEST_PART: u64 = 3600;

/// A rig file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigFile {
    /// Seconds a person has for each part: Trust, unlocking, a cable.
    #[serde(default = "person_within")]
    pub person_within: u64,
    /// Seconds a queued profile waits for its person; the device drops it after 480.
    #[serde(default = "accept_within")]
    pub accept_within: u64,
    /// Folder of the lock files that keep runs apart; by default one of this user.
    pub leases: Option<PathBuf>,
    /// The devices. No other one is touched.
    #[serde(rename = "device", default)]
    pub devices: Vec<Dut>,
}

/// A device under test, and what it may be used for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dut {
    /// Which one.
    pub udid: Udid,
    /// What people call it.
    pub name: Option<String>,
    /// Its serial number: the consent to an erase, which has to name the device.
    pub serial: Option<String>,
    /// Everything on it may be lost.
    #[serde(default, alias = "may-erase")]
    pub may_erase: bool,
    /// Its enrollment may be removed again.
    #[serde(default, alias = "may-unenroll")]
    pub may_unenroll: bool,
    /// It has a passcode: somebody has to enter it after a restart.
    #[serde(default, alias = "has-passcode")]
    pub has_passcode: bool,
    /// Something answers its dialogs although nobody is asked: a simulated person, a robot.
    #[serde(default, alias = "answers-itself")]
    pub answers_itself: bool,
    /// The identity that supervises it, or is to; as in `[supervision]`.
    #[serde(alias = "supervised-by")]
    pub supervised_by: Option<PathBuf>,
    /// The export it is enrolled with.
    #[serde(alias = "enrolls-with")]
    pub enrolls_with: Option<PathBuf>,
    /// The command that moves it, instead of a person: the verb and the UDID are added.
    #[serde(default)]
    pub hands: Vec<String>,
}

fn person_within() -> u64 {
    180
}

fn accept_within() -> u64 {
    PENDING_PROFILE.as_secs()
}

/// What is wrong with a rig file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRig {
    /// Not TOML, an unknown key, a value of the wrong type.
    #[error("{0}")]
    Content(TomlFault),
    /// Nothing to test.
    #[error("it lists no device")]
    Empty,
    /// Too much.
    #[error("it lists {0} devices; a rig has at most {MOST_DEVICES}")]
    TooMany(usize),
    /// The same device again.
    #[error("it lists {0} twice")]
    Twice(Udid),
    /// A time that is none.
    #[error("{key} must be between 1 and {most} seconds")]
    Time {
        /// Which.
        key: &'static str,
        /// The longest.
        most: u64,
    },
    /// Consent to nothing.
    #[error("{0} may be erased, but nothing names it a second time: {NoConsent}")]
    NoConsent(Udid),
}

impl RigFile {
    /// Reads a file's text. Relative paths count from the file's folder.
    ///
    /// # Errors
    /// [`BadRig`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, BadRig> {
        let mut rig: Self = toml_text::parse(text).map_err(BadRig::Content)?;
        rig.check()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let files = rig.devices.iter_mut().flat_map(|dut| [&mut dut.supervised_by, &mut dut.enrolls_with]);
        for file in files.chain([&mut rig.leases]).flatten() {
            *file = folder.join(&*file);
        }
        // A command with a folder in it is a file like the others; a plain name is looked for.
        let hands = rig.devices.iter_mut().filter_map(|dut| dut.hands.first_mut());
        for program in hands.filter(|program| program.contains('/')) {
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
        Ok(rig)
    }

    fn check(&self) -> Result<(), BadRig> {
        match self.devices.len() {
            0 => return Err(BadRig::Empty),
            1..=MOST_DEVICES => {}
            n => return Err(BadRig::TooMany(n)),
        }
        let times = [
            ("person_within", self.person_within, LONGEST_PART),
            ("accept_within", self.accept_within, PENDING_PROFILE.as_secs()),
        ];
        if let Some((key, _, most)) = times.into_iter().find(|(_, value, most)| !(1..=*most).contains(value))
        {
            return Err(BadRig::Time { key, most });
        }
        for (n, dut) in self.devices.iter().enumerate() {
            if self.devices[..n].iter().any(|other| other.udid.is_meant_by(dut.udid.as_str())) {
                return Err(BadRig::Twice(dut.udid.clone()));
            }
            if dut.may_erase && dut.consent().is_none() {
                return Err(BadRig::NoConsent(dut.udid.clone()));
            }
        }
        Ok(())
    }

    /// How long a person has for each part.
    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs(self.person_within)
    }
}

impl Dut {
    /// What people call it.
    pub fn label(&self) -> String {
        let name = self.name.as_deref().map(crate::wire::printable::printable);
        name.unwrap_or_else(|| self.udid.to_string())
    }

    /// The serial number, if it names a device well enough to erase it.
    pub(super) fn consent(&self) -> Option<&str> {
        self.serial.as_deref().filter(|serial| Erasure::of(serial, false).is_ok())
    }
}

impl From<(&Path, BadRig)> for OperationError {
    fn from((path, bad): (&Path, BadRig)) -> Self {
        let next = match bad {
            BadRig::NoConsent(_) => "Add its serial number: serial = \"...\", or leave may_erase out.",
            _ => "Correct the rig file; `enlist help rig` shows one.",
        };
        let said = match &bad {
            BadRig::Content(TomlFault { place: Some((line, column)), message }) => {
                format!("{}:{line}:{column}: {message}", path.display())
            }
            other => format!("{}: {other}", path.display()),
        };
        Self::new(Exit::Usage, sentence(said), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RigFile, BadRig> {
        RigFile::parse(text, Path::new("/lab/rig.toml"))
    }

    fn bad(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_device_is_listed_with_what_it_may_be_used_for() {
        let rig = parse(
            "[[device]]\nudid = '00008140-001B59F64B2E760E'\nserial = 'C39ABCDEFG'\nmay-erase = true\n\
             enrolls_with = 'export.mobileconfig'\nhands = ['./hub', '--port', '3']\nsupervised-by = '/keys/org.p12'\n",
        )
        .unwrap();
        let dut = &rig.devices[0];
        assert!(dut.may_erase && !dut.may_unenroll && dut.consent() == Some("C39ABCDEFG"));
        assert_eq!(dut.enrolls_with.as_deref(), Some(Path::new("/lab/export.mobileconfig")));
        assert_eq!(dut.hands, ["/lab/./hub", "--port", "3"]);
        assert_eq!(dut.supervised_by.as_deref(), Some(Path::new("/keys/org.p12")));
        assert_eq!((dut.label(), rig.person_within), ("00008140-001B59F64B2E760E".to_owned(), 180));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(bad(""), "it lists no device");
        assert!(bad("[[device]]\nudid = 'a b'").contains("is not a UDID"));
        assert!(bad("[[device]]\nudid = 'a'\nmay_erse = true").contains("did you mean 'may_erase'?"));
        assert_eq!(bad("[[device]]\nudid = 'a-b'\n[[device]]\nudid = 'AB'"), "it lists AB twice");
        assert!(bad("person_within = 0\n[[device]]\nudid = 'a'").contains("between 1 and 3600"));
        assert!(bad("accept_within = 481\n[[device]]\nudid = 'a'").contains("between 1 and 480"));
        for serial in ["", "serial = 'ABC'"] {
            let said = bad(&format!("[[device]]\nudid = 'a'\nmay_erase = true\n{serial}"));
            assert!(said.starts_with("a may be erased, but nothing names it"), "{said}");
        }
        let many: String = (0..65).map(|n| format!("[[device]]\nudid = 'd{n}'\n")).collect();
        assert!(bad(&many).contains("65 devices"));
    }
}
