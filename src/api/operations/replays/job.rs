//! The job of a recording, made again: its policy, and profiles that stand in for those that
//! were pushed, of which a recording keeps no contents.

use crate::api::OperationError;
use crate::api::view::Exit;
use crate::station::library;
use crate::transport::recorder::meta::ProfileMeta;
use crate::transport::replay::Tape;
use crate::wire::fields::Fields;
use crate::wire::profile::{Profile, Purpose, TrustAnchors, stand_in};
use crate::wire::property_list::{self, Budget, Value};
use crate::workflow::erasure::Erasure;
use crate::workflow::policy::{Policy, Prefer, SetupAssistant, Task};
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
            ..Policy::default()
        };
        match job.task.as_str() {
            "enroll" => match self.profiles("enroll")?.pop() {
                Some(profile) => Ok((profile, policy)),
                None => Err(self.unfit("it names no profile")),
            },
            "erase" => {
                let serial = self.tape.device_says("SerialNumber").unwrap_or_default();
                let despite_find_my = self.tape.asked("EraseDevice").is_some();
                let task = Task::Erase(Erasure::of(serial, despite_find_my)?);
                let profile = stand_in("erase", "Erase", [0; 32]);
                let profile = profile.map_err(|error| self.unfit(&error.to_string()))?;
                Ok((Arc::new(profile), Policy { task, ..policy }))
            }
            other => Err(self.unfit(&format!("jobs of the kind {other:?} cannot be replayed"))),
        }
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

    fn unfit(&self, reason: &str) -> OperationError {
        let said = format!("The job of {} cannot be made again: {reason}.", self.folder.display());
        OperationError::new(Exit::Failed, said, "Check its meta.toml.")
    }
}
