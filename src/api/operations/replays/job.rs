//! The job of a recording, made again: its policy, and profiles that stand in for those that
//! were pushed, of which a recording keeps no contents.

use crate::api::OperationError;
use crate::api::view::Exit;
use crate::device::cloud_configuration::WantedConfiguration;
use crate::station::library;
use crate::transport::recorder::meta::ProfileMeta;
use crate::transport::replay::Tape;
use crate::wire::fields::Fields;
use crate::wire::profile::{Profile, Purpose, TrustAnchors, stand_in};
use crate::wire::property_list::{self, Budget, Value};
use crate::workflow::erasure::{Erasure, NoConsent};
use crate::workflow::outcome::Outcome;
use crate::workflow::policy::{Policy, Prefer, SetupAssistant, Task};
use crate::workflow::preparation::Preparation;
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SCEP: &[u8] = include_bytes!("../../../../fixtures/profiles/example-scep.mobileconfig");
const ACME: &[u8] = include_bytes!("../../../../fixtures/profiles/example-acme.mobileconfig");

/// A payload that asks nobody for anything: what a helper is, whatever it was.
const HELPER: &[u8] = br#"<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier</key><string>x</string>
<key>PayloadUUID</key><string>x</string><key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.font</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>x.font</string>
<key>PayloadUUID</key><string>00000000-0000-4000-8000-00000000f0e7</string></dict></array></dict></plist>"#;

/// A serial number that no device of a recording has: theirs are placeholders of digits.
const OF_ANOTHER: &str = "ANOTHER";

/// Makes the profile and the policy of a recorded job.
pub(super) struct Remake<'a> {
    pub(super) tape: &'a Tape,
    pub(super) folder: &'a Path,
    pub(super) now: Timestamp,
}

impl Remake<'_> {
    pub(super) fn job(&self) -> Result<(Arc<Profile>, Policy), OperationError> {
        let job = &self.tape.meta.job;
        let policy = Policy {
            person_within: Duration::from_secs(job.person_within),
            accept_within: Duration::from_secs(job.accept_within),
            pushes: job.pushes,
            setup_assistant: match job.setup_assistant.as_str() {
                "hold" => SetupAssistant::Hold,
                _ => SetupAssistant::Push,
            },
            replug_within: Duration::from_secs(job.replug_within),
            policies_within: Duration::from_secs(job.policies_within),
            prefer: if job.prefer == "acme" { Prefer::Acme } else { Prefer::Scep },
            dry_run: job.dry_run,
            device_name: job.named.then(|| self.name()).flatten(),
            siblings: self.profiles("sibling")?,
            helpers: self.profiles("helper")?,
            prepare: job.prepares.then(|| Arc::new(self.preparation())),
            ..Policy::default()
        };
        match job.task.as_str() {
            "enroll" => match self.profiles("enroll")?.pop() {
                Some(profile) => Ok((profile, policy)),
                None => Err(self.unfit("it names no profile")),
            },
            "erase" => Ok((self.stand_in("erase")?, Policy { task: Task::Erase(self.erasure()?), ..policy })),
            "prepare" => Ok((self.stand_in("prepare")?, Policy { task: Task::Prepare, ..policy })),
            "look" => Err(self.other_kind("what `enlist record` looked at, which is no job")),
            other => Err(self.unfit(&format!("{other:?} is no kind of a job"))),
        }
    }

    /// The profile of a job that has none.
    fn stand_in(&self, kind: &str) -> Result<Arc<Profile>, OperationError> {
        let profile = stand_in(kind, "Replay", [0; 32]);
        profile.map(Arc::new).map_err(|error| self.unfit(&error.to_string()))
    }

    /// The consent that was given, and no more: one for another device where this one was
    /// neither told to erase itself, nor would have been.
    fn erasure(&self) -> Result<Erasure, NoConsent> {
        let tape = self.tape;
        let told = tape.asked("EraseDevice").is_some();
        // The first was a dry run; in the second Find My, and that alone, forbade it.
        let would =
            [Outcome::Planned, Outcome::ActivationLocked].into_iter().any(|outcome| self.ended_as(outcome));
        let serial = tape.device_says("SerialNumber").filter(|_| told || would);
        Erasure::of(serial.unwrap_or(OF_ANOTHER), told)
    }

    /// What the device was to be prepared with, by its placeholders: what was written to it;
    /// where nothing was, what it had already, or something else, if that ended the job.
    fn preparation(&self) -> Preparation {
        let tape = self.tape;
        let written = tape.asked("SetCloudConfiguration").and_then(|asked| asked.dict("CloudConfiguration"));
        let pushed = ["InstallProfile", "InstallProfileSilent"].iter().any(|name| tape.asked(name).is_some());
        let refused = self.ended_as(Outcome::Failed) && !pushed;
        let found = tape.cloud_configuration().filter(|_| !refused);
        let wanted = written.or(found).map(WantedConfiguration::of).unwrap_or_default();
        Preparation { wanted, host: None, user: false }
    }

    fn ended_as(&self, outcome: Outcome) -> bool {
        self.tape.meta.result.as_ref().is_some_and(|result| result.outcome == outcome.name())
    }

    /// The name that the device was given: its placeholder is one, too.
    fn name(&self) -> Option<String> {
        let named = |frame: &&plist::Dictionary| frame.text("Key") == Some("DeviceName");
        let asked = self.tape.asked("SetValue").filter(named)?;
        asked.text("Value").map(str::to_owned)
    }

    fn profiles(&self, role: &str) -> Result<Vec<Arc<Profile>>, OperationError> {
        let all = self.tape.meta.job.profiles.iter().filter(|profile| profile.role == role);
        all.map(|profile| self.profile(profile)).collect()
    }

    /// A profile of this identifier, UUID and kind of identity.
    fn profile(&self, meta: &ProfileMeta) -> Result<Arc<Profile>, OperationError> {
        let (bytes, purpose) = match (meta.role.as_str(), meta.identity.as_str()) {
            ("helper", _) => (HELPER, Purpose::Any),
            (_, "acme") => (ACME, Purpose::Enrollment),
            _ => (SCEP, Purpose::Enrollment),
        };
        let mut profile =
            property_list::parse(bytes, Budget::PROFILE).map_err(|error| self.unfit(&error.to_string()))?;
        if let Value::Dictionary(fields) = &mut profile {
            for (key, text) in [("PayloadIdentifier", &meta.identifier), ("PayloadUUID", &meta.uuid)] {
                fields.insert(key.to_owned(), Value::String(text.clone()));
            }
        }
        let bytes = property_list::to_xml(&profile);
        let name = self.folder.join("stand-in");
        Ok(Arc::new(library::load_bytes(&bytes, &name, purpose, &TrustAnchors::none(), self.now)?))
    }

    fn other_kind(&self, what: &str) -> OperationError {
        let said = format!("{} is a recording of {what}. Only jobs can be replayed.", self.folder.display());
        let next = format!(
            "It is for `enlist record --check {0}` and for reading. For one to replay: `enlist enroll FILE --record DIR`.",
            self.folder.display()
        );
        OperationError::new(Exit::Failed, said, next)
    }

    fn unfit(&self, reason: &str) -> OperationError {
        let said = format!("The job of {} cannot be made again: {reason}.", self.folder.display());
        OperationError::new(Exit::Failed, said, "Check its meta.toml.")
    }
}
