//! Why an operation did not even begin: one sentence, the next action, the exit code.

use super::view::{DeviceView, Exit};
use crate::journal::{JournalError, JournalErrorKind};
use crate::station::blueprints::BlueprintError;
use crate::station::desk::PickError;
use crate::station::learn::LearnError;
use crate::station::library::ProfileFileError;
use crate::transport::{Attachment, TransportError};
use crate::wire::printable::sentence;
use crate::wire::profile::RefusalKind;
use crate::workflow::outcome::Verdict;
use jiff::Timestamp;

/// An operation that could not be done for a reason that is no device's standing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct OperationError {
    /// Exit code.
    pub exit: Exit,
    /// What was tried and why it failed.
    pub sentence: String,
    /// What to do.
    pub next: Option<String>,
    /// Devices on the bus that could have been meant, and how they stand.
    pub devices: Vec<DeviceView>,
}

impl OperationError {
    /// An error with a next action.
    pub fn new(exit: Exit, sentence: impl Into<String>, next: impl Into<String>) -> Self {
        let (sentence, next) = (bounded(sentence.into()), Some(bounded(next.into())));
        Self { exit, sentence, next, devices: Vec::new() }
    }
}

/// Nobody reads more; a file that is quoted may be of any size.
const SENTENCE_CHARS: usize = 1500;

fn bounded(text: String) -> String {
    match text.char_indices().nth(SENTENCE_CHARS) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl From<TransportError> for OperationError {
    fn from(error: TransportError) -> Self {
        let next = match &error {
            TransportError::MuxUnreachable { .. } => {
                "Start usbmuxd, or set USBMUXD_SOCKET_ADDRESS to where it listens; `enlist doctor` checks it."
            }
            TransportError::MuxProtocol { .. } => {
                "Check USBMUXD_SOCKET_ADDRESS: something else listens there."
            }
            _ => "See `enlist doctor`.",
        };
        Self::new(Exit::NoDevice, sentence(&error), next)
    }
}

impl From<PickError> for OperationError {
    fn from(error: PickError) -> Self {
        let said = sentence(&error);
        match error {
            PickError::Mux(error) => error.into(),
            PickError::None => {
                Self::new(Exit::NoDevice, said, "Plug a device in, unlock it, and see `enlist devices`.")
            }
            PickError::NoneServed { states } => {
                // They have no job, so no time was spent on one.
                let view = |state| DeviceView::of_bay(state, Timestamp::UNIX_EPOCH);
                let devices: Vec<_> = states.iter().map(view).collect();
                let exit = devices.iter().fold(Exit::NeedsPerson, |worst, d| worst.worst(d.exit()));
                Self { devices, ..Self::new(exit, said, "Do what is said above, then run this again.") }
            }
            PickError::NotHere { attached, .. } => Self::new(Exit::NoDevice, said, listed(&attached)),
            PickError::Unserved { state } => {
                let Verdict { outcome, class, next, .. } = state.standing;
                Self { exit: Exit::of(outcome, class), sentence: said, next, devices: Vec::new() }
            }
            PickError::Ambiguous { attached } => Self::new(Exit::Usage, said, listed(&attached)),
        }
    }
}

fn listed(attached: &[Attachment]) -> String {
    if attached.is_empty() {
        return "No device is attached: plug it in and see `enlist devices`.".into();
    }
    let shown = attached.iter().take(5).map(|a| a.udid.as_str()).collect::<Vec<_>>().join(", ");
    let more = if attached.len() > 5 { ", ..." } else { "" };
    format!("Attached: {shown}{more}. See `enlist devices`.")
}

impl From<ProfileFileError> for OperationError {
    fn from(error: ProfileFileError) -> Self {
        let said = sentence(&error);
        match &error {
            ProfileFileError::Read { .. } => {
                Self::new(Exit::Usage, said, "Check the path and its rights, and give the file again.")
            }
            ProfileFileError::Roots { .. } => {
                Self::new(Exit::Usage, said, "Give certificates in PEM form under trusted_roots.")
            }
            ProfileFileError::Refused { refusal, .. } => {
                let exit = match refusal.kind() {
                    RefusalKind::Unreadable => Exit::Usage,
                    RefusalKind::Forbidden => Exit::Refused,
                };
                Self::new(exit, said, refusal.next())
            }
            ProfileFileError::Unfit { path, remedy, .. } => {
                let next = format!("{remedy} `enlist profile lint {}` tells all.", path.display());
                Self::new(Exit::Refused, said, next)
            }
        }
    }
}

impl From<JournalError> for OperationError {
    fn from(error: JournalError) -> Self {
        let next = match error.kind() {
            JournalErrorKind::InUse => {
                "Stop the other one, or give this one its own folder with --state-dir."
            }
            JournalErrorKind::Foreign => {
                "Put a copy back from a backup, or move the file away: a new journal is begun then."
            }
            JournalErrorKind::OtherVersion => "Use the Enlist that wrote it, or one that is newer.",
            _ => "Check the state folder: its owner, its rights, the space on its disk.",
        };
        Self::new(Exit::Usage, sentence(&error), next)
    }
}

impl From<BlueprintError> for OperationError {
    fn from(error: BlueprintError) -> Self {
        let next = match &error {
            BlueprintError::Unreadable { .. } => "Check the path and its rights.",
            BlueprintError::Empty { .. } => "Put a blueprint into the folder; README shows one.",
            BlueprintError::TooMany { .. } => "Give the folder that holds this station's blueprints alone.",
            BlueprintError::Wrong { .. } | BlueprintError::Profile { .. } => {
                "Correct the blueprint; README shows one."
            }
        };
        Self::new(Exit::Usage, sentence(&error), next)
    }
}

impl From<LearnError> for OperationError {
    fn from(error: LearnError) -> Self {
        let next = match &error {
            LearnError::File { .. } => {
                "Check the state folder: its owner, its rights, the space on its disk."
            }
            LearnError::Content { .. } => {
                "Correct the file, put bays.toml.old back, or learn the bays anew: enlist bays learn"
            }
        };
        Self::new(Exit::Usage, sentence(&error), next)
    }
}

impl From<crate::device::DeviceError> for OperationError {
    fn from(error: crate::device::DeviceError) -> Self {
        let next = "Check the state folder: its owner, its rights, the space on its disk.";
        Self::new(Exit::Usage, sentence(&error), next)
    }
}
